"""How each library is opened for ``peers.py``: one function a library, as its documentation shows.

Each opens the default input, or the one named, and yields blocks of one channel, float32, without
end, with the settings that serve it best. ``position`` is where a library itself says that its
timeline has come to, where it says so.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
BLOCK = 480
RING_SECONDS = 30
"""What is allotted to rtmixer's ring, as long as ours."""


@dataclass(slots=True)
class Open:
    """An open stream: its rate, its blocks, and the end of what it has delivered, if it says."""

    sample_rate: int
    blocks: Iterator[Samples]
    position: Callable[[], int | None] = lambda: None
    said: Callable[[], str | None] = lambda: None
    """The event of a loss, where the library tells of one beside the audio."""


@contextmanager
def stream_audio(device: str | None) -> Iterator[Open]:
    from stream_audio import AudioSource, ChannelSink, FormatPreset, SourceLost, StreamEvent
    from stream_audio import open as open_session

    source = AudioSource.default_device() if device is None else AudioSource.device(device)
    channel, at = ChannelSink(), [0]
    told: list[str | None] = [None]

    def note(event: StreamEvent) -> None:
        if isinstance(event, SourceLost):
            told[0] = "SourceLost"

    def blocks() -> Iterator[Samples]:
        for chunk in channel:
            at[0] = chunk.end
            yield chunk.data[:, 0]

    sinks = [(channel, FormatPreset.NATIVE)]
    with open_session(source, sinks=sinks, on_event=note) as session:
        rate = session.report().sources["default"].sample_rate
        yield Open(rate, blocks(), lambda: at[0], lambda: told[0])


@contextmanager
def sounddevice(device: str | None) -> Iterator[Open]:
    """With a callback in Python, which is what its documentation begins with."""
    import sounddevice

    queue: SimpleQueue[Samples] = SimpleQueue()

    def callback(data: Samples, frames: int, time: Any, status: Any) -> None:
        queue.put(data[:, 0].copy())

    with sounddevice.InputStream(device=device, samplerate=48_000, channels=2, callback=callback):
        yield Open(48_000, (queue.get() for _ in itertools.count()))


@contextmanager
def rtmixer(device: str | None) -> Iterator[Open]:
    import rtmixer  # pyright: ignore[reportMissingImports]

    ring = rtmixer.RingBuffer(8, 1 << (48_000 * RING_SECONDS).bit_length())

    def blocks() -> Iterator[Samples]:
        while True:
            while ring.read_available >= BLOCK:
                yield np.frombuffer(ring.read(BLOCK), np.float32)[::2]
            time.sleep(0.001)

    with rtmixer.Recorder(device=device, samplerate=48_000, channels=2) as recorder:
        recorder.record_ringbuffer(ring)
        yield Open(48_000, blocks())


@contextmanager
def pyaudio(device: str | None) -> Iterator[Open]:
    import pyaudio

    host = pyaudio.PyAudio()
    found = map(host.get_device_info_by_index, range(host.get_device_count()))
    index = next((d["index"] for d in found if device is not None and d["name"] == device), None)
    if device is not None and index is None:
        raise LookupError(f"no device {device}")
    stream = host.open(
        format=pyaudio.paFloat32,
        channels=2,
        rate=48_000,
        input=True,
        input_device_index=index,
        frames_per_buffer=BLOCK,
    )

    def blocks() -> Iterator[Samples]:
        while True:
            data = stream.read(BLOCK, exception_on_overflow=False)
            yield np.frombuffer(data, np.float32)[::2]

    try:
        yield Open(48_000, blocks())
    finally:
        stream.close()
        host.terminate()


@contextmanager
def pvrecorder(device: str | None) -> Iterator[Open]:
    """Its rate is 16 kHz, always."""
    from pvrecorder import PvRecorder  # pyright: ignore[reportMissingImports]

    names = PvRecorder.get_available_devices()
    index = -1 if device is None else next(i for i, name in enumerate(names) if device in name)
    recorder = PvRecorder(frame_length=512, device_index=index)
    recorder.start()

    def blocks() -> Iterator[Samples]:
        while True:
            yield np.asarray(recorder.read(), np.float32) / 32768

    try:
        yield Open(recorder.sample_rate, blocks())
    finally:
        recorder.delete()


@contextmanager
def soundcard(device: str | None) -> Iterator[Open]:
    import soundcard  # pyright: ignore[reportMissingImports]

    if device is None:
        microphone = soundcard.default_microphone()
    else:
        microphone = soundcard.get_microphone(device, include_loopback=True)

    with microphone.recorder(samplerate=48_000, channels=2, blocksize=BLOCK) as recorder:

        def blocks() -> Iterator[Samples]:
            while True:
                yield recorder.record(numframes=BLOCK)[:, 0].astype(np.float32)

        yield Open(48_000, blocks())


@contextmanager
def flexaudio(device: str | None) -> Iterator[Open]:
    import flexaudio  # pyright: ignore[reportMissingImports]

    ids = {one.name: one.id for one in flexaudio.devices()}
    wanted = None if device is None else next(ids[name] for name in ids if device in name)
    at: list[int | None] = [None]

    with flexaudio.open("mic", device_id=wanted, output_rate=48_000, output_channels=2) as stream:

        def blocks() -> Iterator[Samples]:
            while True:
                chunk = stream.poll_chunk()
                if chunk is None:
                    time.sleep(0.001)
                    continue
                at[0] = chunk.frame_index + chunk.frames
                yield np.frombuffer(chunk.data, np.float32)[::2]

        yield Open(48_000, blocks(), lambda: at[0])


@contextmanager
def decibri(device: str | None) -> Iterator[Open]:
    import decibri  # pyright: ignore[reportMissingImports]

    microphone = decibri.Microphone(
        sample_rate=48_000, channels=1, frames_per_buffer=BLOCK, dtype="float32", device=device
    )
    with microphone:

        def blocks() -> Iterator[Samples]:
            for data in microphone:
                yield np.frombuffer(bytes(data), np.float32)

        yield Open(48_000, blocks())


Opener = Callable[[str | None], AbstractContextManager[Open]]

OPENERS: dict[str, tuple[str, Opener]] = {
    "stream-audio": ("stream_audio", stream_audio),
    "sounddevice": ("sounddevice", sounddevice),
    "rtmixer": ("rtmixer", rtmixer),
    "PyAudio": ("pyaudio", pyaudio),
    "pvrecorder": ("pvrecorder", pvrecorder),
    "SoundCard": ("soundcard", soundcard),
    "flexaudio": ("flexaudio", flexaudio),
    "decibri": ("decibri", decibri),
}
"""By the library's name: the module to import, and how it is opened."""
