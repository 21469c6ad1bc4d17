"""A sink that writes sound files, or to a file object."""

from __future__ import annotations

import errno
import math
import os
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO, Unpack

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._public import public
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import SampleType
from stream_audio.audio.gap import Gap
from stream_audio.contracts.sink import LONGEST_GATHER, SinkInfo
from stream_audio.errors import ConfigError, ConfigTypeError, FileSinkError, SinkError
from stream_audio.files.containers import check_encoding, find_container
from stream_audio.files.free_names import IfExists
from stream_audio.files.keeping import parse_keep
from stream_audio.files.names import Names, name_for_people
from stream_audio.files.plan import GapPolicy, Plan
from stream_audio.files.rotation import parse_rotation
from stream_audio.files.writer import Encoding

if TYPE_CHECKING:
    from pathlib import Path

    from stream_audio.files.byte_stream import ByteStream
    from stream_audio.files.recording import Recording
    from stream_audio.files.stream_recording import StreamRecording

GATHER = 0.8
"""Seconds for which audio gathers before it is written, as a rule."""

# Another try cannot mend these.
_FINAL_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EFBIG,
    errno.EBADF,
    errno.ENOENT,
    errno.ENAMETOOLONG,
}

_SAMPLE_TYPES: dict[str, SampleType] = {
    "PCM_16": "int16",
    "PCM_24": "int24",
    "PCM_32": "int32",
}

_NAME_A_FILE = "Give the name of a file"

_HINTS = {
    errno.EEXIST: "Pass overwrite=True to replace it, or unique=True for another name",
    errno.ENOENT: "Create the folder first",
    errno.ENOTDIR: "Create the folder first",
    errno.EACCES: "Choose a folder that you may write to",
    errno.EPERM: "Choose a folder that you may write to",
    errno.EROFS: "Choose a folder that you may write to",
    errno.EISDIR: _NAME_A_FILE,
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EBUSY: "Name another file",
    errno.ENOSPC: "Free some space; what was recorded so far is complete",
    errno.EDQUOT: "Free some space; what was recorded so far is complete",
    errno.EPIPE: "Its reader has ended",
}


@public
class FileSink:
    """A sink that writes one source to a sound file, or to several, one after the other.

    Any program can open WAV, FLAC, MP3, AIFF, CAF and AU files at any moment. Their headers are
    updated about once a second, so a crash loses at most the last second. For other formats see
    :func:`stream_audio.formats`. Past 4 GiB a WAV file becomes RF64. A gap becomes silence, so the
    file's time is real time; a gap that no chunk follows is only in the report.

    If the file cannot be written any more (the disk is full, the file was removed), the sink fails
    once with a :class:`~stream_audio.FileSinkError`. What is in the file is then valid. With
    ``fallback`` it continues there instead, without a missing frame. It sends the events
    ``FileClosed``, ``FallbackUsed``, ``DiskLow`` and ``FileMoved``.

    Parameters
    ----------
    path : str, os.PathLike or binary file object
        The file, which is created when the session starts. ``{start}`` stands for the local time
        of the file's first frame, ``{utc}`` for that time in UTC, and ``{index}`` for the file's
        number, from 1. Each may have a format: ``"{start:%Y%m%d-%H%M%S}-{index:04}.wav"``. Folders
        whose names contain them are made: ``"takes/{start:%Y-%m-%d}/{index}.wav"``. ``{{`` stands
        for a brace.

        Or an open binary file: ``sys.stdout.buffer``, ``io.BytesIO()``, a pipe. It gets audio from
        where it stands, chunk by chunk, and is not closed. Where it cannot seek, the header gives
        no length. A write that fails is final, so no byte is ever written twice. Of the settings,
        it takes ``format``, ``subtype``, ``gaps="silence"`` or ``"skip"``, ``gather`` and those of
        the container but ``rf64``, ``bext`` and ``fsync``.
    format : str, optional
        The container by its libsndfile name; ``None``: by the path's ending, and WAV for a file
        object. One that cannot seek takes WAV, FLAC, OGG, OPUS, MP3, AU and RAW.
    subtype : str, optional
        The type of the samples, by its libsndfile name; ``None``: the container's usual one.
    rotate : str, float or timedelta, optional
        When to continue in another file, exact to the frame: after a time (``"1h"``, ``"90 s"``,
        or seconds) or a size (``"500 MB"``). Without a template the files are ``NAME-0001.wav``
        and so on.
    align : bool
        Whether files begin at whole multiples of ``rotate``, counted from local midnight.
    keep : int or str, optional
        How many of this recording's files to keep, or for how long (``"7d"``); older ones are
        deleted.
    keep_earlier : bool
        Whether files of earlier runs count for ``keep``, too. Their ledgers identify them.
    gaps : "silence", "skip" or "split"
        What lost frames become: silence, nothing, or the end of one file and the start of the
        next.
    ledger : bool
        Whether to write ``NAME.wav.json`` beside each file, which says what is missing and where.
    fallback : str or os.PathLike, optional
        A file or a folder in which to continue after an error.
    overwrite : bool
        Whether to replace an existing file, once all sources and sinks have started; otherwise it
        is an error. (If the name of a later file of the recording is taken, it then gets another.)
    unique : bool
        Whether to take another name (``NAME-1.wav``) if that one is taken.
    atomic : bool
        Whether to call the file ``NAME.wav.part`` until it is complete.
    mode : int, optional
        Permissions of the file and its ledger, for example ``0o600``. ``None``: those of the file
        that it replaces, or those that the umask gives.
    gather : float
        Seconds, 0 to 0.8, that audio may wait in memory to be written in one go, unless another
        sink of the source wants it sooner. Less costs more CPU time, and a kill loses less. The
        default is 0.8, or a quarter of ``fsync`` if that is less. This time counts towards
        ``fsync``.
    **encoding
        Settings of the container. WAV: ``rf64="auto"``, ``"never"`` (continue in another file at 4
        GiB) or ``"always"``; ``bext=True`` or a dict with any of ``description``, ``originator``,
        ``originator_reference`` and ``coding_history`` for a broadcast file with its date and time
        reference. FLAC: ``compression_level=0`` (fastest) to ``1`` (smallest). Ogg and MP3:
        ``quality=0`` (smallest) to ``1`` (best); MP3: ``bitrate_mode="constant"``, ``"average"``
        or ``"variable"``. All: ``fsync=seconds`` to lose no more than that in a power cut. See
        :func:`stream_audio.formats`.

    Raises
    ------
    ConfigError, ConfigTypeError
        A setting that cannot work.
    """

    takes_batches = True
    """What gathered may come as one chunk; see :class:`Sink`."""

    def __init__(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        format: str | None = None,
        subtype: str | None = None,
        rotate: str | float | timedelta | None = None,
        align: bool = False,
        keep: int | str | None = None,
        keep_earlier: bool = False,
        gaps: GapPolicy = "silence",
        ledger: bool = False,
        fallback: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        unique: bool = False,
        atomic: bool = False,
        mode: int | None = None,
        gather: float | None = None,
        **encoding: Unpack[Encoding],
    ) -> None:
        self._stream = _as_stream(path)
        self._path = _as_path(path if self._stream is None else self._stream.name)
        if self._stream is not None and format is None:
            format = "WAV"
        container = find_container(self._path, format)
        if overwrite and unique:
            raise ConfigError("overwrite and unique exclude each other")
        subtype = check_encoding(container, subtype, encoding)
        if self._stream is not None:
            from stream_audio.files.stream_recording import check_stream

            check_stream(self._stream, container, subtype, encoding)
        if self._stream is not None:
            files_only = {
                "rotate": rotate, "align": align, "keep": keep, "keep_earlier": keep_earlier,
                "ledger": ledger, "fallback": fallback, "overwrite": overwrite, "unique": unique,
                "atomic": atomic, "mode": mode, 'gaps="split"': gaps == "split",
            }  # fmt: skip
            for setting, value in files_only.items():
                if value not in (None, False):
                    raise ConfigError(f"{setting} is for files with a path", hint="Leave it out")
            gather = gather or 0.0
        self.gather = _gather(gather, encoding)
        if "fsync" in encoding:  # what has gathered is not on the disk either
            encoding["fsync"] -= self.gather
        self._plan = Plan(
            path=self._path,
            fallback=None if fallback is None else _as_path(fallback),
            container=container,
            subtype=subtype,
            encoding=encoding,
            if_exists=(
                IfExists.OVERWRITE if overwrite else IfExists.RENAME if unique else IfExists.FAIL
            ),
            mode=None if mode is None else whole_number("mode", mode, 0, 0o777),
            temporary=bool(atomic),
            rotation=parse_rotation(rotate, align),
            keep=parse_keep(keep, keep_earlier, ledger=ledger),
            gaps=one_of("gaps", gaps, ("silence", "skip", "split")),  # type: ignore[arg-type]
            ledger=bool(ledger),
        )
        if keep is not None and not self._plan.numbered:
            raise ConfigError("keep needs files to choose from", hint='For example rotate="1h"')
        for name in (self._plan.path, self._plan.fallback):
            if name is not None and self._stream is None:
                Names(name, numbered=self._plan.numbered)  # raises if it makes no name
        if format is None:
            self._check_ending(self._plan.fallback)
        self._recording: Recording | StreamRecording | None = None
        self._frames = 0
        self._told: OSError | None = None  # by the last write, if it failed

    def _check_ending(self, fallback: Path | None) -> None:
        ending = self._path.suffix
        if fallback is not None and fallback.suffix != ending and not fallback.is_dir():
            raise ConfigError(
                f"fallback is neither a folder nor a {ending} file: {fallback}",
                hint=f"It has the format of {self._path}; name a folder that exists, or a file",
            )

    @property
    def path(self) -> Path:
        """Path of the newest file; before the start, the path that was given.

        Of a file object that has none, its name or type: ``<stdout>``, ``<BytesIO>``.
        """
        return self._path

    @property
    def name(self) -> str:
        """The file's name, for events and the report; an asterisk stands for a field."""
        return name_for_people(self._plan.path)

    @property
    def preferred_dtype(self) -> SampleType:
        """Type of the file's samples, so that the sink's format does the rounding."""
        return _SAMPLE_TYPES.get(self._plan.subtype, "float32")

    @property
    def fills_gaps(self) -> bool:
        """Whether lost frames become silence."""
        return self._plan.gaps == "silence"

    @property
    def frames(self) -> int:
        """Frames in all files, silence for gaps included."""
        return self._frames

    def start(self, info: SinkInfo) -> None:
        """Create the file; called by the session."""
        if len(info.sources) != 1:
            names = ", ".join(source.id for source in info.sources)
            raise ConfigError(
                f"a FileSink writes one source, but {self._path} would get {names}",
                hint='Choose one: add_sink(sink, sources="…")',
            )
        if self._stream is not None:
            self._recording = _open_stream(self._stream, self._plan, info)
            return
        from stream_audio.files.recording import Recording

        try:
            self._recording = Recording(self._plan, info)
        except OSError as error:
            from pathlib import Path

            path = Path(error.filename or self._plan.path)
            raise _failure("create", path, 0, error) from error
        except ValueError as error:  # a null byte in the name
            if isinstance(error, ConfigError):
                raise
            name = repr(os.fspath(self._path))
            raise FileSinkError(
                f"cannot create {name}", path=self._path, host_text=str(error)
            ) from error
        self._path = self._recording.path

    def begun(self) -> None:
        """Replace the file to overwrite; called by the session when everything has started."""
        recording = _of_files(self._recording)
        if recording is None:
            return
        try:
            recording.begin()
        except OSError as error:
            self._recording = None
            recording.discard()
            from pathlib import Path

            raise _failure("replace", Path(recording.path), 0, error) from error
        finally:
            self._path = recording.path

    def write(self, chunk: AudioChunk) -> None:
        """Append a chunk; called by the session."""
        recording = self._recording
        if recording is None:
            raise SinkError(f"{self._path} is not open", retryable=False)
        try:
            recording.write(chunk)
            self._told = None
        except OSError as error:
            self._told = error
            path, frames = self._saved(recording)
            final = self._stream is not None
            raise _failure(
                "write to", path, frames, error, recording.taken, final=final
            ) from error
        finally:
            self._note(recording)

    def caught_up(self) -> None:
        """Update the file's header to all that is in it; called by the session."""
        if self._recording is not None:
            self._recording.settle()

    def stop(self) -> tuple[Gap, ...]:
        """Complete the file; called by the session.

        Returns the frames that it had taken and could not save, if the last write has said why.
        """
        recording, self._recording = self._recording, None
        if recording is None:
            return ()
        try:
            recording.close()
        except OSError as error:
            path, frames = self._saved(recording, at_the_end=True)
            lost = recording.lost()
            if self._told is not None and self._told.errno == error.errno:
                return lost
            raise _failure("complete", path, frames, error, lost=lost) from error
        finally:
            self._note(recording)
        return ()

    def _saved(
        self, recording: Recording | StreamRecording, *, at_the_end: bool = False
    ) -> tuple[Path, int]:
        """Return the file that an error is about, and the frames that are saved in it."""
        files = _of_files(recording)
        if files is None:
            return self._path, recording.frames
        incomplete = files.incomplete if at_the_end else None
        part = incomplete[0] if incomplete else files.part
        return part.file.path, part.saved_frames

    def _note(self, recording: Recording | StreamRecording) -> None:
        if files := _of_files(recording):
            self._path = files.path
        self._frames = recording.frames

    def discard(self) -> None:
        """Delete the file again; called by a session that could not start after all."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.discard()

    def __repr__(self) -> str:
        plan = self._plan
        return f"FileSink({str(self._path)!r}, subtype={plan.subtype!r}, frames={self._frames})"


def _as_stream(file: object) -> ByteStream | None:
    """Return what a file object is written through; ``None`` for a path."""
    if isinstance(file, (str, bytes, os.PathLike)) or not hasattr(file, "write"):
        return None
    from stream_audio.files.byte_stream import ByteStream

    return ByteStream(file)  # type: ignore[arg-type]  # it looks


def _of_files(recording: Recording | StreamRecording | None) -> Recording | None:
    from stream_audio.files.recording import Recording

    return recording if isinstance(recording, Recording) else None


def _open_stream(stream: ByteStream, plan: Plan, info: SinkInfo) -> StreamRecording:
    from stream_audio.files.stream_recording import StreamRecording

    (source,) = info.sources
    return StreamRecording(
        stream,
        plan.container,
        plan.subtype,
        plan.encoding,
        source.sample_rate,
        source.channels,
        gaps_are_silence=plan.gaps == "silence",
    )


def _as_path(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise ConfigTypeError(f"FileSink takes a path or a binary file, not {path!r}")
    from pathlib import Path

    return Path(path)


def _gather(wanted: float | None, encoding: Encoding) -> float:
    fsync = encoding.get("fsync", math.inf)
    if wanted is None:
        return min(GATHER, fsync / 4)
    gather = real_number("gather", wanted, 0, LONGEST_GATHER)
    if gather >= fsync:
        raise ConfigError(
            f"gather must be less than fsync, not {gather:g} s with {fsync:g} s",
            hint="What waits in memory is not on the disk",
        )
    return gather


def _failure(
    doing: str,
    path: Path,
    frames: int,
    error: OSError,
    taken: int = 0,
    lost: tuple[Gap, ...] = (),
    *,
    final: bool = False,
) -> FileSinkError:
    hint = _HINTS.get(error.errno or 0, "")
    if error.errno == errno.EEXIST and path.is_dir():
        hint = _NAME_A_FILE
    message = f"cannot {doing} {path}"
    if doing not in ("create", "replace"):
        message += f"; {frames} frames are saved in it"
    return FileSinkError(
        message,
        path=path,
        frames=frames,
        retryable=not final and error.errno not in _FINAL_ERRORS,
        taken=taken,
        lost=lost,
        host_text="; ".join([error.strerror or str(error), *getattr(error, "__notes__", ())]),
        hint=hint,
    )
