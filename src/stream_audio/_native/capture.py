"""A capture and its reader, with the memory that the reader fills."""

from __future__ import annotations

import ctypes
import math
import time
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._native import (
    address,
    ffi,
    in_own_process,
    keeping_the_gil,
    lib,
    note_end_of_use,
    note_use,
)

COLUMNS: int = lib.SA_CHUNK_COLUMNS
"""Of a chunk's row, which csrc/reader.h explains:"""

FRAME: int = lib.SA_CHUNK_FRAME
FRAMES: int = lib.SA_CHUNK_FRAMES
OFFSET: int = lib.SA_CHUNK_OFFSET
TIME_NS: int = lib.SA_CHUNK_TIME_NS
ARRIVAL_NS: int = lib.SA_CHUNK_ARRIVAL_NS
RING_LOST: int = lib.SA_CHUNK_RING_LOST
HOST_LOST: int = lib.SA_CHUNK_HOST_LOST
SUSPENDED: int = lib.SA_CHUNK_SUSPENDED
OVERFLOWS: int = lib.SA_CHUNK_OVERFLOWS
MARKS: int = lib.SA_CHUNK_MARKS
ASLEEP_NS: int = lib.SA_CHUNK_ASLEEP_NS

STAMP_COLUMNS: int = lib.SA_STAMP_COLUMNS

STAMP_EVERY = 0.05
"""Seconds between two stamps: frames whose capture time is told wherever chunks end."""

NONFINITE: int = lib.SA_MARK_NONFINITE
"""The mark of a chunk with samples that are no finite numbers."""

IDLE: int = lib.SA_MARK_IDLE
"""The mark of a chunk that no device captured: the output that is recorded slept."""

HOLD_NS = 200_000_000
"""How long a packet may wait for later ones to tell whether frames were lost before it."""

SMALLEST_PERIOD = 16
"""Frames; the packet ring has room for packets of this size while a second's worth waits."""

GIL_KEPT_NS = 500_000
"""How long it may take to get the GIL back before it is worth another look at the rings."""

_read_more = keeping_the_gil(
    "sa_read_more", None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)
is_regular = keeping_the_gil(
    "sa_reader_is_regular", ctypes.c_bool, ctypes.c_void_p, ctypes.c_int64
)
"""Whether a row of the reader at that address, which is there, is whole with nothing to tell."""

_reader_lend = keeping_the_gil("sa_reader_lend", None, ctypes.c_void_p, ctypes.c_void_p)
_reader_join = keeping_the_gil(
    "sa_reader_join", ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)


class Capture:
    """What an audio thread writes: a ring of frames and one of packet records."""

    def __init__(
        self,
        clock: Any,
        sample_rate: float,
        channels: int,
        ring_frames: int,
        period: int,
        *,
        doorbell: bool = True,
    ) -> None:
        # Packets of the expected size fill the frame ring first; smaller ones have some room too.
        packets = max(ring_frames // max(period, 1) * 2, int(sample_rate) // SMALLEST_PERIOD, 64)
        note_use(self)
        self._clock = clock
        self.native = lib.sa_capture_create(clock, sample_rate, channels, ring_frames, packets)
        if self.native == ffi.NULL:
            note_end_of_use(self)
            raise MemoryError(f"no memory for a ring of {ring_frames} frames")
        self.native.may_ring = doorbell
        self.frames = ring_frames
        self.bytes = ring_frames * channels * 4 + packets * int(ffi.sizeof("sa_packet"))
        self.channels = channels
        self.sample_rate = sample_rate
        self.period = period

    def push_idle(self, frames: int) -> None:
        """Take in silence that no device has captured; on the thread that has no callbacks."""
        silence = ffi.new("float[]", frames * self.channels)
        now = lib.sa_clock_now(self._clock)
        begun = now - round(frames / self.sample_rate * 1e9)
        host = {"host_now_ns": now, "host_adc_ns": begun, "flags": lib.SA_PACKET_IDLE}
        lib.sa_capture_push(self.native, silence, frames, ffi.new("sa_host_info *", host))

    def finish(self) -> None:
        """Say that no callback will come any more."""
        lib.sa_capture_finish(self.native)

    @property
    def stored(self) -> int:
        """Frames that went into the ring, as the audio thread counted them."""
        return int(lib.sa_capture_count(self.native).stored)

    def close(self) -> None:
        """Free the rings. No callback may come, and no reader may read, any more."""
        if self.native != ffi.NULL and in_own_process():
            lib.sa_capture_destroy(self.native)
        self.native = ffi.NULL
        note_end_of_use(self)

    def abandon(self) -> None:
        """Give its memory back but keep its addresses: a host that hangs may still call back.

        It is never closed then. No reader may read any more.
        """
        if self.native != ffi.NULL and in_own_process():
            lib.sa_capture_abandon(self.native)


class Block:
    """Memory lent to a reader: about a second of audio and the rows of its chunks."""

    def __init__(self, frames: int, rows: int, channels: int, stamps: int = 0) -> None:
        self.frames = frames
        # Bytes own what users see, so that no array of theirs can be made writeable. Only C, which
        # has the address, writes there, and never where a finished chunk stands.
        self._shapes = (frames, channels), (rows, channels)
        self._memory = bytes(frames * channels * 4), bytes(rows * channels * 12)
        self.rows: NDArray[np.int64] = np.empty((rows, COLUMNS), np.int64)
        self.stamps: NDArray[np.int64] = np.empty((stamps, STAMP_COLUMNS), np.int64)
        self.bytes = self.rows.nbytes + self.stamps.nbytes + sum(map(len, self._memory))
        self._show()
        self.native = ffi.new(
            "sa_block *",
            {
                "frames": ffi.cast("float *", self.samples.ctypes.data),
                "rows": ffi.cast("int64_t *", self.rows.ctypes.data),
                "peaks": ffi.cast("float *", self.peaks.ctypes.data),
                "squares": ffi.cast("double *", self.squares.ctypes.data),
                "capacity_frames": frames,
                "capacity_rows": rows,
                "stamps": ffi.cast("int64_t *", self.stamps.ctypes.data),
                "capacity_stamps": stamps,
            },
        )
        self.address = address(self.native)

    def _show(self) -> None:
        of_frames, of_rows = self._shapes
        samples, levels = self._memory
        peaks_at = of_rows[0] * of_rows[1] * 8
        self.samples: NDArray[np.float32] = np.ndarray(of_frames, np.float32, samples)
        self.squares: NDArray[np.float64] = np.ndarray(of_rows, np.float64, levels)
        self.peaks: NDArray[np.float32] = np.ndarray(of_rows, np.float32, levels, peaks_at)

    def reclaim(self) -> bool:
        """Make it as new, if nobody else sees any of its memory; else it is theirs for good.

        What is sliced from an array keeps that array alive, whichever thread lets go of it last.
        """
        seen = [weakref.ref(each) for each in (self.samples, self.peaks, self.squares)]
        del self.samples, self.peaks, self.squares
        if any(each() is not None for each in seen):
            return False
        self._show()
        return True


class Reader:
    """The consumer's side of a capture."""

    def __init__(self, capture: Capture, chunk_frames: int, *, freewheel: bool) -> None:
        self.native = lib.sa_reader_create(capture.native, chunk_frames, freewheel, HOLD_NS)
        if self.native == ffi.NULL:
            raise MemoryError("no memory for a reader")
        self.address = address(self.native)
        self.progress = self.native.progress
        self._freewheel = freewheel
        self.chunk_frames = chunk_frames
        self._channels = capture.channels
        # A second of audio, so that an allocation is rare, and small enough to keep one chunk of.
        self._chunks_a_second = capture.sample_rate / chunk_frames
        self._block_chunks = max(1, round(self._chunks_a_second))
        self._before: Block | None = None
        if not freewheel:
            self.native.stamp_frames = max(1, round(STAMP_EVERY * capture.sample_rate))
        self.taken = 0
        """Rows of the block that were taken."""
        self._stamps_taken = 0
        self.missed_stamps = False
        """Whether stamps were passed over since they were last asked for."""
        self._lend(self._new_block(0))

    def _new_block(self, waiting_frames: int) -> Block:
        chunks = max(self._block_chunks, -(-waiting_frames // self.chunk_frames))
        # A few rows more, for the short chunks before gaps.
        frames, rows = chunks * self.chunk_frames, chunks + 16
        every = self.native.stamp_frames
        stamps = 0 if every == 0 else frames // every + rows + 2
        return Block(frames, rows, self._channels, stamps)

    def _lend(self, block: Block) -> None:
        # The call comes last: an exception that another thread sets comes after calls.
        self.missed_stamps |= self.has_stamps
        self.block = block
        self.taken = self._stamps_taken = 0
        _reader_lend(self.address, block.address)

    def _next_block(self, waiting_frames: int) -> Block:
        """Return the block before this one, if its chunks are gone, or a new one.

        The system takes some 100 µs to find memory for a second of audio, page by page.
        """
        before, self._before = self._before, self.block
        usual = self._block_chunks * self.chunk_frames
        if (
            before is None
            or waiting_frames > usual
            or before.frames != usual
            or not before.reclaim()
        ):
            return self._new_block(waiting_frames)
        return before

    def take(self, join: int = 0) -> tuple[Block, int, list[list[int]]]:
        """Return the finished chunks since the last call: their block, first row and rows.

        Those that follow one another as one, if that has no more than ``join`` frames.
        """
        block, first = self.block, self.taken
        count = self.progress.rows - first
        if count == 0:
            return block, first, []
        self.taken += count
        if count > 1 and join > self.chunk_frames:
            count = _reader_join(self.address, first, join)
        return block, first, block.rows[first : first + count].tolist()

    @property
    def has_stamps(self) -> bool:
        """Whether there are stamps that nobody has taken."""
        return bool(self.progress.stamps != self._stamps_taken)

    def take_stamps(self) -> list[list[int]]:
        """Return frame, time and sleep of each stamp since the last call, in ns (reader.h)."""
        first, self._stamps_taken = self._stamps_taken, self.progress.stamps
        self.missed_stamps = False
        stamps: list[list[int]] = self.block.stamps[first : self._stamps_taken].tolist()
        return stamps

    def next_place(self) -> tuple[int, int, memoryview]:
        """Return where the next chunk is or will be: its row's index, first frame, and row.

        Once there is room for it.
        """
        index, native = self.taken, self.native
        row = memoryview(self.block.rows[index])
        begun = self.has_untaken or native.chunk_open
        return index, row[OFFSET] if begun else native.used_frames, row

    @property
    def at_end(self) -> bool:
        """Whether nothing will follow, and all is taken."""
        return bool(self.progress.finished) and not self.has_untaken

    @property
    def has_untaken(self) -> bool:
        """Whether finished chunks are there that nobody has taken."""
        return bool(self.progress.rows != self.taken)

    def make_room(self) -> None:
        """Lend a new block before the reader asks for it, which saves a turn of the router.

        What a turn that an exception ended has read is taken first.
        """
        if self.has_untaken:
            return
        native = self.native
        block = native.block
        full = (
            block.capacity_frames - native.used_frames < self.chunk_frames
            or self.progress.rows == block.capacity_rows
        )
        if self.progress.waiting or (full and not native.chunk_open):
            # What waits by itself is taken a block at a time: backlogs then hold it up in time.
            self._lend(self._next_block(0 if self._freewheel else self.progress.waiting))

    def gather(self, chunks: int) -> None:
        """Let a wait be for so many chunks, if nothing else ends it."""
        self.native.chunks_at_once = chunks
        # Whole waits, so that none has to be read in two turns.
        self._block_chunks = chunks * max(1, round(self._chunks_a_second / chunks))
        usual = self._block_chunks * self.chunk_frames
        if self.block.frames != usual and not self.native.used_frames:
            self._lend(self._new_block(0))

    def drift(self) -> tuple[float, float] | tuple[None, None]:
        """Return the device's drift and its standard error in ppm, if they are known."""
        drift = self.native.timeline.drift
        ppm, error_ppm = drift.ppm, drift.error_ppm
        if self._freewheel or math.isnan(ppm) or math.isnan(error_ppm):
            return None, None
        return ppm, error_ppm

    @property
    def block_bytes(self) -> int:
        """Memory of the blocks that it keeps."""
        return self.block.bytes + (0 if self._before is None else self._before.bytes)

    @property
    def times_from_adc(self) -> bool:
        """Whether times are those at the converter, as the host tells them."""
        return bool(self.native.timeline.adc.used)

    def close(self) -> None:
        """Free the reader; not the capture. What it had read can still be asked for."""
        if self.native != ffi.NULL and in_own_process():
            self.progress = ffi.new("sa_progress *", self.progress)[0]
            lib.sa_reader_destroy(self.native)
        self.native = ffi.NULL


class ReaderArray:
    """Readers that one thread serves, and what it sleeps on, as C takes them."""

    def __init__(self, readers: Sequence[Reader], sleeper: Any) -> None:
        self._all = readers
        self._readers = ffi.new("sa_reader *[]", [reader.native for reader in readers])
        self._sleeper = sleeper
        self._count = len(readers)
        self._more = address(self._readers), self._count, address(sleeper)
        # On a virtual clock, time stands still until the caller waits again.
        self._on_real_time = lib.sa_sleeper_clock(sleeper) == lib.sa_clock_real()

    def make_room(self) -> None:
        """Lend each reader that will need it a new block, before it asks for one."""
        for reader in self._all:
            reader.make_room()

    def wait_and_read(self, deadline_ns: int, bells: Sequence[int] = ()) -> None:
        """Sleep until a reader has something or the sleeper is woken, and read.

        ``bells`` are eventfds that are rung as soon as the GIL is released.
        """
        to_ring = ffi.new("int[]", bells) if bells else ffi.NULL
        looked_ns = lib.sa_wait_and_read(
            self._readers, self._count, self._sleeper, deadline_ns, to_ring, len(bells)
        )
        # What came while other threads kept the GIL need not wait for it again.
        if self._on_real_time and time.monotonic_ns() - looked_ns > GIL_KEPT_NS:
            self.read_more()

    def read_more(self) -> None:
        """Read what has come since, at once."""
        _read_more(*self._more)
