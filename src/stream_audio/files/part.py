"""One file of a recording, from its creation to its end."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

from stream_audio.files.new_file import NewFile
from stream_audio.files.part_ledger import PartLedger, PlacedGap
from stream_audio.files.writer import SoundFileWriter


class Part:
    """One file that is being written, and its ledger.

    Attributes
    ----------
    index : int
        Its number in the recording, from 1.
    planned_start : float
        When its first frame was expected to be captured, as its name has it; ``time.time()``
        seconds.
    start_time, start_frame : float, int
        When its first frame was captured, and that frame's position on the source's timeline.
    gaps : list of PlacedGap
        What is missing from it.
    moved, removed : bool
        What somebody did to it meanwhile.
    """

    def __init__(
        self,
        file: NewFile,
        writer: SoundFileWriter,
        ledger: PartLedger | None,
        index: int,
        planned_start: float,
    ) -> None:
        self.file = file
        self.writer = writer
        self.ledger = ledger
        self.index = index
        self.planned_start = planned_start
        self.start_time = planned_start
        self.start_frame = 0
        self.begins: float | None = None
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

    @property
    def has_its_name(self) -> bool:
        """Whether it stands where it is to stand in the end."""
        return self.file.written_as == self.file.path

    @property
    def ledger_is_behind(self) -> bool:
        """Whether there is a ledger that does not tell all yet."""
        return self.ledger is not None and self.ledger.is_behind(self.gaps)

    def take_name(self) -> None:
        """Take the place of what has its name, if it is to do so before it is complete."""
        self.file.take_name()
        if self.ledger is not None:
            self.ledger.take_name()

    def close(self, *, whole: bool) -> None:
        """Complete the file and give it its name.

        Also if it could not be completed entirely, unless it is to be ``whole``.
        """
        is_whole = False
        try:
            self.writer.close()
            is_whole = True
        finally:
            if self.removed or (whole and not is_whole):
                self.file.release()
            else:
                self.file.publish()

    def remove(self) -> None:
        """Delete a file that is closed, and holds nothing."""
        with contextlib.suppress(OSError):  # it may be gone
            self.file.remove()
        if self.ledger is not None:
            with contextlib.suppress(OSError):
                self.ledger.discard()

    def discard(self) -> None:
        """Take back what was begun."""
        with contextlib.suppress(OSError):  # it may be gone, or its disk full
            self.file.remove()
        with contextlib.suppress(OSError):
            self.writer.close()
        if self.ledger is not None:
            with contextlib.suppress(OSError):
                self.ledger.discard()

    def write_ledger(self, about: dict[str, Any], *, complete: bool) -> None:
        """Bring the ledger up to date.

        Parameters
        ----------
        about : dict
            What is the same for all files of the recording.
        complete : bool
            Whether the file is.
        """
        if self.ledger is None:
            return
        self.ledger.write(
            {
                **about,
                "index": self.index,
                "start": _iso(self.start_time),
                "start_frame": self.start_frame,
                "begins": self.begins,
            },
            self.gaps,
            {
                "file": self.file.path.name,
                "complete": complete,
                "frames": self.frames,
                "bytes": self.writer.size if self.file.size is None else self.file.size,
            },
        )

    def close_ledger(self, about: dict[str, Any]) -> None:
        """Complete the ledger, once the file is."""
        if self.ledger is not None:
            try:
                self.write_ledger(about, complete=True)
            finally:
                self.ledger.close(self.file.path)


class CompletePart:
    """A file of this recording that is complete; see :class:`keeping.OldPart`."""

    def __init__(self, part: Part, end: float) -> None:
        self.end = end
        self._file = part.file
        self._ledger = part.ledger

    def delete(self) -> None:
        """Delete the file and its ledger, unless somebody changed the file."""
        if self._file.remove() and self._ledger is not None:
            self._ledger.file.remove()


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time).astimezone().isoformat(timespec="microseconds")
