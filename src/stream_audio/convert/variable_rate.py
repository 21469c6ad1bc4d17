"""A change of the sample rate whose ratio may change all the time: soxr's variable-rate mode.

The mode is called experimental. The tests hold what this relies on: a constant delay, and output
that equals the sum of fed frames times their ratios. The ratio changes at once; with soxr's slew
the sum would be off by some frames.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import soxr

MOST_OFF = 1.01
"""By what factor the ratio may exceed the nominal one, which soxr must know beforehand."""

_PROBE_PERIOD = 256
_PROBE_PERIODS = 24
_MOST_HELD = 1000  # frames that soxr keeps back, which is 240 as a rule


class VariableRate:
    """One unbroken run of frames on its way to another rate.

    Parameters
    ----------
    rate_in, rate_out : int
        Nominal, Hz.
    channels : int
        Of both sides.

    Attributes
    ----------
    offset : float
        By how many frames the output lies behind the input, from -1 to 1. The rest of soxr's
        delay is taken out.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        self._stream = _stream(rate_in, rate_out, channels)
        self._in, self._out = rate_in, rate_out
        self._channels = channels
        late = delay(rate_in, rate_out)
        self._surplus = max(0, math.ceil(late))
        self.offset = late - self._surplus

    def feed(self, samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        """Take frames in, of which ``factor * rate_out / rate_in`` each come out, some later."""
        self._stream.set_io_ratio(self._in, self._out * factor)
        return self._without_surplus(self._stream.resample_chunk(samples))

    def finish(self, frames: int) -> NDArray[np.float32]:
        """Return the last frames, that many exactly; nothing may follow."""
        # The frames that were left out at the beginning are short at the end.
        silence = math.ceil((self._surplus + 8) * self._in / self._out)
        zeros = np.zeros((silence, self._channels), np.float32)
        pieces = [
            self._without_surplus(self._stream.resample_chunk(zeros)),
            self._without_surplus(self._stream.resample_chunk(zeros[:0], last=True)),
        ]
        made: NDArray[np.float32] = np.concatenate(pieces)[:frames]
        return made

    def _without_surplus(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        dropped = min(self._surplus, len(samples))
        self._surplus -= dropped
        return samples[dropped:]


def _stream(rate_in: int, rate_out: int, channels: int) -> soxr.ResampleStream:
    import soxr  # with the first session that needs it, not with the library

    return soxr.ResampleStream(rate_in * MOST_OFF, rate_out, channels, "float32", vr=True)


@functools.cache
def delay(rate_in: int, rate_out: int) -> float:
    """Return by how many frames soxr's output is late at these rates; negative: early.

    It depends on the filters that soxr chooses, and on nothing else, so the phase of a slow tone
    tells it.
    """
    turn = 2 * math.pi / _PROBE_PERIOD  # a frame that comes out
    frames = _PROBE_PERIOD * _PROBE_PERIODS
    count = math.ceil(frames * rate_in / rate_out) + _MOST_HELD
    tone = np.sin(turn * rate_out / rate_in * np.arange(count)).astype(np.float32)
    stream = _stream(rate_in, rate_out, 1)
    stream.set_io_ratio(rate_in, rate_out)
    made = stream.resample_chunk(tone[:, None])[:, 0]
    steady = np.arange(8 * _PROBE_PERIOD, 16 * _PROBE_PERIOD)
    phase = np.sum(made[steady] * np.exp(-1j * turn * steady))
    return float(-(np.angle(phase) + math.pi / 2) / turn)
