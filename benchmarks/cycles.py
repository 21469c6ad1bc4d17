"""The sound server of a run, and the log of its cycles that every latency is reckoned from."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from support.jack import Jack  # noqa: E402 - found through the line above
from support.processes import require_program  # noqa: E402

RATE = 48_000
PERIOD = 256
CHANNELS = 2
DEVICE = "cycles"
"""The name under which PortAudio lists the client as an input device."""

COUNTER_FRAMES = 1 << 23
"""Sample values count frames modulo this many: 175 s, longer than any one contender runs."""


@dataclass(frozen=True, slots=True)
class CycleLog:
    """Cycles that the server ran, in order. Cycles that it skipped are not among them."""

    entry_ns: NDArray[np.int64]
    frame: NDArray[np.int64]

    def part(self, start_ns: int, end_ns: int) -> CycleLog:
        """Return the cycles that began at ``start_ns <= entry_ns < end_ns``."""
        first, last = np.searchsorted(self.entry_ns, [start_ns, end_ns])
        return CycleLog(self.entry_ns[first:last], self.frame[first:last])


class CycleClient:
    """``jack_cycles.c``: plays the server's frame count, and logs when each cycle began."""

    def __init__(self) -> None:
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="stream-audio-"))
        self._process = subprocess.Popen(
            [_compile(Path(folder)), DEVICE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libjack's complaints when the server dies
            start_new_session=True,  # Ctrl-C is for the benchmark
        )
        self._cleanup.callback(self._end)
        if self._output.readline() != b"ready\n":
            self._cleanup.close()
            raise RuntimeError("the JACK client found no server")
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def take_log(self) -> CycleLog:
        """Return the cycles since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        count = int(self._output.readline())
        rows = np.frombuffer(self._output.read(count * 16), np.int64).reshape(count, 2)
        return CycleLog(rows[:, 0].copy(), rows[:, 1].copy())

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=5)  # it ends with its input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def start_server() -> Jack:
    """Return a JACK server without hardware, to be used in a ``with`` block."""
    return Jack(sample_rate=RATE, period=PERIOD)


def _compile(folder: Path) -> str:
    program = str(folder / "jack_cycles")
    source = str(HERE / "jack_cycles.c")
    compiler = require_program("cc", "gcc")
    subprocess.run([compiler, "-std=c11", "-O2", "-o", program, source, "-ljack"], check=True)
    return program
