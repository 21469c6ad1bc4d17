"""The kinds of consumer, and what each notes of every chunk. A new kind is one entry of KINDS."""

from __future__ import annotations

import os
import threading
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio import AudioChunk, CallbackSink, ChannelSink, FileSink, SinkInfo
from stream_audio.waiting.clock import Clock


class Notes:
    """When each chunk's last callback came, when the consumer had the chunk, and when it was due.

    One thread writes. All times are in seconds of the session's clock.
    """

    def __init__(self, clock: Clock, delay: float = 0.0) -> None:
        self._clock = clock
        self._delay = delay
        self._arrived = array("d")
        self._had = array("d")
        self._due = array("d")
        self._ends = array("q")

    def note(self, chunk: AudioChunk) -> None:
        """Take a chunk: it is in the consumer's hands now."""
        self.hesitate()
        self.note_at(chunk, self._clock.now())

    def hesitate(self) -> None:
        """Wait before a chunk counts, if that was asked for."""
        if self._delay:
            self._clock.sleep(self._delay)

    def note_at(self, chunk: AudioChunk, now: float) -> None:
        """Take a chunk that the consumer had at ``now``."""
        self._arrived.append(chunk.arrival)
        self._had.append(now)
        self._due.append(chunk.time + chunk.frames / chunk.sample_rate)
        self._ends.append(chunk.end)

    @property
    def arrived(self) -> NDArray[np.float64]:
        """When the callback was entered that brought the chunk's last frame."""
        return np.array(self._arrived)

    @property
    def latencies(self) -> NDArray[np.float64]:
        """From there until the consumer had the chunk."""
        latencies: NDArray[np.float64] = np.array(self._had) - self.arrived
        return latencies

    @property
    def ends(self) -> NDArray[np.int64]:
        """The position of the first frame after the chunk."""
        return np.array(self._ends)

    @property
    def errors(self) -> NDArray[np.float64]:
        """How much later that callback came than the delay-locked loop expected it."""
        errors: NDArray[np.float64] = self.arrived - np.array(self._due)
        return errors


class Consumer:
    """A sink whose chunks are noted, and the thread that consumes them, if it has one."""

    def __init__(self, notes: Notes, sink: Any, run: Callable[[], None] | None = None) -> None:
        self.notes = notes
        self.sink = sink
        self._run = run
        self._failed: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start consuming, before the session starts."""
        if self._run is not None:
            self._thread = threading.Thread(target=self._consume, name="consumer", daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait for the end, after the session has stopped."""
        if self._thread is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _consume(self) -> None:
        assert self._run is not None
        try:
            self._run()
        except BaseException as error:
            self._failed = error


class _RoutersOwn:
    """A sink that is written to on the router's thread."""

    blocking = False

    def __init__(self, notes: Notes) -> None:
        self.write = notes.note


class _NotedFile:
    """A FileSink whose frames are noted once the file has grown by them.

    That is when another process can read them. They are then in the system's memory; when they
    reach the disk is the system's business.
    """

    def __init__(self, notes: Notes, clock: Clock, path: Path) -> None:
        self._file = FileSink(path, subtype="FLOAT")
        self._notes = notes
        self._clock = clock
        self._waiting: deque[tuple[int, AudioChunk]] = deque()
        self._bytes = 0

    def start(self, info: SinkInfo) -> None:
        """Create the file: what is in it then is its header."""
        self._file.start(info)
        self._bytes = os.path.getsize(self._file.path)

    def write(self, chunk: AudioChunk) -> None:
        """Write a chunk, and note those that are in the file."""
        self._notes.hesitate()
        self._file.write(chunk)
        silence = sum(gap.frames for gap in chunk.gaps)
        self._bytes += (chunk.frames + silence) * chunk.channels * 4
        self._waiting.append((self._bytes, chunk))
        self._note_written()

    def stop(self) -> None:
        """Complete the file."""
        self._file.stop()
        self._note_written()

    def _note_written(self) -> None:
        size = os.path.getsize(self._file.path)
        now = self._clock.now()
        while self._waiting and self._waiting[0][0] <= size:
            self._notes.note_at(self._waiting.popleft()[1], now)


def _router(notes: Notes, clock: Clock, folder: Path) -> Consumer:
    return Consumer(notes, _RoutersOwn(notes))


def _channel(notes: Notes, clock: Clock, folder: Path) -> Consumer:
    channel = ChannelSink()

    def consume() -> None:
        for chunk in channel:
            notes.note(chunk)

    return Consumer(notes, channel, consume)


def _callback(notes: Notes, clock: Clock, folder: Path) -> Consumer:
    return Consumer(notes, CallbackSink(notes.note))


def _async_for(notes: Notes, clock: Clock, folder: Path) -> Consumer:
    import asyncio

    channel: Any = ChannelSink()

    async def consume() -> None:
        async for chunk in channel:
            notes.note(chunk)

    return Consumer(notes, channel, lambda: asyncio.run(consume()))


def _file(notes: Notes, clock: Clock, folder: Path) -> Consumer:
    return Consumer(notes, _NotedFile(notes, clock, folder / "latency.wav"))


@dataclass(frozen=True)
class Kind:
    """A kind of consumer.

    Attributes
    ----------
    make : callable
        Makes one from notes, the session's clock and a folder for files.
    description : str
        What its figures run to.
    available : bool
        Whether this version of the library has it.
    """

    make: Callable[[Notes, Clock, Path], Consumer]
    description: str
    available: bool = True


KINDS: dict[str, Kind] = {
    "router": Kind(_router, "a sink on the router's own thread"),
    "channel": Kind(_channel, "for chunk in channel"),
    "callback": Kind(_callback, "the function of a CallbackSink"),
    "async": Kind(_async_for, "async for chunk in channel", hasattr(ChannelSink, "__aiter__")),
    "file": Kind(_file, "the frames can be read from the file"),
}


def available_kinds() -> tuple[str, ...]:
    """Return the kinds that this version of the library has."""
    return tuple(name for name, kind in KINDS.items() if kind.available)
