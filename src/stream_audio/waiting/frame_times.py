"""When the frames of a track were captured, by frames of which its packets told that.

These lie where they lie however long chunks are (``csrc/reader.h``). So what steers by them, or
cuts by them, does the same for chunks of any length.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from stream_audio._record import Record

KEPT = 60.0
"""Seconds for which they are kept, at least: chunks may wait so long."""


class Stamp(Record):
    """A frame whose capture time is known.

    Attributes
    ----------
    since : int
        The frame from which on times count from this stamp: its own, or that of the first frame
        of a take, whose first stamp comes later.
    frame : float
        The one that is meant; of a device of another rate, what it comes to on the track.
    time : float
        Seconds of the session's clock.
    epoch : float, optional
        What ``time.time()`` was at 0 of that clock, if the machine had not slept since.
    """

    since: int
    frame: float
    time: float
    epoch: float | None


class FrameTimes:
    """The stamps of one track. Used on the router's thread alone.

    Parameters
    ----------
    sample_rate : int
        Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.rate = sample_rate
        self.kept = KEPT
        """Seconds; set before the first one."""
        self.wanted = False
        """Whether anything steers by them; set once."""
        self._stamps: list[Stamp] = []
        self._unknown_from: int | None = 0

    def begin(self, frame: int) -> None:
        """Say that from that frame on nothing is known until the next stamp."""
        self._unknown_from = frame

    def note(self, frame: float, time: float, epoch: float | None) -> None:
        """Enter the next stamp."""
        since = math.ceil(frame)
        if self._unknown_from is not None:
            since, self._unknown_from = self._unknown_from, None
        stamps = self._stamps
        stamps.append(Stamp(since, frame, time, epoch))
        if len(stamps) % 64 == 0:
            old = since - self.kept * self.rate
            del stamps[: max(0, bisect_right(stamps, old, key=_since) - 1)]

    def before(self, frame: int) -> Stamp | None:
        """Return the stamp from which a frame's time counts; ``None``: it is not known yet."""
        if self._unknown_from is not None and frame >= self._unknown_from:
            return None
        index = bisect_right(self._stamps, frame, key=_since) - 1
        return self._stamps[index] if index >= 0 else None

    def within(self, start: int, end: int) -> list[Stamp]:
        """Return the stamps from whose frames on, from ``start`` up to ``end``, times count."""
        first = bisect_right(self._stamps, start - 1, key=_since)
        return self._stamps[first : bisect_right(self._stamps, end - 1, key=_since)]

    def time_of(self, frame: int, stamp: Stamp) -> float:
        """Return when a frame was captured, counted from a stamp."""
        return stamp.time + (frame - stamp.frame) / self.rate


def _since(stamp: Stamp) -> int:
    return stamp.since
