"""How many frames a second, how many channels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from stream_audio._checks import whole_number

MAX_CHANNELS = 64
MAX_SAMPLE_RATE = 768_000


@dataclass(frozen=True)
class AudioFormat:
    """A sample rate and a number of channels.

    Parameters
    ----------
    sample_rate : int, optional
        Hz, 1,000 to 768,000; ``None``: the device's own.
    channels : int, optional
        1 to 64; ``None``: the device's own, at most 2.

    Raises
    ------
    ConfigError, ConfigTypeError
        A value is out of range, or not a whole number.

    Notes
    -----
    Until conversion lands, the device itself is opened with these values; one that refuses them
    raises :class:`~stream_audio.errors.DeviceFormatError`.
    """

    sample_rate: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.sample_rate is not None:
            whole_number("sample_rate", self.sample_rate, 1000, MAX_SAMPLE_RATE)
        if self.channels is not None:
            whole_number("channels", self.channels, 1, MAX_CHANNELS)


class FormatPreset(Enum):
    """Formats with a name."""

    NATIVE = AudioFormat()
    """What the device has; nothing is converted."""
    TRANSCRIPTION = AudioFormat(sample_rate=16_000, channels=1)
    """What speech recognisers take."""
