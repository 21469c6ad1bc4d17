"""One contender's latency run, in a process of its own: ``contenders.py NAME LOAD SECONDS``.

Every contender gives blocks of one period to the same loop, which runs on the main thread, notes
``time.monotonic_ns()`` when it has a block in Python's hands, and does nothing else with it. The
load starts once the stream runs, and lasts until the loop has caught up with the end of the
measured time, so that what a contender holds back is measured too. Each contender is written the
way its documentation shows (stream_audio.latency.peers), with the settings that serve it best.

Those named ``-asyncio`` give their blocks to the same loop as an ``async for``: stream_audio's
channel, and the recipe that sounddevice's documentation shows for ``asyncio``.

Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from cycles import CHANNELS, COUNTER_FRAMES, DEVICE, PERIOD, RATE
from numpy.typing import NDArray

from stream_audio.latency import peers
from stream_audio.latency.loads import Load

if TYPE_CHECKING:
    from stream_audio import Sink

WARM_UP_NS = 300_000_000
SETTLE_NS = 300_000_000
PATIENCE_NS = 10_000_000_000
"""How long a contender may lag behind before what it still owes counts as lost."""

LOADS = ("none", "other-processes", "gil-python", "gil-c")
"""Of stream_audio.latency.loads."""

SHORT_SWITCH_INTERVAL = 0.0005
WANTED = peers.Wanted(DEVICE, "JACK Audio Connection Kit", RATE, CHANNELS, PERIOD)

Samples = peers.Samples


@dataclass(slots=True)
class Feed:
    """An open stream: its blocks without end, and how to look into one afterwards."""

    blocks: Iterator[Any] | AsyncIterator[Any]
    samples: Callable[[Any], Samples] = lambda block: block
    last_frame: Callable[[Any], int] | None = None
    notes: Callable[[list[Any]], dict[str, Any]] = lambda blocks: {}

    def end_of(self, block: Any) -> int:
        """Return the frame count that a block ends with, modulo ``COUNTER_FRAMES``."""
        if self.last_frame is not None:
            return self.last_frame(block)
        return int(frame_numbers(self.samples(block)[-1:])[0])


def frame_numbers(samples: Samples) -> NDArray[np.int64]:
    """Return the frame count that each sample of the left channel stands for."""
    return np.rint(samples[:, 0].astype(np.float64) * COUNTER_FRAMES).astype(np.int64)


# ---- the contenders ----


@contextmanager
def stream_audio(
    switch_interval: float | None = None,
    *,
    asynchronous: bool = False,
    beside: Sequence[Sink] = (),
) -> Iterator[Feed]:
    with peers.stream_audio(
        WANTED, switch_interval, asynchronous=asynchronous, beside=beside
    ) as feed:
        yield Feed(feed.blocks, feed.samples, notes=stream_audio_notes)


@contextmanager
def beside_a_file() -> Iterator[Feed]:
    """The same channel, while all is recorded, too."""
    from stream_audio import FileSink

    with (
        tempfile.TemporaryDirectory() as folder,
        stream_audio(beside=[FileSink(Path(folder) / "recording.wav")]) as feed,
    ):
        yield feed


def stream_audio_notes(chunks: list[Any]) -> dict[str, Any]:
    """Return when callbacks came, and how what the chunks say compares with what they hold."""
    arrivals = [round(chunk.arrival * 1e9) for chunk in chunks]
    first = next(index for index, chunk in enumerate(chunks) if chunk.data.any())  # connected
    chunks = chunks[first:]
    shift = int(frame_numbers(chunks[0].data)[0]) - chunks[0].frame
    unexplained = stale = 0
    for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
        said = (chunk.frame + shift + np.arange(chunk.frames)) % COUNTER_FRAMES
        held = frame_numbers(chunk.data)
        wrong = int(np.count_nonzero(said != held))
        # JACK's own doing: a cycle that came late may still hold the samples of the one before.
        beside_gap = chunk.gaps or (following is not None and following.gaps)
        if beside_gap and np.array_equal((said - PERIOD) % COUNTER_FRAMES, held):
            stale += wrong
        else:
            unexplained += wrong
    reported = sum(gap.frames for chunk in chunks[1:] for gap in chunk.gaps)
    causes = sorted({str(gap.cause) for chunk in chunks[1:] for gap in chunk.gaps})
    return {
        "arrival_ns": arrivals,
        "reported_lost": reported,
        "causes": causes,
        "stale": stale,
        "unexplained": unexplained,
    }


@contextmanager
def peer(name: str) -> Iterator[Feed]:
    """Open another library's stream, as the latency script does."""
    _, open_stream = peers.PEERS[name]
    with open_stream(WANTED) as feed:
        yield Feed(feed.blocks, feed.samples)


@contextmanager
def sounddevice_asyncio() -> Iterator[Feed]:
    import sounddevice

    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Samples] = asyncio.Queue()

    def callback(data: Samples, frames: int, time: Any, status: Any) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, data.copy())

    async def blocks() -> AsyncIterator[Samples]:
        while True:
            yield await queue.get()

    with sounddevice.InputStream(**WANTED.sounddevice(), dtype="float32", callback=callback):
        yield Feed(blocks())


@contextmanager
def floor(switch_interval: float | None = None) -> Iterator[Feed]:
    """No audio at all: a thread that wakes at each period and hands it to the main thread.

    What remains is what the interpreter costs anyone who has a thread take blocks in and another
    one consume them. A block is the time, in ns, at which it was due.
    """
    if switch_interval is not None:
        sys.setswitchinterval(switch_interval)
    queue: SimpleQueue[int] = SimpleQueue()
    stopping = threading.Event()
    period_ns = PERIOD * 1_000_000_000 // RATE

    def wake() -> None:
        due = time.monotonic_ns() + period_ns
        while not stopping.is_set():
            time.sleep(max(0, due - time.monotonic_ns()) * 1e-9)
            now = time.monotonic_ns()
            while due <= now:
                queue.put(due)
                due += period_ns

    thread = threading.Thread(target=wake)
    thread.start()
    try:
        yield Feed(peers.endless(queue.get), last_frame=lambda due: due * RATE // 10**9)
    finally:
        stopping.set()
        thread.join()


@contextmanager
def floor_asyncio() -> Iterator[Feed]:
    """The same on an event loop: the thread rings what the loop waits for, a future is set."""
    loop = asyncio.get_running_loop()
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    due: deque[int] = deque()
    waiter: asyncio.Future[None] | None = None
    stopping = threading.Event()
    period_ns = PERIOD * 1_000_000_000 // RATE

    def wake() -> None:
        at = time.monotonic_ns() + period_ns
        while not stopping.is_set():
            time.sleep(max(0, at - time.monotonic_ns()) * 1e-9)
            now = time.monotonic_ns()
            while at <= now:
                due.append(at)
                at += period_ns
            os.eventfd_write(bell, 1)

    def rung() -> None:
        os.eventfd_read(bell)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def blocks() -> AsyncIterator[int]:
        nonlocal waiter
        while True:
            while not due:
                waiter = loop.create_future()
                await waiter
            yield due.popleft()

    loop.add_reader(bell, rung)
    thread = threading.Thread(target=wake)
    thread.start()
    try:
        yield Feed(blocks(), last_frame=lambda at: at * RATE // 10**9)
    finally:
        stopping.set()
        thread.join()
        loop.remove_reader(bell)
        os.close(bell)


CONTENDERS: dict[str, Callable[[], AbstractContextManager[Feed]]] = {
    "stream_audio": stream_audio,
    "stream_audio-file": beside_a_file,
    "stream_audio-asyncio": lambda: stream_audio(asynchronous=True),
    "sounddevice-asyncio": sounddevice_asyncio,
    **{name: partial(peer, name) for name in peers.PEERS if name != peers.OURS},
    "floor": floor,
    "floor-asyncio": floor_asyncio,
    "stream_audio-switch": lambda: stream_audio(SHORT_SWITCH_INTERVAL),
    "floor-switch": lambda: floor(SHORT_SWITCH_INTERVAL),
}


# ---- the one loop ----


@dataclass(slots=True)
class Run:
    """What the loop saw; the measured time is ``start_ns <= t < end_ns``."""

    start_ns: int = 0
    end_ns: int = 0
    times_ns: list[int] = field(default_factory=list)
    blocks: list[Any] = field(default_factory=list)


class Watch:
    """Takes note of each block: at first alone, then beside the load, until all has been seen."""

    def __init__(self, feed: Feed, load: Load, seconds: float) -> None:
        self.run = Run()
        self._feed = feed
        self._load = load
        self._seconds = seconds
        self._warm_ns = time.monotonic_ns() + WARM_UP_NS
        self._end_frame = 0

    def take(self, block: Any) -> bool:
        """Note a block; False once the end of the measured time has been seen."""
        run = self.run
        now = time.monotonic_ns()
        run.times_ns.append(now)
        run.blocks.append(block)
        if now < self._warm_ns or now < run.end_ns:
            return True
        if not run.end_ns:
            self._begin(block, now)
            return True
        ahead = (self._feed.end_of(block) - self._end_frame) % COUNTER_FRAMES
        return ahead >= COUNTER_FRAMES // 2 and now < run.end_ns + PATIENCE_NS

    def _begin(self, block: Any, now: int) -> None:
        self._load.start()
        run = self.run
        run.start_ns = time.monotonic_ns() + SETTLE_NS
        run.end_ns = run.start_ns + round(self._seconds * 1e9)
        # By content, because a block may come long after its time.
        frames_left = (run.end_ns - now) * RATE // 10**9
        self._end_frame = self._feed.end_of(block) + frames_left


def consume(feed: Feed, load: Load, seconds: float) -> Run:
    """Take blocks until the end of the measured time has been seen."""
    assert isinstance(feed.blocks, Iterator)
    watch = Watch(feed, load, seconds)
    for block in feed.blocks:
        if not watch.take(block):
            break
    load.stop()
    return watch.run


async def consume_on_loop(name: str, load: Load, seconds: float) -> tuple[Feed, Run]:
    """The same on an event loop."""
    with CONTENDERS[name]() as feed:
        assert isinstance(feed.blocks, AsyncIterator)
        watch = Watch(feed, load, seconds)
        async for block in feed.blocks:
            if not watch.take(block):
                break
        load.stop()
        return feed, watch.run


def result_of(feed: Feed, run: Run) -> dict[str, Any]:
    """Return what the parent needs, as plain numbers."""
    result: dict[str, Any] = {
        "start_ns": run.start_ns,
        "end_ns": run.end_ns,
        "times_ns": run.times_ns,
    }
    if feed.last_frame is not None:
        return result | {"due_ns": run.blocks}
    numbers = [frame_numbers(feed.samples(block)) for block in run.blocks]
    every = np.concatenate(numbers)
    breaks = np.flatnonzero(np.diff(every) != 1) + 1
    starts = [0, *breaks.tolist()]
    lengths = np.diff([*starts, len(every)])
    return {
        **result,
        "last_frames": [int(block[-1]) for block in numbers],
        "runs": [[int(every[at]), int(n)] for at, n in zip(starts, lengths, strict=True)],
        **feed.notes(run.blocks),
    }


def main(name: str, load: str, seconds: float) -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # ALSA and JACK talk on both
    if name.endswith("-asyncio"):
        feed, run = asyncio.run(consume_on_loop(name, Load(load), seconds))
    else:
        with CONTENDERS[name]() as feed:
            run = consume(feed, Load(load), seconds)
    with answer:
        json.dump(result_of(feed, run), answer)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
