"""From one sound file to another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stream_audio._public import public
from stream_audio.audio.format import AudioFormat, FormatPreset
from stream_audio.errors import FileError

if TYPE_CHECKING:
    from stream_audio.reports.report import SessionReport

SOURCE_ID = "file"

PROGRESS_INTERVAL = 0.1
"""Seconds between two calls of ``progress``."""


@public
def transcode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    format: AudioFormat | FormatPreset = FormatPreset.NATIVE,
    progress: Callable[[int, int | None], object] | None = None,
    **options: Any,
) -> SessionReport:
    """Convert a sound file to another format, as fast as possible and without losing a frame.

    The destination takes its name when it is complete. If it cannot be completed, or after Ctrl-C,
    nothing of it is left, and an existing file of that name is as it was. Parts that ``rotate``
    made stay.

    Parameters
    ----------
    source : str or os.PathLike
        A sound file of any format that libsndfile reads.
    destination : str or os.PathLike
        The file to write; its ending decides the format, see :func:`~stream_audio.formats`.
    format : AudioFormat or FormatPreset
        Rate, channels and sample type; native keeps the source's own.
    progress : callable, optional
        ``progress(frames, total)`` is called ten times a second, on the calling thread, and at the
        end. It gets the number of the source's frames read so far and in total; the total is
        ``None`` where only decoding would tell. If it raises, the work ends.
    **options
        Settings of :class:`~stream_audio.FileSink`: ``subtype``, ``quality``, ``overwrite``,
        ``rotate`` …

    Returns
    -------
    SessionReport
        Where every frame went.

    Raises
    ------
    FileError
        The source cannot be read, or not to its end. In the second case the destination has all
        that could be read.
    SinkError
        The destination cannot be written, or is the source.
    ConfigError, ConfigTypeError
        An option cannot work, or the format cannot hold such audio.

    Examples
    --------
    >>> import stream_audio
    >>> stream_audio.transcode("meeting.wav", "meeting.opus", quality=0.3)  # doctest: +SKIP
    """
    from stream_audio.builder import StreamAudio
    from stream_audio.sinks.whole_file import WholeFile
    from stream_audio.sources.audio_source import AudioSource

    builder = StreamAudio.builder().format(format)
    builder.add_source(SOURCE_ID, AudioSource.file(source, pace="freewheel"))
    sink = WholeFile(destination, options)
    total = None if progress is None else _frames_of(source)
    try:
        with builder.add_sink(sink).start() as session:
            while not session.wait(PROGRESS_INTERVAL):
                if progress is not None:
                    progress(session.report().sources[SOURCE_ID].position, total)
        sink.complete()
    except BaseException:
        sink.discard()
        raise
    report = session.report()
    problem = report.sources[SOURCE_ID].error
    if problem:
        raise FileError(problem)
    if progress is not None:
        frames = report.sources[SOURCE_ID].position
        progress(frames, frames)
    return report


def _frames_of(path: str | os.PathLike[str]) -> int | None:
    from stream_audio.files.sound_reader import SoundReader

    sound = SoundReader(os.fspath(path))
    try:
        return sound.frames
    finally:
        sound.close()
