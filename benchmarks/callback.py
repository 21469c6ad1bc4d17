"""What the callback costs: time beside a bare copy, instructions, and system calls.

callback.c measures. Callgrind counts the instructions of one push, strace its system calls.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import compiled
import machine
from report import table

from support.processes import require_program

BATCHES = 200
PACED = 400
COUNTED = 10_000
RUNG = 500

SOURCES = ("capture", "clock", "doorbell", "platform_posix", "realtime", "ring")
MOST_OVER_COPY = 150.0
MOST_P999 = 10_000.0


def main() -> None:
    wanted = compiled.options(__doc__, rounds=9)
    bystanders = machine.Bystanders()
    with tempfile.TemporaryDirectory(prefix="stream-audio-") as folder:
        program = build(Path(folder))
        hot = compiled.rounds(program, "hot", BATCHES, rounds=wanted.rounds)
        paced = compiled.rounds(program, "paced", PACED, rounds=wanted.rounds)
        instructions, of_copy = count_instructions(program, Path(folder))
        calls = system_calls(program, Path(folder), "push", COUNTED)
        rung = system_calls(program, Path(folder), "rung", RUNG)
    medians = {"hot": compiled.medians(hot), "paced": compiled.medians(paced)}
    rows = []
    kept = {}
    for name in ("push", "memcpy", "nothing"):
        values = compiled.together(paced, name)
        tail = {key: _percentile(values, p) for key, p in (("p99", 99), ("p99.9", 99.9))}
        kept[name] = tail | {"max": values[-1]}
        rows.append(
            [
                name,
                f"{medians['hot'][name]:.0f}",
                f"{medians['paced'][name]:.0f}",
                *(f"{ns:.0f}" for ns in kept[name].values()),
            ]
        )
    over = medians["hot"]["push"] - medians["hot"]["memcpy"]
    aims = [
        (over <= MOST_OVER_COPY, f"hot: at most {MOST_OVER_COPY:.0f} ns over memcpy ({over:.0f})"),
        (
            kept["push"]["p99.9"] <= MOST_P999,
            f"paced: p99.9 at most {MOST_P999 / 1000:.0f} µs ({kept['push']['p99.9'] / 1000:.1f})",
        ),
        (not calls, f"no system call while nobody sleeps by the bell ({_said(calls)})"),
        (
            rung == {"futex": RUNG},
            f"one wake for a chunk of four while somebody does ({_said(rung)}, {RUNG} chunks)",
        ),
    ]
    paragraphs = [
        "ns for `sa_capture_push` of 256 stereo frames, with its two clock readings and its "
        "record, beside a bare `memcpy` of the same 2 KiB into memory of the same 30 s; "
        "`nothing` is what measuring takes. *Hot*: back to back. *Paced*: once in 5.33 ms, as a "
        "device calls, all three in turn; caches and clock speed are then as the sleep left them.",
        table(["", "hot p50", "paced p50", "p99", "p99.9", "max"], rows),
        f"Callgrind counts {instructions:.0f} instructions a push, of which {of_copy:.0f} are "
        f"the C library's memcpy; strace sees {_said(calls)} in {COUNTED} pushes.",
        "\n".join(f"- {'met' if met else 'NOT MET'}: {aim}" for met, aim in aims),
    ]
    figures = {
        "medians": medians,
        "paced": kept,
        "instructions": instructions,
        "instructions_of_memcpy": of_copy,
        "system_calls": calls,
        "system_calls_for_a_sleeper": rung,
    }
    compiled.tell(wanted, "callback", "The callback", paragraphs, figures, bystanders)


def build(folder: Path) -> Path:
    """Compile callback.c with the core's own sources."""
    sources = [compiled.HERE / "callback.c", *(compiled.CSRC / f"{name}.c" for name in SOURCES)]
    return compiled.build(folder, "callback", sources, ["-lm"])


def count_instructions(program: Path, folder: Path) -> tuple[float, float]:
    """Return the instructions of one push, and those of them that copy, by callgrind."""
    out = folder / "callgrind.out"
    subprocess.run(
        [
            require_program("valgrind", "valgrind"),
            *("--tool=callgrind", "--toggle-collect=sa_capture_push"),
            *(f"--callgrind-out-file={out}", str(program), "push", str(COUNTED)),
        ],
        capture_output=True,
        check=True,
    )
    annotated = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=100", str(out)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    counts = re.findall(r"^\s*([\d,]+) \([ \d.]+%\)\s+(.*)$", annotated, re.MULTILINE)
    by_name = [(int(count.replace(",", "")), name) for count, name in counts]
    total = next(count for count, name in by_name if name.startswith("PROGRAM TOTALS"))
    copies = sum(count for count, name in by_name if ":__mem" in name)
    pushes = COUNTED + 1  # one to warm up
    return total / pushes, copies / pushes


def system_calls(program: Path, folder: Path, what: str, count: int) -> dict[str, int]:
    """Count the system calls between the two getppid that frame the pushes."""
    log = folder / "strace.out"
    strace = require_program("strace", "strace")
    command = [strace, "-f", "-o", str(log), str(program), what, str(count)]
    subprocess.run(command, check=True)
    framed = log.read_text().split("getppid()")
    if len(framed) != 3:
        raise RuntimeError(f"strace saw {len(framed) - 1} calls of getppid, not 2")
    return dict(Counter(re.findall(r"^\d+ +(\w+)\(", framed[1], re.MULTILINE)))


def _percentile(ordered: list[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _said(calls: dict[str, int]) -> str:
    said = [f"{count} x {name}" for name, count in sorted(calls.items())]
    return ", ".join(said) if said else "no system call"


if __name__ == "__main__":
    main()
