"""How soon the wait looks again, at a device that runs ahead or that is late (csrc/wait.c)."""

import threading
import time

import numpy as np
import pytest

from stream_audio._native import ffi, lib
from stream_audio._native.capture import Block
from support.line import PERIOD, RATE, SECOND, a_line

CHUNK = 200 * PERIOD  # about a second
MILLISECOND = SECOND // 1000


@pytest.fixture
def line():
    with a_line(chunk_frames=CHUNK, ring_frames=10 * RATE) as one:
        yield one


class Waiting:
    """A reader's thread on the line's clock, and a device on another one."""

    def __init__(self, line):
        self.line = line
        self.sleeper = lib.sa_sleeper_create(line.clock)
        self.readers = ffi.new("sa_reader *[]", [line.reader])

    def close(self):
        lib.sa_sleeper_destroy(self.sleeper)

    def sleep(self, nanoseconds):
        lib.sa_sleeper_sleep(self.sleeper, self.line.now + nanoseconds)

    def wait(self, until_ns):
        """Seconds until it came back, having read all there was."""
        began = self.line.now
        lib.sa_wait_and_read(self.readers, 1, self.sleeper, until_ns, ffi.NULL, 0)
        self.line.read()
        return (self.line.now - began) / SECOND

    def wait_while_it_delivers(self, frames, after_ns):
        """The same, while a device pushes so many frames after so long."""
        seat = lib.sa_sleeper_create(self.line.clock)
        at = self.line.now + after_ns

        def deliver():
            lib.sa_sleeper_sleep(seat, at)
            push(self.line, frames)
            lib.sa_sleeper_retire(seat)

        device = threading.Thread(target=deliver)
        device.start()
        waited = self.wait(self.line.now + 10 * SECOND)
        device.join()
        lib.sa_sleeper_destroy(seat)
        return waited


def push(line, frames):
    for _ in range(frames // PERIOD):
        line.push()


@pytest.fixture
def waiting(line):
    one = Waiting(line)
    push(one.line, CHUNK)
    one.wait(one.line.now + SECOND)
    yield one
    one.close()


def test_a_device_that_races_is_looked_at_at_once(waiting):
    waiting.sleep(100 * MILLISECOND)
    push(waiting.line, 5 * CHUNK)
    assert waiting.wait(waiting.line.now + SECOND) == 0
    assert waiting.wait_while_it_delivers(5 * CHUNK, after_ns=MILLISECOND) < 0.0013


def test_one_that_no_longer_races_is_slept_for(waiting):
    waiting.sleep(100 * MILLISECOND)
    push(waiting.line, 5 * CHUNK)
    waiting.wait(waiting.line.now + SECOND)
    waiting.sleep(10 * SECOND)
    push(waiting.line, CHUNK)
    waiting.wait(waiting.line.now + SECOND)
    assert waiting.wait_while_it_delivers(CHUNK, after_ns=MILLISECOND) > 0.5


def test_one_that_makes_good_what_it_was_late_with_does_not_race(waiting):
    """A stall of PulseAudio is followed by up to two seconds at once."""
    waiting.sleep(100 * MILLISECOND)
    push(waiting.line, 2 * CHUNK)
    waiting.wait(waiting.line.now + SECOND)
    assert waiting.wait_while_it_delivers(CHUNK, after_ns=MILLISECOND) > 0.5


def test_a_device_that_falls_silent_does_not_keep_a_core_busy():
    """While a packet is about due the wait watches instead of sleeping, but not for long."""
    clock = lib.sa_clock_real()
    capture = lib.sa_capture_create(clock, RATE, 1, RATE, 1000)
    reader = lib.sa_reader_create(capture, PERIOD, False, 0)
    block = Block(CHUNK, 1000, 1)
    lib.sa_reader_lend(reader, block.native)
    samples = ffi.new("float[]", PERIOD)
    info = ffi.new("sa_host_info *")
    readers = ffi.new("sa_reader *[]", [reader])
    sleeper = lib.sa_sleeper_create(clock)
    for _ in range(10):
        lib.sa_capture_push(capture, samples, PERIOD, info)
    lib.sa_wait_and_read(readers, 1, sleeper, 0, ffi.NULL, 0)
    assert reader.progress.packets == 10

    worked = time.thread_time()
    lib.sa_wait_and_read(readers, 1, sleeper, lib.sa_clock_now(clock) + SECOND // 2, ffi.NULL, 0)
    worked = time.thread_time() - worked
    assert worked < 0.1

    lib.sa_sleeper_destroy(sleeper)
    lib.sa_reader_destroy(reader)
    lib.sa_capture_destroy(capture)


# ---- a wait for one chunk ----


@pytest.fixture
def one():
    """A line whose chunks are two packets long, with its first chunk taken."""
    with a_line(chunk_frames=2 * PERIOD) as line:
        push(line, 2 * PERIOD)
        line.read()
        yield line


def regular(line):
    """Read, and return which of the chunks after the first are regular."""
    line.read()
    return [lib.sa_reader_is_regular(line.reader, row) for row in range(1, line.progress.rows)]


def test_whole_chunks_with_nothing_to_tell_are_regular(one):
    push(one, 4 * PERIOD)
    assert regular(one) == [True, True]


def test_one_after_a_loss_is_not(one):
    one.lose(PERIOD)
    push(one, 2 * PERIOD)
    one.look()
    one.run_until(one.now + SECOND)  # by then it is plain that they were lost
    assert regular(one) == [False]
    assert one.progress.host_lost == PERIOD


def test_one_with_an_overflow_is_not(one):
    one.push()
    one.push(overflow=True)
    assert regular(one) == [False]


def test_one_that_is_not_finite_is_not(one):
    one.push(samples=np.full((PERIOD, 1), np.nan, np.float32))
    one.push()
    assert regular(one) == [False]


def test_one_that_the_end_cuts_short_is_not(one):
    one.push()
    lib.sa_capture_finish(one.capture)
    assert regular(one) == [False]
    assert one.progress.finished
