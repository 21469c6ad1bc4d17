"""Mending sound files that their writer left incomplete."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.errors import ConfigError, ConfigTypeError
from stream_audio.files.raw_format import RawFormat
from stream_audio.reports.schema import SCHEMA


@public
class RepairReport(Record):
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
    from pathlib import Path

    from stream_audio.files.damaged_file import mended

    target = None if output is None else Path(output)
    return RepairReport(**mended(Path(path), in_place=in_place, target=target, raw=raw))
