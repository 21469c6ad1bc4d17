"""The router: one thread a session that moves everything that is ready, then sleeps.

A turn is one native call, which sleeps with the GIL released until a chunk is due, reads all that
is ready from every ring, and comes back with it; then the chunks are handed to the deliveries. So
when other threads hog the GIL, one turn moves all that has piled up. The consumer of a lone
channel runs turns itself while it waits (see baton.py).
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from stream_audio._native.capture import ReaderArray
from stream_audio._native.portaudio import log_host_messages
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import GapCause
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import OpenSource
from stream_audio.engine.baton import Baton
from stream_audio.engine.commands import Commands
from stream_audio.engine.delivery import Delivery
from stream_audio.engine.event_thread import EventThread
from stream_audio.engine.fast_path import FastPath
from stream_audio.engine.figures import memory_use, source_report, source_stats
from stream_audio.engine.pauses import PausePolicy
from stream_audio.engine.routing import Route
from stream_audio.engine.sink_setup import SinkSetup
from stream_audio.engine.sink_watch import SinkWatch
from stream_audio.engine.stop_limit import StopLimit
from stream_audio.engine.track import Track, TrackShape
from stream_audio.engine.worker_delivery import GRACE
from stream_audio.errors import session_ended
from stream_audio.reports.events import (
    SessionStarted,
    SessionStopped,
    SinkFailed,
    StreamEvent,
)
from stream_audio.reports.ledger import Ledger
from stream_audio.reports.report import SessionReport, SinkReport
from stream_audio.reports.stats import MemoryUse, SessionStats
from stream_audio.waiting import switch_interval
from stream_audio.waiting.clock import (
    MonotonicClock,
    Sleeper,
    WallClock,
    ask_for_precise_timers,
    deadline_ns,
    sit_on,
)
from stream_audio.waiting.loop_waker import LoopWaker, bells_rung_later

if TYPE_CHECKING:
    from stream_audio.audio.format import AudioFormat

_log = logging.getLogger("stream_audio")

LOOK_INTERVAL = 0.6
"""Seconds between looks at what stands still, at most, unless chunks gather for longer."""

LOOK_EARLY = 0.3
"""Seconds by which such a look may be early, if the router is awake anyway."""

UNDO_TIME = 5.0
"""Seconds that a sink may take to stop whose adding was interrupted; nobody waits for it."""

REMOVED_KEPT = 100
"""How many sinks that were removed stay in the report: the last ones."""


class Leaving:
    """A sink that was taken out of a running session, until its backlog is dealt with."""

    def __init__(self, delivery: Delivery, give_up_at: float, *, drain: bool) -> None:
        self.delivery = delivery
        self.drain = drain
        self.give_up_at = give_up_at
        self.gone = threading.Event()


class Router:
    """Runs one session, from its start to its report. Knows nothing of the Session object."""

    def __init__(
        self, config: StreamConfig, audio_format: AudioFormat, events: EventThread | None
    ) -> None:
        self.ledger = Ledger()
        self.tracks: dict[str, Track] = {}  # replaced, never changed
        self.deliveries: dict[str, Delivery] = {}
        self.config = config
        self.clock = config.clock
        self.wall = WallClock(self.clock)
        self.started_at = 0.0
        self.events = events
        self.done = threading.Event()
        self.crashed: BaseException | None = None
        self.first_failure: SinkFailed | None = None
        self.sleeper = Sleeper(self.clock)
        self.setup = SinkSetup(
            config,
            audio_format,
            lambda: self.tracks,
            self.ledger,
            self.wall,
            self.send,
            self.sleeper.set,
        )
        self._removed: dict[str, SinkReport] = {}
        self._old_problems: list[str] = []
        self._leaving: list[Leaving] = []
        self._to_ring: list[LoopWaker] = []
        self._stop_requested = False
        self._beginning = threading.Lock()
        self._may_begin = threading.Event()
        self._begun = False
        self._cancelled = False
        self._finishing = False  # nothing will be captured any more
        self._holds_interval = False
        self._some_can_wait = False  # of the sources; no device can
        self._limit = StopLimit(self.clock, config.stop_timeout)
        self._sink_watch = SinkWatch(self.send)
        self._live: list[Track] = []  # those that the session goes on for
        self._running: list[Track] = []  # those of them that the turns read, unless they are held
        self._take_is_over = False  # of one of them
        self._reads: list[Track] = []  # those that the last turn read
        self._readers = ReaderArray([], self.sleeper.native)
        self._next_look = 0.0
        self._look_interval = LOOK_INTERVAL
        self._fast_path: FastPath | None = None  # for a consumer's turns
        self._consumer_took_turns = False  # and nobody has looked back since
        self.baton = Baton(self._take_consumers_turn, self.sleeper.set, self._look_meanwhile)
        self._commands = Commands(self.baton.recall)
        self._thread = threading.Thread(target=self._run, name="stream-audio-router", daemon=True)
        if events is not None:
            events.when_failure_is_told = self.baton.recall

    # ---- any thread ----

    def start(self) -> None:
        """Start the thread, which waits for :meth:`begin`; the sources run already."""
        switch_interval.hold(self.config.switch_interval)
        self._holds_interval = True
        self._thread.start()

    def begin(self) -> None:
        """Let the thread begin: nothing that could fail is left of the start."""
        self._may_begin.set()

    def cancel(self) -> bool:
        """Keep the thread from doing anything, if it has not begun; False if it has."""
        with self._beginning:
            if self._begun:
                return False
            # A Ctrl-C in start() may have left a thread that is still on its way.
            self._cancelled = True
            if self._holds_interval:
                switch_interval.release(self.config.switch_interval)
                self._holds_interval = False
            self.done.set()
            self._may_begin.set()
            return True

    def request_stop(self, timeout: float | None = None) -> None:
        """Ask the thread to stop everything; returns at once.

        ``timeout``: seconds in all for the sinks; ``None``: as the settings have it.
        """
        if timeout is not None:
            self._limit.in_all(timeout)
        self._stop_requested = True
        self.baton.recall()

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller runs on a thread that the end has to wait for."""
        current = threading.current_thread()
        return self._turn_is_here or any(
            delivery.is_thread(current) for delivery in self.deliveries.values()
        )

    @property
    def _turn_is_here(self) -> bool:
        """Whether the caller is, or is called by, what runs turns: nothing else will meanwhile."""
        return threading.current_thread() is self._thread or self.baton.is_held_here

    def report(self) -> SessionReport:
        """Where every frame went, or stands now."""
        return self._report(running=not self.done.is_set())

    def _report(self, *, running: bool) -> SessionReport:
        sources = {name: source_report(track) for name, track in self.tracks.items()}
        deliveries = self.deliveries  # replaced, never changed
        sinks = dict(self._removed) | {name: each.report() for name, each in deliveries.items()}
        # While it runs, the figures of several threads need not be of the same moment.
        problems = [] if running else self._old_problems + self.ledger.problems()
        if self.crashed is not None:
            problems.append(f"the router crashed: {self.crashed!r}")
        return SessionReport(sources, sinks, tuple(problems), running)

    def stats(self) -> SessionStats:
        """How it stands now."""
        return SessionStats(
            self.clock.now(),
            {name: source_stats(track) for name, track in self.tracks.items()},
            {name: delivery.stats() for name, delivery in self.deliveries.items()},
        )

    def memory(self) -> MemoryUse:
        """How much memory its audio takes."""
        return memory_use(self.tracks.values(), self.deliveries.values())

    def send(self, event: StreamEvent) -> None:
        """Tell the user, if there is a handler."""
        if self.first_failure is None and isinstance(event, SinkFailed):
            self.first_failure = event
        if self.events is not None:
            self.events.send(event.dated(self.wall.epoch_now()))

    def do(self, action: Callable[[], object], undo: Callable[[], object] = lambda: None) -> bool:
        """Run ``action`` on the router's thread and wait; False if the session has ended.

        Within a turn, for a sink that is written to directly, it is run right after that turn, and
        ``undo`` if it then fails.
        """
        return self._commands.do(action, undo, within=self._turn_is_here)

    # ---- the sources: before the start, or while it runs ----

    def track(
        self,
        name: str,
        shape: TrackShape,
        *,
        duration: float | None = None,
        history: float | None = None,
    ) -> Track:
        """Make a track, for :meth:`add_track`; its name must be new. On any thread."""
        return Track(
            name,
            shape,
            self.config,
            self.ledger,
            self.wall,
            self.send,
            duration=duration,
            history=history,
        )

    def add_track(self, track: Track) -> None:
        """Take a track in; while it runs, on the router's thread: ``do(partial(add_track, …))``.

        Its device, if it has one, may deliver already.
        """
        if self._finishing:
            raise session_ended()
        track.times.session_start = self.started_at
        self.tracks = {**self.tracks, track.name: track}
        self._some_can_wait |= track.shape.freewheel
        self._note_tracks()

    def go_on(self, track: Track, source: OpenSource) -> bool:
        """Have a track go on with another opened device; on any thread, and it waits.

        False: the track does not wait for one any more, or the session has ended.
        """
        went_on: list[bool] = []

        def action() -> None:
            went_on.append(track.go_on(source))
            self._note_tracks()

        self.do(action)
        return any(went_on)

    def _note_tracks(self) -> None:
        """Go on with the tracks as they are: one has come, or has lost or got its device."""
        self._live = [track for track in self.tracks.values() if track.is_live]
        self._running = [track for track in self._live if track.is_read]
        self._take_is_over = False
        self._fast_path = None  # it knows a reader
        self._read(self._running)
        if self._begun and not self._finishing:
            self._gather_for_sinks(self.tracks)
            self._lend_baton()

    def _read(self, tracks: list[Track]) -> None:
        """Have the next turns read these."""
        self._reads = tracks
        readers = [track.take.reader for track in tracks if track.take is not None]
        self._readers = ReaderArray(readers, self.sleeper.native)

    def note_start(self) -> None:
        """Take this moment for the session's start; the sources start next."""
        self.started_at = self.clock.now()
        for track in self.tracks.values():
            track.times.session_start = self.started_at

    # ---- the sinks: before the start, or while it runs ----

    def connect(self, delivery: Delivery, replay: float = 0.0) -> None:
        """Route its sources' chunks to an opened sink, ``replay`` seconds of history first.

        While it runs, on the router's thread: what is replayed and what comes then join exactly.
        """
        if self._finishing:
            raise session_ended()
        replayed: list[tuple[AudioChunk, Route]] = []
        conversions = self.setup.conversions[delivery.name]
        try:
            for name, each in conversions.items():
                track = self.tracks[name]
                past = track.history if replay > 0 else None
                before = [] if past is None else past.replay(replay)
                route, chunks = track.routing.add(each.stages, delivery, before)
                replayed += [(chunk, route) for chunk in chunks]
        except BaseException:
            for name in conversions:
                self.tracks[name].routing.remove(delivery)
            raise
        if self._begun:
            delivery.begin()
        for chunk, route in sorted(replayed, key=lambda pair: pair[0].time):
            route.offer(chunk)
        self.deliveries = {**self.deliveries, delivery.name: delivery}
        self._gather_for_sinks(conversions)
        self._lend_baton()

    def _gather_for_sinks(self, sources: Iterable[str]) -> None:
        """Let chunks of these sources gather as long as all their sinks can wait for them."""
        for name in sources:
            takers = [each for each in self.deliveries.values() if name in each.sources]
            track = self.tracks[name]
            hurry = not takers or track.history is not None
            gather = 0.0 if hurry else min(each.sink.gather for each in takers)
            longest = min((each.longest_chunk for each in takers), default=0.0)
            track.gather(gather, longest)
        # A look takes place when the router is awake anyway, rather than wake it.
        least = min((track.gather_seconds for track in self.tracks.values()), default=0.0)
        self._look_interval = max(LOOK_INTERVAL, least + LOOK_EARLY / 2)

    def _lend_baton(self) -> None:
        """Let the consumer of a lone channel run the turns while it waits."""
        suits = (
            len(self.deliveries) == 1
            and isinstance(self.clock, MonotonicClock)
            and all(track.can_bear_absence for track in self.tracks.values())
        )
        self._fast_path = self._find_fast_path() if suits else None
        for delivery in self.deliveries.values():
            if delivery.sink.lend_baton is not None:
                delivery.sink.lend_baton(self.baton if self._fast_path is not None else None)

    def _find_fast_path(self) -> FastPath | None:
        [delivery] = self.deliveries.values()
        channel = delivery.sink.waiting
        if len(self.tracks) != 1 or channel is None:
            return None
        [track] = self.tracks.values()
        route = track.routing.lone_route
        if route is None or track.history is not None:
            return None
        return FastPath(track, route, channel, self.sleeper.native)

    def is_connected(self, delivery: Delivery) -> bool:
        """Whether chunks are routed to it."""
        return (
            not self.done.is_set()
            and self.deliveries.get(delivery.name) is delivery
            and all(leaving.delivery is not delivery for leaving in self._leaving)
        )

    def remove_sink(
        self, delivery: Delivery, timeout: float, *, drain: bool, wait: bool = True
    ) -> None:
        """Take a sink out while it runs, and wait until it is done, unless that waits for us."""
        leaving = Leaving(delivery, self.clock.now() + timeout, drain=drain)
        if not self.do(lambda: self._disconnect(leaving)):
            return
        current = threading.current_thread()
        if wait and not self._turn_is_here and not delivery.is_thread(current):
            leaving.gone.wait()

    def _disconnect(self, leaving: Leaving) -> None:
        delivery = leaving.delivery
        if not self.is_connected(delivery):
            leaving.gone.set()
            return
        sources = self.setup.conversions.pop(delivery.name)
        for name in () if self._finishing else sources:
            self.tracks[name].routing.remove(delivery)
        delivery.close(GapCause.REMOVED, drain=leaving.drain)
        self._leaving.append(leaving)
        self._see_off()

    def pause(self, sources: Iterable[str], policy: PausePolicy) -> None:
        """Leave out what these sources capture from now on."""
        now = self.clock.now()
        for name in sources:
            self.tracks[name].pauses.begin(now, policy)

    def resume(self, sources: Iterable[str]) -> None:
        """Hand on again what these sources capture from now on."""
        now = self.clock.now()
        for name in sources:
            self.tracks[name].pauses.end(now)

    def take_back(self, delivery: Delivery) -> None:
        """Undo what was set up, and connected perhaps; on the thread that did it."""
        within = self._turn_is_here
        if not within:
            # What it waited for may be done by now.
            self.do(lambda: self._disconnect(Leaving(delivery, self._soon(), drain=False)))
        if self.deliveries.get(delivery.name) is not delivery:
            self.setup.discard(delivery.name, wait=not within)

    def _soon(self) -> float:
        return self.clock.now() + UNDO_TIME

    # ---- the router's thread ----

    def _run(self) -> None:
        self._may_begin.wait()
        with self._beginning:
            if self._cancelled:
                return
            self._begun = True
        sit_on(self.sleeper)
        ask_for_precise_timers()
        try:
            self.send(SessionStarted(self.clock.now()))
            for delivery in self.deliveries.values():
                delivery.begin()
            with bells_rung_later() as self._to_ring:
                try:
                    self._move_until(lambda: self._stop_requested)
                finally:
                    self.baton.close()
            self._finish()
        except BaseException as error:
            # A bug of ours; the sinks must still be closed, and the user must hear of it.
            _log.exception("the router crashed")
            self.crashed = error
            self._finish_after_crash()
        finally:
            switch_interval.release(self.config.switch_interval)
            self._commands.give_up()
            self.setup.close()
            self.sleeper.close()
            for leaving in self._leaving:  # after a crash, or at the very last moment
                leaving.gone.set()
            self._tell_the_end()

    def _tell_the_end(self) -> None:
        balanced = False
        try:
            problems = self._report(running=False).problems
            for problem in problems:
                _log.error("the report does not balance: %s", problem)
            balanced = not problems
        except BaseException as error:
            # Whoever waits for the end must not wait for ever.
            _log.exception("the report could not be made")
            self.crashed = self.crashed or error
        finally:
            self.done.set()
            self.send(SessionStopped(self.clock.now(), balanced))
            if self.events is not None:
                self.events.close()

    def _move_until(self, stop: Callable[[], bool], *, hold: bool = True) -> None:
        """Move chunks until told to stop, or every source has ended.

        With ``hold``, a source whose sinks have no room is not read, so that it waits.
        """
        self._note_tracks()
        self._next_look = self.clock.now() + self._look_interval
        if hold:
            self.baton.open()
        while self._live and not stop():
            self.baton.take()
            try:
                # A consumer that could not go on may have left what it had read.
                left, self._consumer_took_turns = self._consumer_took_turns, False
                in_hurry = left or self._commands.waiting or self._take_is_over or stop()
                self._take_turn(0.0 if in_hurry else math.inf, hold=hold)
                self._look_back()
                if self._take_is_over:
                    self._end_takes()
                if self._commands.waiting:
                    self._commands.run()
                if self._leaving:
                    self._see_off()
                if self.first_failure is not None and self._all_sinks_have_failed():
                    self._stop_requested = True
            finally:
                self.baton.drop()

    def _take_turn(self, until: float, *, hold: bool = True) -> None:
        """Wait for chunks, until then at most, and hand them on."""
        held = self._held() if hold and self._some_can_wait else None
        reads = self._running
        if held:
            reads = [each for each in reads if each.name not in held]
        if reads != self._reads:
            self._read(reads)
        self._readers.make_room()
        wake_at = min(until, self._next_look)
        if self._leaving:
            wake_at = min(wake_at, *(each.give_up_at for each in self._leaving))
        bells = [waker.bell for waker in self._to_ring]
        self._readers.wait_and_read(deadline_ns(wake_at), bells)
        self._to_ring.clear()
        # Before the commands: what a sink is to be removed for may long have been captured.
        self._move(self._reads)

    def _take_consumers_turn(self, until: float) -> bool:
        """Hand the next chunk over on its consumer's thread, by the fast path; True if it did.

        What takes the usual way is left to the router.
        """
        self._consumer_took_turns = True
        path = self._fast_path
        if path is not None and not (self._leaving or self._to_ring) and path.prepare():
            if path.run_turn(deadline_ns(until)):
                return True
            if not path.has_come:
                return False
        self.baton.recall()
        return False

    def _all_sinks_have_failed(self) -> bool:
        """Whether nothing that is captured can reach anybody any more.

        Whoever has removed a sink, keeps a history, or is about to add a sink has other plans.
        """
        return (
            bool(self.deliveries)
            and all(each.detached for each in self.deliveries.values())
            and not (self._removed or self._leaving)
            and all(track.history is None for track in self.tracks.values())
            and not self.setup.is_adding(self.deliveries)
            and (self.events is None or self.events.told_failures)
        )

    def _look_back(self) -> None:
        """Do what nobody waited for in the last turns, whoever took them."""
        now = self.clock.now()
        self._look_at_chunks(now)
        if self._look_is_due(now):
            self._look_around(now)

    def _look_meanwhile(self) -> None:
        """Look at what a consumer that runs the turns brings, and at its device."""
        if self._fast_path is not None:  # then nothing can be found that takes a turn
            self._look_back()

    def _look_at_chunks(self, now: float) -> None:
        for track in self._running:
            if track.signal.unseen:
                track.look(now)
        if self.events is not None:
            self.events.tick(now)

    def _look_is_due(self, now: float) -> bool:
        return now >= self._next_look - LOOK_EARLY

    def _look_around(self, now: float) -> None:
        """Look at what delivers or takes nothing."""
        self._next_look = now + self._look_interval
        if not threading.main_thread().is_alive():
            # The interpreter waits for the threads that are no daemons before it calls `atexit`;
            # one of them may be waiting for us.
            self.request_stop()
        log_host_messages()
        for track in self._live:
            track.look_at_device(now)
        if not all(track.is_live for track in self._live):
            self._note_tracks()
        self._sink_watch.look(self.deliveries.values(), now)

    def _held(self) -> set[str]:
        """Return the sources that have to wait for a backlog."""
        held: set[str] = set()
        for delivery in self.deliveries.values():
            if delivery.full:
                held.update(delivery.sources)
        return held

    def _move(self, tracks: list[Track]) -> None:
        """Move what the last read finished to the sinks."""
        for track in tracks:
            if track.move():
                self._take_is_over = True
                self.baton.recall()

    def _end_takes(self) -> None:
        """Finish with the takes that nothing will follow from."""
        for track in self._running:
            if track.take is not None and track.take.reader.progress.finished:
                track.end_take()
        self._note_tracks()

    def _see_off(self, *, everyone: bool = False) -> None:
        """Finish with the sinks that were taken out, when they are done or out of time."""
        for leaving in list(self._leaving):
            delivery = leaving.delivery
            # As exactly as the wait is: else a turn could find it a hair too early for ever.
            time_is_up = deadline_ns(self.clock.now()) >= deadline_ns(leaving.give_up_at)
            out_of_time = everyone or time_is_up
            if not delivery.done and not out_of_time:
                continue
            if not delivery.done and not everyone and delivery.expire():
                leaving.give_up_at = self.clock.now() + GRACE
                continue
            delivery.wait(lambda: 0.0, self.sleeper.wait)  # drops what is left
            self._leaving.remove(leaving)
            self.deliveries = {
                name: each for name, each in self.deliveries.items() if each is not delivery
            }
            self.setup.let_go(delivery)
            self._removed[delivery.name] = delivery.report()
            self._forget_removed()
            self._gather_for_sinks(delivery.sources)
            self._lend_baton()
            leaving.gone.set()

    def _forget_removed(self) -> None:
        """Keep the report short, and the names free, where sinks come and go for weeks."""
        while len(self._removed) > REMOVED_KEPT:
            name = next(iter(self._removed))
            del self._removed[name]
            self._old_problems += self.ledger.sinks.pop(name).problems(name)

    def _finish(self) -> None:
        """Stop the devices, drain the rings, deliver the tails, close everything."""
        for track in self.tracks.values():
            track.stop()
        self._move_until(lambda: False, hold=False)
        for track in self.tracks.values():
            track.end()  # what others feed
        self._finishing = True
        # Sources that wait for their sinks lose nothing at their end either.
        if (
            all(track.shape.freewheel for track in self.tracks.values())
            and not self._stop_requested
        ):
            self._limit.lift()
        self._close_deliveries()
        self._commands.refuse()
        self._commands.run()  # the last ones
        for track in self.tracks.values():
            track.close()

    def _close_deliveries(self) -> None:
        self._limit.begin()
        for delivery in self.deliveries.values():
            if all(leaving.delivery is not delivery for leaving in self._leaving):
                delivery.close()
        for delivery in self.deliveries.values():
            delivery.wait(partial(self._time_left, delivery), self._sleep_meanwhile)
        self._see_off(everyone=True)

    def _time_left(self, delivery: Delivery) -> float:
        """Return for how many seconds the end waits for a sink; that may change meanwhile."""
        if self.deliveries.get(delivery.name) is not delivery:
            return 0.0  # it was taken out meanwhile
        removed = [each.give_up_at for each in self._leaving if each.delivery is delivery]
        now = self.clock.now()
        return min([self._limit.left(delivery), *(give_up_at - now for give_up_at in removed)])

    def _sleep_meanwhile(self, seconds: float) -> None:
        """Sleep for a while, in which sinks may still be taken out."""
        now = self.clock.now()
        self.sleeper.wait(min([seconds, *(each.give_up_at - now for each in self._leaving)]))
        self._commands.run()
        self._see_off()

    def _finish_after_crash(self) -> None:
        self._finishing = True
        steps: list[Callable[[], object]] = [track.stop for track in self.tracks.values()]
        steps.append(self._close_deliveries)
        steps.extend(track.close for track in self.tracks.values())
        for step in steps:
            try:
                step()
            except Exception:
                _log.exception("after the crash")
