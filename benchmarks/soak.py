"""A recording of hours: two sound servers, killed again and again; rotation; a slow sink; a merge.

One session has a JACK source and a PulseAudio source. Each goes to a file that is cut every two
minutes, with a ledger, and both go to a third such file as one merge. One more sink is slower than
the audio every other minute, so that its backlog spills. The servers are killed in turn and come
back after some seconds.

What must hold at the end:

- every account balances, and the slow sink got every frame;
- each kill is one outage, as long as the two chunks beside it are apart in time;
- the frames that JACK's client counts stand where the timeline has them;
- no chunk is from the future, none is out of order, and the merge's frames and times agree;
- the files of each source, and of the merge, have as many frames as its timeline;
- the merge is as long as the session took, and each input is silent for its outages at least;
- memory, threads and descriptors are where they were after the second kill.

Prints a line each minute. With ``--keep`` it writes benchmarks/RESULTS.md and results/soak.json,
also when a signal (SIGTERM, Ctrl-C) or an error ends it early.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import results
import soundfile
from machine import describe

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from stream_audio import (  # noqa: E402
    AudioChunk,
    AudioFormat,
    AudioSource,
    Backlog,
    CallbackSink,
    FileSink,
    FormatPreset,
    GapCause,
    Merge,
    Session,
    SessionReport,
    StreamAudio,
)
from support import servers  # noqa: E402

AWAY_SECONDS = 5.0
REOPENED_WITHIN = 10.0
"""How much longer than its server was away an outage may be: opening is tried every 5 s."""
OFF_THE_CLOCK = 0.05
"""Seconds by which an outage's length may differ from the times beside it."""
MOST_GROWTH = 24 * 2**20
MERGE = "both"


class Sleepy:
    """Takes 1.5 times as long as the audio, every other minute."""

    def __call__(self, chunk: AudioChunk) -> None:
        if int(time.monotonic() / 60) % 2:
            time.sleep(1.5 * chunk.duration)


@dataclass
class Witness:
    """A sink that holds the places and times of one timeline's chunks against each other."""

    counts: bool = False
    """Whether the samples are JACK's frame count (`servers.JackCounter`)."""
    on_timeline: bool = False
    """Whether the place of a frame is its time, exactly."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    """Each outage in seconds, by frames and by times."""
    furthest: float = 0.0
    """Seconds by which a frame of the merge was off its time."""
    early: int = 0
    """Chunks from the future, or before the one that was before them."""
    misplaced: int = 0
    """Frames that stood elsewhere than their count says for a second or longer."""
    _end: float | None = None
    _origin: float | None = None
    _offset: int | None = None
    _other: int | None = None
    _others: int = 0

    def write(self, chunk: AudioChunk) -> None:
        """Look at one chunk."""
        begins = chunk.time
        lost = sum(gap.frames for gap in chunk.gaps if gap.cause is GapCause.DEVICE_LOST)
        if begins + chunk.duration > time.monotonic() + 0.01:
            self.early += 1
        if self._end is not None:
            if begins < self._end - 0.1:
                self.early += 1
            if lost and not self.on_timeline:
                self.outages.append((lost / chunk.sample_rate, begins - self._end))
        self._end = begins + chunk.duration
        if self.on_timeline:
            origin = begins - chunk.frame / chunk.sample_rate
            if self._origin is None:
                self._origin = origin
            self.furthest = max(self.furthest, abs(origin - self._origin))
        if self.counts:
            self._place(chunk, after_outage=bool(lost))

    def _place(self, chunk: AudioChunk, after_outage: bool) -> None:
        """Compare what a chunk's last frame says with the place that it has."""
        count = round(float(np.asarray(chunk.data)[-1, 0]) * 2**23)
        offset = (count - chunk.end) % 2**23
        if self._offset is None or after_outage:
            self._offset, self._others = offset, 0
        elif offset == self._offset:
            self._others = 0
        else:
            # A late client plays an old period now and then; what stays is a wrong place.
            self._others = self._others + chunk.frames if offset == self._other else chunk.frames
            self._other = offset
            if self._others >= chunk.sample_rate:
                self.misplaced += self._others
                self._offset, self._others = offset, 0


def descriptors(folder: Path) -> int:
    """Count what is open, the files of the recording aside: the next is made ahead of time."""
    count = 0
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            count += not os.readlink(f"/proc/self/fd/{entry}").startswith(str(folder))
    return count


def usage(folder: Path) -> dict[str, int]:
    """Return what must not grow: bytes, threads, descriptors."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": descriptors(folder),
    }


class Soak:
    """The run, its servers, and what it found."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.minutes: float = options.minutes
        self.every: float = options.kill_every
        self.folder = folder
        self.kills: list[tuple[str, float]] = []
        self.samples: list[dict[str, float]] = []
        self.faults: list[str] = []
        self.over = threading.Event()
        self.witnesses = {
            "jack": Witness(counts=True),
            "pulse": Witness(),
            MERGE: Witness(on_timeline=True),
        }

    def run(self) -> dict[str, Any]:
        """Record, kill, count."""
        with servers.PulseAudio() as pulse, servers.Jack(period=1024) as jack:
            play(pulse)
            counter = servers.JackCounter().start()
            began = time.monotonic()
            with self.builder().start() as session:
                try:
                    while not self.wait(session, began):
                        if len(self.kills) % 2:
                            counter.stop()
                            self.kill("jack", jack)
                            counter = servers.JackCounter().start()
                        else:
                            self.kill("pulse", pulse)
                            play(pulse)
                except Exception as error:
                    self.faults.append(f"broke off: {type(error).__name__}: {error}")
                session.stop()
                took = time.monotonic() - began
            counter.stop()
        return self.account(session.report(), took)

    def builder(self) -> StreamAudio:
        """Return the session that is to run."""
        builder = StreamAudio.builder()
        builder.add_source("jack", AudioSource.device("jack:counter"))
        builder.add_source("pulse", AudioSource.device("speakers.monitor"))
        for name in ("jack", "pulse"):
            builder.add_sink(self.files(name), sources=name, format=FormatPreset.NATIVE)
            builder.add_sink(self.witnesses[name], sources=name, format=FormatPreset.NATIVE)
        merge = Merge("channels", id=MERGE)
        builder.add_sink(self.files(MERGE), merge=merge, format=AudioFormat())
        builder.add_sink(self.witnesses[MERGE], merge=merge, format=AudioFormat())
        builder.add_sink(
            CallbackSink(Sleepy()), name="slow", sources="jack", backlog=Backlog("10 s", "spill")
        )
        return builder

    def files(self, name: str) -> FileSink:
        return FileSink(self.folder / f"{name}-{{index:04}}.flac", rotate=120.0, ledger=True)

    def wait(self, session: Session, began: float) -> bool:
        """Wait for the next kill and tell each minute how things are; true at the end."""
        end = began + 60 * self.minutes
        kill = began + 60 * self.every * (len(self.kills) + 1)
        while (now := time.monotonic()) < min(kill, end):
            self.over.wait(min(60.0, end - now, kill - now))
            self.look(session)
            if self.over.is_set():
                return True
        return end - now < 30

    def kill(self, name: str, server: servers.Server) -> None:
        """Kill a server and let it come back."""
        killed = time.monotonic()
        server.kill()
        time.sleep(AWAY_SECONDS)
        server.restart()
        self.kills.append((name, time.monotonic() - killed))
        print(f"killed {name}", flush=True)

    def look(self, session: Session) -> None:
        """Note and print how things are."""
        now = usage(self.folder)
        self.samples.append({"time": time.time(), "kills": len(self.kills), **now})
        told = {
            name: (of.state, round(of.position / of.sample_rate, 1))
            for name, of in session.stats().sources.items()
        }
        print(f"{time.strftime('%H:%M:%S')} {told} {now}", flush=True)

    def check(self, holds: bool, fault: str) -> None:
        """Note a promise that does not hold."""
        if not holds:
            self.faults.append(fault)

    def account(self, report: SessionReport, took: float) -> dict[str, Any]:
        """Hold everything against what was promised."""
        self.check(report.balanced, f"the report does not balance: {report.problems}")
        lengths = {name: of.position for name, of in report.sources.items()}
        lengths[MERGE] = report.merges[MERGE].span
        for name, length in lengths.items():
            files = sorted(self.folder.glob(f"{name}-*.flac"))
            frames = sum(soundfile.info(path).frames for path in files)
            self.check(frames == length, f"{name}: {frames} frames in files, {length} in all")
            witness = self.witnesses[name]
            self.check(not witness.early, f"{name}: {witness.early} chunks out of time")
            self.check(not witness.misplaced, f"{name}: {witness.misplaced} frames out of place")
        for name in report.sources:
            self.check_outages(name)
        self.check_merge(report, took)
        slow = report.sinks["slow"]
        self.check(not slow.dropped, f"the slow sink lost {slow.dropped} frames")
        self.check_usage()
        return {
            "minutes": round(took / 60, 2),
            "minutes_wanted": self.minutes,
            "kills": self.kills,
            "outages": {name: witness.outages for name, witness in self.witnesses.items()},
            "merge_off_its_time": self.witnesses[MERGE].furthest,
            "merge": {
                name: {"placed": of.placed, "late": of.late, "silent": of.silent}
                for name, of in report.merges[MERGE].inputs.items()
            },
            "sources": {
                name: {
                    "position": of.position,
                    "lost": of.lost,
                    "drift_ppm": of.drift_ppm,
                    "gaps": len(of.gaps),
                }
                for name, of in report.sources.items()
            },
            "sinks": {name: [of.delivered, of.dropped] for name, of in report.sinks.items()},
            "usage": self.samples,
            "faults": self.faults,
        }

    def check_outages(self, name: str) -> None:
        """Hold a source's outages against the kills of its server, and against the clock."""
        away = [seconds for killed, seconds in self.kills if killed == name]
        found = self.witnesses[name].outages
        self.check(len(found) == len(away), f"{name}: {len(found)} outages, not {len(away)}")
        for (frames, times), seconds in zip(found, away, strict=False):
            self.check(
                seconds - 1 <= frames <= seconds + REOPENED_WITHIN,
                f"{name}: an outage of {frames:.2f} s, its server was away {seconds:.2f} s",
            )
            self.check(
                abs(frames - times) < OFF_THE_CLOCK,
                f"{name}: an outage of {frames:.3f} s, the chunks are {times:.3f} s apart",
            )

    def check_merge(self, report: SessionReport, took: float) -> None:
        """Hold the merge against the clock, and its silence against the outages."""
        merge = report.merges[MERGE]
        length = merge.span / merge.sample_rate
        self.check(abs(length - took) < 3, f"a merge of {length:.1f} s in {took:.1f} s")
        furthest = self.witnesses[MERGE].furthest
        self.check(furthest < 1e-3, f"the merge's frames are {furthest * 1e3:.2f} ms off")
        for name, of in merge.inputs.items():
            lost = sum(frames for frames, _ in self.witnesses[name].outages)
            silent = sum(of.silent.values()) / merge.sample_rate
            self.check(
                silent > lost - 1, f"merge: {name} silent {silent:.1f} s, lost for {lost:.1f} s"
            )

    def check_usage(self) -> None:
        """Compare what is in use now with what was after the second kill."""
        settled = [one for one in self.samples if one["kills"] >= 2]
        if len(settled) < 2:
            return
        first, last = settled[0], settled[-1]
        grown = last["resident"] - first["resident"]
        self.check(grown < MOST_GROWTH, f"memory grew by {grown / 2**20:.0f} MiB")
        for what in ("threads", "descriptors"):
            self.check(last[what] <= first[what] + 1, f"{what}: {first[what]} → {last[what]}")


def play(pulse: servers.PulseAudio) -> None:
    """Have the server play a tone for as long as it lives."""
    pulse.ask("load-module", "module-sine", "sink=speakers", "frequency=440")


def section(result: dict[str, Any], machine: dict[str, Any]) -> str:
    """Return what RESULTS.md says of a run."""
    first, *_, last = result["usage"]
    lines = [
        f"Written by `scripts/soak --keep`. {machine['date']}; {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['kernel']}; {result['minutes']:.0f} minutes, "
        f"{len(result['kills'])} kills. What must hold stands at the top of `soak.py`.",
        "",
        "| | outages | by frames, s | by the clock, s | other gaps | frames |",
        "|---|---:|---|---|---:|---:|",
    ]
    for name, of in result["sources"].items():
        outages = result["outages"][name]
        by_frames = ", ".join(f"{frames:.2f}" for frames, _ in outages) or "–"
        by_times = ", ".join(f"{times:.2f}" for _, times in outages) or "–"
        others = of["gaps"] - len(outages)
        cells = [name, str(len(outages)), by_frames, by_times, str(others), str(of["position"])]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| | at the start | after two kills | at the end |",
        "|---|---:|---:|---:|",
    ]
    settled = next((one for one in result["usage"] if one["kills"] >= 2), last)
    for what, divisor in (("resident", 2**20), ("threads", 1), ("descriptors", 1)):
        unit = ", MiB" if divisor > 1 else ""
        figures = (f"{one[what] / divisor:.0f}" for one in (first, settled, last))
        lines.append(f"| {what}{unit} | {' | '.join(figures)} |")
    lines += ["", *(f"- fault: {fault}" for fault in result["faults"] or ["none"])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Record for hours while servers are killed.")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--kill-every", type=float, default=10.0, help="minutes")
    parser.add_argument("--keep", action="store_true", help="write RESULTS.md and soak.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(options, Path(folder))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: soak.over.set())
        result = soak.run()
    print(json.dumps(result | {"usage": result["usage"][-1:]}, indent=1))
    if options.keep:
        machine = describe()
        figures = {"machine": machine, **result}
        results.keep("soak", "Hours, and kills", section(result, machine), figures)
    raise SystemExit(1 if result["faults"] else 0)


if __name__ == "__main__":
    main()
