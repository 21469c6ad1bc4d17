"""Which files are being written: by locks, which other sessions and other processes see too.

A lock is advisory and belongs to one opening of a file (``flock``), so two sinks of a process
exclude each other as two processes do, whatever names or links they came by. It ends with the
process at the latest.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Collection
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode of a file."""

_WITHOUT_FOLLOWING = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW


def identity(found: os.stat_result) -> Identity:
    """Return what tells a file from all others, as long as it exists."""
    return found.st_dev, found.st_ino


def lock(descriptor: int) -> bool:
    """Lock an open file until :func:`unlock`; False if somebody else has it locked."""
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Let others have a file, also where a forked child still holds the descriptor."""
    _flock(descriptor, fcntl.LOCK_UN)


def _flock(descriptor: int, operation: int) -> None:
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        # A file system without locks tells nothing, and keeps nobody from recording.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            raise


def open_old(path: Path, read: Collection[Identity] = ()) -> int | None:
    """Open and lock a file that is to be replaced; ``None`` if there is none.

    Nothing is written to it. A link is not followed.

    Parameters
    ----------
    path : Path
        The file.
    read : collection of Identity
        Files that the session reads.

    Raises
    ------
    OSError
        It may not be written to, is no regular file, is in ``read``, or somebody is writing it.
    """
    try:
        descriptor = os.open(path, _WITHOUT_FOLLOWING)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ENXIO:  # a pipe that nobody reads
            raise
        raise not_regular(path) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise not_regular(path)
        if identity(found) in read:
            raise OSError(errno.EBUSY, "this session reads that file", str(path))
        if not lock(descriptor):
            raise _in_use(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def refuse_if_written(path: Path) -> None:
    """Raise OSError if somebody is writing that file; whatever else it is does not matter."""
    try:
        descriptor = os.open(path, _WITHOUT_FOLLOWING)
    except OSError:
        return
    try:
        if not lock(descriptor):
            raise _in_use(path)
    finally:
        os.close(descriptor)


def not_regular(path: Path) -> OSError:
    """Make the error of a pipe, a folder, a device."""
    return OSError(errno.EINVAL, "it exists and is not a regular file", str(path))


def _in_use(path: Path) -> OSError:
    return OSError(errno.EBUSY, "another recording is writing it", str(path))
