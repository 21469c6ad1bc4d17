"""A sink that confirms: its frames are pending until then, and come again after a failure."""

import asyncio
import threading
import time
from itertools import pairwise

import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    ConfigError,
    FormatPreset,
    GapCause,
    Retry,
    SinkError,
    SinkFailed,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock
from stream_audio.waiting.clock import sit_on

GIVE_UP = 60.0
RATE = 48_000
CHUNK = 4800


class Service:
    """Keeps what it gets; what it confirms, and when it fails, is up to the test."""

    confirms = True

    def __init__(self):
        self.spans = []
        self.stops = 0
        self.fault = None

    def start(self, info):
        self.confirm = info.confirm

    def write(self, chunk):
        if self.fault is not None and (error := self.fault(chunk)) is not None:
            raise error
        assert [round(value * 2**23) for value in chunk.data[[0, -1], 0]] == [
            chunk.frame,
            chunk.end - 1,
        ]
        self.spans.append((chunk.frame, chunk.end))

    def stop(self):
        self.stops += 1


class Prompt(Service):
    def write(self, chunk):
        super().write(chunk)
        self.confirm(chunk.source, chunk.end)


class Later(Service):
    """Confirms each chunk when the next but nine is written, and the last ones at the end."""

    def write(self, chunk):
        super().write(chunk)
        if len(self.spans) >= 10:
            self.confirm(chunk.source, self.spans[-10][1])

    def caught_up(self):
        self.confirm("mic", self.spans[-1][1])


def builder(
    sink, *, frames=20 * CHUNK, events=None, on_failure="detach", backlog=None, **settings
):
    pace = "real_time" if frames is None else "freewheel"
    source = AudioSource.virtual("counter", frames=frames, channels=1, pace=pace)
    settings = {"clock": VirtualClock(), "raise_on_sink_failure": False} | settings
    building = StreamAudio.builder().config(StreamConfig(**settings)).format(FormatPreset.NATIVE)
    if events is not None:
        building.on_event(events.append)
    building.add_sink(sink, name="uplink", on_failure=on_failure, backlog=backlog)
    return building.add_source("mic", source)


def ended(session):
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    return report.sinks["uplink"]


def until(condition):
    limit = time.monotonic() + GIVE_UP
    while not condition() and time.monotonic() < limit:
        time.sleep(0.001)
    assert condition()


@pytest.mark.parametrize("kind", [Prompt, Later])
def test_what_is_confirmed_is_delivered(kind):
    sink, events = kind(), []
    report = ended(builder(sink, events=events).start())
    assert sink.spans == [(frame, frame + CHUNK) for frame in range(0, 20 * CHUNK, CHUNK)]
    assert (report.delivered, report.dropped, report.error) == (20 * CHUNK, 0, "")
    assert sink.stops == 1
    assert not any(isinstance(event, SinkFailed) for event in events)


def test_until_then_it_is_pending():
    sink = Service()
    session = builder(sink, frames=None).start()
    until(lambda: len(sink.spans) >= 5)
    stats = session.stats().sinks["uplink"]
    assert stats.delivered == 0
    assert stats.pending >= 5 * CHUNK
    assert stats.backlog_bytes >= 4 * CHUNK * 4  # the oldest is looked at, and does not wait
    sink.confirm("mic", 3 * CHUNK + 7)  # in the midst of a chunk
    until(lambda: session.stats().sinks["uplink"].delivered == 3 * CHUNK)
    report = session.stop()
    assert report.balanced, report
    uplink = report.sinks["uplink"]
    assert uplink.delivered == 3 * CHUNK + 7
    assert (uplink.gaps[0].frame, uplink.gaps[0].cause) == (3 * CHUNK + 7, GapCause.UNCONFIRMED)
    assert {gap.cause for gap in uplink.gaps} == {GapCause.UNCONFIRMED}
    assert uplink.error == ""  # it was stopped in time
    assert sink.stops == 1
    assert not report.complete


def test_after_a_failure_all_that_is_not_confirmed_comes_again_in_order():
    sink, failures = Prompt(), []

    def write(chunk, plain=sink.write):
        # The connection breaks at the eighth chunk; five of those before it had arrived.
        if chunk.frame == 7 * CHUNK and len(failures) < 2:
            failures.append(chunk.frame)
            raise ConnectionError("reset")
        Service.write(sink, chunk)
        if chunk.end == 5 * CHUNK or failures:
            sink.confirm(chunk.source, chunk.end if len(failures) > 1 else 5 * CHUNK)

    sink.write = write
    report = ended(builder(sink).start())
    before = [frame for frame, _ in sink.spans]
    first = [frame * CHUNK for frame in range(7)]
    again = [5 * CHUNK, 6 * CHUNK]
    assert before == [*first, *again, *again, *range(7 * CHUNK, 20 * CHUNK, CHUNK)]
    assert (report.delivered, report.error) == (20 * CHUNK, "")


def test_a_flush_that_fails_has_all_of_it_written_again():
    class Flushes(Service):
        flushes = 0

        def caught_up(self):
            self.flushes += 1
            if self.flushes == 1:
                raise ConnectionError("lost in flight")
            self.confirm("mic", self.spans[-1][1])

    sink = Flushes()
    report = ended(builder(sink, frames=3 * CHUNK).start())
    assert (report.delivered, report.error) == (3 * CHUNK, "")
    assert sink.spans.count((0, CHUNK)) == 2


def test_what_was_lost_on_the_way_comes_again_though_nothing_new_does():
    class LosesOnce(Service):
        resend = None

        def start(self, info):
            super().start(info)
            self.resend = info.resend

        def caught_up(self):
            if self.spans[-1][1] < 3 * CHUNK:
                return
            if self.resend is not None:
                resend, self.resend = self.resend, None
                resend(ConnectionError("reset"))
            else:
                self.confirm("mic", self.spans[-1][1])

    sink = LosesOnce()
    report = ended(builder(sink, frames=3 * CHUNK).start())
    assert (report.delivered, report.error) == (3 * CHUNK, "")
    assert all(
        sink.spans.count((frame, frame + CHUNK)) == 2 for frame in range(0, 3 * CHUNK, CHUNK)
    )


def test_a_loss_counts_as_a_try():
    class AlwaysLoses(Service):
        def start(self, info):
            super().start(info)
            self.resend = info.resend

        def caught_up(self):
            self.resend(ConnectionError("reset"))

    report = ended(builder(AlwaysLoses(), frames=3 * CHUNK, retry=Retry(2)).start())
    assert report.error == "ConnectionError: reset"
    assert report.delivered == 0


@pytest.mark.parametrize("on_failure", ["detach", "skip"])
def test_when_its_tries_are_over_it_fails_as_any_other(on_failure):
    sink, events = Later(), []
    sink.fault = lambda chunk: OSError("poison") if chunk.frame == 7 * CHUNK else None
    building = builder(sink, events=events, on_failure=on_failure, retry=Retry(2))
    report = ended(building.start())
    (failed,) = [event for event in events if isinstance(event, SinkFailed)]
    assert report.error == "OSError: poison"
    assert failed.detached is (on_failure == "detach")
    if on_failure == "skip":
        assert report.delivered == 19 * CHUNK
        (gap,) = report.gaps
        assert (gap.frame, gap.frames, gap.cause) == (7 * CHUNK, CHUNK, GapCause.SINK_FAILED)
    else:
        assert {gap.cause for gap in report.gaps} == {GapCause.SINK_FAILED}


def test_an_error_that_another_try_cannot_mend_ends_it():
    sink = Service()
    sink.fault = lambda chunk: SinkError("gone", retryable=False) if chunk.frame else None
    report = ended(builder(sink).start())
    assert (report.delivered, report.error) == (0, "gone")


def test_what_is_not_confirmed_goes_to_disk_and_comes_back_in_order(tmp_path):
    sink = Service()
    clock = VirtualClock()
    building = builder(
        sink, frames=None, backlog=Backlog("1 s", "spill"), clock=clock, retry=Retry(None)
    )
    session = building.start()
    clock.sleep(120.0)
    stats = session.stats().sinks["uplink"]
    assert stats.pending > 100 * RATE
    assert stats.spilled_bytes > 50 * RATE * 4
    assert stats.backlog_bytes < 10 * RATE * 4
    broken = []

    def fault(chunk):
        broken.append(chunk.frame)
        return ConnectionError("reset") if len(broken) == 1 else None

    seen = len(sink.spans)
    sink.fault = fault

    def since_the_failure():  # what was under way for the first time comes before
        spans = sink.spans[seen:]
        return next((spans[i:] for i, (start, _) in enumerate(spans) if start == 0), [])

    until(lambda: len(since_the_failure()) >= seen)
    again = since_the_failure()
    assert all(a[1] == b[0] for a, b in pairwise(again))
    sink.confirm("mic", max(end for _, end in sink.spans))
    report = session.stop()
    assert report.balanced, report
    assert GapCause.BACKLOG_FULL not in {gap.cause for gap in report.sinks["uplink"].gaps}
    assert report.sinks["uplink"].delivered > 100 * RATE


def test_a_backlog_that_does_not_spill_loses_the_oldest_that_is_not_confirmed():
    sink = Service()
    clock = VirtualClock()
    building = builder(sink, frames=None, backlog=Backlog("1 s", "drop_oldest"), clock=clock)
    session = building.start()
    clock.sleep(20.0)
    report = session.stop()
    assert report.balanced, report
    causes = {gap.cause for gap in report.sinks["uplink"].gaps}
    assert causes == {GapCause.BACKLOG_FULL, GapCause.UNCONFIRMED}


def test_one_that_is_removed_drops_what_is_not_confirmed_in_time():
    sink = Service()
    clock = VirtualClock()
    session = builder(Prompt(), frames=None, clock=clock).start()
    handle = session.add_sink(sink, name="second")
    until(lambda: len(sink.spans) >= 5)
    report = handle.remove(timeout=3.0)
    assert {gap.cause for gap in report.gaps} == {GapCause.UNCONFIRMED}
    assert (report.delivered, report.error) == (0, "")
    assert report.offered == report.dropped
    assert sink.stops == 1
    assert session.stop().balanced


def test_confirmations_that_come_at_the_end_are_waited_for():
    sink = Service()
    clock = VirtualClock()
    seat = clock.signal()  # so that time does not run while the thread works
    session = builder(sink, clock=clock, stop_timeout=30.0).start()

    def later():
        sit_on(seat)
        for frame in range(CHUNK, 21 * CHUNK, CHUNK):
            clock.sleep(20.0)
            sink.confirm("mic", frame)
        seat.close()

    thread = threading.Thread(target=later)
    thread.start()
    report = ended(session)
    thread.join(GIVE_UP)
    assert report.delivered == 20 * CHUNK


def test_at_the_end_of_a_file_too_they_have_to_come_in_time():
    sink = Service()
    report = ended(builder(sink).start())
    assert report.offered == report.dropped == 20 * CHUNK
    assert {gap.cause for gap in report.gaps} == {GapCause.UNCONFIRMED}
    assert sink.stops == 1


def test_one_that_is_stuck_is_given_up_all_the_same():
    sink, go_on = Service(), threading.Event()
    entered = threading.Event()

    def fault(chunk):
        if chunk.frame == CHUNK:
            entered.set()
            go_on.wait(GIVE_UP)

    sink.fault = fault
    session = builder(sink, frames=None, clock=StreamConfig().clock).start()
    assert entered.wait(GIVE_UP)
    report = session.stop(timeout=0.2)
    go_on.set()
    assert report.balanced, report
    uplink = report.sinks["uplink"]
    assert "did not finish in time" in uplink.error
    assert {gap.cause for gap in uplink.gaps} == {GapCause.UNCONFIRMED, GapCause.STOP_TIMEOUT}


def test_one_that_is_given_up_is_told_so_and_its_own_retry_counts():
    class Stuck(Service):
        retry = Retry(tries=0)
        abandoned = False

        def write(self, chunk):
            self.entered.set()
            self.go_on.wait(GIVE_UP)
            raise OSError("cut short")

        def abandon(self):
            self.abandoned = True
            self.go_on.set()

    sink = Stuck()
    sink.entered, sink.go_on = threading.Event(), threading.Event()
    session = builder(sink, frames=None, clock=StreamConfig().clock).start()
    assert sink.entered.wait(GIVE_UP)
    report = session.stop(timeout=0.2)
    assert report.balanced, report
    assert sink.abandoned
    assert sink.stops == 0
    second = Stuck()
    second.entered, second.go_on = threading.Event(), threading.Event()
    second.go_on.set()
    assert ended(builder(second).start()).error == "OSError: cut short"  # at the first try


def test_an_asynchronous_one_confirms_from_its_loop():
    class Async(Service):
        async def write(self, chunk):
            super().write(chunk)
            asyncio.get_running_loop().call_soon(self.confirm, chunk.source, chunk.end)

    async def main():
        sink = Async()
        async with builder(sink, clock=StreamConfig().clock) as session:
            await asyncio.to_thread(session.wait, GIVE_UP)
        return session.report(), sink

    report, sink = asyncio.run(main())
    assert report.balanced, report
    assert report.sinks["uplink"].delivered == 20 * CHUNK
    assert len(sink.spans) == 20


LIES = [
    (("mic", 10**9), "were not written yet"),
    (("other", 1), "has no source 'other'"),
    (("mic", -1), "frame must be from 0"),
    (("mic", 1.5), "frame must be a whole number"),
    (("mic", True), "frame must be a whole number"),
    (([], 1), "has no source"),
]


@pytest.mark.parametrize(("what", "words"), LIES)
def test_a_confirmation_that_cannot_be_true_is_an_error_of_the_sink(what, words):
    class Lies(Service):
        def write(self, chunk):
            super().write(chunk)
            self.confirm(*what)

    report = ended(builder(Lies(), retry=Retry(0)).start())
    assert words in report.error
    assert report.delivered == 0


def test_a_sink_that_does_not_block_cannot_confirm():
    class Direct(Service):
        blocking = False

    with pytest.raises(ConfigError, match="confirms but is not blocking"):
        builder(Direct())


def test_where_nobody_can_confirm_frames_count_as_sent():
    class Datagrams(Service):
        confirms = False

    report = ended(builder(Datagrams()).start())
    assert (report.delivered, report.sent) == (20 * CHUNK, 20 * CHUNK)

    class Plain(Service):
        confirms = None

        def write(self, chunk):
            self.confirm(chunk.source, chunk.end)  # which nobody asked for

    session = builder(Plain()).start()
    report = ended(session)
    assert (report.delivered, report.sent, report.error) == (20 * CHUNK, 0, "")
    assert "sink uplink: 96000 frames delivered" in str(session.report())
