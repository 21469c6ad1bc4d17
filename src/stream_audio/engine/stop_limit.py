"""How long the end of a session waits for its sinks."""

from __future__ import annotations

import math

from stream_audio.engine.delivery import Delivery
from stream_audio.waiting.clock import Clock

LONGEST_SLEEP = 3600.0
"""Seconds after which a wait without a limit is looked at again."""


class StopLimit:
    """Two limits: seconds without a delivered frame, for each sink, and seconds in all.

    The first holds unless somebody sets the second, which then holds alone; of several the
    shortest does.

    Parameters
    ----------
    clock : Clock
        The session's.
    without_progress : float
        Seconds.
    """

    def __init__(self, clock: Clock, without_progress: float) -> None:
        self._clock = clock
        self._without_progress = without_progress
        self._lifted = False
        self._closed_at = math.inf
        self._until = math.inf

    def in_all(self, seconds: float) -> None:
        """Wait so long from now on, whatever the sinks do; on any thread."""
        self._until = min(self._until, self._clock.now() + seconds)
        self._without_progress = math.inf

    def lift(self) -> None:
        """Let each sink take as long as it likes to take what waits for it.

        What it has sent still has to be confirmed in time.
        """
        self._lifted = True

    def begin(self) -> None:
        """Take this moment for the one at which nothing follows any more."""
        self._closed_at = self._clock.now()

    def left(self, delivery: Delivery) -> float:
        """Return the seconds for which one sink is waited for, as far as is known by now."""
        now = self._clock.now()
        stands_still_at = max(self._closed_at, delivery.moved_at) + self._without_progress
        if self._lifted and not delivery.only_unconfirmed:
            stands_still_at = math.inf
        return min(self._until, stands_still_at, now + LONGEST_SLEEP) - now
