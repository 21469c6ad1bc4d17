"""How other libraries deliver captured audio: each is written as its documentation shows.

None is needed; those that are installed can be compared with.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio.contracts.sink import Sink
from stream_audio.contracts.source import Source

Samples = NDArray[np.float32]

RTMIXER_RING_FRAMES = 1 << 20
RTMIXER_POLL_SECONDS = 0.001


@dataclass(frozen=True)
class Wanted:
    """What is opened, the same for all.

    Attributes
    ----------
    device : str
        A device's name.
    host_api : str
        Its host API.
    sample_rate, channels, period : int
        Hz; channels; frames of a block.
    """

    device: str
    host_api: str
    sample_rate: int
    channels: int
    period: int

    def source(self) -> Source:
        """Return it as a source of this library."""
        from stream_audio import AudioSource

        return AudioSource.device(
            f"{self.device}, {self.host_api}",
            sample_rate=self.sample_rate,
            channels=self.channels,
            period=self.period,
        )

    def sounddevice(self) -> dict[str, Any]:
        """Return the settings of a stream of sounddevice or rtmixer."""
        return {
            "device": f"{self.device}, {self.host_api}",
            "samplerate": self.sample_rate,
            "channels": self.channels,
            "blocksize": self.period,
            "latency": "low",
        }


@dataclass(slots=True)
class Feed:
    """An open stream: its blocks, an iterator without end, and how to look into one afterwards."""

    blocks: Any
    samples: Callable[[Any], Samples] = lambda block: block


@contextmanager
def stream_audio(
    wanted: Wanted,
    switch_interval: float | None = None,
    *,
    asynchronous: bool = False,
    beside: Sequence[Sink] = (),
) -> Iterator[Feed]:
    """Iterate over a channel; ``asynchronous``: with ``async for``; ``beside``: other sinks."""
    from stream_audio import ChannelSink, FormatPreset, StreamAudio, StreamConfig

    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("peer", wanted.source())
    builder.format(FormatPreset.NATIVE)
    chunk_duration = wanted.period / wanted.sample_rate
    config = StreamConfig(chunk_duration=chunk_duration, switch_interval=switch_interval)
    for sink in beside:
        builder.add_sink(sink)
    with builder.add_sink(channel).config(config).start():
        blocks = aiter(channel) if asynchronous else iter(channel)
        yield Feed(blocks, lambda chunk: chunk.data)


@contextmanager
def sounddevice_callback(wanted: Wanted) -> Iterator[Feed]:
    """Let a callback in Python put blocks into a queue."""
    import sounddevice

    queue: SimpleQueue[Samples] = SimpleQueue()

    def callback(data: Samples, frames: int, time: Any, status: Any) -> None:
        queue.put(data.copy())

    with sounddevice.InputStream(**wanted.sounddevice(), dtype="float32", callback=callback):
        yield Feed(endless(queue.get))


@contextmanager
def sounddevice_read(wanted: Wanted) -> Iterator[Feed]:
    """Read block by block."""
    import sounddevice

    with sounddevice.InputStream(**wanted.sounddevice(), dtype="float32") as stream:
        yield Feed(endless(lambda: stream.read(wanted.period)[0]))


@contextmanager
def rtmixer(wanted: Wanted) -> Iterator[Feed]:
    """Record into its ring in C; look every ms and take all that is there in one call.

    All at once takes fewer turns for the GIL than block by block.
    """
    import rtmixer  # pyright: ignore[reportMissingImports]

    frame_bytes = wanted.channels * 4
    block_bytes = wanted.period * frame_bytes
    ring = rtmixer.RingBuffer(frame_bytes, RTMIXER_RING_FRAMES)
    taken = memoryview(bytearray(RTMIXER_RING_FRAMES * frame_bytes))

    def blocks() -> Iterator[bytes]:
        while True:
            size = ring.readinto(taken) * frame_bytes
            for start in range(0, size, block_bytes):
                yield bytes(taken[start : start + block_bytes])
            time.sleep(RTMIXER_POLL_SECONDS)

    with rtmixer.Recorder(**wanted.sounddevice()) as recorder:
        recorder.record_ringbuffer(ring)
        yield Feed(blocks(), _from_bytes(wanted.channels))


@contextmanager
def pyaudio_read(wanted: Wanted) -> Iterator[Feed]:
    """Read block by block."""
    import pyaudio

    host = pyaudio.PyAudio()
    apis = map(host.get_host_api_info_by_index, range(host.get_host_api_count()))
    api = next(api["index"] for api in apis if api["name"] == wanted.host_api)
    devices = map(host.get_device_info_by_index, range(host.get_device_count()))
    index = next(
        device["index"]
        for device in devices
        if device["name"] == wanted.device and device["hostApi"] == api
    )
    stream = host.open(
        wanted.sample_rate,
        wanted.channels,
        pyaudio.paFloat32,
        input=True,
        input_device_index=int(index),
        frames_per_buffer=wanted.period,
    )

    def read() -> bytes:
        block: bytes = stream.read(wanted.period, exception_on_overflow=False)
        return block

    try:
        yield Feed(endless(read), _from_bytes(wanted.channels))
    finally:
        stream.close()
        host.terminate()


def endless(get: Callable[[], Any]) -> Iterator[Any]:
    """Yield what ``get()`` gives, for ever."""
    while True:
        yield get()


def _from_bytes(channels: int) -> Callable[[bytes], Samples]:
    return lambda block: np.frombuffer(block, np.float32).reshape(-1, channels)


OURS = "stream_audio"

PEERS: dict[str, tuple[str, Callable[[Wanted], AbstractContextManager[Feed]]]] = {
    OURS: ("stream_audio", stream_audio),
    "sounddevice-callback": ("sounddevice", sounddevice_callback),
    "sounddevice-read": ("sounddevice", sounddevice_read),
    "rtmixer": ("rtmixer", rtmixer),
    "pyaudio-read": ("pyaudio", pyaudio_read),
}
"""By name: the package that must be installed, and the stream."""

PEER_PACKAGES = ("sounddevice", "rtmixer", "PyAudio")
"""As PyPI calls them."""


def installed_peers() -> tuple[str, ...]:
    """Return the names of those whose package is installed, ours first."""
    return tuple(name for name, (package, _) in PEERS.items() if importlib.util.find_spec(package))
