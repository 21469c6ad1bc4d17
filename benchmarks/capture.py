"""How late, how complete and at what cost does captured audio reach Python?

    capture.py                                    everything, some fifteen minutes
    capture.py --rounds 1 --seconds 1             a quick look
    capture.py --loads gil-python --contenders stream_audio rtmixer
    capture.py --keep                             into RESULTS.md and results/capture.json

stream_audio beside sounddevice, rtmixer and PyAudio, on one JACK server without hardware, 48 kHz
stereo in periods of 256 frames, idle, beside other processes, under two loads of its own process,
and the CPU time of recording to a WAV file. In each round every contender runs once, in a fresh
process, in an order that is shuffled anew; figures are medians over the rounds.

How latency is measured. A JACK client in C, in a process of its own, plays the server's frame
count and notes CLOCK_MONOTONIC at the start of each cycle. Latency is the time from there, for the
cycle that made a block's last frame, to the moment the contender's consumer has the block in
Python's hands. The block's own samples tell its cycle. So the same clock, the same starting point
and the same finish apply to all: what hides its callback (blocking reads), what queues, and what
hands blocks on in bursts. The start lies before any contender's callback, by JACK's step from one
client to the next; stream_audio, which stamps its callback, tells how long that step is.

Lost frames are those that the client played in the measured time and the consumer never got,
though it was given up to ten more seconds. Cycles that the server itself skipped were not played.
Cycles that it ran without the contender, because the contender's callback had not returned from
the one before, are the contender's loss; where the system kept a callback in C from running, that
is no library's fault, but it cannot be told apart from outside. stream_audio's own report can.

Unexplained frames are those whose samples tell another position than stream_audio's chunk does, so
that its report misses a loss. Counted apart, as stale, is one case of JACK's making: beside a
reported gap, a late cycle that still holds the samples of the one before.

A latency figure covers blocks that arrived. A contender that loses most of them looks quick.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import machine
import report
from analysis import latency_figures, medians
from contenders import CONTENDERS, LOADS
from cycles import CycleClient, start_server
from recorders import RECORDERS
from results import keep

HERE = Path(__file__).parent
TITLE = "Captured audio on its way to Python"
RECORDING = "recording"
ONLY_UNDER_PYTHON_LOAD = {"stream_audio-switch", "floor-switch"}
TIMEOUT_SECONDS = 60.0
SERVER_DEATHS = 3
"""How often a run is repeated because the server died during it."""

Job = tuple[str, str]
"""Load and contender."""


class Benchmark:
    """The runs, and what has come out of them so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.runs: dict[Job, list[dict[str, Any]]] = defaultdict(list)
        self.failures: list[str] = []
        self._server_deaths: dict[Job, int] = defaultdict(int)
        self._machine = machine.describe()
        self._bystanders = machine.Bystanders()

    def jobs(self) -> list[Job]:
        """Return each combination that is wanted, once."""
        jobs = []
        for load in self.options.loads:
            names = RECORDERS if load == RECORDING else CONTENDERS
            for name in names:
                if name in ONLY_UNDER_PYTHON_LOAD and load != "gil-python":
                    continue
                if name in self.options.contenders:
                    jobs.append((load, name))
        return jobs

    def run(self) -> None:
        """Run all rounds."""
        order = random.Random(0)
        for number in range(1, self.options.rounds + 1):
            jobs = self.jobs()
            order.shuffle(jobs)
            waiting = deque(jobs)
            while waiting:
                self._run_on_one_server(waiting, f"round {number}/{self.options.rounds}")
        _progress("")

    def _run_on_one_server(self, waiting: deque[Job], label: str) -> None:
        """Run what waits; if the server dies on the way, leave the rest for another one."""
        with start_server() as server, CycleClient() as client:
            while waiting:
                job = waiting[0]
                _progress(f"{label}, {len(waiting)} to go: {' '.join(job)}")
                client.take_log()
                try:
                    figures = self._figures(job, client, lambda: server.is_running)
                    self.runs[job].append(figures)
                except (RunError, ValueError) as error:
                    if not server.is_running and self._server_deaths[job] < SERVER_DEATHS:
                        self._server_deaths[job] += 1
                        return
                    self.failures.append(f"{' '.join(job)}: {error}")
                waiting.popleft()
                if not server.is_running:
                    return

    def _figures(self, job: Job, client: CycleClient, go_on: Callable[[], bool]) -> dict[str, Any]:
        load, name = job
        seconds = str(self.options.seconds)
        if load == RECORDING:
            return run_script(["recorders.py", name, seconds], go_on)
        result = run_script(["contenders.py", name, load, seconds], go_on)
        return latency_figures(result, client.take_log())

    def results(self) -> dict[str, Any]:
        """Return everything: the machine, medians by load and contender, each round."""
        by_load: dict[str, dict[str, Any]] = {}
        rounds: dict[str, dict[str, Any]] = {}
        for load, name in sorted(self.runs, key=self.jobs().index):
            runs = self.runs[load, name]
            if not runs:
                continue
            by_load.setdefault(load, {})[name] = medians(runs)
            rounds.setdefault(load, {})[name] = runs
        settings = {"rounds": self.options.rounds, "seconds": self.options.seconds}
        return {
            "machine": self._machine | settings | self._bystanders.so_far(),
            "medians": by_load,
            "rounds": rounds,
            "failures": self.failures,
            "repeated": sum(self._server_deaths.values()),
        }


class RunError(Exception):
    """A contender's process failed; with its last words."""


def run_script(command: list[str], go_on: Callable[[], bool]) -> dict[str, Any]:
    """Return what a script beside this one prints; it is ended when ``go_on()`` turns false."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    process = subprocess.Popen(
        [sys.executable, str(HERE / command[0]), *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the other
    )
    with process:
        try:
            while True:
                try:
                    output, errors = process.communicate(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    if time.monotonic() > deadline or not go_on():
                        raise RunError("it hung, or the server died") from None
        finally:
            process.kill()  # does nothing if it has ended
    if process.returncode != 0:
        raise RunError(" / ".join(errors.decode(errors="replace").splitlines()[-3:]))
    result: dict[str, Any] = json.loads(output)
    return result


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    names = list(dict.fromkeys([*CONTENDERS, *RECORDERS]))
    loads = [*LOADS, RECORDING]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.5, help="measured in each run")
    parser.add_argument("--loads", nargs="+", choices=loads, default=loads, metavar="LOAD")
    parser.add_argument("--contenders", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument(
        "--keep", action="store_true", help="write the figures into results/ and RESULTS.md"
    )
    parser.epilog = f"LOAD: {', '.join(loads)}. NAME: {', '.join(names)}."
    return parser.parse_args()


@contextlib.contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print("\ninterrupted; this is what there is", file=sys.stderr)
    # The report is not to be cut short by a second one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> None:
    options = _options()
    benchmark = Benchmark(options)
    with _ended_by_ctrl_c():
        benchmark.run()
    results = benchmark.results()
    if options.keep:
        keep("capture", TITLE, report.document(results), results)
        pictures = Path(__file__).parent.parent / "scripts" / "pictures.py"
        subprocess.run([sys.executable, pictures], check=True)
    print(report.tables(results))
    sys.exit(1 if benchmark.failures else 0)


if __name__ == "__main__":
    main()
