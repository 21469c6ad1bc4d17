"""The same trials for every library that is installed, on PulseAudio and on PipeWire.

scripts/bench peers                       all of them, a quarter of an hour a server
scripts/bench peers --peer PyAudio --server pulse --trial unplugged
scripts/bench peers --keep                also writes docs/peers.md

Each trial runs in a process of its own. The input is the monitor of a null sink into which a tone
is played, so what is silent, and which source is heard, can be told from the samples. Frames are
counted against the clock, so losses below one per cent are not told apart from none.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer_sources import OPENERS, Open

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import servers  # noqa: E402

PAGE = ROOT / "docs" / "peers.md"
SERVERS: dict[str, type[servers.PulseAudio]] = {
    "PulseAudio": servers.PulseAudio,
    "PipeWire": servers.PipeWire,
}
TONES = {"first": 440.0, "second": 1320.0}
"""The null sinks, and what is heard on each."""

SPIN_SECONDS = 8.0
DRAIN_SECONDS = 3.0
AWAY_SECONDS = 2.0
"""For how long a server that was killed stays away."""

WATCH_SECONDS = 14.0
GIVE_UP = 90.0

Figures = dict[str, Any]


class Listener:
    """Reads blocks on this thread and notes when, how many frames, and which tone."""

    def __init__(self, opened: Open) -> None:
        self.opened = opened
        self.frames = 0
        self.started = 0.0
        self.heard: list[tuple[float, str]] = []

    def until(self, seconds: float) -> None:
        """Read for so long after the first block; a block that does not come ends nothing."""
        for block in self.opened.blocks:
            now = time.monotonic()
            if not self.started:
                self.started = now
                print("running", flush=True)
            else:
                self.frames += len(block)
            self.heard.append((now - self.started, which_tone(block, self.opened.sample_rate)))
            if now - self.started >= seconds:
                return

    def lost_seconds(self) -> float:
        """How much less came than the clock says."""
        due = time.monotonic() - self.started
        return due - self.frames / self.opened.sample_rate


def which_tone(block: NDArray[np.float32], rate: int) -> str:
    """Return the name of the sink whose tone is in a block, or what is there instead."""
    if not len(block) or float(np.abs(block).max()) < 1e-4:
        return "silence"
    turns = np.exp(-2j * np.pi * np.arange(len(block)) / rate)
    power = {name: abs(np.dot(block, turns**tone)) for name, tone in TONES.items()}
    return max(power, key=lambda name: power[name])


def spinning(name: str, device: str) -> Figures:
    """Four threads compute in Python while one reads."""
    with OPENERS[name][1](None) as opened:
        listener, over = Listener(opened), threading.Event()

        def spin() -> None:
            while not over.is_set():
                sum(range(1000))

        listener.until(0.5)
        threads = [threading.Thread(target=spin, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        listener.until(0.5 + SPIN_SECONDS)
        over.set()
        listener.until(0.5 + SPIN_SECONDS + DRAIN_SECONDS)
        return {"lost": max(0.0, listener.lost_seconds()) / SPIN_SECONDS}


def asleep(seconds: float) -> Callable[[str, str], Figures]:
    """Make the trial in which nobody reads for so long."""

    def trial(name: str, device: str) -> Figures:
        with OPENERS[name][1](None) as opened:
            listener = Listener(opened)
            listener.until(0.5)
            time.sleep(seconds)
            listener.until(0.5 + seconds + DRAIN_SECONDS)
            return {"lost_seconds": max(0.0, listener.lost_seconds())}

    return trial


def watched(name: str, device: str) -> Figures:
    """Read while something happens to the device, in a thread that may hang."""
    told: Figures = {"error": None, "opened": False}
    done = threading.Event()
    listeners: list[Listener] = []

    def read() -> None:
        try:
            with OPENERS[name][1](device or None) as opened:
                listeners.append(Listener(opened))
                listeners[0].until(WATCH_SECONDS)
        except BaseException as error:
            told["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:100]
        finally:
            done.set()

    threading.Thread(target=read, daemon=True).start()
    done.wait(WATCH_SECONDS + 5)
    if listeners and listeners[0].started:
        listener = listeners[0]
        position = listener.opened.position()
        told |= {
            "opened": True,
            "ended": done.is_set(),
            "heard": [(round(at, 3), what) for at, what in listener.heard[::10]],
            "position": None if position is None else position / listener.opened.sample_rate,
        }
    return told


def opening(name: str, device: str) -> Figures:
    """Open and close ten times in a row, each until the first block."""
    taken = []
    for _ in range(10):
        before = time.monotonic()
        with OPENERS[name][1](None) as opened:
            next(opened.blocks)
            taken.append(time.monotonic() - before)
    return {"median": statistics.median(taken), "last": taken[-1]}


def importing(name: str, device: str) -> Figures:
    """Import it in five fresh processes, NumPy having been imported."""
    program = (
        "import time, numpy\nt = time.perf_counter()\n"
        f"import {OPENERS[name][0]}\nprint(time.perf_counter() - t)"
    )
    if name == "stream-audio":
        program = program.replace("import stream_audio", "from stream_audio import ChannelSink")
    runs = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(5)]
    return {"median": statistics.median(runs)}


def recording(name: str, device: str) -> Figures:
    """Write a WAV file for eight seconds, as its documentation shows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        if name == "stream-audio":
            from stream_audio import AudioSource, FileSink, FormatPreset
            from stream_audio import open as open_session

            sinks = [(FileSink(path), FormatPreset.NATIVE)]
            with open_session(AudioSource.default_device(), sinks=sinks):
                return cpu_for(8.0)
        import soundfile

        with OPENERS[name][1](None) as opened:
            over = threading.Event()

            def write() -> None:
                with soundfile.SoundFile(path, "w", opened.sample_rate, 1, "PCM_16") as file:
                    for block in opened.blocks:
                        file.write(block)
                        if over.is_set():
                            return

            thread = threading.Thread(target=write, daemon=True)
            thread.start()
            figures = cpu_for(8.0)
            over.set()
            thread.join(5)
            return figures


def cpu_for(seconds: float) -> Figures:
    """Return the process's CPU time for each second of so many, half a second from now."""
    time.sleep(0.5)
    cpu, wall = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return {"cpu": (time.process_time() - cpu) / (time.monotonic() - wall)}


TRIALS: dict[str, Callable[[str, str], Figures]] = {
    "spinning": spinning,
    "asleep-5": asleep(5.0),
    "asleep-20": asleep(20.0),
    "restarted": watched,
    "unplugged": watched,
    "opening": opening,
    "recording": recording,
    "importing": importing,
}


@contextmanager
def server(kind: str) -> Iterator[tuple[servers.PulseAudio, Path]]:
    """Start a server with two null sinks, each with its tone; ALSA's default leads to it."""
    with SERVERS[kind](sinks=tuple(TONES)) as running:
        config = running.folder / "with-default"
        text = Path(os.environ["ALSA_CONFIG_PATH"]).read_text()
        config.write_text(text + "pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        found = {
            "ALSA_CONFIG_PATH": str(config),
            # decibri brings its own libasound, flexaudio speaks PipeWire's own protocol.
            "ALSA_PLUGIN_DIR": str(next(Path("/usr/lib").glob("*/alsa-lib"))),
            "PIPEWIRE_RUNTIME_DIR": str(running.folder),
        }
        with servers.environment(found):
            yield running, config


def play(running: servers.PulseAudio, sink: str) -> Any:
    return running.play_tone(TONES[sink], seconds=300.0, sink=sink)


def run(name: str, trial: str, running: servers.PulseAudio) -> Figures:
    """Run one trial in a process of its own, and do to the server what belongs to it."""
    device = "first" if trial == "unplugged" else ""
    if device and name in ("sounddevice", "rtmixer", "PyAudio"):
        device = "first_monitor"  # ALSA's name for it
    elif device:
        device = "first.monitor" if name in ("SoundCard", "stream-audio") else "first"
    command = [sys.executable, __file__, "--child", name, trial, device]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "running" and not lines and trial in ("restarted", "unplugged"):
                threading.Thread(target=disturb, args=(trial, running), daemon=True).start()
            lines.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        process.wait(GIVE_UP)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    reader.join(10)
    assert process.stderr is not None
    for line in reversed(lines):
        if line.startswith("{"):
            figures: Figures = json.loads(line)
            return figures
    said = process.stderr.read().strip().splitlines()
    return {"failed": said[-1][:160] if said else f"exit code {process.returncode}"}


def disturb(trial: str, running: servers.PulseAudio) -> None:
    """Three seconds after the first block, unplug the device or restart the server."""
    time.sleep(3.0)
    if trial == "unplugged":
        modules = running.ask("list", "short", "modules").splitlines()
        module = next(line.split()[0] for line in modules if "sink_name=first" in line)
        running.unload(module)
        return
    running.kill()
    time.sleep(AWAY_SECONDS)
    running.restart()


def told(trial: str, figures: Figures) -> str:
    """Return a trial's outcome as one cell of the table."""
    if "failed" in figures:
        return f"failed: {figures['failed'][:60]}"
    match trial:
        case "spinning":
            return "0 %" if figures["lost"] < 0.01 else f"{figures['lost']:.0%}"
        case "asleep-5" | "asleep-20":
            lost = figures["lost_seconds"]
            return "nothing" if lost < 0.15 else f"{lost:.1f} s"
        case "opening":
            return f"{figures['median'] * 1e3:.0f} ms"
        case "recording":
            return f"{figures['cpu'] * 1e3:.1f} ms/s"
        case "importing":
            return f"{figures['median'] * 1e3:.0f} ms"
    if not figures["opened"]:
        return f"not opened: {figures['error'] or 'no audio came'}"
    after = {what for at, what in figures["heard"] if at > 3.5}
    late = {what for at, what in figures["heard"] if at > WATCH_SECONDS - 3}
    said = f"says so ({figures['error'].split(':')[0]})" if figures["error"] else "says nothing"
    if trial == "unplugged":
        if "second" in after:
            return f"records the other one, {said}"
        return "ends, says so" if figures["error"] or figures["ended"] else f"waits, {said}"
    if late - {"silence"}:
        position = figures["position"]
        if position is None:
            return "recovers"
        missing = figures["heard"][-1][0] - position
        return "recovers" + (", outage counted" if missing < 0.5 else ", outage forgotten")
    return "silence" if late else f"ends, {said}" if figures["error"] else "hangs"


QUESTIONS = {
    "spinning": "lost while four Python threads spin",
    "asleep-5": "lost while the program sleeps 5 s",
    "asleep-20": "lost while the program sleeps 20 s",
    "restarted": "the server is killed and restarted",
    "unplugged": "the source is unplugged beside another",
    "opening": "from opening to the first block, median of ten",
    "recording": "CPU while recording a WAV file",
    "importing": "import, after NumPy",
}


def page(results: dict[str, dict[str, dict[str, str]]], versions: dict[str, str]) -> str:
    """Return the page of the site."""
    lines = [
        "# Beside other libraries",
        "",
        f"`scripts/bench peers --keep` wrote this page on {date.today()}, with "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ". The same trials ran for each, in a process of its own, one after the other, on a "
        "machine without a sound card. [benchmarks/peers.py](../benchmarks/peers.py) is the "
        "program. Latencies are in [RESULTS.md](../benchmarks/RESULTS.md).",
        "",
    ]
    for kind, of_server in results.items():
        peers = list(of_server)
        lines += [f"## {kind}", "", "| | " + " | ".join(peers) + " |"]
        lines += ["|---" * (len(peers) + 1) + "|"]
        for trial, question in QUESTIONS.items():
            cells = [of_server[peer].get(trial, "–") for peer in peers]
            lines.append(f"| {question} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Put the same trials to every library.")
    parser.add_argument("--server", action="append", choices=list(SERVERS))
    parser.add_argument("--peer", action="append", choices=list(OPENERS))
    parser.add_argument("--trial", action="append", choices=list(TRIALS))
    parser.add_argument("--keep", action="store_true", help="write docs/peers.md")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, trial, device = options.child
        print(json.dumps(TRIALS[trial](name, device)), flush=True)
        os._exit(0)  # whatever hangs in it

    peers = [
        name
        for name, (module, _) in OPENERS.items()
        if importlib.util.find_spec(module) and (not options.peer or name in options.peer)
    ]
    versions = {name: importlib.metadata.version(name) for name in peers}
    results: dict[str, dict[str, dict[str, str]]] = {}
    for kind in options.server or SERVERS:
        of_server = results.setdefault(kind, {name: {} for name in peers})
        for trial in options.trial or TRIALS:
            for name in peers:
                with server(kind) as (running, _), play(running, "first"), play(running, "second"):
                    figures = run(name, trial, running)
                of_server[name][trial] = told(trial, figures)
                print(f"{kind:10} {trial:10} {name:12} {of_server[name][trial]}", flush=True)
    if options.keep:
        PAGE.write_text(page(results, versions), encoding="utf-8")


if __name__ == "__main__":
    main()
