"""What the formats that libsndfile writes can hold."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from stream_audio.errors import ConfigError
from stream_audio.files.libsndfile.samples import SAMPLE_BITS

_MAX_VORBIS_RATE = 200_000
"""libsndfile 1.2.2 crashes when it closes a Vorbis file with a higher one."""

_UNBOUNDED = frozenset({"FLAC", "OGG", "MP3", "CAF", "W64", "RAW", "NIST", "PVF", "IRCAM"})
_MAX_BYTES: dict[str, int] = dict.fromkeys(("AIFF", "AU", "WAV"), 2**32 - 2**16)
_MAX_BYTES_ELSEWHERE = 2**31 - 2**16
"""The sizes of the other formats have 32 bits, which some readers take for signed."""

_RATES = (
    *(8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    *(88_200, 96_000, 176_400, 192_000),
)
"""Those that are suggested."""


class NotHeldError(ConfigError):
    """A format cannot hold audio of this rate.

    Attributes
    ----------
    kind : str
        The container's name, or that of the codec in an Ogg or MP3 file.
    sample_rate : int
        The rate in Hz.
    rates : list of int
        Usual rates that it holds; empty if the rate is not what is wrong.
    """

    kind = ""
    sample_rate = 0
    rates: Sequence[int] = ()


def check_holds(format: str, subtype: str, sample_rate: int, channels: int) -> None:
    """Raise ConfigError, saying what would do, if a format cannot hold such audio.

    libsndfile is asked, by writing a file in memory and reading it again: some formats store
    another rate than they were given, without a word.
    """
    problem = _problem(format, subtype, sample_rate, channels)
    if not problem:
        return
    kind = subtype if format in ("OGG", "MP3") else format
    hint = ""
    rates = [rate for rate in _RATES if not _problem(format, subtype, rate, channels)]
    if rates and sample_rate not in rates:
        hint = f"It holds {', '.join(map(str, rates))} Hz"
    elif not rates:
        counts = [
            count
            for count in range(1, 9)
            if any(not _problem(format, subtype, rate, count) for rate in (sample_rate, *_RATES))
        ]
        hint = f"It holds {', '.join(map(str, counts))} channels" if counts else ""
    error = NotHeldError(
        f"{kind} cannot hold {channels} channels at {sample_rate} Hz",
        host_text=problem,
        hint=hint and f"{hint}; choose that with the sink's format, or another file format",
    )
    error.kind, error.sample_rate = kind, sample_rate
    error.rates = () if sample_rate in rates else rates
    raise error


@lru_cache(maxsize=1024)
def _problem(format: str, subtype: str, sample_rate: int, channels: int) -> str:
    """Return why such audio cannot be held; empty if it can."""
    import soundfile

    if subtype == "VORBIS" and sample_rate > _MAX_VORBIS_RATE:
        return f"Vorbis goes up to {_MAX_VORBIS_RATE} Hz"
    stream = io.BytesIO()
    try:
        with soundfile.SoundFile(
            stream, "w", sample_rate, channels, subtype, format=format
        ) as sound:
            sound.write(np.zeros((1000, channels), np.int16))
        stream.seek(0)
        if format == "RAW":
            return ""
        with soundfile.SoundFile(stream) as sound:
            if (sound.samplerate, sound.channels) != (sample_rate, channels):
                return f"it would say {sound.channels} channels at {sound.samplerate} Hz"
    except soundfile.SoundFileError as error:
        return words(error)
    return ""


def max_frames(format: str, subtype: str, channels: int) -> int:
    """Return how many frames a file can have; ``sys.maxsize`` if there is no limit."""
    if format in _UNBOUNDED:
        return sys.maxsize
    frame_bytes = channels * SAMPLE_BITS.get(subtype, 16) // 8
    return _MAX_BYTES.get(format, _MAX_BYTES_ELSEWHERE) // frame_bytes


def words(error: Exception) -> str:
    """Return libsndfile's own words, without soundfile's."""
    return str(getattr(error, "error_string", "") or error).rstrip(".")
