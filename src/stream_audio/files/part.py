"""One file of a recording, from its creation to its end."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stream_audio.audio.gap import Gap
from stream_audio.files.create import NewFile
from stream_audio.files.writer import SoundFileWriter


@dataclass(frozen=True)
class PlacedGap:
    """What is missing, and where in the file.

    Attributes
    ----------
    gap : Gap
        The loss, or the part of it that falls into this file.
    at : int
        Frame of the file at which its silence begins, or before which it was left out.
    """

    gap: Gap
    at: int


class Part:
    """One file that is being written.

    Attributes
    ----------
    index : int
        Its number in the recording, from 1.
    planned_start : float
        When its first frame was expected to be captured, as its name has it; ``time.time()``
        seconds.
    start_time, start_frame : float, int
        When its first frame was captured, and that frame's position on the source's timeline.
    """

    def __init__(
        self, file: NewFile, writer: SoundFileWriter, index: int, planned_start: float
    ) -> None:
        self.file = file
        self.writer = writer
        self.index = index
        self.planned_start = planned_start
        self.start_time = planned_start
        self.start_frame = 0
        self.gaps: list[PlacedGap] = []
        self.moved = False
        self.removed = False

    @property
    def frames(self) -> int:
        """Frames in the file."""
        return self.writer.frames

    @property
    def saved_frames(self) -> int:
        """Frames in the file, if it is still there."""
        return 0 if self.removed else self.writer.frames

    def close(self) -> None:
        """Complete the file and give it its name, even if it could not be completed entirely."""
        try:
            self.writer.close()
        finally:
            if not self.removed:
                self.file.publish()

    def discard(self) -> None:
        """Take back a file that holds nothing."""
        with contextlib.suppress(OSError):  # it may be gone, or its disk full
            self.file.remove()
        with contextlib.suppress(OSError):
            self.writer.close()

    @property
    def ledger_path(self) -> Path:
        """Where its ledger is."""
        return _beside(self.file.path)

    def write_ledger(self, about: dict[str, Any], *, complete: bool) -> None:
        """Write what is missing beside the file, in one step, so that a reader finds all or none.

        Parameters
        ----------
        about : dict
            What is the same for all files of the recording.
        complete : bool
            Whether the file is.
        """
        ledger = about | {
            "file": self.file.path.name,
            "index": self.index,
            "complete": complete,
            "start": _iso(self.start_time),
            "start_frame": self.start_frame,
            "frames": self.frames,
            "missing_frames": sum(placed.gap.frames for placed in self.gaps),
            "gaps": [
                {
                    "at": placed.at,
                    "source": placed.gap.source,
                    "frame": placed.gap.frame,
                    "frames": placed.gap.frames,
                    "cause": str(placed.gap.cause),
                }
                for placed in self.gaps
            ],
        }
        path = self.ledger_path
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(json.dumps(ledger, indent=1) + "\n")
        os.replace(temporary, path)


def remove_old(file: NewFile) -> None:
    """Delete a complete file of this recording, and its ledger."""
    file.remove()
    _beside(file.path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time).astimezone().isoformat(timespec="microseconds")
