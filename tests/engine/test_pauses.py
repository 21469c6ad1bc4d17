"""What a source captured while paused is left out, or silenced, exact to the frame."""

import math
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import AudioChunk, Gap, GapCause, Pause
from stream_audio.engine.pauses import Pauses
from stream_audio.reports.ledger import SourceAccount

RATE = 1000
START = 50.0


@dataclass
class Feed:
    """A source whose sample values are their positions plus one, so that none is zero."""

    account: SourceAccount = field(default_factory=SourceAccount)
    position: int = 0

    def __post_init__(self):
        self.pauses = Pauses(self.account)

    def chunk(self, frames, lost=0, idle=False):
        gaps = ()
        if lost:
            gaps = (Gap("mic", self.position, lost, GapCause.RING_FULL, self.now),)
            self.account.lose(gaps[0])
            self.position += lost
        data = np.arange(self.position, self.position + frames, dtype=np.float32)[:, None] + 1
        made = AudioChunk("mic", data, RATE, self.position, self.now, self.now, gaps)
        self.position += frames
        if idle:
            self.account.idle += frames
        else:
            self.account.captured += frames
        self.account.position = self.position
        return list(self.pauses.apply(made, idle=idle))

    @property
    def now(self):
        return START + self.position / RATE


def at(frame):
    return START + frame / RATE


def positions(chunks):
    return [int(value) - 1 for chunk in chunks for value in chunk.data[:, 0]]


def test_without_a_pause_a_chunk_goes_through_as_it_is():
    feed = Feed()
    (chunk,) = feed.chunk(100)
    assert positions([chunk]) == list(range(100))


def test_the_silence_of_an_output_that_sleeps_is_paused_like_any_other_frames():
    feed = Feed()
    feed.chunk(100, idle=True)
    feed.pauses.begin(at(150), "discard")
    feed.chunk(100, idle=True)
    feed.chunk(100)
    account = feed.account
    assert (account.idle, account.captured, account.paused) == (150, 0, 150)
    assert account.problems("system") == []


def test_a_pause_begins_and_ends_inside_chunks():
    feed = Feed()
    feed.pauses.begin(at(30), "discard")
    feed.pauses.end(at(250))
    chunks = feed.chunk(100) + feed.chunk(100) + feed.chunk(100)
    assert positions(chunks) == [*range(30), *range(250, 300)]
    assert [(chunk.frame, round(chunk.time, 6)) for chunk in chunks] == [
        (0, at(0)),
        (250, at(250)),
    ]
    assert feed.account.pauses == [Pause(30, 220, "discard")]
    assert feed.account.problems("mic") == []


def test_silence_stands_in_where_it_is_asked_for():
    feed = Feed()
    feed.pauses.begin(at(30), "silence")
    feed.pauses.end(at(60))
    chunks = feed.chunk(100)
    assert [chunk.frames for chunk in chunks] == [30, 30, 40]
    assert chunks[1].is_silent
    assert not chunks[1].data.flags.writeable
    assert feed.account.synthetic == 30
    assert feed.account.problems("mic") == []


def test_two_pauses_within_one_chunk():
    feed = Feed()
    for begin, end in ((10, 20), (40, 50)):
        feed.pauses.begin(at(begin), "discard")
        feed.pauses.end(at(end))
    assert positions(feed.chunk(100)) == [*range(10), *range(20, 40), *range(50, 100)]
    assert feed.account.pauses == [Pause(10, 10, "discard"), Pause(40, 10, "discard")]


def test_a_gap_in_a_pause_is_told_with_the_next_chunk():
    feed = Feed()
    feed.pauses.begin(at(100), "discard")
    feed.chunk(100)
    assert feed.chunk(100, lost=7) == []
    feed.pauses.end(at(250))
    (chunk,) = feed.chunk(100)
    assert [gap.frames for gap in chunk.gaps] == [7]
    assert chunk.frame == 250


def test_the_levels_are_those_of_what_is_left():
    feed = Feed()
    feed.pauses.begin(at(50), "discard")
    (chunk,) = feed.chunk(100)
    assert math.isclose(chunk.peak[0], 20 * math.log10(50))


def test_to_pause_twice_is_to_pause_once():
    feed = Feed()
    feed.pauses.begin(at(10), "discard")
    feed.pauses.begin(at(20), "silence")
    feed.pauses.end(at(30))
    feed.pauses.end(at(40))
    assert positions(feed.chunk(50)) == [*range(10), *range(30, 50)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("chunk"), st.integers(1, 60), st.integers(0, 5)),
        st.tuples(st.just("begin"), st.integers(-80, 80), st.sampled_from(["discard", "silence"])),
        st.tuples(st.just("end"), st.integers(-80, 80), st.none()),
    ),
    max_size=30,
)


@settings(derandomize=True, deadline=None)
@given(STEPS)
def test_whatever_happens_every_frame_is_handed_on_or_paused(steps):
    feed = Feed()
    latest = -math.inf
    handed_on = []
    for what, amount, more in steps:
        if what == "chunk":
            handed_on += feed.chunk(amount, lost=more)
            continue
        # As on the clock: what is asked for later is later.
        latest = max(latest, feed.now + amount / RATE)
        if what == "begin":
            feed.pauses.begin(latest, more)
        else:
            feed.pauses.end(latest)
    assert feed.account.problems("mic") == []
    kept = [chunk for chunk in handed_on if not chunk.is_silent]
    assert sum(chunk.frames for chunk in kept) == feed.account.captured
    assert sum(chunk.frames for chunk in handed_on if chunk.is_silent) == feed.account.synthetic
    paused = {frame for pause in feed.account.pauses for frame in range(pause.frame, pause.end)}
    assert paused.isdisjoint(positions(kept))
    ends = [chunk.end for chunk in handed_on]
    assert all(chunk.frame >= end for end, chunk in zip(ends, handed_on[1:], strict=False))


class CountedTime(float):
    """Counts how often it is compared with a chunk's time."""

    looks = 0

    def __sub__(self, other):
        CountedTime.looks += 1
        return float(self) - other


def test_pauses_that_lie_ahead_cost_a_chunk_nothing():
    """Thousands of them may, if the router is behind: looked at each time, it stays behind."""
    feed = Feed()
    for begin in range(0, 40_000, 4):
        feed.pauses.begin(CountedTime(at(begin)), "discard")
        feed.pauses.end(CountedTime(at(begin + 2)))
    kept = [position for _ in range(4_000) for position in positions(feed.chunk(10))]
    assert kept == [position for position in range(40_000) if position % 4 >= 2]
    assert CountedTime.looks < 20 * 4_000
