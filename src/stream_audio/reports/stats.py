"""A session's figures while it runs: cheap enough to be asked for ten times a second."""

from __future__ import annotations

import math
from typing import Any, Literal

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.reports.histogram import Histogram
from stream_audio.reports.schema import SCHEMA


@public
class SourceStats(Record):
    """Figures of one source at one moment.

    Attributes
    ----------
    captured, lost, paused, synthetic, idle, position, sample_rate : int
        As in :class:`SourceReport`.
    ring_seconds : float
        Audio that waits in the ring for the router.
    ring_highest_seconds : float
        The most that ever waited there.
    ring_capacity_seconds : float
        Audio that fits into the ring; beyond that frames are lost.
    xruns : int
        Callbacks with the host's overflow flag (a hint, not a loss).
    callbacks : int
        Callbacks that have been read.
    callback_durations : Histogram
        How long each callback took in this library.
    peak, rms : tuple of float
        Levels of the newest chunk, dBFS, by channel; ``-inf`` for silence, empty before the first.
    state : "running", "lost" or "ended"
        Whether its device delivers, is waited for, or nothing will follow.
    openings_given_up : int
        Attempts to open a lost device that hung, as with a wedged driver.
    """

    captured: int
    lost: int
    paused: int
    synthetic: int
    idle: int
    position: int
    sample_rate: int
    ring_seconds: float
    ring_highest_seconds: float
    ring_capacity_seconds: float
    xruns: int
    callbacks: int
    callback_durations: Histogram
    peak: tuple[float, ...]
    rms: tuple[float, ...]
    state: Literal["running", "lost", "ended"] = "running"
    openings_given_up: int = 0


@public
class SinkStats(Record):
    """Figures of one sink at one moment.

    Attributes
    ----------
    offered, delivered, dropped, pending : int
        As in :class:`SinkReport`, in frames.
    backlog_seconds : float
        Audio that waits for the sink, in memory or on disk; for a channel, unread audio.
    backlog_highest_seconds : float
        The most that ever waited.
    backlog_bytes : int
        Memory that the waiting chunks take.
    spilled_bytes : int
        Bytes of waiting chunks that are on disk.
    write_times : Histogram
        How long each ``write`` without an error took; empty for a channel, or another sink with
        ``blocking = False``.
    retries : int
        How often a chunk was tried again.
    """

    offered: int
    delivered: int
    dropped: int
    pending: int
    backlog_seconds: float
    backlog_highest_seconds: float
    backlog_bytes: int
    spilled_bytes: int
    write_times: Histogram
    retries: int


@public
class SessionStats(Record):
    """Figures of a session at one moment.

    Attributes
    ----------
    time : float
        When the figures were taken, ``time.monotonic()`` seconds.
    sources : dict of str to SourceStats
        By source id.
    sinks : dict of str to SinkStats
        By sink name, without removed sinks.
    """

    time: float
    sources: dict[str, SourceStats]
    sinks: dict[str, SinkStats]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings; a level of silence is ``None``."""
        return {
            "schema": SCHEMA,
            "time": self.time,
            "sources": {name: _plain(source) for name, source in self.sources.items()},
            "sinks": {name: _plain(sink) for name, sink in self.sinks.items()},
        }

    def to_json(self) -> str:
        """Return :meth:`to_dict` as one line of JSON."""
        import json

        return json.dumps(self.to_dict(), allow_nan=False)


@public
class MemoryUse(Record):
    """The memory of a session's audio, in bytes; all of it is bounded.

    Attributes
    ----------
    rings : int
        Rings and packet records, allocated in full at the start.
    blocks : int
        Blocks that the readers write chunks into: about a second of audio for each source, and the
        same again for the next block. Chunks are views of blocks, so a kept chunk keeps its block.
    backlogs : int
        Chunks that wait for sinks. Each counts once for every sink that it waits for, though the
        sinks share its samples.
    backlogs_at_most : int
        The sum of the backlogs' limits.
    histories : int
        Chunks kept for :meth:`Session.last` and for triggers' replays.
    sinks : int
        Memory that the sinks report (``memory_bytes``), such as a trigger's pre-roll.
    spilled : int
        Bytes of waiting chunks that are on disk, not in memory.
    """

    rings: int
    blocks: int
    backlogs: int
    backlogs_at_most: int
    histories: int
    sinks: int
    spilled: int

    @property
    def total(self) -> int:
        """Bytes in memory now; shared samples count more than once."""
        return self.rings + self.blocks + self.backlogs + self.histories + self.sinks


def _plain(stats: SourceStats | SinkStats) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in vars(stats).items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Histogram):
        return value.to_dict()
    if isinstance(value, tuple):
        return [each if math.isfinite(each) else None for each in value]
    return value
