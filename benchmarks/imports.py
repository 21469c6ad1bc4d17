"""How long imports take, each in a fresh interpreter: medians of many, interleaved.

Usage: imports.py [ROUNDS]. The figure to look at is stream_audio less numpy, which it needs.
"""

import statistics
import subprocess
import sys

MODULES = ("numpy", "stream_audio", "sounddevice", "soundfile", "rtmixer", "pyaudio")
PROGRAM = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def milliseconds(module: str) -> float | None:
    """Return the time of one import, or None if the module is not installed."""
    program = [sys.executable, "-c", PROGRAM.format(module)]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    return float(result.stdout) * 1000 if result.returncode == 0 else None


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for module in MODULES:
            taken = milliseconds(module)
            if taken is not None:
                times.setdefault(module, []).append(taken)
    numpy = statistics.median(times["numpy"])
    for module, taken in times.items():
        median = statistics.median(taken)
        print(f"{module:>14} {median:7.1f} ms  (numpy {median - numpy:+.1f} ms)")


if __name__ == "__main__":
    main()
