"""A signal ends a recording as it should end; some leave it ten seconds in all."""

import queue
import signal

import pytest

from stream_audio.cli.stopping import STOP_TIMEOUT, Stopping

GIVE_UP = 30.0


class Session:
    def __init__(self):
        self.stops = queue.Queue()

    def stop(self, timeout=None):
        self.stops.put(timeout)


@pytest.fixture
def stopping():
    """Return one that runs; the handlers of before are back afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    with Stopping() as one:
        yield one
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_ends_it_and_leaves_all_the_time_that_its_sinks_need(stopping):
    signal.raise_signal(signal.SIGINT)
    assert stopping.told.is_set()
    assert not stopping.in_a_hurry


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_the_system_ends_has_ten_seconds_in_all(stopping, number):
    signal.raise_signal(number)
    assert stopping.told.is_set()
    assert stopping.in_a_hurry


def test_a_second_ctrl_c_shortens_the_stop_under_way(stopping):
    stopping.session = Session()
    signal.raise_signal(signal.SIGINT)
    assert stopping.session.stops.empty()
    signal.raise_signal(signal.SIGINT)
    assert stopping.session.stops.get(timeout=GIVE_UP) == STOP_TIMEOUT == 10.0


def test_a_hang_up_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stopping() as one:
            signal.raise_signal(signal.SIGHUP)
            assert not one.told.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_signal_the_handlers_of_before_are_back():
    before = signal.getsignal(signal.SIGTERM)
    with Stopping():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
