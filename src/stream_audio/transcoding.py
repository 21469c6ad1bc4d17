"""From one sound file to another."""

from __future__ import annotations

import os
from typing import Any

from stream_audio.audio.format import AudioFormat, FormatPreset
from stream_audio.builder import StreamAudio
from stream_audio.config import StreamConfig
from stream_audio.errors import FileError
from stream_audio.reports.report import SessionReport
from stream_audio.sinks.file import FileSink
from stream_audio.sources.audio_source import AudioSource

SOURCE_ID = "file"


def transcode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    format: AudioFormat | FormatPreset = FormatPreset.NATIVE,
    **options: Any,
) -> SessionReport:
    """Write a sound file anew, in another format, as fast as it goes and without losing a frame.

    Parameters
    ----------
    source : str or os.PathLike
        A sound file of any format that libsndfile reads.
    destination : str or os.PathLike
        Its ending decides the format; see :func:`~stream_audio.formats`.
    format : AudioFormat or FormatPreset
        Rate, channels and sample type on the way; native: as the source has them.
    **options
        Of :class:`~stream_audio.FileSink`: ``subtype``, ``quality``, ``overwrite``, ``rotate`` …

    Returns
    -------
    SessionReport
        Where every frame went.

    Raises
    ------
    FileError
        The source cannot be read, or not to its end; what could be read has then been written.
    SinkError
        The destination cannot be written.
    ConfigError, ConfigTypeError
        An option cannot work, or the format cannot hold such audio.

    Examples
    --------
    >>> import stream_audio
    >>> stream_audio.transcode("meeting.wav", "meeting.opus", quality=0.3)  # doctest: +SKIP
    """
    builder = StreamAudio.builder().format(format)
    builder.config(StreamConfig(raise_on_sink_failure=True))
    builder.add_source(SOURCE_ID, AudioSource.file(source, pace="freewheel"))
    with builder.add_sink(FileSink(destination, **options)).start() as session:
        session.wait()
    report = session.report()
    problem = report.sources[SOURCE_ID].error
    if problem:
        raise FileError(problem)
    return report
