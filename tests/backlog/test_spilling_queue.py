"""The queue that spills, by example; all the rest is in test_spilling_queue_model.py."""

import errno
import os
import random
import sys
import threading
import weakref

import numpy as np
import pytest

from stream_audio import AudioChunk, Gap, GapCause
from stream_audio.backlog.spill_file import (
    SEGMENTS,
    Place,
    SpillFile,
    TemporaryStorage,
    batch_of,
    encode,
)
from stream_audio.backlog.spilling_queue import SpillingQueue

RATE = 48_000
FRAME_BYTES = 4


def chunk(frame, frames=10, source="mic", gaps=()):
    data = np.arange(frame, frame + frames, dtype=np.float32)[:, None]
    data.flags.writeable = False
    return AudioChunk(source, data, RATE, frame, 1000 + frame / RATE, 0.0, tuple(gaps))


def lost(frame, frames, cause=GapCause.BACKLOG_FULL, source="mic"):
    return Gap(source, frame, frames, cause, 1000 + frame / RATE)


class Setup:
    """A queue for so many chunks of ten frames in memory, on a disk of its own."""

    def __init__(self, directory, chunks=4, spill_limit=2**30):
        self.directory = directory
        self.fault = None
        self.opened = 0
        self.asks = 0
        self.failures = []
        self.queue = SpillingQueue(
            chunks * 10 * FRAME_BYTES, spill_limit, self.open, self.ask, self.failures.append
        )

    def ask(self, queue):
        self.asks += 1

    def open(self):
        self.opened += 1
        if self.fault is not None:
            raise self.fault
        return TemporaryStorage(str(self.directory))

    def put(self, count, start=0):
        return [gap for i in range(count) for gap in self.queue.put(chunk(start + 10 * i))]

    def spill(self):
        """Do what the thread would."""
        while self.queue.memory_bytes > 160 and not self.failures:
            self.queue.spill_step()

    def taken(self):
        return list(iter(self.queue.pop, None))


@pytest.fixture
def setup(tmp_path):
    return Setup(tmp_path)


def test_what_memory_holds_needs_no_disk_and_no_thread(setup):
    for i in range(100):
        setup.put(4, 40 * i)
        assert [one.frame for one in setup.taken()] == [40 * i + 10 * j for j in range(4)]
    assert (setup.opened, setup.asks) == (0, 0)


def test_the_oldest_goes_to_disk_and_comes_back_in_its_place(setup):
    assert setup.put(4) == []
    assert setup.asks == 0
    assert setup.put(3, 40) == []
    assert setup.asks > 0
    setup.spill()
    assert setup.queue.memory_bytes == 160
    assert setup.queue.disk_bytes == 120
    setup.put(1, 70)
    taken = setup.taken()
    assert [one.frame for one in taken] == [10 * i for i in range(8)]
    for one in taken:
        np.testing.assert_array_equal(one.data, chunk(one.frame).data)
        assert not one.data.flags.writeable
        assert one.gaps == ()
        assert one.peak == chunk(one.frame).peak


def test_more_than_twice_the_limit_does_not_wait_for_a_slow_disk(setup):
    assert setup.put(8) == []
    assert setup.put(2, 80) == [lost(0, 10), lost(10, 10)]
    first, *others = setup.taken()
    assert first.gaps == (lost(0, 20),)
    assert [one.frame for one in (first, *others)] == [10 * i for i in range(2, 10)]


def test_beyond_the_spill_limit_the_oldest_on_disk_is_dropped(tmp_path):
    record = len(encode([chunk(0)]))
    setup = Setup(tmp_path, chunks=4, spill_limit=4 * record)
    setup.queue._batch_bytes = 1  # a chunk a batch
    for i in range(20):
        setup.queue.put(chunk(10 * i))
        setup.spill()
    told = setup.queue.dropped()
    on_disk = setup.queue.disk_bytes // 40
    assert on_disk == 4
    first, *others = setup.taken()
    assert first.frame == 10 * (20 - 4 - on_disk)
    assert first.gaps == (lost(0, first.frame),)
    assert len(others) == 7
    assert all(one.gaps == () for one in others)
    # The last of them was told when it was dropped; those before it with the puts.
    assert told == (lost(first.frame - 10, 10),)


def test_a_full_disk_makes_it_a_queue_that_drops_the_oldest_in_memory(tmp_path):
    """What is on disk already stays; what does not fit memory is dropped behind it."""
    setup = Setup(tmp_path, spill_limit=4000)  # so little that each batch has a file of its own
    setup.put(6)
    setup.spill()  # two chunks
    setup.fault = OSError(errno.ENOSPC, "No space left on device")
    setup.put(2, 60)
    setup.queue.spill_step()
    assert [error.errno for error in setup.failures] == [errno.ENOSPC]
    dropped = setup.put(4, 80)
    taken = setup.taken()
    assert [one.frame for one in taken[:2]] == [0, 10]
    assert sum(one.frames for one in taken) + sum(gap.frames for gap in dropped) == 120
    end = 0
    for one in taken:
        for gap in one.gaps:
            assert (gap.frame, gap.cause) == (end, GapCause.BACKLOG_FULL)
            end = gap.end
        assert one.frame == end
        end = one.end
    assert end == 120
    assert len(setup.failures) == 1  # once, however many were dropped


def test_when_it_has_run_empty_it_tries_the_disk_again(setup):
    setup.fault = OSError(errno.ENOSPC, "No space left on device")
    setup.put(6)
    setup.queue.spill_step()
    setup.taken()
    setup.fault = None
    setup.failures.clear()
    setup.put(6, 100)
    setup.spill()
    assert setup.queue.disk_bytes > 0
    assert len(setup.taken()) == 6


def test_a_batch_that_cannot_be_read_back_is_a_gap_for_both_sides(setup, monkeypatch):
    setup.put(6)
    setup.spill()

    def unreadable(storage, length, offset):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(TemporaryStorage, "read", unreadable)
    first = setup.queue.pop()
    assert (first.frame, first.gaps) == (20, (lost(0, 20),))
    assert setup.queue.dropped() == (lost(0, 10), lost(10, 10))
    assert [error.errno for error in setup.failures] == [errno.EIO]
    assert setup.queue.frames == 30


def test_what_is_dropped_while_it_is_read_back_is_gone(setup, monkeypatch):
    """The sink was given up while its thread hung on the disk."""
    setup.put(6)
    setup.spill()
    read, dropped = TemporaryStorage.read, []

    def slow_read(storage, length, offset):
        dropped.extend(setup.queue.drop_all(GapCause.STOP_TIMEOUT))
        return read(storage, length, offset)

    monkeypatch.setattr(TemporaryStorage, "read", slow_read)
    assert setup.queue.pop() is None
    assert sum(gap.frames for gap in dropped) == 60
    assert {gap.cause for gap in dropped} == {GapCause.STOP_TIMEOUT}
    assert (setup.queue.frames, setup.queue.bytes) == (0, 0)


def test_a_read_that_ctrl_c_interrupted_is_begun_anew(setup, monkeypatch):
    setup.put(7)
    setup.spill()
    read = Place.read

    def interrupted(place):
        monkeypatch.setattr(Place, "read", read)
        raise KeyboardInterrupt

    monkeypatch.setattr(Place, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        setup.queue.pop()
    assert setup.queue.has_any
    assert [one.frame for one in setup.taken()] == [10 * i for i in range(7)]
    assert not setup.queue.has_any
    assert (setup.queue.frames, setup.queue.bytes, setup.queue.disk_bytes) == (0, 0, 0)
    assert setup.failures == []


def test_what_is_being_written_can_be_taken_and_the_write_counts_for_nothing(setup, monkeypatch):
    setup.put(6)
    write, taken = TemporaryStorage.write, []

    def slow_write(storage, data, offset):
        taken.append(setup.queue.pop())
        write(storage, data, offset)

    monkeypatch.setattr(TemporaryStorage, "write", slow_write)
    setup.queue.spill_step()
    assert setup.queue.disk_bytes == 0
    taken += setup.taken()
    assert [one.frame for one in taken] == [10 * i for i in range(6)]


def test_the_report_knows_the_most_that_ever_waited(setup):
    setup.put(6)
    setup.spill()
    setup.taken()
    setup.put(2, 60)
    assert setup.queue.highest_bytes == 240


@pytest.fixture
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_three_threads_lose_no_frame_between_them(setup, eager_switching):
    """One puts, one takes now and then, one spills; the disk fills for a while."""
    queue = setup.queue
    count = 3000
    put_all, dropped = threading.Event(), []

    def put():
        for i in range(count):
            if i == count // 2:
                setup.fault = OSError(errno.ENOSPC, "No space left on device")
            dropped.extend(queue.put(chunk(10 * i)))
        put_all.set()

    def spill():
        while not put_all.is_set() or (queue.memory_bytes > 160 and not queue._failed):
            queue.spill_step()

    threads = [threading.Thread(target=put), threading.Thread(target=spill)]
    for thread in threads:
        thread.start()
    told = in_gaps = 0
    pauses = random.Random(1)
    while True:
        finished = put_all.is_set()
        one = queue.pop()
        if one is None:
            if finished and not queue.frames:
                break
            continue
        for gap in one.gaps:
            assert (gap.frame, gap.cause) == (told, GapCause.BACKLOG_FULL)
            told = gap.end
            in_gaps += gap.frames
        assert one.frame == told
        np.testing.assert_array_equal(one.data, chunk(one.frame).data)
        told = one.end
        if pauses.random() < 0.01:
            put_all.wait(0.002)  # falls behind
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert told == 10 * count
    dropped += queue.dropped()
    assert in_gaps == sum(gap.frames for gap in dropped)
    assert (queue.frames, queue.bytes, queue.disk_bytes) == (0, 0, 0)
    assert setup.opened > 0


# ---- the file ----


def test_a_temporary_file_has_no_name(tmp_path):
    storage = TemporaryStorage(str(tmp_path))
    storage.write(b"sound", 3)
    assert list(tmp_path.iterdir()) == []
    assert storage.read(5, 3) == b"sound"


def test_a_file_that_is_shorter_than_what_was_written_is_an_error(tmp_path):
    storage = TemporaryStorage(str(tmp_path))
    storage.write(b"sound", 0)
    with pytest.raises(OSError, match="shorter"):
        storage.read(6, 0)


def test_a_disk_that_takes_a_part_only_is_asked_again(tmp_path, monkeypatch):
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    storage = TemporaryStorage(str(tmp_path))
    storage.write(b"0123456789", 5)
    assert storage.read(10, 5) == b"0123456789"


def test_a_device_that_is_full_says_so():
    """A real ENOSPC."""
    storage = TemporaryStorage.__new__(TemporaryStorage)
    storage._descriptor = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        storage.write(b"sound", 0)


def test_space_is_given_back_a_segment_at_a_time(tmp_path):
    data = encode([chunk(0)])
    opened = []

    def open_storage():
        opened.append(TemporaryStorage(str(tmp_path)))
        return opened[-1]

    file = SpillFile(SEGMENTS * 2 * len(data), open_storage)  # two batches a segment
    for i in range(6):
        place = file.write(batch_of([chunk(10 * i)]), data)
        file.enter(place)
    assert len(opened) == 3
    storage = opened[0]
    opened.clear()
    alive = weakref.ref(storage)
    del storage, place
    file.pop()
    assert alive() is not None
    file.pop()
    assert alive() is None


def test_an_empty_file_takes_no_space(tmp_path):
    opened = []

    def open_storage():
        storage = TemporaryStorage(str(tmp_path))
        opened.append(weakref.ref(storage))
        return storage

    file = SpillFile(2**30, open_storage)
    file.enter(file.write(batch_of([chunk(0)]), encode([chunk(0)])))
    (alive,) = opened
    assert alive() is not None
    file.pop()
    assert alive() is None
    assert file.bytes == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_may_pass_it_by_would_have_come_out_next_as_it_is(tmp_path, seed):
    dice = random.Random(seed)
    setup = Setup(tmp_path, spill_limit=800)
    queue = setup.queue
    passed = 0
    for frame in range(0, 30_000, 10):
        if queue.may_be_passed_by:
            one = chunk(frame)
            assert queue.put(one) == ()
            assert queue.pop() is one
            passed += 1
            continue
        if dice.random() < 0.5:
            queue.put(chunk(frame))
        if dice.random() < 0.5:
            queue.pop()
        if dice.random() < 0.2:
            setup.fault = dice.choice([None, None, OSError(errno.ENOSPC, "full")])
            queue.spill_step()
        if dice.random() < 0.05:
            setup.put(30, frame)
        if dice.random() < 0.05:
            setup.taken()
    assert passed > 10
