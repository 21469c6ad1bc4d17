"""How long imports take, each in a fresh interpreter: medians of many, interleaved.

Usage: scripts/bench imports [ROUNDS]. Of stream_audio it measures the package alone, which loads
no numpy, and then each public name as the first one that a program uses, less numpy's import. What
counts is an installed wheel: in an editable checkout each import looks for a rebuild.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

import stream_audio

MODULES = {
    "numpy": "import numpy",
    "stream_audio": "import stream_audio",
    "sounddevice": "import sounddevice",
    "soundfile": "import soundfile",
    "rtmixer": "import rtmixer",
    "pyaudio": "import pyaudio",
}
PROGRAM = "import time; t = time.perf_counter(); exec({!r}); print(time.perf_counter() - t)"
FIRST_NAME = (
    "import time, numpy; t = time.perf_counter(); import stream_audio; stream_audio.{}; "
    "print(time.perf_counter() - t)"
)
MOST_MS = 20.0
"""That the first name may take beside numpy's import."""


def milliseconds(program: str) -> float | None:
    """Return the time of one import, or None if the module is not installed."""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(result.stdout) * 1000 if result.returncode == 0 else None


def medians(programs: dict[str, str], rounds: int) -> dict[str, float]:
    """Run each program once a round, and return their medians in ms."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, program in programs.items():
            taken = milliseconds(program)
            if taken is not None:
                times.setdefault(name, []).append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def first_names(rounds: int) -> dict[str, float]:
    """Return what each public name takes as the first one used, in ms without numpy."""
    return medians({name: FIRST_NAME.format(name) for name in stream_audio.__all__}, rounds)


def first_use_told(names: dict[str, float], most: int = 6) -> str:
    """Say which names take longest, and whether that is within bounds."""
    slowest = sorted(names, key=lambda name: -names[name])[:most]
    met = "met" if names[slowest[0]] <= MOST_MS else "NOT MET"
    said = ", ".join(f"{name} {names[name]:.1f}" for name in slowest)
    return f"- {met}: the first name used takes at most numpy's import + {MOST_MS:g} ms ({said})"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    programs = {name: PROGRAM.format(statement) for name, statement in MODULES.items()}
    for module, median in medians(programs, rounds).items():
        print(f"{module:>14} {median:7.1f} ms")
    print(first_use_told(first_names(max(3, rounds // 3))))


if __name__ == "__main__":
    main()
