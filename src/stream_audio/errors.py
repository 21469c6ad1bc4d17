"""What can go wrong: one tree under :class:`StreamAudioError`.

Every error says what failed. Where a host (PortAudio, ALSA, JACK, the file system) had words of
its own they stand in ``host_text``; where something can be done about it, it stands in ``hint``.
All three are part of ``str(error)``.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class StreamAudioError(Exception):
    """The base class of every error that this library raises on purpose.

    Attributes
    ----------
    message : str
        What failed.
    host_text : str
        The host's own words, or an empty string.
    hint : str
        What to do about it, or an empty string.
    """

    __module__ = "stream_audio"

    def __init__(self, message: str, *, host_text: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.host_text = host_text
        self.hint = hint

    def __str__(self) -> str:
        text = self.message
        if self.host_text:
            text += f" (the host says: {self.host_text})"
        if self.hint:
            text += f". {self.hint}"
        return text


def in_words(error: BaseException) -> str:
    """Return what an error says; of one that is not this library's own, its type as well.

    Never raises, whatever the error's own methods do.
    """
    kind = kind_of(error)
    text = _text_of(str, error)
    if text is None:
        return f"{kind} (which cannot be shown)"
    if issubclass(type(error), StreamAudioError):  # isinstance would ask the error itself
        return text or kind
    return f"{kind}: {text}" if text else (_text_of(repr, error) or kind)


def shown(thing: object) -> str:
    """Return ``repr(thing)``, or its type if that raises: the object is a user's."""
    text = _text_of(repr, thing)
    return f"<{kind_of(thing)}, which cannot be shown>" if text is None else text


def kind_of(thing: object) -> str:
    """Return the name of the type, whatever the type's own type answers."""
    name: str = type.__dict__["__name__"].__get__(type(thing))
    return name


def say_whose(error: BaseException, note: str) -> None:
    """Add a note to a user's error, once; one that takes none stays as it is."""
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except BaseException as refused:
        if is_ctrl_c(refused):
            raise
        return  # it is raised all the same


def log_raised(log: Any, error: BaseException | None, text: str, *arguments: object) -> None:
    """Log what a user's code raised, with its traceback; ``None``: without one.

    Never raises, whatever the error's attributes do, or a handler of the log: what cannot be
    logged goes to stderr.
    """
    try:
        log.error(text, *arguments, exc_info=error)
    except BaseException as raised:
        if is_ctrl_c(raised):
            raise
        with contextlib.suppress(Exception):  # no stderr, or a full one: nobody is left to tell
            sys.stderr.write(f"{text % arguments} (cannot be logged: {in_words(raised)})\n")


def is_ctrl_c(error: BaseException) -> bool:
    """Whether this may be the user's Ctrl-C, which is never taken for a failure of a sink."""
    in_main = threading.current_thread() is threading.main_thread()
    return issubclass(type(error), KeyboardInterrupt) and in_main


def _text_of(show: Callable[[Any], str], thing: object) -> str | None:
    """Return the text as an exact string that any stream can print; ``None`` if it has none."""
    try:
        text = "".join((show(thing),))
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        return None
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class ConfigError(StreamAudioError, ValueError):
    """A setting has a value that cannot work; raised where you pass it."""

    __module__ = "stream_audio"


class ConfigTypeError(StreamAudioError, TypeError):
    """A setting has the wrong type; raised where you pass it."""

    __module__ = "stream_audio"


class SessionStateError(StreamAudioError, RuntimeError):
    """The state of the session or sink does not allow the call: stopped, or in use elsewhere."""

    __module__ = "stream_audio"


def session_ended() -> SessionStateError:
    """Make the error of what comes too late."""
    return SessionStateError("the session has ended", hint="Start a new one")


class ForkedProcessError(StreamAudioError, RuntimeError):
    """The library was loaded in a parent process; its threads did not survive the fork."""

    __module__ = "stream_audio"


class DeviceError(StreamAudioError):
    """A device could not be found, opened or kept running."""

    __module__ = "stream_audio"


class DeviceNotFoundError(DeviceError, LookupError):
    """No input device has that name, or there is none at all."""

    __module__ = "stream_audio"


class AmbiguousDeviceError(DeviceError, LookupError):
    """Several input devices fit the name."""

    __module__ = "stream_audio"


class DeviceFormatError(DeviceError, ValueError):
    """The device does not support that sample rate or number of channels."""

    __module__ = "stream_audio"


class HostUnresponsiveError(DeviceError):
    """A call to the host did not return in time; its server or driver is probably dead."""

    __module__ = "stream_audio"


class BackendError(StreamAudioError):
    """PortAudio, or an audio backend below it, is missing or broken."""

    __module__ = "stream_audio"


class FeedFullError(StreamAudioError, BufferError):
    """A feed with ``when_full="raise"`` has no room; nothing of that write was taken."""

    __module__ = "stream_audio"


class LoopbackUnavailable(BackendError):  # noqa: N818 - it is a state of the machine
    """What the computer plays cannot be recorded here; the hint says what to install."""

    __module__ = "stream_audio"


class FileError(StreamAudioError):
    """A sound file cannot be read or mended."""

    __module__ = "stream_audio"


class SinkError(StreamAudioError):
    """A sink could not take a chunk.

    Parameters
    ----------
    retryable : bool
        Whether the session may try the same chunk again. False if another try cannot help: a full
        disk, a closed file.
    taken : int
        Frames at the beginning of the chunk that the sink took all the same. If the chunk is not
        tried again, they count as delivered.
    lost : tuple of Gap
        Frames of earlier chunks that the sink had taken, and that count as dropped after all.
    """

    __module__ = "stream_audio"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = True,
        taken: int = 0,
        lost: tuple[object, ...] = (),
        host_text: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, host_text=host_text, hint=hint)
        self.retryable = retryable
        self.taken = taken
        self.lost = lost


class FileSinkError(SinkError):
    """A file could not be created, written or completed.

    Attributes
    ----------
    path : Path
        The file.
    frames : int
        Frames that are saved in the file; it is valid up to the last of them.
    """

    __module__ = "stream_audio"

    def __init__(
        self,
        message: str,
        *,
        path: Path,
        frames: int = 0,
        retryable: bool = False,
        taken: int = 0,
        lost: tuple[object, ...] = (),
        host_text: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(
            message, retryable=retryable, taken=taken, lost=lost, host_text=host_text, hint=hint
        )
        self.path = path
        self.frames = frames
