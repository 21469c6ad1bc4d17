"""How a source comes into a running session, and how it leaves; on any thread.

What may take its time, the opening and stopping of a device and the start of sinks, is done on the
calling thread. The router's part is a moment between two turns, so the other sources lose nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.config import StreamConfig
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, ReopenedSource, Source, follows
from stream_audio.devices.changes import subscribe
from stream_audio.engine.delivery import Delivery
from stream_audio.engine.figures import source_report
from stream_audio.engine.recovery import Recovery
from stream_audio.engine.roster import Leaving, Roster
from stream_audio.engine.router import Router
from stream_audio.engine.sink_setup import SinkSetup
from stream_audio.engine.take import Take
from stream_audio.engine.track import Track
from stream_audio.engine.track_shape import TrackShape
from stream_audio.engine.tracks import Tracks
from stream_audio.errors import session_ended
from stream_audio.reports.ledger import Ledger
from stream_audio.reports.report import SourceReport
from stream_audio.sink_spec import SinkSpec

REMOVED_KEPT = 100
"""How many sources that were removed stay in the report: the last ones."""

UNDO_TIME = 5.0
"""Seconds that the sinks of a source have to end whose adding was interrupted."""


class Tracker(Protocol):
    """What an engine does with tracks; see :class:`Engine`."""

    def track(
        self, name: str, shape: TrackShape, *, duration: float | None, history: float | None
    ) -> Track:
        """Make a track."""
        ...

    def go_on(self, track: Track, source: OpenSource) -> bool:
        """Have a track go on with another device."""
        ...

    def end_track(self, name: str) -> None:
        """End a track."""


class SourceSetup:
    """Takes sources into one session while it runs, and out of it.

    Parameters
    ----------
    config, tracks, ledger, setup, roster, router
        Of the session.
    tracker : Tracker
        Makes tracks, and has them go on.

    Attributes
    ----------
    duration, history : float or None
        How long each source lasts, and how much of it is kept.
    started_at : float
        When the session started, by its clock.
    """

    def __init__(
        self,
        config: StreamConfig,
        tracks: Tracks,
        ledger: Ledger,
        setup: SinkSetup,
        roster: Roster,
        router: Router,
        tracker: Tracker,
    ) -> None:
        self.duration: float | None = None
        self.history: float | None = None
        self.started_at = 0.0
        self._config = config
        self._tracks = tracks
        self._tracker = tracker
        self._ledger = ledger
        self._setup = setup
        self._roster = roster
        self._router = router
        self._removed: dict[str, SourceReport] = {}
        self._old_problems: list[str] = []

    def opening(self) -> Opening:
        """Return what devices are opened with."""
        config = self._config
        return Opening(
            config.clock,
            config.ring_duration,
            chunk_duration=config.chunk_duration,
            doorbell=config.doorbell,
            keep_warm=config.keep_warm,
        )

    def track_of(
        self, name: str, source: Source, opened: OpenSource, opening: Opening, delay: float = 0.0
    ) -> Track:
        """Make a track of a device that was opened with ``opening``; its name must be new."""
        shape, tracker = TrackShape.of(opened, delay=delay), self._tracker
        track = tracker.track(name, shape, duration=self.duration, history=self.history)
        track.begin(opened)
        if isinstance(source, ReopenedSource) and (source.on_lost != "stop" or follows(source)):
            go_on, end = tracker.go_on, tracker.end_track
            track.successor = Recovery(track, source, opening, go_on, end, subscribe)
        return track

    @property
    def merges(self) -> Mapping[str, object]:
        """The merges that there are, by id."""
        return self._setup.merges

    @property
    def ids_taken(self) -> Mapping[str, object]:
        """The ids that no other source may have, as keys: those of sources that are gone, too."""
        return self._ledger.sources

    def reserve(self, name: str) -> None:
        """Keep an id for :meth:`add`, which is to follow."""
        self._ledger.open_source(name)

    # ---- coming ----

    def add(
        self, name: str, source: Source, specs: Sequence[SinkSpec], delay: float = 0.0
    ) -> list[Delivery]:
        """Open and start a source, with sinks of its own; returns their deliveries.

        Its id is reserved. Whatever interrupts this, nothing is left of the source then.

        Raises
        ------
        SessionStateError
            The session has ended.
        """
        try:
            track = self._open(name, source, specs, delay)
        except BaseException:
            self._ledger.sources.pop(name, None)
            raise
        return self._start(track, specs)

    def _open(self, name: str, source: Source, specs: Sequence[SinkSpec], delay: float) -> Track:
        """Open a device, for what its own sinks want of it and those that take any source."""
        opening = self.opening()
        own = tuple(self._setup.format_of(spec) for spec in specs)
        opening.formats = own + self._setup.formats_of(self._takers())
        try:
            opened = opening.open(source)
            try:
                return self.track_of(name, source, opened, opening, delay)
            except BaseException:
                opened.close()
                raise
        finally:
            opening.close()

    def _takers(self) -> list[Delivery]:
        """Return the sinks that take a source that comes."""
        every = self._roster.deliveries.values()
        return [each for each in every if self._setup.takes_sources(each)]

    def _start(self, track: Track, specs: Sequence[SinkSpec]) -> list[Delivery]:
        own: list[Delivery] = []
        added = False
        try:
            track.times.session_start = self.started_at
            self._tracks.expect(track)
            for spec in specs:
                own.append(self._setup.claim(spec))
                self._setup.begin(own[-1])
            takers = self._takers()
            for delivery in takers:
                self._setup.tell_of(delivery, track)
            track.start()
            added = self._router.do(
                partial(self._connect, track, own, takers),
                undo=lambda: self._discard(track, own, wait=False),
            )
        finally:
            self._tracks.expect_no_more(track.name)
            if not added:
                self._take_back(track, own)
        if not added:
            raise session_ended()
        return own

    def _connect(self, track: Track, own: list[Delivery], takers: list[Delivery]) -> None:
        if not self._router.is_capturing:
            raise session_ended()
        self._tracks.add(track)
        for delivery in own:
            self._roster.connect(delivery)
        for delivery in takers:
            self._roster.take_source(delivery, track)
        self._router.note_change()

    def _take_back(self, track: Track, own: list[Delivery]) -> None:
        """Undo what was begun, and is connected perhaps; on the thread that did it."""
        within = self._router.turn_is_here
        if not within:
            # What it waited for may be done by now.
            self._see_off(track, UNDO_TIME)
        if track.name not in self._removed:
            self._discard(track, own, wait=not within)

    def _discard(self, track: Track, own: list[Delivery], *, wait: bool) -> None:
        for delivery in own:
            self._roster.discard(delivery, wait=wait)
        track.close()
        self._ledger.sources.pop(track.name, None)

    # ---- leaving ----

    def sinks_of(self, name: str) -> list[SinkAdapter]:
        """Return the sinks that a source brings something to; on any thread."""
        every = self._roster.deliveries.values()
        return [each.sink for each in every if name in each.sources]

    def remove(self, name: str, timeout: float, *, wait: bool = True) -> SourceReport:
        """Take a source out: what it captured so far still reaches its sinks.

        Those that have no other source get what waits for them within ``timeout`` seconds, and are
        stopped. Without ``wait``, that happens soon: the session has to wait for the caller.
        """
        track = self._tracks.get(name)
        if track is None:
            return self._removed[name]  # by another thread, meanwhile
        if wait:
            self._see_off(track, timeout)
        else:
            see_off = threading.Thread(
                target=self._see_off,
                args=(track, timeout),
                name=f"stream-audio-remove-{name}",
                daemon=True,
            )
            see_off.start()
        return source_report(track)

    def _see_off(self, track: Track, timeout: float) -> None:
        stopping: list[Take | None] = []

        def withdraw() -> None:
            if self._tracks.get(track.name) is not track:
                return  # it never came, or is gone
            stopping.append(track.withdraw())
            self._router.note_change()

        if not self._router.do(withdraw) or not stopping:
            return
        if stopping[0] is not None:
            stopping[0].stop()
            self._router.do(self._router.note_change)  # it sleeps until more comes
        track.over.wait()
        left: list[Leaving] = []
        if not self._router.do(lambda: left.extend(self._disconnect(track, timeout))):
            return
        track.close()
        for leaving in left:
            leaving.gone.wait()

    def _disconnect(self, track: Track, timeout: float) -> list[Leaving]:
        """Take out a source that has ended, and the sinks that then have none."""
        if self._tracks.get(track.name) is not track:
            return []
        give_up_at = self._config.clock.now() + timeout
        left = self._roster.drop_source(track, give_up_at)
        self._removed[track.name] = source_report(track)
        self._tracks.remove(track.name)
        while len(self._removed) > REMOVED_KEPT:
            name = next(iter(self._removed))
            del self._removed[name]
            self._old_problems += self._ledger.sources.pop(name).problems(name)
        self._router.note_change()
        return left

    # ---- what became of them ----

    def reports(self) -> dict[str, SourceReport]:
        """Return the report of each source, those that were removed too; on any thread."""
        there = {name: source_report(track) for name, track in self._tracks.items()}
        return dict(self._removed) | there

    def problems(self) -> list[str]:
        """Return which sums are wrong of sources whose accounts are forgotten."""
        return list(self._old_problems)
