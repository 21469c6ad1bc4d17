"""What is kept warm: used again, put back or closed, by what it says of itself."""

import pytest

from stream_audio import HostUnresponsiveError
from stream_audio._native.warm import Reuse, Warmable, let_go


class Thing(Warmable):
    """Counts what becomes of it."""

    def __init__(self):
        super().__init__()
        self.closed = 0
        self.rests = self.wakes = True

    def rest(self):
        return self.rests

    def wake(self):
        if self.wakes is None:
            raise HostUnresponsiveError("it hangs")
        return self.wakes

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def nothing_kept():
    let_go()
    yield
    let_go()


def test_the_last_holder_leaves_it_to_the_next():
    first = Reuse(30.0).take(Thing, Thing)
    first.hold().release()
    assert Reuse(30.0).take(Thing, Thing) is not first
    first.release()
    reuse = Reuse(30.0)
    assert reuse.take(Thing, Thing) is first
    assert reuse.has_found()
    assert first.closed == 0


@pytest.mark.parametrize("how", ["rests", "wakes"])
def test_what_cannot_be_used_again_is_closed(how):
    first = Reuse(30.0).take(Thing, Thing)
    setattr(first, how, False)
    first.release()
    reuse = Reuse(30.0)
    assert reuse.take(Thing, Thing) is not first
    assert not reuse.has_found()
    assert first.closed == 1


def test_what_does_not_fit_is_closed():
    first = Reuse(30.0).take(Thing, Thing)
    first.release()
    assert Reuse(30.0).take(Thing, Thing, lambda kept: False) is not first
    assert first.closed == 1


def test_of_two_the_later_one_is_kept():
    first, second = Reuse(30.0).take(Thing, Thing), Reuse(30.0).take(Thing, Thing)
    first.release()
    second.release()
    assert first.closed == 1
    assert Reuse(30.0).take(Thing, Thing) is second


def test_what_hangs_is_an_error_and_stays():
    first = Reuse(30.0).take(Thing, Thing)
    first.wakes = None
    first.release()
    with pytest.raises(HostUnresponsiveError):
        Reuse(30.0).take(Thing, Thing)
    first.wakes = True
    assert Reuse(30.0).take(Thing, Thing) is first
    assert first.closed == 0


def test_what_is_given_up_is_not_left_to_anybody():
    first = Reuse(30.0).take(Thing, Thing)
    first.release()
    reuse = Reuse(30.0)
    assert reuse.take(Thing, Thing) is first
    reuse.give_up()
    first.release()
    assert first.closed == 1
    assert reuse.take(Thing, Thing) is not first
