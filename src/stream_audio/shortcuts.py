"""The short ways in: ``open``, ``record`` and ``listen``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import AudioFormat, FormatPreset
from stream_audio.backlog.policy import Backlog
from stream_audio.builder import StreamAudio, StreamAudioBuilder
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import Source
from stream_audio.errors import ConfigError, ConfigTypeError
from stream_audio.reports.events import StreamEvent
from stream_audio.reports.report import SessionReport
from stream_audio.session import Session
from stream_audio.sinks.channel import ChannelSink
from stream_audio.sinks.file import FileSink
from stream_audio.sources.audio_source import AudioSource

SOURCE_ID = "default"
"""The id of the one source of these short ways."""


def _builder(
    source: Source | None, audio_format: AudioFormat | FormatPreset | None
) -> StreamAudioBuilder:
    builder = StreamAudio.builder()
    builder.add_source(SOURCE_ID, AudioSource.default_device() if source is None else source)
    return builder if audio_format is None else builder.format(audio_format)


def open(
    source: Source | None = None,
    *,
    sinks: Iterable[Any] = (),
    format: AudioFormat | FormatPreset | None = None,
    on_event: Callable[[StreamEvent], object] | None = None,
    config: StreamConfig | None = None,
) -> Session:
    """Start a session with one source.

    Parameters
    ----------
    source : Source, optional
        ``None``: the default input device.
    sinks : iterable of Sink
        At least one.
    format : AudioFormat or FormatPreset, optional
        What the sinks get; ``None``: ``FormatPreset.TRANSCRIPTION``, 16 kHz mono.
    on_event : callable, optional
        Gets each event.
    config : StreamConfig, optional
        Settings of the session.

    Returns
    -------
    Session
        Running. Use it in a ``with`` block.
    """
    if not isinstance(sinks, Iterable) or callable(getattr(sinks, "write", None)):
        raise ConfigTypeError(f"sinks takes a list of sinks, not {sinks!r}")
    builder = _builder(source, format)
    for sink in sinks:
        builder.add_sink(sink)
    if on_event is not None:
        builder.on_event(on_event)
    if config is not None:
        builder.config(config)
    return builder.start()


@overload
def record(
    path: str | os.PathLike[str],
    seconds: float,
    *,
    source: Source | None = ...,
    format: AudioFormat | FormatPreset | None = ...,
    overwrite: bool = ...,
    config: StreamConfig | None = ...,
) -> SessionReport: ...


@overload
def record(
    path: None = ...,
    *,
    seconds: float,
    source: Source | None = ...,
    format: AudioFormat | FormatPreset | None = ...,
    config: StreamConfig | None = ...,
) -> NDArray[Any]: ...


def record(
    path: str | os.PathLike[str] | None = None,
    seconds: float | None = None,
    *,
    source: Source | None = None,
    format: AudioFormat | FormatPreset | None = None,
    overwrite: bool = False,
    config: StreamConfig | None = None,
) -> SessionReport | NDArray[Any]:
    """Record for some seconds, exact to the frame, and return when it is done.

    Parameters
    ----------
    path : str or os.PathLike, optional
        A file; its ending decides the format. Without one, the samples are returned.
    seconds : float
        How long. Ctrl-C ends it early; a file then holds what was recorded.
    source : Source, optional
        ``None``: the default input device.
    format : AudioFormat or FormatPreset, optional
        ``None``: the device's own.
    overwrite : bool
        Whether an existing file is replaced.
    config : StreamConfig, optional
        Settings of the session.

    Returns
    -------
    SessionReport or ndarray, shape (frames, channels)
        The report if there is a path, else the samples. Frames that were lost are silence, but
        for those at the end; a device that dies ends the recording early, which the log tells and
        ``report.complete``.

    Raises
    ------
    FileSinkError
        The file cannot be created, or could not be written to the end; what is in it is valid.
    DeviceError
        The device cannot be found or opened.

    Examples
    --------
    >>> import stream_audio
    >>> tone = stream_audio.AudioSource.virtual("sine", pace="freewheel")
    >>> stream_audio.record(seconds=0.5, source=tone).shape
    (24000, 2)
    """
    if seconds is None:
        raise ConfigError("record needs seconds", hint="For example record('a.wav', seconds=5)")
    builder = _builder(source, format or FormatPreset.NATIVE).duration(seconds)
    config = config or StreamConfig()
    builder.config(replace(config, raise_on_sink_failure=True))
    if path is not None:
        with builder.add_sink(FileSink(path, overwrite=overwrite)).start() as session:
            session.wait()
        return session.report()
    # Nothing may be pushed out before it is read: the channel has room for everything.
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


def listen(
    source: Source | None = None,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    config: StreamConfig | None = None,
) -> Iterator[AudioChunk]:
    """Yield chunks until the loop is left or the source ends; if it dies, the log says so.

    Parameters
    ----------
    source : Source, optional
        ``None``: the default input device.
    sample_rate, channels : int, optional
        ``None``: the device's own.
    config : StreamConfig, optional
        Settings of the session.

    Examples
    --------
    >>> import stream_audio
    >>> source = stream_audio.AudioSource.virtual("silence", frames=9600, pace="freewheel")
    >>> [chunk.frames for chunk in stream_audio.listen(source)]
    [4800, 4800]
    """
    channel = ChannelSink()
    builder = _builder(source, AudioFormat(sample_rate, channels)).add_sink(channel)
    if config is not None:
        builder.config(config)
    with builder.start():
        yield from channel
