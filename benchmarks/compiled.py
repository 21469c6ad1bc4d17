"""The C benchmarks: built from the library's own sources, run in rounds, told as a table."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import machine
from results import keep

HERE = Path(__file__).parent
CSRC = HERE.parent / "csrc"

sys.path.insert(0, str(HERE.parent / "tests"))

from support.processes import require_program  # noqa: E402 - found through the line above

FLAGS = (
    "-O3",
    "-DNDEBUG",
    "-g",
    "-pthread",
    "-fPIC",
    "-fvisibility=hidden",
    f"-I{CSRC}",
    f"-I{HERE}",
)
"""As CMake builds a release, but for -g, which changes no instruction."""

Times = dict[str, list[float]]
"""ns, by what took them."""


def build(folder: Path, name: str, sources: Iterable[Path], libraries: Iterable[str]) -> Path:
    """Compile C and C++ sources into one program."""
    objects = []
    for source in sources:
        compiler = ["c++", "-std=c++17"] if source.suffix == ".cpp" else ["cc", "-std=gnu11"]
        require_program(compiler[0], "g++")
        objects.append(folder / f"{source.parent.name}-{source.name}.o")
        subprocess.run(
            [*compiler, *FLAGS, "-c", str(source), "-o", str(objects[-1])],
            check=True,
        )
    program = folder / name
    command = ["c++", *map(str, objects), "-o", str(program), "-pthread", *libraries]
    subprocess.run(command, check=True)
    return program


def times(program: Path, *arguments: object) -> Times:
    """Return what a program says: lines of a name, a tab, ns."""
    done = subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, check=True
    )
    said: Times = defaultdict(list)
    for line in done.stdout.splitlines():
        name, ns = line.split("\t")
        said[name].append(float(ns))
    return said


def rounds(program: Path, mode: str, count: int, *arguments: object, rounds: int) -> list[Times]:
    """Run it so many times, another contender first each time."""
    return [times(program, mode, count, *arguments, number) for number in range(rounds)]


def medians(runs: list[Times]) -> dict[str, float]:
    """Return each one's median over the rounds of the median in a round."""
    names = runs[0]
    return {
        name: statistics.median(statistics.median(run[name]) for run in runs) for name in names
    }


def together(runs: list[Times], name: str) -> list[float]:
    """Return all of one contender's figures, in order of size."""
    return sorted(value for run in runs for value in run[name])


def options(description: str | None, rounds: int) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument(
        "--keep", action="store_true", help="write the figures into results/ and RESULTS.md"
    )
    return parser.parse_args()


def tell(
    wanted: argparse.Namespace,
    name: str,
    title: str,
    paragraphs: Iterable[str],
    figures: dict[str, Any],
    bystanders: machine.Bystanders,
) -> None:
    """Print a section, and keep it if that is wanted."""
    told = machine.describe()
    busy = bystanders.so_far()
    where = (
        f"{told['date']}; {wanted.rounds} rounds; {told['cpu']}, {told['cores']} cores, "
        f"{told['kernel']}; {_compiler()}; other processes took "
        f"{busy['cores_used_by_others']} cores on average"
    )
    command = f"`scripts/bench {name} --keep`"
    text = "\n\n".join([f"Written by {command}. {where}.", *paragraphs])
    print(f"## {title}\n\n{text}")
    if wanted.keep:
        keep(name, title, text, {"machine": told | busy, "rounds": wanted.rounds, **figures})


def _compiler() -> str:
    done = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
