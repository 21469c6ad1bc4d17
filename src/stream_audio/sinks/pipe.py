"""A sink that writes to the standard input of another program."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Literal, Unpack

from stream_audio._public import public
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import SampleType
from stream_audio.contracts.sink import SinkInfo
from stream_audio.errors import ConfigError, ConfigTypeError, FileSinkError, SinkError
from stream_audio.files.writer import Encoding
from stream_audio.sinks.file import FileSink

if TYPE_CHECKING:
    import subprocess

_LAST_LINES = 10
_LONGEST_LINE = 400
_URL = re.compile(r"(\w+://)[^\s'\"<>]+")
_FOR_STOPPING = 0.8
"""The part of the stop timeout that the program has to end by itself."""
_KILL_AFTER = 0.5
"""Seconds between a request to end and the end."""


@public
class PipeSink:
    """A sink that starts a program and writes one source to its standard input.

    The program gets a stream of the given format, as :class:`~stream_audio.FileSink` writes it to
    a file object: a WAV header without a length, and samples; silence for what is missing. At the
    end its input is closed, and the sink waits until the program has ended. Nobody can confirm
    what it read, so the report counts frames as sent.

    A write that fails is final: no byte is written twice. The error has the program's exit code
    and its last lines of standard error. There is never a shell. Ctrl-C does not reach the
    program, so that it gets the rest.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments: ``["ffmpeg", "-i", "-", "out.m4a"]``. The representation
        and the errors name the program alone, as arguments may be secret.
    format : str
        "WAV", "FLAC", "OGG", "OPUS", "MP3", "AU" or "RAW".
    subtype : str, optional
        The type of the samples, as in :class:`~stream_audio.FileSink`.
    gaps : "silence" or "skip"
        What lost frames become.
    restart : bool
        Whether a program that died is started again, as :class:`~stream_audio.Retry` allows. It
        gets a new stream, which begins with the chunk that could not be written.
    stdout : file object, int or None
        Where its output goes; ``None``: nowhere.
    **encoding
        Settings of the format, as in :class:`~stream_audio.FileSink`.

    Raises
    ------
    ConfigError, ConfigTypeError
        A setting that cannot work.
    """

    confirms = False
    """See :class:`Sink`."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        format: str = "WAV",
        subtype: str | None = None,
        gaps: Literal["silence", "skip"] = "silence",
        restart: bool = False,
        stdout: int | IO[bytes] | None = None,
        **encoding: Unpack[Encoding],
    ) -> None:
        if isinstance(command, (str, bytes)) or not isinstance(command, Sequence):
            raise ConfigTypeError(
                "command must be a list of strings: there is no shell to take it apart",
                hint='["ffmpeg", "-i", "-", "out.m4a"]',
            )
        if not command:
            raise ConfigError("command must not be empty", hint='["ffmpeg", "-i", "-", "out.m4a"]')
        if not all(isinstance(each, (str, os.PathLike)) for each in command):
            raise ConfigTypeError("command must be a list of strings")
        self._command = [os.fspath(each) for each in command]
        self._program = os.path.basename(self._command[0])
        self._restart = bool(restart)
        self._stdout = stdout
        self._settings = {"format": format, "subtype": subtype, "gaps": gaps, **encoding}
        with open(os.devnull, "wb") as nowhere:
            sink = self._sink_for(nowhere)  # which checks the settings, too
        self._dtype: SampleType = sink.preferred_dtype
        self._info: SinkInfo | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._sink: FileSink | None = None
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._listener: threading.Thread | None = None
        self._abandoned = False

    def _sink_for(self, file: IO[bytes]) -> FileSink:
        return FileSink(_Unseekable(file), **self._settings)  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """The program's name."""
        return self._program

    @property
    def preferred_dtype(self) -> SampleType:
        """Type of the stream's samples."""
        return self._dtype

    def start(self, info: SinkInfo) -> None:
        """Start the program; called by the session."""
        if len(info.sources) != 1:
            names = ", ".join(source.id for source in info.sources)
            raise ConfigError(
                f"a PipeSink writes one source, but {self._program} would get {names}",
                hint='Choose one: add_sink(sink, sources="…")',
            )
        self._info = info
        self._spawn(info)

    def _spawn(self, info: SinkInfo) -> None:
        import subprocess

        try:
            process = subprocess.Popen(
                self._command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL if self._stdout is None else self._stdout,
                stderr=subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            raise SinkError(
                f"cannot start {self._program}",
                retryable=self._restart,
                host_text=error.strerror or type(error).__name__,
                hint="Install it, or give its path" if error.filename else "",
            ) from None
        self._process = process
        assert process.stdin is not None
        self._lines.clear()
        self._listener = threading.Thread(
            target=self._listen, args=(process.stderr,), name="stream-audio-pipe", daemon=True
        )
        self._listener.start()
        self._sink = self._sink_for(process.stdin)
        self._sink.start(info)
        if self._abandoned:
            process.kill()

    def _listen(self, stderr: IO[bytes]) -> None:
        """Keep the last lines, so that the program never waits for somebody who reads them."""
        with stderr:
            while line := stderr.readline(65_536):
                text = line.decode("utf-8", "replace").strip()[-_LONGEST_LINE:]
                if text:
                    self._lines.append(_URL.sub(r"\1…", text))

    def write(self, chunk: AudioChunk) -> None:
        """Write a chunk; called by the session."""
        if self._sink is None:
            if self._info is None or not self._restart:
                raise SinkError(f"{self._program} has ended", retryable=False)
            self._spawn(self._info)
        assert self._sink is not None
        try:
            self._sink.write(chunk)
        except FileSinkError as error:
            raise SinkError(
                f"{self._program} {self._end()}",
                retryable=self._restart,
                taken=0 if self._restart else error.taken,
                host_text=self._last_words(),
            ) from None

    def _end(self) -> str:
        """Close the input of a program that takes no more, and see to its end; returns how."""
        process, self._process = self._process, None
        sink, self._sink = self._sink, None
        if process is None or sink is None:
            return "has ended"
        assert process.stdin is not None
        with contextlib.suppress(SinkError):
            sink.stop()
        with contextlib.suppress(OSError):
            process.stdin.close()
        self._wait_for(process, _KILL_AFTER)
        return _how(process.returncode)

    def _wait_for(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Wait for the program, then end it; False if it had to be."""
        from subprocess import TimeoutExpired

        by_itself = True
        for end in (None, process.terminate, process.kill):
            if end is not None:
                by_itself = False
                end()
            try:
                process.wait(None if end == process.kill else seconds)
            except TimeoutExpired:
                seconds = _KILL_AFTER
            else:
                break
        if self._listener is not None:
            self._listener.join(_KILL_AFTER)  # a child of its own may hold the stream
        return by_itself

    def _last_words(self) -> str:
        return " / ".join(self._lines)

    def stop(self) -> None:
        """Close its input, and wait for the program; called by the session."""
        process, sink = self._process, self._sink
        if process is None or sink is None or self._info is None:
            return
        self._sink = None
        assert process.stdin is not None
        failed: SinkError | None = None
        try:
            sink.stop()
        except SinkError as error:
            failed = error
        with contextlib.suppress(OSError):  # what it had not read, its exit code tells of
            process.stdin.close()
        by_itself = self._wait_for(process, self._info.stop_timeout * _FOR_STOPPING)
        self._process = None
        how = _how(process.returncode) if by_itself else "did not end and was killed"
        if failed is not None or process.returncode != 0:
            raise SinkError(
                f"{self._program} {how}", retryable=False, host_text=self._last_words()
            )

    def discard(self) -> None:
        """End the program, which got nothing; called by a session that could not start."""
        self._end()

    def abandon(self) -> None:
        """Kill the program; called by a session that waits for it no longer."""
        self._abandoned = True
        process = self._process
        if process is not None:
            process.kill()

    def __repr__(self) -> str:
        return f"PipeSink([{self._program!r}, …])"


class _Unseekable:
    """A pipe, also where the system cannot tell."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write
        self.fileno = file.fileno
        self.name = "<pipe>"

    def seekable(self) -> bool:
        return False


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by signal {-code}"
    return f"ended with exit code {code}"
