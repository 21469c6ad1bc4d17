"""One measurement: a session, its consumers, and what they noted.

Every chunk is measured from its own callback, whenever its consumer gets to it. So a consumer
that stands still for a second is charged with a second for the chunk that came first, and with
what it was late for each of those that came meanwhile: nothing is omitted because it waited
("coordinated omission"). Chunks that never came to a consumer have no latency; they are counted as
lost.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio import (
    AudioChunk,
    DeviceError,
    FormatPreset,
    Histogram,
    Session,
    SessionReport,
    StreamAudio,
    StreamAudioBuilder,
    StreamConfig,
)
from stream_audio.contracts.source import Source
from stream_audio.latency.consumers import KINDS, Consumer, Notes
from stream_audio.latency.figures import figures, figures_of_histogram, hdr
from stream_audio.latency.loads import Load
from stream_audio.latency.machine import thread_classes
from stream_audio.waiting.clock import Clock, MonotonicClock

SOURCE = "measured"
WARM_UP = 0.5
"""Seconds that do not count: the loop locks, memory is touched, a host gets going."""

SHORTEST_CHUNK = 0.0005
LOOK = 0.05
SILENCE = 5.0
"""Seconds without a first callback after which a device is taken to deliver nothing."""


@dataclass(frozen=True)
class Format:
    """What a source turned out to deliver.

    Attributes
    ----------
    sample_rate : int
        Frames a second.
    channels : int
        Channels of a frame.
    period : int
        Frames a callback; where they vary, the mean.
    """

    sample_rate: int
    channels: int
    period: int


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is measured.

    Attributes
    ----------
    source : Source
        Where audio comes from.
    format : Format
        What the source delivers, as :func:`look_at` finds it.
    chunk : int
        Frames a chunk.
    load : str
        A key of :data:`stream_audio.latency.loads.LOADS`.
    delay : float
        Seconds that each consumer sleeps with every chunk before it counts as had; to check the
        instrument.
    switch_interval : float, optional
        As for :class:`stream_audio.StreamConfig`.
    clock : Clock
        For tests, a virtual one.
    warm_up : float
        Seconds at the beginning that do not count.
    """

    source: Source
    format: Format
    chunk: int
    load: str = "none"
    delay: float = 0.0
    switch_interval: float | None = None
    clock: Clock
    warm_up: float = WARM_UP


@dataclass(frozen=True)
class Measured:
    """What came of one session."""

    setup: Setup
    kinds: tuple[str, ...]
    notes: dict[str, Notes]
    window: tuple[float, float]
    """Callbacks in it are counted; seconds of the clock."""
    callbacks: Histogram
    report: SessionReport
    cpu: float
    """Processor seconds a second, those of the load's threads left out."""
    threads: dict[str, int]


GoOn = Callable[[float], bool]
"""Told the seconds that have passed; False ends it early."""


def measure(setup: Setup, kinds: Sequence[str], seconds: float, go_on: GoOn) -> Measured:
    """Run one session with consumers of those kinds for so many seconds after the warm-up.

    It ends earlier if ``go_on`` says so, or the source ends.
    """
    clock = setup.clock
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="stream-audio-")))
        consumers = {
            kind: KINDS[kind].make(Notes(clock, setup.delay), clock, folder) for kind in kinds
        }
        load = Load(setup.load, folder)
        with _builder(setup, consumers).start() as session:
            for consumer in consumers.values():
                consumer.start()
            _wait(session, clock, setup.warm_up, go_on)
            with load:
                began = _Mark(session, load, clock)
                _wait(session, clock, seconds, lambda passed: go_on(setup.warm_up + passed))
                ended = _Mark(session, load, clock)
                threads = thread_classes()
        for consumer in consumers.values():
            consumer.join()
    notes = {kind: consumer.notes for kind, consumer in consumers.items()}
    report = session.report()
    return Measured(
        setup=setup,
        kinds=tuple(kinds),
        notes=notes,
        window=_window(setup, notes, began, ended),
        callbacks=Histogram(
            ended.callbacks.edges, ended.callbacks.counts - began.callbacks.counts
        ),
        report=report,
        cpu=(ended.cpu - began.cpu) / max(ended.real - began.real, 1e-9),
        threads=threads,
    )


class _Mark:
    """How things stand at a moment."""

    def __init__(self, session: Session, load: Load, clock: Clock) -> None:
        self.now = clock.now()
        self.real = time.monotonic()
        self.cpu = time.process_time() - load.cpu_seconds
        self.callbacks = session.stats().sources[SOURCE].callback_durations
        self.running = session.running


def _builder(setup: Setup, consumers: dict[str, Consumer]) -> StreamAudioBuilder:
    builder = StreamAudio.builder().add_source(SOURCE, setup.source).format(FormatPreset.NATIVE)
    for kind, consumer in consumers.items():
        builder.add_sink(consumer.sink, name=kind)
    return builder.config(
        StreamConfig(
            chunk_duration=setup.chunk / setup.format.sample_rate,
            switch_interval=setup.switch_interval,
            clock=setup.clock,
        )
    )


def _wait(session: Session, clock: Clock, seconds: float, go_on: GoOn) -> None:
    began = clock.now()
    while (passed := clock.now() - began) < seconds and session.running and go_on(passed):
        session.wait(min(LOOK, seconds - passed))


def _window(
    setup: Setup, notes: dict[str, Notes], began: _Mark, ended: _Mark
) -> tuple[float, float]:
    """Return the times between which callbacks count."""
    if setup.load != "none":
        begin = began.now
    else:
        arrivals = [note.arrived[0] for note in notes.values() if len(note.arrived)]
        begin = min(arrivals, default=began.now) + setup.warm_up
    return begin, (ended.now if ended.running else math.inf)


def look_at(source: Source, clock: Clock | None = None) -> Format:
    """Return what a source delivers, from a moment of it.

    Raises
    ------
    DeviceError
        It delivers nothing.
    StreamAudioError
        It cannot be opened.
    """
    clock = clock or MonotonicClock()
    first = _First()
    config = StreamConfig(chunk_duration=SHORTEST_CHUNK, clock=clock)
    builder = StreamAudio.builder().add_source(SOURCE, source).format(FormatPreset.NATIVE)
    with builder.add_sink(first).config(config).start() as session:
        until = time.monotonic() + SILENCE
        while session.running and not first.seen_enough and time.monotonic() < until:
            session.wait(LOOK)
    if len(first.ends) < 2:
        raise DeviceError(
            f"the device delivered nothing in {SILENCE:g} s",
            hint="Check that it is connected and not muted; stream-audio devices lists them all",
        )
    arrivals = list(first.ends)
    frames = first.ends[arrivals[-1]] - first.ends[arrivals[0]]
    return Format(first.sample_rate, first.channels, round(frames / (len(arrivals) - 1)))


class _First:
    """A sink that looks at the first callbacks."""

    blocking = False
    callbacks = 32
    seconds = 0.25

    def __init__(self) -> None:
        self.sample_rate = self.channels = self._frames = 0
        self.ends: dict[float, int] = {}
        """When a callback came, and how many frames had come with it, lost ones left out."""

    def write(self, chunk: AudioChunk) -> None:
        self.sample_rate, self.channels = chunk.sample_rate, chunk.channels
        self._frames += chunk.frames
        self.ends[chunk.arrival] = self._frames

    @property
    def seen_enough(self) -> bool:
        arrivals = list(self.ends)
        return (
            len(arrivals) >= self.callbacks and arrivals[-1] - arrivals[0] >= self.seconds
        ) or len(arrivals) >= 10 * self.callbacks


# ---- to figures ----


def summary(parts: Sequence[Measured], *, encode: bool = False) -> dict[str, Any]:
    """Return the figures of sessions of one setup, with one consumer or more each.

    Parameters
    ----------
    parts : sequence of Measured
        At least one.
    encode : bool
        Whether durations are added as encoded HdrHistograms, where hdrhistogram is installed.
    """
    setup = parts[0].setup
    found: dict[str, Any] = {
        "load": setup.load,
        "sample_rate": setup.format.sample_rate,
        "channels": setup.format.channels,
        "period": setup.format.period,
        "chunk": setup.chunk,
        "callback_to": {"ring": figures_of_histogram(_all_callbacks(parts))},
        "cpu": {},
        "ring_highest": max(part.report.sources[SOURCE].ring_highest for part in parts),
        "threads": parts[0].threads,
        "balanced": all(part.report.balanced for part in parts),
    }
    lost: Counter[str] = Counter()
    for part in parts:
        found["cpu"]["+".join(part.kinds)] = part.cpu
        lost.update(_lost(part))
        for kind, notes in part.notes.items():
            arrived, latencies = _inside(part.window, notes.arrived, notes.latencies)
            found["callback_to"][kind] = figures(latencies, arrived)
            if encode and (encoded := hdr(latencies)):
                found["callback_to"][kind]["hdr"] = encoded
    found["lost"] = dict(lost)
    found["lost_frames"] = sum(lost.values())
    found |= _timing(parts)
    return found


def _timing(parts: Sequence[Measured]) -> dict[str, Any]:
    """Return how evenly the callbacks came, where a chunk ends with a callback."""
    setup = parts[0].setup
    if setup.chunk % setup.format.period:
        return {"period_jitter": None, "dll_error": None}
    part = parts[0]
    notes = next(iter(part.notes.values()))
    arrived, errors = _inside(part.window, notes.arrived, notes.errors)
    nominal = setup.chunk / setup.format.sample_rate
    return {
        "period_jitter": figures(np.abs(np.diff(arrived) - nominal), arrived[1:]),
        "dll_error": figures(np.abs(errors), arrived),
    }


def _all_callbacks(parts: Sequence[Measured]) -> Histogram:
    counts = sum(part.callbacks.counts for part in parts)
    return Histogram(parts[0].callbacks.edges, np.asarray(counts))


def _inside(
    window: tuple[float, float], arrived: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counted = (arrived >= window[0]) & (arrived < window[1])
    return arrived[counted], values[counted]


def _lost(part: Measured) -> Counter[str]:
    """Count frames by the cause of their loss, in the window."""
    report = part.report
    gaps = [gap for source in report.sources.values() for gap in source.gaps]
    gaps += [gap for sink in report.sinks.values() for gap in sink.gaps]
    lost: Counter[str] = Counter()
    for gap in gaps:
        if part.window[0] <= gap.time < part.window[1]:
            lost[str(gap.cause)] += gap.frames
    return lost
