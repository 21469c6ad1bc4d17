"""A file that this process created, until it stands complete under its name."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from stream_audio.files.disk import flush_path
from stream_audio.files.free_names import IfExists, names_for, no_free_name, rename_to_free_name
from stream_audio.files.in_use import Identity, identity, refuse_if_written, unlock


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
        """Permissions of the file; only while the descriptor is open."""
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
            rename_to_free_name(self.written_as, path)
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
        for path in names_for(self.path, self._if_exists):
            try:
                rename_to_free_name(self.written_as, path)
            except FileExistsError:
                if self._if_exists is IfExists.FAIL:
                    raise
            else:
                return path
        raise no_free_name(self.path)

    def _is_at(self, path: Path) -> bool:
        return _is_file(path, self._identity)


def _is_file(path: Path, wanted: Identity) -> bool:
    try:
        return identity(os.stat(path)) == wanted
    except OSError:
        return False
