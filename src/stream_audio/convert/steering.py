"""How fast an aligned track must run to stay in step with the session's clock.

A proportional and integral controller on the capture time. Its bandwidth falls with its age: at
first it must learn the drift, later it must not follow the jitter. An error that no crystal
explains is a step of the clock, or frames that nobody counted; a glide would bend the sound for
seconds and be wrong all that time.
"""

from __future__ import annotations

from enum import Enum

MOST_CORRECTION = 2000e-6
"""Beyond what any crystal drifts; a pitch that nobody hears."""

STEP_AT_ONCE = 0.1
"""Seconds of error that are a step at once."""

STEP = 0.01
"""Seconds of error that are a step once they have lasted for :data:`STEP_LASTS`."""

STEP_LASTS = 1.0
"""Seconds."""

_FIRST_OMEGA, _LAST_OMEGA = 1.0, 0.2  # rad/s
_SETTLING = 20.0  # s
_DAMPING = 0.9
_LARGEST_STEP = 0.5  # of omega times the time between two corrections
_GRAIN = 2.0**-27
"""What corrections are multiples of, 0.0075 ppm: jitter of the last nanosecond changes nothing."""


class Heading(Enum):
    """What an error means."""

    KEPT = "kept"
    """It is steered out."""
    STEPPED = "stepped"
    """The clock and the frames no longer belong together: a new span begins."""


class Steering:
    """The controller of one aligned source."""

    def __init__(self) -> None:
        self.correction = 0.0
        """By what part more frames come out than nominally."""
        self._drift = 0.0  # learnt so far
        self._age = 0.0
        self._astray = 0.0  # seconds for which the error has been a step's

    def steer(self, error: float, seconds: float) -> Heading:
        """Take the error of this moment, in seconds, so long after the one before.

        A positive error means that the output lies behind.
        """
        if abs(error) > STEP:
            self._astray += seconds
            self.correction = self._drift
            stepped = abs(error) > STEP_AT_ONCE or self._astray >= STEP_LASTS
            return Heading.STEPPED if stepped else Heading.KEPT
        self._astray = 0.0
        self._age += seconds
        omega = max(_LAST_OMEGA, _FIRST_OMEGA / (1 + self._age / _SETTLING))
        omega = min(omega, _LARGEST_STEP / seconds)
        self._drift = _clamped(self._drift + omega * omega * error * seconds)
        correction = _clamped(self._drift + 2 * _DAMPING * omega * error)
        self.correction = round(correction / _GRAIN) * _GRAIN
        return Heading.KEPT

    def begin_span(self) -> None:
        """Forget the phase, not the drift: the frames were put in place anew."""
        self._astray = 0.0
        self.correction = round(self._drift / _GRAIN) * _GRAIN


def _clamped(correction: float) -> float:
    return min(max(correction, -MOST_CORRECTION), MOST_CORRECTION)
