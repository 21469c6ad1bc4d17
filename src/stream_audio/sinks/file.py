"""A sink that writes a sound file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal, Unpack

from stream_audio._checks import one_of
from stream_audio.chunk import AudioChunk
from stream_audio.errors import ConfigError, ConfigTypeError, SinkError
from stream_audio.files.containers import check_encoding, find_container
from stream_audio.files.create import create
from stream_audio.files.writer import Encoding, SoundFileWriter
from stream_audio.sinks.base import SinkInfo

# Another try cannot mend these.
_FINAL_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EBADF}

_NAME_A_FILE = "Give the name of a file"

_HINTS = {
    errno.EEXIST: "Pass overwrite=True to replace it",
    errno.ENOENT: "Create the folder first",
    errno.EACCES: "Choose a folder that you may write to",
    errno.EPERM: "Choose a folder that you may write to",
    errno.EISDIR: _NAME_A_FILE,
    errno.ENOSPC: "Free some space; what was recorded so far is complete",
}


class FileSink:
    """Writes one source to a WAV file.

    The file can be opened at any moment: its header is brought up to date about once a second, so
    that a crash loses the last second at most. Past 4 GiB it becomes RF64. A gap is filled with
    silence, so that the file's time is real time.

    Parameters
    ----------
    path : str or os.PathLike
        Created when the session starts.
    format : str, optional
        The container by its libsndfile name; ``None``: by the path's ending.
    subtype : str, optional
        The type of the samples, by its libsndfile name; ``None``: the container's usual one.
    overwrite : bool
        Whether an existing file is replaced; otherwise it is an error.
    gaps : "silence" or "skip"
        What stands in the file for lost frames.
    **encoding
        Settings of the container, see :class:`stream_audio.files.writer.Encoding`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        subtype: str | None = None,
        overwrite: bool = False,
        gaps: Literal["silence", "skip"] = "silence",
        **encoding: Unpack[Encoding],
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise ConfigTypeError(f"FileSink takes a path, not {path!r}")
        self.path = Path(path)
        self._container = find_container(self.path, format)
        self._subtype = check_encoding(self._container, subtype, encoding)
        self._encoding = encoding
        self._gaps = one_of("gaps", gaps, ("silence", "skip"))
        self._overwrite = overwrite
        self._writer: SoundFileWriter | None = None
        self._frames = 0

    @property
    def name(self) -> str:
        """The file's name, for events and the report."""
        return self.path.name

    @property
    def frames(self) -> int:
        """Frames in the file, silence for gaps included."""
        return self._frames

    def start(self, info: SinkInfo) -> None:
        """Create the file; called by the session."""
        if len(info.sources) != 1:
            names = ", ".join(source.id for source in info.sources)
            raise ConfigError(
                f"a FileSink writes one source, but {self.path} would get {names}",
                hint='Choose one: add_sink(sink, sources="…")',
            )
        source = info.sources[0]
        try:
            self._writer = self._container.open(
                create(self.path, overwrite=self._overwrite),
                source.sample_rate,
                source.channels,
                self._subtype,
                self._encoding,
            )
        except OSError as error:
            raise self._failure("create", error) from error
        except ValueError as error:  # a null byte in the name
            raise SinkError(
                f"cannot create {str(self.path)!r}", retryable=False, host_text=str(error)
            ) from error

    def write(self, chunk: AudioChunk) -> None:
        """Append a chunk, all of it or nothing."""
        if self._writer is None:
            raise SinkError(f"{self.path} is not open", retryable=False)
        silence = 0
        if self._gaps == "silence":
            silence = sum(gap.frames for gap in chunk.gaps)
        try:
            self._writer.write(chunk.data, silence)
        except OSError as error:
            raise self._failure("write to", error) from error
        self._frames = self._writer.frames

    def stop(self) -> None:
        """Complete the file; called by the session."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                raise self._failure("complete", error) from error

    def _failure(self, doing: str, error: OSError) -> SinkError:
        hint = _HINTS.get(error.errno or 0, "")
        if error.errno == errno.EEXIST and self.path.is_dir():
            hint = _NAME_A_FILE
        return SinkError(
            f"cannot {doing} {self.path}",
            retryable=error.errno not in _FINAL_ERRORS,
            host_text=error.strerror or str(error),
            hint=hint,
        )

    def __repr__(self) -> str:
        return f"FileSink({str(self.path)!r}, subtype={self._subtype!r}, frames={self._frames})"
