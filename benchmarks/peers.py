"""The same trials for every library that is installed, on JACK, PulseAudio and PipeWire.

scripts/bench peers                       all of them, six minutes a server
scripts/bench peers --peer PyAudio --server PulseAudio --trial unplugged
scripts/bench peers --keep                also writes docs/peers.md

Each library runs in a process of its own. Trials that load the machine (threads that spin,
opening, CPU time, import) run one after the other. In the others nearly all is waiting, so all
libraries are put to them together, on one server.

On PulseAudio and PipeWire the input is the monitor of a null sink into which a tone is played. On
JACK it is a client that plays values above zero, beside one that plays them below. So what is
silent, and which source is heard, can be told from the samples. On JACK they also tell the
server's count of frames, so a loss is exact. Elsewhere frames are counted against the clock, and a
loss below one per cent is not told apart from none.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from peer_sources import OPENERS, Open

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import servers  # noqa: E402

PAGE = ROOT / "docs" / "peers.md"
TONES = {"first": 440.0, "second": 1320.0}
"""The sources, and what is heard of each on PulseAudio and PipeWire."""

SPIN_SECONDS = 8.0
DRAIN_SECONDS = 3.0
AWAY_SECONDS = 2.0
"""For how long a server that was killed stays away."""

AFTERWARDS = 12.0
"""For how long what a library does is watched once its server or its source has gone."""

KILLED_AFTER = 5.0
START_WITHIN = 20.0
GIVE_UP = 40.0

Figures = dict[str, Any]
Trial = Callable[[str, "str | None"], Figures]


class Listener:
    """Reads blocks on this thread and notes when, how many frames, and which source."""

    def __init__(self, opened: Open) -> None:
        self.opened = opened
        self.frames = 0
        self.started = 0.0
        self.heard: list[tuple[float, str]] = []
        self._first = self._last = 0

    def until(self, seconds: float) -> None:
        """Read for so long after the first block; a block that does not come ends nothing."""
        for block in self.opened.blocks:
            now = time.monotonic()
            if not self.started:
                self.started = now
                print("running", flush=True)
                self._first = count_of(block)
            else:
                self.frames += len(block)
            self._last = count_of(block)
            self.heard.append((now, which_source(block, self.opened.sample_rate)))
            if now - self.started >= seconds:
                return

    def lost_seconds(self) -> float:
        """How much less came than the clock says; on JACK, than the server counts.

        A server on a busy machine may be slow, and that is no loss.
        """
        rate = self.opened.sample_rate
        if "JACK_DEFAULT_SERVER" in os.environ:
            return ((self._last - self._first) % COUNTS - self.frames) / rate
        return time.monotonic() - self.started - self.frames / rate


COUNTS = 2**23


def count_of(block: NDArray[np.float32]) -> int:
    """Return the frame count that `servers.JackCounter` has put into the last sample."""
    return round(abs(float(block[-1])) * COUNTS) if len(block) else 0


def which_source(block: NDArray[np.float32], rate: int) -> str:
    """Return the name of the source that is in a block, or what is there instead."""
    if not len(block) or float(np.abs(block).max()) < 1e-4:
        return "silence"
    if "JACK_DEFAULT_SERVER" in os.environ:
        return "first" if float(block.mean()) > 0 else "second"
    turns = np.exp(-2j * np.pi * np.arange(len(block)) / rate)
    power = {name: abs(np.dot(block, turns**tone)) for name, tone in TONES.items()}
    return max(power, key=lambda name: power[name])


def spinning(name: str, device: str | None) -> Figures:
    """Four threads compute in Python while one reads."""
    with OPENERS[name][1](device) as opened:
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


def asleep(seconds: float) -> Trial:
    """Make the trial in which nobody reads for so long."""

    def trial(name: str, device: str | None) -> Figures:
        with OPENERS[name][1](device) as opened:
            listener = Listener(opened)
            listener.until(0.5)
            time.sleep(seconds)
            listener.until(0.5 + seconds + DRAIN_SECONDS)
            return {"lost_seconds": max(0.0, listener.lost_seconds())}

    return trial


def watched(name: str, device: str | None) -> Figures:
    """Read, in a thread that may hang, while something happens; end when a line is read."""
    told: Figures = {"error": None, "opened": False, "ended": False}
    listeners: list[Listener] = []

    def read() -> None:
        try:
            with OPENERS[name][1](device) as opened:
                listeners.append(Listener(opened))
                listeners[0].until(GIVE_UP)
        except BaseException as error:
            told["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:100]
        told["ended"] = True
        if not listeners or not listeners[0].started:
            print("not running", flush=True)

    threading.Thread(target=read, daemon=True).start()
    sys.stdin.readline()
    if listeners and listeners[0].started:
        listener = listeners[0]
        position = listener.opened.position()
        told |= {
            "opened": True,
            "heard": listener.heard[::10],
            "started": listener.started,
            "said": listener.opened.said(),
            "position": None if position is None else position / listener.opened.sample_rate,
        }
    return told


def opening(name: str, device: str | None) -> Figures:
    """Open and close ten times in a row, each until the first block."""
    taken = []
    for _ in range(10):
        before = time.monotonic()
        with OPENERS[name][1](device) as opened:
            next(opened.blocks)
            taken.append(time.monotonic() - before)
    return {"median": statistics.median(taken), "last": taken[-1]}


def importing(name: str, device: str | None) -> Figures:
    """Import it in five fresh processes, NumPy having been imported."""
    program = (
        "import time, numpy\nt = time.perf_counter()\n"
        f"import {OPENERS[name][0]}\nprint(time.perf_counter() - t)"
    )
    if name == "stream-audio":
        program = program.replace("import stream_audio", "from stream_audio import ChannelSink")
    command = [sys.executable, "-c", program, "peers"]  # SoundCard takes its name from there
    runs = [float(subprocess.check_output(command)) for _ in range(5)]
    return {"median": statistics.median(runs)}


@contextmanager
def writing(name: str, device: str | None, path: Path) -> Iterator[None]:
    """Write a WAV file, as its documentation shows, until the block ends."""
    if name == "stream-audio":
        from stream_audio import AudioSource, FileSink, FormatPreset
        from stream_audio import open as open_session

        source = AudioSource.device(device) if device else AudioSource.default_device()
        with open_session(source, sinks=[(FileSink(path), FormatPreset.NATIVE)]):
            yield
        return
    over = threading.Event()
    with OPENERS[name][1](device) as opened:

        def write() -> None:
            with soundfile.SoundFile(path, "w", opened.sample_rate, 1, "PCM_16") as file:
                for block in opened.blocks:
                    file.write(block)
                    if over.is_set():
                        return

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        yield
        over.set()
        thread.join(5)


def recording(name: str, device: str | None) -> Figures:
    """Write a WAV file for eight seconds."""
    with tempfile.TemporaryDirectory() as folder, writing(name, device, Path(folder) / "a.wav"):
        return cpu_for(8.0)


def killed(name: str, device: str | None) -> Figures:
    """Write a WAV file into the working directory until SIGKILL comes."""
    with writing(name, device, Path("a.wav")):
        while not Path("a.wav").exists():
            time.sleep(0.01)
        print("running", flush=True)
        sys.stdin.readline()
    return {}


def cpu_for(seconds: float) -> Figures:
    """Return the process's CPU time for each second of so many, half a second from now."""
    time.sleep(0.5)
    cpu, wall = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return {"cpu": (time.process_time() - cpu) / (time.monotonic() - wall)}


ALONE: dict[str, Trial] = {
    "spinning": spinning,
    "opening": opening,
    "recording": recording,
    "importing": importing,
}
TOGETHER: dict[str, Trial] = {
    "asleep-5": asleep(5.0),
    "asleep-20": asleep(20.0),
    "restarted": watched,
    "unplugged": watched,
    "killed": killed,
}
TRIALS = ALONE | TOGETHER


class Scene:
    """A server with two sources, which it can lose; to be used on the main thread.

    The kernel ends a server together with the thread that started it.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._stack = ExitStack()
        self._sounds = ExitStack()

    def __enter__(self) -> Scene:
        enter = self._stack.enter_context
        if self._kind == "JACK":
            enter(servers.alsa_config(servers.ALSA_NULL))
            self._server: servers.Server = enter(servers.Jack())
        else:
            kind = servers.PulseAudio if self._kind == "PulseAudio" else servers.PipeWire
            pulse = enter(kind(sinks=tuple(TONES)))
            self._server = pulse
            config = pulse.folder / "with-default"  # ALSA's default leads to the server, too
            text = Path(os.environ["ALSA_CONFIG_PATH"]).read_text()
            config.write_text(text + "pcm.!default { type pulse }\nctl.!default { type pulse }\n")
            found = {
                "ALSA_CONFIG_PATH": str(config),
                # decibri brings its own libasound, flexaudio speaks PipeWire's own protocol.
                "ALSA_PLUGIN_DIR": str(next(Path("/usr/lib").glob("*/alsa-lib"))),
                "PIPEWIRE_RUNTIME_DIR": str(pulse.folder),
            }
            enter(servers.environment(found))
        self._play()
        return self

    def __exit__(self, *_: object) -> None:
        self._sounds.close()
        self._stack.close()

    def _play(self) -> None:
        if isinstance(self._server, servers.PulseAudio):
            for sink, tone in TONES.items():
                self._sounds.enter_context(
                    self._server.play_tone(tone, seconds=2 * GIVE_UP, sink=sink)
                )
        else:
            self._first = self._sounds.enter_context(servers.JackCounter("first"))
            self._sounds.enter_context(servers.JackCounter("second", negative=True))

    def restart(self) -> None:
        """Kill the server, and start it again after a while."""
        self._server.kill()
        self._sounds.close()
        time.sleep(AWAY_SECONDS)
        self._server.restart()
        self._play()

    def unplug(self) -> None:
        """Take the first source away; the other one stays."""
        if not isinstance(self._server, servers.PulseAudio):
            self._first.stop()
            return
        modules = self._server.ask("list", "short", "modules").splitlines()
        module = next(line.split()[0] for line in modules if "sink_name=first" in line)
        self._server.unload(module)

    def device(self, peer: str, trial: str) -> str:
        """Return the name of the first source for a library; empty: its default will do."""
        if self._kind == "JACK":
            names = {
                "stream-audio": "jack:first",
                "sounddevice": "first, JACK Audio Connection Kit",
                "rtmixer": "first, JACK Audio Connection Kit",
            }
            return names.get(peer, "first")
        if trial != "unplugged":
            return ""
        if peer in ("sounddevice", "rtmixer", "PyAudio"):
            return "first_monitor"  # ALSA's name for it
        return "first.monitor" if peer in ("SoundCard", "stream-audio") else "first"


class Child:
    """One library in one trial, in a process of its own."""

    def __init__(self, peer: str, trial: str, device: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as it lives
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child", peer, trial, device],
            cwd=self.folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            errors="replace",
        )
        self.running_since: float | None = None
        self._told: list[str] = []
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == "running":
                self.running_since = time.monotonic()
            self._started.set()
            self._told.append(line)
        self._started.set()

    def wait_until_running(self, deadline: float) -> None:
        """Wait for its first block, or for its failure."""
        self._started.wait(max(0.0, deadline - time.monotonic()))

    def enough(self) -> None:
        """Let a library that is watched tell what it has heard."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin:  # it may have ended
            self._process.stdin.write("enough\n")

    def kill(self) -> None:
        self._process.kill()

    def figures(self, seconds: float = GIVE_UP) -> Figures:
        """Wait for the end, by force after so long, and return what it found."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        for line in self._told:
            if line.startswith("{"):
                figures: Figures = json.loads(line)
                return figures
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return {"failed": said[-1][:160] if said else f"exit code {self._process.returncode}"}


def together(trial: str, peers: list[str], scene: Scene) -> dict[str, Figures]:
    """Put all libraries to a trial at once."""
    children = {peer: Child(peer, trial, scene.device(peer, trial)) for peer in peers}
    if trial not in ("killed", "restarted", "unplugged"):
        return {peer: child.figures() for peer, child in children.items()}
    deadline = time.monotonic() + START_WITHIN
    for child in children.values():
        child.wait_until_running(deadline)
    if trial == "killed":
        time.sleep(KILLED_AFTER)
        found = {}
        for peer, child in children.items():
            child.kill()
            if child.running_since is None:
                found[peer] = child.figures()
            else:
                written = time.monotonic() - child.running_since
                found[peer] = what_is_left(Path(child.folder.name) / "a.wav") | {"of": written}
        return found
    time.sleep(3.0)
    disturbed = time.monotonic()
    scene.restart() if trial == "restarted" else scene.unplug()
    time.sleep(AFTERWARDS)
    for child in children.values():
        child.enough()
    return {
        peer: child.figures(10.0) | {"disturbed": disturbed} for peer, child in children.items()
    }


def what_is_left(path: Path) -> Figures:
    """Return how many seconds a reader finds in a file whose writer was killed."""
    try:
        return {"seconds": soundfile.info(path).duration}
    except soundfile.SoundFileError as error:
        return {"unreadable": str(error)}


def told(trial: str, figures: Figures) -> str:
    """Return a trial's outcome as one cell of the table."""
    if "failed" in figures:
        return f"failed: {figures['failed'][:60]}"
    match trial:
        case "spinning":
            return "0 %" if figures["lost"] < 0.01 else f"{100 * figures['lost']:.0f} %"
        case "asleep-5" | "asleep-20":
            lost = figures["lost_seconds"]
            return "nothing" if lost < 0.15 else f"{lost:.1f} s"
        case "opening" | "importing":
            return f"{figures['median'] * 1e3:.0f} ms"
        case "recording":
            return f"{figures['cpu'] * 1e3:.1f} ms/s"
        case "killed":
            if "unreadable" in figures:
                return "does not open"
            return f"opens, with {figures['seconds']:.1f} s of {figures['of']:.1f} s"
    return told_of_a_loss(trial, figures)


def told_of_a_loss(trial: str, figures: Figures) -> str:
    """Return what a library did when its server or its source had gone."""
    if not figures["opened"]:
        return f"not opened: {figures['error'] or 'no audio came'}"
    since = [(at - figures["disturbed"], what) for at, what in figures["heard"]]
    after = {what for at, what in since if at > 0.5}
    late = {what for at, what in since if at > AWAY_SECONDS + 4}
    saying = figures["error"] or figures["said"]
    said = f"says so ({saying.split(':')[0]})" if saying else "says nothing"
    if trial == "unplugged":
        if "second" in after:
            return f"records the other one, {said}"
        if "first" in late:
            return "still records it"  # the trial did not take it away
        if figures["ended"]:
            return f"ends, {said}"
        return f"{'records silence' if late else 'waits'}, {said}"
    if late - {"silence"}:
        position = figures["position"]
        if position is None:
            return "recovers"
        missing = figures["heard"][-1][0] - figures["started"] - position
        return "recovers" + (", outage counted" if missing < 0.5 else ", outage forgotten")
    if figures["ended"]:
        return f"ends, {said}"
    return f"{'records silence' if late else 'hangs'}, {said}"


QUESTIONS = {
    "spinning": "lost while four Python threads spin",
    "asleep-5": "lost while the program sleeps 5 s",
    "asleep-20": "lost while the program sleeps 20 s",
    "restarted": "the server is killed and restarted",
    "unplugged": "the source is unplugged beside another",
    "killed": "a WAV file after SIGKILL",
    "opening": "from opening to the first block, median of ten",
    "recording": "CPU while recording a WAV file",
    "importing": "import, after NumPy",
}


def page(
    results: dict[str, dict[str, dict[str, str]]], versions: dict[str, str], missing: list[str]
) -> str:
    """Return the page of the site."""
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    about = (
        f"`scripts/bench peers --keep` wrote this page on {date.today()}, with {named}. The same "
        "trials ran for each, in a process of its own, on a machine without a sound card. "
        "[benchmarks/peers.py](../benchmarks/peers.py) is the program. Latencies are in "
        "[RESULTS.md](../benchmarks/RESULTS.md)."
    )
    if missing:
        about += f" Not installed: {', '.join(missing)}."
    lines = ["# Beside other libraries", ""]
    lines += textwrap.wrap(about, 99, break_long_words=False, break_on_hyphens=False)
    lines += [""]
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
    parser.add_argument("--server", action="append", choices=("JACK", "PulseAudio", "PipeWire"))
    parser.add_argument("--peer", action="append", choices=list(OPENERS))
    parser.add_argument("--trial", action="append", choices=list(TRIALS))
    parser.add_argument("--keep", action="store_true", help="write docs/peers.md")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, trial, device = options.child
        print(json.dumps(TRIALS[trial](name, device or None)), flush=True)
        os._exit(0)  # whatever hangs in it

    wanted = options.peer or list(OPENERS)
    peers = [name for name in wanted if importlib.util.find_spec(OPENERS[name][0])]
    for name in set(wanted) - set(peers):
        print(f"{name} is not installed", flush=True)
    versions = {name: importlib.metadata.version(name) for name in peers}
    results: dict[str, dict[str, dict[str, str]]] = {}
    for kind in options.server or ("JACK", "PulseAudio", "PipeWire"):
        of_server = results.setdefault(kind, {name: {} for name in peers})
        for trial in options.trial or TRIALS:
            for group in [peers] if trial in TOGETHER else [[peer] for peer in peers]:
                with Scene(kind) as scene:
                    found = together(trial, group, scene)
                for name, figures in found.items():
                    of_server[name][trial] = told(trial, figures)
                    print(f"{kind:10} {trial:10} {name:12} {of_server[name][trial]}", flush=True)
    missing = [name for name in OPENERS if name not in peers]
    if options.keep:
        PAGE.write_text(page(results, versions, missing), encoding="utf-8")
        index = PAGE.with_name("index.md")
        contents = index.read_text(encoding="utf-8")
        if "\npeers\n" not in contents:
            index.write_text(contents.replace("\nfaq\n", "\npeers\nfaq\n"), encoding="utf-8")


if __name__ == "__main__":
    main()
