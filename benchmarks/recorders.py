"""One recorder's CPU time, in a process of its own: ``recorders.py NAME SECONDS``.

Each records 48 kHz stereo to a 16-bit WAV file. What counts is ``time.process_time()``, all
threads, user and system, between two moments while it records; imports and opening are before.
JACK's own thread in the process is part of it, for all alike; ``bare-callback`` is a stream whose
callback, in C, does nothing, and shows how much that is.

Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import soundfile
from contenders import WANTED
from cycles import CHANNELS, DEVICE, RATE

from stream_audio.latency.peers import RTMIXER_RING_FRAMES

WARM_UP_SECONDS = 0.5
READ_FRAMES = RATE // 10
BARE = "bare-callback"


@contextmanager
def stream_audio(path: Path) -> Iterator[None]:
    from stream_audio import AudioSource, FileSink, FormatPreset, StreamAudio

    builder = StreamAudio.builder().add_source("cycles", AudioSource.device(DEVICE))
    with builder.add_sink(FileSink(path), format=FormatPreset.NATIVE).start():
        yield


@contextmanager
def sounddevice_callback(path: Path) -> Iterator[None]:
    """The way of sounddevice's own example rec_unlimited.py, its periods those of the host."""
    import sounddevice

    queue: SimpleQueue[Any] = SimpleQueue()

    def callback(data: Any, frames: int, time: Any, status: Any) -> None:
        queue.put(data.copy())

    def write() -> None:
        with _wav(path) as file:
            while (block := queue.get()) is not None:
                file.write(block)

    with (
        _thread(write, lambda: queue.put(None)),
        sounddevice.InputStream(**WANTED.sounddevice(), dtype="float32", callback=callback),
    ):
        yield


@contextmanager
def sounddevice_read(path: Path) -> Iterator[None]:
    import sounddevice

    stopping = threading.Event()

    def write() -> None:
        with _wav(path) as file:
            while not stopping.is_set():
                file.write(stream.read(READ_FRAMES)[0])

    with (
        sounddevice.InputStream(**WANTED.sounddevice(), dtype="float32") as stream,
        _thread(write, stopping.set),
    ):
        yield


@contextmanager
def rtmixer(path: Path) -> Iterator[None]:
    import numpy as np
    import rtmixer

    ring = rtmixer.RingBuffer(CHANNELS * 4, RTMIXER_RING_FRAMES)
    taken = np.empty((RTMIXER_RING_FRAMES, CHANNELS), np.float32)
    stopping = threading.Event()

    def write() -> None:
        with _wav(path) as file:
            while not stopping.wait(READ_FRAMES / RATE):
                file.write(taken[: ring.readinto(taken)])

    with (
        rtmixer.Recorder(**WANTED.sounddevice()) as recorder,
        _thread(write, stopping.set),
    ):
        recorder.record_ringbuffer(ring)
        yield


@contextmanager
def bare_callback(path: Path) -> Iterator[None]:
    import rtmixer

    with rtmixer.Recorder(**WANTED.sounddevice()):
        yield


@contextmanager
def _thread(run: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


def _wav(path: Path) -> soundfile.SoundFile:
    return soundfile.SoundFile(path, "w", RATE, CHANNELS, "PCM_16")


RECORDERS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "stream_audio": stream_audio,
    "sounddevice-callback": sounddevice_callback,
    "sounddevice-read": sounddevice_read,
    "rtmixer": rtmixer,
    BARE: bare_callback,
}


def cpu_of(name: str, seconds: float, path: Path) -> dict[str, float]:
    """Record, and return CPU ms a second of audio."""
    with RECORDERS[name](path):
        time.sleep(WARM_UP_SECONDS)
        cpu, real = time.process_time(), time.monotonic()
        time.sleep(seconds)
        cpu, real = time.process_time() - cpu, time.monotonic() - real
    if name != BARE and soundfile.info(path).duration < seconds:
        raise RuntimeError(f"the file of {name} is not complete")
    return {"cpu_ms": round(cpu / real * 1000, 3)}


def main(name: str, seconds: float) -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # ALSA and JACK talk on both
    with tempfile.TemporaryDirectory(prefix="stream-audio-") as folder:
        result = cpu_of(name, seconds, Path(folder, "recording.wav"))
    with answer:
        json.dump(result, answer)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
