"""What a block of 2 KiB costs in the ring, beside three other rings and bare copying.

ring.c measures; each queue holds 64 blocks. Medians over the rounds, in each of which another
queue begins.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import compiled
import machine
from report import table

BLOCKS = {"one": 1_000_000, "single": 300_000, "stream": 500_000}
CAPACITY = 64

COLUMNS = {
    "one": "one thread: push and pop",
    "single": "two cores, one at a time",
    "stream": "two cores, streaming",
}
OURS = "sa_ring"
SOURCES = ("ring", "clock", "doorbell", "platform_posix")
COPY = "memcpy"
MOST_OVER_COPY = 1.5


def main() -> None:
    wanted = compiled.options(__doc__, rounds=15)
    bystanders = machine.Bystanders()
    sources = [compiled.HERE / name for name in ("ring.c", "queues.cpp")]
    sources += [compiled.CSRC / f"{name}.c" for name in SOURCES]
    with tempfile.TemporaryDirectory(prefix="stream-audio-") as folder:
        program = compiled.build(Path(folder), "ring", sources, ["-ljack"])
        runs = {
            mode: compiled.rounds(program, mode, count, CAPACITY, rounds=wanted.rounds)
            for mode, count in BLOCKS.items()
        }
    medians = {mode: compiled.medians(each) for mode, each in runs.items()}
    best = {
        mode: {name: compiled.together(each, name)[0] for name in each[0]}
        for mode, each in runs.items()
    }
    paragraphs = [
        "ns for a block of 2 KiB (256 frames of stereo float32) in a queue of 64 blocks: the "
        "median over the rounds, the best round behind it, and the median's ratio to `sa_ring`. "
        "*One thread* pushes a block and pops it, against two calls of memcpy. *One at a time*: "
        "the next block is pushed once the other core has popped this one, as a callback and its "
        "reader meet. *Streaming*: both as fast as they can; who catches up with whom is chance, "
        "and a core lent to another process for a moment shows in it most.",
        table(["", *COLUMNS.values()], [_row(name, medians, best) for name in medians["one"]]),
        "\n".join(_verdicts(medians)),
    ]
    figures = {"medians": medians, "best": best}
    compiled.tell(wanted, "ring", "The ring", paragraphs, figures, bystanders)


Figures = dict[str, dict[str, float]]


def _row(name: str, medians: Figures, best: Figures) -> list[str]:
    cells = [name]
    for mode in COLUMNS:
        if name not in medians[mode]:
            cells.append("–")
            continue
        median = medians[mode][name]
        ratio = median / medians[mode][OURS]
        cells.append(f"{median:.0f} (best {best[mode][name]:.0f}) x{ratio:.2f}")
    return cells


def _verdicts(medians: Figures) -> list[str]:
    one = medians["one"]
    ratio = one[OURS] / one[COPY]
    lines = [
        _verdict(
            ratio <= MOST_OVER_COPY,
            f"one thread: at most {MOST_OVER_COPY} x two calls of memcpy (x{ratio:.2f})",
        )
    ]
    for mode in ("single", "stream"):
        peers = {name: ns for name, ns in medians[mode].items() if name != OURS}
        quickest = min(peers, key=lambda name: peers[name])
        ratio = medians[mode][OURS] / peers[quickest]
        lines.append(
            _verdict(
                ratio <= 1.0,
                f"{COLUMNS[mode]}: no slower than the quickest peer ({quickest}, x{ratio:.2f})",
            )
        )
    return lines


def _verdict(met: bool, aim: str) -> str:
    return f"- {'met' if met else 'NOT MET'}: {aim}"


if __name__ == "__main__":
    main()
