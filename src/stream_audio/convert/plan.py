"""From what a source delivers to what a sink is to get: which stages, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_audio._record import Record
from stream_audio.audio.format import AudioFormat, SampleType
from stream_audio.contracts.merge import Merge
from stream_audio.contracts.source import TimedShape
from stream_audio.convert.aligner import Align
from stream_audio.convert.channel_matrix import Matrix, identity, matrix, mixing, picking
from stream_audio.convert.channel_mixer import MixChannels
from stream_audio.convert.resampler import Resample
from stream_audio.convert.sample_encoder import EncodeSamples
from stream_audio.convert.stage import Settings
from stream_audio.errors import ConfigError
from stream_audio.waiting.session_time import SessionTime


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
    source: TimedShape,
    wanted: AudioFormat,
    chunk_duration: float,
    default_dtype: SampleType = "float32",
    *,
    session: SessionTime | None = None,
    rows: Matrix | None = None,
) -> Conversion:
    """Work out how to get from a source to a format.

    Parameters
    ----------
    name : str
        The source's id, for errors.
    source : TimedShape
        What it delivers.
    wanted : AudioFormat
        What a sink is to get.
    chunk_duration : float
        Seconds.
    default_dtype : str
        The sample type if the format leaves it open.
    session : SessionTime, optional
        The session's timeline, if the sink's frames are to count on it.
    rows : matrix, optional
        The gains, if they are not those of the format.

    Raises
    ------
    ConfigError
        The source does not deliver a channel that is wanted.
    """
    rate = wanted.sample_rate or source.sample_rate
    dtype = wanted.dtype or default_dtype
    own = source.own_channels
    if rows is None:
        rows = matrix(name, source.channels, own, wanted.channels)  # type: ignore[arg-type]
    stages: list[Settings] = []
    mixing = rows != identity(source.channels)
    # Channels are mixed on the side of the resampler where there are fewer.
    mixes_first = len(rows) <= source.channels or rate == source.sample_rate
    if session is not None:
        mixes_first = len(rows) <= source.channels
    if mixing and mixes_first:
        stages.append(MixChannels(rows))
    channels = min(len(rows), source.channels)
    chunk_frames = max(1, round(chunk_duration * rate))
    if session is not None:
        stages.append(align(source, rate, channels, chunk_frames, session))
    elif rate != source.sample_rate:
        import soxr  # noqa: F401 - now, and not on the router's thread

        stages.append(
            Resample(
                source.sample_rate,
                rate,
                channels,
                wanted.quality,
                chunk_frames,
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


def align(
    source: TimedShape, rate: int, channels: int, chunk_frames: int, session: SessionTime
) -> Align:
    """Return the stage that puts a source on the session's timeline."""
    import soxr  # noqa: F401 - now, and not on the router's thread

    return Align(
        source.sample_rate, rate, channels, chunk_frames, session, source.delay, source.times
    )


def merge_input(
    source: TimedShape, rate: int, chunk_frames: int, session: SessionTime
) -> tuple[Settings, ...]:
    """Return what leads from a source to a merge of that rate: its own channels, aligned."""
    own = source.own_channels
    rows = picking(source.channels, own)
    stages: tuple[Settings, ...] = (align(source, rate, len(own), chunk_frames, session),)
    return stages if rows == identity(source.channels) else (MixChannels(rows), *stages)


def merged_rows(
    merge: Merge, channels: Mapping[str, int], wanted: AudioFormat, *, is_preset: bool
) -> Matrix:
    """Return the gains from the channels of all sources, side by side, to those of a format.

    Parameters
    ----------
    merge : Merge
        What is merged in which way.
    channels : mapping of str to int
        How many each source has, in their order.
    wanted : AudioFormat
        What a sink is to get.
    is_preset : bool
        Whether that is a preset: with channels side by side, it sets nothing but the rate.

    Raises
    ------
    ConfigError
        The format's channels do not suit the merge.
    """
    total = sum(channels.values())
    if merge.mode == "channels":
        if not (is_preset or wanted.channels in (None, total)):
            raise ConfigError(
                f"the merge of {', '.join(channels)} has {total} channels, not {wanted.channels}",
                hint="Leave the format's channels out",
            )
        gains = [merge.gain(name) for name, count in channels.items() for _ in range(count)]
        return tuple(
            tuple(gain if column == row else 0.0 for column in range(total))
            for row, gain in enumerate(gains)
        )
    if isinstance(wanted.channels, tuple):
        raise ConfigError(
            "a mix has no channels to choose from",
            hint='AudioFormat(channels=2) says how many; Merge("channels") keeps them apart',
        )
    outputs: Any = max(channels.values()) if wanted.channels is None else wanted.channels
    parts = [
        [[merge.gain(name) * gain for gain in row] for row in mixing(count, outputs)]
        for name, count in channels.items()
    ]
    return tuple(tuple(gain for part in parts for gain in part[row]) for row in range(outputs))
