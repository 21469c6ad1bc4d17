"""The reopener by itself: when it tries, what it gives up, and that nothing waits for it."""

import threading
from itertools import pairwise

import pytest

from stream_audio import DeviceError
from stream_audio.engine.reopener import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_STUCK,
    OPEN_SECONDS,
    Reopener,
    ReopenState,
)
from stream_audio.testing import VirtualClock
from stream_audio.waiting.clock import own_signal

GIVE_UP = 30.0


class Device:
    """What an opening brings."""

    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


class World:
    """A reopener on a clock that the test moves, and openings that go as it says.

    ``answers``: for each opening an exception to raise, seconds to hang for, or "never".
    """

    def __init__(self, *answers, wanted=True, **settings):
        self.clock = VirtualClock(auto=False)
        self.began = self.clock.now()
        self.answers = list(answers)
        self.opened_at = []
        self.taken = []
        self.devices = []
        self.given_up = threading.Event()
        self.wanted = wanted
        self.never = []
        self.reopener = Reopener(
            "mic", self.open, self.take, self.given_up.set, self.clock, **settings
        )

    def open(self):
        self.opened_at.append(round(self.clock.now() - self.began, 6))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer == "never":
            self.never.append(own_signal())
            own_signal().wait()
        elif answer is not None:
            self.clock.sleep(answer)
        self.devices.append(Device())
        return self.devices[-1]

    def take(self, device):
        if self.wanted:
            self.taken.append(device)
        return self.wanted

    def advance(self, seconds):
        self.clock.advance(seconds, timeout=GIVE_UP)

    def close(self):
        self.reopener.end()
        for signal in self.never:
            signal.set()
        self.advance(0.0)


@pytest.fixture
def make():
    made = []

    def make(*answers, **settings):
        made.append(World(*answers, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_pauses_double_up_to_the_longest(make):
    world = make(*[DeviceError("busy")] * 100)
    world.reopener.begin()
    world.advance(30.0)
    pauses = [late - early for early, late in pairwise([0, *world.opened_at])]
    assert pauses[:7] == pytest.approx([FIRST_PAUSE, 0.5, 1.0, 2.0, 4.0, 5.0, LONGEST_PAUSE])
    assert world.reopener.state is ReopenState.PAUSING
    assert world.reopener.given_up == 0


def test_the_first_that_opens_is_handed_over(make):
    world = make(DeviceError("busy"), DeviceError("busy"), 0.125)
    world.reopener.begin()
    world.advance(1.76)
    assert world.reopener.state is ReopenState.OPENING
    world.advance(1.0)
    assert world.taken == world.devices
    assert not world.devices[0].closed.is_set()
    assert world.reopener.state is ReopenState.IDLE
    assert world.reopener.tries == 3
    world.advance(100.0)
    assert len(world.opened_at) == 3


def test_it_does_so_at_each_loss_and_from_the_first_pause_again(make):
    world = make(*[DeviceError("busy")] * 5, None, DeviceError("busy"), None)
    world.reopener.begin()
    world.advance(50.0)
    world.reopener.begin()
    world.advance(50.0)
    assert len(world.taken) == 2
    assert world.opened_at[-2:] == pytest.approx([50.25, 50.75])


def test_a_change_of_the_devices_cuts_a_pause_short(make):
    told = []

    class Watch:
        closed = False

        def close(self):
            self.closed = True

    watches = []

    def watch(change):
        told.append(change)
        watches.append(Watch())
        return watches[-1]

    world = make(*[DeviceError("gone")] * 6, watch=watch)
    world.reopener.begin()
    world.advance(17.0)
    tries = len(world.opened_at)
    assert tries == 6
    told[0]()
    world.advance(0.0)
    assert world.opened_at[-1] == 17.0
    assert world.taken == world.devices
    assert watches[0].closed


def test_a_hanging_opening_is_given_up_counted_and_tried_again(make):
    world = make("never", None)
    world.reopener.begin()
    world.advance(FIRST_PAUSE + OPEN_SECONDS)
    assert world.reopener.given_up == 1
    assert world.opened_at == [FIRST_PAUSE, FIRST_PAUSE + OPEN_SECONDS]
    assert world.taken == world.devices


def test_what_comes_back_late_is_taken_if_it_is_still_wanted(make):
    world = make(OPEN_SECONDS + 1.0, *[DeviceError("busy")] * 9)
    world.reopener.begin()
    world.advance(FIRST_PAUSE + OPEN_SECONDS + 1.5)
    assert world.reopener.given_up == 1
    assert world.taken == world.devices
    assert world.reopener.state is ReopenState.IDLE


def test_what_comes_back_when_another_one_was_taken_is_closed(make):
    world = make(OPEN_SECONDS + 3.0, 0.5)
    world.reopener.begin()
    world.advance(60.0)
    first, second = world.devices
    assert world.taken == [first]
    assert second.closed.wait(GIVE_UP)


def test_no_more_than_a_few_hang_at_a_time(make):
    world = make(*["never"] * 10)
    world.reopener.begin()
    world.advance(1000.0)
    assert len(world.opened_at) == MOST_STUCK == world.reopener.given_up
    assert world.reopener.state is ReopenState.STUCK
    world.answers.clear()
    world.never[0].set()  # the driver lets go of one
    world.advance(0.0)
    assert len(world.taken) == 1


def test_after_the_timeout_it_is_over(make):
    world = make(*[DeviceError("busy")] * 100, timeout=3.0)
    world.reopener.begin()
    world.advance(2.9)
    assert not world.given_up.is_set()
    world.advance(0.1)
    assert world.given_up.is_set()
    assert world.reopener.state is ReopenState.ENDED
    world.advance(100.0)
    assert max(world.opened_at) < 3.0


def test_the_timeout_counts_while_openings_hang(make):
    world = make("never", timeout=3.0)
    world.reopener.begin()
    world.advance(3.0)
    assert world.given_up.is_set()


def test_an_end_does_not_wait_for_an_opening_that_hangs(make):
    world = make("never")
    world.reopener.begin()
    world.advance(1.0)
    world.reopener.end()
    world.advance(0.0)
    assert world.reopener.state is ReopenState.ENDED
    world.never[0].set()
    world.advance(0.0)
    assert world.taken == []
    assert world.devices[0].closed.wait(GIVE_UP)


def test_what_nobody_wants_any_more_is_closed(make):
    world = make(None, wanted=False)
    world.reopener.begin()
    world.advance(10.0)
    assert world.devices[0].closed.wait(GIVE_UP)
    assert len(world.opened_at) == 1


def test_an_error_that_is_none_of_ours_is_tried_again_too(make):
    world = make(ZeroDivisionError("a broken source"), None)
    world.reopener.begin()
    world.advance(10.0)
    assert world.taken == world.devices
