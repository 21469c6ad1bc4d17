"""The ledger beside a file: what is missing from it, and where.

It is JSON at any moment. What comes in between two looks is written over the end of it, in one
system call, so that it costs as much as it adds: a device that fails every other second for a
week is no burden.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from stream_audio._record import Record
from stream_audio.audio.gap import Gap
from stream_audio.files.disk import write_at
from stream_audio.files.keeping import LEDGER_ENDING
from stream_audio.files.new_file import NewFile, Whereabouts


class PlacedGap(Record):
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


class PartLedger:
    """Writes the ledger of one file, through a file of its own that obeys the same rules.

    Parameters
    ----------
    file : NewFile
        Empty; belongs to the ledger.
    """

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self._head = b""
        self._tail_at = 0  # where the list of gaps ends
        self._tail = b""
        self._listed = 0
        self._missing = 0
        self._is_open = True

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return self._file.path

    @property
    def file(self) -> NewFile:
        """The file."""
        return self._file

    def is_behind(self, gaps: list[PlacedGap]) -> bool:
        """Whether it does not tell all of these yet."""
        return len(gaps) != self._listed

    def write(self, about: dict[str, Any], gaps: list[PlacedGap], state: dict[str, Any]) -> None:
        """Bring it up to date; what fails is written with the next one.

        Parameters
        ----------
        about : dict
            What stays the same once there is a gap.
        gaps : list of PlacedGap
            All so far; those that were told before are not written again.
        state : dict
            What changes.
        """
        head = _fields(about).removesuffix(b"\n}") + b',\n "gaps": ['
        at, data = self._tail_at, b""
        if head != self._head:
            at, data = 0, head
            self._listed = self._missing = 0
        fresh = gaps[self._listed :]
        told = [json.dumps(_told(placed)).encode() for placed in fresh]
        data += (b"," if self._listed and told else b"") + b",".join(b"\n  " + one for one in told)
        missing = self._missing + sum(placed.gap.frames for placed in fresh)
        rest = _fields({**state, "missing_frames": missing}).removeprefix(b"{")
        tail = b"\n ]," + rest + b"\n"
        end_before = self._tail_at + len(self._tail)
        short = end_before - (at + len(data) + len(tail))
        if short > 0:  # whitespace, so that nothing of what was there follows it
            tail = tail.removesuffix(b"}\n") + b" " * short + b"}\n"
        try:
            write_at(self._file.descriptor, data + tail, at)
        except OSError:
            if at:
                write_at(self._file.descriptor, self._tail, at)
                os.ftruncate(self._file.descriptor, end_before)
            raise
        self._head = head
        self._tail_at, self._tail = at + len(data), tail
        self._listed, self._missing = len(gaps), missing

    def take_name(self) -> None:
        """Take its name, when the file that it is about does."""
        self._file.take_name()

    def follow(self, sound: Path) -> None:
        """Go where a file went that was moved, if it did not go there with it."""
        file = self._file
        if file.whereabouts() is Whereabouts.MOVED:
            file.path = file.written_as = file.moved_to() or file.path
        elif file.written_as == file.path:
            file.move_beside(beside(sound))

    def close(self, sound: Path) -> None:
        """Say that nothing follows; ``sound`` is the name that the file has in the end."""
        if not self._is_open:
            return
        self._is_open = False
        os.close(self._file.descriptor)
        if self._file.whereabouts() is Whereabouts.REMOVED:
            self._file.release()
            return
        if self._file.written_as != self._file.path:
            self._file.path = beside(sound)
        self._file.publish()

    def discard(self) -> None:
        """Delete it."""
        if self._is_open:
            self._is_open = False
            os.close(self._file.descriptor)
        self._file.remove()


def beside(path: Path) -> Path:
    """Return the name of a file's ledger."""
    return path.with_name(path.name + LEDGER_ENDING)


def _fields(values: dict[str, Any]) -> bytes:
    return json.dumps(values, indent=1).encode()


def _told(placed: PlacedGap) -> dict[str, Any]:
    gap = placed.gap
    return {
        "at": placed.at,
        "source": gap.source,
        "frame": gap.frame,
        "frames": gap.frames,
        "cause": str(gap.cause),
    }
