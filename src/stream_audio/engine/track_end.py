"""Where a track ends whatever follows: after so many frames, or at a moment of the session."""

from __future__ import annotations

import math
import sys

from stream_audio.engine.track_shape import TrackShape
from stream_audio.waiting.session_time import SessionTime

END_IS_NEAR = 1.0
"""Seconds before the end of a session from which on its tracks know at which frame it is."""

LAST_WORD = 0.1
"""Seconds before the end from which on nothing moves it any more."""


class TrackEnd:
    """The end that the session's duration sets for one track.

    Parameters
    ----------
    shape : TrackShape
        Of the track.
    session : SessionTime
        The session's timeline, which may have an end.
    duration : float, optional
        Seconds of the track's own timeline, unless the session's has an end.
    chunk_duration : float
        Seconds.

    Attributes
    ----------
    limit : int
        The position at which the track ends; beyond all frames while nobody knows.
    is_of_session : bool
        Whether the session's own timeline has an end, to be foreseen.
    """

    def __init__(
        self,
        shape: TrackShape,
        session: SessionTime,
        duration: float | None,
        chunk_duration: float,
    ) -> None:
        # No clock paces some sources: their own timeline is the session's.
        self._ends_at = None if shape.freewheel else session.ends_at
        self._session = session
        self._shape = shape
        self._near = END_IS_NEAR + 2 * chunk_duration
        self.is_of_session = self._ends_at is not None
        self._is_decided = False
        self.limit = sys.maxsize
        if duration is not None and self._ends_at is None:
            self.limit = max(1, round(duration * shape.sample_rate))

    @property
    def is_known(self) -> bool:
        """Whether it is known at which frame the track ends."""
        return self.limit < sys.maxsize

    def decide(self, frame: float, time: float, epoch: float | None) -> bool:
        """Find out at which frame the session ends, if that is near; False if it is not.

        The frame was captured at that time, at that epoch. The last one that is known of before
        the end has the last word, whenever the chunks that follow it are read.
        """
        if self._ends_at is None:
            return False
        left = self._ends_at + self._shape.delay - self._session.seconds(time, epoch)
        if left >= self._near or (self._is_decided and left < LAST_WORD):
            return False
        self._is_decided = True
        self.limit = math.ceil(frame) + max(0, round(left * self._shape.sample_rate))
        return True

    def foresee(self, frame: int, time: float, epoch: float | None) -> bool:
        """Do so by the time of a chunk, as long as none of its packets has told."""
        times = self._shape.times
        if times is not None and times.before(frame) is not None:
            return False
        decided, self._is_decided = self._is_decided, False
        found = self.decide(frame, time, epoch)
        self._is_decided = decided
        return found

    @property
    def on_clock(self) -> float:
        """When the session ends, by its clock; infinite if its timeline has no end."""
        return math.inf if self._ends_at is None else self._session.on_clock(self._ends_at)
