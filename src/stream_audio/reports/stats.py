"""A session's figures while it runs: cheap enough to be asked for ten times a second."""

from __future__ import annotations

import math
from typing import Any

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.reports.histogram import Histogram


@public
class SourceStats(Record):
    """How one source stands.

    Attributes
    ----------
    captured, lost, paused, synthetic, position, sample_rate : int
        As in :class:`SourceReport`.
    ring_seconds : float
        Audio that waits in the ring for the router.
    ring_highest_seconds : float
        The most that ever waited there.
    ring_capacity_seconds : float
        What fits; beyond it frames are lost.
    xruns : int
        Callbacks that carried the host's overflow flag (a hint, not a loss).
    callbacks : int
        Callbacks that have been read.
    callback_durations : Histogram
        How long each took in this library.
    peak, rms : tuple of float
        Levels of the newest chunk, dBFS, by channel; ``-inf`` for silence, empty before the first.
    """

    captured: int
    lost: int
    paused: int
    synthetic: int
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


@public
class SinkStats(Record):
    """How one sink stands.

    Attributes
    ----------
    offered, delivered, dropped, pending : int
        As in :class:`SinkReport`, in frames.
    backlog_seconds : float
        Audio that waits for the sink, in memory or spilled to disk; a channel's is what is unread.
    backlog_highest_seconds : float
        The most that ever waited.
    backlog_bytes : int
        Memory that the waiting chunks take.
    spilled_bytes : int
        What of them stands on disk.
    write_times : Histogram
        How long each ``write`` took that came back without an error; empty for a channel, or
        another sink with ``blocking = False``.
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
    """How a session stands.

    Attributes
    ----------
    time : float
        When the figures were taken, ``time.monotonic()`` seconds.
    sources : dict of str to SourceStats
        By source id.
    sinks : dict of str to SinkStats
        By sink name; without those that were removed.
    """

    time: float
    sources: dict[str, SourceStats]
    sinks: dict[str, SinkStats]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings; a level of silence is ``None``."""
        return {
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
        Rings and packet records, allocated whole at the start.
    blocks : int
        What the readers write chunks into: about a second of audio a source, and as much again to
        be written to next. Chunks are views of these, so whoever keeps a chunk keeps its block.
    backlogs : int
        Chunks that wait for sinks, each counted at every sink it waits for, though the samples
        are shared.
    backlogs_at_most : int
        The sum of the backlogs' limits.
    histories : int
        Chunks kept for :meth:`Session.last` and for triggers' replays.
    sinks : int
        What the sinks say that they hold (``memory_bytes``), a trigger's pre-roll for example.
    spilled : int
        Bytes of waiting chunks that stand on disk, not in memory.
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
        """Bytes in memory now, shared samples counted more than once."""
        return self.rings + self.blocks + self.backlogs + self.histories + self.sinks


def _plain(stats: SourceStats | SinkStats) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in vars(stats).items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Histogram):
        return value.to_dict()
    if isinstance(value, tuple):
        return [each if math.isfinite(each) else None for each in value]
    return value
