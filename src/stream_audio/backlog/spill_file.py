"""Chunks on disk, first in, first out.

They are in segments, each an unlinked temporary file: what has been read back is given back to the
file system a segment at a time, and nothing is left behind whatever happens to the process. Chunks
are written in batches of about a megabyte, so that memory holds a few numbers a batch.
"""

from __future__ import annotations

import errno
import os
import pickle
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import append_gap, missing

SEGMENTS = 8
"""The limit is that of so many segments; one more may be there that is partly read."""


class Storage(Protocol):
    """A file without a name; it is gone when nobody refers to it any more."""

    def write(self, data: bytes, offset: int) -> None:
        """Write all of it, or raise ``OSError``."""

    def read(self, length: int, offset: int) -> bytes:
        """Read so many bytes, or raise ``OSError``."""
        ...


class TemporaryStorage:
    """A file that has been unlinked already."""

    _close = staticmethod(os.close)  # as the interpreter ends, `os` goes before the last objects

    def __init__(self, directory: str) -> None:
        self._descriptor = -1
        import tempfile  # most sessions spill nothing, and it takes long to load

        with tempfile.TemporaryFile(prefix="stream-audio-", dir=directory) as file:
            self._descriptor = os.dup(file.fileno())

    def write(self, data: bytes, offset: int) -> None:  # noqa: D102 - see Storage
        while data:  # no memoryview: one in a traceback crashes CPython 3.11's garbage collector
            written = os.pwrite(self._descriptor, data, offset)
            data = data[written:]
            offset += written

    def read(self, length: int, offset: int) -> bytes:  # noqa: D102
        pieces = []
        while length > 0:
            piece = os.pread(self._descriptor, length, offset)
            if not piece:
                raise OSError(errno.EIO, "the temporary file is shorter than what was written")
            pieces.append(piece)
            length -= len(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __del__(self) -> None:
        # Never while another thread reads: that one refers to it.
        if self._descriptor >= 0:
            self._close(self._descriptor)


@dataclass(slots=True)
class Segment:
    """A part of the file."""

    storage: Storage
    end: int = 0
    """What has been written and entered."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks that are on disk, or on their way there.

    Attributes
    ----------
    frames, bytes : int
        Of their samples.
    missing : tuple of Gap
        The chunks' own gaps, if they were lost.
    told : tuple of Gap
        The same, with the gaps between them that they would have told of.
    """

    frames: int
    bytes: int
    missing: tuple[Gap, ...]
    told: tuple[Gap, ...]


def batch_of(chunks: Sequence[AudioChunk]) -> Batch:
    """Return what has to be known of chunks that may get lost on disk."""
    own: dict[str, list[Gap]] = {}
    told: dict[str, list[Gap]] = {}
    for chunk in chunks:
        gap = missing(chunk, GapCause.BACKLOG_FULL)
        append_gap(own.setdefault(chunk.source, []), gap)
        for one in (*chunk.gaps, gap):
            append_gap(told.setdefault(chunk.source, []), one)
    return Batch(
        frames=sum(chunk.frames for chunk in chunks),
        bytes=sum(chunk.data.nbytes for chunk in chunks),
        missing=tuple(gap for gaps in own.values() for gap in gaps),
        told=tuple(gap for gaps in told.values() for gap in gaps),
    )


def encode(chunks: Sequence[AudioChunk]) -> bytes:
    """Return the chunks as they are written; read-only arrays come back read-only."""
    return pickle.dumps(list(chunks), protocol=5)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch is on disk."""

    batch: Batch
    segment: Segment
    offset: int
    length: int

    def read(self) -> list[AudioChunk]:
        """Read the chunks back; on any thread, beside a write."""
        chunks: list[AudioChunk] = pickle.loads(
            self.segment.storage.read(self.length, self.offset)
        )
        return chunks


class SpillFile:
    """Batches on disk.

    One thread writes. All but :meth:`write` and :meth:`Place.read` is bookkeeping that takes no
    time, for which the caller holds a lock.

    Parameters
    ----------
    limit : int
        Bytes on disk; the disk itself may hold an eighth more for a while.
    open_storage : callable
        Makes a new, empty file.
    """

    def __init__(self, limit: int, open_storage: Callable[[], Storage]) -> None:
        self.limit = limit
        self.bytes = 0
        """On disk, as written."""
        self._segment_bytes = max(1, limit // SEGMENTS)
        self._open_storage = open_storage
        self._segment: Segment | None = None
        self._places: deque[Place] = deque()

    def __len__(self) -> int:
        return len(self._places)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes fit the limit."""
        return self.bytes + size <= self.limit

    def write(self, batch: Batch, data: bytes) -> Place:
        """Write a batch behind the last one; it does not count until it is entered.

        Raises
        ------
        OSError
            As the system gives it; the file is as before.
        """
        segment = self._segment
        if segment is None or segment.end + len(data) > max(self._segment_bytes, len(data)):
            segment = Segment(self._open_storage())
        segment.storage.write(data, segment.end)
        return Place(batch, segment, segment.end, len(data))

    def enter(self, place: Place) -> None:
        """Let the batch that was written count."""
        place.segment.end = place.offset + place.length
        self._segment = place.segment
        self._places.append(place)
        self.bytes += place.length

    def pop(self) -> Place | None:
        """Remove and return the oldest batch; its place stays readable while it is referred to."""
        if not self._places:
            return None
        place = self._places.popleft()
        self.bytes -= place.length
        if not self._places:
            self._segment = None  # the next one begins anew
        return place
