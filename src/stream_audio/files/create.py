"""How a new file comes to be: permissions, files that are there already, temporary names."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from stream_audio.files.in_use import (
    Identity,
    identity,
    lock,
    open_old,
    refuse_if_written,
    unlock,
)

MAX_NUMBER = 9999
"""Of a file that found its name taken."""

_LONGEST_NAME = 255
"""Bytes that a file system takes at most, as a rule."""


class IfExists(Enum):
    """What to do about a file of that name."""

    FAIL = "fail"
    OVERWRITE = "overwrite"
    """Write the new one beside it; the old one goes when that takes its name."""
    RENAME = "rename"
    """Give the new one another name: ``a-1.wav``."""


class Whereabouts(Enum):
    """What became of a file while it was written."""

    IN_PLACE = "in place"
    MOVED = "moved"
    REMOVED = "removed"


@dataclass
class NewFile:
    """A file that this process created and is writing; nobody else writes it meanwhile.

    Attributes
    ----------
    path : Path
        Its name in the end.
    written_as : Path
        Its name until it takes that one; the same if nothing was in the way.
    descriptor : int
        For writing; whoever writes closes it.
    """

    path: Path
    written_as: Path
    descriptor: int
    _if_exists: IfExists
    _made: tuple[Path, ...]  # folders, the innermost first
    _held: int | None  # a descriptor of our own, for the lock
    _old: int | None  # that of the file that will be replaced, locked too
    _identity: Identity = field(init=False)
    _stamp: tuple[int, int] | None = None  # time of change and size of the complete file

    def __post_init__(self) -> None:
        self._identity = identity(os.fstat(self.descriptor))

    @property
    def mode(self) -> int:
        """Its permissions; while the descriptor is open."""
        return stat.S_IMODE(os.fstat(self.descriptor).st_mode)

    @property
    def size(self) -> int | None:
        """Bytes of the complete file."""
        return None if self._stamp is None else self._stamp[1]

    def whereabouts(self) -> Whereabouts:
        """Look whether it can still be found; until it is published."""
        if self._is_at(self.written_as):
            return Whereabouts.IN_PLACE
        if self._held is not None and os.fstat(self._held).st_nlink == 0:
            return Whereabouts.REMOVED
        return Whereabouts.MOVED

    def moved_to(self) -> Path | None:
        """Return where a moved file is now, if the system tells; until it is published."""
        with contextlib.suppress(OSError):
            found = Path(os.readlink(f"/proc/self/fd/{self._held}"))
            if self._is_at(found):
                return found
        return None

    def take_name(self) -> None:
        """Take the name that it is to have, and the place of the file that had it, if asked.

        Raises OSError as the system gives it, or if somebody began to write that file meanwhile;
        it can then be tried again.
        """
        if self.written_as == self.path:
            return
        if self._if_exists is IfExists.OVERWRITE:
            if self._old is None or not _is_file(self.path, identity(os.fstat(self._old))):
                refuse_if_written(self.path)
            os.replace(self.written_as, self.path)
            self._let_go_of_old()
        else:
            self.path = self._take_free_name()
        self.written_as = self.path

    def move_beside(self, path: Path) -> None:
        """Take another name in place of the one that it has, if that one is free."""
        with contextlib.suppress(OSError):  # taken, or on another disk
            _rename_to_free_name(self.written_as, path)
            self.path = self.written_as = path

    def publish(self) -> None:
        """Say that it is complete and closed; it takes its name if it has not yet."""
        try:
            if self.written_as != self.path:
                flush_path(self.written_as)
                self.take_name()
                flush_path(self.path.parent)
            found = os.stat(self.path)
            self._stamp = (found.st_mtime_ns, found.st_size)
        finally:
            self.release()

    def remove(self) -> bool:
        """Delete it, if it is still the file that this process created, as it left it.

        Folders that were made for it go too, if nothing else is in them. Returns whether nothing
        of it is left.
        """
        try:
            if not self.is_unchanged():
                return False
            os.unlink(self.written_as)
        finally:
            self.release()
        for folder in self._made:
            with contextlib.suppress(OSError):  # as it is not empty
                folder.rmdir()
        return True

    def is_unchanged(self) -> bool:
        """Whether that name is still that of the file which this process wrote, as it left it."""
        try:
            found = os.lstat(self.written_as)
        except OSError:
            return False
        # Once a file is closed and deleted, its number may be that of another.
        stamp = (found.st_mtime_ns, found.st_size)
        return identity(found) == self._identity and self._stamp in (None, stamp)

    def release(self) -> None:
        """Let others write it from now on; does nothing twice."""
        held, self._held = self._held, None
        if held is not None:
            unlock(held)
            os.close(held)
        self._let_go_of_old()

    def _let_go_of_old(self) -> None:
        old, self._old = self._old, None
        if old is not None:
            os.close(old)

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
        return _is_file(path, self._identity)


def create(
    path: Path,
    *,
    if_exists: IfExists = IfExists.FAIL,
    mode: int | None = None,
    temporary: bool = False,
    read: Collection[Identity] = (),
    follow: bool = True,
    companion: str = "",
    made: tuple[Path, ...] = (),
) -> NewFile:
    """Create an empty file.

    Parameters
    ----------
    path : Path
        Unless it may be overwritten, nothing of that name may exist, not even a dangling link.
    if_exists : IfExists
        What to do if it does.
    mode : int, optional
        Permissions, for example ``0o600``; ``None``: those of the file that is replaced, or as the
        process's umask has it.
    temporary : bool
        Whether it is called ``NAME.part`` until it is published. One that an earlier process left
        is not touched; the new one then gets a number.
    read : collection of Identity
        Files that the session reads; none of them is replaced.
    follow : bool
        Whether an overwritten link stays, and what it leads to is replaced; else the link is.
    companion : str
        An ending that will be added to the name for a second file: for RENAME, that name must be
        free too.
    made : tuple of Path
        Folders that were made for it, the innermost first; they go when it is removed.

    Raises
    ------
    OSError
        As the system gives it; with ``EBUSY`` if another recording is writing that file, or the
        session reads it.
    """
    old = None
    if if_exists is IfExists.OVERWRITE:
        if follow:
            path = Path(os.path.realpath(path))
        if follow or not path.is_symlink():
            old = open_old(path, read)
    elif temporary and _exists(path) and if_exists is IfExists.FAIL:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    created = descriptor = None
    try:
        at_first = 0o666 if mode is None else mode
        if temporary or if_exists is IfExists.OVERWRITE:
            at_first = at_first if old is None else at_first & 0o600
            created, descriptor = _open_beside(path, if_exists, at_first)
        else:
            created, descriptor = _open(path, if_exists, at_first, companion)
            path = created
        lock(descriptor)
        before = None if old is None else os.fstat(old)
        _permit(descriptor, mode, before)
        if before is not None:
            _check_sticky(path, before)
        return NewFile(path, created, descriptor, if_exists, made, os.dup(descriptor), old)
    except BaseException as error:
        if isinstance(error, OSError) and created is None:
            error.filename = str(path)  # of which the user knows
        for each in (descriptor, old):
            if each is not None:
                os.close(each)
        if created is not None:
            with contextlib.suppress(OSError):  # the error that matters is the one under way
                os.unlink(created)  # it was not there before
        raise


def _permit(descriptor: int, mode: int | None, old: os.stat_result | None) -> None:
    """Set the permissions, and the owner of the file that was there, as far as that is allowed."""
    if old is None:
        if mode is not None:  # whatever the umask takes away
            os.fchmod(descriptor, mode)
        return
    wanted = stat.S_IMODE(old.st_mode) if mode is None else mode
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            try:
                os.fchown(descriptor, -1, old.st_gid)
            except PermissionError:
                if mode is None:  # what the old group might is not this group's
                    wanted &= ~0o070 | (wanted & 0o007) << 3
    os.fchmod(descriptor, wanted)


def _check_sticky(path: Path, old: os.stat_result) -> None:
    """Find out before the start what would fail after it: in ``/tmp``, only owners replace."""
    folder = os.stat(path.parent)
    mine = (0, old.st_uid, folder.st_uid)
    if folder.st_mode & stat.S_ISVTX and os.geteuid() not in mine:
        raise PermissionError(errno.EPERM, "only its owner may replace it there", str(path))


def _open(path: Path, if_exists: IfExists, mode: int, companion: str) -> tuple[Path, int]:
    for name in _names(path, if_exists):
        if companion and if_exists is IfExists.RENAME:
            beside = name.with_name(name.name + companion)
            if os.path.lexists(beside):
                continue
        try:
            return name, _open_new(name, mode)
        except FileExistsError:
            if if_exists is not IfExists.RENAME:
                raise
    raise _no_free_name(path)


def _open_beside(path: Path, if_exists: IfExists, mode: int) -> tuple[Path, int]:
    name = os.fsencode(path.name)[: _LONGEST_NAME - len("-9999.part")]
    part = path.with_name(os.fsdecode(name) + ".part")
    for each in _names(part, IfExists.RENAME):
        try:
            return each, _open_new(each, mode)
        except FileExistsError:
            # Of a killed process; or of one that will want the same name in the end.
            if if_exists is not IfExists.RENAME:
                refuse_if_written(each)
    raise _no_free_name(part)


def _open_new(path: Path, mode: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def _names(path: Path, if_exists: IfExists) -> Iterator[Path]:
    yield path
    if if_exists is IfExists.RENAME:
        for number in range(1, MAX_NUMBER + 1):
            yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def _exists(path: Path) -> bool:
    """Whether there is anything of that name; raises OSError if there cannot be."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _is_file(path: Path, wanted: Identity) -> bool:
    try:
        return identity(os.stat(path)) == wanted
    except OSError:
        return False


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
