"""A gate that opens when it is loud, for :class:`TriggerSink`."""

from __future__ import annotations

from stream_audio._checks import real_number
from stream_audio._public import public
from stream_audio.audio.chunk import AudioChunk


@public
class EnergyGate:
    """A trigger that opens when the level reaches a threshold and closes well below it.

    The level is the RMS of the loudest channel over the chunk it is called with.

    Parameters
    ----------
    threshold : float
        The level in dBFS at which it opens, -200 to 20.
    hysteresis : float
        How many dB below ``threshold`` it closes, 0 to 100. This keeps a level that wavers around
        the threshold from opening and closing it again and again.

    Examples
    --------
    >>> from stream_audio import EnergyGate, TriggerSink, FileSink
    >>> loud_parts = TriggerSink(FileSink("loud.wav"), when=EnergyGate(-40.0))
    """

    def __init__(self, threshold: float, hysteresis: float = 6.0) -> None:
        self._opens_at = real_number("threshold", threshold, -200, 20)
        self._closes_below = self._opens_at - real_number("hysteresis", hysteresis, 0, 100)
        self._open = False

    def __call__(self, chunk: AudioChunk) -> bool:
        """Whether it is open after this chunk."""
        level = chunk.rms.max()
        self._open = bool(level >= (self._closes_below if self._open else self._opens_at))
        return self._open

    def __repr__(self) -> str:
        hysteresis = self._opens_at - self._closes_below
        return f"EnergyGate({self._opens_at:g}, hysteresis={hysteresis:g})"
