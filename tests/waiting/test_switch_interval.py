"""The interpreter's switch interval: the shortest that is asked for, then the old one again."""

import sys
from itertools import permutations

import pytest

from stream_audio.waiting import switch_interval

OWN = 0.004
"""The interpreter's, as the program has set it before."""


@pytest.fixture(autouse=True)
def own_interval():
    before = sys.getswitchinterval()
    sys.setswitchinterval(OWN)
    yield
    left = sys.getswitchinterval()
    sys.setswitchinterval(before)
    assert left == pytest.approx(OWN)


def current():
    return pytest.approx(sys.getswitchinterval(), abs=1e-7)


def test_it_is_set_and_put_back():
    switch_interval.hold(0.0005)
    assert current() == 0.0005
    switch_interval.release(0.0005)
    assert current() == OWN


def test_a_session_that_asks_for_none_changes_nothing():
    switch_interval.hold(None)
    assert current() == OWN
    switch_interval.release(None)
    assert current() == OWN


@pytest.mark.parametrize("order", list(permutations([0.001, 0.0005, 0.002])))
def test_the_shortest_of_those_that_run_holds_whoever_ends_first(order):
    running = [0.001, 0.0005, 0.002]
    for seconds in running:
        switch_interval.hold(seconds)
    for seconds in order:
        assert current() == min(running)
        switch_interval.release(seconds)
        running.remove(seconds)
    assert current() == OWN


def test_two_that_ask_for_the_same_are_two():
    switch_interval.hold(0.001)
    switch_interval.hold(0.001)
    switch_interval.release(0.001)
    assert current() == 0.001
    switch_interval.release(0.001)


def test_each_round_puts_back_what_it_found():
    for own in (0.003, OWN):
        sys.setswitchinterval(own)
        switch_interval.hold(0.001)
        switch_interval.release(0.001)
        assert current() == own
