"""Blocks of a fixed size: each frame in its place, none lost without being told."""

import asyncio
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_audio import ChannelSink, ConfigError, ConfigTypeError, GapCause, SessionStateError
from stream_audio.sinks.blocks import Reblocker
from support.chunks import make_chunk, make_gap, positions, time_of


def blocks_of(chunks, *settings, **more):
    reblocker = Reblocker(*settings, **more)
    blocks = [block for chunk in chunks for block in reblocker.push(chunk)]
    return blocks + list(reblocker.finish())


def run_of(lengths, start=0):
    """Chunks of these lengths without a gap."""
    chunks = []
    for length in lengths:
        chunks.append(make_chunk(start, length))
        start += length
    return chunks


def test_each_block_begins_a_hop_after_the_one_before():
    blocks = blocks_of(run_of([100, 30, 70]), 64, 16)
    assert [block.frame for block in blocks] == [0, 48, 96]
    assert {block.frames for block in blocks} == {64}
    for block in blocks:
        assert positions(block) == list(range(block.frame, block.end))
        assert block.time == pytest.approx(time_of(block.frame), abs=1e-9)


def test_a_block_within_one_chunk_is_a_view_and_one_across_two_a_copy():
    first, second = run_of([100, 100])
    inside, across, _ = blocks_of([first, second], 64)
    assert np.shares_memory(inside.data, first.data)
    assert not np.shares_memory(across.data, first.data)
    assert not np.shares_memory(across.data, second.data)
    assert not inside.data.flags.writeable
    assert not across.data.flags.writeable


def test_a_block_arrived_when_its_last_frame_did():
    (block,) = blocks_of(run_of([40, 40]), 64)
    assert block.arrival == time_of(80)


def test_levels_are_those_of_the_block():
    loud = make_chunk(0, 64)
    (_, last) = blocks_of([loud], 32)
    assert last.peak[0] == pytest.approx(20 * np.log10(63))


def test_no_block_spans_a_gap_and_what_was_too_short_is_told():
    chunks = [make_chunk(0, 100), make_chunk(130, 100, missing=30)]
    blocks = blocks_of(chunks, 64)
    assert [block.frame for block in blocks] == [0, 130]
    assert blocks[0].gaps == ()
    assert blocks[1].gaps == (make_gap(64, 36, GapCause.PASSED_OVER), make_gap(100, 30))


def test_what_an_overlap_has_told_already_is_not_skipped():
    chunks = [make_chunk(0, 64), make_chunk(100, 64, missing=36)]
    first, second = blocks_of(chunks, 64, 32)
    assert (first.frame, second.frame) == (0, 100)
    assert second.gaps == (make_gap(64, 36),)


def test_padding_fills_up_what_is_too_short_with_silence():
    chunks = [make_chunk(1, 100), make_chunk(131, 70, missing=30)]
    blocks = blocks_of(chunks, 64, pad=True)
    assert [block.frame for block in blocks] == [1, 65, 131, 195]
    assert {block.frames for block in blocks} == {64}
    assert positions(blocks[1]) == [*range(65, 101), *[0] * 28]
    assert positions(blocks[3]) == [*range(195, 201), *[0] * 58]
    assert blocks[2].gaps == (make_gap(101, 30),)
    assert blocks[3].gaps == ()


def test_a_gap_before_frames_too_short_for_a_block_is_told_by_the_next_block():
    chunks = [
        make_chunk(10, 20, missing=10),
        make_chunk(40, 20, missing=10),
        make_chunk(80, 64, missing=20),
    ]
    (block,) = blocks_of(chunks, 64)
    assert block.gaps == (
        make_gap(0, 10),
        make_gap(10, 20, GapCause.PASSED_OVER),
        make_gap(30, 10),
        make_gap(40, 20, GapCause.PASSED_OVER),
        make_gap(60, 20),
    )


def test_a_flag_of_the_host_is_told_once():
    chunk = make_chunk(0, 64)
    object.__setattr__(chunk, "overflows", 2)
    assert [block.overflows for block in blocks_of([chunk, make_chunk(64, 64)], 32, 16)] == [
        2,
        *[0] * 6,
    ]


def test_sources_are_kept_apart():
    chunks = [make_chunk(0, 40, source="a"), make_chunk(500, 40, source="b")]
    chunks += [make_chunk(40, 40, source="a"), make_chunk(540, 40, source="b")]
    blocks = blocks_of(chunks, 64)
    assert [(block.source, block.frame) for block in blocks] == [("a", 0), ("b", 500)]
    assert [positions(block)[0] for block in blocks] == [0, 500]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 40), st.sampled_from([0, 0, 0, 1, 17])),
        max_size=30,
    ),
    st.integers(1, 50),
    st.integers(0, 49),
)
def test_every_frame_is_in_a_block_or_in_one_gap(pieces, frames, overlap):
    overlap = min(overlap, frames - 1)
    ends = defaultdict(int)
    chunks = []
    for source, length, missing in pieces:
        frame = ends[source] + missing
        chunks.append(make_chunk(frame, length, missing=missing, source=source))
        ends[source] = frame + length
    told_up_to = defaultdict(int)
    for block in blocks_of(chunks, frames, overlap):
        assert block.frames == frames
        assert positions(block) == list(range(block.frame, block.end))
        for gap in block.gaps:
            assert gap.frame == told_up_to[block.source]
            told_up_to[block.source] = gap.end
        if block.gaps or told_up_to[block.source] == 0:
            assert block.frame == told_up_to[block.source]
        else:
            assert block.frame == told_up_to[block.source] - overlap
        told_up_to[block.source] = block.end
    for source, end in ends.items():
        assert end - told_up_to[source] >= 0  # the rest, which no block follows


@pytest.mark.parametrize(
    ("settings", "name"),
    [((0,), "frames"), ((2**24 + 1,), "frames"), ((10, -1), "overlap"), ((10, 10), "overlap")],
)
def test_a_size_that_cannot_work(settings, name):
    with pytest.raises(ConfigError, match=name):
        ChannelSink().chunks(*settings)
    with pytest.raises(ConfigTypeError, match="frames"):
        ChannelSink().chunks(1.5)


# ---- from a channel ----


def filled(lengths):
    channel = ChannelSink()
    for chunk in run_of(lengths):
        channel.write(chunk)
    channel.stop()
    return channel


def test_a_channel_is_read_in_blocks_by_a_loop_and_by_an_async_loop():
    assert [block.frame for block in filled([50] * 5).chunks(100, 50)] == [0, 50, 100, 150]

    async def read():
        return [block.frame async for block in filled([50] * 5).chunks(100, 50)]

    assert asyncio.run(read()) == [0, 50, 100, 150]


def test_a_loop_over_blocks_that_was_left_can_be_taken_up_again():
    blocks = filled([250]).chunks(100)
    for block in blocks:
        assert block.frame == 0
        break
    assert [block.frame for block in blocks] == [100]


def test_blocks_are_the_channels_one_consumer():
    channel = filled([100])
    blocks = channel.chunks(10)
    with pytest.raises(SessionStateError, match="already has a consumer"):
        iter(channel)
    assert len(list(blocks)) == 10


def test_repr_tells_the_size():
    assert repr(ChannelSink().chunks(512)) == "<Blocks of 512 frames>"
