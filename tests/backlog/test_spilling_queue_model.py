"""The queue that spills, against a model that is too simple to be wrong: a list.

One thread plays the putting side, the taking side and the thread that spills, in any order, also
in the midst of each other's reads and writes, on a disk that may fail at any moment. Whatever
happens: what comes out comes in order, bit by bit; each frame comes out once or is in one gap that
both sides are told of, before the chunk that follows it.
"""

import errno
import weakref

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stream_audio import AudioChunk, Gap, GapCause
from stream_audio.backlog.spilling_queue import SpillingQueue
from support.effort import examples

FRAME_BYTES = 4
LARGEST = 9 * FRAME_BYTES


class Disk:
    """Files in memory; something may happen in the middle of a read or a write."""

    def __init__(self):
        self.full = False
        self.unreadable = False
        self.meanwhile = None
        self.files = weakref.WeakSet()

    def open(self):
        return DiskFile(self)

    def happen(self, beside):
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile(beside)


class DiskFile:
    def __init__(self, disk):
        self.disk = disk
        self.content = bytearray()
        disk.files.add(self)

    def write(self, data, offset):
        half = len(data) // 2
        self.content[offset : offset + half] = data[:half]
        self.disk.happen("write")
        if self.disk.full:
            raise OSError(errno.ENOSPC, "no space left")
        self.content[offset : offset + len(data)] = data

    def read(self, length, offset):
        self.disk.happen("read")
        if self.disk.unreadable:
            raise OSError(errno.EIO, "unreadable")
        return bytes(self.content[offset : offset + length])


def make_chunk(source, frame, frames, gaps):
    data = np.arange(frame, frame + frames, dtype=np.float32)[:, None]
    data.flags.writeable = False
    return AudioChunk(source, data, 48_000, frame, 1000 + frame / 48_000, 0.0, tuple(gaps))


PUT = st.tuples(
    st.sampled_from("ab"),
    st.integers(1, 9),  # frames of the chunk
    st.integers(0, 3),  # frames that the source lost before it
)
PUTS = st.lists(PUT, min_size=5, max_size=20)

MEANWHILE = st.one_of(
    st.none(), PUTS, st.sampled_from(["the other side's turn", "disk fails", "remove"])
)


class SpillingQueueModel(RuleBasedStateMachine):
    @initialize(limit=st.integers(1, 160), spill_limit=st.sampled_from([1, 3000, 2**30, 2**30]))
    def create(self, limit, spill_limit):
        self.disk = Disk()
        self.failures = []
        self.limit = limit
        self.spill_limit = spill_limit
        self.asked = False
        self.queue = SpillingQueue(
            limit, spill_limit, self.disk.open, self.ask, self.failures.append
        )
        self.waiting = []  # put, and neither taken nor dropped as far as told
        self.held = None
        self.ended = False
        self.next_frame = {"a": 0, "b": 0}
        self.cause = {}  # (source, frame): why it did not come out, as far as told
        self.told = {"a": 0, "b": 0}  # the taking side knows what became of all before

    def ask(self, queue):
        assert queue is self.queue
        self.asked = True

    # ---- what the model knows ----

    def enter_drops(self, gaps):
        """What is told to be dropped are chunks that wait, each of them once."""
        for gap in gaps:
            frame = gap.frame
            while frame < gap.end:
                (chunk,) = (c for c in self.waiting if (c.source, c.frame) == (gap.source, frame))
                self.waiting.remove(chunk)
                for one in range(frame, chunk.end):
                    self.cause[gap.source, one] = gap.cause
                frame = chunk.end
            assert frame == gap.end

    def check_taken(self, chunk):
        put = self.waiting.pop(0)
        assert (chunk.source, chunk.frame, chunk.time) == (put.source, put.frame, put.time)
        np.testing.assert_array_equal(chunk.data, put.data)
        np.testing.assert_array_equal(chunk.peak, put.peak)
        assert chunk.data.dtype == np.float32
        assert not chunk.data.flags.writeable
        for gap in chunk.gaps:
            assert (gap.source, gap.frame) == (chunk.source, self.told[chunk.source])
            causes = {self.cause[chunk.source, frame] for frame in range(gap.frame, gap.end)}
            assert causes == {gap.cause}
            self.told[chunk.source] = gap.end
        assert chunk.frame == self.told[chunk.source]
        self.told[chunk.source] = chunk.end

    # ---- what each side does ----

    def put_one(self, source, frames, lost_before):
        start = self.next_frame[source]
        gaps = []
        if lost_before:
            gaps = [Gap(source, start, lost_before, GapCause.RING_FULL, 1000 + start / 48_000)]
        for frame in range(start, start + lost_before):
            self.cause[source, frame] = GapCause.RING_FULL
        chunk = make_chunk(source, start + lost_before, frames, gaps)
        self.next_frame[source] = chunk.end

        self.enter_drops(self.queue.dropped())
        before = self.queue.memory_bytes + chunk.data.nbytes
        bound = self.limit if self.queue._failed else 2 * self.limit
        dropped = self.queue.put(chunk)
        self.enter_drops(dropped)
        self.waiting.append(chunk)
        assert self.asked or self.queue._failed or self.queue.memory_bytes <= self.limit
        if dropped:  # one less would not have been enough
            but_one = FRAME_BYTES * sum(gap.frames for gap in dropped[:-1])
            assert before - but_one > bound

    def take_one(self):
        chunk = self.queue.hold()
        self.enter_drops(self.queue.dropped())
        if self.ended:
            assert chunk is None
        elif chunk is None:
            assert self.waiting == []
        else:
            self.check_taken(chunk)
            self.held = chunk

    def let_go(self):
        assert self.queue.release() is (self.held is not None)
        self.held = None

    def step(self):
        """Nothing is dropped by a disk that is well and has room."""
        self.enter_drops(self.queue.dropped())
        self.asked = False
        self.queue.spill_step()
        dropped = self.queue.dropped()
        self.enter_drops(dropped)
        if self.spill_limit == 2**30 and not self.failures:
            assert not dropped

    def drop_everything(self, cause):
        self.enter_drops(self.queue.dropped())
        files = len(self.disk.files)
        gaps = self.queue.drop_all(cause)
        assert len(self.disk.files) == files  # to close one is to touch the disk
        assert {gap.cause for gap in gaps} <= {cause}
        if self.held is not None:
            assert (gaps[0].frame, gaps[0].frames) == (self.held.frame, self.held.frames)
            gaps, self.held = gaps[1:], None
        self.enter_drops(gaps)
        assert self.waiting == []
        assert self.queue.frames == 0
        self.ended = True

    # ---- the rules ----

    @rule(what=PUT)
    def put(self, what):
        self.put_one(*what)

    @rule(what=PUTS)
    def put_much(self, what):
        for one in what:
            self.put_one(*one)

    @precondition(lambda self: not self.ended and self.held is None)
    @rule()
    def hold(self):
        self.take_one()

    @rule()
    def release(self):
        self.let_go()

    @precondition(lambda self: not self.ended and self.held is None)
    @rule(count=st.integers(1, 20), meanwhile=MEANWHILE)
    def take(self, count, meanwhile):
        self.arrange(meanwhile)
        for _ in range(count):
            self.take_one()
            self.let_go()
        self.disk.meanwhile = None

    @rule(steps=st.integers(1, 5), meanwhile=MEANWHILE)
    def spill(self, steps, meanwhile):
        self.arrange(meanwhile)
        for _ in range(steps):
            self.step()
        self.disk.meanwhile = None

    def arrange(self, meanwhile):
        """Let something happen in the midst of the next read or write."""

        def happen(beside):
            if isinstance(meanwhile, list):
                for one in meanwhile:
                    self.put_one(*one)
            elif meanwhile == "remove":
                self.drop_everything(GapCause.REMOVED)
            elif meanwhile == "disk fails":
                self.disk.full = self.disk.unreadable = True
            elif beside == "read":
                self.step()
            elif not self.ended and self.held is None:
                self.take_one()

        self.disk.meanwhile = happen if meanwhile else None

    @rule(full=st.booleans(), unreadable=st.booleans())
    def the_disk_turns(self, full, unreadable):
        self.disk.full = full
        self.disk.unreadable = unreadable

    @rule()
    def the_disk_is_well_again(self):
        self.disk.full = self.disk.unreadable = False

    @precondition(lambda self: len(self.waiting) > 30)  # not too soon: it ends the run
    @rule(cause=st.sampled_from([GapCause.REMOVED, GapCause.STOP_TIMEOUT]))
    def remove_or_time_out(self, cause):
        self.drop_everything(cause)

    # ---- what is always so ----

    @invariant()
    def every_frame_is_accounted_for(self):
        self.enter_drops(self.queue.dropped())
        held = self.held.frames if self.held else 0
        assert self.queue.frames == sum(chunk.frames for chunk in self.waiting) + held
        assert self.queue.bytes == sum(chunk.data.nbytes for chunk in self.waiting)

    @invariant()
    def memory_and_disk_are_bounded(self):
        batch = self.limit // 4 + LARGEST
        assert self.queue.memory_bytes <= max(2 * self.limit, LARGEST) + 2 * batch
        assert self.queue._file.bytes <= self.spill_limit
        assert self.queue.memory_bytes + self.queue.disk_bytes == self.queue.bytes

    def teardown(self):
        if not hasattr(self, "queue"):
            return
        if not self.ended:
            self.let_go()
            while self.waiting:
                self.take_one()
                self.let_go()
            assert self.queue.pop() is None
        else:
            self.drop_everything(GapCause.REMOVED)
        self.every_frame_is_accounted_for()
        assert self.queue.bytes == self.queue.memory_bytes == self.queue.disk_bytes == 0
        self.queue.spill_step()  # which closes what drop_all left
        assert len(self.disk.files) == 0


def test_the_queue_agrees_with_a_list():
    run_state_machine_as_test(
        SpillingQueueModel,
        settings=settings(
            derandomize=True, deadline=None, max_examples=examples(200), stateful_step_count=60
        ),
    )
