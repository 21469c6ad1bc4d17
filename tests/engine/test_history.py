"""The last seconds of a source, after the fact: exact to the frame, and no more than was asked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_audio import (
    AudioSource,
    ChannelSink,
    ConfigError,
    FormatPreset,
    GapCause,
    StreamAudio,
    StreamConfig,
)
from stream_audio.engine.history import History
from stream_audio.engine.roster import in_order_of_time
from stream_audio.testing import Fault, VirtualClock
from support.chunks import RATE, make_chunk, make_gap, positions, time_of


def filled(pieces, seconds=1.0):
    """Fill a history; ``pieces``: (missing, frames) of each chunk."""
    history, end = History(seconds), 0
    for missing, frames in pieces:
        history.add(make_chunk(end + missing, frames, missing=missing))
        end += missing + frames
    return history, end


def test_a_replay_is_cut_to_the_frame():
    history, end = filled([(0, 4800)] * 10)
    chunks = history.replay(0.25)
    assert [chunk.frames for chunk in chunks] == [2400, 4800, 4800]
    assert [frame for chunk in chunks for frame in positions(chunk)] == list(
        range(end - 12_000, end)
    )


def test_chunks_of_each_source_are_replayed_in_their_own_order_whatever_their_times():
    """Parts of a chunk with a pause in it have times of their own; a freewheeling source has
    delivered what follows before that."""
    times = {"a": [1.0, 1.3, 1.01, 1.02, 1.5], "b": [1.1, 1.2, 1.4]}
    replays = [
        (name, [replace(make_chunk(10 * i, 10), time=time) for i, time in enumerate(of)])
        for name, of in times.items()
    ]
    merged = [(name, chunk.frame) for name, chunk in in_order_of_time(replays)]
    for name, of in times.items():
        assert [frame for each, frame in merged if each == name] == [
            10 * i for i in range(len(of))
        ]
    assert [name for name, _ in merged] == ["a", "b", "b", "a", "a", "a", "b", "a"]


def test_no_more_is_kept_than_was_asked_for():
    history, _ = filled([(0, 100)] * 10_000, seconds=0.5)
    assert sum(chunk.frames for chunk in history.replay(100.0)) == RATE // 2
    assert history.bytes == RATE // 2 * history.replay(0.1)[0].data[:1].nbytes


def test_there_may_be_less_than_was_asked_for():
    assert History(1.0).replay(1.0) == []
    assert History(1.0).last(1.0) is None
    history, _ = filled([(0, 100)])
    assert sum(chunk.frames for chunk in history.replay(1.0)) == 100
    assert history.replay(0) == []


def test_the_last_seconds_are_one_chunk_with_silence_where_frames_are_missing():
    history, end = filled([(0, 4800), (100, 4700), (0, 4800)])
    last = history.last(0.25)
    assert (last.frame, last.end) == (end - 12_000, end)
    assert last.time == pytest.approx(time_of(last.frame), abs=1e-9)
    assert last.arrival == time_of(end)
    expected = np.arange(last.frame, last.end)
    expected[(expected >= 4800) & (expected < 4900)] = 0
    assert positions(last) == expected.tolist()
    assert last.gaps == (make_gap(4800, 100),)
    assert not last.data.flags.writeable


def test_a_gap_at_the_beginning_is_told_as_far_as_it_lies_within():
    history, _ = filled([(0, 4800), (4800, 4800)])
    last = history.last(0.15)
    assert (last.frame, last.frames) == (7200, 7200)
    assert [(gap.frame, gap.frames) for gap in last.gaps] == [(7200, 2400)]
    assert not last.data[:2400].any()


@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 7, 30]), st.integers(1, 50)), max_size=20),
    st.integers(0, 400),
)
def test_frames_and_gaps_of_a_replay_fill_the_time_that_was_asked_for(pieces, frames):
    history, end = filled(pieces, seconds=300 / RATE)
    place = max(0, end - min(frames, 300))
    for chunk in history.replay(frames / RATE):
        for gap in chunk.gaps:
            assert gap.frame == place
            place = gap.end
        assert positions(chunk) == list(range(place, chunk.end))
        place = chunk.end
    assert place == end


# ---- of a session ----


class Running:
    def __init__(self, *, history=3.0, **source):
        self.clock = VirtualClock(auto=False)
        self.channel = ChannelSink()
        builder = (
            StreamAudio.builder()
            .add_source("mic", AudioSource.virtual("counter", channels=1, **source))
            .format(FormatPreset.NATIVE)
            .add_sink(self.channel)
            .config(StreamConfig(clock=self.clock))
        )
        self.session = (builder.history(history) if history else builder).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.session.stop().balanced


def counters(chunk):
    return np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)


def test_a_session_gives_its_last_seconds_also_after_its_end():
    with Running() as running:
        assert running.session.last(1.0) is None
        running.clock.advance(5.01)
        last = running.session.last(2.5)
        assert (last.frame, last.end) == (RATE * 5 // 2, RATE * 5)
        np.testing.assert_array_equal(counters(last), np.arange(last.frame, last.end))
    after = running.session.last(3.0, "mic")
    assert (after.frames, after.end) == (
        RATE * 3,
        running.session.report().sources["mic"].position,
    )


def test_what_the_device_lost_is_silence_and_told():
    with Running(faults=[Fault.lose(RATE, 10)]) as running:
        running.clock.advance(2.51)
        last = running.session.last(2.0)
        (gap,) = last.gaps
        assert gap.cause == GapCause.HOST_OVERFLOW
        silent = slice(gap.frame - last.frame, gap.end - last.frame)
        assert not last.data[silent].any()
        expected = np.arange(last.frame, last.end)
        expected[silent] = 0
        np.testing.assert_array_equal(counters(last), expected)


def test_a_sink_that_is_added_gets_the_past_and_then_goes_on_without_a_seam():
    with Running() as running:
        running.clock.advance(5.01)
        late = ChannelSink()
        running.session.add_sink(late, replay=1.2345)
        running.clock.advance(1.0)
    chunks = list(late)
    assert chunks[0].frame == RATE * 5 - round(1.2345 * RATE)
    assert not any(chunk.gaps for chunk in chunks)
    np.testing.assert_array_equal(
        np.concatenate([counters(chunk) for chunk in chunks]),
        np.arange(chunks[0].frame, running.session.report().sources["mic"].position),
    )


def test_no_more_can_be_had_than_is_kept():
    with Running(history=2.0) as running:
        with pytest.raises(
            ConfigError, match="keeps 2 s of history, but 3 s were asked"
        ) as caught:
            running.session.last(3.0)
        assert "history(seconds)" in caught.value.hint
        with pytest.raises(ConfigError, match="keeps 2 s"):
            running.session.add_sink(ChannelSink(), replay=2.1)
    with Running(history=None) as running, pytest.raises(ConfigError, match="keeps 0 s"):
        running.session.last(0.1)


def test_a_source_must_be_chosen_where_there_are_several():
    session = (
        StreamAudio.builder()
        .add_source("a", AudioSource.virtual(frames=RATE, pace="freewheel"))
        .add_source("b", AudioSource.virtual(frames=RATE // 2, pace="freewheel"))
        .format(FormatPreset.NATIVE)
        .add_sink(ChannelSink())
        .history(1.0)
        .start()
    )
    with session:
        session.wait()
        with pytest.raises(ConfigError, match="several sources"):
            session.last(1.0)
        with pytest.raises(ConfigError, match="no source 'c'"):
            session.last(1.0, "c")
        assert session.last(1.0, "a").frames == RATE
        assert session.last(1.0, "b").frames == RATE // 2


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_a_length_that_cannot_work(seconds):
    with pytest.raises(ConfigError, match=rf"history must be from 0\.01 to 3600, not {seconds}"):
        StreamAudio.builder().history(seconds)
