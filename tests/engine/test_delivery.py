"""Delivery: a slow, stuck or raising sink harms nobody, and its account says what became of it."""

import queue
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    AudioChunk,
    Backlog,
    ChannelSink,
    Gap,
    GapCause,
    GapDetected,
    Retry,
    SinkError,
    SinkFailed,
    SpillFailed,
    StreamConfig,
)
from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.backlog.spill_thread import SpillThread
from stream_audio.engine.delivery import DirectDelivery
from stream_audio.engine.make_delivery import Inflow, make_delivery
from stream_audio.engine.worker_delivery import WorkerDelivery
from stream_audio.reports.ledger import Ledger, RouteAccount
from stream_audio.testing import VirtualClock
from support.effort import examples

RATE = 48_000
FRAME_BYTES = 4
GIVE_UP = 30.0
"""Real seconds after which a test that would hang fails."""


def chunk(frame, frames=10, gaps=()):
    data = np.zeros((frames, 1), np.float32)
    return AudioChunk("mic", data, RATE, frame, 1000 + frame / RATE, 0.0, tuple(gaps))


def lost(frame, frames, cause):
    return Gap("mic", frame, frames, cause, 1000 + frame / RATE)


def oldest_goes(frames):
    return Backlog(frames * FRAME_BYTES, "drop_oldest")


class Setup:
    """A delivery and what a router would do with it, on the test's own thread."""

    def __init__(
        self,
        sink,
        *,
        on_failure="detach",
        real_time=False,
        name="sink",
        backlog=None,
        cannot_wait=("mic",),
        retry=None,
        **settings,
    ):
        retry = retry or Retry(first=0.125)  # exact in binary
        config = StreamConfig(**settings)
        if not real_time:
            config = replace(config, clock=VirtualClock())
        self.clock = config.clock
        # With a seat of its own, this thread holds virtual time up while it works.
        self.seat = self.clock.signal()  # given up with this object
        self.ledger = Ledger()
        self.account = self.ledger.open_sink(name)
        self.route = RouteAccount(RATE, RATE, "mic")
        self.account.routes.append(self.route)
        self.events = []
        self.spill = SpillThread(config.clock, config.spill_dir)
        self.delivery = make_delivery(
            name,
            SinkAdapter(sink),
            self.account,
            config,
            on_failure,
            self.events.append,
            self.seat.set,
            backlog=backlog,
            retry=retry,
            inflow=Inflow(("mic",), cannot_wait, RATE * FRAME_BYTES),
            spill=self.spill,
        )

    def offer(self, *chunks):
        for one in chunks:
            if not self.delivery.detached:
                self.route.extend(one.frame, one.frames)
                self.delivery.offer(one)
        return self

    def start(self):
        self.delivery.start()
        return self

    def stop(self, timeout=GIVE_UP):
        self.delivery.close()
        until = self.clock.now() + timeout
        self.delivery.wait(lambda: until - self.clock.now(), self.seat.wait)
        return self.delivery.report()

    def run(self, *chunks):
        """Offer everything to a sink that has not begun, then let it work until the end."""
        self.offer(*chunks).start()
        return self.stop()


class Recorder:
    """A sink that keeps what it gets, and what happens to it."""

    def __init__(self, *, blocking=True):
        self.blocking = blocking
        self.chunks = []
        self.threads = []
        self.stops = 0

    def write(self, one):
        self.threads.append(threading.current_thread())
        self.chunks.append(one)

    def stop(self):
        self.threads.append(threading.current_thread())
        self.stops += 1

    @property
    def frames(self):
        return [one.frame for one in self.chunks]


class Failing(Recorder):
    """Raises whatever ``fault(frame, try)`` returns, if anything; tries count from 1."""

    def __init__(self, fault, **kwargs):
        super().__init__(**kwargs)
        self.fault = fault
        self.tries = []

    def write(self, one):
        self.tries.append(one.frame)
        error = self.fault(one.frame, self.tries.count(one.frame))
        if error is not None:
            raise error
        super().write(one)


class Gated(Recorder):
    """Stays in ``write`` of its first chunk until the gate is opened."""

    def __init__(self):
        super().__init__()
        self.entered = threading.Event()
        self.gate = threading.Event()

    def write(self, one):
        self.entered.set()
        assert self.gate.wait(GIVE_UP)
        super().write(one)


def failures(setup):
    return [event for event in setup.events if isinstance(event, SinkFailed)]


def gaps_told(setup):
    return [(event.gap, event.sink) for event in setup.events if isinstance(event, GapDetected)]


def merged(gaps):
    """In order, and each span once: events tell of chunks, the account of what adjoins."""
    result = []
    for gap in sorted(gaps, key=lambda gap: (gap.source, gap.frame)):
        joined = result[-1].joined(gap) if result else None
        result[-1:] = [joined] if joined else [*result[-1:], gap]
    return result


def balanced(setup):
    assert setup.ledger.problems() == []
    assert setup.account.pending == 0
    told = gaps_told(setup)
    assert {sink for _, sink in told} <= {setup.delivery.name}
    assert merged(gap for gap, _ in told) == merged(setup.account.gaps)
    return True


def end_of(setup):
    """Wait until the worker has ended, which a stuck one does once it is let go."""
    for thread in threading.enumerate():
        if thread.name == f"stream-audio-sink-{setup.delivery.name}":
            thread.join(5.0)
            assert not thread.is_alive()


# ---- the ordinary way ----


@pytest.mark.parametrize("blocking", [True, False])
def test_every_chunk_is_delivered_in_order(blocking):
    sink = Recorder(blocking=blocking)
    setup = Setup(sink)
    report = setup.run(*(chunk(10 * i) for i in range(100)))
    assert sink.frames == [10 * i for i in range(100)]
    assert (report.offered, report.delivered, report.dropped) == (1000, 1000, 0)
    assert (report.gaps, report.error) == ((), "")
    assert setup.events == []
    assert balanced(setup)


@pytest.mark.parametrize(("blocking", "kind"), [(True, WorkerDelivery), (False, DirectDelivery)])
def test_a_sink_that_may_block_has_a_worker(blocking, kind):
    setup = Setup(Recorder(blocking=blocking))
    assert type(setup.delivery) is kind
    setup.delivery.discard(stop_sink=True)


def test_a_sink_that_does_not_say_may_block():
    class Bare:
        def write(self, one):
            pass

    setup = Setup(Bare())
    assert type(setup.delivery) is WorkerDelivery
    report = setup.run(chunk(0))  # and it needs no stop
    assert (report.delivered, report.error) == (10, "")
    assert balanced(setup)


def test_a_sink_is_stopped_once_and_on_the_thread_that_wrote():
    sink = Recorder()
    Setup(sink).run(chunk(0), chunk(10))
    assert sink.stops == 1
    assert len(set(sink.threads)) == 1
    assert sink.threads[0] is not threading.current_thread()
    assert sink.threads[0].name == "stream-audio-sink-sink"


def test_a_direct_sink_is_written_to_and_stopped_on_the_routers_thread():
    sink = Recorder(blocking=False)
    Setup(sink).run(chunk(0), chunk(10))
    assert sink.stops == 1
    assert set(sink.threads) == {threading.current_thread()}


@pytest.mark.parametrize("blocking", [True, False])
def test_a_sink_that_got_nothing_is_stopped_all_the_same(blocking):
    sink = Recorder(blocking=blocking)
    setup = Setup(sink)
    setup.run()
    assert sink.stops == 1
    assert balanced(setup)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_sink_of_a_session_that_never_began_is_stopped_and_gives_its_seat_up(blocking):
    sink = Recorder(blocking=blocking)
    setup = Setup(sink)
    setup.delivery.discard(stop_sink=True)
    assert sink.stops == 1
    assert setup.seat.wait(100) is False  # virtual time runs: nobody else is seated


def test_what_is_pending_is_reported_while_it_runs():
    sink = Gated()
    setup = Setup(sink).start().offer(chunk(0))
    assert sink.entered.wait(GIVE_UP)
    setup.offer(chunk(10), chunk(20))
    report = setup.delivery.report()
    assert (report.offered, report.delivered, report.pending) == (30, 0, 30)
    assert setup.account.pending == 0  # who asks for a report writes nothing
    sink.gate.set()
    assert setup.stop().delivered == 30
    assert balanced(setup)


def test_what_a_channel_holds_is_reported_as_unread():
    channel = ChannelSink()
    setup = Setup(channel)
    report = setup.run(chunk(0), chunk(10))
    assert (report.delivered, report.unread) == (20, 20)


# ---- slow ----


def test_a_slow_sink_loses_its_oldest_chunks_and_hears_of_it_in_band():
    sink = Gated()
    setup = Setup(sink, backlog=oldest_goes(30)).start().offer(chunk(0))
    assert sink.entered.wait(GIVE_UP)  # the first chunk is in the worker's hand
    setup.offer(*(chunk(10 * i) for i in range(1, 8)))
    sink.gate.set()
    report = setup.stop()
    assert sink.frames == [0, 50, 60, 70]
    assert [one.gap for one in sink.chunks] == [
        None,
        lost(10, 40, GapCause.BACKLOG_FULL),
        None,
        None,
    ]
    assert report.gaps == (lost(10, 40, GapCause.BACKLOG_FULL),)
    assert (report.delivered, report.dropped) == (40, 40)
    assert balanced(setup)


def test_the_gaps_of_the_source_reach_a_sink_that_missed_the_chunk_that_told_them():
    sink = Gated()
    setup = Setup(sink, backlog=oldest_goes(10)).start().offer(chunk(0))
    assert sink.entered.wait(GIVE_UP)
    ring_gap = lost(10, 5, GapCause.RING_FULL)
    setup.offer(chunk(15, gaps=[ring_gap]), chunk(25))
    sink.gate.set()
    setup.stop()
    assert sink.chunks[-1].gaps == (ring_gap, lost(15, 10, GapCause.BACKLOG_FULL))
    assert balanced(setup)


def test_a_stuck_sink_does_not_hold_another_up():
    stuck, free = Gated(), Recorder()
    held, others = Setup(stuck).start(), Setup(free).start()
    for i in range(50):
        held.offer(chunk(10 * i))
        others.offer(chunk(10 * i))
    assert others.stop().delivered == 500
    assert stuck.chunks == []
    stuck.gate.set()
    assert held.stop().delivered == 500


# ---- raising ----


def test_a_sink_that_raised_once_gets_the_same_chunk_again():
    sink = Failing(lambda frame, attempt: OSError("once") if attempt == 1 else None)
    setup = Setup(sink)
    first, second = chunk(0), chunk(10)
    report = setup.run(first, second)
    assert sink.tries == [0, 0, 10, 10]
    assert sink.chunks[0] is first
    assert sink.chunks[1] is second
    assert (report.delivered, report.dropped, report.error) == (20, 0, "")
    assert setup.events == []
    assert balanced(setup)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_sink_that_raises_always_is_given_up_after_its_tries(retries):
    error = OSError("broken")
    sink = Failing(lambda frame, attempt: error)
    setup = Setup(sink, retry=Retry(retries, 0.125))
    report = setup.run(chunk(0), chunk(10), chunk(20))
    assert sink.tries == [0] * (retries + 1)
    assert sink.stops == 1
    assert setup.delivery.detached
    assert (report.delivered, report.dropped, report.error) == (0, 30, "OSError: broken")
    assert {gap.cause for gap in report.gaps} == {GapCause.SINK_FAILED}
    (failed,) = failures(setup)
    assert (failed.sink, failed.error, failed.detached) == ("sink", error, True)
    assert balanced(setup)


def test_a_sink_that_was_given_up_gets_nothing_more():
    sink = Failing(lambda frame, attempt: SinkError("broken", retryable=False))
    setup = Setup(sink).start().offer(chunk(0))
    setup.seat.wait(1000)  # until the worker has ended
    assert setup.delivery.detached
    # The router may have asked just before.
    setup.route.extend(10, 10)
    setup.delivery.offer(chunk(10))
    report = setup.stop()
    assert sink.tries == [0]
    assert report.gaps == (lost(0, 20, GapCause.SINK_FAILED),)
    assert balanced(setup)


def test_to_skip_is_to_drop_one_chunk_and_go_on():
    sink = Failing(lambda frame, attempt: OSError("no tens") if frame == 10 else None)
    setup = Setup(sink, on_failure="skip", retry=Retry(2, 0.125))
    report = setup.run(chunk(0), chunk(10), chunk(20))
    assert sink.tries == [0, 10, 10, 10, 20]
    assert (report.delivered, report.dropped, report.error) == (20, 10, "OSError: no tens")
    assert report.gaps == (lost(10, 10, GapCause.SINK_FAILED),)
    (failed,) = failures(setup)
    assert not failed.detached
    assert balanced(setup)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_skipped_chunk_is_told_as_a_gap_of_the_one_that_follows(blocking):
    sink = Failing(
        lambda frame, attempt: OSError("no tens") if frame == 15 else None, blocking=blocking
    )
    setup = Setup(sink, on_failure="skip", retry=Retry(0, 0.125))
    ring_gap = lost(10, 5, GapCause.RING_FULL)
    setup.run(chunk(0), chunk(15, gaps=[ring_gap]), chunk(25), chunk(35))
    assert sink.frames == [0, 25, 35]
    skipped = lost(15, 10, GapCause.SINK_FAILED)
    assert [one.gaps for one in sink.chunks] == [(), (ring_gap, skipped), ()]


def test_what_another_try_cannot_mend_is_not_tried_again():
    sink = Failing(lambda frame, attempt: SinkError("disk full", retryable=False))
    setup = Setup(sink)
    setup.run(chunk(0))
    assert sink.tries == [0]
    assert balanced(setup)


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("taken", [3, 10, 99, -1])
def test_what_a_sink_took_before_it_failed_is_delivered(blocking, taken):
    fault = SinkError("full", retryable=False, taken=taken)
    sink = Failing(lambda frame, attempt: fault if frame == 15 else None, blocking=blocking)
    setup = Setup(sink, on_failure="skip")
    ring_gap = lost(10, 5, GapCause.RING_FULL)
    report = setup.run(chunk(0), chunk(15, gaps=[ring_gap]), chunk(25))
    taken = min(max(taken, 0), 10)
    rest = [lost(15 + taken, 10 - taken, GapCause.SINK_FAILED)] if taken < 10 else []
    assert report.delivered == 20 + taken
    assert [(gap.frame, gap.frames) for gap in report.gaps] == [(g.frame, g.frames) for g in rest]
    assert balanced(setup)
    # The gap before it has been told to the sink, with what it took.
    told = [(gap.frame, gap.frames) for one in sink.chunks for gap in one.gaps]
    before = [] if taken else [(10, 5)]
    assert told == before + [(gap.frame, gap.frames) for gap in rest]


def test_a_sink_error_that_may_pass_is_tried_again():
    sink = Failing(lambda frame, attempt: SinkError("busy") if attempt < 4 else None)
    assert Setup(sink).run(chunk(0)).delivered == 10


def test_chance_shortens_a_wait_by_its_jitter_at_most():
    waits = {Retry(None, first=1.0, jitter=0.5).wait_before(3) for _ in range(100)}
    assert len(waits) > 50
    assert 2.0 <= min(waits) < max(waits) <= 4.0


def test_each_wait_before_a_retry_is_twice_the_one_before():
    times = []

    def fault(frame, attempt):
        times.append(setup.clock.now())
        return OSError("always")

    setup = Setup(Failing(fault), on_failure="skip", retry=Retry(4, 0.25))
    setup.offer(chunk(0), chunk(10)).start().seat.wait(60.0)
    setup.stop()
    waits = np.diff(times)
    # The delay starts anew with the next chunk.
    assert waits.tolist() == pytest.approx([0.25, 0.5, 1.0, 2.0, 0.0, 0.25, 0.5, 1.0, 2.0])


def test_no_wait_is_longer_than_the_longest():
    times = []

    def fault(frame, attempt):
        times.append(setup.clock.now())
        return OSError("away") if attempt < 7 else None

    setup = Setup(Failing(fault), retry=Retry(tries=None, first=0.25, longest=1.5))
    setup.offer(chunk(0)).start().seat.wait(60.0)
    assert np.diff(times).tolist() == pytest.approx([0.25, 0.5, 1.0, 1.5, 1.5, 1.5])
    assert setup.stop().delivered == 10


def test_at_a_stop_the_next_try_comes_at_once_and_further_ones_after_the_first_wait():
    times = []

    def fault(frame, attempt):
        times.append(setup.clock.now())
        return OSError("away") if attempt < 7 else None

    setup = Setup(Failing(fault), retry=Retry(tries=None, first=0.25, longest=8.0))
    setup.offer(chunk(0)).start().seat.wait(2.0)  # tries at 0, 0.25, 0.75 and 1.75
    assert len(times) == 4
    began = setup.clock.now()
    assert setup.stop().delivered == 10
    assert [when - began for when in times[4:]] == pytest.approx([0.0, 0.25, 0.5])
    assert balanced(setup)


def test_without_a_limit_of_tries_a_sink_is_tried_until_the_time_of_the_stop_is_up():
    sink = Failing(lambda frame, attempt: OSError("away"))
    setup = Setup(sink, retry=Retry(tries=None))
    setup.offer(chunk(0)).start().seat.wait(3600.0)
    assert len(sink.tries) > 700  # every 5 s at last
    assert failures(setup) == []
    report = setup.stop(timeout=5.0)
    assert report.gaps == (lost(0, 10, GapCause.STOP_TIMEOUT),)
    assert balanced(setup)


def test_new_chunks_do_not_shorten_the_wait_before_a_retry():
    times = []

    def fault(frame, attempt):
        times.append(setup.clock.now())
        return OSError("once") if attempt == 1 and frame == 0 else None

    setup = Setup(Failing(fault), retry=Retry(first=1.0))
    setup.start().offer(chunk(0))
    for i in range(1, 8):
        setup.seat.wait(0.125)
        setup.offer(chunk(10 * i))
    setup.seat.wait(10.0)
    setup.stop()
    assert times[1] - times[0] == pytest.approx(1.0)


def test_an_exit_raised_in_a_sink_is_a_failure_like_any_other():
    sink = Failing(lambda frame, attempt: SystemExit(1) if frame == 10 else None)
    setup = Setup(sink, name="exiting")
    report = setup.run(chunk(0), chunk(10), chunk(20))
    end_of(setup)
    assert (report.delivered, report.dropped, report.pending) == (10, 20, 0)
    assert setup.ledger.problems() == []
    assert report.error
    assert sink.stops == 1


def test_a_sink_that_cannot_stop_is_reported():
    class Unstoppable(Recorder):
        def stop(self):
            super().stop()
            raise OSError("cannot close")

    for blocking in (True, False):
        sink = Unstoppable(blocking=blocking)
        setup = Setup(sink)
        report = setup.run(chunk(0))
        assert sink.stops == 1
        assert (report.delivered, report.error) == (10, "OSError: cannot close")
        assert len(failures(setup)) == 1
        assert balanced(setup)


def test_the_first_error_is_the_one_that_is_reported():
    class Hopeless(Failing):
        def stop(self):
            raise OSError("cannot close either")

    setup = Setup(Hopeless(lambda frame, attempt: SinkError("disk full", retryable=False)))
    assert setup.run(chunk(0)).error == "disk full"
    assert len(failures(setup)) == 1


# ---- not in time ----


def test_what_a_stuck_sink_still_holds_is_dropped_when_time_is_up():
    sink = Gated()
    setup = Setup(sink, real_time=True).start().offer(chunk(0))
    assert sink.entered.wait(GIVE_UP)
    setup.offer(chunk(10), chunk(20))
    report = setup.stop(timeout=0.01)
    assert report.gaps == (lost(0, 30, GapCause.STOP_TIMEOUT),)
    assert (report.delivered, report.dropped, report.pending) == (0, 30, 0)
    assert "did not finish in time" in report.error
    assert balanced(setup)
    sink.gate.set()
    end_of(setup)


@pytest.mark.parametrize("comes_back", ["well", "raising"])
def test_a_stuck_sink_that_comes_back_later_changes_the_account_no_more(comes_back):
    class Late(Gated):
        def write(self, one):
            super().write(one)
            if comes_back == "raising":
                raise OSError("late")

    sink = Late()
    setup = Setup(sink, real_time=True, name="late").start().offer(chunk(0), chunk(10))
    assert sink.entered.wait(GIVE_UP)
    report = setup.stop(timeout=0.01)
    events = list(setup.events)
    sink.gate.set()
    end_of(setup)
    assert setup.delivery.report() == report
    assert setup.events == events
    assert sink.frames == [0]  # and it gets no other chunk


def test_a_sink_stuck_in_stop_that_comes_back_later_changes_the_account_no_more():
    class StuckInStop(Gated):
        def write(self, one):
            Recorder.write(self, one)

        def stop(self):
            self.entered.set()
            assert self.gate.wait(GIVE_UP)
            return (lost(0, 10, GapCause.BACKLOG_FULL),)

    sink = StuckInStop()
    setup = Setup(sink, real_time=True, name="stuck-in-stop").start().offer(chunk(0))
    setup.delivery.close()
    assert sink.entered.wait(GIVE_UP)
    report = setup.stop(timeout=0.01)
    events = list(setup.events)
    assert report.delivered == 10
    sink.gate.set()
    end_of(setup)
    assert setup.delivery.report() == report
    assert setup.events == events


def test_a_chunk_that_was_dropped_at_the_stop_is_not_tried_again():
    sink = Failing(lambda frame, attempt: OSError("always"))
    setup = Setup(sink, retry=Retry(first=1.0)).start().offer(chunk(0))
    report = setup.stop(timeout=0.5)  # the next try comes at once, the third after a second
    assert report.gaps == (lost(0, 10, GapCause.STOP_TIMEOUT),)
    assert balanced(setup)
    setup.seat.wait(1000)
    assert len(sink.tries) <= 2


def test_the_worker_of_a_sink_that_was_abandoned_between_two_tries_ends():
    sink = Failing(lambda frame, attempt: OSError("always"))
    setup = Setup(sink, name="abandoned", retry=Retry(first=1.0)).start().offer(chunk(0))
    setup.seat.wait(0.25)  # after the first try
    setup.stop(timeout=0.25)
    setup.seat.wait(1000)
    end_of(setup)


def test_a_sink_that_did_not_finish_in_time_is_told_as_failed():
    sink = Gated()
    setup = Setup(sink, real_time=True, name="late", on_failure="skip").start().offer(chunk(0))
    assert sink.entered.wait(GIVE_UP)
    setup.stop(timeout=0.01)
    (failed,) = failures(setup)
    assert (failed.sink, failed.detached) == ("late", True)
    assert failed.error is setup.delivery.error
    sink.gate.set()
    end_of(setup)


# ---- removed ----


def test_a_sink_that_is_closed_without_draining_keeps_what_it_holds_alone():
    sink = Gated()
    setup = Setup(sink).start().offer(chunk(0))
    assert sink.entered.wait(GIVE_UP)
    setup.offer(chunk(10), chunk(20))
    setup.delivery.close(GapCause.REMOVED, drain=False)
    assert setup.account.gaps == [lost(10, 20, GapCause.REMOVED)]
    assert setup.delivery.pending == 10
    sink.gate.set()
    report = setup.stop()
    assert sink.frames == [0]
    assert sink.stops == 1
    assert (report.delivered, report.dropped, report.error) == (10, 20, "")
    assert balanced(setup)


def test_a_sink_that_is_removed_and_stuck_loses_that_too():
    sink = Gated()
    setup = Setup(sink, real_time=True).start().offer(chunk(0), chunk(10))
    assert sink.entered.wait(GIVE_UP)
    setup.delivery.close(GapCause.REMOVED)
    report = setup.stop(timeout=0.01)
    assert report.gaps == (lost(0, 20, GapCause.REMOVED),)
    assert balanced(setup)
    sink.gate.set()
    end_of(setup)


def test_what_a_channel_holds_can_be_read_after_it_was_removed():
    channel = ChannelSink()
    setup = Setup(channel).offer(chunk(0), chunk(10))
    setup.delivery.close(GapCause.REMOVED, drain=False)
    assert setup.delivery.report().delivered == 20
    assert [one.frame for one in channel] == [0, 10]


# ---- spilled ----


def test_what_a_sink_left_on_disk_is_in_its_figures_and_comes_back(tmp_path):
    sink = Gated()
    backlog = Backlog(40 * FRAME_BYTES, "spill")
    setup = Setup(sink, backlog=backlog, spill_dir=tmp_path).start().offer(chunk(0))
    assert sink.entered.wait(GIVE_UP)
    setup.offer(*(chunk(10 * i) for i in range(1, 8)))
    with_disk = setup.delivery.stats()
    while not with_disk.spilled_bytes:  # the thread that spills works beside us
        with_disk = setup.delivery.stats()
    assert with_disk.backlog_seconds == pytest.approx(70 / RATE)
    assert with_disk.pending == 80
    sink.gate.set()
    report = setup.stop()
    setup.spill.close()
    assert sink.frames == [10 * i for i in range(8)]
    assert (report.delivered, report.dropped) == (80, 0)
    after = setup.delivery.stats()
    assert (after.spilled_bytes, after.backlog_bytes, after.backlog_seconds) == (0, 0, 0.0)
    assert after.backlog_highest_seconds == with_disk.backlog_seconds
    assert balanced(setup)


def test_a_disk_that_fails_is_told_and_no_failure_of_the_sink(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    sink = Gated()
    backlog = Backlog(40 * FRAME_BYTES, "spill")
    setup = Setup(sink, backlog=backlog, spill_dir=folder).start().offer(chunk(0))
    folder.rmdir()
    assert sink.entered.wait(GIVE_UP)
    setup.offer(*(chunk(10 * i) for i in range(1, 20)))
    give_up_at = time.monotonic() + GIVE_UP
    while not any(isinstance(event, SpillFailed) for event in setup.events):
        assert time.monotonic() < give_up_at
    sink.gate.set()
    report = setup.stop()
    setup.spill.close()
    (told,) = (event for event in setup.events if isinstance(event, SpillFailed))
    assert "No such file" in str(told.error)
    assert report.error == ""
    assert report.delivered + report.dropped == 200
    assert balanced(setup)


# ---- written to directly ----


def test_a_direct_sink_that_raises_is_given_up_at_once():
    sink = Failing(lambda frame, attempt: OSError("full"), blocking=False)
    setup = Setup(sink).offer(chunk(0), chunk(10))
    assert setup.delivery.detached
    report = setup.stop()
    assert (sink.tries, sink.stops) == ([0], 1)
    assert report.gaps == (lost(0, 10, GapCause.SINK_FAILED),)
    assert report.error == "OSError: full"
    assert balanced(setup)


def test_a_direct_sink_may_skip():
    fails_on_10 = Failing(
        lambda frame, attempt: OSError("no tens") if frame == 10 else None, blocking=False
    )
    setup = Setup(fails_on_10, on_failure="skip")
    report = setup.run(chunk(0), chunk(10), chunk(20))
    assert fails_on_10.frames == [0, 20]
    assert (report.delivered, report.dropped) == (20, 10)
    assert balanced(setup)


def test_what_a_direct_sink_dropped_to_make_room_is_taken_back():
    target = queue.Queue(maxsize=2)
    setup = Setup(ChannelSink(target))
    report = setup.run(*(chunk(10 * i) for i in range(5)))
    # The last place is taken by the None at the end.
    assert report.gaps == (lost(0, 40, GapCause.BACKLOG_FULL),)
    assert (report.offered, report.delivered, report.dropped) == (50, 10, 40)
    assert report.unread == 10
    assert balanced(setup)


@pytest.mark.parametrize("returned", [("no", "gaps"), (1,), [1], "text", 7])
def test_whatever_a_direct_sink_returns_nothing_is_raised_into_the_router(returned):
    class Talkative(Recorder):
        def write(self, one):
            super().write(one)
            return returned

        def stop(self):
            super().stop()
            return returned

    sink = Talkative(blocking=False)
    setup = Setup(sink, on_failure="skip").offer(chunk(0), chunk(10))
    setup.stop()
    assert sink.frames == [0, 10]
    assert setup.ledger.problems() == []


# ---- all of it ----

ACTS = st.sampled_from(["well", "raises once", "raises always", "final", "slow"])


@settings(derandomize=True, deadline=None, max_examples=examples(100))
@given(
    acts=st.lists(st.tuples(ACTS, st.integers(1, 9)), min_size=1, max_size=25),
    on_failure=st.sampled_from(["skip", "detach"]),
    limit_frames=st.integers(5, 40),
)
def test_every_frame_is_delivered_once_or_in_one_gap(acts, on_failure, limit_frames):
    """However the sink behaves: what it took and what its account lost tile the timeline."""
    go_on = threading.Event()
    act_at = {}

    def fault(frame, attempt):
        act = act_at[frame]
        if act == "slow" and attempt == 1:
            assert go_on.wait(GIVE_UP)
        if act == "final":
            return SinkError("final", retryable=False)
        if act == "raises always" or (act == "raises once" and attempt == 1):
            return OSError(act)
        return None

    sink = Failing(fault)
    setup = Setup(
        sink, on_failure=on_failure, backlog=oldest_goes(limit_frames), retry=Retry(2, 0.125)
    )
    setup.start()
    frame = 0
    for act, frames in acts:
        act_at[frame] = act
        setup.offer(chunk(frame, frames))
        frame += frames
    go_on.set()
    report = setup.stop()
    assert balanced(setup)
    tiles = sorted(
        [(one.frame, one.end) for one in sink.chunks]
        + [(gap.frame, gap.end) for gap in report.gaps]
    )
    assert [start for start, _ in tiles] == [0, *(end for _, end in tiles[:-1])]
    assert sum(end - start for start, end in tiles) == report.offered
    assert sink.frames == sorted(sink.frames)
    assert sink.stops == 1


def test_a_worker_tells_its_end_while_it_still_holds_virtual_time_up():
    """Else time jumps to the end of the patience with which it is waited for."""
    setup = Setup(Recorder())
    begun = setup.clock.now()
    setup.start().delivery.close()
    assert setup.seat.wait(GIVE_UP)
    assert setup.clock.now() == begun


# ---- when it has caught up ----


class CatchesUp:
    def __init__(self):
        self.calls = []
        self.threads = set()

    def write(self, chunk):
        self.calls.append(chunk.frame)
        self.threads.add(threading.current_thread().name)

    def caught_up(self):
        self.calls.append("caught up")
        self.threads.add(threading.current_thread().name)


def test_a_sink_is_told_when_all_that_was_there_is_written():
    sink = CatchesUp()
    setup = Setup(sink).offer(chunk(0), chunk(10), chunk(20)).start()
    setup.seat.wait(1.0)
    assert sink.calls == [0, 10, 20, "caught up"]
    assert sink.threads == {"stream-audio-sink-sink"}
    setup.seat.wait(1.0)  # nothing was written since
    assert sink.calls.count("caught up") == 1
    setup.offer(chunk(30))
    setup.seat.wait(1.0)
    setup.stop()
    assert sink.calls == [0, 10, 20, "caught up", 30, "caught up"]


class CannotCatchUp(CatchesUp):
    def caught_up(self):
        super().caught_up()
        raise OSError("full")


@pytest.mark.parametrize("on_failure", ["detach", "skip"])
def test_what_it_raises_then_is_a_failure_of_the_sink(on_failure):
    sink = CannotCatchUp()
    setup = Setup(sink, on_failure=on_failure).offer(chunk(0)).start()
    setup.seat.wait(1.0)
    setup.offer(chunk(10))
    setup.seat.wait(1.0)
    report = setup.stop()
    failures = [event for event in setup.events if isinstance(event, SinkFailed)]
    if on_failure == "detach":
        assert sink.calls == [0, "caught up"]
        assert [event.detached for event in failures] == [True]
        assert (report.delivered, report.offered) == (10, 10)
    else:
        assert sink.calls == [0, "caught up", 10, "caught up"]
        assert len(failures) == 2
        assert report.delivered == 20
    assert "full" in report.error
    assert setup.ledger.problems() == []
