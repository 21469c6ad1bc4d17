"""A bounded queue of chunks between one putting and one taking thread.

When it is full the oldest chunk makes room; what was pushed out is told to the putting side at
once, and to the taking side in-band, as a gap of the chunk that follows.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from stream_audio.chunk import AudioChunk
from stream_audio.gap import Gap, GapCause


class ChunkQueue:
    """Chunks that wait for one consumer; at most ``limit_bytes`` of them, but at least one chunk.

    ``put`` and ``close`` belong to one thread, ``take`` to another. A put into a queue that is not
    full takes no lock, so a consumer that was suspended at any point does not hold the putting
    thread up.

    Attributes
    ----------
    limit : int
        ``limit_bytes``.
    highest : int
        The most frames that ever waited.

    Parameters
    ----------
    limit_bytes : int
        Bytes of samples.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit = limit_bytes
        self.highest = 0
        self._chunks: deque[AudioChunk] = deque()
        self._pushed_out: deque[Gap] = deque()
        # Guards taking one from the left, on either side, together with its bookkeeping.
        self._left = threading.Lock()
        # Each figure has one writer: the putting side, or whoever holds the lock.
        self._bytes_in = 0
        self._bytes_out = 0
        self._frames_in = 0
        self._frames_out = 0

    @property
    def frames(self) -> int:
        """Frames that wait."""
        return self._frames_in - self._frames_out

    @property
    def bytes(self) -> int:
        """Bytes of samples that wait."""
        return self._bytes_in - self._bytes_out

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Append a chunk; returns the gaps of what had to make room for it."""
        size = chunk.data.nbytes
        pushed_out: tuple[Gap, ...] = ()
        if self._bytes_in + size - self._bytes_out > self.limit:
            pushed_out = self._make_room(size)
        self._bytes_in += size
        self._frames_in += chunk.frames
        self._chunks.append(chunk)
        self.highest = max(self.highest, self.frames)
        return pushed_out

    def _make_room(self, size: int) -> tuple[Gap, ...]:
        gaps = []
        while self._bytes_in + size - self._bytes_out > self.limit:
            with self._left:
                if not self._chunks:
                    break
                chunk = self._chunks.popleft()
                self._count_out(chunk)
                gap = missing(chunk, GapCause.BACKLOG_FULL)
                # The gaps before it would go unseen with it: they are passed on.
                self._pushed_out.extend((*chunk.gaps, gap))
                gaps.append(gap)
        return tuple(gaps)

    def take(self) -> AudioChunk | None:
        """Remove and return the oldest chunk, or ``None`` if there is none."""
        with self._left:
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._count_out(chunk)
            if not self._pushed_out:
                return chunk
            return replace(chunk, gaps=(*self._take_gaps(chunk), *chunk.gaps))

    def _take_gaps(self, chunk: AudioChunk) -> list[Gap]:
        """Gaps that were pushed out before ``chunk``, of its own source; adjoining ones as one."""
        mine: list[Gap] = []
        others: deque[Gap] = deque()
        for gap in self._pushed_out:
            if gap.source != chunk.source:
                others.append(gap)
            elif mine and mine[-1].end == gap.frame and mine[-1].cause == gap.cause:
                mine[-1] = replace(mine[-1], frames=mine[-1].frames + gap.frames)
            else:
                mine.append(gap)
        self._pushed_out = others
        return mine

    def _count_out(self, chunk: AudioChunk) -> None:
        self._bytes_out += chunk.data.nbytes
        self._frames_out += chunk.frames


def missing(chunk: AudioChunk, cause: GapCause) -> Gap:
    """Return the gap that a chunk leaves when it is dropped."""
    return Gap(chunk.source, chunk.frame, chunk.frames, cause, chunk.time)
