"""What else the machine does meanwhile.

Threads compete for the interpreter; processes compete for processors, memory and disk.

``python -m stream_audio.latency.loads NAME FOLDER`` is one such process; it prints a line when it
is at work, and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HOLD_SECONDS = 0.5
DISK_BYTES = 64 * 1024 * 1024
MEMORY_BYTES = 256 * 1024 * 1024
END_SECONDS = 5.0

_c_library = ctypes.PyDLL(None)  # a PyDLL, unlike a CDLL, keeps the GIL during its calls


def _spin() -> None:
    """Compute in Python for some ten microseconds."""
    count = 0
    while count < 500:
        count += 1


def _hold_the_gil() -> None:
    """Call C that keeps the GIL, as many an extension module does."""
    _c_library.usleep(int(HOLD_SECONDS * 1e6))


def _write_and_sync(folder: Path) -> Callable[[], object]:
    piece = os.urandom(1024 * 1024)
    path = folder / f"load-{os.getpid()}"

    def work() -> None:
        with path.open("wb", buffering=0) as file:
            for _ in range(DISK_BYTES // len(piece)):
                file.write(piece)
            os.fsync(file.fileno())
        path.unlink()

    return work


def _stream_through_memory(folder: Path) -> Callable[[], object]:
    import numpy as np

    source = np.ones(MEMORY_BYTES // 8)
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)


@dataclass(frozen=True)
class LoadKind:
    """Threads of this process, or processes of their own, that repeat some work."""

    description: str
    thread: Callable[[], object] = _spin
    threads: int = 0
    process: Callable[[Path], Callable[[], object]] | None = None
    processes: int = 0


LOADS: dict[str, LoadKind] = {
    "none": LoadKind("nothing else runs in the process"),
    "gil-python": LoadKind("four threads compute in Python", threads=4),
    "gil-c": LoadKind(
        f"one thread calls C that holds the GIL for {HOLD_SECONDS:g} s, again and again",
        _hold_the_gil,
        threads=1,
    ),
    "other-processes": LoadKind(
        "as many processes as processors compute",
        process=lambda folder: _spin,
        processes=os.cpu_count() or 1,
    ),
    "disk": LoadKind(
        f"a process writes {DISK_BYTES >> 20} MiB and syncs them, again and again",
        process=_write_and_sync,
        processes=1,
    ),
    "memory": LoadKind(
        f"a process copies {MEMORY_BYTES >> 20} MiB, more than any cache holds, again and again",
        process=_stream_through_memory,
        processes=1,
    ),
}


class Load:
    """Threads and processes of one of :data:`LOADS`, for a ``with`` block or between two calls.

    Parameters
    ----------
    name : str
        A key of :data:`LOADS`.
    folder : Path, optional
        Where a load that writes does so; ``None``: the current folder.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self._name = name
        self._kind = LOADS[name]
        self._folder = folder or Path()
        self._stop = False
        self.since = 0.0
        """When it began to bite; ``time.monotonic()``."""
        self._cpu: list[float] = []
        self._threads: list[threading.Thread] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start it, and return when it is at work."""
        self._start_processes()
        for number in range(self._kind.threads):
            self._cpu.append(0.0)
            self._threads.append(threading.Thread(target=self._run, args=(number,), daemon=True))
        self.since = time.monotonic()
        for thread in self._threads:
            thread.start()

    def _start_processes(self) -> None:
        command = [sys.executable, "-m", __name__, self._name, str(self._folder)]
        for _ in range(self._kind.processes):
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for this process, which then ends it
                )
            )
        for process in self._processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                self.stop()
                raise RuntimeError(f"the load {self._name!r} did not start")

    @property
    def cpu_seconds(self) -> float:
        """Processor time that its threads have taken of this process so far."""
        return sum(self._cpu)

    def stop(self) -> None:
        """End it. Twice is allowed."""
        self._stop = True
        processes, self._processes = self._processes, []
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=END_SECONDS)  # it ends with its input
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, number: int) -> None:
        while not self._stop:
            self._kind.thread()
            self._cpu[number] = time.thread_time()


def _work(name: str, folder: Path) -> None:
    """Work in a process of its own until standard input ends."""
    ended = threading.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    make = LOADS[name].process
    assert make is not None
    work = make(folder)
    print("at work", flush=True)
    while not ended.is_set():
        work()


if __name__ == "__main__":
    _work(sys.argv[1], Path(sys.argv[2]))
