"""The seam of time: signals that keep a wake, on the real clock as on a virtual one."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from stream_audio.testing import VirtualClock
from stream_audio.waiting.clock import Clock, MonotonicClock, Sleeper, deadline_ns

GIVE_UP = 30.0


def test_the_real_clock_is_time_monotonic():
    before = time.monotonic()
    now = MonotonicClock().now()
    assert before <= now <= time.monotonic()


@pytest.mark.parametrize("clock", [MonotonicClock(), VirtualClock()])
def test_both_are_clocks(clock):
    assert isinstance(clock, Clock)
    assert repr(clock)


def test_anything_else_is_none():
    assert not isinstance(time, Clock)


def test_a_time_in_nanoseconds():
    assert deadline_ns(1.5) == 1_500_000_000
    assert deadline_ns(1e-9) == 1
    # A float of a year's uptime is exact to 4 ns.
    assert abs(deadline_ns(31_536_000.123456789) - 31_536_000_123_456_789) < 8


@pytest.fixture(params=["a lock", "a seat at the real clock", "a seat at a virtual clock"])
def signal(request):
    if request.param == "a lock":
        made = MonotonicClock().signal()
    elif request.param == "a seat at the real clock":
        made = Sleeper(MonotonicClock())
    else:
        made = VirtualClock().signal()
    yield made
    made.close()


def test_a_wait_that_nobody_ends_times_out(signal):
    assert signal.wait(0.01) is False


def test_a_time_that_has_passed_is_no_wait(signal):
    assert signal.wait(0) is False
    assert signal.wait(-1) is False


def test_a_wake_before_the_wait_is_kept(signal):
    signal.set()
    assert signal.wait(GIVE_UP) is True


def test_a_kept_wake_needs_no_time(signal):
    signal.set()
    assert signal.wait(0) is True


def test_a_wake_is_taken_by_one_wait(signal):
    signal.set()
    signal.wait(GIVE_UP)
    assert signal.wait(0) is False


def test_two_wakes_are_one(signal):
    signal.set()
    signal.set()
    assert signal.wait(GIVE_UP) is True
    assert signal.wait(0) is False


def test_another_thread_ends_a_wait_without_a_timeout(signal):
    woken = []
    sleeper = threading.Thread(target=lambda: woken.append(signal.wait()), daemon=True)
    sleeper.start()
    signal.set()
    sleeper.join(GIVE_UP)
    assert woken == [True]


@pytest.fixture
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_wakes_from_many_threads_raise_nothing_and_the_last_one_is_not_lost(
    signal, eager_switching
):
    rounds = 2000
    done = threading.Event()

    def wake():
        for _ in range(rounds):
            signal.set()

    def sleep():
        while signal.wait() and not done.is_set():
            pass

    sleeper = threading.Thread(target=sleep, daemon=True)
    wakers = [threading.Thread(target=wake) for _ in range(3)]
    for thread in (sleeper, *wakers):
        thread.start()
    for thread in wakers:
        thread.join(GIVE_UP)
    done.set()
    signal.set()
    sleeper.join(GIVE_UP)
    assert not sleeper.is_alive()


def test_a_real_wait_takes_its_time():
    for made in (MonotonicClock().signal(), Sleeper(MonotonicClock())):
        before = time.monotonic()
        made.wait(0.02)
        assert time.monotonic() - before >= 0.02


FORKED = """
import os
import stream_audio as s
from stream_audio import ForkedProcessError
from stream_audio.testing import VirtualClock
from stream_audio.waiting.clock import MonotonicClock, Sleeper

session = s.open(s.AudioSource.virtual(), sinks=[s.CallbackSink(lambda chunk: None)])
child = os.fork()
if child == 0:
    refused = 0
    for take in (lambda: Sleeper(MonotonicClock()), VirtualClock):
        try:
            take()
        except ForkedProcessError as error:
            refused += "forked" in str(error)
    os._exit(refused)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
session.stop()
"""


def test_a_forked_child_takes_no_seat():
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=GIVE_UP
    )
    assert done.stdout.split() == ["2"], done.stderr


def test_a_clock_and_its_sleepers_may_be_collected_in_any_order():
    gc.freeze()  # the collector looks at nothing that all the other tests have left
    try:
        for _ in range(20):
            clock = VirtualClock()
            signals = [clock.signal() for _ in range(3)]
            clock.itself = (clock, signals)  # a cycle, which the collector takes apart
            gone = weakref.ref(clock)
            del clock, signals
            gc.collect()
            assert gone() is None
            VirtualClock().advance(1.0)
    finally:
        gc.unfreeze()
