"""A capture on a virtual clock, fed packet by packet, and its reader."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from stream_audio._native import ffi, lib
from stream_audio._native.capture import FRAME, FRAMES, HOST_LOST, OFFSET, SUSPENDED, Block
from support.traces import COUNTER_SPAN, Trace

SECOND = 1_000_000_000
START_NS = 1000 * SECOND
HOLD_NS = 200_000_000
RATE = 48_000
PERIOD = 256


class Line:
    """One device, one capture, one reader; all on the calling thread.

    Parameters
    ----------
    host_start
        What the host's count of frames begins with.
    counted_by_host
        Whether the host counts frames at all.
    """

    def __init__(
        self,
        *,
        host_start: int = 0,
        counted_by_host: bool = True,
        chunk_frames: int = 4800,
        channels: int = 1,
        ring_frames: int = 2 * RATE,
        freewheel: bool = False,
        rate: int = RATE,
    ) -> None:
        self.clock = lib.sa_virtual_clock_create(START_NS, lib.SA_NEVER)
        self.capture = lib.sa_capture_create(
            self.clock, rate, channels, ring_frames, max(1000, ring_frames // 16)
        )
        self.capture.counted_by_host = counted_by_host
        self.reader = lib.sa_reader_create(self.capture, chunk_frames, freewheel, HOLD_NS)
        self.progress = self.reader.progress
        self.host = host_start
        self._channels = channels
        self._chunk_frames = chunk_frames
        self._rows: list[np.ndarray] = []
        self._data: list[np.ndarray] = []
        self._info = ffi.new("sa_host_info *")
        self._silence = np.zeros((65_536, channels), np.float32)
        self._lend()

    def close(self) -> None:
        lib.sa_reader_destroy(self.reader)
        lib.sa_capture_destroy(self.capture)
        lib.sa_virtual_clock_destroy(self.clock)

    # ---- the device ----

    @property
    def now(self) -> int:
        return int(lib.sa_clock_now(self.clock))

    def run_until(self, now_ns: int) -> None:
        assert lib.sa_virtual_clock_run_until(self.clock, now_ns, SECOND)

    def push(
        self,
        frames: int = PERIOD,
        *,
        late: int = 0,
        at_ns: int | None = None,
        samples: np.ndarray | None = None,
        overflow: bool = False,
    ) -> None:
        """One callback, whose host count is read ``late`` frames too late; silent by default."""
        if at_ns is not None:
            self.run_until(at_ns)
        self._info.host_frame = (self.host + late) % 2**32
        self._info.flags = lib.SA_PACKET_OVERFLOW if overflow else 0
        if samples is None:
            samples = self._silence
        assert samples.dtype == np.float32
        buffer = ffi.cast("float *", samples.ctypes.data)
        lib.sa_capture_push(self.capture, buffer, frames, self._info)
        self.host += frames

    def lose(self, frames: int) -> None:
        self.host += frames

    def play(self, trace: Trace) -> None:
        """Push each packet at its time, holding what it held, and read at once."""
        counted = len(trace.host_frame) > 0
        tells = len(trace.first) > 0
        start = self.now
        for index, (entry, frames) in enumerate(
            zip(trace.entry_ns.tolist(), trace.frames.tolist(), strict=True)
        ):
            if counted:
                self.host = int(trace.host_frame[index])
            samples = counter(int(trace.first[index]), frames, self._channels) if tells else None
            self.push(frames, at_ns=start + entry, samples=samples)
            self.look()
            self.read()

    # ---- the reader ----

    def look(self, *, due_ns: int | None = None, suspended_ns: int = 0) -> None:
        """The reading thread comes by; its native sleep was to end at ``due_ns``, if it slept."""
        due = lib.SA_NEVER if due_ns is None else due_ns
        lib.sa_gaps_look(ffi.addressof(self.reader, "gaps"), self.now, suspended_ns, due)

    def read(self) -> "ffi.CData":
        """Take in all that is ready; returns the reader's progress."""
        lib.sa_reader_read(self.reader)
        self._take()
        while self.progress.waiting:
            self._lend()
            lib.sa_reader_read(self.reader)
            self._take()
        return self.progress

    def finish(self) -> "ffi.CData":
        """Read to the end; the sums must be right."""
        lib.sa_capture_finish(self.capture)
        progress = self.read()
        assert progress.finished
        lost = progress.ring_lost + progress.host_lost + progress.suspended
        assert progress.captured + lost == progress.position
        stored = lib.sa_capture_count(self.capture).stored
        assert progress.captured + progress.overwritten == stored
        assert sum(self.rows[:, FRAMES]) == progress.captured
        return progress

    @property
    def rows(self) -> np.ndarray:
        """All chunks that are finished, a row each."""
        if not self._rows:
            return np.empty((0, lib.SA_CHUNK_COLUMNS), np.int64)
        return np.concatenate(self._rows)

    @property
    def chunks(self) -> list[tuple[int, int, int]]:
        """Frame, frames and what the host lost before, of each finished chunk."""
        return [tuple(row) for row in self.rows[:, [FRAME, FRAMES, HOST_LOST]].tolist()]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """First frame and frames of what the host lost, or was missed while all stood still."""
        found = []
        for frame, *lost in self.rows[:, [FRAME, HOST_LOST, SUSPENDED]].tolist():
            if sum(lost):
                found.append((frame - sum(lost), sum(lost)))
        return found

    @property
    def data(self) -> list[np.ndarray]:
        """The samples of each finished chunk."""
        return self._data

    def _lend(self) -> None:
        self._block = Block(20 * self._chunk_frames, 1000, self._channels)
        lib.sa_reader_lend(self.reader, self._block.native)
        self._taken = 0

    def _take(self) -> None:
        rows = self._block.rows[self._taken : self.progress.rows]
        self._taken = self.progress.rows
        if len(rows):
            self._rows.append(rows)
            self._data += [
                self._block.samples[offset : offset + frames]
                for offset, frames in rows[:, [OFFSET, FRAMES]].tolist()
            ]


def counter(first: int, frames: int, channels: int = 1) -> np.ndarray:
    """Samples that tell which frames they are."""
    counts = ((first + np.arange(frames)) % COUNTER_SPAN).astype(np.float32) / COUNTER_SPAN
    return np.repeat(counts[:, None], channels, axis=1)


def counted(samples: np.ndarray) -> np.ndarray:
    """Which frames the samples are."""
    return np.round(samples.astype(np.float64) * COUNTER_SPAN).astype(np.int64)


@contextmanager
def a_line(**settings: object) -> Iterator[Line]:
    """A line that is closed at the end."""
    one = Line(**settings)  # type: ignore[arg-type]
    try:
        yield one
    finally:
        one.close()
