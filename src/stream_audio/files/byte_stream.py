"""A binary file object of the user's, to which bytes go in order and never twice."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import select
from typing import Any, BinaryIO

from stream_audio._locks import InterruptibleLock
from stream_audio.errors import ConfigError, ConfigTypeError, shown

_in_use: set[int] = set()
_lock = InterruptibleLock()


class ByteStream:
    """Appends to a file object; the object stays its owner's, who closes it.

    Below Python's own buffer if there is one: then what a failed write had written is known, and
    a thread that is stuck in one holds no lock that the interpreter needs to end.

    Parameters
    ----------
    file : binary file object
        With ``write``; ``seek`` and ``tell`` serve where it has them.

    Raises
    ------
    ConfigTypeError
        It is none, or one for text.
    """

    def __init__(self, file: BinaryIO) -> None:
        if isinstance(file, io.TextIOBase):
            hint = (
                "sys.stdout.buffer" if getattr(file, "name", "") == "<stdout>" else "file.buffer"
            )
            raise ConfigTypeError(
                f"audio is bytes, and {shown(file)} takes text", hint=f"Use {hint}"
            )
        if not callable(getattr(file, "write", None)):
            raise ConfigTypeError(f"FileSink takes a path or a binary file, not {shown(file)}")
        self._given = file
        self._file: Any = file
        self._start = 0
        self.written = 0
        """Bytes since :meth:`begin`."""

    @property
    def name(self) -> str:
        """What to call it: in angle brackets, unless it has a path."""
        name = getattr(self._given, "name", None)
        return name if isinstance(name, str) and name else f"<{type(self._given).__name__}>"

    @property
    def seekable(self) -> bool:
        """Whether what was written can be put right later."""
        try:
            if not self._given.seekable():
                return False
            # What is written anywhere in a file that is appended to goes to its end.
            return not fcntl.fcntl(self._given.fileno(), fcntl.F_GETFL) & os.O_APPEND
        except (OSError, ValueError, AttributeError, TypeError) as error:
            return isinstance(error, io.UnsupportedOperation) and isinstance(
                self._given, io.BytesIO
            )

    def begin(self) -> None:
        """Take it, from where it is; raises if another sink writes to it."""
        with _lock:
            if id(self._given) in _in_use:
                raise ConfigError(
                    f"another sink writes to {self.name} already", hint="Give each its own file"
                )
            _in_use.add(id(self._given))
        try:
            if isinstance(self._given, (io.BufferedWriter, io.BufferedRandom)):
                self._given.flush()
                self._file = self._given.raw
            self._start = self._file.tell() if self.seekable else 0
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Leave it to its owner."""
        with _lock:
            _in_use.discard(id(self._given))

    def write(self, data: bytes) -> None:
        """Append bytes, all of them unless it raises; ``written`` counts those that went."""
        left = memoryview(data)
        while left:
            try:
                count = self._file.write(left)
            except BlockingIOError as full:
                self.written += full.characters_written
                left = left[full.characters_written :]
                count = None
            if count is None:  # a descriptor that does not wait by itself
                select.select([], [self._file], [])
                continue
            if not 0 < count <= len(left):
                raise OSError(errno.EIO, f"it says to have written {count} of {len(left)} bytes")
            self.written += count
            left = left[count:]
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()

    def put_right(self, data: bytes, offset: int) -> None:
        """Write over what was written at a place, and go back to the end."""
        before = self.written
        self._file.seek(self._start + offset)
        try:
            self.write(data)
        finally:
            self.written = before
            with contextlib.suppress(OSError, ValueError):
                self._file.seek(self._start + before)
