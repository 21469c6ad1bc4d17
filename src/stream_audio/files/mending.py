"""What a damaged sound file is made of, and how the mended one is put together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stream_audio.files.disk import write_at

_COPY_BYTES = 1 << 20


class FileBytes:
    """The bytes of an open file, read where they are asked for."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, start: int, count: int) -> bytes:
        """Return ``count`` bytes from ``start``, or those that there are."""
        count = max(0, min(count, self.size - start))
        pieces = []
        while count > 0 and (piece := os.pread(self.descriptor, count, start)):
            pieces.append(piece)
            start += len(piece)
            count -= len(piece)
        return b"".join(pieces)


@dataclass(frozen=True)
class Kept:
    """Bytes of the damaged file, from ``start`` up to ``end``."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


Piece = Kept | bytes
"""A part of the mended file: kept from the damaged one, or written anew."""


@dataclass(frozen=True, order=True)
class Edit:
    """Bytes to stand in place of those from ``start`` up to ``end``; an insertion if that is 0."""

    start: int
    end: int
    data: bytes


def edited(start: int, end: int, edits: Iterable[Edit]) -> tuple[Piece, ...]:
    """Return a part of the damaged file with edits that lie in it and do not overlap."""
    pieces: list[Piece] = []
    for edit in sorted(edits):
        pieces += [Kept(start, edit.start), edit.data]
        start = edit.end
    pieces.append(Kept(start, end))
    return tuple(piece for piece in pieces if len(piece))


@dataclass(frozen=True)
class Diagnosis:
    """What was found out about a file.

    Attributes
    ----------
    format : str
        Its libsndfile name.
    findings : tuple of str
        What is wrong with it; empty if it is sound.
    frames : int, optional
        Frames of the mended file, as far as they can be told without decoding it.
    pieces : tuple of Kept or bytes
        The mended file, in order.
    """

    format: str
    findings: tuple[str, ...]
    frames: int | None
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of the mended file."""
        return sum(len(piece) for piece in self.pieces)

    @property
    def stays_in_place(self) -> bool:
        """Whether everything that is kept stands where it stood."""
        return all(
            not isinstance(piece, Kept) or piece.start == offset for offset, piece in self.placed()
        )

    def placed(self) -> Iterator[tuple[int, Piece]]:
        """Yield the pieces, and where each begins in the mended file."""
        offset = 0
        for piece in self.pieces:
            yield offset, piece
            offset += len(piece)

    def patch(self, descriptor: int) -> None:
        """Turn the damaged file into the mended one; only if it stays in place."""
        # The end first: until the header is written, the file is as damaged as before.
        for offset, piece in reversed(list(self.placed())):
            if isinstance(piece, bytes):
                write_at(descriptor, piece, offset)
        os.ftruncate(descriptor, self.size)

    def copy(self, damaged: FileBytes, descriptor: int) -> None:
        """Write the mended file into an empty one."""
        for offset, piece in self.placed():
            if isinstance(piece, bytes):
                write_at(descriptor, piece, offset)
                continue
            for start in range(0, len(piece), _COPY_BYTES):
                count = min(_COPY_BYTES, len(piece) - start)
                data = damaged.read(piece.start + start, count)
                if len(data) < count:
                    raise OSError(None, "the file became shorter while it was read")
                write_at(descriptor, data, offset + start)


class MendedFile:
    """Reads a damaged file as if it were mended; what soundfile takes for a file."""

    def __init__(self, damaged: FileBytes, diagnosis: Diagnosis) -> None:
        self._damaged = damaged
        self._pieces = list(diagnosis.placed())
        self._size = diagnosis.size
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as in any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, count: int) -> bytes:
        """Return so many bytes, or those that there are."""
        found = []
        for offset, piece in self._pieces:
            start = max(self._position - offset, 0)
            end = min(self._position + count - offset, len(piece))
            if start >= end:
                continue
            if isinstance(piece, Kept):
                found.append(self._damaged.read(piece.start + start, end - start))
            else:
                found.append(piece[start:end])
        data = b"".join(found)
        self._position += len(data)
        return data
