"""Both sides of a meeting, each in a file of its own and both in a third, in step."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from stream_audio._public import public
from stream_audio.audio.format import AudioFormat
from stream_audio.builder import StreamAudio, StreamAudioBuilder
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import Source
from stream_audio.errors import ConfigTypeError, FileError
from stream_audio.sources.audio_source import AudioSource

if TYPE_CHECKING:
    from stream_audio.reports.events import StreamEvent
    from stream_audio.session import Session

MICROPHONE, OTHERS, MIX = "microphone", "others", "mix"
"""The ids of the sources, and the name of what both come to. The files are called likewise."""

FILES = (MICROPHONE, OTHERS, MIX)
"""The names of the sinks that write them."""

SAMPLE_RATE = 48_000
"""Of all files, in Hz."""

OWN_ONLY = 0o700
"""Permissions of the folder."""

FILE_MODE = 0o600
"""Permissions of the files: others may be able to enter a folder that was there before."""


class MeetingFolder:
    """The folder of a meeting, made if it was not there.

    Raises
    ------
    ConfigTypeError
        It is not a path.
    FileError
        It cannot be made, or is no folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not isinstance(folder, (str, os.PathLike)):
            raise ConfigTypeError(f"the folder must be a path, not {folder!r}")
        self.path = os.fspath(folder)
        self._made = False
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
            try:
                os.mkdir(self.path, OWN_ONLY)
                self._made = True
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(self.path).st_mode):
                    raise
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            text = getattr(error, "strerror", None) or str(error)
            raise FileError(
                f"cannot make the folder {self.path!r}",
                host_text=text,
                hint="Name one that exists, or a place where you may make one",
            ) from error

    def file(self, name: str) -> str:
        """Return the path of a WAV file in it, as a FileSink takes it."""
        path = os.path.join(self.path, f"{name}.wav")
        return path.replace("{", "{{").replace("}", "}}")

    def undo(self) -> None:
        """Take it away if it was made here and holds nothing."""
        if self._made:
            try:
                os.rmdir(self.path)
            except OSError:
                return  # somebody has put something into it


def meeting_builder(
    folder: MeetingFolder, microphone: Source | None, others: Source | None
) -> StreamAudioBuilder:
    """Return a session that records both sides and their mix; nothing is opened yet."""
    from stream_audio.sinks.file import FileSink

    def file(name: str) -> FileSink:
        return FileSink(folder.file(name), subtype="PCM_16", ledger=True, mode=FILE_MODE)

    builder = StreamAudio.builder().format(AudioFormat(SAMPLE_RATE))
    builder.add_source(
        MICROPHONE, AudioSource.default_device() if microphone is None else microphone
    )
    builder.add_source(OTHERS, AudioSource.system(follow=True) if others is None else others)
    for name in (MICROPHONE, OTHERS):
        builder.add_sink(file(name), sources=name, name=name, timeline="session")
    both = AudioFormat(SAMPLE_RATE, 2)
    return builder.add_sink(
        file(MIX), sources=(MICROPHONE, OTHERS), name=MIX, merge=True, format=both
    )


@public
def record_meeting(
    folder: str | os.PathLike[str],
    *,
    microphone: Source | None = None,
    others: Source | None = None,
    duration: float | None = None,
    on_event: Callable[[StreamEvent], object] | None = None,
    config: StreamConfig | None = None,
) -> Session:
    """Record what you say and what the computer plays, until the session is stopped.

    The folder gets ``microphone.wav``, ``others.wav`` and ``mix.wav``, at 48 kHz and 16 bits. They
    begin at one moment, stay in step sample by sample, and end together. What is missing of one is
    silence there; ``NAME.wav.json`` beside each file says where and why. An unplugged headset, or
    another output, is such a gap: the recording goes on with what takes its place.

    Parameters
    ----------
    folder : str or os.PathLike
        Made with permissions for you alone (0700) if it does not exist; one that exists stays as
        it is. The files are yours alone (0600). None of them may exist.
    microphone : Source, optional
        ``None``: the default input device. The source's id is "microphone".
    others : Source, optional
        ``None``: what the computer plays, :meth:`AudioSource.system`. The id is "others".
    duration : float, optional
        Seconds after which the meeting ends; ``None``: not by itself.
    on_event : callable, optional
        A function that is called with each event.
    config : StreamConfig, optional
        Settings of the session.

    Returns
    -------
    Session
        The running session. Use it in a ``with`` block, which completes all files, also after
        Ctrl-C. Add sinks to it to hear, or transcribe, what is being said.

    Raises
    ------
    FileError
        The folder cannot be made.
    FileSinkError
        One of the files exists, or cannot be created.
    LoopbackUnavailable
        What the computer plays cannot be recorded here; the hint says what to install.
    DeviceError
        There is no microphone.
    """
    made = MeetingFolder(folder)
    try:
        builder = meeting_builder(made, microphone, others)
        if duration is not None:
            builder.duration(duration)
        if on_event is not None:
            builder.on_event(on_event)
        if config is not None:
            builder.config(config)
        return builder.start()
    except BaseException:
        made.undo()
        raise
