"""Virtual time: it stands while anybody works, and jumps when all sleep."""

import threading
import time

import pytest

from stream_audio import ConfigError
from stream_audio.testing import VirtualClock
from stream_audio.testing.virtual_clock import START

GIVE_UP = 30.0


class Seated:
    """A thread with a seat; ``work(signal)`` runs on it."""

    def __init__(self, clock, work):
        self._signal = clock.signal()
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.wake = self._signal.set

    def start(self):
        self._thread.start()
        return self

    def _run(self):
        try:
            self._work(self._signal)
        finally:
            self._signal.close()

    def join(self):
        self._thread.join(GIVE_UP)
        assert not self._thread.is_alive()


def test_it_does_not_start_at_zero():
    assert VirtualClock().now() == START != 0


def test_a_wait_of_a_day_takes_no_time():
    clock = VirtualClock()
    signal = clock.signal()
    before = time.monotonic()
    assert signal.wait(86_400) is False
    assert clock.now() == START + 86_400
    assert time.monotonic() - before < GIVE_UP


@pytest.mark.parametrize("spans", [(0.1, 0.2), (0.1, 0.2, 0.4), (1 / 3, 1e-10)])
def test_a_loop_that_waits_for_what_is_left_of_a_time_ends(spans):
    """A time in seconds falls between two nanoseconds: the wait must not end before it."""
    clock = VirtualClock()
    signal = clock.signal()
    for span in spans:
        until = clock.now() + span
        waits = 0
        while (left := until - clock.now()) > 0:
            signal.wait(left)
            waits += 1
            assert waits < 10


def test_time_stands_while_a_seated_thread_works():
    clock = VirtualClock()
    working, finish = threading.Event(), threading.Event()
    woke_at = []

    def work(signal):
        working.set()
        assert finish.wait(GIVE_UP)

    def sleep(signal):
        signal.wait(1)
        woke_at.append(clock.now())

    threads = [Seated(clock, work), Seated(clock, sleep)]
    for thread in threads:
        thread.start()
    assert working.wait(GIVE_UP)
    assert clock.now() == START
    finish.set()
    for thread in threads:
        thread.join()
    assert woke_at == [START + 1]


def test_time_does_not_run_ahead_of_a_thread_that_has_not_started_yet():
    clock = VirtualClock()
    woke_at = []

    def sleep(seconds):
        def work(signal):
            signal.wait(seconds)
            woke_at.append(clock.now())

        return Seated(clock, work)

    late = sleep(1)
    early = sleep(2).start()
    assert clock.now() == START
    late.start()
    late.join()
    early.join()
    assert woke_at == [START + 1, START + 2]


def test_a_thread_without_a_seat_holds_nobody_up():
    clock = VirtualClock()
    sleeper = Seated(clock, lambda signal: signal.wait(1)).start()
    sleeper.join()  # this thread never slept
    assert clock.now() == START + 1


def test_deadlines_are_met_in_order_and_exactly():
    clock = VirtualClock(auto=False)
    log = []

    def sleep(name, *spans):
        def work(signal):
            for span in spans:
                signal.wait(span)
                log.append((name, round(clock.now() - START, 9)))

        return Seated(clock, work).start()

    threads = [sleep("a", 0.3, 0.3), sleep("b", 0.5, 0.5), sleep("c", 0.05)]
    clock.advance(2)
    for thread in threads:
        thread.join()
    assert log == [("c", 0.05), ("a", 0.3), ("b", 0.5), ("a", 0.6), ("b", 1.0)]


def test_equal_deadlines_are_met_in_the_order_of_the_seats():
    for _ in range(20):
        clock = VirtualClock(auto=False)
        order = []

        def work_of(name, order=order):
            def work(signal):
                for _ in range(3):
                    signal.wait(0.1)
                    order.append(name)

            return work

        seats = [Seated(clock, work_of(name)) for name in "abc"]
        for seat in reversed(seats):
            seat.start()
        clock.advance(1)
        for seat in seats:
            seat.join()
        assert order == list("abcabcabc")


def test_a_wake_does_not_move_time():
    clock = VirtualClock(auto=False)
    woken = []
    sleeper = Seated(clock, lambda signal: woken.append((signal.wait(100), clock.now()))).start()
    sleeper.wake()
    sleeper.join()
    assert woken == [(True, START)]


def test_it_stands_until_it_is_advanced():
    clock = VirtualClock(auto=False)
    times = []

    def work(signal):
        for _ in range(3):
            signal.wait(1)
            times.append(clock.now() - START)

    sleeper = Seated(clock, work).start()
    clock.advance(0.5)
    assert (clock.now(), times) == (START + 0.5, [])
    clock.advance(0.5)
    assert times == [1]  # a deadline at the very end is met
    clock.advance(1.5)
    assert (clock.now(), times) == (START + 2.5, [1, 2])
    clock.advance(0.5)
    sleeper.join()
    assert times == [1, 2, 3]


def test_it_advances_though_nobody_is_seated():
    clock = VirtualClock(auto=False)
    clock.advance(3)
    assert clock.now() == START + 3
    clock.advance(0)
    assert clock.now() == START + 3


def test_time_does_not_wait_for_a_thread_that_gave_its_seat_up():
    clock = VirtualClock(auto=False)
    clock.signal().close()
    clock.advance(1)
    assert clock.now() == START + 1


def test_a_seat_that_is_dropped_is_given_up():
    clock = VirtualClock(auto=False)
    clock.signal()
    clock.advance(1)
    assert clock.now() == START + 1


def test_a_thread_that_is_stuck_outside_the_clock_is_told_of():
    clock = VirtualClock(auto=False)
    finish = threading.Event()
    stuck = Seated(clock, lambda signal: finish.wait(GIVE_UP)).start()
    with pytest.raises(TimeoutError, match="a thread is stuck"):
        clock.advance(1, timeout=0.01)
    finish.set()
    stuck.join()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_it_goes_forward_only(seconds):
    with pytest.raises(ConfigError, match="seconds"):
        VirtualClock(auto=False).advance(seconds)


def test_an_auto_clock_still_runs_by_itself_after_it_was_advanced():
    clock = VirtualClock()
    clock.advance(1)
    signal = clock.signal()
    sleeper = threading.Thread(target=signal.wait, args=(1,), daemon=True)
    sleeper.start()
    sleeper.join(5.0)
    asleep = sleeper.is_alive()
    signal.set()
    sleeper.join(GIVE_UP)
    assert not asleep
    assert clock.now() == START + 2


def test_repr_tells_the_time():
    assert repr(VirtualClock()) == "<VirtualClock at 1000.000000 s>"
