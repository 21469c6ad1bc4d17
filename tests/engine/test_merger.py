"""Merges of aligned tracks: what is there, what is silent and why, and for how long they wait."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import AudioChunk, Gap, GapCause, MergeIncomplete
from stream_audio.engine.merge_input import InputState, MergeInput
from stream_audio.engine.merger import Merger

RATE = 1000
WINDOW = 100


class Now:
    """The session's timeline, at a moment that the test sets."""

    ends_at = None

    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return self.seconds

    def now_on_clock(self):
        return 1000.0 + self.seconds

    def time(self, seconds, epoch):
        return 1000.0 + seconds


class Merge:
    """A merge of inputs, what came out of it, and what it told."""

    def __init__(self, *inputs, begin=0, window=WINDOW / RATE, timeout=0.2):
        self.inputs = inputs
        self.now = Now()
        self.events = []
        self.merger = Merger(
            "all", inputs, RATE, begin, window, timeout, self.now, self.events.append
        )
        self.made = []

    def take(self, source, chunk, at=None):
        self.at(chunk.end / RATE if at is None else at)
        self.merger.take(source, chunk)

    def at(self, seconds):
        self.now.seconds = max(self.now.seconds, seconds)

    def collect(self, at=None):
        if at is not None:
            self.at(at)
        self.made += self.merger.collect()

    def finish(self, end=0):
        self.made += self.merger.finish(end)
        self.check()
        return self.made

    def check(self, begin=0):
        """Chunks and gaps tile the timeline, absences lie within, and the accounts are right."""
        end = begin
        for chunk in self.made:
            for gap in chunk.gaps:
                assert gap.frame == end
                assert gap.source == "all"
                end = gap.end
            assert chunk.frame == end
            end = chunk.end
            for gap in chunk.absent:
                assert chunk.frame <= gap.frame < gap.end <= chunk.end
        assert end == self.merger.position
        for each in self.inputs:
            each.count_waiting()
        assert self.merger.account.problems("all") == []
        assert self.merger.account.span == end - begin

    def samples(self):
        """All of it from frame 0 on, with silence for gaps."""
        channels = sum(each.channels for each in self.inputs)
        samples = np.zeros((self.merger.position, channels), np.float32)
        for chunk in self.made:
            samples[chunk.frame : chunk.end] = chunk.data
        return samples

    def absent(self):
        found = {}
        for chunk in self.made:
            for gap in (*chunk.gaps, *chunk.absent):
                found.setdefault(gap.source, []).append((gap.frame, gap.end, gap.cause))
        return found


def an_input(source="mic", channels=1, begin=0, interval=0.0, paced=True):
    return MergeInput(source, channels, begin, interval, paced=paced)


def a_chunk(frame, frames, source="mic", gaps=(), channels=1, scale=1.0):
    column = np.arange(frame, frame + frames, dtype=np.float32) * scale
    data = np.repeat(column[:, None], channels, axis=1)
    time = 1000.0 + frame / RATE
    return AudioChunk(source, data, RATE, frame, time, time + frames / RATE, tuple(gaps))


def a_gap(frame, frames, source="mic", cause=GapCause.HOST_OVERFLOW):
    return Gap(source, frame, frames, cause, 1000.0 + frame / RATE)


def joined(gaps):
    """Runs of one cause as one."""
    found = []
    for start, end, cause in gaps:
        if found and found[-1][1:] == (start, cause):
            found[-1] = (found[-1][0], end, cause)
        else:
            found.append((start, end, cause))
    return found


# ---- what is there ----


def test_channels_stand_side_by_side_in_the_order_of_the_sources():
    mic, speaker = an_input("mic"), an_input("speaker", 2)
    merge = Merge(mic, speaker)
    merge.take(mic, a_chunk(0, 200))
    merge.take(speaker, a_chunk(0, 200, "speaker", channels=2, scale=2.0))
    merge.collect()
    assert [(chunk.frame, chunk.frames) for chunk in merge.made] == [(0, 100), (100, 100)]
    frames = np.arange(200)
    np.testing.assert_array_equal(
        merge.samples(), np.stack([frames, 2 * frames, 2 * frames], axis=1)
    )
    assert merge.absent() == {}
    assert {chunk.source for chunk in merge.made} == {"all"}


def test_what_one_lacks_is_silence_and_told_beside_the_audio():
    mic, speaker = an_input("mic"), an_input("speaker")
    merge = Merge(mic, speaker)
    merge.take(mic, a_chunk(0, 300))
    merge.take(speaker, a_chunk(0, 90, "speaker"))
    merge.take(speaker, a_chunk(210, 90, "speaker", [a_gap(90, 120, "speaker")]))
    made = merge.finish()
    assert [len(chunk.gaps) for chunk in made] == [0, 0, 0]
    assert [gap.frames for chunk in made for gap in chunk.absent] == [10, 100, 10]
    assert not merge.samples()[90:210, 1].any()
    assert speaker.account.silent == {GapCause.HOST_OVERFLOW: 120}


def test_what_all_lack_is_a_gap_of_the_merge():
    mic, speaker = an_input("mic"), an_input("speaker")
    merge = Merge(mic, speaker)
    for each in (mic, speaker):
        merge.take(each, a_chunk(0, 100, each.source))
        gap = a_gap(100, 500_000, each.source)
        merge.take(each, a_chunk(500_100, 100, each.source, [gap]))
    made = merge.finish()
    assert len(made) == 2
    assert [(gap.frame, gap.frames) for gap in made[1].gaps] == [(100, 500_000)]


def test_a_slice_of_a_merge_has_its_part_of_what_is_absent():
    mic, speaker = an_input("mic"), an_input("speaker")
    merge = Merge(mic, speaker)
    merge.take(mic, a_chunk(0, 100))
    merge.take(speaker, a_chunk(50, 50, "speaker", [a_gap(20, 30, "speaker")]))
    [chunk] = merge.finish()
    assert [(gap.frame, gap.end) for gap in chunk[30:80].absent] == [(30, 50)]
    assert chunk[60:].absent == ()


# ---- how long it waits ----


def test_a_window_waits_for_all_that_deliver():
    mic, speaker = an_input("mic"), an_input("speaker")
    merge = Merge(mic, speaker)
    merge.take(mic, a_chunk(0, 100))
    merge.collect(at=0.25)
    assert merge.made == []
    merge.take(speaker, a_chunk(0, 100, "speaker"), at=0.25)
    merge.collect()
    assert [chunk.frame for chunk in merge.made] == [0]


def test_who_is_late_is_absent_until_it_delivers_again():
    mic, speaker = an_input("mic"), an_input("speaker")
    merge = Merge(mic, speaker)
    for frame in range(0, 1000, 100):
        merge.take(mic, a_chunk(frame, 100))
        if frame < 300 or frame >= 800:
            gaps = [a_gap(300, 500, "speaker")] if frame == 800 else []
            merge.take(speaker, a_chunk(frame, 100, "speaker", gaps))
        merge.collect()
        if frame == 700:
            assert speaker.state is InputState.ABSENT
            assert merge.merger.position == 700  # it is given as long as it usually takes
    assert speaker.state is InputState.RUNNING
    merge.finish()
    [event] = merge.events
    assert event == MergeIncomplete(event.time, "all", "speaker", 300)
    found = joined(merge.absent()["speaker"])
    assert found == [
        (300, 700, GapCause.MERGE_TIMEOUT),
        (700, 800, GapCause.HOST_OVERFLOW),
    ]


def test_what_comes_too_late_is_counted():
    mic, speaker = an_input("mic"), an_input("speaker")
    merge = Merge(mic, speaker)
    merge.take(speaker, a_chunk(0, 100, "speaker"))
    merge.take(mic, a_chunk(0, 1000))
    merge.collect()
    merge.take(speaker, a_chunk(100, 950, "speaker"))
    merge.take(mic, a_chunk(1000, 50))
    merge.finish()
    assert speaker.account.late == 800
    assert speaker.account.placed == 250


def test_a_source_is_given_as_long_as_it_usually_takes():
    """In lumps of 2 s, as PulseAudio's null sinks deliver: nothing is missing."""
    mic, lumps = an_input("mic"), an_input("lumps", interval=2.0)
    merge = Merge(mic, lumps)
    for frame in range(0, 10_000, 100):
        merge.take(mic, a_chunk(frame, 100))
        end = frame + 100
        if end % 2000 == 0:
            for first in range(end - 2000, end, 100):
                lump = replace(a_chunk(first, 100, "lumps"), arrival=1000.0 + end / RATE)
                merge.take(lumps, lump, at=end / RATE)
        merge.collect()
    merge.finish()
    assert merge.absent() == {}
    assert merge.events == []


def test_what_it_takes_is_learnt_of_the_last_packets():
    mic, lumps = an_input("mic"), an_input("lumps")
    merge = Merge(mic, lumps)
    for frame in range(0, 10_000, 100):
        merge.take(mic, a_chunk(frame, 100))
        if (frame + 100) % 1000 == 0:
            merge.take(lumps, a_chunk(frame - 900, 1000, "lumps"))
        merge.collect()
    merge.finish()
    assert merge.absent() == {}


def test_a_source_that_no_clock_paces_is_waited_for_and_waits():
    mic, file = an_input("mic"), an_input("file", paced=False)
    merge = Merge(mic, file)
    merge.take(mic, a_chunk(0, 100))
    merge.collect(at=0.25)
    assert merge.made == []
    assert merge.merger.due == math.inf
    merge.take(file, a_chunk(0, 2001, "file"), at=0.25)
    assert merge.merger.is_ahead(file)
    merge.collect()
    assert [chunk.frame for chunk in merge.made] == [0]
    assert not merge.merger.is_ahead(file)


def test_it_says_when_it_is_due():
    mic, speaker = an_input("mic"), an_input("speaker", interval=0.05)
    merge = Merge(mic, speaker)
    merge.take(mic, a_chunk(0, 100), at=0.1)
    merge.collect()
    assert merge.merger.due == pytest.approx(2.5)  # the first delivery may take that long
    merge.take(speaker, a_chunk(0, 20, "speaker"), at=0.1)
    assert merge.merger.due == pytest.approx(0.1 + 0.1 + 0.2)  # what the first one has taken
    merge.collect(at=merge.merger.due)
    assert merge.merger.position == 100
    # The one is absent; the other brings 0.1 s at a time.
    assert merge.merger.due == pytest.approx(0.2 + 0.1 + 0.2)


def test_with_everybody_gone_it_goes_on_by_the_clock():
    mic = an_input("mic")
    merge = Merge(mic)
    merge.take(mic, a_chunk(0, 100))
    for tenth in range(1, 50):
        merge.collect(at=tenth / 10)
    assert merge.merger.position == pytest.approx(4900 - 200, abs=100)
    merge.take(mic, a_chunk(4900, 100, gaps=[a_gap(100, 4800)]), at=5.0)
    merge.finish()
    assert joined(merge.absent()["all"]) == [
        (100, 4800, GapCause.MERGE_TIMEOUT),
        (4800, 4900, GapCause.HOST_OVERFLOW),
    ]
    assert mic.account.placed == 200


def test_the_end_of_one_is_not_waited_for():
    mic, speaker = an_input("mic"), an_input("speaker")
    merge = Merge(mic, speaker)
    merge.take(speaker, a_chunk(0, 150, "speaker"))
    speaker.end()
    merge.take(mic, a_chunk(0, 1030))
    merge.collect()
    assert merge.merger.position == 1000
    merge.finish(end=1200)
    assert merge.merger.position == 1200
    assert joined(merge.absent()["speaker"]) == [(150, 1030, GapCause.SOURCE_ENDED)]
    assert joined(merge.absent()["all"]) == [(1030, 1200, GapCause.SOURCE_ENDED)]


def test_a_merge_that_begins_later_has_nothing_from_before():
    mic = an_input("mic", begin=250)
    merge = Merge(mic, begin=250)
    merge.take(mic, a_chunk(0, 400))
    merge.made += merge.merger.finish(0)
    merge.check(begin=250)
    assert merge.made[0].frame == 250
    assert mic.account.late == 0


# ---- any schedule ----

pieces = st.lists(st.tuples(st.booleans(), st.integers(1, 700)), min_size=1, max_size=8)


def chunks_of(source, script):
    """The chunks of a script: audio, and gaps before audio."""
    frame, gaps, found = 0, [], []
    for is_audio, frames in script:
        if is_audio:
            found.append(a_chunk(frame, frames, source, gaps, scale=1 + len(source)))
            gaps = []
        else:
            gaps.append(a_gap(frame, frames, source))
        frame += frames
    return found


def cut(chunks, lengths):
    """The same, in pieces that came at the same time."""
    found, index = [], 0
    for chunk in chunks:
        at = 0
        while at < chunk.frames:
            count = lengths[index % len(lengths)]
            found.append(chunk[at : at + count])
            index, at = index + 1, at + count
    return found


def played(scripts, delays, lengths, windows):
    """A merge of such sources, each chunk of which comes some time after its end."""
    inputs = [an_input(source) for source in scripts]
    merge = Merge(*inputs, window=windows)
    coming = {}
    for each, script, late in zip(inputs, scripts.values(), delays, strict=True):
        arrival = 0.0
        for index, chunk in enumerate(chunks_of(each.source, script)):
            # Packets of one source come in order.
            arrival = max(arrival, chunk.end / RATE + late[index % len(late)])
            for piece in cut([replace(chunk, arrival=arrival)], lengths):
                coming.setdefault(arrival, []).append((each, piece))
    for at, some in sorted(coming.items()):
        merge.collect(at=at - 1e-9)
        for each, piece in some:
            merge.take(each, piece, at)
        merge.collect()
    merge.finish()
    return merge


@given(
    st.lists(pieces, min_size=1, max_size=4),
    st.lists(st.lists(st.floats(0, 2), min_size=1, max_size=3), min_size=4, max_size=4),
    st.lists(st.integers(10, 500), min_size=1, max_size=4),
    st.sampled_from([0.03, 0.1, 0.25]),
)
@settings(max_examples=50, deadline=None)
def test_any_schedule_balances_and_is_the_same_however_it_was_cut(
    scripts, delays, lengths, window
):
    named = {"abcd"[: index + 1]: script for index, script in enumerate(scripts)}
    delays = delays[: len(named)]
    whole = played(named, delays, [10_000], window)
    pieces = played(named, delays, lengths, window)
    np.testing.assert_array_equal(whole.samples(), pieces.samples())
    assert [(each.frame, each.frames, each.gaps, each.absent) for each in whole.made] == [
        (each.frame, each.frames, each.gaps, each.absent) for each in pieces.made
    ]


@given(
    st.lists(pieces, min_size=1, max_size=4),
    st.lists(st.integers(10, 500), min_size=1, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_what_comes_in_time_is_all_there(scripts, lengths):
    named = {"abcd"[: index + 1]: script for index, script in enumerate(scripts)}
    merge = played(named, [[0.0]] * len(named), lengths, 0.1)
    expected = np.zeros_like(merge.samples())
    for column, (source, script) in enumerate(named.items()):
        for chunk in chunks_of(source, script):
            expected[chunk.frame : chunk.end, column] = chunk.data[:, 0]
    longest_chunk = max(frames for script in scripts for _, frames in script)
    if longest_chunk < 200:  # else whoever has a longer one is late
        np.testing.assert_array_equal(merge.samples(), expected)
