"""What is asked of a disk besides taking data: how much room it has, and to keep what it took."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream_audio._record import Record

if TYPE_CHECKING:
    from pathlib import Path

LOW_MINUTES = 10.0
"""Minutes of recording for which there must be room, or a warning is given."""


def write_at(descriptor: int, data: bytes | bytearray | NDArray[np.uint8], offset: int) -> None:
    """Write all of ``data`` at a place of a file.

    Raises OSError as the system gives it. It uses no memoryview: one that is held by the traceback
    of an error crashes CPython 3.11 when the garbage collector comes to both.
    """
    while len(data):
        # An array is a buffer; type checkers know of buffers from Python 3.12 on.
        written = os.pwrite(descriptor, data, offset)  # type: ignore[arg-type]
        data = data[written:]
        offset += written


def flush_to_disk(descriptor: int) -> None:
    """Return when what was written is on the disk itself, and so are the file's size and place."""
    if sys.platform == "darwin":  # its fsync does not reach beyond the drive's own memory
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


class Room(Record):
    """What a disk has left for one recording.

    Attributes
    ----------
    free_bytes : int
        Bytes that this user may still write.
    minutes : float
        How long that lasts.
    """

    free_bytes: int
    minutes: float


class RoomWatch:
    """Tells when a disk gets low: once at first, then each time only half of it is left."""

    def __init__(self) -> None:
        self._next = LOW_MINUTES

    def look(self, descriptor: int, bytes_per_second: float) -> Room | None:
        """Return what is left, if that is news of a shortage.

        Parameters
        ----------
        descriptor : int
            Of a file on the disk.
        bytes_per_second : float
            What the recording takes.
        """
        system = os.fstatvfs(descriptor)
        free = system.f_bavail * system.f_frsize
        minutes = free / bytes_per_second / 60
        if minutes >= self._next:
            return None
        self._next = minutes / 2
        return Room(free, minutes)


def flush_path(path: Path) -> None:
    """Have a file or a folder on the disk, where the file system can do that."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
