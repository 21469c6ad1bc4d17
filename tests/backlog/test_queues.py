"""The bounded queue: what is pushed out is told to both sides, to the frame."""

import contextlib
import random
import signal
import sys
import threading
import time
from collections import deque
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import AudioChunk, Gap, GapCause
from stream_audio.audio.untold_gaps import missing
from stream_audio.backlog import queues
from stream_audio.backlog.queues import BlockingQueue, ChunkQueue, DropNewestQueue
from support.effort import examples
from support.lines import before_line

FRAME_BYTES = 4
GIVE_UP = 30.0


def chunk(frame, frames=1, source="mic", gaps=()):
    data = np.zeros((frames, 1), np.float32)
    return AudioChunk(source, data, 48_000, frame, 1000 + frame / 48_000, 0.0, tuple(gaps))


def lost(frame, frames, cause=GapCause.BACKLOG_FULL, source="mic"):
    return Gap(source, frame, frames, cause, 1000 + frame / 48_000)


def drain(queue):
    return list(iter(queue.pop, None))


def test_first_in_first_out():
    queue = ChunkQueue(100)
    chunks = [chunk(0), chunk(1), chunk(2)]
    for one in chunks:
        assert queue.put(one) == ()
    assert drain(queue) == chunks
    assert queue.pop() is None


def test_it_counts_what_waits():
    queue = ChunkQueue(100)
    queue.put(chunk(0, 3))
    queue.put(chunk(3, 5))
    assert (queue.frames, queue.bytes) == (8, 8 * FRAME_BYTES)
    queue.pop()
    assert (queue.frames, queue.bytes) == (5, 5 * FRAME_BYTES)


def test_exactly_the_limit_fits():
    queue = ChunkQueue(10 * FRAME_BYTES)
    assert queue.put(chunk(0, 4)) == ()
    assert queue.put(chunk(4, 6)) == ()
    assert queue.put(chunk(10, 1)) == (lost(0, 4),)


def test_a_full_queue_drops_the_oldest_and_tells_the_putting_side():
    queue = ChunkQueue(3 * FRAME_BYTES)
    for frame in range(3):
        queue.put(chunk(frame))
    assert queue.put(chunk(3, 2)) == (lost(0, 1), lost(1, 1))
    assert [one.frame for one in drain(queue)] == [2, 3]


def test_the_taking_side_is_told_by_the_chunk_that_follows():
    queue = ChunkQueue(2 * FRAME_BYTES)
    for frame in range(5):
        queue.put(chunk(frame))
    first, second = drain(queue)
    assert first.gaps == (lost(0, 3),)
    assert second.gaps == ()


def test_the_gaps_of_a_dropped_chunk_are_passed_on():
    queue = ChunkQueue(2 * FRAME_BYTES)
    ring_gap = lost(0, 7, GapCause.RING_FULL)
    queue.put(chunk(7, 2, gaps=[ring_gap]))
    own = lost(9, 1, GapCause.HOST_OVERFLOW)
    queue.put(chunk(10, 1, gaps=[own]))
    assert queue.pop().gaps == (ring_gap, lost(7, 2), own)


def test_dropped_chunks_that_do_not_adjoin_stay_apart():
    """A jump of the timeline that is no loss, such as a pause, is not told as one."""
    queue = ChunkQueue(2 * FRAME_BYTES)
    for frame in (0, 50, 100, 101):
        queue.put(chunk(frame))
    assert queue.pop().gaps == (lost(0, 1), lost(50, 1))


def test_a_source_is_told_of_its_own_gaps_alone():
    queue = ChunkQueue(2 * FRAME_BYTES)
    queue.put(chunk(0, source="a"))
    queue.put(chunk(0, source="b"))
    queue.put(chunk(1, source="b"))
    queue.put(chunk(1, source="a"))
    first, second = drain(queue)
    assert (first.source, first.gaps) == ("b", (lost(0, 1, source="b"),))
    assert (second.source, second.gaps) == ("a", (lost(0, 1, source="a"),))


def test_a_chunk_larger_than_the_limit_is_taken_all_the_same():
    queue = ChunkQueue(1)
    queue.put(chunk(0, 100))
    assert queue.put(chunk(100, 100)) == (lost(0, 100),)
    assert queue.pop().frame == 100


def test_a_taken_chunk_is_the_one_that_was_put():
    queue = ChunkQueue(1 * FRAME_BYTES)
    kept = chunk(1)
    queue.put(chunk(0))
    queue.put(kept)
    taken = queue.pop()
    assert taken.data is kept.data
    assert (taken.frame, taken.time, taken.source) == (kept.frame, kept.time, kept.source)


PUT = st.tuples(
    st.sampled_from("ab"),
    st.integers(1, 9),  # frames of the chunk
    st.integers(0, 3),  # frames that the source lost before it
)


@settings(derandomize=True, deadline=None, max_examples=examples(300))
@given(st.integers(1, 20), st.lists(st.one_of(PUT, st.none()), max_size=60))
def test_any_puts_and_takes_agree_with_a_plain_deque(limit_frames, steps):
    queue = ChunkQueue(limit_frames * FRAME_BYTES)
    model = deque()
    next_frame = dict.fromkeys("ab", 0)
    became = {"a": {}, "b": {}}  # what the taking side was told of each frame
    expected = {"a": {}, "b": {}}

    def take():
        taken = queue.pop()
        if not model:
            assert taken is None
            return
        put = model.popleft()
        assert (taken.source, taken.frame, taken.frames) == (put.source, put.frame, put.frames)
        told = became[taken.source]
        for gap in taken.gaps:
            assert gap.source == taken.source
            assert gap.frame == len(told)
            told.update(dict.fromkeys(range(gap.frame, gap.end), gap.cause))
        assert taken.frame == len(told)
        told.update(dict.fromkeys(range(taken.frame, taken.end), "taken"))

    for step in steps:
        if step is None:
            take()
            continue
        source, frames, lost_before = step
        start = next_frame[source]
        gaps = [lost(start, lost_before, GapCause.RING_FULL, source)] if lost_before else []
        one = chunk(start + lost_before, frames, source, gaps)
        next_frame[source] = one.end
        expected[source].update(dict.fromkeys(range(start, one.frame), GapCause.RING_FULL))
        expected[source].update(dict.fromkeys(range(one.frame, one.end), "taken"))
        room = []
        while model and sum(c.frames for c in model) + frames > limit_frames:
            room.append(missing(model.popleft(), GapCause.BACKLOG_FULL))
        assert queue.put(one) == tuple(room)
        for gap in room:
            pushed_out = dict.fromkeys(range(gap.frame, gap.end), GapCause.BACKLOG_FULL)
            expected[gap.source].update(pushed_out)
        model.append(one)
        assert queue.frames == sum(c.frames for c in model)
    while model:
        take()
    for source, told in became.items():
        assert told == {frame: expected[source][frame] for frame in told}


@pytest.fixture
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_two_threads_lose_no_frame_between_them(eager_switching):
    queue = ChunkQueue(8 * FRAME_BYTES)
    pushed_out = []
    frames = [1 + i * 7919 % 5 for i in range(20_000)]  # of the chunks, irregular

    def put_all():
        frame = 0
        for n in frames:
            pushed_out.extend(queue.put(chunk(frame, n)))
            frame += n
        done.set()

    done = threading.Event()
    thread = threading.Thread(target=put_all)
    thread.start()
    told = 0
    taken = in_gaps = 0
    while True:
        finished = done.is_set()
        one = queue.pop()
        if one is None:
            if finished:
                break
            continue
        for gap in one.gaps:
            assert (gap.frame, gap.cause) == (told, GapCause.BACKLOG_FULL)
            told = gap.end
            in_gaps += gap.frames
        assert one.frame == told
        told = one.end
        taken += one.frames
    thread.join(GIVE_UP)
    assert told == sum(frames)
    assert taken + in_gaps == sum(frames)
    assert in_gaps == sum(gap.frames for gap in pushed_out)
    assert (queue.frames, queue.bytes) == (0, 0)


@pytest.mark.parametrize("limit", [2, 1000])
def test_a_consumer_suspended_anywhere_in_a_take_does_not_hold_the_putting_side_up(limit):
    """A full queue, too: where the consumer is just removing one, nothing more is dropped."""
    dropped = []
    for line in count(1):
        queue = ChunkQueue(limit * FRAME_BYTES)
        queue.put(chunk(0))
        queue.put(chunk(1))

        def put(queue=queue):
            dropped.append(queue.put(chunk(2)))

        def put_on_another_thread(put=put):
            producer = threading.Thread(target=put, daemon=True)
            producer.start()
            producer.join(GIVE_UP)
            return not producer.is_alive()

        with before_line(line, (queues,), put_on_another_thread) as came_through:
            taken = queue.pop()
        if not came_through:
            break
        assert came_through == [True], line
        left = [taken, *drain(queue)]
        assert sum(one.frames for one in left) + sum(gap.frames for gap in dropped[-1]) == 3
        assert (queue.frames, queue.bytes) == (0, 0)
    assert line > 5
    assert () in dropped


# ---- held: taken, but still pending ----


def test_what_is_held_is_pending_until_it_is_released():
    queue = ChunkQueue(100)
    queue.put(chunk(0, 3))
    queue.put(chunk(3, 5))
    assert queue.hold().frame == 0
    assert (queue.frames, queue.bytes) == (8, 5 * FRAME_BYTES)
    assert queue.release() is True
    assert queue.frames == 5
    assert queue.release() is False


def test_what_is_held_can_be_dropped_with_all_the_rest():
    queue = ChunkQueue(100)
    queue.put(chunk(0, 3))
    queue.put(chunk(3, 5))
    queue.hold()
    causes = GapCause.REMOVED
    assert queue.drop_all(causes) == (lost(0, 3, causes), lost(3, 5, causes))
    assert queue.release() is False
    assert (queue.frames, queue.bytes) == (0, 0)
    assert queue.pop() is None


def test_the_most_that_ever_waited_is_known():
    queue = ChunkQueue(100)
    queue.put(chunk(0, 3))
    queue.put(chunk(3, 5))
    drain(queue)
    queue.put(chunk(8, 2))
    assert queue.highest_bytes == 8 * FRAME_BYTES


# ---- the newest goes ----


def test_when_full_the_newest_goes_and_the_next_that_fits_tells_of_it():
    queue = DropNewestQueue(3 * FRAME_BYTES)
    for frame in range(3):
        assert queue.put(chunk(frame)) == ()
    ring_gap = lost(3, 7, GapCause.RING_FULL)
    assert queue.put(chunk(10, 2, gaps=[ring_gap])) == (lost(10, 2),)
    assert queue.put(chunk(12)) == (lost(12, 1),)
    assert queue.pop().frame == 0
    assert queue.put(chunk(13)) == ()
    *_, last = drain(queue)
    assert (last.frame, last.gaps) == (13, (ring_gap, lost(10, 3)))


def test_a_chunk_larger_than_the_limit_is_taken_if_nothing_waits():
    queue = DropNewestQueue(1)
    assert queue.put(chunk(0, 100)) == ()
    assert queue.put(chunk(100, 100)) == (lost(100, 100),)
    assert queue.pop().frame == 0


def test_a_chunk_that_stands_alone_does_not_keep_its_whole_block():
    """Chunks are views into blocks; the kept one of ten must not keep the nine others' memory."""
    block = np.zeros((100, 1), np.float32)

    def view(frame):
        data = block[frame : frame + 1]
        data.flags.writeable = False
        return AudioChunk("mic", data, 48_000, frame, 1000.0, 0.0)

    queue = DropNewestQueue(2 * FRAME_BYTES)
    for frame in range(3):
        queue.put(view(frame))
    queue.pop()
    queue.put(view(3))
    second, third = drain(queue)
    assert second.data.base is block
    assert isinstance(third.data.base, bytes)
    assert not third.data.flags.writeable
    queue.put(view(4))
    assert queue.pop().data.base is block  # contiguous again


@settings(derandomize=True, deadline=None, max_examples=examples(200))
@given(st.integers(1, 20), st.lists(st.one_of(PUT, st.none()), max_size=60))
def test_whatever_is_turned_away_is_told_to_both_sides(limit_frames, steps):
    queue = DropNewestQueue(limit_frames * FRAME_BYTES)
    next_frame = dict.fromkeys("ab", 0)
    expected = {"a": {}, "b": {}}
    told = {"a": {}, "b": {}}
    waiting = deque()
    for step in steps:
        if step is None:
            taken = queue.pop()
            assert (taken is None) == (not waiting)
            if taken is not None:
                assert (taken.source, taken.frame) == waiting.popleft()
                for gap in taken.gaps:
                    assert gap.frame == len(told[taken.source])
                    told[taken.source].update(dict.fromkeys(range(gap.frame, gap.end), gap.cause))
                assert taken.frame == len(told[taken.source])
                told[taken.source].update(dict.fromkeys(range(taken.frame, taken.end), "taken"))
            continue
        source, frames, lost_before = step
        start = next_frame[source]
        gaps = [lost(start, lost_before, GapCause.RING_FULL, source)] if lost_before else []
        one = chunk(start + lost_before, frames, source, gaps)
        next_frame[source] = one.end
        expected[source].update(dict.fromkeys(range(start, one.frame), GapCause.RING_FULL))
        fits = queue.bytes == 0 or queue.bytes + one.data.nbytes <= limit_frames * FRAME_BYTES
        assert queue.put(one) == (() if fits else (missing(one, GapCause.BACKLOG_FULL),))
        fate = "taken" if fits else GapCause.BACKLOG_FULL
        expected[source].update(dict.fromkeys(range(one.frame, one.end), fate))
        if fits:
            waiting.append((source, one.frame))
    for source in "ab":
        assert told[source] == {frame: expected[source][frame] for frame in told[source]}


# ---- the sources wait ----


def test_a_blocking_queue_drops_nothing_and_says_when_it_is_full_and_when_there_is_room():
    told = []
    queue = BlockingQueue(4 * FRAME_BYTES, lambda: told.append(queue.frames))
    for frame in range(3):
        assert queue.put(chunk(frame)) == ()
        assert not queue.full
    for frame in range(3, 6):  # what was under way is taken all the same
        assert queue.put(chunk(frame)) == ()
        assert queue.full
    taken = [queue.pop().frame for _ in range(3)]
    assert queue.full
    assert told == []
    taken.append(queue.pop().frame)
    assert not queue.full
    assert len(told) == 1
    assert taken + [one.frame for one in drain(queue)] == list(range(6))
    assert len(told) == 1


def test_a_blocking_queue_that_is_dropped_holds_nobody_up():
    told = []
    queue = BlockingQueue(1, lambda: told.append(True))
    queue.put(chunk(0))
    assert queue.full
    queue.drop_all(GapCause.REMOVED)
    assert not queue.full
    assert told == [True]


def test_a_consumer_that_empties_it_anywhere_in_a_put_leaves_nobody_waiting():
    for line in count(1):
        queue = BlockingQueue(2 * FRAME_BYTES, lambda: None)
        with before_line(line, (queues,), lambda queue=queue: drain(queue)) as emptied:
            queue.put(chunk(0, 5))
        if not emptied:
            break
        assert queue.full == queue.has_any, line
    assert line > 3


class AlarmError(Exception):
    """Raised by a signal handler, as Ctrl-C does."""


@pytest.mark.parametrize("raising", [True, False])
def test_a_signal_in_the_middle_of_a_take_finds_the_sums_right_and_the_lock_free(raising):
    """So a handler may wait for the session, whose router may want to make room meanwhile."""
    queue = ChunkQueue(2**30)
    found_locked = []

    def ring(number, frame):
        other = threading.Thread(target=queue.drop_all, args=(GapCause.REMOVED,), daemon=True)
        other.start()
        other.join(GIVE_UP)
        found_locked.append(other.is_alive())
        if raising:
            raise AlarmError

    # A function of its own: Python 3.13 may run a handler just outside of what `with` protects.
    def take_all(rounds):
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-6, 1e-4))
        while queue.pop():
            pass
        while len(found_locked) < rounds:  # it comes once, and in here
            time.sleep(0)  # Python 3.11 may overlook a signal until a thread takes the GIL

    dice = random.Random(7)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for rounds in range(1, 300):
            for position in range(100):
                queue.put(chunk(position))
            with contextlib.suppress(AlarmError):
                take_all(rounds)
            drain(queue)
            assert (queue.frames, queue.bytes) == (0, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not any(found_locked)


@pytest.mark.parametrize(
    "kind", [ChunkQueue, DropNewestQueue, lambda limit: BlockingQueue(limit, int)]
)
@pytest.mark.parametrize("seed", range(5))
def test_what_may_pass_it_by_would_have_come_out_next_as_it_is(kind, seed):
    dice = random.Random(seed)
    queue = kind(10 * FRAME_BYTES)
    passed = 0
    for frame in range(0, 3000, 3):
        if queue.may_be_passed_by:
            one = chunk(frame, 3)
            assert queue.put(one) == ()
            assert queue.pop() is one
            passed += 1
        elif dice.random() < 0.4:
            queue.pop()
        if dice.random() < 0.6:
            queue.put(chunk(frame, 3))
        if dice.random() < 0.02:
            drain(queue)
    assert passed > 10
