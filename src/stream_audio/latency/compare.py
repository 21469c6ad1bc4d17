"""Other libraries beside this one, on the same device, under the same load, by the same measure.

Other libraries do not tell when the callback came that brought a block, and blocking reads hide
it. So here, for all alike, a block's lateness is measured: by how many frames the consumer was
behind the device when it had the block, less what it was behind by in its quickest hand-over. What
that took is in nobody's figure. How far the device was is known from this library in the parent
process, which records the same device meanwhile and is not under the load (:class:`Reference`);
for a device that cannot be opened twice, from its rate.

Frames that were lost leave a contender behind for good: so they are found by comparing a moment of
rest before the load with another one after it. What a block is compared with is the quickest of
those that *follow* it. So a contender that drops what it is late for is not charged with its
lateness, but with the loss. A contender that loses much looks quick.

``python -m stream_audio.latency.compare`` is one contender in a fresh process: it reads its
settings as JSON from standard input and prints what it found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stream_audio import FormatPreset, StreamAudio, StreamAudioError, StreamConfig
from stream_audio.contracts.source import Source
from stream_audio.latency.consumers import KINDS, Notes
from stream_audio.latency.figures import figures
from stream_audio.latency.loads import Load
from stream_audio.latency.peers import PEERS, Feed, Wanted
from stream_audio.waiting.clock import MonotonicClock

AHEAD = 64
"""Callbacks; so few that a device's clock is as good as ours meanwhile."""

SETTLE_SECONDS = 0.3
"""How long a stream may take to get going."""

REST_SECONDS = 0.7
"""Before and after the load: how long a contender is left alone to show its line."""

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Turn:
    """One contender's turn: blocks, as they came."""

    had: NDArray[np.float64]
    """When the consumer had each block; seconds."""
    ends: NDArray[np.int64]
    """Frames that had come with the end of each block."""
    start: float
    end: float
    """Between them the load ran, and blocks are counted."""
    cpu: float
    """Processor seconds a second, those of the load's threads left out."""


FramesAt = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""How many frames a device has given at which times; from any first frame on."""


def lateness(
    turn: Turn, frames_at: FramesAt, rate: float, period: int
) -> tuple[NDArray[np.float64], int]:
    """Return how late each block of the measured time was, in seconds, and how many frames lacked.

    Parameters
    ----------
    turn : Turn
        What a contender saw.
    frames_at : callable
        What the device gave.
    rate : float
        Frames a second.
    period : int
        Frames; losses are rounded to whole periods.
    """
    behind = frames_at(turn.had) - turn.ends
    # Losses before a block are in all that follow as well.
    least = np.minimum.accumulate(behind[::-1])[::-1]
    late = (behind - least) / rate
    # By when they were due, not by when they were had: those that waited through the end count.
    due = turn.had - late
    counted = (due >= turn.start) & (due < turn.end)
    before = (turn.had >= turn.start - REST_SECONDS) & (turn.had < turn.start)
    after = turn.had >= turn.end
    lost = 0
    if before.any() and after.any():
        moved = behind[after].min() - behind[before].min()
        lost = max(0, round(moved / period) * period)
    return late[counted], lost


def steady(rate: float) -> FramesAt:
    """Return a device that gives ``rate`` frames in every second."""
    return lambda times: times * rate


class Reference:
    """The same device, recorded by this process meanwhile. For a ``with`` block.

    Parameters
    ----------
    source : Source
        The device.
    period : int
        Frames.
    sample_rate : int
        Hz.
    """

    def __init__(self, source: Source, period: int, sample_rate: int) -> None:
        clock = MonotonicClock()
        self._notes = Notes(clock)
        sink = KINDS["router"].make(self._notes, clock, Path()).sink
        self._builder = (
            StreamAudio.builder()
            .add_source("reference", source)
            .add_sink(sink)
            .format(FormatPreset.NATIVE)
            .config(StreamConfig(chunk_duration=period / sample_rate))
        )
        self._sample_rate = sample_rate
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._builder.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def frames_at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far the device was; every frame counts that it lost or that was lost here."""
        ends = self._notes.ends
        due = without_lateness(self._notes.arrived, ends, self._sample_rate)
        return np.interp(times, due, ends)


def without_lateness(
    arrived: NDArray[np.float64], ends: NDArray[np.int64], rate: float
) -> NDArray[np.float64]:
    """Return when callbacks were due: the quickest of the next :data:`AHEAD` tells for each.

    One that is late by itself is thus put right; when the device stood still, all that follow are
    late, and stay so.
    """
    behind = arrived - ends / rate
    padded = np.concatenate([behind, np.full(AHEAD - 1, np.inf)])
    due: NDArray[np.float64] = ends / rate + sliding_window_view(padded, AHEAD).min(axis=1)
    return due


def true_rate(arrived: NDArray[np.float64], ends: NDArray[np.int64], nominal: float) -> float:
    """Return a device's frames a second from when callbacks came, and what frame they ended with.

    A straight line through the quickest callback of each tenth: those are late by the least.
    """
    if len(arrived) < 20:
        return nominal
    behind = arrived - ends / nominal
    tenths = np.array_split(np.arange(len(arrived)), 10)
    quickest = [part[np.argmin(behind[part])] for part in tenths]
    slope = np.polyfit(ends[quickest] - ends[0], behind[quickest] - behind[0], 1)[0]
    return float(1 / (1 / nominal + slope))


def take_turn(feed: Feed, load: Load, seconds: float) -> Turn:
    """Take blocks: at rest, then beside the load, then at rest until all has come."""
    had, blocks = array("d"), []
    start = end = float("inf")
    cpu = real = 0.0
    ended = threading.Event()

    def direct() -> None:
        # On a thread of its own: a consumer that gets nothing must not hold the load up.
        nonlocal start, end, cpu, real
        time.sleep(SETTLE_SECONDS + REST_SECONDS)
        with load:
            start = load.since  # by now, a thread that holds the GIL may have had it for long
            begun, used = time.monotonic(), time.process_time() - load.cpu_seconds
            time.sleep(seconds)
            cpu = time.process_time() - load.cpu_seconds - used
            real = time.monotonic() - begun
        end = time.monotonic()
        ended.set()

    director = threading.Thread(target=direct)
    director.start()
    until = float("inf")
    for block in feed.blocks:
        now = time.monotonic()
        had.append(now)
        blocks.append(len(feed.samples(block)))
        if ended.is_set() and until == float("inf"):
            until = now + REST_SECONDS
        if now >= until:
            break
    director.join()
    return Turn(np.array(had), np.cumsum(blocks), start, end, cpu / real)


class PeerError(StreamAudioError):
    """A contender's process failed; with its last words."""


def run_turn(
    name: str, wanted: Wanted, load: str, seconds: float, go_on: Callable[[float], bool]
) -> Turn | None:
    """Run one contender in a fresh process; ``None`` if ``go_on`` ended it.

    Raises
    ------
    PeerError
        It failed, or hung.
    """
    request = {"name": name, "wanted": asdict(wanted), "load": load, "seconds": seconds}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the other
    )
    began = time.monotonic()
    said: bytes | None = json.dumps(request).encode()
    with process:
        try:
            while True:
                try:
                    output, errors = process.communicate(said, timeout=0.1)
                    break
                except subprocess.TimeoutExpired:
                    said = None  # it has been sent
                passed = time.monotonic() - began
                if not go_on(passed):
                    return None
                if passed > TIMEOUT_SECONDS + seconds:
                    raise PeerError(f"{name} hung")
        finally:
            process.kill()  # does nothing if it has ended
    if process.returncode != 0:
        words = " / ".join(errors.decode(errors="replace").splitlines()[-3:])
        raise PeerError(f"{name} failed", host_text=words)
    answer = json.loads(output)
    answer["had"] = np.array(answer["had"])
    answer["ends"] = np.array(answer["ends"])
    return Turn(**answer)


def comparison(
    turns: Sequence[Turn], frames_at: FramesAt, rate: float, period: int
) -> dict[str, Any]:
    """Return one contender's figures over its turns."""
    results = [lateness(turn, frames_at, rate, period) for turn in turns]
    return {
        "turns": len(turns),
        "lateness": figures(np.concatenate([late for late, _ in results])),
        "lost_frames": sum(lost for _, lost in results),
        "frames": round(sum((turn.end - turn.start) * rate for turn in turns)),
        "cpu": float(np.median([turn.cpu for turn in turns])),
    }


def main() -> None:
    """Be one contender."""
    request = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # ALSA and JACK talk on both
    _, open_stream = PEERS[request["name"]]
    load = Load(request["load"])
    with open_stream(Wanted(**request["wanted"])) as feed:
        turn = take_turn(feed, load, request["seconds"])
    with answer:
        json.dump(
            {**asdict(turn), "had": turn.had.tolist(), "ends": turn.ends.tolist()},
            answer,
        )


if __name__ == "__main__":
    main()
