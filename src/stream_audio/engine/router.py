"""The router: one thread a session that moves everything that is ready, then sleeps.

A turn is one native call, which sleeps with the GIL released until a chunk is due, reads all that
is ready from every ring, and comes back with it; then each track takes its chunks to the sinks. So
when other threads hog the GIL, one turn moves all that has piled up. The consumer of a lone
channel runs turns itself while it waits (see baton.py).

It says when things happen, and nothing else: what happens to a chunk is the track's, what happens
to a sink is the roster's.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from enum import Enum, auto

from stream_audio._locks import InterruptibleLock, Latch
from stream_audio._native.capture import ReaderArray
from stream_audio._native.portaudio import log_host_messages
from stream_audio.config import StreamConfig
from stream_audio.engine.announcer import Announcer
from stream_audio.engine.baton import Baton
from stream_audio.engine.commands import Commands
from stream_audio.engine.fast_path import FastPath, find_fast_path
from stream_audio.engine.merges import Merges
from stream_audio.engine.roster import Roster
from stream_audio.engine.sink_watch import SinkWatch
from stream_audio.engine.stop_limit import StopLimit
from stream_audio.engine.track import Track, TrackState
from stream_audio.engine.tracks import Tracks
from stream_audio.reports.events import SessionStarted
from stream_audio.waiting import switch_interval
from stream_audio.waiting.clock import (
    Sleeper,
    ask_for_precise_timers,
    deadline_ns,
    sit_on,
)
from stream_audio.waiting.loop_waker import LoopWaker, bells_rung_later

_log = logging.getLogger("stream_audio")

LOOK_INTERVAL = 0.6
"""Seconds between looks at what stands still, at most, unless chunks gather for longer."""

LOOK_EARLY = 0.3
"""Seconds by which such a look may be early, if the router is awake anyway."""


class RouterState(Enum):
    """How far the thread of a session is."""

    MADE = auto()
    """It has not been started."""
    WAITING = auto()
    """It waits until nothing is left of the start that could fail."""
    CANCELLED = auto()
    """It never does anything: the start has failed."""
    RUNNING = auto()
    """It runs turns, until it is asked to stop or every source has ended."""
    FINISHING = auto()
    """Nothing will be captured any more; the sinks get what is left."""
    ENDED = auto()
    """Nothing happens any more."""


class Router:
    """Runs the turns of one session, from its start to its end.

    Parameters
    ----------
    config : StreamConfig
        Of the session.
    tracks : Tracks
        Its sources.
    merges : Merges
        Its merges.
    roster : Roster
        Its sinks.
    announcer : Announcer
        Takes events.
    sleeper : Sleeper
        What its thread sleeps on.
    at_end : callable
        Called by the thread when all is over.

    Attributes
    ----------
    crashed : BaseException or None
        A fault of this library that has ended the session.
    """

    def __init__(
        self,
        config: StreamConfig,
        tracks: Tracks,
        merges: Merges,
        roster: Roster,
        announcer: Announcer,
        sleeper: Sleeper,
        at_end: Callable[[], object],
    ) -> None:
        self.crashed: BaseException | None = None
        self._config = config
        self._clock = config.clock
        self._tracks = tracks
        self._merges = merges
        self._roster = roster
        self._announcer = announcer
        self._sleeper = sleeper
        self._at_end = at_end
        self._state = RouterState.MADE
        self._beginning = InterruptibleLock()
        self._may_begin = Latch()
        self._stop_requested = False
        self._limit = StopLimit(self._clock, config.stop_timeout)
        self._sink_watch = SinkWatch(announcer.send)
        self._next_look = 0.0
        self._look_interval = LOOK_INTERVAL
        self._to_ring: list[LoopWaker] = []
        self._reads: list[Track] = []  # those that the next turn reads, unless they are held
        self._readers = ReaderArray([], sleeper.native)
        self._take_is_over = False  # of one of them
        self._fast_path: FastPath | None = None  # for a consumer's turns
        self._baton = Baton(self._take_consumers_turn, sleeper.set, self._look_meanwhile)
        self._commands = Commands(self._baton.recall)
        self._thread = threading.Thread(target=self._run, name="stream-audio-router", daemon=True)
        announcer.when_failure_is_told(self._baton.recall)
        roster.changed = self.note_change

    # ---- any thread ----

    def start(self) -> None:
        """Start the thread, which waits for :meth:`begin`; the sources run already."""
        switch_interval.hold(self._config.switch_interval)
        self._state = RouterState.WAITING
        self._thread.start()

    def begin(self) -> None:
        """Let the thread begin: nothing that could fail is left of the start."""
        self._may_begin.set()

    def cancel(self) -> bool:
        """Keep the thread from doing anything, if it has not begun; False if it has."""
        with self._beginning:
            if self._state not in (RouterState.MADE, RouterState.WAITING):
                return False
            # A Ctrl-C in start() may have left a thread that is still on its way.
            if self._state is RouterState.WAITING:
                switch_interval.release(self._config.switch_interval)
            self._state = RouterState.CANCELLED
            self._may_begin.set()
            return True

    def request_stop(self, timeout: float | None = None) -> None:
        """Ask the thread to stop everything; returns at once.

        ``timeout``: seconds in all for the sinks; ``None``: as the settings have it.
        """
        if timeout is not None:
            self._limit.in_all(timeout)
        self._stop_requested = True
        self._baton.recall()

    @property
    def turn_is_here(self) -> bool:
        """Whether the caller is, or is called by, what runs turns: nothing else will meanwhile."""
        return threading.current_thread() is self._thread or self._baton.is_held_here

    def do(self, action: Callable[[], object], undo: Callable[[], object] = lambda: None) -> bool:
        """Run ``action`` between two turns and wait for it; False if the session has ended.

        Within a turn, for a sink that is written to directly, it is run right after that turn, and
        ``undo`` if it then fails. Before the thread is started it is run at once.
        """
        if self._state is RouterState.MADE:
            action()
            return True
        return self._commands.do(action, undo, within=self.turn_is_here)

    @property
    def is_capturing(self) -> bool:
        """Whether sources may still come."""
        return self._state in (RouterState.MADE, RouterState.WAITING, RouterState.RUNNING)

    # ---- between two turns ----

    def note_change(self) -> None:
        """Go on with tracks and sinks as they are: one has come, gone, or got another device."""
        self._tracks.note()
        self._plan_look(self._clock.now())
        self._fast_path = None  # it knows a reader
        self._read(self._tracks.read)
        if not self.is_capturing:
            return
        self._roster.gather()
        # A look takes place when the router is awake anyway, rather than wake it.
        least = min((track.gather_seconds for track in self._tracks.read), default=0.0)
        self._look_interval = max(LOOK_INTERVAL, least + LOOK_EARLY / 2)
        deliveries, sleeper = self._roster.deliveries, self._sleeper.native
        self._fast_path = find_fast_path(self._tracks, deliveries, self._clock, sleeper)
        for delivery in deliveries.values():
            if delivery.sink.lend_baton is not None:
                delivery.sink.lend_baton(self._baton if self._fast_path is not None else None)

    def _read(self, tracks: list[Track]) -> None:
        self._reads = tracks
        readers = [track.take.reader for track in tracks if track.take is not None]
        self._readers = ReaderArray(readers, self._sleeper.native)

    # ---- the router's thread ----

    def _run(self) -> None:
        self._may_begin.wait()
        with self._beginning:
            if self._state is RouterState.CANCELLED:
                return
            self._state = RouterState.RUNNING
        sit_on(self._sleeper)
        ask_for_precise_timers()
        try:
            self._announcer.send(SessionStarted(self._clock.now()))
            self._roster.begin()
            with bells_rung_later() as self._to_ring:
                try:
                    self._run_turns()
                finally:
                    self._baton.close()
            self._finish()
        except BaseException as error:
            # A bug of ours; the sinks must still be closed, and the user must hear of it.
            _log.exception("the router crashed")
            self.crashed = error
            self._finish_after_crash()
        finally:
            self._state = RouterState.ENDED
            switch_interval.release(self._config.switch_interval)
            self._commands.give_up()
            self._roster.let_go()
            self._sleeper.close()
            self._at_end()

    def _run_turns(self, *, to_the_end: bool = False) -> None:
        """Run turns until told to stop, or every source has ended.

        ``to_the_end``: until then whatever anybody says, and no source waits for its sinks.
        """
        self.note_change()
        if not to_the_end:
            self._baton.open()
        while self._tracks.live and (to_the_end or not self._stop_requested):
            self._baton.take()
            try:
                self._look_back()
                # The look may have found that the time of the last track is up.
                ended = self._take_is_over or not self._tracks.live
                in_hurry = self._commands.waiting or ended
                if self._stop_requested and not to_the_end:
                    in_hurry = True
                if self._fast_path is not None and self._fast_path.has_come:
                    in_hurry = True  # a consumer left what it had read
                self._take_turn(0.0 if in_hurry else math.inf, hold=not to_the_end)
                if self._take_is_over:
                    self._end_takes()
                if self._commands.waiting:
                    self._commands.run()
                if self._roster.leaving:
                    self._roster.see_off()
                if self._announcer.first_failure is not None and self._all_is_in_vain():
                    self._stop_requested = True
            finally:
                self._baton.drop()

    def _all_is_in_vain(self) -> bool:
        """Whether all sinks have failed, and the user knows."""
        return self._announcer.told_failures and self._roster.have_all_failed()

    def _take_turn(self, until: float, *, hold: bool = True) -> None:
        """Wait for chunks, until then at most, and move them."""
        reads = self._tracks.read
        if hold and self._tracks.some_wait and (held := self._roster.held()):
            # One that is being removed does not wait: nobody can take for ever.
            going = TrackState.STOPPING
            reads = [each for each in reads if each.name not in held or each.state is going]
        if reads is not self._reads and reads != self._reads:
            self._read(reads)
        self._readers.make_room()
        wake_at = min(until, self._next_look)
        if self._merges.heads:
            wake_at = min(wake_at, self._merges.due)
        if self._roster.leaving:
            wake_at = min(wake_at, self._roster.next_end)
        bells = [waker.bell for waker in self._to_ring]
        self._readers.wait_and_read(deadline_ns(wake_at), bells)
        self._to_ring.clear()
        # Before the commands: what a sink is to be removed for may long have been captured.
        for track in self._reads:
            if track.move():
                self._note_end_of_take()
        if self._merges.heads:
            self._merges.collect()

    def _take_consumers_turn(self, until: float) -> bool:
        """Hand the next chunk over on its consumer's thread, by the fast path; True if it did.

        What takes the usual way is left to the router.
        """
        path = self._fast_path
        if path is not None and not self._to_ring and path.prepare():
            if path.run_turn(deadline_ns(until)):
                return True
            if not path.has_come:
                return False
        self._baton.recall()
        return False

    def _note_end_of_take(self) -> None:
        """Have the router finish with a take that nothing will follow from."""
        self._take_is_over = True
        self._baton.recall()

    def _end_takes(self) -> None:
        """Finish with those."""
        self._take_is_over = False
        for track in self._tracks.read:
            if track.take_is_over:
                track.end_take()
        self.note_change()

    # ---- what nobody waits for ----

    def _look_back(self) -> None:
        """Do what nobody waited for in the last turns, whoever took them."""
        now = self._clock.now()
        for track in self._tracks.read:
            if track.routing.left:
                track.routing.catch_up()
            if track.signal.unseen:
                track.look(now)
        self._announcer.tick(now)
        if now >= self._next_look - LOOK_EARLY:
            self._look_around(now)

    def _look_meanwhile(self) -> None:
        """Look at what a consumer that runs the turns brings, and at its device."""
        if self._fast_path is not None:  # then nothing can be found that takes a turn
            self._look_back()

    def _plan_look(self, now: float) -> None:
        """Look again in a while, or when the time of a track is up that waits for a device."""
        ends = (track.time_is_up_at for track in self._tracks.live)
        self._next_look = min([now + self._look_interval, *ends])

    def _look_around(self, now: float) -> None:
        """Look at what delivers or takes nothing."""
        self._plan_look(now)
        if not threading.main_thread().is_alive():
            # The interpreter waits for the threads that are no daemons before it calls `atexit`;
            # one of them may be waiting for us.
            self.request_stop()
        log_host_messages()
        for track in self._tracks.live:
            track.look_at_device(now)
        if not all(track.is_live for track in self._tracks.live):
            self.note_change()
        self._sink_watch.look(self._roster.deliveries.values(), now)

    # ---- the end ----

    def _finish(self) -> None:
        """Stop the devices, drain the rings, deliver the tails, close everything."""
        for track in self._tracks.values():
            if track.take is not None:
                track.take.begin_to_stop()  # all at once: one may hang
        for track in self._tracks.values():
            track.stop()
        self._run_turns(to_the_end=True)
        for track in self._tracks.values():
            track.end()  # what others feed
        self._merges.finish()
        self._state = RouterState.FINISHING
        self._roster.refuse()
        # Sources that wait for their sinks lose nothing at their end either.
        all_wait = all(track.shape.freewheel for track in self._tracks.values())
        if all_wait and not self._stop_requested:
            self._limit.lift()
        self._roster.close(self._limit, self._sleep_meanwhile)
        self._commands.refuse()
        self._commands.run()  # the last ones
        for track in self._tracks.values():
            track.close()

    def _sleep_meanwhile(self, seconds: float) -> None:
        """Sleep for a while, in which sinks may still be taken out."""
        self._sleeper.wait(min(seconds, self._roster.next_end - self._clock.now()))
        self._commands.run()
        self._roster.see_off()

    def _finish_after_crash(self) -> None:
        self._state = RouterState.FINISHING
        self._roster.refuse()
        steps: list[Callable[[], object]] = [track.stop for track in self._tracks.values()]
        steps.extend(track.routing.catch_up for track in self._tracks.values())
        steps.append(lambda: self._roster.close(self._limit, self._sleep_meanwhile))
        steps.extend(track.close for track in self._tracks.values())
        for step in steps:
            try:
                step()
            except Exception:
                _log.exception("after the crash")
