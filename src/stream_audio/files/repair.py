"""Mending sound files that their writer left incomplete."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stream_audio._public import public
from stream_audio.errors import ConfigError, ConfigTypeError, FileError
from stream_audio.files.examine import examine
from stream_audio.files.identify import identify
from stream_audio.files.in_use import lock, unlock
from stream_audio.files.mending import Diagnosis, FileBytes
from stream_audio.files.raw_format import RawFormat
from stream_audio.reports.schema import SCHEMA

_KINDS = "WAV, RF64, BW64, AIFF, CAF, AU, W64, FLAC, Ogg and MP3"


@public
@dataclass(frozen=True)
class RepairReport:
    """What :func:`repair` found and did.

    Attributes
    ----------
    path : str
        The file that was examined.
    format : str
        The format's libsndfile name; if the header was gone, that of the mended file.
    findings : tuple of str
        What was wrong with the file; empty if it is intact.
    frames : int, optional
        Frames of the mended (or intact) file; ``None`` if only decoding would tell.
    output : str, optional
        The mended file; ``None`` if nothing was written.
    unclear : str
        Why nobody can tell whether all of the file's audio is there; empty if that is known.
    """

    path: str
    format: str
    findings: tuple[str, ...]
    frames: int | None
    output: str | None
    unclear: str = ""

    @property
    def sound(self) -> bool:
        """Whether there was nothing to mend."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for ``json.dumps``."""
        return {
            "schema": SCHEMA,
            **asdict(self),
            "findings": list(self.findings),
            "sound": self.sound,
        }

    def __str__(self) -> str:
        length = "" if self.frames is None else f", {self.frames} frames"
        state = "is intact" if self.sound else "was damaged"
        lines = [f"{self.path} {state}: {self.format}{length}"]
        lines += [f"  {finding}" for finding in self.findings]
        if self.unclear:
            lines.append(f"  unclear: {self.unclear}")
        if self.output is not None:
            mended = f"mended file: {self.output}"
            lines.append("mended in place" if self.output == self.path else mended)
        return "\n".join(lines)


@public
def repair(
    path: str | os.PathLike[str],
    *,
    in_place: bool = False,
    output: str | os.PathLike[str] | None = None,
    raw: RawFormat | None = None,
) -> RepairReport:
    """Mend a sound file that was cut off, or whose header is wrong or gone.

    It corrects sizes and totals, leaves out a last frame that is cut, and adds padding. It does
    not change samples, or chunks and metadata of other programs. It leaves an intact file alone.

    Parameters
    ----------
    path : str or os.PathLike
        A WAV, RF64, BW64, AIFF, CAF, AU, W64, FLAC, Ogg or MP3 file that no program is writing.
    in_place : bool
        Whether to mend the file itself instead of writing a copy. A link is refused. If data must
        move, a new file takes its place; hard links then keep the damaged one.
    output : str or os.PathLike, optional
        Path of the copy, which must not exist. ``None``: ``NAME.repaired.wav`` beside
        ``NAME.wav``.
    raw : RawFormat, optional
        A description of the samples, for a file whose header is gone. It becomes a WAV file, or an
        AU file if its samples are big-endian or have 8 signed bits.

    Returns
    -------
    RepairReport
        What was wrong, and where the mended file is. That file has the damaged one's time of
        modification and permissions.

    Raises
    ------
    FileError
        The file cannot be read or written, has another format, or holds no audio to save. Nothing
        was written.
    """
    for value in (path, path if output is None else output):
        if not isinstance(value, (str, os.PathLike)):
            raise ConfigTypeError(f"repair takes paths, not {value!r}")
    if in_place and output is not None:
        raise ConfigError("repair writes in place or to an output, not both")
    if raw is not None and not isinstance(raw, RawFormat):
        raise ConfigTypeError(f"raw must be a RawFormat, not {raw!r}")
    source = Path(path)
    try:
        descriptor, not_writable = _open(source, in_place)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise _failure("open", source, error) from error
    try:
        if not lock(descriptor):
            raise _being_written(source)
        damaged = _Damaged(source, descriptor)
        diagnosis = damaged.examine(raw)
        target = None
        if diagnosis.findings:
            damaged.check_unchanged()
            if not_writable is not None:
                raise not_writable
            if in_place:
                target = source
                damaged.mend_in_place(diagnosis)
            else:
                ending = source.suffix
                if raw is not None:
                    ending = ".au" if diagnosis.format == "AU" else ".wav"
                target = source.with_name(f"{source.stem}.repaired{ending}")
                target = target if output is None else Path(output)
                damaged.mend_copy(diagnosis, target)
    except OSError as error:
        raise _failure("mend", source, error) from error
    finally:
        unlock(descriptor)
        os.close(descriptor)
    return RepairReport(
        str(source),
        diagnosis.format,
        diagnosis.findings,
        diagnosis.frames,
        None if target is None else str(target),
        diagnosis.unclear,
    )


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
        name = f".{target.name[:200]}.{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        try:
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
