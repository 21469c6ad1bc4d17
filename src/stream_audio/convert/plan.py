"""From what a source delivers to what a sink is to get: which stages, in which order."""

from __future__ import annotations

from stream_audio._record import Record
from stream_audio.audio.format import AudioFormat, SampleType
from stream_audio.contracts.source import SourceShape
from stream_audio.convert.channel_matrix import identity, matrix
from stream_audio.convert.channel_mixer import MixChannels
from stream_audio.convert.resampler import Resample
from stream_audio.convert.sample_encoder import EncodeSamples
from stream_audio.convert.stage import Settings


class Conversion(Record):
    """A format as it was worked out for one source.

    Attributes
    ----------
    sample_rate : int
        Hz.
    channels : int
        How many.
    dtype : str
        As in ``AudioFormat``.
    stages : tuple of Settings
        What leads from the source's chunks to this format; empty if nothing is to be done.
    fewer : tuple of int, optional
        Of how many channels that the source has how many are in it, if not all are.
    """

    sample_rate: int
    channels: int
    dtype: SampleType
    stages: tuple[Settings, ...]
    fewer: tuple[int, int] | None = None

    @property
    def result(self) -> tuple[int, int, SampleType]:
        """Sample rate, channels and type of sample."""
        return self.sample_rate, self.channels, self.dtype


def conversion(
    name: str,
    source: SourceShape,
    wanted: AudioFormat,
    chunk_duration: float,
    default_dtype: SampleType = "float32",
) -> Conversion:
    """Work out how to get from a source to a format.

    Parameters
    ----------
    name : str
        The source's id, for errors.
    source : SourceShape
        What it delivers.
    wanted : AudioFormat
        What a sink is to get.
    chunk_duration : float
        Seconds.
    default_dtype : str
        The sample type if the format leaves it open.

    Raises
    ------
    ConfigError
        The source does not deliver a channel that is wanted.
    """
    rate = wanted.sample_rate or source.sample_rate
    dtype = wanted.dtype or default_dtype
    own = source.own_channels
    rows = matrix(name, source.channels, own, wanted.channels)  # type: ignore[arg-type]
    stages: list[Settings] = []
    mixing = rows != identity(source.channels)
    # Channels are mixed on the side of the resampler where there are fewer.
    mixes_first = len(rows) <= source.channels or rate == source.sample_rate
    if mixing and mixes_first:
        stages.append(MixChannels(rows))
    if rate != source.sample_rate:
        import soxr  # noqa: F401 - now, and not on the router's thread

        stages.append(
            Resample(
                source.sample_rate,
                rate,
                min(len(rows), source.channels),
                wanted.quality,
                max(1, round(chunk_duration * rate)),
            )
        )
    if mixing and not mixes_first:
        stages.append(MixChannels(rows))
    if dtype != "float32":
        stages.append(EncodeSamples(dtype, wanted.dither and dtype == "int16"))
    used = sum(any(column) for column in zip(*rows, strict=True))
    is_5_1 = len(own) == source.channels == 6 and wanted.channels in (1, 2)  # LFE is left out
    fewer = (used, source.channels) if used < source.channels and not is_5_1 else None
    return Conversion(rate, len(rows), dtype, tuple(stages), fewer)
