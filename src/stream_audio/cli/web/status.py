"""What the page shows of a session: levels, spectrum, losses, takes and files."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from typing import Any

import numpy as np

from stream_audio import (
    AudioChunk,
    FileClosed,
    GapDetected,
    Session,
    SinkFailed,
    SourceLost,
    SourceRecovered,
    SourceSwitched,
    StreamEvent,
)
from stream_audio.cli.levels import SourceLevels, state_after

SPECTRUM_FRAMES = 2048
BANDS = 48
LOWEST_HZ = 40.0
QUIETEST = -100
"""dBFS at the bottom of the spectrum."""
MOST_SHOWN = 50
"""Losses, takes and files that are listed; the newest ones."""

_WINDOW = np.hanning(SPECTRUM_FRAMES).astype(np.float32)


class WatchedSource:
    """What is known of one source."""

    def __init__(self, device: str, channels: int) -> None:
        self.levels = SourceLevels()
        self.channels = channels
        self.takes: deque[dict[str, Any]] = deque([{"device": device, "at": 0.0}], MOST_SHOWN)
        self._is_shown = False
        self._newest: deque[np.ndarray] = deque()
        self._frames = 0

    def add(self, chunk: AudioChunk) -> None:
        """Take a chunk, the first since the last look being what peaks begin with."""
        if self._is_shown:
            self.levels.peaks, self._is_shown = [], False
        self.levels.add(chunk, time.monotonic())
        mono = chunk.data.mean(axis=1)[-SPECTRUM_FRAMES:]
        self._newest.append(mono)
        self._frames += len(mono)
        while self._frames - len(self._newest[0]) >= SPECTRUM_FRAMES:
            self._frames -= len(self._newest.popleft())

    def look(self, sample_rate: int) -> dict[str, Any]:
        """Return levels and spectrum; the next chunk begins anew."""
        self._is_shown = True
        now = time.monotonic()
        levels = self.levels
        return {
            "state": levels.state,
            "peak": [_level(each) for each in levels.peaks],
            "held": [_level(each) for each in levels.held],
            "clips": [levels.clips(each, now) for each in range(len(levels.clipped))],
            "clipped": levels.clipped,
            "spectrum": self._spectrum(sample_rate),
        }

    def _spectrum(self, sample_rate: int) -> list[int]:
        """Return the highest dBFS in each of :data:`BANDS` bands of equal width in octaves."""
        if self._frames < SPECTRUM_FRAMES:
            return []
        samples = np.concatenate(self._newest)[-SPECTRUM_FRAMES:]
        # A full-scale sine is 0 dBFS: its amplitude is half the sum of the window.
        amplitudes = np.abs(np.fft.rfft(samples * _WINDOW)) / (_WINDOW.sum() / 2)
        width = sample_rate / SPECTRUM_FRAMES
        edges = np.geomspace(LOWEST_HZ, sample_rate / 2, BANDS + 1) / width
        first = edges[:-1].astype(int)
        last = np.maximum(first + 1, np.ceil(edges[1:]).astype(int))
        highest = (
            float(amplitudes[low:high].max()) for low, high in zip(first, last, strict=True)
        )
        return [max(QUIETEST, round(20 * math.log10(max(each, 1e-9)))) for each in highest]


class Status:
    """A session as the page shows it.

    :meth:`react` runs on the session's thread for events, the rest on the server's.
    """

    def __init__(self) -> None:
        self.sources: dict[str, WatchedSource] = {}
        self._session: Session | None = None
        self._without: tuple[str, ...] = ()
        self._events: deque[StreamEvent] = deque(maxlen=1000)  # should the server be stuck
        self._losses: deque[dict[str, Any]] = deque(maxlen=MOST_SHOWN)
        self._files: deque[dict[str, Any]] = deque(maxlen=MOST_SHOWN)
        self._failed: dict[str, str] = {}

    def begin(self, session: Session, without: tuple[str, ...]) -> None:
        """Show a session; of its sinks all but those that only show something."""
        report = session.report()
        self.sources = {
            id: WatchedSource(each.device, each.channels) for id, each in report.sources.items()
        }
        self._session, self._without = session, without

    def react(self, event: StreamEvent) -> None:
        """Note what happened."""
        self._events.append(event)

    def catch_up(self) -> None:
        """Take in what has happened since the last call."""
        while self._session is not None and self._events:
            self._note(self._session, self._events.popleft())

    def _note(self, session: Session, event: StreamEvent) -> None:
        at = event.time - session.started_at
        source = self.sources.get(getattr(event, "source", ""))
        if source is not None:
            source.levels.state = state_after(event) or source.levels.state
        if isinstance(event, GapDetected) and event.sink not in self._without:
            where = event.sink or event.gap.source
            frames = event.gap.frames + event.further_frames
            self._losses.append(
                {"at": at, "where": where, "frames": frames, "cause": event.gap.cause}
            )
        elif isinstance(event, (SourceRecovered, SourceSwitched)) and source is not None:
            source.takes.append({"device": event.device, "at": at})
        elif isinstance(event, SourceLost):
            self._losses.append({"at": at, "where": event.source, "cause": event.reason})
        elif isinstance(event, FileClosed):
            self._files.append({"name": event.path.name, "frames": event.frames})
        elif isinstance(event, SinkFailed) and event.detached:
            self._failed[event.sink] = str(event.error)

    def look(self, **more: Any) -> str:
        """Return all of it as JSON, with ``more``."""
        assert self._session is not None
        session = self._session
        self.catch_up()
        stats = session.stats()
        sources = [
            {
                "id": id,
                "rate": of_it.sample_rate,
                "channels": source.channels,
                "seconds": of_it.position / of_it.sample_rate,
                "lost": of_it.lost,
                "takes": list(source.takes),
                **source.look(of_it.sample_rate),
            }
            for id, source in self.sources.items()
            if (of_it := stats.sources.get(id)) is not None
        ]
        sinks = [
            {
                "name": name,
                "delivered": sink.delivered,
                "dropped": sink.dropped,
                "waiting": round(sink.backlog_seconds, 1),
                "error": self._failed.get(name, ""),
            }
            for name, sink in stats.sinks.items()
            if name not in self._without
        ]
        return json.dumps(
            {
                "running": session.running,
                "sources": sources,
                "sinks": sinks,
                "files": list(self._files),
                "losses": list(self._losses),
                **more,
            }
        )


def _level(level: float) -> float | None:
    return round(level, 1) if math.isfinite(level) else None
