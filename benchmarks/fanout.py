"""What do many sinks and many sources cost, and how much fits through flat out?

    fanout.py                       everything, some five minutes
    fanout.py --seconds 1           a quick look
    fanout.py --only flat-out
    fanout.py --keep                into RESULTS.md and results/fanout.json

Fan-out: virtual sources in real time, 48 kHz stereo, chunks and periods of 20 ms; every sink is a
callback with a worker thread of its own that does nothing. The CPU time is that of the whole
process (all threads, user and system), devices included, between two moments while it runs. The
cost of one more is the slope of the line through the measured points (least squares), and r² tells
how straight it is.

Flat out: an ALSA PCM of type null, which PortAudio reads as fast as its callback returns, to one
consumer that counts frames; what counts is what the consumer got. stream_audio (chunks of 1 s)
beside sounddevice (callback, copy, queue) and rtmixer (a ring buffer of 2**20 frames, of which all
that is there is read at once), with PortAudio's low latency (callbacks of 104 frames) and its high
one (417), interleaved, each in a fresh process. And the freewheeling virtual device, whose frames
are made by a C thread that waits for room. What did not fit into the ring must be counted to the
frame: a report that does not balance is a failure. The null device leaves its buffer as it is, so
there are samples in it that are no numbers; stream_audio finds and counts them, measures each
chunk's levels, and judges each packet, where the others copy.
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
from results import keep

TITLE = "Many sinks, many sources, flat out"
CONTENDERS = ("stream_audio", "rtmixer", "sounddevice")
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
FLAT_OUT_CHUNK = 1.0
FREEWHEEL = "freewheel"
FLAT_OUT = (
    *((name, latency) for latency in ("low", "high") for name in CONTENDERS),
    ("stream_audio", FREEWHEEL),
)
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


def flat_out_stream_audio(latency: Any, seconds: float) -> dict[str, Any]:
    """Count what one channel's consumer gets."""
    from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio, StreamConfig

    audio = (
        AudioSource.virtual("silence", pace="freewheel", period=4096)
        if latency == FREEWHEEL
        else AudioSource.device(NULL_DEVICE, sample_rate=RATE, channels=CHANNELS, latency=latency)
    )
    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("flat-out", audio).add_sink(channel)
    config = StreamConfig(chunk_duration=FLAT_OUT_CHUNK)
    session = builder.format(FormatPreset.NATIVE).config(config).start()
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


def flat_out_sounddevice(latency: str, seconds: float) -> dict[str, Any]:
    """Count what a consumer gets from a callback through a queue."""
    import sounddevice

    queue: SimpleQueue[Any] = SimpleQueue()

    def callback(data: Any, frames: int, time: Any, status: Any) -> None:
        queue.put(data.copy())

    with sounddevice.InputStream(
        device=NULL_DEVICE,
        samplerate=RATE,
        channels=CHANNELS,
        dtype="float32",
        latency=latency,
        callback=callback,
    ):
        for _ in range(50):
            queue.get()
        frames, began = 0, time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            frames += len(queue.get())
    return {"frames_per_second": frames / (now - began)}


def flat_out_rtmixer(latency: str, seconds: float) -> dict[str, Any]:
    """Count what a consumer reads from the ring buffer that a C callback fills."""
    import rtmixer

    ring = rtmixer.RingBuffer(CHANNELS * 4, RING_FRAMES)
    taken = np.empty((RING_FRAMES, CHANNELS), np.float32)
    with rtmixer.Recorder(
        device=NULL_DEVICE, samplerate=RATE, channels=CHANNELS, latency=latency
    ) as recorder:
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
            for name, latency in FLAT_OUT:
                say(f"{name}, {latency}")
                made = run(name, latency, seconds, environment=environment)
                figures[f"{name}, {latency}"].append(made)
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
        "Written by `scripts/bench fanout --keep`. "
        "How it measures stands at the top of `fanout.py`.",
        "",
        f"- {described['date']}; {results['rounds']} rounds of {results['seconds']} s, medians",
        f"- {described['cpu']}, {described['cores']} cores, {described['kernel']}, "
        f"Python {described['python']}",
        f"- other processes took {results['others']['cores_used_by_others']} cores on average",
        *(f"- FAILED: {failure}" for failure in results["failures"]),
    ]
    if "grid" in results:
        lines += ["", *grid_lines(results["grid"])]
    if "flat_out" in results:
        lines += ["", *flat_out_lines(results["flat_out"])]
    return "\n".join(lines)


def grid_lines(grid: dict[str, Any]) -> list[str]:
    """Return the table of what each sink and each source costs."""
    lines = ["### CPU, ms a second, 48 kHz stereo in chunks of 20 ms", ""]
    lines += ["| | " + " | ".join(map(str, COUNTS)) + " | one more costs | r² |"]
    lines += ["| --- |" + " ---: |" * (len(COUNTS) + 2)]
    for axis in ("sinks", "sources"):
        cells = {
            count: median(made["cpu_ms_per_second"] for made in runs)
            for count, runs in grid[axis].items()
        }
        slope, _, straight = line_through(cells)
        figures = " | ".join(f"{value:.1f}" for value in cells.values())
        lines.append(f"| {axis} | {figures} | {slope:.2f} | {straight:.3f} |")
    runs = grid["64 x 4"]["64"]
    cpu = median(made["cpu_ms_per_second"] for made in runs)
    lost = sum(made["lost"] + made["dropped"] for made in runs)
    return [
        *lines,
        "",
        f"64 sources with 4 sinks each: {cpu:.0f} ms a second, {lost} frames lost.",
    ]


def flat_out_lines(figures: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the table of what came through, beside rtmixer with the same latency."""
    lines = ["### Flat out, delivered to one consumer, stereo", ""]
    lines += ["| | latency | M frames/s | beside rtmixer | overflowed, counted |"]
    lines += ["|---|---|---:|---:|---:|"]
    for name, latency in FLAT_OUT:
        runs = figures[f"{name}, {latency}"]
        theirs = figures["rtmixer, " + ("high" if latency == FREEWHEEL else latency)]
        rate = median(made["frames_per_second"] for made in runs)
        ratio = rate / median(made["frames_per_second"] for made in theirs)
        overflowed = "not told"
        if "lost" in runs[0]:
            share = median(made["lost"] / (made["lost"] + made["captured"]) for made in runs)
            overflowed = f"{share:.0%}"
        lines.append(f"| {name} | {latency} | {rate / 1e6:.0f} | {ratio:.2f} | {overflowed} |")
    return lines


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
    parser.add_argument(
        "--keep", action="store_true", help="write the figures into results/ and RESULTS.md"
    )
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
    report = markdown(results)
    print(report)
    if options.keep:
        keep("fanout", TITLE, report, results)
    sys.exit(1 if results["failures"] else 0)


if __name__ == "__main__":
    main()
