"""A session's own time: seconds since its start, by a clock that no sleep stops."""

from __future__ import annotations

from stream_audio.waiting.clock import Clock, WallClock


class SessionTime:
    """What the timelines of all sources of a session are put on.

    Parameters
    ----------
    clock : Clock
        The session's.
    wall : WallClock
        The session's.
    ends_at : float, optional
        The second at which the session ends, if its duration counts on this timeline.

    Attributes
    ----------
    started_at : float
        When the session started, in seconds of its clock; set as the sources start.
    """

    def __init__(self, clock: Clock, wall: WallClock, ends_at: float | None = None) -> None:
        self._clock = clock
        self._wall = wall
        self.started_at: float | None = None
        self.ends_at = ends_at

    def asleep(self, epoch: float | None) -> float:
        """Return how long the machine has slept in the session, by the epoch of a chunk."""
        # The epochs are so large that a double holds them to a quarter of a microsecond.
        return 0.0 if epoch is None else round(epoch - self._wall.epoch, 6)

    def seconds(self, time: float, epoch: float | None) -> float:
        """Return a chunk's time, with that epoch, on the session's timeline."""
        return time - (self.started_at or 0.0) + self.asleep(epoch)

    def time(self, seconds: float, epoch: float | None) -> float:
        """Return the reverse of :meth:`seconds`."""
        return seconds + (self.started_at or 0.0) - self.asleep(epoch)

    def now(self) -> float:
        """Return the seconds since the start; 0 before."""
        if self.started_at is None:
            return 0.0
        return self.seconds(self._clock.now(), self._wall.epoch_now())

    def on_clock(self, seconds: float) -> float:
        """Return when such a moment comes, by the session's clock."""
        return self.time(seconds, self._wall.epoch_now())

    def now_on_clock(self) -> float:
        """Return the time on the session's clock, for events."""
        return self._clock.now()
