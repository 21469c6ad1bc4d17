"""What a second of audio costs to write as WAV, beside libsndfile through soundfile.

Both write the same chunks to the same folder, in one process, in rounds in each of which another
begins. Counted is the CPU time of the process, user and system: the disk's own time is the same
for both. What each wrote is read back and compared, once.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import compiled
import machine
import numpy as np
import soundfile
from report import table

from stream_audio.files.create import IfExists, create
from stream_audio.files.encoder import SAMPLE_BYTES
from stream_audio.files.wav import WavWriter

RATE = 48_000
SECONDS = 60
CHUNKS = {"100 ms": RATE // 10, "10 ms": RATE // 100}
CHANNELS = (1, 2, 8)
OURS, THEIRS = "stream_audio", "soundfile"

Chunks = list[Any]
Write = Callable[[Path, str, Chunks], None]


def by_us(path: Path, subtype: str, chunks: Chunks) -> None:
    file = create(path, if_exists=IfExists.OVERWRITE)
    writer = WavWriter(file.descriptor, RATE, chunks[0].shape[1], subtype, {})
    for chunk in chunks:
        writer.write(chunk)
    writer.close()


def by_soundfile(path: Path, subtype: str, chunks: Chunks) -> None:
    channels = chunks[0].shape[1]
    with soundfile.SoundFile(path, "w", RATE, channels, subtype, format="WAV") as file:
        for chunk in chunks:
            file.write(chunk)


WRITERS: dict[str, Write] = {OURS: by_us, THEIRS: by_soundfile}


def kinds() -> Iterator[tuple[str, str, str, int]]:
    """Yield what is written: the chunks' length and type, the file's type and channels."""
    for length in CHUNKS:
        for dtype, subtypes in {"float32": SAMPLE_BYTES, "int16": ["PCM_16"]}.items():
            for subtype in subtypes:
                for channels in CHANNELS:
                    yield length, dtype, subtype, channels


def chunks_of(length: str, dtype: str, channels: int) -> Chunks:
    """Return a minute of noise at -20 dBFS, of which a second repeats, each time elsewhere."""
    random = np.random.default_rng(0)
    second = (0.1 * random.standard_normal((RATE, channels))).astype(np.float32)
    if dtype == "int16":
        second = np.round(second * 2**15).astype(np.int16)
    return [
        np.ascontiguousarray(chunk)
        for _ in range(SECONDS)
        for chunk in np.array_split(second, RATE // CHUNKS[length])
    ]


def cpu_seconds(write: Write, path: Path, subtype: str, chunks: Chunks) -> float:
    began = time.process_time()
    write(path, subtype, chunks)
    taken = time.process_time() - began
    os.unlink(path)
    return taken


def check(folder: Path, subtype: str, chunks: Chunks) -> None:
    """Fail unless both wrote the same, to a step: between two integers either is right."""
    found = {}
    for name, write in WRITERS.items():
        write(folder / name, subtype, chunks[:10])
        found[name], _ = soundfile.read(folder / name, dtype="float64")
        os.unlink(folder / name)
    step = 2.0 ** (1 - min(24, 8 * SAMPLE_BYTES[subtype]))
    apart = np.abs(found[OURS] - found[THEIRS]).max()
    if apart > step:
        raise SystemExit(f"{subtype}: the files differ by {apart}")


def main() -> None:
    wanted = compiled.options(__doc__, rounds=9)
    bystanders = machine.Bystanders()
    figures = []
    rows = []
    with tempfile.TemporaryDirectory(prefix="stream-audio-") as folder:
        path = Path(folder) / "a.wav"
        for length, dtype, subtype, channels in kinds():
            chunks = chunks_of(length, dtype, channels)
            check(Path(folder), subtype, chunks)
            taken: dict[str, list[float]] = {name: [] for name in WRITERS}
            for number in range(wanted.rounds):
                order = list(WRITERS) if number % 2 else list(WRITERS)[::-1]
                for name in order:
                    taken[name].append(cpu_seconds(WRITERS[name], path, subtype, chunks))
            speed = {name: SECONDS / statistics.median(each) for name, each in taken.items()}
            ratio = speed[OURS] / speed[THEIRS]
            figures.append(
                {"chunk": length, "dtype": dtype, "subtype": subtype, "channels": channels}
                | {"speed": speed, "seconds": taken}
            )
            rows.append(
                [f"{length}, {dtype} → {subtype}", str(channels)]
                + [f"{speed[name]:.0f}x" for name in WRITERS]
                + [f"{ratio:.2f}"]
            )
            print(*rows[-1], flush=True)
    ratios = [one["speed"][OURS] / one["speed"][THEIRS] for one in figures]
    met = "met" if min(ratios) >= 1 else "NOT MET"
    paragraphs = [
        f"Times real time on one core (CPU time, user and system) for {SECONDS} s of "
        f"{RATE // 1000} kHz noise, each the median over the rounds, and their ratio.",
        table(["chunks", "channels", *WRITERS, "ratio"], rows),
        f"- as fast as libsndfile, whatever is written: {met} (lowest ratio {min(ratios):.2f}, "
        f"median {statistics.median(ratios):.2f})",
    ]
    compiled.tell(wanted, "files", "WAV files", paragraphs, {"kinds": figures}, bystanders)


if __name__ == "__main__":
    main()
