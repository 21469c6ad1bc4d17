"""A damaged file, held by its descriptor while it is examined and mended."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream_audio.errors import FileError
from stream_audio.files.examine import examine
from stream_audio.files.identify import identify
from stream_audio.files.in_use import lock, unlock
from stream_audio.files.mending import Diagnosis, FileBytes
from stream_audio.files.raw_format import RawFormat

_KINDS = "WAV, RF64, BW64, AIFF, CAF, AU, W64, FLAC, Ogg and MP3"


def mended(
    source: Path, *, in_place: bool, target: Path | None, raw: RawFormat | None
) -> dict[str, Any]:
    """Mend a file, and return the fields of its report."""
    try:
        descriptor, not_writable = _open(source, in_place)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise _failure("open", source, error) from error
    try:
        if not lock(descriptor):
            raise _being_written(source)
        damaged = _Damaged(source, descriptor)
        diagnosis = damaged.examine(raw)
        output = None
        if diagnosis.findings:
            damaged.check_unchanged()
            if not_writable is not None:
                raise not_writable
            if in_place:
                output = source
                damaged.mend_in_place(diagnosis)
            else:
                ending = source.suffix
                if raw is not None:
                    ending = ".au" if diagnosis.format == "AU" else ".wav"
                beside = source.with_name(f"{source.stem}.repaired{ending}")
                output = beside if target is None else target
                damaged.mend_copy(diagnosis, output)
    except OSError as error:
        raise _failure("mend", source, error) from error
    finally:
        unlock(descriptor)
        os.close(descriptor)
    return {
        "path": str(source),
        "format": diagnosis.format,
        "findings": diagnosis.findings,
        "frames": diagnosis.frames,
        "output": None if output is None else str(output),
        "unclear": diagnosis.unclear,
    }


def _open(source: Path, in_place: bool) -> tuple[int, OSError | None]:
    """Return a descriptor, through which all is done, and why it cannot be written if so."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    if not in_place:
        return os.open(source, os.O_RDONLY | flags), None
    flags |= getattr(os, "O_NOFOLLOW", 0)
    if source.is_symlink():
        raise FileError(
            f"cannot mend {source} in place: it is a link",
            hint=f"Name the file itself: {os.path.realpath(source)}",
        )
    try:
        return os.open(source, os.O_RDWR | flags), None
    except OSError as error:  # a sound file need not be writable; a folder is no file
        return os.open(source, os.O_RDONLY | flags), error


class _Damaged:
    """The file, under a name that may come to mean another one at any moment."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._before = os.fstat(descriptor)
        if not stat.S_ISREG(self._before.st_mode):
            raise FileError(f"cannot mend {path}: it is not a regular file")
        self._bytes = FileBytes(descriptor)

    def examine(self, raw: RawFormat | None) -> Diagnosis:
        """Find out what is wrong with it."""
        try:
            diagnosis = examine(self._bytes, raw)
        except FileError as error:
            raise FileError(
                f"cannot mend {self._path}: {error.message}", hint=error.hint
            ) from None
        if diagnosis is None:
            what, hint = identify(self._bytes)
            raise FileError(
                f"cannot mend {self._path}: {what or 'repair does not support this kind of file'}",
                hint=hint or f"It mends {_KINDS}",
            )
        hopeless = diagnosis.hopeless or (diagnosis.missing if not diagnosis.findings else "")
        if hopeless:
            raise FileError(
                f"cannot mend {self._path}: {hopeless}",
                hint="Its audio can be read as it is: AudioSource.file, transcode",
            )
        return diagnosis

    def check_unchanged(self) -> None:
        """Raise if somebody has written it meanwhile."""
        now, before = os.fstat(self._descriptor), self._before
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise _being_written(self._path)

    def mend_in_place(self, diagnosis: Diagnosis) -> None:
        """Mend the very file that was examined."""
        if diagnosis.stays_in_place:
            diagnosis.patch(self._descriptor)
            os.fsync(self._descriptor)
            self._keep_times(self._descriptor)
            return
        # Something has to be moved: a complete file takes its place, so that no moment is unsafe.
        with _folder(self._path) as folder, self._mended(diagnosis, self._path, folder) as name:
            found = os.stat(self._path.name, dir_fd=folder, follow_symlinks=False)
            if (found.st_dev, found.st_ino) != (self._before.st_dev, self._before.st_ino):
                raise FileError(
                    f"cannot mend {self._path} in place: another file has taken its name"
                )
            os.replace(name, self._path.name, src_dir_fd=folder, dst_dir_fd=folder)

    def mend_copy(self, diagnosis: Diagnosis, target: Path) -> None:
        """Write a mended copy, which has its name when it is complete."""
        exists = FileError(
            f"cannot write {target}: it exists", hint="Name another file with output="
        )
        if os.path.lexists(target):
            raise exists
        try:
            with _folder(target) as folder, self._mended(diagnosis, target, folder) as name:
                _name_without_replacing(name, target.name, folder)
        except FileExistsError as error:
            raise exists from error
        except OSError as error:
            raise _failure("write", target, error) from error

    @contextlib.contextmanager
    def _mended(self, diagnosis: Diagnosis, target: Path, folder: int) -> Iterator[str]:
        """Fill a new file, and delete it unless it is given another name."""
        name = f".{target.name[:200]}.{secrets.token_hex(8)}"  # nobody else's
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:  # first: a signal may raise as soon as the file is there
            descriptor = os.open(name, flags, 0o600, dir_fd=folder)
            try:
                diagnosis.copy(self._bytes, descriptor)
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, self._before.st_uid, self._before.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(self._before.st_mode))
                os.fsync(descriptor)
                self._keep_times(descriptor)
            finally:
                os.close(descriptor)
            yield name
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)

    def _keep_times(self, descriptor: int) -> None:
        os.utime(descriptor, ns=(self._before.st_atime_ns, self._before.st_mtime_ns))


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    """Open the folder of a file once, so that it stays the same whatever is renamed."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _name_without_replacing(old: str, new: str, folder: int) -> None:
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken, then replaced
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(new, flags, 0o600, dir_fd=folder))
        os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)


def _being_written(path: Path) -> FileError:
    return FileError(
        f"cannot mend {path}: a program is writing it", hint="Stop the recording first"
    )


def _failure(doing: str, path: Path, error: Exception) -> FileError:
    text = getattr(error, "strerror", None) or str(error)
    return FileError(f"cannot {doing} {str(path)!r}", host_text=text)
