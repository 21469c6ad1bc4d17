"""Triggers: each event has exactly the frames it should, wherever chunks were cut."""

import asyncio
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    AudioChunk,
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    EnergyGate,
    FileSink,
    FormatPreset,
    GapCause,
    GapDetected,
    SessionStateError,
    SinkError,
    SinkInfo,
    SourceInfo,
    StreamAudio,
    StreamConfig,
    TriggerEnded,
    TriggerSink,
    TriggerStarted,
)
from stream_audio.testing import VirtualClock
from support.chunks import RATE, START_TIME, make_chunk, positions, time_of

WALL_TIME = 1_700_000_000.0


class Recorder:
    """Keeps what it gets."""

    def __init__(self):
        self.calls, self.chunks = [], []

    def start(self, info):
        self.calls.append("start")

    def write(self, chunk):
        self.chunks.append(chunk)

    def stop(self):
        self.calls.append("stop")

    def discard(self):
        self.calls.append("discard")

    @property
    def frames(self):
        return [frame for chunk in self.chunks for frame in positions(chunk)]


class Setup:
    """A TriggerSink with a recorder for each event, and what a session would do with it."""

    def __init__(self, pre=0, post=0, *, sink=None, window=20, late=0, longest=None, **settings):
        self.sinks, self.events, self.now = [], [], START_TIME
        self.trigger = TriggerSink(
            self.make if sink is None else sink,
            pre / RATE,
            post / RATE,
            window=max(0.001, window / RATE),
            decide_within=late / RATE,
            longest=None if longest is None else longest / RATE,
            **settings,
        )
        source = SourceInfo("mic", RATE, 1)
        epoch = WALL_TIME - START_TIME
        self.trigger.start(
            SinkInfo("trigger", (source,), self.events.append, epoch, lambda: self.now)
        )

    def make(self, event):
        self.sinks.append(Recorder())
        return self.sinks[-1]

    def write(self, *chunks):
        for chunk in chunks:
            self.trigger.write(chunk)
            self.now = chunk.time + chunk.duration
        return self

    def stop(self):
        self.trigger.stop()
        return [sink.frames for sink in self.sinks]


def run_of(end, length=1000):
    return [make_chunk(frame, min(length, end - frame)) for frame in range(0, end, length)]


def between(*spans):
    """Trigger in these spans of frames."""
    return lambda chunk: any(begin <= chunk.frame < end for begin, end in spans)


# ---- which frames ----


@pytest.mark.parametrize("length", [1, 7, 48, 1000, 5000])
def test_an_event_is_the_same_however_the_chunks_are_cut(length):
    setup = Setup(pre=333, post=77, window=48, when=between((960, 1200)))
    (frames,) = setup.write(*run_of(5000, length)).stop()
    assert frames == list(range(960 - 333, 1200 + 77))


def test_a_trigger_within_the_post_roll_extends_the_event():
    setup = Setup(pre=0, post=100, window=50, when=between((1000, 1050), (1150, 1200)))
    (frames,) = setup.write(*run_of(5000)).stop()
    assert frames == list(range(1000, 1300))


def test_a_trigger_after_the_post_roll_begins_an_event_that_repeats_nothing():
    setup = Setup(pre=500, post=100, window=50, when=between((1000, 1050), (1200, 1250)))
    first, second = setup.write(*run_of(5000)).stop()
    assert first == list(range(500, 1150))
    assert second == list(range(1150, 1350))


def test_the_pre_roll_begins_with_the_session_if_there_is_no_more():
    setup = Setup(pre=5000, window=50, when=between((1000, 1050)))
    (frames,) = setup.write(*run_of(3000)).stop()
    assert frames == list(range(1050))


def test_an_event_that_is_open_at_the_end_has_every_frame():
    setup = Setup(pre=10, post=10_000, window=50, when=between((1000, 1050)))
    (frames,) = setup.write(*run_of(3000)).stop()
    assert frames == list(range(990, 3000))


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from([0, 0, 0, 5, 60]), st.integers(1, 120)), min_size=1, max_size=25
    ),
    loud=st.sets(st.integers(0, 40)),
    pre=st.integers(0, 200),
    post=st.integers(0, 200),
)
def test_events_are_those_of_the_definition(pieces, loud, pre, post):
    """Windows of 48 frames, counted anew after each gap; those whose start is loud trigger."""
    window = 48

    def is_loud(frame):
        return frame // 40 in loud

    setup = Setup(pre, post, window=window, when=lambda chunk: is_loud(chunk.frame))
    events, end, span = [], 0, 0
    begin_of_all = None
    for missing, frames in pieces:
        setup.write(make_chunk(end + missing, frames, missing=missing))
        if begin_of_all is None:
            begin_of_all = end
        if missing:
            span = end + missing
        end += missing + frames
        while span + window <= end:  # the definition
            if is_loud(span):
                if events and span <= events[-1][1]:
                    events[-1][1] = span + window + post
                else:
                    before = events[-1][1] if events else begin_of_all
                    events.append([max(span - pre, before), span + window + post])
            span += window
    setup.stop()
    assert len(setup.sinks) == len(events)
    for sink, (begin, until) in zip(setup.sinks, events, strict=True):
        place = begin
        for chunk in sink.chunks:
            for gap in chunk.gaps:
                assert gap.frame == place
                place = gap.end
            assert positions(chunk) == list(range(place, chunk.end))
            place = chunk.end
        # What is left of the event, if anything, is missing: a gap that no chunk follows.
        present = set()
        at = 0
        for missing, frames in pieces:
            present.update(range(at + missing, at + missing + frames))
            at += missing + frames
        assert place <= until
        assert not present & set(range(place, until))
    assert sum(len(sink.chunks) for sink in setup.sinks) < 10 * len(pieces) + 10


def test_only_the_pre_roll_is_kept_in_memory():
    setup = Setup(pre=500, window=50, when=lambda chunk: False)
    for chunk in run_of(100_000, 100):
        setup.write(chunk)
        kept = setup.trigger._events.kept
        assert 500 <= kept.end - kept.kept_from <= 700 or kept.end < 700
        assert setup.trigger.memory_bytes == (kept.end - kept.kept_from) * 4


def test_the_pre_roll_is_a_view():
    setup = Setup(pre=300, window=50, when=between((1000, 1050)))
    chunks = run_of(2000)
    setup.write(*chunks).stop()
    assert np.shares_memory(setup.sinks[0].chunks[0].data, chunks[0].data)


# ---- trigger() and release() ----


def test_it_is_triggered_by_hand_until_it_is_released_to_the_frame():
    setup = Setup(pre=100, post=50)
    setup.trigger.trigger(at=time_of(1234))
    setup.trigger.release(at=time_of(2345))
    (frames,) = setup.write(*run_of(5000)).stop()
    assert frames == list(range(1134, 2395))


def test_without_a_time_it_is_triggered_now():
    setup = Setup(pre=100)
    setup.write(*run_of(2000))  # the clock says that 2000 frames have passed
    setup.trigger.trigger()
    setup.write(make_chunk(2000, 1000))
    assert setup.trigger.is_open
    setup.trigger.release()
    setup.write(make_chunk(3000, 1000))
    assert not setup.trigger.is_open
    assert setup.stop() == [list(range(1900, 3000))]


def test_a_trigger_in_the_past_reaches_as_far_back_as_there_is_a_pre_roll():
    setup = Setup(pre=1000)
    setup.write(*run_of(5000))
    setup.trigger.trigger(at=time_of(100))
    setup.trigger.release(at=time_of(200))
    (frames,) = setup.write(make_chunk(5000, 1000)).stop()
    assert frames == []  # all of it is gone
    setup = Setup(pre=1000)
    setup.write(*run_of(5000))
    setup.trigger.trigger(at=time_of(100))
    (frames,) = setup.write(make_chunk(5000, 1000)).stop()
    assert frames == list(range(4000, 6000))


def test_triggering_twice_and_releasing_twice_is_the_same_as_once():
    setup = Setup()
    for at in (1000, 1500):
        setup.trigger.trigger(at=time_of(at))
    for at in (2000, 2500):
        setup.trigger.release(at=time_of(at))
    assert setup.write(*run_of(5000)).stop() == [list(range(1000, 2000))]


def test_a_hand_and_a_function_trigger_one_event_together():
    setup = Setup(window=50, when=between((1500, 2500)))
    setup.trigger.trigger(at=time_of(1000))
    setup.trigger.release(at=time_of(2000))
    assert setup.write(*run_of(5000)).stop() == [list(range(1000, 2500))]


def gaps_of(setup):
    return [event.gap for event in setup.events if isinstance(event, GapDetected)]


def told(setup):
    return [
        event.frame for event in setup.events if isinstance(event, TriggerStarted | TriggerEnded)
    ]


@pytest.mark.parametrize("length", [7, 1000])
@pytest.mark.parametrize("by", ["moment", "frame"])
def test_what_is_decided_late_has_all_that_was_asked_for(length, by):
    setup = Setup(pre=300, post=50, late=2000)
    setup.write(*run_of(4000, length))
    if by == "frame":
        setup.trigger.trigger(frame=2500)
        setup.trigger.release(frame=2700)
    else:
        setup.trigger.trigger(at=time_of(2500))
        setup.trigger.release(at=time_of(2700))
    assert setup.write(make_chunk(4000, 10)).stop() == [list(range(2200, 2750))]
    assert told(setup) == [2200, 2750]
    assert gaps_of(setup) == []


def test_what_is_decided_too_late_is_a_gap_that_says_what_is_missing():
    setup = Setup(pre=1000, late=1000)
    setup.write(*run_of(5000))
    setup.trigger.trigger(frame=2500)
    setup.trigger.release(frame=4000)
    assert setup.write(make_chunk(5000, 10)).stop() == [list(range(3000, 4000))]
    assert told(setup) == [1500, 4000]
    (gap,) = gaps_of(setup)
    assert (gap.frame, gap.frames, gap.cause) == (1500, 1500, GapCause.DECIDED_LATE)
    assert gap.time == pytest.approx(time_of(1500))
    assert setup.sinks[0].chunks[0].gaps == (gap,)
    assert all(chunk.gaps == () for chunk in setup.sinks[0].chunks[1:])


def test_an_event_of_which_all_is_gone_is_told_and_ends_where_it_should():
    setup = Setup(pre=10, post=20)
    setup.write(*run_of(5000))
    setup.trigger.trigger(frame=100)
    setup.trigger.release(frame=200)
    assert setup.write(make_chunk(5000, 10)).stop() == [[]]
    assert told(setup) == [90, 220]
    assert [(gap.frame, gap.frames) for gap in gaps_of(setup)] == [(90, 130)]


def test_what_is_decided_after_the_last_chunk_counts():
    """As a recogniser that reads a file which is over long before it is done."""
    setup = Setup(late=5000)
    setup.write(*run_of(5000))
    setup.trigger.trigger(frame=1000)
    setup.trigger.release(frame=1100)
    assert setup.stop() == [list(range(1000, 1100))]


def test_what_is_decided_after_the_end_is_refused():
    setup = Setup()
    setup.write(*run_of(1000)).stop()
    with pytest.raises(SessionStateError, match="ended"):
        setup.trigger.trigger(frame=100)
    setup.trigger.release()  # nothing is triggered, so nothing is silently left out


def test_a_late_decision_between_later_events_is_told_as_missing():
    """Frames are not handed on backwards; none of them is left out in silence."""
    setup = Setup(late=10_000, window=50, when=between((1000, 1050), (4000, 4050)))
    setup.write(*run_of(5000))
    setup.trigger.trigger(frame=900)
    setup.trigger.release(frame=3000)
    setup.write(make_chunk(5000, 10))
    assert setup.stop() == [list(range(1000, 1050)), list(range(4000, 4050))]
    missing = [(gap.frame, gap.end) for gap in gaps_of(setup)]
    assert missing == [(900, 1000), (1050, 3000)]


def test_a_late_decision_from_before_the_event_that_is_open_is_told_as_missing():
    setup = Setup(post=5000, late=10_000, window=50, when=between((2000, 2050)))
    setup.write(*run_of(3000))
    setup.trigger.trigger(frame=1500)
    setup.trigger.release(frame=2500)
    assert setup.write(make_chunk(3000, 1000)).stop() == [list(range(2000, 4000))]
    assert [(gap.frame, gap.end) for gap in gaps_of(setup)] == [(1500, 2000)]


def test_an_earlier_decision_while_it_is_triggered_already_reaches_further_back():
    setup = Setup(late=5000)
    setup.write(*run_of(3000))
    setup.trigger.trigger(frame=2500)
    setup.trigger.trigger(frame=2000)
    setup.trigger.release(frame=2600)
    assert setup.write(make_chunk(3000, 10)).stop() == [list(range(2000, 2600))]


def test_a_release_before_the_trigger_ends_the_event_where_it_began():
    setup = Setup(pre=100, post=50, late=5000)
    setup.write(*run_of(3000))
    setup.trigger.trigger(frame=2000)
    setup.trigger.release(frame=1000)
    assert setup.write(make_chunk(3000, 10)).stop() == [list(range(1900, 2050))]


def test_a_release_that_comes_late_takes_nothing_back_and_adds_nothing():
    setup = Setup(post=300)
    setup.trigger.trigger(frame=1000)
    setup.write(*run_of(3000, 100))
    setup.trigger.release(frame=2000)  # 700 frames after its post-roll
    assert setup.write(make_chunk(3000, 1000)).stop() == [list(range(1000, 3000))]
    setup = Setup(post=300)
    setup.trigger.trigger(frame=1000)
    setup.write(*run_of(3000, 100))
    setup.trigger.release(frame=2800)  # in the midst of it
    assert setup.write(make_chunk(3000, 1000)).stop() == [list(range(1000, 3100))]


def test_a_moment_is_found_by_the_times_of_its_own_chunk():
    """The clock of a device drifts, and a jump of it is in the chunks' times."""
    setup = Setup(late=5000)

    def moment(frame):
        return time_of(frame) * 1.001 + (5 if frame >= 3000 else 0)

    chunks = [replace(chunk, time=moment(chunk.frame)) for chunk in run_of(6000)]
    setup.write(*chunks[:5])
    setup.trigger.trigger(at=moment(2000))
    setup.trigger.release(at=moment(4000))
    assert setup.write(*chunks[5:]).stop() == [list(range(2000, 4000))]


def test_a_moment_and_a_frame_are_one_too_many():
    setup = Setup()
    with pytest.raises(ConfigError, match="both"):
        setup.trigger.trigger(at=1.0, frame=3)
    with pytest.raises(ConfigTypeError):
        setup.trigger.release(frame=3.5)


# ---- the longest event ----


@pytest.mark.parametrize("length", [7, 48, 5000])
@pytest.mark.parametrize("by", ["hand", "function"])
def test_an_event_that_does_not_end_comes_in_pieces_that_join(length, by):
    when = between((1000, 4321)) if by == "function" else None
    setup = Setup(pre=200, post=79, longest=700, window=48, when=when)
    if by == "hand":
        setup.trigger.trigger(frame=1008)
        setup.trigger.release(frame=4368)
    pieces = setup.write(*run_of(5000, length)).stop()
    assert [frame for piece in pieces for frame in piece] == list(range(808, 4368 + 79))
    assert [len(piece) for piece in pieces[:-1]] == [700] * (len(pieces) - 1)
    assert 0 < len(pieces[-1]) <= 700
    assert told(setup) == [edge for piece in pieces for edge in (piece[0], piece[-1] + 1)]
    assert gaps_of(setup) == []


def test_it_is_split_though_it_is_never_released():
    setup = Setup(longest=1000)
    setup.trigger.trigger(frame=100)
    pieces = setup.write(*run_of(5000, 300)).stop()
    assert [(piece[0], piece[-1] + 1) for piece in pieces] == [
        *((begin, begin + 1000) for begin in range(100, 4000, 1000)),
        (4100, 5000),
    ]


@settings(derandomize=True, deadline=None)
@given(
    length=st.integers(30, 400),
    late=st.integers(0, 400),
    longest=st.none() | st.integers(48, 500),
    pre=st.integers(0, 200),
    post=st.integers(0, 200),
    commands=st.lists(
        st.tuples(st.integers(0, 2500), st.integers(-600, 100), st.booleans()), max_size=8
    ),
)
def test_whatever_is_commanded_and_when_each_frame_is_handed_on_once_or_told(
    length, late, longest, pre, post, commands
):
    """``commands``: when it is told, of which frame before or after that, and on or off."""
    commands.sort()
    setup = Setup(pre, post, late=late, longest=longest)
    given = []
    for chunk in run_of(2500, length):
        while commands and commands[0][0] <= chunk.frame:
            now, by, on = commands.pop(0)
            given.append((max(0, now + by), on))
            (setup.trigger.trigger if on else setup.trigger.release)(frame=given[-1][0])
        setup.write(chunk)
    pieces = setup.stop()
    edges = told(setup)
    events = list(zip(edges[::2], edges[1::2], strict=True))
    assert edges == sorted(edges)  # none ends before it begins, or begins before another's end
    for (begin, end), piece, sink in zip(events, pieces, setup.sinks, strict=True):
        place = begin
        for chunk in sink.chunks:
            for gap in chunk.gaps:
                assert (gap.frame, gap.cause) == (place, GapCause.DECIDED_LATE)
                place = gap.end
            assert chunk.frame == place
            place = chunk.end
        assert place == end or not piece
        assert longest is None or end - begin <= longest
    handed_on = {frame for piece in pieces for frame in piece}
    missing = {frame for gap in gaps_of(setup) for frame in range(gap.frame, gap.end)}
    assert not handed_on & missing
    assert wanted(given, pre, post) <= handed_on | missing


def wanted(commands, pre, post):
    """The definition: each command in its turn, of 2500 frames."""
    spans, held = [], None
    for frame, on in commands:
        if frame >= 2500:  # it never comes, and what follows waits for it
            break
        if on and held is None:
            held = frame
        elif on and frame < held:
            spans.append((frame, held))
        elif not on and held is not None:
            spans.append((held, max(frame, held)))
            held = None
    if held is not None:
        spans.append((held, 2500))
    wanted = (range(max(0, first - pre), min(2500, last + post)) for first, last in spans)
    return {frame for frames in wanted for frame in frames}


def test_it_cannot_be_triggered_before_it_is_in_a_session():
    with pytest.raises(SessionStateError, match="no session yet"):
        TriggerSink(Recorder()).trigger()


# ---- the inner sinks ----


def test_one_sink_gets_all_events_one_after_the_other():
    recorder = Recorder()
    setup = Setup(post=10, sink=recorder, window=50, when=between((1000, 1050), (3000, 3050)))
    setup.write(*run_of(5000)).stop()
    assert recorder.calls == ["start", "stop"]
    assert recorder.frames == [*range(1000, 1060), *range(3000, 3060)]
    assert not any(chunk.gaps for chunk in recorder.chunks)


def test_each_event_has_a_sink_of_its_own_that_is_started_and_stopped():
    setup = Setup(window=50, when=between((1000, 1050), (3000, 3050)))
    setup.write(*run_of(4000))
    assert [sink.calls for sink in setup.sinks] == [["start", "stop"]] * 2
    assert setup.trigger.events == 2


def test_events_are_told_with_their_place_and_time():
    setup = Setup(pre=100, post=10, window=50, when=between((1000, 1050)))
    setup.write(*run_of(4000)).stop()
    began, ended = setup.events
    assert isinstance(began, TriggerStarted)
    assert (began.sink, began.number, began.source, began.frame) == ("trigger", 1, "mic", 900)
    assert began.started == pytest.approx(WALL_TIME + 900 / RATE, abs=1e-6)
    assert isinstance(ended, TriggerEnded)
    assert (ended.sink, ended.number, ended.source, ended.frame) == ("trigger", 1, "mic", 1060)


class Flaky(Recorder):
    """Raises once at each call until all its faults are used up."""

    def __init__(self, faults):
        super().__init__()
        self.faults = faults

    def write(self, chunk):
        if self.faults:
            self.faults.pop()
            raise OSError("again")
        super().write(chunk)


@pytest.mark.parametrize("faults", [1, 2, 3])
def test_another_try_goes_on_where_the_last_one_failed(faults):
    """As a session tries: the same chunk again."""
    recorder = Flaky([1] * faults)
    judged = []

    def when(chunk):
        judged.append(chunk.frame)
        return 1000 <= chunk.frame < 1050

    setup = Setup(pre=2000, post=100, sink=recorder, window=50, when=when)
    tries = 0
    for chunk in run_of(3000, 100):
        while True:
            tries += 1
            try:
                setup.write(chunk)
            except OSError:
                continue
            break
    setup.stop()
    assert tries == 30 + faults
    assert recorder.frames == list(range(1150))
    assert judged == list(range(0, 3000, 50))


def test_a_function_that_raises_is_asked_again_about_the_same_window():
    fail = [True]

    def when(chunk):
        if fail:
            fail.clear()
            raise ValueError
        return chunk.frame == 500

    setup = Setup(window=50, when=when)
    chunk = make_chunk(0, 1000)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it raises
        setup.write(chunk)
    assert setup.write(chunk).stop() == [list(range(500, 550))]


def test_a_chunk_that_was_given_up_counts_as_missing():
    """The session tells the next chunk so; it is not to come twice."""
    recorder = Flaky([])
    setup = Setup(sink=recorder, window=50, when=between((500, 3000)))
    setup.write(make_chunk(0, 600))
    recorder.faults.append(1)
    with pytest.raises(OSError, match="again"):
        setup.write(make_chunk(600, 400))
    setup.write(make_chunk(1000, 1000, missing=400))
    setup.stop()
    assert recorder.frames == [*range(500, 600), *range(1000, 2000)]
    assert [(gap.frame, gap.frames) for one in recorder.chunks for gap in one.gaps] == [(600, 400)]


def test_a_sink_that_cannot_be_completed_is_told_at_once():
    class Incomplete(Recorder):
        def stop(self):
            raise OSError("no space")

    setup = Setup(sink=lambda event: Incomplete(), window=50, when=between((500, 550)))
    with pytest.raises(SinkError, match="could not be completed") as caught:
        setup.write(make_chunk(0, 1000))
    assert not caught.value.retryable
    assert "no space" in str(caught.value)


def test_the_inner_sink_is_stopped_even_if_its_last_write_fails():
    class Full(Recorder):
        def write(self, chunk):
            if chunk.end > 1000:
                raise ZeroDivisionError

    recorder = Full()
    setup = Setup(post=5000, sink=recorder, window=50, when=between((500, 550)))
    setup.write(make_chunk(0, 1000))
    setup.trigger._events.kept.add(make_chunk(1000, 10))
    with pytest.raises(ZeroDivisionError):
        setup.trigger.stop()
    assert recorder.calls == ["start", "stop"]


def test_a_start_that_came_to_nothing_is_undone():
    recorder = Recorder()
    Setup(sink=recorder).trigger.discard()
    assert recorder.calls == ["start", "discard"]


def test_several_sources_are_refused():
    sources = (SourceInfo("a", RATE, 1), SourceInfo("b", RATE, 1))
    with pytest.raises(ConfigError, match="one source"):
        TriggerSink(Recorder()).start(SinkInfo("trigger", sources))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"sink": 3}, ConfigTypeError),
        ({"pre_roll": -1}, ConfigError),
        ({"post_roll": 3601}, ConfigError),
        ({"window": 0}, ConfigError),
        ({"when": 3}, ConfigTypeError),
        ({"decide_within": -1}, ConfigError),
        ({"decide_within": "late"}, ConfigTypeError),
        ({"longest": 0}, ConfigError),
        ({"longest": True}, ConfigTypeError),
    ],
)
def test_settings_that_cannot_work(settings, error):
    with pytest.raises(error):
        TriggerSink(**({"sink": Recorder()} | settings))


# ---- the energy gate ----


def level(dbfs, frames=480):
    data = np.full((frames, 2), 10 ** (dbfs / 20), np.float32)
    data[:, 1] = 0
    return AudioChunk("mic", data, RATE, 0, 0.0, 0.0)


def test_the_gate_opens_at_its_threshold_and_closes_well_below_it():
    gate = EnergyGate(-40.0, hysteresis=6.0)
    levels = [-60, -40.1, -39.9, -45.9, -45.9, -46.1, -41, -39]
    assert [gate(level(one)) for one in levels] == [
        *[False, False],
        *[True, True, True],
        *[False, False],
        True,
    ]


def test_silence_and_what_is_no_number_leave_it_closed():
    gate = EnergyGate(-40.0)
    assert gate(level(-math.inf)) is False
    assert gate(level(math.nan)) is False


def test_repr_of_a_gate_and_a_trigger():
    assert repr(EnergyGate(-40)) == "EnergyGate(-40, hysteresis=6)"
    shown = repr(TriggerSink(ChannelSink(), 1, 2, when=EnergyGate(-40)))
    assert shown.startswith("TriggerSink(<ChannelSink")
    assert shown.endswith("pre_roll=1, post_roll=2, when=EnergyGate(-40, hysteresis=6))")


# ---- in a session ----


def session_of(sink, source=None, **more):
    source = source or AudioSource.virtual("counter", channels=1, frames=RATE * 5)
    builder = StreamAudio.builder().add_source("mic", source).add_sink(sink)
    clock = more.pop("clock", None) or VirtualClock()
    return builder.format(FormatPreset.NATIVE).config(StreamConfig(clock=clock, **more))


@pytest.mark.parametrize("chunk_duration", [0.005, 0.1, 0.73])
def test_an_event_becomes_a_file_of_exactly_its_frames(tmp_path, chunk_duration):
    events = []
    sink = TriggerSink(
        lambda event: FileSink(tmp_path / f"{event.number}.wav", subtype="FLOAT"),
        pre_roll=0.25,
        post_roll=0.5,
        when=between((RATE, RATE * 11 // 10), (RATE * 3, RATE * 3 + 1)),
    )
    builder = session_of(sink, chunk_duration=chunk_duration).on_event(events.append)
    with builder.start() as session:
        session.wait()
    assert session.report().balanced
    spans = [
        (RATE * 3 // 4, RATE * 16 // 10),
        (RATE * 11 // 4, RATE * 3 + 960 + RATE // 2),
    ]
    for number, (begin, end) in enumerate(spans, 1):
        values, _ = soundfile.read(tmp_path / f"{number}.wav", dtype="float32")
        np.testing.assert_array_equal(np.rint(values * 2**23), np.arange(begin, end))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.wav", "2.wav"]
    frames = [event.frame for event in events if isinstance(event, TriggerStarted | TriggerEnded)]
    assert frames == [frame for span in spans for frame in span]


def test_events_in_one_file_are_joined(tmp_path):
    path = tmp_path / "events.wav"
    sink = TriggerSink(
        FileSink(path, subtype="FLOAT"), 0, 0, when=between((4800, 9600), (RATE, RATE + 4800))
    )
    with session_of(sink).start() as session:
        session.wait()
    values, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(
        np.rint(values * 2**23), [*range(4800, 9600), *range(RATE, RATE + 4800)]
    )


def test_a_channel_within_a_trigger_is_read_as_any_other():
    inner = ChannelSink()
    sink = TriggerSink(inner, 0, 0, when=between((4800, 9600)))
    with session_of(sink).start() as session:
        chunks = list(inner)
    assert (chunks[0].frame, chunks[-1].end) == (4800, 9600)
    assert session.report().balanced


def test_a_trigger_by_hand_is_exact_on_the_sessions_clock():
    clock = VirtualClock(auto=False)
    inner = ChannelSink()
    sink = TriggerSink(inner, pre_roll=0.5, post_roll=0.25)
    source = AudioSource.virtual("counter", channels=1)
    with session_of(sink, source, clock=clock).start() as session:
        clock.advance(2.0)
        sink.trigger()
        clock.advance(1.0)
        sink.release()
        clock.advance(1.0)
    assert session.report().balanced
    chunks = list(inner)
    assert chunks[-1].end - chunks[0].frame == pytest.approx(RATE * 1.75, abs=2)
    # A frame's capture time is that of its callback's, which comes a period after it began.
    assert chunks[0].frame == pytest.approx(RATE * 1.5, abs=2 * 256)


def test_an_async_sink_can_be_triggered_too():
    class Sink:
        def __init__(self, event):
            self.frames = 0
            sinks.append(self)

        async def write(self, chunk):
            assert asyncio.get_running_loop() is running
            self.frames += chunk.frames

    sinks = []

    async def main():
        nonlocal running
        running = asyncio.get_running_loop()
        sink = TriggerSink(Sink, 0, 0, when=between((4800, 9600)))
        async with session_of(sink) as session:
            await asyncio.to_thread(session.wait)
        assert session.report().balanced

    running = None
    asyncio.run(main())
    assert [sink.frames for sink in sinks] == [4800]


def test_started_is_when_its_first_frame_was_captured():
    events = []
    sink = TriggerSink(ChannelSink(), 0, 0, when=lambda chunk: chunk.frame == 0)
    source = AudioSource.virtual("sine", frames=RATE // 10)
    before = time.time()
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    with builder.add_sink(sink).on_event(events.append).start() as session:
        session.wait()
    after = time.time()
    (began,) = [event for event in events if isinstance(event, TriggerStarted)]
    assert before - 1 <= began.started <= after + 1


def test_a_trigger_by_frame_is_exact_on_a_file_that_is_faster_than_real_time(tmp_path):
    """Commands come before their frames do; the file waits for nobody's clock."""
    path = tmp_path / "long.wav"
    frames = 20 * RATE
    samples = (np.arange(frames) % 2**15).astype(np.int16)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    inner, begin = ChannelSink(), threading.Event()
    sink = TriggerSink(inner, pre_roll=0.5, post_roll=0.25)

    def hold_up(chunk):
        """Keep the file from going on until the commands are given."""
        begin.wait(30)

    gate = CallbackSink(hold_up)
    builder = StreamAudio.builder().add_source("file", AudioSource.file(path, pace="freewheel"))
    builder.format(FormatPreset.NATIVE).add_sink(sink)
    builder.add_sink(gate, backlog=Backlog(limit="64 KiB", when_full="block"))
    spans = [(5 * RATE + 7, 6 * RATE + 1), (12 * RATE - 3, 12 * RATE + 4)]
    with builder.start() as session:
        for first, last in spans:
            sink.trigger(frame=first)
            sink.release(frame=last)
        begin.set()
        chunks = list(inner)
        session.wait()
    assert session.report().balanced
    expected = [
        frame for first, last in spans for frame in range(first - RATE // 2, last + RATE // 4)
    ]
    got = [frame for chunk in chunks for frame in range(chunk.frame, chunk.end)]
    assert got == expected
    heard = np.concatenate([chunk.data[:, 0] for chunk in chunks])
    np.testing.assert_array_equal(np.rint(heard * 2**15), samples[expected])
