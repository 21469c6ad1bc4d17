"""How long from asking for audio to the first block of it, in a process that has imported all?

Usage: scripts/bench start [--rounds N] [--keep]. On a JACK server without hardware, 48 kHz stereo,
periods and chunks of 256 frames (5.3 ms); each start in a fresh process, interleaved, medians.

"open and start" is the time until the call that starts the stream has returned; "first block"
until the consumer has the first block, from the same moment. sounddevice and rtmixer start
PortAudio, and with it a JACK client, when they are imported, which is not counted here. Of
stream_audio, "after its callback" is the part of it that comes after the entry of the callback
that brought the block: what the library adds.

The second table is of one process that opens the device ten times in a row: the tenth time until
the first block, and the CPU time of the process meanwhile.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict

import compiled
import imports
import machine
from contenders import WANTED
from cycles import CycleClient, start_server
from report import table

import stream_audio
from stream_audio.latency import peers

GOAL_MS = 20.0
"""And two periods: from the device's own start to the first chunk."""

AGAIN_MS = 10.0
"""By how much the tenth first block may be later than sounddevice's."""

AGAIN_CPU_MS = 15.0
"""How much CPU time the tenth opening may take."""


def start(name: str) -> dict[str, float]:
    """Start one library's stream and take its first block; times in ms."""
    package, open_stream = peers.PEERS[name]
    importlib.import_module(package)
    if name == peers.OURS:
        for public in stream_audio.__all__:  # each loads what it needs when it is first used
            getattr(stream_audio, public)
    began, cpu = time.monotonic(), time.process_time()
    with open_stream(WANTED) as feed:
        opened = time.monotonic()
        block = next(feed.blocks)
        first, cpu = time.monotonic(), time.process_time() - cpu
    figures = {"open and start": opened - began, "first block": first - began, "CPU": cpu}
    if name == peers.OURS:
        figures["after its callback"] = first - block.arrival
    return {what: seconds * 1000 for what, seconds in figures.items()}


def tenth(name: str) -> dict[str, float]:
    """Open one library's stream ten times in a row; times of the tenth, in ms."""
    for _ in range(9):
        start(name)
    figures = start(name)
    return {f"tenth {what}": figures[what] for what in ("first block", "CPU")}


def main() -> None:
    wanted = compiled.options(__doc__, rounds=15)
    bystanders = machine.Bystanders()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with start_server(), CycleClient():
        for _ in range(wanted.rounds):
            for name in peers.PEERS:
                for how in ("first", "tenth"):
                    done = subprocess.run(
                        [sys.executable, __file__, name, how],
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                    for what, taken in json.loads(done.stdout.splitlines()[-1]).items():
                        figures[name][what].append(taken)
    names = imports.first_names(max(3, wanted.rounds // 3))
    columns = ("open and start", "first block", "after its callback")
    rows = [
        [
            name,
            *(f"{statistics.median(made[what]):.1f}" if made[what] else "–" for what in columns),
        ]
        for name, made in figures.items()
    ]
    again = ("tenth first block", "tenth CPU")
    rows_again = [
        [name, *(f"{statistics.median(made[what]):.1f}" for what in again)]
        for name, made in figures.items()
    ]
    own, rival = (
        {what: statistics.median(figures[name][what]) for what in again}
        for name in (peers.OURS, "sounddevice-callback")
    )
    again_met = own["tenth first block"] <= rival["tenth first block"] + AGAIN_MS
    again_met &= own["tenth CPU"] <= AGAIN_CPU_MS
    ours = statistics.median(figures[peers.OURS]["after its callback"])
    allowed = 2 * WANTED.period / WANTED.sample_rate * 1000 + GOAL_MS
    paragraphs = [
        "ms, each the median over the rounds. How it measures stands at the top of `start.py`.",
        table(["", *columns], rows),
        f"- first chunk at most two periods and {GOAL_MS:.0f} ms after the device's start: "
        f"{'met' if ours <= allowed else 'NOT MET'} ({ours:.1f} ms)",
        table(["", *again], rows_again),
        f"- tenth first block at most {AGAIN_MS:.0f} ms after sounddevice's, with "
        f"{AGAIN_CPU_MS:.0f} ms of CPU time: {'met' if again_met else 'NOT MET'}",
        imports.first_use_told(names),
    ]
    compiled.tell(
        wanted,
        "start",
        "Starting",
        paragraphs,
        {"ms": figures, "first name, ms": names},
        bystanders,
    )


if __name__ == "__main__":
    if len(sys.argv) == 3 and not sys.argv[1].startswith("-"):
        answer = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # ALSA and JACK talk on both
        with answer:
            json.dump({"first": start, "tenth": tenth}[sys.argv[2]](sys.argv[1]), answer)
    else:
        main()
