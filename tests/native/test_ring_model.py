"""The ring against a model that is too simple to be wrong: four lists.

One thread plays both sides, in any order of calls that the two may make. What the memory orders
are for is the business of `ring_hammer.c`.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from stream_audio._native import ffi, lib
from support.effort import examples

ALL = 2**64 - 1
ALIGNMENT = 64


class Ring:
    """An sa_ring in memory of its own, aligned as it must be."""

    def __init__(self):
        self._memory = ffi.new("char[]", ffi.sizeof("sa_ring") + ALIGNMENT)
        address = int(ffi.cast("uintptr_t", self._memory))
        self.native = ffi.cast("sa_ring *", self._memory + -address % ALIGNMENT)

    def create(self, capacity, frame_bytes):
        return lib.sa_ring_create(self.native, capacity, frame_bytes)

    def destroy(self):
        lib.sa_ring_destroy(self.native)


class RingModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.ring = Ring()
        self.written = 0  # frames copied in, ever
        self.unpublished = []
        self.published = []
        self.unreleased = []  # copied out or skipped, the room not given back

    @initialize(
        capacity=st.one_of(st.integers(1, 9), st.integers(1, 300)),
        frame_bytes=st.sampled_from([1, 4, 12, 56]),
    )
    def create(self, capacity, frame_bytes):
        assert self.ring.create(capacity, frame_bytes)
        assert self.ring.native.capacity == capacity
        self.capacity = capacity
        self.frame_bytes = frame_bytes

    def teardown(self):
        self.ring.destroy()

    def frames(self, numbers):
        """Bytes that tell which frames they are, and which byte of the frame."""
        index = np.array(numbers, np.uint64)[:, None] * 31 + np.arange(self.frame_bytes)
        return (index % 251).astype(np.uint8)

    @property
    def space(self):
        used = len(self.unpublished) + len(self.published) + len(self.unreleased)
        return self.capacity - used

    def checked(self, answer, exact, wanted):
        """Exact if fewer than wanted, else at least as many; never more than there are."""
        assert answer <= exact
        assert answer == exact if answer < wanted else answer >= wanted
        return answer

    # ---- the producer ----

    @rule(wanted=st.one_of(st.integers(0, 310), st.just(ALL)))
    def ask_for_space(self, wanted):
        self.checked(lib.sa_ring_space(self.ring.native, wanted), self.space, wanted)

    @rule(wanted=st.integers(0, 310))
    def copy_in(self, wanted):
        space = lib.sa_ring_space(self.ring.native, wanted)
        count = min(wanted, self.checked(space, self.space, wanted))
        numbers = range(self.written, self.written + count)
        data = self.frames(numbers)
        lib.sa_ring_copy_in(self.ring.native, ffi.from_buffer(data), count)
        self.unpublished.extend(numbers)
        self.written += count

    @rule()
    def publish(self):
        lib.sa_ring_publish(self.ring.native)
        self.published += self.unpublished
        self.unpublished = []

    # ---- the consumer ----

    @rule(wanted=st.one_of(st.integers(0, 310), st.just(ALL)))
    def ask_for_frames(self, wanted):
        """What has not been published is not there."""
        available = lib.sa_ring_available(self.ring.native, wanted)
        self.checked(available, len(self.published), wanted)

    def take(self, wanted):
        available = lib.sa_ring_available(self.ring.native, wanted)
        count = min(wanted, self.checked(available, len(self.published), wanted))
        taken, self.published = self.published[:count], self.published[count:]
        self.unreleased += taken
        return taken

    @rule(wanted=st.integers(0, 310))
    def copy_out(self, wanted):
        taken = self.take(wanted)
        guard = 0xA5
        got = np.full((len(taken) + 1, self.frame_bytes), guard, np.uint8)
        buffer = ffi.from_buffer(got, require_writable=True)
        lib.sa_ring_copy_out(self.ring.native, buffer, len(taken))
        assert np.array_equal(got[:-1], self.frames(taken))
        assert (got[-1] == guard).all()

    @rule(wanted=st.integers(0, 310))
    def skip(self, wanted):
        lib.sa_ring_skip(self.ring.native, len(self.take(wanted)))

    @precondition(lambda self: self.unreleased)
    @rule()
    def release(self):
        lib.sa_ring_release(self.ring.native)
        self.unreleased = []


TestRingModel = RingModel.TestCase
TestRingModel.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=examples(120),
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow],  # a loaded machine is slow
)


@pytest.fixture
def ring():
    made = Ring()
    yield made
    made.destroy()


@pytest.mark.parametrize(("capacity", "frame_bytes"), [(0, 4), (4, 0), (2**62, 8), (ALL, 1)])
def test_a_ring_that_cannot_be_is_refused(ring, capacity, frame_bytes):
    assert not ring.create(capacity, frame_bytes)


def test_a_ring_may_be_destroyed_twice(ring):
    assert ring.create(10, 4)
    ring.destroy()
    ring.destroy()


def test_each_round_starts_elsewhere_and_nothing_is_torn(ring):
    """Seven frames at a time through a ring of ten: the seam wanders over every slot."""
    assert ring.create(10, 8)
    for start in range(0, 7000, 7):
        frames = np.arange(start, start + 7, dtype=np.int64)
        assert lib.sa_ring_space(ring.native, 7) >= 7
        lib.sa_ring_copy_in(ring.native, ffi.from_buffer(frames), 7)
        assert lib.sa_ring_available(ring.native, 1) == 0
        lib.sa_ring_publish(ring.native)
        got = np.zeros(7, np.int64)
        assert lib.sa_ring_available(ring.native, 7) == 7
        lib.sa_ring_copy_out(ring.native, ffi.from_buffer(got, require_writable=True), 7)
        assert np.array_equal(got, frames)
        assert lib.sa_ring_space(ring.native, 4) == 3
        lib.sa_ring_release(ring.native)
        assert lib.sa_ring_space(ring.native, 10) == 10
