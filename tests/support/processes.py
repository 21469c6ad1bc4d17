"""Programs that a test starts: found, waited for, killed, started again, and cleared away."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar, Self, TypeVar

START_SECONDS = 15.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.005

T = TypeVar("T")


class MissingProgramError(RuntimeError):
    """A program is not installed; the message names its Debian package."""


class ServerError(RuntimeError):
    """A server did not start, or ended by itself; the message holds its log."""


def require_program(name: str, package: str) -> str:
    """Where the program lies; raises `MissingProgramError` naming the Debian package."""
    path = shutil.which(name)
    if path is None:
        raise MissingProgramError(
            f"{name} is not installed (Debian: apt-get install {package}). "
            "STREAM_AUDIO_SERVERS=off leaves out the tests that need sound servers."
        )
    return path


def wait_until(condition: Callable[[], T], what: str, *, seconds: float = START_SECONDS) -> T:
    """Poll until `condition()` is true and return what it gave; TimeoutError says `what`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)
    return result


@contextmanager
def environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables of this process (None removes one), and put them back as they were.

    `os.environ` hands every change on to the C library, where libjack, libasound and libpulse
    read them.
    """
    before = {name: os.environ.get(name) for name in changes}
    _set_environment(changes)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class Server:
    """A server in the foreground, with a folder and a log of its own.

    A subclass says how it is started (`_command`), what clients need (`_client_environment`),
    and when it is ready (`_answers`). `start` and `stop` change this process's environment and
    put it back; in between the server may be killed and restarted as often as one likes. The
    thread that starts a server must outlive it: the kernel ends the server when that thread ends.
    """

    program: ClassVar[str]
    package: ClassVar[str]

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._started = ExitStack()
        self._folder: Path | None = None
        self._last_log = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the server, wait until it answers, and point this process at it."""
        require_program(self.program, self.package)
        if self._folder is not None:
            raise RuntimeError(f"this {self.program} has been started already")
        folder = tempfile.TemporaryDirectory(prefix="stream-audio-")
        self._folder = Path(self._started.enter_context(folder))
        try:
            self._prepare()
            self._started.enter_context(environment(self._client_environment()))
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server, clear away what it left, restore the environment. Twice is allowed."""
        if self._folder is None:
            return
        try:
            self._end(signal.SIGTERM)
            self._clear_leftovers()
        finally:
            self._last_log = self.log
            self._folder = None
            self._started.close()

    def kill(self) -> None:
        """End the server with SIGKILL: its clients are told nothing, its leftovers stay."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Have the server stand still, which tells its clients nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start a server of the same name and address again, after `kill` or instead of it."""
        if self._folder is None:
            raise RuntimeError(f"this {self.program} has not been started")
        self._end(signal.SIGTERM)
        self._launch()

    def stall(self, seconds: float) -> None:
        """Hold the server still (SIGSTOP, then SIGCONT): what a starved machine does to it."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The running server's process id."""
        return self._running().pid

    @property
    def folder(self) -> Path:
        """The server's own temporary folder; it exists from `start` to `stop`."""
        if self._folder is None:
            raise RuntimeError(f"this {self.program} is not started")
        return self._folder

    @property
    def log(self) -> str:
        """All that the server has written since `start`, restarts included; kept after `stop`."""
        if self._folder is None:
            return self._last_log
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _client_environment(self) -> dict[str, str | None]:
        raise NotImplementedError

    def _server_environment(self) -> dict[str, str]:
        return {}

    def _answers(self) -> bool:
        raise NotImplementedError

    def _prepare(self) -> None:
        """Write what the server reads when it starts."""

    def _clear_leftovers(self) -> None:
        """Remove what a server that has ended may have left; it may also have left nothing."""

    def _launch(self) -> None:
        with (self.folder / "log").open("ab") as log:
            # A session of its own: Ctrl-C is for the test, whose fixtures then stop the server.
            # Where a crash leaves nobody to stop it, the kernel does (PR_SET_PDEATHSIG).
            setpriv = require_program("setpriv", "util-linux")
            self._process = subprocess.Popen(
                [setpriv, "--pdeathsig", "TERM", *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._server_environment(),
                start_new_session=True,
            )
        wait_until(self._is_ready, f"{self.program} answers")

    def _is_ready(self) -> bool:
        self._running()
        return self._answers()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self.program} is not running. Its log:\n{self.log}")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_process(process, how)


def end_process(
    process: "subprocess.Popen[bytes] | subprocess.Popen[str]",
    how: signal.Signals = signal.SIGTERM,
) -> None:
    """Signal the process and wait for its end; SIGKILL if it takes longer than 5 s."""
    process.send_signal(how)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
