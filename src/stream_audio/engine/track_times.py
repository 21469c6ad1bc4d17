"""What the times of one source's chunks count from."""

from __future__ import annotations

from stream_audio.audio.chunk import Origin
from stream_audio.waiting.clock import WallClock


class TrackTimes:
    """Where a track's timeline begins, in the session and on the wall clock.

    Parameters
    ----------
    wall : WallClock
        The session's.
    paced : bool
        Whether a clock paces the source; else its frame 0 counts as the session's start.

    Attributes
    ----------
    session_start : float
        Seconds on the session's clock; set before the source starts.
    origin : Origin or None
        What its chunks carry: its seconds since the session's start at frame 0, which the first
        chunk sets for good, and the wall clock's 0. ``None`` before the first chunk.
    started : float or None
        When frame 0 was captured, ``time.time()`` seconds.
    asleep_ns : int
        How long the machine had slept by the newest chunk; -1 before the first.
    """

    def __init__(self, wall: WallClock, *, paced: bool) -> None:
        self.session_start = 0.0
        self.origin: Origin | None = None
        self.started: float | None = None
        self.asleep_ns = -1
        self._wall = wall
        self._paced = paced

    def moved(self, began: float, time: float, asleep_ns: int) -> Origin:
        """Return the origin for the first chunk, or the first after a sleep of the machine.

        ``began`` is when frame 0 was captured, by the ``time`` of the chunk.
        """
        epoch = self.epoch_at(asleep_ns)
        if self.origin is None:
            start = began - self.session_start if self._paced else 0.0
            self.started = epoch + time
        else:
            start = self.origin[0]
        self.origin = start, epoch
        self.asleep_ns = asleep_ns
        return self.origin

    def epoch_at(self, asleep_ns: int) -> float:
        """Return the epoch of times at which the machine had slept for so long."""
        return self._wall.epoch_after(asleep_ns)
