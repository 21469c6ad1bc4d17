"""What a session holds of its engine: all that other threads may ask of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from stream_audio._locks import Latch
from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import OpenSource
from stream_audio.engine.announcer import Announcer
from stream_audio.engine.delivery import Delivery
from stream_audio.engine.figures import (
    alignment_report,
    memory_use,
    merge_report,
    session_stats,
)
from stream_audio.engine.history import History
from stream_audio.engine.merges import Merges
from stream_audio.engine.pauses import PausePolicy
from stream_audio.engine.roster import Leaving, Roster
from stream_audio.engine.router import Router
from stream_audio.engine.sink_setup import SinkSetup
from stream_audio.engine.source_setup import SourceSetup
from stream_audio.engine.track import Track
from stream_audio.engine.track_shape import TrackShape
from stream_audio.engine.tracks import Tracks
from stream_audio.errors import in_words, session_ended
from stream_audio.reports.events import SessionStopped, SinkFailed, StreamEvent
from stream_audio.reports.ledger import Ledger
from stream_audio.reports.report import SessionReport
from stream_audio.reports.stats import MemoryUse, SessionStats
from stream_audio.waiting.clock import Sleeper, WallClock
from stream_audio.waiting.session_time import SessionTime

if TYPE_CHECKING:
    from stream_audio.audio.format import AudioFormat
    from stream_audio.sink_spec import SinkSpec

_log = logging.getLogger("stream_audio")

UNDO_TIME = 5.0
"""Seconds that a sink may take to stop whose adding was interrupted; nobody waits for it."""


class Engine:
    """Runs one session. Knows nothing of the Session object.

    Its methods may be called on any thread, but for those of the start.

    Parameters
    ----------
    config : StreamConfig
        Of the session.
    audio_format : AudioFormat
        What sinks get that ask for nothing else.
    on_event : callable, optional
        Takes events.
    ends_at : float, optional
        Seconds of its own timeline at which the session ends.

    Attributes
    ----------
    started_at : float
        When the sources were started, by the session's clock.
    epoch : float
        What ``time.time()`` was at that clock's 0, as read at the start.
    sources : Mapping
        The sources, by id.
    source_setup : SourceSetup
        Takes sources in and out while it runs.
    names_taken : Mapping
        The names that no other sink may have, as keys.
    crashed : BaseException or None
        The fault of this library that has ended the session.
    """

    def __init__(
        self,
        config: StreamConfig,
        audio_format: AudioFormat,
        on_event: Callable[[StreamEvent], object] | None,
        ends_at: float | None = None,
    ) -> None:
        self.started_at = 0.0
        self._config = config
        self._ledger = Ledger()
        self.names_taken: Mapping[str, object] = self._ledger.sinks
        self._wall = WallClock(config.clock)
        self.epoch = self._wall.epoch
        self._announcer = Announcer(self._wall, on_event)
        self.crashed: BaseException | None = None
        self._tracks = Tracks()
        self._session = SessionTime(config.clock, self._wall, ends_at)
        self._merges = Merges(
            config, self._tracks, self._ledger, self._session, self._announcer.send
        )
        self.sources: Mapping[str, Track] = self._tracks
        self._sleeper = Sleeper(config.clock)
        self._setup = SinkSetup(
            config,
            audio_format,
            self._tracks,
            self._merges,
            self._session,
            self._ledger,
            self._wall,
            self._announcer.send,
            self._sleeper.set,
        )
        self._roster = Roster(
            self._setup, self._tracks, self._merges, self._ledger, config.clock, self._sleeper.wait
        )
        self._router = Router(
            config,
            self._tracks,
            self._merges,
            self._roster,
            self._announcer,
            self._sleeper,
            self._tell_the_end,
        )
        self.source_setup = SourceSetup(
            config, self._tracks, self._ledger, self._setup, self._roster, self._router, self
        )
        self._done = Latch()

    # ---- the start, on one thread ----

    def open_sink(self, spec: SinkSpec) -> None:
        """Start a sink; it gets no chunk yet."""
        self._roster.connect(self._setup.open(spec))

    def start(self) -> None:
        """Let the sources deliver; the router's thread waits for :meth:`begin`."""
        self.started_at = self._config.clock.now()
        self.source_setup.started_at = self._session.started_at = self.started_at
        for track in self._tracks.values():
            track.times.session_start = self.started_at
            track.start()
        for delivery in self._roster.deliveries.values():
            delivery.start()
        self._router.start()

    def begin(self) -> None:
        """Let the session run: nothing that could fail is left."""
        self._router.begin()

    def undo(self) -> None:
        """Stop and free what was begun."""
        if not self._router.cancel():  # interrupted at the very end: it stops everything itself
            self._router.request_stop()
            self._done.wait()
            return
        self._done.set()
        steps: list[Callable[[], object]] = [track.close for track in self._tracks.values()]
        steps += [self._setup.discard_all, self._sleeper.close, self._announcer.close]
        for step in steps:
            try:
                step()
            except Exception as error:  # the start's own error is the one to be raised
                _log.info("undoing a start: %s", in_words(error))

    # ---- how it stands ----

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._done.is_set()

    @property
    def sinks(self) -> list[SinkAdapter]:
        """The sinks that are connected, or on their way out."""
        return [delivery.sink for delivery in self._roster.deliveries.values()]

    def report(self, *, running: bool | None = None) -> SessionReport:
        """Where every frame went, or stands now; ``running``: whether it still runs, if known."""
        running = self.running if running is None else running
        sources, sinks = self.source_setup.reports(), self._roster.reports()
        problems = []
        # While it runs, the figures of several threads need not be of the same moment.
        if not running:
            for each in (self.source_setup, self._roster, self._ledger):
                problems += each.problems()
        if self.crashed is not None:
            problems.append(f"the router crashed: {self.crashed!r}")
        return SessionReport(
            sources,
            sinks,
            tuple(problems),
            running,
            {name: merge_report(each) for name, each in dict(self._ledger.merges).items()},
            tuple(alignment_report(each) for each in self._ledger.alignments),
        )

    def stats(self) -> SessionStats:
        """How it stands now."""
        return session_stats(self._config.clock.now(), self._tracks, self._roster.deliveries)

    def memory(self) -> MemoryUse:
        """How much memory its audio takes."""
        return memory_use(self._tracks.values(), self._roster.deliveries.values())

    def history(self, source: str) -> History | None:
        """Return what is kept of a source's past."""
        track = self._tracks.get(source)  # None: another thread has removed it
        return None if track is None else track.history

    # ---- the end ----

    def request_stop(self, timeout: float | None = None) -> None:
        """Ask for the end; returns at once.

        ``timeout``: seconds in all for the sinks; ``None``: as the settings have it.
        """
        self._router.request_stop(timeout)

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller runs on a thread that the end has to wait for."""
        current = threading.current_thread()
        return self._router.turn_is_here or any(
            delivery.is_thread(current) for delivery in self._roster.deliveries.values()
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False if it did not come in time."""
        return self._done.wait(timeout)

    def join_events(self, timeout: float) -> None:
        """Wait until the user has been told everything."""
        self._announcer.join(timeout)

    @property
    def failure_to_raise(self) -> SinkFailed | None:
        """The first failure of a sink, if the user wants it raised."""
        return self._announcer.first_failure if self._config.raise_on_sink_failure else None

    def _tell_the_end(self) -> None:
        """Make the report and tell of the end; the last that the router's thread does."""
        self._setup.close()
        self.crashed = self._router.crashed
        balanced = False
        try:
            problems = self.report(running=False).problems
            for problem in problems:
                _log.error("the report does not balance: %s", problem)
            balanced = not problems
        except BaseException as error:
            # Whoever waits for the end must not wait for ever.
            _log.exception("the report could not be made")
            self.crashed = self.crashed or error
        finally:
            self._done.set()
            self._announcer.send(SessionStopped(self._config.clock.now(), balanced))
            self._announcer.close()

    # ---- sources ----

    def track(
        self,
        name: str,
        shape: TrackShape,
        *,
        duration: float | None = None,
        history: float | None = None,
    ) -> Track:
        """Make a track, for :meth:`add_track`; its name must be new."""
        return Track(
            name,
            shape,
            self._config,
            self._ledger,
            self._wall,
            self._announcer.send,
            self._session,
            duration=duration,
            history=history,
        )

    def add_track(self, track: Track) -> None:
        """Take a track in; its device, if it has one, may deliver already.

        Raises
        ------
        SessionStateError
            The session has ended.
        """
        track.times.session_start = self.started_at

        def action() -> None:
            if not self._router.is_capturing:
                raise session_ended()
            self._tracks.add(track)
            self._router.note_change()

        if not self._router.do(action):
            raise session_ended()

    def end_track(self, name: str) -> None:
        """End a source: what its device delivered still reaches the sinks."""

        def action() -> None:
            track = self._tracks[name]
            track.stop()
            if not track.is_live:
                track.end()
            self._router.note_change()

        self._router.do(action)

    def go_on(self, track: Track, source: OpenSource) -> bool:
        """Have a track go on with another opened device.

        False: the track does not wait for one any more, or the session has ended.
        """
        went_on: list[bool] = []

        def action() -> None:
            went_on.append(track.go_on(source))
            self._router.note_change()

        self._router.do(action)
        return any(went_on)

    def do(self, action: Callable[[], object]) -> bool:
        """Run something between two turns and wait for it; False if the session has ended."""
        return self._router.do(action)

    def pause(self, sources: Iterable[str], policy: PausePolicy) -> None:
        """Leave out what these sources capture from now on."""
        now = self._config.clock.now()
        for track in self._tracks.of(sources):
            track.pauses.begin(now, policy)

    def resume(self, sources: Iterable[str]) -> None:
        """Hand on again what these sources capture from now on."""
        now = self._config.clock.now()
        for track in self._tracks.of(sources):
            track.pauses.end(now)

    # ---- sinks ----

    def claim_sink(self, spec: SinkSpec) -> Delivery:
        """Open a sink's account: nobody else gets it, or its name."""
        return self._setup.claim(spec)

    def add_sink(self, delivery: Delivery, replay: float) -> bool:
        """Start a sink that was claimed and connect it; False if the session has ended.

        It may take its time, and raise. Whatever interrupts it, nothing is left of the sink then.
        """
        added = False
        try:
            self._setup.begin(delivery)
            added = self._router.do(
                partial(self._roster.connect, delivery, replay),
                undo=partial(self._setup.discard, delivery, wait=False),
            )
        finally:
            if not added:
                self._take_back(delivery)
        return added

    def _take_back(self, delivery: Delivery) -> None:
        """Undo what was set up, and connected perhaps; on the thread that did it."""
        within = self._router.turn_is_here
        if not within:
            # What it waited for may be done by now.
            soon = self._config.clock.now() + UNDO_TIME
            leaving = Leaving(delivery, soon, drain=False)
            self._router.do(partial(self._roster.disconnect, leaving))
        self._roster.discard(delivery, wait=not within)

    def is_connected(self, delivery: Delivery) -> bool:
        """Whether chunks are routed to a sink."""
        return self.running and self._roster.is_connected(delivery)

    def remove_sink(
        self, delivery: Delivery, timeout: float, *, drain: bool, wait: bool = True
    ) -> None:
        """Take a sink out while it runs, and wait until it is done, unless that waits for us."""
        leaving = Leaving(delivery, self._config.clock.now() + timeout, drain=drain)
        if not self._router.do(partial(self._roster.disconnect, leaving)):
            return
        current = threading.current_thread()
        if wait and not self._router.turn_is_here and not delivery.is_thread(current):
            leaving.gone.wait()

    def __str__(self) -> str:
        return f"{', '.join(self._tracks)} → {', '.join(self._roster.deliveries)}"
