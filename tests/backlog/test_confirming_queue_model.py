"""The queue that waits for confirmations, against a model that is too simple to be wrong: a list.

One thread plays the putting side, the sending side, the thread that spills and whoever confirms,
on disks that may fail. Whatever happens: what is sent comes in order, bit by bit; after a failure
all that is not confirmed comes again, in order; each frame is confirmed once or is in one gap.
"""

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

from backlog.test_spilling_queue_model import Disk
from stream_audio import GapCause
from stream_audio.backlog.confirming_queue import ConfirmingQueue
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.backlog.spilling_queue import SpillingQueue
from support.chunks import make_chunk
from support.effort import examples

FRAME_BYTES = 4
PUT = st.tuples(st.sampled_from("ab"), st.integers(1, 9), st.integers(0, 3))


class ConfirmingQueueModel(RuleBasedStateMachine):
    @initialize(
        limit=st.integers(1, 160),
        spill_limit=st.sampled_from([1, 3000, 2**30, 2**30]),
        spills=st.booleans(),
    )
    def create(self, limit, spill_limit, spills):
        self.disk = Disk()
        self.asked = []

        def make_queue(ask):
            if not spills:
                return ChunkQueue(limit)
            return SpillingQueue(limit, spill_limit, self.disk.open, ask, lambda error: None)

        self.waiting = make_queue(self.asked.append)
        self.queue = ConfirmingQueue(self.waiting, make_queue)
        self.roomy = spills and spill_limit == 2**30
        self.failing = False
        self.next_frame = {"a": 0, "b": 0}
        self.put_frames = set()
        self.lost = {}  # (source, frame): cause
        self.confirmed = {"a": 0, "b": 0}  # before that frame
        self.written = {"a": 0, "b": 0}
        self.pass_of = {"a": 0, "b": 0}  # the end of what was sent since the last failure
        self.held = None
        self.delivered = 0

    # ---- what the model knows ----

    def enter(self, gaps):
        for gap in gaps:
            for frame in range(gap.frame, gap.end):
                assert (gap.source, frame) in self.put_frames
                assert (gap.source, frame) not in self.lost
                assert frame >= self.confirmed[gap.source], "a confirmed frame is not lost"
                self.lost[gap.source, frame] = gap.cause
            assert (
                gap.time == 1000 + gap.frame / 48_000
                or abs(gap.time - 1000 - gap.frame / 48_000) < 1e-9
            )

    def enter_all(self):
        self.enter(self.queue.dropped())
        self.enter(self.queue.lost())
        self.delivered += self.queue.newly_confirmed()

    def arrived(self):
        """How many frames were put, confirmed, and not lost before."""
        return sum(
            frame < self.confirmed[source] and (source, frame) not in self.lost
            for source, frame in self.put_frames
        )

    # ---- the rules ----

    @rule(what=PUT)
    def put(self, what):
        source, frames, lost_before = what
        start = self.next_frame[source] + lost_before
        chunk = make_chunk(start, frames, source=source, missing=lost_before)
        self.next_frame[source] = chunk.end
        self.put_frames |= {(source, frame) for frame in range(start, chunk.end)}
        self.enter(self.queue.put(chunk))

    @precondition(lambda self: self.held is None)
    @rule()
    def hold(self):
        chunk = self.queue.hold()
        self.enter_all()
        if chunk is None:
            assert self.queue.frames == self.queue.unconfirmed
            return
        source = chunk.source
        assert (chunk.data[:, 0] == np.arange(chunk.frame, chunk.end)).all()
        assert chunk.frame >= self.confirmed[source], "what is confirmed is not sent again"
        # In order, and nothing is left out but what is confirmed, or lost.
        begin = max(self.pass_of[source], self.confirmed[source])
        assert chunk.frame >= begin
        for frame in range(begin, chunk.frame):
            assert (source, frame) not in self.put_frames or (source, frame) in self.lost
        assert self.queue.holds_again == (chunk.end <= self.written[source])
        self.pass_of[source] = chunk.end
        self.written[source] = max(self.written[source], chunk.end)
        self.held = chunk

    @precondition(lambda self: self.held is not None)
    @rule()
    def keep(self):
        self.queue.keep()
        self.held = None

    @precondition(lambda self: self.held is not None)
    @rule()
    def give_up(self):
        rest = self.queue.give_up()
        if rest is not None:
            assert (rest.source, rest.end) == (self.held.source, self.held.end)
            for frame in range(rest.frame, rest.end):
                assert frame >= self.confirmed[rest.source]
                assert (rest.source, frame) not in self.lost
                self.lost[rest.source, frame] = GapCause.SINK_FAILED
        self.held = None

    @rule()
    def fail(self):
        self.queue.rewind()
        self.held = None
        self.pass_of = {"a": 0, "b": 0}

    @rule(source=st.sampled_from("ab"), share=st.floats(0, 1))
    def confirm(self, source, share):
        low, high = self.confirmed[source], self.written[source]
        frame = low + round((high - low) * share)
        assert self.queue.confirm(source, frame) == (frame > low)
        self.confirmed[source] = frame

    @rule(source=st.sampled_from("ab"), beyond=st.integers(1, 100))
    def confirm_what_was_never_written(self, source, beyond):
        try:
            self.queue.confirm(source, self.written[source] + beyond)
        except ValueError:
            return
        raise AssertionError("it was taken")

    @rule()
    def settle(self):
        self.queue.settle()
        self.enter_all()

    @rule()
    def spill(self):
        while self.asked:
            self.asked.pop().spill_step()

    @rule(full=st.booleans(), unreadable=st.booleans())
    def the_disk_turns(self, full, unreadable):
        self.disk.full, self.disk.unreadable = full, unreadable
        self.failing |= full or unreadable

    @precondition(lambda self: len(self.put_frames) > 150)
    @rule(cause=st.sampled_from([GapCause.REMOVED, GapCause.STOP_TIMEOUT, GapCause.SINK_FAILED]))
    def drop_all(self, cause):
        self.enter_all()
        before = set(self.lost)
        self.enter(self.queue.drop_all(cause))
        self.enter_all()
        own = GapCause.UNCONFIRMED if cause is not GapCause.SINK_FAILED else cause
        causes = {self.lost[each] for each in set(self.lost) - before}
        assert causes <= {cause, own, GapCause.BACKLOG_FULL}
        assert self.queue.frames == 0
        self.held = None
        self.next_frame = dict.fromkeys("ab", max(self.next_frame.values()))

    # ---- what is always so ----

    @invariant()
    def every_frame_is_accounted_for(self):
        self.enter_all()
        pending = len(self.put_frames) - len(self.lost) - self.delivered
        # A chunk that is confirmed in part, or behind another, is pending until it is looked at.
        assert self.queue.frames == pending
        assert self.delivered <= self.arrived()

    @invariant()
    def a_disk_that_is_well_loses_nothing(self):
        if self.roomy and not self.failing and not self.asked:
            assert GapCause.BACKLOG_FULL not in self.lost.values()

    @invariant()
    def memory_is_bounded(self):
        assert self.queue.memory_bytes <= self.queue.most_memory_bytes + 3 * 2 * 9 * FRAME_BYTES
        assert self.queue.memory_bytes + self.queue.disk_bytes == self.queue.bytes

    def teardown(self):
        if not hasattr(self, "queue"):
            return
        self.disk.full = self.disk.unreadable = False
        self.fail()
        while True:
            self.hold()
            if self.held is None:
                break
            self.keep()
        for source in "ab":
            self.confirm(source, 1.0)
        self.settle()
        self.every_frame_is_accounted_for()
        assert self.queue.frames == self.queue.bytes == 0
        assert self.delivered == len(self.put_frames) - len(self.lost)


def test_the_queue_agrees_with_a_list():
    run_state_machine_as_test(
        ConfirmingQueueModel,
        settings=settings(
            derandomize=True, deadline=None, max_examples=examples(120), stateful_step_count=60
        ),
    )


def test_what_is_confirmed_before_it_was_sent_is_counted_out_of_its_own_part():
    queue = ConfirmingQueue(ChunkQueue(1000), lambda ask: ChunkQueue(1000))
    for frame in (50, 0):
        queue.put(make_chunk(frame, 50))
    assert queue.hold().frame == 50
    assert queue.confirm(make_chunk(0, 1).source, 100)
    queue.keep()
    assert queue.hold() is None
    assert (queue.frames, queue.newly_confirmed()) == (0, 100)
