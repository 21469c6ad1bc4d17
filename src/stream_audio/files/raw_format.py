"""What a file without a header holds."""

from __future__ import annotations

from typing import Any, Literal

from stream_audio._checks import one_of, whole_number
from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.audio.format import MAX_CHANNELS, MAX_SAMPLE_RATE

SAMPLE_BYTES = {
    "PCM_S8": 1,
    "PCM_U8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
    "ULAW": 1,
    "ALAW": 1,
}
"""Bytes a sample, by libsndfile's names."""


@public
class RawFormat(Record):
    """A description of a file that holds samples without a header.

    Parameters
    ----------
    subtype : str
        Type of sample by its libsndfile name: ``PCM_S8``, ``PCM_U8``, ``PCM_16``, ``PCM_24``,
        ``PCM_32``, ``FLOAT``, ``DOUBLE``, ``ULAW`` or ``ALAW``.
    sample_rate : int
        Hz, 1000 and more.
    channels : int
        1 to 64, interleaved.
    endian : "little" or "big"
        Which byte of a sample comes first: the least ("little") or the most significant ("big").
    offset : int
        Bytes to skip before the first frame, such as the rest of a header.

    Raises
    ------
    ConfigError, ConfigTypeError
        A value is out of range or of the wrong type.

    Examples
    --------
    >>> from stream_audio import RawFormat
    >>> RawFormat("PCM_16", 48_000, 2).frame_bytes
    4
    """

    subtype: str
    sample_rate: int
    channels: int
    endian: Literal["little", "big"] = "little"
    offset: int = 0

    def __post_init__(self) -> None:
        one_of("subtype", self.subtype, tuple(SAMPLE_BYTES))
        whole_number("sample_rate", self.sample_rate, 1000, MAX_SAMPLE_RATE)
        whole_number("channels", self.channels, 1, MAX_CHANNELS)
        one_of("endian", self.endian, ("little", "big"))
        whole_number("offset", self.offset, 0, 2**62)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return SAMPLE_BYTES[self.subtype] * self.channels

    def for_soundfile(self) -> dict[str, Any]:
        """Return what ``soundfile.SoundFile`` takes."""
        return {
            "format": "RAW",
            "subtype": self.subtype,
            "samplerate": self.sample_rate,
            "channels": self.channels,
            "endian": self.endian.upper(),
        }
