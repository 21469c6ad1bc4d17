"""What a damaged sound file is made of, and how the mended one is put together."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator

from stream_audio._record import Record
from stream_audio.files.disk import write_at
from stream_audio.files.raw_format import RawFormat

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

    def written(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the parts between two positions that are no holes, as far as the system tells."""
        while start < end:
            try:
                start = os.lseek(self.descriptor, start, os.SEEK_DATA)
                hole = os.lseek(self.descriptor, start, os.SEEK_HOLE)
            except AttributeError:  # not on this system
                yield start, end
                return
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the file's end
                    return
                if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # not on this file system
                    yield start, end
                    return
                raise
            if start < end:
                yield start, min(hole, end)
            start = hole

    def first_nonzero(self, start: int) -> int | None:
        """Return where the first byte from ``start`` on is that is not 0, to a few; None: none."""
        for begin, end in self.written(start, self.size):
            for at in range(begin, end, _COPY_BYTES):
                data = self.read(at, min(_COPY_BYTES, end - at))
                if any(data):
                    return at + len(data) - len(data.lstrip(b"\0"))
        return None


class Kept(Record):
    """Bytes of the damaged file, from ``start`` up to ``end``."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


Piece = Kept | bytes
"""A part of the mended file: kept from the damaged one, or written anew."""


class Edit(Record):
    """Bytes to stand in place of those from ``start`` up to ``end``; an insertion if that is 0."""

    start: int
    end: int
    data: bytes


def edited(start: int, end: int, edits: Iterable[Edit]) -> tuple[Piece, ...]:
    """Return a part of the damaged file with edits that lie in it and do not overlap."""
    pieces: list[Piece] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        pieces += [Kept(start, edit.start), edit.data]
        start = edit.end
    pieces.append(Kept(start, end))
    return tuple(piece for piece in pieces if len(piece))


def placed(pieces: Iterable[Piece]) -> Iterator[tuple[int, Piece]]:
    """Yield pieces, and where each begins in what they make up."""
    offset = 0
    for piece in pieces:
        yield offset, piece
        offset += len(piece)


class Stream(Record):
    """What a decoder is given, as if it were a file.

    Attributes
    ----------
    pieces : tuple of Kept or bytes
        Its bytes, in order.
    raw : RawFormat, optional
        What they are, if they have no header.
    """

    pieces: tuple[Piece, ...]
    raw: RawFormat | None = None


class Diagnosis(Record):
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
    missing : str
        How it is known that not all of its audio is there; empty if it is not.
    unclear : str
        Why nobody can tell whether all of its audio is there; empty if it is, or is known not to
        be.
    streams : tuple of Stream
        What is to be decoded, one after the other, where that is not just the mended file.
    hopeless : str
        Why it cannot be mended, though it can be read; empty if it can.
    """

    format: str
    findings: tuple[str, ...]
    frames: int | None
    pieces: tuple[Piece, ...]
    missing: str = ""
    unclear: str = ""
    streams: tuple[Stream, ...] = ()
    hopeless: str = ""

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
        return placed(self.pieces)

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
            shift = offset - piece.start
            for begin, end in damaged.written(piece.start, piece.end):
                for start in range(begin, end, _COPY_BYTES):
                    count = min(_COPY_BYTES, end - start)
                    data = damaged.read(start, count)
                    if len(data) < count:
                        raise OSError(None, "the file became shorter while it was read")
                    write_at(descriptor, data, start + shift)
        os.ftruncate(descriptor, self.size)  # a hole may be last


class MendedFile:
    """Reads parts of a file as if they were one; what soundfile takes for a file.

    Attributes
    ----------
    error : OSError, optional
        What kept it from reading. libsndfile hears of nothing but an early end.
    """

    def __init__(self, damaged: FileBytes, pieces: Iterable[Piece]) -> None:
        self._damaged = damaged
        self._pieces = list(placed(pieces))
        self._size = sum(len(piece) for _, piece in self._pieces)
        self._position = 0
        self.error: OSError | None = None

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
                try:
                    found.append(self._damaged.read(piece.start + start, end - start))
                except OSError as error:
                    self.error = error
                    break
            else:
                found.append(piece[start:end])
        data = b"".join(found)
        self._position += len(data)
        return data
