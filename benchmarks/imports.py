"""How long imports take, each in a fresh interpreter: medians of many, interleaved.

Usage: imports.py [ROUNDS]. The figure to look at is stream_audio with its names less numpy, which
they need; the package alone loads no numpy.
"""

import statistics
import subprocess
import sys

MODULES = {
    "numpy": "import numpy",
    "stream_audio": "import stream_audio",
    "its names too": "from stream_audio import *",
    "sounddevice": "import sounddevice",
    "soundfile": "import soundfile",
    "rtmixer": "import rtmixer",
    "pyaudio": "import pyaudio",
}
PROGRAM = "import time; t = time.perf_counter(); exec({!r}); print(time.perf_counter() - t)"


def milliseconds(statement: str) -> float | None:
    """Return the time of one import, or None if the module is not installed."""
    program = [sys.executable, "-c", PROGRAM.format(statement)]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    return float(result.stdout) * 1000 if result.returncode == 0 else None


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for module, statement in MODULES.items():
            taken = milliseconds(statement)
            if taken is not None:
                times.setdefault(module, []).append(taken)
    numpy = statistics.median(times["numpy"])
    for module, taken in times.items():
        median = statistics.median(taken)
        print(f"{module:>14} {median:7.1f} ms  (numpy {median - numpy:+.1f} ms)")


if __name__ == "__main__":
    main()
