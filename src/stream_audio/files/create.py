"""How a new file comes to be: permissions, files that are there already, temporary names."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

MAX_NUMBER = 9999
"""Of a file that found its name taken."""


class IfExists(Enum):
    """What to do about a file of that name."""

    FAIL = "fail"
    OVERWRITE = "overwrite"
    RENAME = "rename"
    """Give the new one another name: ``a-1.wav``."""


class Whereabouts(Enum):
    """What became of a file while it was written."""

    IN_PLACE = "in place"
    MOVED = "moved"
    REMOVED = "removed"


@dataclass
class NewFile:
    """A file that this process created and is writing.

    Attributes
    ----------
    path : Path
        Its name when it is complete.
    written_as : Path
        Its name until then; the same unless it is temporary.
    descriptor : int
        For writing; whoever writes closes it.
    """

    path: Path
    written_as: Path
    descriptor: int
    _if_exists: IfExists
    _identity: tuple[int, int]
    _stamp: tuple[int, int] | None = None  # time of change and size of the complete file

    def whereabouts(self) -> Whereabouts:
        """Look whether it can still be found; while the descriptor is open."""
        if self._is_at(self.written_as):
            return Whereabouts.IN_PLACE
        if os.fstat(self.descriptor).st_nlink == 0:
            return Whereabouts.REMOVED
        return Whereabouts.MOVED

    def moved_to(self) -> Path | None:
        """Return where a moved file is now, if the system tells; while the descriptor is open."""
        with contextlib.suppress(OSError):
            found = Path(os.readlink(f"/proc/self/fd/{self.descriptor}"))
            if self._is_at(found):
                return found
        return None

    def publish(self) -> None:
        """Give a complete file, which is closed, its name."""
        if self.written_as != self.path:
            self._rename()
        found = os.stat(self.path)
        self._stamp = (found.st_mtime_ns, found.st_size)

    def _rename(self) -> None:
        flush_path(self.written_as)
        if self._if_exists is IfExists.OVERWRITE:
            os.replace(self.written_as, self.path)
        else:
            self.path = self._take_free_name()
        self.written_as = self.path
        flush_path(self.path.parent)

    def remove(self) -> None:
        """Delete it, if it is still the file that this process created, as it left it."""
        if self._is_at(self.written_as):
            # Once a file is closed and deleted, its number may be that of another.
            found = os.stat(self.written_as)
            if self._stamp in (None, (found.st_mtime_ns, found.st_size)):
                os.unlink(self.written_as)

    def _take_free_name(self) -> Path:
        for path in _names(self.path, self._if_exists):
            try:
                _rename_to_free_name(self.written_as, path)
            except FileExistsError:
                if self._if_exists is IfExists.FAIL:
                    raise
            else:
                return path
        raise _no_free_name(self.path)

    def _is_at(self, path: Path) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity


def create(
    path: Path,
    *,
    if_exists: IfExists = IfExists.FAIL,
    mode: int | None = None,
    temporary: bool = False,
) -> NewFile:
    """Create an empty file.

    Parameters
    ----------
    path : Path
        Unless it may be overwritten, nothing of that name may exist, not even a dangling link.
        Where a link is overwritten it stays, and what it leads to is replaced.
    if_exists : IfExists
        What to do if it does.
    mode : int, optional
        Permissions, for example ``0o600``; ``None``: as the process's umask has it.
    temporary : bool
        Whether it is called ``NAME.part`` until it is published. One that an earlier process left
        is not touched; the new one then gets a number.

    Raises
    ------
    OSError
        As the system gives it.
    """
    if if_exists is IfExists.OVERWRITE:
        path = Path(os.path.realpath(path))
    if not temporary:
        created, descriptor = _open(path, if_exists, mode)
        path = created
    else:
        if if_exists is IfExists.FAIL and os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        if if_exists is IfExists.OVERWRITE and path.exists() and not path.is_file():
            raise _not_regular(path)
        part = path.with_name(path.name + ".part")
        created, descriptor = _open(part, IfExists.RENAME, mode)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _not_regular(path)
        if mode is not None:  # whatever the umask takes away, or the file that was there had
            os.fchmod(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        if temporary or if_exists is not IfExists.OVERWRITE:
            with contextlib.suppress(OSError):  # the error that matters is the one under way
                os.unlink(created)  # it was not there before
        raise
    return NewFile(path, created, descriptor, if_exists, (found.st_dev, found.st_ino))


def _open(path: Path, if_exists: IfExists, mode: int | None) -> tuple[Path, int]:
    # Non-blocking: a named pipe would wait for its reader.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    flags |= os.O_TRUNC if if_exists is IfExists.OVERWRITE else os.O_EXCL
    for name in _names(path, if_exists):
        try:
            return name, os.open(name, flags, 0o666 if mode is None else mode)
        except FileExistsError:
            if if_exists is not IfExists.RENAME:
                raise
    raise _no_free_name(path)


def _names(path: Path, if_exists: IfExists) -> Iterator[Path]:
    yield path
    if if_exists is IfExists.RENAME:
        for number in range(1, MAX_NUMBER + 1):
            yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def _rename_to_free_name(old: Path, new: Path) -> None:
    """Rename without replacing what has the new name."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        os.rename(old, new)
    else:
        os.unlink(old)


def _no_free_name(path: Path) -> OSError:
    return FileExistsError(errno.EEXIST, f"so do {MAX_NUMBER} numbered names", str(path))


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it exists and is not a regular file", str(path))


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
