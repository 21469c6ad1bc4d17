"""Events: in order, however fast they come, and whatever the handler does."""

import logging
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    AudioSource,
    Backlog,
    CallbackSink,
    FormatPreset,
    Gap,
    GapCause,
    GapDetected,
    SessionStopped,
    SinkFailed,
    SourceEnded,
    StreamAudio,
    StreamConfig,
)
from stream_audio.engine.event_thread import CAPACITY, EventThread
from stream_audio.testing import VirtualClock
from support.effort import examples

GIVE_UP = 60.0
FULL = GapCause.BACKLOG_FULL


def gap(frame, frames=10, source="mic", cause=FULL):
    return Gap(source, frame, frames, cause, 1000 + frame / 48_000)


class Events:
    def __init__(self):
        self.handled = []
        self.thread = EventThread(self.handled.append)

    def end(self):
        self.thread.close()
        self.thread.join(GIVE_UP)
        return self.handled


@pytest.fixture
def events():
    events = Events()
    yield events
    events.end()


def test_the_first_gap_is_told_at_once_and_the_next_ones_as_one(events):
    first, second, third = (GapDetected(1000.0 + i / 100, gap(100 * i), "slow") for i in range(3))
    for event in (first, second, third):
        events.thread.send(event)
    events.thread.tick(1000.09)
    assert events.thread._waiting
    events.thread.tick(1000.1)
    assert events.end() == [first, GapDetected(1000.01, gap(100), "slow", 2, 10)]
    assert events.handled[1].frames == 20


def test_gaps_that_adjoin_are_told_as_one_gap(events):
    for i in range(4):
        events.thread.send(GapDetected(1000.0, gap(10 * i)))
    events.thread.tick(1001.0)
    assert [event.gap for event in events.end()] == [gap(0, 10), gap(10, 30)]
    assert [event.count for event in events.handled] == [1, 1]


def test_a_gap_after_a_while_is_told_at_once(events):
    for i in range(5):
        events.thread.send(GapDetected(1000.0 + i / 8, gap(100 * i)))
    assert len(events.end()) == 5


def test_a_gap_that_waits_is_told_with_the_next_one(events):
    for i, when in enumerate([1000.0, 1000.05, 1000.2]):
        events.thread.send(GapDetected(when, gap(100 * i)))
    assert [(event.gap, event.count) for event in events.end()] == [(gap(0), 1), (gap(100), 2)]


def test_other_sources_sinks_and_causes_are_told_apart(events):
    sent = [
        GapDetected(1000.0, gap(0)),
        GapDetected(1000.0, gap(0), "one"),
        GapDetected(1000.0, gap(0), "two"),
        GapDetected(1000.0, gap(0, source="speaker")),
        GapDetected(1000.0, gap(10, cause=GapCause.RING_FULL)),
    ]
    for event in sent:
        events.thread.send(event)
    assert events.end() == sent


def test_ends_of_sinks_are_never_merged_and_come_after_the_gaps_before_them(events):
    failures = [SinkFailed(1000.0, "gone", OSError(str(i)), True) for i in range(50)]
    for i, failure in enumerate(failures):
        events.thread.send(GapDetected(1000.0, gap(100 * i), "gone"))
        events.thread.send(GapDetected(1000.0, gap(100 * i), "other"))
        events.thread.send(failure)
    handled = events.end()
    assert [event for event in handled if isinstance(event, SinkFailed)] == failures
    gone = [event for event in handled if event.sink == "gone"]
    assert [event.gap.frame for event in gone[::2]] == [100 * i for i in range(50)]
    assert next(event for event in handled if event.sink == "other").count == 1
    assert sum(event.sink == "other" for event in handled) == 1  # the rest waits


def test_chunks_that_a_sink_leaves_out_are_told_ten_times_a_second_at_most(events):
    for i in range(300):
        events.thread.tick(1000.0 + i / 100)
        events.thread.send(SinkFailed(1000.0 + i / 100, "skips", OSError(str(i)), False))
    last = SinkFailed(1003.0, "skips", OSError("the end"), True)
    events.thread.send(last)
    *told, end = events.end()
    assert end is last
    assert len(told) <= 31
    assert sum(event.count for event in told) == 300
    assert str(told[0].error) == "0"
    assert str(told[-1].error) == "299"


@pytest.mark.parametrize("error", [SystemExit("no"), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_a_handler_raises_later_events_arrive(error, caplog):
    handled = []

    def handler(event):
        handled.append(event)
        raise error

    thread = EventThread(handler)
    sent = [SourceEnded(1000.0 + i, "mic") for i in range(3)]
    for event in sent:
        thread.send(event)
    thread.close()
    thread.join(GIVE_UP)
    assert handled == sent
    assert caplog.text.count("on_event raised for SourceEnded") == 3
    assert type(error).__name__ in caplog.text


@pytest.mark.parametrize("broken", ["the error", "the log"])
def test_later_events_arrive_though_the_log_cannot_be_written(broken, capsys):
    class SpitefulError(Exception):
        @property
        def __class__(self):
            raise SystemExit

        @property
        def __notes__(self):
            raise SystemExit

    class Broken(logging.Handler):
        def emit(self, record):
            if broken == "the log":
                raise SystemExit
            self.format(record)

    handled = []

    def handler(event):
        handled.append(event)
        raise SpitefulError

    log, own = logging.getLogger("stream_audio"), Broken()
    log.addHandler(own)
    try:
        thread = EventThread(handler)
        sent = [SourceEnded(1000.0 + i, "mic") for i in range(3)]
        for event in sent:
            thread.send(event)
        thread.close()
        thread.join(GIVE_UP)
    finally:
        log.removeHandler(own)
    assert handled == sent
    assert capsys.readouterr().err.count("on_event raised for SourceEnded") == 3


def test_an_event_that_cannot_be_shown_is_logged_all_the_same(caplog):
    class HiddenError(Exception):
        def __repr__(self):
            raise SystemExit

    def handler(event):
        raise ValueError("on purpose")

    thread = EventThread(handler)
    thread.send(SinkFailed(1000.0, "sink", HiddenError(), True))
    thread.close()
    thread.join(GIVE_UP)
    assert "on_event raised for <SinkFailed, which cannot be shown>" in caplog.text


def test_the_last_event_is_the_last_and_nothing_is_left_behind(events):
    for i in range(3):
        events.thread.send(GapDetected(1000.0, gap(100 * i), "slow"))
        events.thread.send(GapDetected(1000.0, gap(100 * i)))
    events.thread.send(SourceEnded(1000.0, "mic"))
    events.thread.send(SessionStopped(1000.0, True))
    handled = events.end()
    assert isinstance(handled[-1], SessionStopped)
    assert sum(event.frames for event in handled if isinstance(event, GapDetected)) == 60
    ended = next(i for i, event in enumerate(handled) if isinstance(event, SourceEnded))
    # What the source itself lost is told before its end.
    assert sum(event.frames for event in handled[:ended] if getattr(event, "sink", 1) == "") == 30


@settings(derandomize=True, deadline=None, max_examples=examples(100))
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.001, 0.03, 0.1, 0.5]),  # seconds since the one before
            st.sampled_from(["mic", "speaker"]),
            st.sampled_from(["", "one"]),
            st.integers(1, 9),
            st.booleans(),  # does it adjoin the one before?
            st.booleans(),  # does the router come round?
        ),
        max_size=60,
    )
)
def test_however_they_come_ten_a_second_and_every_frame_once(steps):
    events = Events()
    now, frame, sent = 1000.0, 0, {}
    for wait, source, sink, frames, adjoins, tick in steps:
        now += wait
        frame += 0 if adjoins else 1
        events.thread.send(GapDetected(now, gap(frame, frames, source), sink))
        sent[source, sink] = sent.get((source, sink), 0) + frames
        frame += frames
        if tick:
            events.thread.tick(now)
    events.thread.tick(now + 1)
    told, frames = {}, {}
    for event in events.end():
        kind = event.gap.source, event.sink
        told.setdefault(kind, []).append(event)
        frames[kind] = frames.get(kind, 0) + event.frames
    assert frames == sent
    for kind in told.values():
        # A merged event carries the time of its first gap, so the rate is that of the first ones.
        assert len(kind) <= 2 + 10 * (now - 1000.0)
        assert [event.gap.frame for event in kind] == sorted(event.gap.frame for event in kind)


def test_a_slow_handler_delays_nobody_and_what_does_not_wait_is_counted(caplog):
    go_on, handled = threading.Event(), []

    def slow(event):
        assert go_on.wait(GIVE_UP)
        handled.append(event)

    thread = EventThread(slow)
    began = time.monotonic()
    for _ in range(CAPACITY + 100):
        thread.send(SourceEnded(1000.0, "mic"))
    assert time.monotonic() - began < GIVE_UP
    go_on.set()
    thread.close()
    thread.join(GIVE_UP)
    assert CAPACITY <= len(handled) <= CAPACITY + 1  # one was in its hand
    assert "events were dropped" in caplog.text


def test_what_a_handler_raises_is_logged_and_the_next_event_comes(caplog):
    handled = []

    def moody(event):
        handled.append(event)
        raise ValueError("not today")

    thread = EventThread(moody)
    for source in ("mic", "speaker"):
        thread.send(SourceEnded(1000.0, source))
    thread.close()
    thread.join(GIVE_UP)
    assert len(handled) == 2
    assert caplog.text.count("ValueError: not today") == 2


def test_a_session_tells_of_a_slow_sink_ten_times_a_second():
    """20 ms chunks and a sink that takes one in five: forty gaps a second, on virtual time."""
    clock = VirtualClock()
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual(frames=48_000 * 10))
    builder.add_sink(
        CallbackSink(lambda chunk: clock.sleep(0.1)),
        name="slow",
        backlog=Backlog("100 ms", "drop_oldest"),
    )
    config = StreamConfig(clock=clock, chunk_duration=0.02)
    events = []
    builder.format(FormatPreset.NATIVE)
    with builder.config(config).on_event(events.append).start() as session:
        assert session.wait(GIVE_UP)
    told = [event for event in events if isinstance(event, GapDetected)]
    sink = session.report().sinks["slow"]
    assert sink.dropped > 48_000 * 7
    assert sum(event.frames for event in told) == sink.dropped
    assert 50 <= len(told) <= 110
    assert {event.sink for event in told} == {"slow"}
    assert isinstance(events[-1], SessionStopped)
