"""How a new file comes to be: permissions, files that are there already, temporary names."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path

from stream_audio.files.free_names import IfExists, names_for, no_free_name
from stream_audio.files.in_use import Identity, lock, open_old, refuse_if_written
from stream_audio.files.new_file import NewFile

_LONGEST_NAME = 255
"""Bytes that a file system takes at most, as a rule."""


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
    for name in names_for(path, if_exists):
        if companion and if_exists is IfExists.RENAME:
            beside = name.with_name(name.name + companion)
            if os.path.lexists(beside):
                continue
        try:
            return name, _open_new(name, mode)
        except FileExistsError:
            if if_exists is not IfExists.RENAME:
                raise
    raise no_free_name(path)


def _open_beside(path: Path, if_exists: IfExists, mode: int) -> tuple[Path, int]:
    name = os.fsencode(path.name)[: _LONGEST_NAME - len("-9999.part")]
    part = path.with_name(os.fsdecode(name) + ".part")
    for each in names_for(part, IfExists.RENAME):
        try:
            return each, _open_new(each, mode)
        except FileExistsError:
            # Of a killed process; or of one that will want the same name in the end.
            if if_exists is not IfExists.RENAME:
                refuse_if_written(each)
    raise no_free_name(part)


def _open_new(path: Path, mode: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def _exists(path: Path) -> bool:
    """Whether there is anything of that name; raises OSError if there cannot be."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True
