"""What do many sinks and many sources cost, and how much fits through flat out?

    fanout.py                       everything, some five minutes
    fanout.py --seconds 1           a quick look
    fanout.py --only flat-out
    fanout.py --json results/fanout.json --markdown > FANOUT.md

Fan-out: virtual sources in real time, 48 kHz stereo, chunks and periods of 20 ms; every sink is a
callback with a worker thread of its own that does nothing. The CPU time is that of the whole
process (all threads, user and system), devices included, between two moments while it runs. The
cost of one more is the slope of the line through the measured points (least squares), and r² tells
how straight it is.

Flat out: an ALSA PCM of type null, which PortAudio reads as fast as its callback returns, to one
consumer that counts frames; what counts is what the consumer got. stream_audio beside sounddevice
(callback, copy, queue) and rtmixer (ring buffer), interleaved, each in a fresh process. And the
freewheeling virtual device, whose frames are made by a C thread that waits for room. What did not
fit into the ring must be counted to the frame: a report that does not balance is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import Any

import machine
import numpy as np

RATE = 48_000
CHANNELS = 2
CHUNK = 0.02
COUNTS = (1, 2, 4, 8, 16, 32, 64)
SETTLE = 0.5
NULL_DEVICE = "flatout"
ALSA_NULL = f"""\
</usr/share/alsa/alsa.conf>
pcm.{NULL_DEVICE} {{
    type null
    hint {{
        show on
        description "as fast as it is read"
    }}
}}
"""
RING_FRAMES = 1 << 20
TIMEOUT = 120.0


# ---- one run, in a process of its own ----


def fan_out(sources: int, sinks: int, seconds: float) -> dict[str, Any]:
    """Run so many sources with so many sinks each in real time."""
    from stream_audio import AudioSource, CallbackSink, FormatPreset, StreamAudio, StreamConfig

    period = round(CHUNK * RATE)
    builder = StreamAudio.builder().format(FormatPreset.NATIVE)
    builder.config(StreamConfig(chunk_duration=CHUNK, ring_duration=2.0))
    for source in range(sources):
        name = f"source-{source}"
        builder.add_source(name, AudioSource.virtual("silence", period=period))
        for _ in range(sinks):
            builder.add_sink(CallbackSink(lambda chunk: None), sources=name)
    with builder.start() as session:
        time.sleep(SETTLE)
        cpu, began = time.process_time(), time.monotonic()
        time.sleep(seconds)
        cpu, elapsed = time.process_time() - cpu, time.monotonic() - began
        report = session.stop()
    lost = sum(source.lost for source in report.sources.values())
    dropped = sum(sink.dropped for sink in report.sinks.values())
    return {
        "cpu_ms_per_second": cpu * 1e3 / elapsed,
        "lost": lost,
        "dropped": dropped,
        "balanced": report.balanced,
    }


def flat_out_stream_audio(source: str, seconds: float) -> dict[str, Any]:
    """Count what one channel's consumer gets."""
    from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio, StreamConfig

    audio = (
        AudioSource.device(NULL_DEVICE, sample_rate=RATE, channels=CHANNELS)
        if source == "alsa-null"
        else AudioSource.virtual("silence", pace="freewheel", period=4096)
    )
    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("flat-out", audio).add_sink(channel)
    session = builder.format(FormatPreset.NATIVE).config(StreamConfig()).start()
    chunks = iter(channel)
    frames = sum(next(chunks).frames for _ in range(50))  # warm
    frames, began = 0, time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        frames += next(chunks).frames
    stopper = threading.Thread(target=session.stop)
    stopper.start()
    for _ in chunks:
        pass
    stopper.join()
    report = session.report()
    captured = report.sources["flat-out"]
    return {
        "frames_per_second": frames / (now - began),
        "lost": captured.lost,
        "captured": captured.captured,
        "dropped": report.sinks["ChannelSink"].dropped,
        "balanced": report.balanced,
    }


def flat_out_sounddevice(seconds: float) -> dict[str, Any]:
    """Count what a consumer gets from a callback through a queue."""
    import sounddevice

    queue: SimpleQueue[Any] = SimpleQueue()

    def callback(data: Any, frames: int, time: Any, status: Any) -> None:
        queue.put(data.copy())

    with sounddevice.InputStream(
        device=NULL_DEVICE, samplerate=RATE, channels=CHANNELS, dtype="float32", callback=callback
    ):
        for _ in range(50):
            queue.get()
        frames, began = 0, time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            frames += len(queue.get())
    return {"frames_per_second": frames / (now - began)}


def flat_out_rtmixer(seconds: float) -> dict[str, Any]:
    """Count what a consumer reads from the ring buffer that a C callback fills."""
    import rtmixer

    ring = rtmixer.RingBuffer(CHANNELS * 4, RING_FRAMES)
    taken = np.empty((RING_FRAMES, CHANNELS), np.float32)
    with rtmixer.Recorder(device=NULL_DEVICE, samplerate=RATE, channels=CHANNELS) as recorder:
        action = recorder.record_ringbuffer(ring)
        frames, began = 0, None
        while True:
            got = ring.readinto(taken)
            now = time.monotonic()
            if began is None and got:
                began = now
                continue
            frames += got
            if began is not None and now >= began + seconds:
                break
            if recorder.actions == set():  # the ring was full: it gives up; start it again
                action = recorder.record_ringbuffer(ring)
        del action
    return {"frames_per_second": frames / (now - began)}


RUNS: dict[str, Callable[..., dict[str, Any]]] = {
    "fan-out": lambda sources, sinks, seconds: fan_out(int(sources), int(sinks), seconds),
    "stream_audio": flat_out_stream_audio,
    "sounddevice": flat_out_sounddevice,
    "rtmixer": flat_out_rtmixer,
}


# ---- all of them ----


def run(name: str, *arguments: object, environment: dict[str, str] | None = None) -> Any:
    """Run one in a process of its own and return its figures."""
    result = subprocess.run(
        [sys.executable, __file__, "--run", name, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{name} {arguments}: {result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def grid(rounds: int, seconds: float) -> dict[str, Any]:
    """Measure 1..64 sinks of one source, 1..64 sources with one sink, and 64 with four each."""
    jobs = {
        "sinks": [(1, count) for count in COUNTS],
        "sources": [(count, 1) for count in COUNTS],
        "64 x 4": [(64, 4)],
    }
    figures: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(rounds):
        for axis, cells in jobs.items():
            for sources, sinks in cells:
                say(f"{sources} sources x {sinks} sinks")
                made = run("fan-out", sources, sinks, seconds)
                figures[axis][str(max(sources, sinks))].append(made)
    return {axis: dict(cells) for axis, cells in figures.items()}


def flat_out(rounds: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Measure each contender's delivered frames, interleaved."""
    figures: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "asoundrc")
        configuration.write_text(ALSA_NULL)
        environment = {"ALSA_CONFIG_PATH": str(configuration)}
        for _ in range(rounds):
            for name, arguments in (
                ("stream_audio", ("alsa-null",)),
                ("rtmixer", ()),
                ("sounddevice", ()),
                ("stream_audio", ("freewheel",)),
            ):
                say(" ".join((name, *arguments)))
                made = run(name, *arguments, seconds, environment=environment)
                figures[" ".join((name, *arguments))].append(made)
    return dict(figures)


def line_through(points: dict[str, float]) -> tuple[float, float, float]:
    """Return slope, intercept and r² of the least-squares line."""
    x = np.array([float(count) for count in points])
    y = np.array(list(points.values()))
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - (slope * x + intercept)
    return float(slope), float(intercept), float(1 - residual.var() / y.var())


def markdown(results: dict[str, Any]) -> str:
    """Return the report."""
    described = results["machine"]
    lines = [
        "# Many sinks, many sources, flat out",
        "",
        "Written by `benchmarks/fanout.py --json benchmarks/results/fanout.json --markdown > "
        "benchmarks/FANOUT.md`; how it measures stands at the top of that file.",
        "",
        f"- {described['date']}; {results['rounds']} rounds of {results['seconds']} s, medians",
        f"- {described['cpu']}, {described['cores']} cores, {described['kernel']}, "
        f"Python {described['python']}",
        f"- other processes took {results['others']['cores_used_by_others']} cores on average",
    ]
    if "grid" in results:
        lines += ["", "## CPU, ms a second, 48 kHz stereo in chunks of 20 ms", ""]
        lines += ["| | " + " | ".join(map(str, COUNTS)) + " | one more costs | r² |"]
        lines += ["| --- |" + " ---: |" * (len(COUNTS) + 2)]
        for axis in ("sinks", "sources"):
            cells = {
                count: median(made["cpu_ms_per_second"] for made in runs)
                for count, runs in results["grid"][axis].items()
            }
            slope, _, straight = line_through(cells)
            figures = " | ".join(f"{value:.1f}" for value in cells.values())
            lines.append(f"| {axis} | {figures} | {slope:.2f} | {straight:.3f} |")
        runs = results["grid"]["64 x 4"]["64"]
        cpu = median(made["cpu_ms_per_second"] for made in runs)
        lost = sum(made["lost"] + made["dropped"] for made in runs)
        lines += ["", f"64 sources with 4 sinks each: {cpu:.0f} ms a second, {lost} frames lost."]
    if "flat_out" in results:
        rtmixer = median(made["frames_per_second"] for made in results["flat_out"]["rtmixer"])
        lines += ["", "## Flat out, delivered to one consumer, stereo", ""]
        lines += [
            "| | M frames/s | beside rtmixer | overflowed, counted |",
            "|---|---:|---:|---:|",
        ]
        for name, runs in results["flat_out"].items():
            rate = median(made["frames_per_second"] for made in runs)
            shares = [
                f"{made['lost'] / (made['lost'] + made['captured']):.0%}"
                for made in runs
                if "lost" in made
            ]
            share = sorted(shares)[len(shares) // 2] if shares else "not told"
            lines.append(f"| {name} | {rate / 1e6:.0f} | {rate / rtmixer:.2f} | {share} |")
    lines += ["", *(f"FAILED: {failure}" for failure in results["failures"])]
    return "\n".join(lines).rstrip()


def failures(results: dict[str, Any]) -> list[str]:
    """Name the runs whose report does not balance, or that lost frames in real time."""
    found = []
    for axis, cells in results.get("grid", {}).items():
        for count, runs in cells.items():
            found += [
                f"{axis} {count}: {made}"
                for made in runs
                if not made["balanced"] or made["lost"] or made["dropped"]
            ]
    for name, runs in results.get("flat_out", {}).items():
        found += [f"{name}: {made}" for made in runs if not made.get("balanced", True)]
    return found


def say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each run")
    parser.add_argument("--only", choices=["grid", "flat-out"])
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="print a report in Markdown")
    options = parser.parse_args()
    if options.run:
        name, *arguments, seconds = options.run
        print(json.dumps(RUNS[name](*arguments, float(seconds))))
        return
    results: dict[str, Any] = {
        "machine": machine.describe(),
        "rounds": options.rounds,
        "seconds": options.seconds,
    }
    bystanders = machine.Bystanders()
    if options.only != "flat-out":
        results["grid"] = grid(options.rounds, options.seconds)
    if options.only != "grid":
        results["flat_out"] = flat_out(options.rounds, options.seconds)
    results["others"] = bystanders.so_far()
    results["failures"] = failures(results)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    print(markdown(results) if options.markdown else json.dumps(results, indent=1))
    sys.exit(1 if results["failures"] else 0)


if __name__ == "__main__":
    main()
