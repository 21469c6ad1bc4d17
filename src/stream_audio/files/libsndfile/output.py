"""A file as libsndfile sees it: in memory, and from there to the disk in our own time.

libsndfile cannot say what the system said about a write, nor go back to before one that failed. So
it never meets one that fails: it writes into memory, and what it wrote is put on the disk
afterwards, all of it or, while that fails, less, to be tried again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

_SPILL_BYTES = 1 << 22
"""More than that is put on the disk while libsndfile still writes: ALAC is written at the end."""


class Output:
    """Takes what libsndfile writes; never raises while it does.

    Parameters
    ----------
    descriptor : int
        Of an empty file, opened for writing. Stays the caller's.

    Attributes
    ----------
    size : int
        Bytes of the file, those included that are not on the disk yet.
    accepted : int
        Frames that the encoder was given, or that stand in the file without it.
    """

    states_length = False
    """Whether :meth:`state_length` does something; if so, what libsndfile writes into the header
    after a failure is left out, as it speaks of audio that is not there."""

    def __init__(self, descriptor: int) -> None:
        self.size = 0
        self.accepted = 0
        self._file = descriptor
        self._position = 0
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._waiting = 0
        self._whole = 0  # where the file could end
        self._frames = 0
        self._reached = 0  # by the last put, also if it raised
        self._given_up = False
        self._inserted = 0  # bytes that libsndfile does not know of
        self._inserted_before = 0  # what it writes here or later, in its own count, comes after

    # ---- libsndfile's side, which counts without what was inserted ----

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as in any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._known_size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def write(self, data: bytes) -> int:
        """Take a piece."""
        at, length = self._position, len(data)
        if self._inserted and self._position >= self._inserted_before:
            at += self._inserted
            data = self.renumbered(data)
            self._inserted += len(data) - length
        end = at + len(data)
        # After a failure the header may still be put right, but nothing can be appended.
        if not self._given_up or (end <= self.size and not self.states_length):
            self._pieces.append((at, data))
            self._waiting += len(data)
            self.size = max(self.size, end)
        self._position += length
        if self._waiting > _SPILL_BYTES:
            self._try_to_drain()
        return length

    @property
    def _known_size(self) -> int:
        return self.size - self._inserted

    # ---- ours ----

    @property
    def owes(self) -> bool:
        """Whether something is not on the disk yet."""
        return bool(self._pieces)

    def drain(self) -> None:
        """Put everything on the disk; raises OSError as the system gives it."""
        while self._pieces:
            begin, run = self._first_run()
            try:
                self.put(b"".join(run), begin)
            finally:
                self._strike_out(self._reached)

    def put(self, data: bytes | bytearray, offset: int) -> None:
        """Write at a place of the file at once."""
        self._reached = offset
        while data:  # no memoryview: see write_at
            written = os.pwrite(self._file, data, self._reached)
            self._reached += written
            data = data[written:]

    def _first_run(self) -> tuple[int, list[bytes]]:
        """Return the first pieces that stand one behind the other, and where they begin."""
        begin = end = self._pieces[0][0]
        run = []
        for offset, piece in self._pieces:
            if offset != end:
                break
            run.append(piece)
            end += len(piece)
        return begin, run

    def _strike_out(self, written_to: int) -> None:
        """Forget the pieces of the first run that are on the disk up to their ends."""
        end = self._pieces[0][0]
        while self._pieces and self._pieces[0][0] == end:
            piece = self._pieces[0][1]
            end += len(piece)
            if end > written_to:
                break
            self._pieces.popleft()
            self._waiting = max(0, self._waiting - len(piece))
            if self.landed(piece):
                self._whole = max(self._whole, end)

    def _try_to_drain(self) -> None:
        try:
            self.drain()
        except OSError:
            self._waiting = 0  # it is told by the next drain; until then it is kept

    def landed(self, piece: bytes) -> bool:
        """Take note of a piece that is on the disk; True if the file may end behind it."""
        return False

    def all_landed(self, frames: int) -> None:
        """Take note that all is on the disk that came of so many frames."""
        self._whole = self.size
        self._frames = frames

    @property
    def safe_frames(self) -> int:
        """Frames that are certainly in the file, if it ended where it is whole."""
        return self._frames

    def state_length(self) -> bool:
        """Let the header tell how much audio is in the file; False if there is none to tell of.

        It does so with one small write, which a kill cannot tear.
        """
        return True

    # ---- long silence, of which the encoder makes a few seconds ----

    def listen(self) -> None:
        """Note what is written from now on: it will be silence."""

    def repeat_silence(self, frames: int) -> int:
        """Repeat what the encoder makes of silence, so many frames at most; returns how many.

        Everything must be on the disk. None, if it is not yet known to repeat itself. Raises
        OSError as the system gives it.
        """
        return 0

    def renumbered(self, data: bytes) -> bytes:
        """Return a piece with the place that it has behind what was inserted."""
        return data

    def finish(self, frames: int) -> None:
        """Put right what libsndfile, which has closed the file, could not know."""

    @staticmethod
    def some_at_a_time(count: int, at_once: int, insert: Callable[[int, int], object]) -> int:
        """Call ``insert(first, how_many)`` for all of ``count``; returns how many went well.

        Raises OSError if none did.
        """
        done = 0
        while done < count:
            some = min(at_once, count - done)
            try:
                insert(done, some)
            except OSError:
                if not done:
                    raise
                break
            done += some
        return done

    def insert(self, data: bytes, behind: bytes = b"") -> None:
        """Put bytes on the disk before the last ones, ``behind``: before all that will follow."""
        at = self.size - len(behind)
        try:
            self.put(data + behind, at)
        except OSError:
            self.put(behind, at)
            os.ftruncate(self._file, self.size)
            raise
        if not self._inserted:
            self._inserted_before = self._known_size
        self._inserted += len(data)
        self.size += len(data)
        self._whole += len(data)

    def give_up(self) -> None:
        """Leave out what could not be put on the disk; the file ends where it is whole."""
        self._given_up = True
        self._pieces.clear()
        self.size = self._whole
        os.ftruncate(self._file, self._whole)
