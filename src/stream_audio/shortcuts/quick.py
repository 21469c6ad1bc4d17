"""The short ways in: ``open``, ``record`` and ``listen``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from stream_audio._public import public
from stream_audio.audio.format import AudioFormat, FormatPreset, audio_format
from stream_audio.backlog.policy import Backlog
from stream_audio.builder import StreamAudio, StreamAudioBuilder
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import OnLost, Source
from stream_audio.errors import ConfigError
from stream_audio.sink_spec import SinkGiven, sinks_given
from stream_audio.sources.audio_source import AudioSource
from stream_audio.sources.losing import when_lost

if TYPE_CHECKING:
    from stream_audio.audio.chunk import AudioChunk
    from stream_audio.reports.events import StreamEvent
    from stream_audio.reports.report import SessionReport
    from stream_audio.session import Session

SOURCE_ID = "default"
"""The id of the one source of these short ways."""


def _builder(
    source: Source | None,
    format: AudioFormat | FormatPreset,
    sample_rate: int | None,
    channels: int | Sequence[int] | None,
    duration: float | None,
    config: StreamConfig | None,
    on_lost: OnLost | None,
    default_on_lost: OnLost | None = None,
) -> StreamAudioBuilder:
    builder = StreamAudio.builder()
    source = AudioSource.default_device() if source is None else source
    builder.add_source(SOURCE_ID, when_lost(source, on_lost, default=default_on_lost))
    wanted = audio_format(format)
    if sample_rate is not None:
        wanted = replace(wanted, sample_rate=sample_rate)
    if channels is not None:
        wanted = replace(wanted, channels=channels)
    builder.format(wanted)
    if duration is not None:
        builder.duration(duration)
    if config is not None:
        builder.config(config)
    return builder


@public
def open(
    source: Source | None = None,
    *,
    sinks: Iterable[SinkGiven] = (),
    format: AudioFormat | FormatPreset = FormatPreset.TRANSCRIPTION,
    sample_rate: int | None = None,
    channels: int | Sequence[int] | None = None,
    duration: float | None = None,
    history: float | None = None,
    on_event: Callable[[StreamEvent], object] | None = None,
    on_lost: OnLost | None = None,
    config: StreamConfig | None = None,
) -> Session:
    """Start a session with one source.

    Parameters
    ----------
    source : Source, optional
        ``None``: the default input device.
    sinks : iterable of Sink, or of pairs of a Sink and its format
        At least one, unless you keep a history. A sink without a format of its own gets the
        session's: ``sinks=[captions, (FileSink("a.wav"), FormatPreset.NATIVE)]``.
    format : AudioFormat or FormatPreset
        The format of the sinks' chunks; by default 16 kHz, mono.
    sample_rate : int, optional
        Hz, in place of the format's.
    channels : int or sequence of int, optional
        How many, or which of the device's, in place of the format's.
    duration : float, optional
        Seconds after which the source ends, exact to the frame; ``None``: not by itself.
    history : float, optional
        Seconds of audio to keep for :meth:`Session.last` and ``add_sink(replay=…)``.
    on_event : callable, optional
        A function that is called with each event.
    on_lost : "wait", "default" or "stop", optional
        What to do when the device is lost, in place of what the source says; see
        :meth:`AudioSource.device`. ``None``: what the source says.
    config : StreamConfig, optional
        Settings of the session.

    Returns
    -------
    Session
        The running session. Use it in a ``with`` block.
    """
    given = sinks_given(sinks)
    builder = _builder(source, format, sample_rate, channels, duration, config, on_lost)
    for sink, own_format in given:
        builder.add_sink(sink, format=own_format)
    if history is not None:
        builder.history(history)
    if on_event is not None:
        builder.on_event(on_event)
    return builder.start()


@overload
def record(
    path: str | os.PathLike[str],
    duration: float,
    *,
    source: Source | None = ...,
    format: AudioFormat | FormatPreset = ...,
    sample_rate: int | None = ...,
    channels: int | Sequence[int] | None = ...,
    subtype: str | None = ...,
    quality: float | None = ...,
    rotate: str | float | timedelta | None = ...,
    overwrite: bool = ...,
    on_lost: OnLost | None = ...,
    config: StreamConfig | None = ...,
) -> SessionReport: ...


@overload
def record(
    path: None = ...,
    *,
    duration: float,
    source: Source | None = ...,
    format: AudioFormat | FormatPreset = ...,
    sample_rate: int | None = ...,
    channels: int | Sequence[int] | None = ...,
    on_lost: OnLost | None = ...,
    config: StreamConfig | None = ...,
) -> NDArray[Any]: ...


@public
def record(
    path: str | os.PathLike[str] | None = None,
    duration: float | None = None,
    *,
    source: Source | None = None,
    format: AudioFormat | FormatPreset = FormatPreset.NATIVE,
    sample_rate: int | None = None,
    channels: int | Sequence[int] | None = None,
    subtype: str | None = None,
    quality: float | None = None,
    rotate: str | float | timedelta | None = None,
    overwrite: bool = False,
    on_lost: OnLost | None = None,
    config: StreamConfig | None = None,
) -> SessionReport | NDArray[Any]:
    """Record for some seconds, exact to the frame, and return when done.

    Parameters
    ----------
    path : str or os.PathLike, optional
        The file to write; its ending decides the format. Without a path, the samples are returned.
    duration : float
        How many seconds to record. Ctrl-C ends the recording early; a file then holds what was
        recorded.
    source : Source, optional
        ``None``: the default input device.
    format : AudioFormat or FormatPreset
        The format of the recording; by default the device's own.
    sample_rate : int, optional
        Hz, in place of the format's.
    channels : int or sequence of int, optional
        How many, or which of the device's, in place of the format's.
    subtype, quality, rotate, overwrite
        Settings of :class:`FileSink`, only with a path: the file's type of sample, the quality of
        a lossy format, when to continue in another file, and whether to replace an existing one.
    on_lost : "wait", "default" or "stop", optional
        What to do when the device is lost, in place of what the source says; see
        :meth:`AudioSource.device`. ``None``: what the source says.
    config : StreamConfig, optional
        Settings of the session.

    Returns
    -------
    SessionReport or ndarray, shape (frames, channels)
        The report if there is a path, otherwise the samples. Lost frames are silence, except those
        at the end. A device that is lost leaves a gap until it is back, and ``report.complete`` is
        False then.

    Raises
    ------
    FileSinkError
        The file cannot be created, or could not be written to the end; its contents are valid.
    DeviceError
        The device cannot be found or opened.

    Examples
    --------
    >>> import stream_audio
    >>> tone = stream_audio.AudioSource.virtual("sine", pace="freewheel")
    >>> stream_audio.record(duration=0.5, source=tone).shape
    (24000, 2)
    """
    if duration is None:
        raise ConfigError(
            "record needs a duration", hint="For example record('a.wav', duration=5)"
        )
    builder = _builder(source, format, sample_rate, channels, duration, config, on_lost)
    settings: dict[str, Any] = {"subtype": subtype, "quality": quality, "rotate": rotate}
    settings = {name: value for name, value in settings.items() if value is not None}
    if path is not None:
        from stream_audio.sinks.file import FileSink

        builder.add_sink(FileSink(path, overwrite=overwrite, **settings))
        with builder.start() as session:
            session.wait()
        return session.report()
    if settings or overwrite:
        names = ", ".join([*settings, *(["overwrite"] if overwrite else [])])
        raise ConfigError(
            f"there is no file for {names} without a path",
            hint="Name one: record('a.wav', duration=5)",
        )
    # Nothing may be pushed out before it is read: the channel has room for everything.
    from stream_audio.sinks.channel import ChannelSink

    channel = ChannelSink(backlog=Backlog(2**40))
    with builder.add_sink(channel).start() as session:
        pieces = list(_with_silence(channel))
    return np.concatenate(pieces) if pieces else np.zeros((0, 1), np.float32)


def _with_silence(chunks: Iterable[AudioChunk]) -> Iterator[NDArray[Any]]:
    for chunk in chunks:
        missing = sum(gap.frames for gap in chunk.gaps)
        if missing:
            yield np.zeros((missing, chunk.channels), chunk.data.dtype)
        yield chunk.data


@public
def listen(
    source: Source | None = None,
    *,
    format: AudioFormat | FormatPreset = FormatPreset.NATIVE,
    sample_rate: int | None = None,
    channels: int | Sequence[int] | None = None,
    duration: float | None = None,
    on_lost: OnLost | None = None,
    config: StreamConfig | None = None,
) -> Iterator[AudioChunk]:
    """Yield chunks until you leave the loop or the source ends; if it dies, the log says so.

    Parameters
    ----------
    source : Source, optional
        ``None``: the default input device.
    format : AudioFormat or FormatPreset
        The format of the chunks; by default the device's own.
    sample_rate : int, optional
        Hz, in place of the format's.
    channels : int or sequence of int, optional
        How many, or which of the device's, in place of the format's.
    duration : float, optional
        Seconds after which the source ends, exact to the frame; ``None``: not by itself.
    on_lost : "wait", "default" or "stop", optional
        What to do when the device is lost, in place of what the source says; see
        :meth:`AudioSource.device`. ``None``: what the source says, or else "stop".
    config : StreamConfig, optional
        Settings of the session.

    Examples
    --------
    >>> import stream_audio
    >>> source = stream_audio.AudioSource.virtual("silence", frames=9600, pace="freewheel")
    >>> [chunk.frames for chunk in stream_audio.listen(source)]
    [4800, 4800]
    """
    from stream_audio.sinks.channel import ChannelSink

    channel = ChannelSink()
    builder = _builder(source, format, sample_rate, channels, duration, config, on_lost, "stop")
    with builder.add_sink(channel).start():
        yield from channel
