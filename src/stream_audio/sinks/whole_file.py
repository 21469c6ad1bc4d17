"""A file that is there whole, or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from stream_audio.audio.gap import Gap
from stream_audio.sinks.file import FileSink
from stream_audio.waiting.interrupts import HeldBackInterrupt


class WholeFile(FileSink):
    """Takes its name only when all of it is there; else nothing of it is left."""

    def __init__(self, path: str | os.PathLike[str], options: dict[str, Any]) -> None:
        settings: dict[str, Any] = {**options, "atomic": True}
        super().__init__(path, **settings)
        self._plan = replace(self._plan, whole=True)

    def stop(self) -> tuple[Gap, ...]:
        """Leave it to whoever knows how the session ended."""
        return ()

    def complete(self) -> None:
        """Complete it; what cannot be completed is deleted."""
        with HeldBackInterrupt():
            super().stop()
