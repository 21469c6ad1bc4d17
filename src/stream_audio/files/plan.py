"""How a recording is to be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from stream_audio._record import Record
from stream_audio.files.free_names import IfExists
from stream_audio.files.keeping import Keep
from stream_audio.files.rotation import Rotation
from stream_audio.files.writer import Container, Encoding

if TYPE_CHECKING:
    from pathlib import Path

GapPolicy = Literal["silence", "skip", "split"]


class Plan(Record, kw_only=True):
    """How a recording is to be written; see :class:`stream_audio.FileSink`."""

    path: Path
    fallback: Path | None
    container: Container
    subtype: str
    encoding: Encoding
    if_exists: IfExists
    mode: int | None
    temporary: bool
    rotation: Rotation | None
    keep: Keep | None
    gaps: GapPolicy
    ledger: bool
    whole: bool = False
    """Whether a file that cannot be completed is deleted."""

    @property
    def numbered(self) -> bool:
        """Whether several files are to be expected."""
        return self.rotation is not None or self.gaps == "split"
