"""Bounded queues of chunks between one putting and one taking thread.

What is dropped is told to the putting side at once, and to the taking side in-band, as a gap of
the chunk that follows. One class a policy of :class:`~stream_audio.Backlog`; the one that spills
is in ``spilling_queue.py``.

Memory: chunks are views into blocks of about a second, and one chunk keeps its block alive. What
waits here is contiguous, so blocks that are held for a part of themselves are at most two a
source, at either end. Where chunks are dropped out of the middle, the kept ones are copied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.samples import sealed
from stream_audio.audio.untold_gaps import UntoldGaps, missing, with_gaps_before


class ChunkQueue:
    """Chunks that wait for one consumer; when it is full the oldest makes room.

    ``put`` belongs to one thread, ``pop`` (or ``hold`` and ``release``) to another. A put into a
    queue that is not full takes no lock, so a consumer that was suspended at any point does not
    hold the putting thread up.

    Parameters
    ----------
    limit_bytes : int
        Bytes of samples that may wait; one chunk may wait whatever its size.
    """

    full = False
    """Whether the sources should wait; only ever true of a :class:`BlockingQueue`."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit = limit_bytes
        self._chunks: deque[AudioChunk] = deque()
        self._pushed_out = UntoldGaps()
        self._held: AudioChunk | None = None
        # Guards taking one from the left, on either side, together with its bookkeeping.
        self._left = InterruptibleLock()
        # Each figure has one writer: the putting side, or whoever holds the lock.
        self._bytes_in = 0
        self._bytes_out = 0
        self._frames_in = 0
        self._frames_out = 0
        self.highest_bytes = 0
        """The most that ever waited."""

    @property
    def frames(self) -> int:
        """Frames that were put, and neither dropped nor taken (or released) yet."""
        out = self._frames_out  # first: what is put and taken meanwhile never makes it negative
        return self._frames_in - out

    @property
    def has_any(self) -> bool:
        """Whether a chunk is there to be taken."""
        return bool(self._chunks)

    @property
    def may_be_passed_by(self) -> bool:
        """Whether a chunk that is put now would be taken next, and as it is."""
        return not (self._chunks or self._pushed_out.by_source)

    @property
    def bytes(self) -> int:
        """Bytes of samples that wait; what is held does not wait any more."""
        return self._bytes_in - self._bytes_out

    @property
    def bytes_out(self) -> int:
        """Bytes of samples that waited so far and do not any more."""
        return self._bytes_out

    @property
    def memory_bytes(self) -> int:
        """Bytes of samples that wait in memory."""
        return self._bytes_in - self._bytes_out

    @property
    def disk_bytes(self) -> int:
        """Bytes of samples that wait on disk."""
        return 0

    @property
    def most_memory_bytes(self) -> int:
        """What may wait in memory, if chunks are small."""
        return self.limit

    # ---- the putting side ----

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Append a chunk; returns the gaps of what was dropped since the last put."""
        size = chunk.data.nbytes
        dropped: tuple[Gap, ...] = ()
        if self._bytes_in + size - self._bytes_out > self.limit:
            dropped = self._make_room(size)
        self._append(chunk, size)
        return dropped

    def dropped(self) -> tuple[Gap, ...]:
        """Return the gaps of what was dropped since the last put, on whatever thread."""
        return ()

    def _append(self, chunk: AudioChunk, size: int) -> None:
        self._bytes_in += size
        self._frames_in += len(chunk.data)
        self._chunks.append(chunk)
        waiting = self._bytes_in - self._bytes_out
        if waiting > self.highest_bytes:
            self.highest_bytes = waiting

    def _make_room(self, size: int) -> tuple[Gap, ...]:
        gaps: list[Gap] = []
        # If the taking side is at it, or was interrupted there, the next put makes room.
        if self._left.acquire(blocking=False):
            try:
                while self._chunks and self._bytes_in + size - self._bytes_out > self.limit:
                    gaps.append(self._push_out())
            finally:
                self._left.release()
        return tuple(gaps)

    def _push_out(self) -> Gap:
        """Drop the oldest chunk; the lock is held."""
        chunk = self._chunks.popleft()
        self._bytes_out += chunk.data.nbytes
        self._frames_out += chunk.frames
        return self._pushed_out.add_chunk(chunk, GapCause.BACKLOG_FULL)

    # ---- the taking side ----

    def pop(self) -> AudioChunk | None:
        """Remove and return the oldest chunk, or ``None`` if there is none."""
        chunk, gaps = None, None
        with self._left:
            # No call in here: Python runs signal handlers after calls, and one that raises, or
            # waits for the session, must find the sums right and the lock free.
            if self._chunks:
                chunk = self._chunks[0]
                del self._chunks[0]
                data = chunk.data
                self._bytes_out += data.nbytes
                self._frames_out += data.shape[0]
                carried = self._pushed_out.by_source
                if carried and chunk.source in carried:
                    gaps = carried[chunk.source]
                    del carried[chunk.source]
        return chunk if chunk is None or not gaps else with_gaps_before(chunk, gaps)

    def hold(self) -> AudioChunk | None:
        """Like :meth:`pop`, but the chunk's frames stay pending until :meth:`release`."""
        with self._left:
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._bytes_out += chunk.data.nbytes
            self._held = chunk = self._pushed_out.give_to(chunk)
        return chunk

    def release(self) -> bool:
        """Count the held chunk out; False if there is none, or it was dropped meanwhile."""
        with self._left:
            held = self._held
            if held is None:
                return False
            self._held = None
            self._frames_out += held.data.shape[0]  # no call: see pop
            return True

    # ---- any thread ----

    def drop_all(self, cause: GapCause, *, held: bool = True) -> tuple[Gap, ...]:
        """Drop all that is pending, or all but what is held; returns its gaps. Touches no disk."""
        gaps = []
        with self._left:
            if held and self._held is not None:
                gaps.append(missing(self._held, cause))
                self._held = None
            gaps += self._drop_waiting(cause)
            self._frames_out += sum(gap.frames for gap in gaps)
        return tuple(gaps)

    def _drop_waiting(self, cause: GapCause) -> list[Gap]:
        gaps = []
        while self._chunks:  # one by one: the putting side may add to it meanwhile
            chunk = self._chunks.popleft()
            self._bytes_out += chunk.data.nbytes
            gaps.append(missing(chunk, cause))
        return gaps


class DropNewestQueue(ChunkQueue):
    """When it is full, what comes is dropped, and what waits stays."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self._turned_away = UntoldGaps()
        self._has_holes = False

    @property
    def may_be_passed_by(self) -> bool:  # noqa: D102 - see ChunkQueue
        return super().may_be_passed_by and not self._turned_away.by_source

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:  # noqa: D102 - see ChunkQueue
        size = chunk.data.nbytes
        waiting = self._bytes_in - self._bytes_out
        if waiting and waiting + size > self.limit:
            self._has_holes = True
            return (self._turned_away.add_chunk(chunk, GapCause.BACKLOG_FULL),)
        # Until it has run empty, each chunk would keep a block of its own alive.
        self._has_holes = self._has_holes and waiting > 0
        if self._has_holes:
            chunk = _with_own_samples(chunk)
        self._append(self._turned_away.give_to(chunk), size)
        return ()


class BlockingQueue(ChunkQueue):
    """When it is full it says so, and the sources have to wait; it never drops anything.

    What was under way when it became full is taken all the same.

    Parameters
    ----------
    limit_bytes : int
        Bytes of samples at which it is full; it is no more once half of them are left.
    when_room : callable
        Called on the taking thread when it is no longer full.
    """

    def __init__(self, limit_bytes: int, when_room: Callable[[], object]) -> None:
        super().__init__(limit_bytes)
        self._when_room = when_room

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:  # noqa: D102 - see ChunkQueue
        self._append(chunk, chunk.data.nbytes)
        if self.bytes >= self.limit:
            self.full = True
            # The consumer may have emptied it before it could see that it was full.
            if self._has_room():
                self.full = False
        return ()

    def pop(self) -> AudioChunk | None:  # noqa: D102
        chunk = super().pop()
        self._look_for_room()
        return chunk

    def hold(self) -> AudioChunk | None:  # noqa: D102
        chunk = super().hold()
        self._look_for_room()
        return chunk

    def drop_all(self, cause: GapCause, *, held: bool = True) -> tuple[Gap, ...]:  # noqa: D102
        gaps = super().drop_all(cause, held=held)
        self._look_for_room()
        return gaps

    def _has_room(self) -> bool:
        # Half, so that the router is woken once for many chunks.
        return self.bytes <= self.limit // 2

    def _look_for_room(self) -> None:
        if self.full and self._has_room():
            self.full = False
            self._when_room()


def _with_own_samples(chunk: AudioChunk) -> AudioChunk:
    return replace(chunk, data=sealed(chunk.data))
