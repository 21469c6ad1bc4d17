"""A JACK server on its dummy driver, and a client that plays the server's frame count.

What libjack keeps, and what it reads again: `JACK_DEFAULT_SERVER` is read at each
`jack_client_open`, so one process can use one server after another, of other names or restarted.
The shared registry `/dev/shm/jack-shm-registry` is mapped once per process, for good: it is
never removed here, or this process could not open a client any more. It has room for 8 servers,
and a killed server holds its place until one of the same name starts.
"""

import atexit
import contextlib
import fcntl
import functools
import glob
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from support.processes import STOP_SECONDS, Server, ServerError, require_program

COUNTER_SOURCE = Path(__file__).parents[1] / "servers" / "jack_counter.c"

_numbers = itertools.count(1)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep other test processes from starting a server, or a client, at the same moment.

    A client's socket is called after the client, not after its server: of two clients of one name
    that open at once, on whatever servers, neither may get through. That is libjack's.
    """
    with open(Path(tempfile.gettempdir(), "stream-audio-jack.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Jack(Server):
    """`jackd` with the dummy driver, under a name that no other server has.

    It calls its clients back in real time, once a period. This process and
    those it starts use it as their default server until `stop`.

    Parameters
    ----------
    sample_rate
        Frames a second.
    period
        Frames in one callback.
    """

    program = "jackd"
    package = "jackd2"

    def __init__(self, *, sample_rate: int = 48000, period: int = 256) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.period = period
        self.name = f"stream-audio-{os.getpid()}-{next(_numbers)}"

    def start(self) -> Self:
        """Start the server, wait until it answers, and point this process at it."""
        with one_at_a_time():
            return super().start()

    @property
    def xruns(self) -> int:
        """Xruns that the log tells of: one for a late cycle, one for each client not finished."""
        return len(re.findall(r"^.*XRun.*$", self.log, re.MULTILINE))

    def _command(self) -> list[str]:
        driver = ["-d", "dummy", "-r", str(self.sample_rate), "-p", str(self.period)]
        return [self.program, "-r", "-n", self.name, *driver]

    def _client_environment(self) -> dict[str, str | None]:
        return {
            "JACK_DEFAULT_SERVER": self.name,
            "JACK_NO_AUDIO_RESERVATION": "1",  # no D-Bus, and no sound card to reserve
            "JACK_NO_START_SERVER": "1",  # a client of a killed server starts none of its own
            "JACK_PROMISCUOUS_SERVER": None,
        }

    def _answers(self) -> bool:
        """Whether the server listens: from then on a client's request waits for its answer.

        The socket that a killed server left refuses to be connected until a new server binds it.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(f"/dev/shm/jack_{self.name}_{os.getuid()}_0")
            except OSError:
                return False
        return True

    def _clear_leftovers(self) -> None:
        """Start a killed server once more and end it properly.

        JACK alone can give back its shared memory and its place in the registry.
        """
        if self._is_registered():
            try:
                self._launch()
            finally:
                self._end(signal.SIGTERM)
        self._remove_files()

    def _is_registered(self) -> bool:
        registry = Path("/dev/shm/jack-shm-registry")
        return registry.exists() and f":{self.name}:".encode() in registry.read_bytes()

    def _remove_files(self) -> None:
        # A clean end leaves the semaphores of clients that were still there; a kill everything.
        for pattern in (f"jack_{self.name}_*", f"jack_sem.*_{self.name}_*"):
            for path in glob.glob(f"/dev/shm/{pattern}"):
                Path(path).unlink(missing_ok=True)


class JackCounter:
    """A client playing the server's frame count, so that a recording tells its loss.

    It joins the server that is current when it starts, and is listed there as an input
    device of its `name`. Sample values are `(frame mod 2**23) * 2**-23`, exact in float32, the
    same on the first two ports, and 2**16 frames further on with each port after them. When the
    server has been restarted, a new counter is needed. Its ports report an input latency of
    `latency` frames, as a sound card's do (with a period counted in); 0 is what clients' report.
    A `negative` one plays these values below zero, to be told from one that does not.
    """

    def __init__(
        self, name: str = "counter", ports: int = 2, *, latency: int = 0, negative: bool = False
    ) -> None:
        self.name = name
        self._arguments = [name, str(ports), str(latency), "-1" if negative else "1"]
        self._process: subprocess.Popen[str] | None = None
        self._xruns = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the client and wait until it plays."""
        program = _compiled_counter()
        with one_at_a_time():
            self._process = subprocess.Popen(
                [program, *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            answer = _output(self._process).readline()
        if answer != "ready\n":
            self.stop()
            raise ServerError(f"the JACK client {self.name!r} found no server to play to")
        return self

    def frame(self) -> int:
        """What the server counts now, as it tells its clients."""
        return int(self._ask("\n").removeprefix("frame "))

    def told(self) -> int:
        """The number of xruns that it was told of so far; the server's log may be ahead."""
        return int(self._ask("x").removeprefix("told "))

    def add_port(self) -> None:
        """Have one output port more, which plays nothing."""
        assert self._ask("p").startswith("ports ")

    def _ask(self, byte: str) -> str:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(byte)
        process.stdin.flush()
        return _output(process).readline()

    def stop(self) -> int:
        """End the client; the number of xruns it was told of. Twice is allowed."""
        process, self._process = self._process, None
        if process is None:
            return self._xruns
        try:
            rest, _ = process.communicate(timeout=STOP_SECONDS)  # it ends with its input
        except subprocess.TimeoutExpired:
            process.kill()
            rest, _ = process.communicate()
        if report := re.search(r"^xruns (\d+)$", rest, re.MULTILINE):
            self._xruns = int(report[1])
        return self._xruns


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@functools.cache
def _compiled_counter() -> str:
    """Compile the client, once a process; the program is removed when the process ends."""
    compiler = require_program("cc", "gcc")
    folder = tempfile.mkdtemp(prefix="stream-audio-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = str(Path(folder, "jack_counter"))
    command = [compiler, "-std=c11", "-O2", "-o", program, str(COUNTER_SOURCE), "-ljack"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise ServerError(
            "cannot compile the JACK client (Debian: apt-get install libjack-jackd2-dev libc6-dev)"
            f":\n{result.stderr}"
        )
    return program
