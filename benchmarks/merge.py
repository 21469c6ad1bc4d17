"""Merges two drifting devices with this library, and with ffmpeg's `aresample=async` and `amix`.

Both hear one tone of the world, by clocks that are 400 ppm apart. The figures are CPU time for a
second of each source, how far the two are apart in the end, and how much of the merged sound is
not what the world says. ffmpeg gets the same frames with the same time stamps, in a Matroska file
for each device: what a person would record and hand to it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_audio import AudioSource, FormatPreset, Merge, StreamAudio, StreamConfig
from stream_audio.testing import VirtualClock

RATE = 48_000
PERIOD = 480
DRIFTS = (200.0, -200.0)
FREQUENCY = 997.0
JITTER = 1e-3
Samples = NDArray[np.float64]


class Collector:
    """A sink that keeps samples."""

    def __init__(self) -> None:
        self.pieces: list[NDArray[np.float32]] = []

    def write(self, chunk: object) -> None:
        self.pieces.append(np.array(chunk))


def a_tone(drift_ppm: float, channels: int, seed: int) -> object:
    """Return a device that hears a sine of the world, whatever the drift of its clock."""
    return AudioSource.virtual(
        "sine",
        sample_rate=RATE,
        channels=channels,
        period=PERIOD,
        frequency=FREQUENCY / (1 + drift_ppm * 1e-6),
        level=-12.0,
        drift_ppm=drift_ppm,
        jitter=JITTER,
        seed=seed,
    )


def session(seconds: float, channels: int, merge: Merge | None) -> tuple[Samples, float]:
    """Run a session on the virtual clock; returns what is merged, and the CPU seconds."""
    sink = Collector()
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).duration(seconds)
    for index, drift_ppm in enumerate(DRIFTS):
        builder.add_source(f"mic{index}", a_tone(drift_ppm, channels, index))
    builder.config(StreamConfig(clock=VirtualClock()))
    if merge is None:
        builder.add_sink(sink, sources="mic0")
        builder.add_sink(Collector(), sources="mic1")
    else:
        builder.add_sink(sink, merge=merge)
    before = time.process_time()
    with builder as running:
        running.wait()
    spent = time.process_time() - before
    return np.concatenate(sink.pieces).astype(np.float64), spent


def by_ffmpeg(seconds: float, channels: int) -> tuple[Samples, float]:
    """Let ffmpeg do the same with the same frames; returns what is merged, and CPU seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs: list[str] = []
        for index, drift_ppm in enumerate(DRIFTS):
            path = folder / f"{index}.mkv"
            write_stamped(path, seconds, channels, drift_ppm)
            inputs += ["-i", str(path)]
        graph = "".join(f"[{i}:a]aresample=async=1000:first_pts=0[a{i}];" for i in range(2))
        graph += "[a0][a1]amix=inputs=2:normalize=0"
        raw = folder / "out.raw"
        command = ["ffmpeg", "-nostdin", "-v", "fatal", *inputs, "-filter_complex", graph]
        command += ["-f", "f32le", str(raw)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        merged = np.fromfile(raw, np.float32).reshape(-1, channels)
    return merged.astype(np.float64), spent


def write_stamped(path: Path, seconds: float, channels: int, drift_ppm: float) -> None:
    """Write what the device delivers with the world's time stamps, through PyAV."""
    import av

    rate = RATE * (1 + drift_ppm * 1e-6)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_f32le", rate=RATE)
        layout = "stereo" if channels == 2 else "mono"
        stream.layout = layout
        for start in range(0, int(seconds * rate), PERIOD):
            at = (start + np.arange(PERIOD)) / rate
            wave = 10 ** (-12 / 20) * np.sin(2 * np.pi * FREQUENCY * at)
            packed = np.repeat(wave.astype(np.float32)[:, None], channels, axis=1)
            frame = av.AudioFrame.from_ndarray(packed.reshape(1, -1), "flt", layout)
            frame.sample_rate = RATE
            # The stream counts frames; the time stamp is when the world has the first of them.
            frame.pts = round(start / rate * RATE)
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)


def noise_db(samples: Samples, frequency: float = FREQUENCY) -> float:
    """Return what is not the tone in the second half, in dB of the tone; a notch of ±20 Hz."""
    half = samples[len(samples) // 2 :, 0]
    half = half[: len(half) // RATE * RATE]
    window = np.blackman(len(half))
    power = np.abs(np.fft.rfft(half * window)) ** 2
    hertz = np.fft.rfftfreq(len(half), 1 / RATE)
    near = np.abs(hertz - frequency) <= 20
    return float(10 * np.log10(power[~near & (hertz > 20)].sum() / power[near].sum()))


def offset_us(samples: Samples) -> float:
    """Return how far the two are apart in the last second, by how much their sum has lost.

    Two equal tones that are a phase apart add up to twice the cosine of half of it.
    """
    last = samples[-2 * RATE : -RATE, 0]
    turns = 2 * np.pi * FREQUENCY * np.arange(len(last)) / RATE
    level = 2 * np.hypot(np.mean(last * np.sin(turns)), np.mean(last * np.cos(turns)))
    whole = 2 * 10 ** (-12 / 20)
    return float(2 * np.arccos(min(1.0, level / whole)) / (2 * np.pi * FREQUENCY) * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    wanted = parser.parse_args()
    seconds = wanted.seconds
    print("| | channels | CPU, ms a second and source | apart, µs | noise, dB |")
    print("|---|---|---|---|---|")
    for channels in (1, 2):
        session(5, channels, Merge())  # loads what has to be loaded
        _, bare = session(seconds, channels, None)
        merged, spent = session(seconds, channels, Merge())
        own = (spent - bare) / seconds / len(DRIFTS) * 1e3
        row = f"{own:.2f} | {offset_us(merged):.0f} | {noise_db(merged):.1f} |"
        print(f"| stream-audio, beyond a session without a merge | {channels} | {row}")
        if shutil.which("ffmpeg") is None:
            print("ffmpeg is not installed", file=sys.stderr)
            continue
        merged, spent = by_ffmpeg(seconds, channels)
        own = spent / seconds / len(DRIFTS) * 1e3
        row = f"{own:.2f} | {offset_us(merged):.0f} | {noise_db(merged):.1f} |"
        print(f"| ffmpeg, aresample=async=1000 and amix | {channels} | {row}")


if __name__ == "__main__":
    main()
