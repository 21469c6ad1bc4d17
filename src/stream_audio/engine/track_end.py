"""Where a track ends whatever follows: after so many frames, or at a moment of the session."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from stream_audio.engine.track_shape import TrackShape
from stream_audio.engine.track_times import TrackTimes
from stream_audio.waiting.session_time import SessionTime

if TYPE_CHECKING:
    from stream_audio.engine.take import Take

END_IS_NEAR = 1.0
"""Seconds before the end of a session from which on its tracks know at which frame it is."""

FURTHER_READ = 0.02
"""Seconds beyond the end that are read: the last packets may move the end by less."""

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

    def begin_take(self, take: Take, position: int) -> None:
        """Note that a take begins there, and have it end in time."""
        if self._shape.times is not None:
            self._shape.times.begin(position)
        if self.is_known:
            left, conversion = self.limit - position, take.conversion
            take.limit_to(left if conversion is None else conversion.frames_in(left))

    def take_stamps(self, take: Take, position: int, times: TrackTimes) -> None:
        """Note when frames of a take were captured, and at which of them the session ends.

        ``position`` is how far the track is.
        """
        reader, known, begins = take.reader, self._shape.times, take.begins
        if known is None or begins is None or not reader.has_stamps:
            return
        if reader.missed_stamps:  # a consumer ran the turns, for whom they mean nothing
            known.begin(position)
        ratio = self._shape.sample_rate / take.source.sample_rate
        for frame, time_ns, asleep_ns in reader.take_stamps():
            at, time, epoch = begins + frame * ratio, time_ns * 1e-9, times.epoch_at(asleep_ns)
            known.note(at, time, epoch)
            if self.decide(at, time, epoch):
                beyond = self.limit - begins + FURTHER_READ * self._shape.sample_rate
                take.limit_to(math.ceil(beyond / ratio))

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
