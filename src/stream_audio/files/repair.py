"""Mending sound files that their writer left incomplete."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stream_audio.errors import ConfigError, ConfigTypeError, FileError
from stream_audio.files.flac_damage import examine_flac
from stream_audio.files.mending import Diagnosis, FileBytes
from stream_audio.files.wav_damage import examine_wav


@dataclass(frozen=True)
class RepairReport:
    """What :func:`repair` found and did.

    Attributes
    ----------
    path : str
        The file that was examined.
    format : str
        ``"WAV"``, ``"RF64"`` or ``"FLAC"``.
    findings : tuple of str
        What was wrong with it; empty if it is sound.
    frames : int, optional
        Frames of the mended (or sound) file; ``None`` if only decoding would tell.
    output : str, optional
        The mended file; ``None`` if nothing was written.
    """

    path: str
    format: str
    findings: tuple[str, ...]
    frames: int | None
    output: str | None

    @property
    def sound(self) -> bool:
        """Whether there was nothing to mend."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, ready for ``json.dumps``."""
        return {**asdict(self), "findings": list(self.findings), "sound": self.sound}

    def __str__(self) -> str:
        length = "" if self.frames is None else f", {self.frames} frames"
        if self.sound:
            return f"{self.path} is sound: {self.format}{length}"
        lines = [f"{self.path} was damaged: {self.format}{length}"]
        lines += [f"  {finding}" for finding in self.findings]
        lines.append(
            "mended in place" if self.output == self.path else f"mended file: {self.output}"
        )
        return "\n".join(lines)


def repair(
    path: str | os.PathLike[str],
    *,
    in_place: bool = False,
    output: str | os.PathLike[str] | None = None,
) -> RepairReport:
    """Mend a WAV or FLAC file that was cut off, or whose header is wrong.

    Sizes and totals are put right, a last frame that is cut is left out, padding is added. Samples
    are not touched, nor are chunks and metadata of other programs. A sound file is left alone.

    Parameters
    ----------
    path : str or os.PathLike
        A WAV, RF64, BW64 or FLAC file that nobody is writing any more.
    in_place : bool
        Mend the file itself, instead of writing a copy.
    output : str or os.PathLike, optional
        Where the copy is written; must not exist. ``None``: ``NAME.repaired.wav`` beside
        ``NAME.wav``.

    Returns
    -------
    RepairReport
        What was wrong, and where the mended file is. It has the damaged one's time of modification
        and permissions.

    Raises
    ------
    FileError
        It cannot be read or written, is of another format, or holds no audio to be saved. Nothing
        was written.
    """
    for value in (path, path if output is None else output):
        if not isinstance(value, (str, os.PathLike)):
            raise ConfigTypeError(f"repair takes paths, not {value!r}")
    if in_place and output is not None:
        raise ConfigError("repair writes in place or to an output, not both")
    source = Path(path)
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise _failure("open", source, error) from error
    try:
        return _repair(source, descriptor, in_place, None if output is None else Path(output))
    except OSError as error:
        raise _failure("mend", source, error) from error
    finally:
        os.close(descriptor)


def _repair(source: Path, descriptor: int, in_place: bool, output: Path | None) -> RepairReport:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise FileError(f"cannot mend {source}: it is not a regular file")
    file = FileBytes(descriptor)
    try:
        diagnosis = examine(file)
    except FileError as error:
        raise FileError(f"{source}: {error.message}", hint=error.hint) from None
    target = None
    if diagnosis.findings:
        now = os.fstat(descriptor)
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise FileError(
                f"cannot mend {source}: somebody is writing it", hint="Stop the recording first"
            )
        if in_place:
            target = source
            _mend_in_place(source, file, diagnosis, before)
        else:
            target = output or source.with_name(f"{source.stem}.repaired{source.suffix}")
            _mend_copy(target, file, diagnosis, before)
    return RepairReport(
        str(source),
        diagnosis.format,
        diagnosis.findings,
        diagnosis.frames,
        None if target is None else str(target),
    )


def examine(file: FileBytes) -> Diagnosis:
    """Find out what is wrong with a WAV or FLAC file; raises FileError if it cannot be mended."""
    start = file.read(0, 12)
    if start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:] == b"WAVE":
        return examine_wav(file)
    offset = 0
    if start[:3] == b"ID3" and len(start) >= 10:  # a tag before the stream; seven bits a byte
        offset = 10 + sum(byte << 7 * (9 - at) for at, byte in enumerate(start[6:10], 6))
    if file.read(offset, 4) == b"fLaC":
        return examine_flac(file, offset)
    raise FileError(
        "it is neither a WAV nor a FLAC file", hint="Files of other formats cannot be mended"
    )


def _mend_in_place(
    source: Path, file: FileBytes, diagnosis: Diagnosis, before: os.stat_result
) -> None:
    source = source.resolve()
    if diagnosis.stays_in_place:
        descriptor = os.open(source, os.O_WRONLY | os.O_CLOEXEC)
        try:
            diagnosis.patch(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
        return
    # Something has to be moved: a complete file takes its place, so that no moment is unsafe.
    descriptor, name = tempfile.mkstemp(prefix=f".{source.name}.", dir=source.parent)
    _write_mended(Path(name), descriptor, file, diagnosis, before)
    try:
        os.replace(name, source)
    except BaseException:
        os.unlink(name)
        raise


def _mend_copy(
    target: Path, file: FileBytes, diagnosis: Diagnosis, before: os.stat_result
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(target, flags, 0o600)
    except FileExistsError as error:
        raise FileError(
            f"cannot write {target}: it exists", hint="Name another file with output="
        ) from error
    except OSError as error:
        raise _failure("write", target, error) from error
    _write_mended(target, descriptor, file, diagnosis, before)


def _write_mended(
    target: Path,
    descriptor: int,
    file: FileBytes,
    diagnosis: Diagnosis,
    before: os.stat_result,
) -> None:
    """Fill a new file and close it, or delete it."""
    try:
        try:
            diagnosis.copy(file, descriptor)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    except BaseException:
        os.unlink(target)
        raise


def _failure(doing: str, path: Path, error: Exception) -> FileError:
    text = getattr(error, "strerror", None) or str(error)
    return FileError(f"cannot {doing} {str(path)!r}", host_text=text)
