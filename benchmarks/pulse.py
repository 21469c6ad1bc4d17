"""How late does a PulseAudio source reach Python, and at what cost, by our client and by ALSA's?

Usage: scripts/bench pulse [--rounds N] [--keep]. On a PulseAudio server of its own, whose null
sink delivers evenly, 48 kHz stereo, chunks of 10 ms. "own client" is the library's client of
libpulse with packets of 10 ms; "ALSA's plug-in" is the same source through PortAudio and ALSA's
PCM of type pulse, at the latency that it suggests and at 0.1 s.

Latency: both record the same clicks in one process. It is told from when the own client's sound
was handed over to Python, so that is 0 for the first of them, and how much later it came by the
other way. Cost: each alone, in a fresh process that reads a channel: CPU time of the process and
voluntary context switches (wake-ups), a second of audio. Medians over the rounds.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict

import compiled
import machine
import numpy as np
from report import table

from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio, StreamConfig
from support.pulse import PulseAudio  # found through compiled

RATE = 48_000
SECONDS = 4.0
SINK = "bench"
OWN = "own client"
WAYS = {
    OWN: lambda: AudioSource.device(f"{SINK}.monitor"),
    "ALSA's plug-in": lambda: AudioSource.device("bench_monitor", sample_rate=RATE),
    "ALSA's plug-in, 0.1 s": lambda: AudioSource.device(
        "bench_monitor", sample_rate=RATE, latency=0.1
    ),
}


def described(*names: str):
    """Return a session's description with a channel for each of the ways, and the channels."""
    builder = StreamAudio.builder().format(FormatPreset.NATIVE)
    builder.config(StreamConfig(chunk_duration=0.01))
    channels = {name: ChannelSink() for name in names}
    for name, channel in channels.items():
        builder.add_source(name, WAYS[name]()).add_sink(channel, sources=name)
    return builder, channels


def cost(name: str) -> dict[str, float]:
    """Record for a while; CPU time in ms and wake-ups, a second of audio."""
    builder, channels = described(name)
    with builder.start():
        channel = channels[name]
        for _ in range(50):  # until what a start costs is over
            channel.get(timeout=10)
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        while time.monotonic() - began < SECONDS:
            channel.get(timeout=10)
        after, took = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"CPU": cpu / took * 1000, "wake-ups": (after.ru_nvcsw - before.ru_nvcsw) / took}


def later(name: str) -> dict[str, float]:
    """Record the clicks both ways; by how many ms they came later than by the own client."""
    builder, channels = described(OWN, name)
    heard: dict[str, list[float]] = {each: [] for each in channels}
    with builder.start():
        until = time.monotonic() + SECONDS
        silent = dict.fromkeys(channels, True)
        while time.monotonic() < until:
            for each, channel in channels.items():
                while channel.unread > 0:
                    loud = bool(channel.get(timeout=1).data.any())
                    if loud and silent[each]:
                        heard[each].append(time.monotonic())
                    silent[each] = not loud
            time.sleep(0.0005)
    late = [
        min((when - first for when in heard[name] if when - first > -0.05), default=np.nan)
        for first in heard[OWN]
    ]
    return {"later": float(np.nanmedian(late)) * 1000}


def in_a_process(what: str, name: str) -> dict[str, float]:
    """Run one measurement in a fresh process."""
    command = [sys.executable, __file__, what, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    wanted = compiled.options(__doc__, rounds=5)
    bystanders = machine.Bystanders()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with PulseAudio(sinks=("speakers", SINK)) as server:
        server.unload("2")  # the second of its sinks delivers in lumps
        server.load_sink(SINK)
        clicks = np.zeros((600, RATE // 5), np.float32)
        clicks[:, : RATE // 50] = 0.25
        path = server.folder / "clicks.raw"
        clicks.tofile(path)
        with server._playing(server._player("clicks", path, SINK), "clicks", path):
            for _ in range(wanted.rounds):
                for name in WAYS:
                    found = in_a_process("cost", name)
                    found |= in_a_process("later", name) if name != OWN else {"later": 0.0}
                    for what, value in found.items():
                        figures[name][what].append(value)
    rows = [
        [name, *(f"{statistics.median(made[what]):.1f}" for what in ("later", "CPU", "wake-ups"))]
        for name, made in figures.items()
    ]
    paragraphs = [
        "Medians over the rounds. How it measures stands at the top of `pulse.py`.",
        table(["", "later, ms", "CPU, ms a second", "wake-ups a second"], rows),
    ]
    compiled.tell(wanted, "pulse", "PulseAudio", paragraphs, {"figures": figures}, bystanders)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in ("cost", "later"):
        answer = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        with answer:
            json.dump({"cost": cost, "later": later}[sys.argv[1]](sys.argv[2]), answer)
    else:
        main()
