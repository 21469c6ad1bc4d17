"""How many frames a second, which channels, which type of sample."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal, cast

import numpy as np

from stream_audio._checks import one_of, whole_number
from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.errors import ConfigError, ConfigTypeError

MAX_CHANNELS = 64
MIN_SAMPLE_RATE = 1000
MAX_SAMPLE_RATE = 768_000

SampleType = Literal["float32", "int16", "int24", "int32"]
SAMPLE_TYPES = ("float32", "int16", "int24", "int32")

Quality = Literal["LQ", "MQ", "HQ", "VHQ"]
QUALITIES = ("LQ", "MQ", "HQ", "VHQ")


def channels_wanted(value: object) -> int | tuple[int, ...]:
    """Return a number of channels or a list of them, or raise if it is neither."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        return whole_number("channels", value, 1, MAX_CHANNELS)
    listed = tuple(whole_number("a channel", each, 0, MAX_CHANNELS - 1) for each in value)
    if not listed:
        raise ConfigError("channels must not be empty", hint="Leave it out for the source's own")
    if len(set(listed)) < len(listed):
        raise ConfigError(f"channels lists a channel twice: {list(listed)}")
    return listed


def check_sample_type(value: object) -> SampleType:
    """Return ``value`` if it is a type of sample, or raise."""
    return cast(SampleType, one_of("dtype", value, SAMPLE_TYPES))


def _sample_type(value: Any) -> str:
    if not isinstance(value, str):
        try:
            value = np.dtype(value).name
        except TypeError:
            raise ConfigTypeError(f"dtype must be a string, not {value!r}") from None
    return check_sample_type(value)


@public
class AudioFormat(Record):
    """The format of a sink's chunks; whatever you leave out is the source's own.

    Parameters
    ----------
    sample_rate : int, optional
        Hz, 1,000 to 768,000; ``None``: the source's own.
    channels : int or sequence of int, optional
        A number from 1 to 64: that many channels, mixed down or up as needed. A list: these
        channels of the device, counted from 0, in this order, for example ``[4, 5]`` for its
        inputs 5 and 6. ``None``: the source's channels, which are all of the device's unless the
        source says otherwise.
    dtype : "float32", "int16", "int24" or "int32", optional
        The type of the samples. "int24" has 24 bits in the upper three bytes of an int32 and 0 in
        the lowest, as ``soundfile`` reads and writes them. So full scale is 2**31 for both.
        ``None``: what the sink asks for (a 16-bit file: "int16"), otherwise "float32".
    dither : bool
        Whether rounding to "int16" first adds triangular noise (TPDF) of ±1 step. A chunk that
        holds nothing but 16-bit integers stays as it is and gets no noise.
    quality : "LQ", "MQ", "HQ" or "VHQ"
        Quality of a change of the sample rate, in soxr's terms.

    Raises
    ------
    ConfigError, ConfigTypeError
        A value is out of range or of the wrong type; a channel is listed twice, or none is.

    Notes
    -----
    ``docs/formats.md`` has the matrices of down-mixing and up-mixing, and all else.
    """

    sample_rate: int | None = None
    channels: int | Sequence[int] | None = None
    dtype: SampleType | None = None
    dither: bool = True
    quality: Quality = "HQ"

    def __post_init__(self) -> None:
        if self.sample_rate is not None:
            rate = whole_number("sample_rate", self.sample_rate, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE)
            object.__setattr__(self, "sample_rate", rate)
        if self.channels is not None:
            object.__setattr__(self, "channels", channels_wanted(self.channels))
        if self.dtype is not None:
            object.__setattr__(self, "dtype", _sample_type(self.dtype))
        if not isinstance(self.dither, bool):
            raise ConfigTypeError(f"dither must be True or False, not {self.dither!r}")
        one_of("quality", self.quality, QUALITIES)

    def __repr__(self) -> str:
        said = [
            f"{name}={getattr(self, name)!r}"
            for name, default in self._fields.items()
            if getattr(self, name) != default
        ]
        return f"AudioFormat({', '.join(said)})"


@public
class FormatPreset(Enum):
    """Named formats for a sink."""

    NATIVE = AudioFormat()
    """What the source has; nothing is converted."""
    TRANSCRIPTION = AudioFormat(sample_rate=16_000, channels=1)
    """What speech recognisers take; what a session has unless another one is asked for."""
    STUDIO = AudioFormat(sample_rate=48_000)
    """48 kHz, with the source's channels."""


def audio_format(value: object) -> AudioFormat:
    """Return the format that a user gave as such or by its name."""
    if isinstance(value, FormatPreset):
        return value.value
    if not isinstance(value, AudioFormat):
        raise ConfigTypeError(f"format takes an AudioFormat or a FormatPreset, not {value!r}")
    return value
