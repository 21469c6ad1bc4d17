"""The router: one thread a session that moves everything that is ready, then sleeps.

A turn is one native call, which sleeps with the GIL released until a chunk is due, reads all that
is ready from every ring, and comes back with it; then the chunks are handed to the deliveries. So
when other threads hog the GIL, one turn moves all that has piled up.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from stream_audio._native.capture import reader_array, wait_and_read
from stream_audio._native.portaudio import log_host_messages
from stream_audio.config import StreamConfig
from stream_audio.engine import switch_interval
from stream_audio.engine.clock import Sleeper, deadline_ns, sit_on
from stream_audio.engine.delivery import Delivery, OnFailure, make_delivery
from stream_audio.engine.event_thread import EventThread
from stream_audio.engine.inlet import Inlet
from stream_audio.engine.ledger import Ledger, RouteAccount
from stream_audio.events import (
    GapDetected,
    SessionStarted,
    SessionStopped,
    SourceEnded,
    SourceLost,
    SourceStalled,
    StreamEvent,
)
from stream_audio.report import SessionReport

_log = logging.getLogger("stream_audio")

LOOK_INTERVAL = 0.5
"""Seconds between looks at sources that deliver nothing."""

STALL_AFTER = 3.0
"""Seconds without a callback after which a source that claims to run is called stalled. Some hosts
take two seconds to begin (PulseAudio's null sinks)."""


class Route:
    """From one source to one sink."""

    def __init__(self, delivery: Delivery, account: RouteAccount) -> None:
        self.delivery = delivery
        self.account = account


class Router:
    """Runs one session, from its start to its report. Knows nothing of the Session object."""

    def __init__(self, config: StreamConfig, events: EventThread | None) -> None:
        self.ledger = Ledger()
        self.inlets: dict[str, Inlet] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.config = config
        self.clock = config.clock
        self.events = events
        self.done = threading.Event()
        self.crashed: BaseException | None = None
        self.when_ended: Callable[[], object] = lambda: None
        self.sleeper = Sleeper(self.clock)
        self._routes: dict[str, list[Route]] = {}
        self._stop_requested = False
        self._beginning = threading.Lock()
        self._begun = False
        self._cancelled = False
        self._holds_interval = False
        self._stop_timeout = 10.0
        self._give_up_at = math.inf
        self._silent_since: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="stream-audio-router", daemon=True)

    # ---- any thread ----

    def start(self) -> None:
        """Start the thread; the sources run already."""
        switch_interval.hold(self.config.switch_interval)
        self._holds_interval = True
        self._thread.start()

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
            return True

    def request_stop(self, timeout: float = 10.0) -> None:
        """Ask the thread to stop everything; returns at once."""
        self._stop_timeout = timeout
        self._give_up_at = min(self._give_up_at, self.clock.now() + timeout)
        self._stop_requested = True
        self.sleeper.set()

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller runs on a thread that the end has to wait for."""
        current = threading.current_thread()
        return current is self._thread or any(
            delivery.is_thread(current) for delivery in self.deliveries.values()
        )

    def report(self) -> SessionReport:
        """Where every frame went, or stands now."""
        sources = {name: inlet.report() for name, inlet in self.inlets.items()}
        sinks = {name: delivery.report() for name, delivery in self.deliveries.items()}
        running = not self.done.is_set()
        # While it runs, the figures of several threads need not be of the same moment.
        problems = [] if running else self.ledger.problems()
        if self.crashed is not None:
            problems.append(f"the router crashed: {self.crashed!r}")
        return SessionReport(sources, sinks, tuple(problems), running)

    def send(self, event: StreamEvent) -> None:
        """Tell the user, if there is a handler."""
        if self.events is not None:
            self.events.send(event)

    # ---- before the start ----

    def add_inlet(self, inlet: Inlet) -> None:
        """Take a source in."""
        self.inlets[inlet.name] = inlet

    def add_delivery(self, name: str, sink: object, on_failure: OnFailure) -> Delivery:
        """Take a sink in."""
        account = self.ledger.open_sink(name)
        self.deliveries[name] = make_delivery(
            name, sink, account, self.config, on_failure, self.send, self.sleeper.set
        )
        return self.deliveries[name]

    def add_route(self, inlet: Inlet, delivery: Delivery) -> None:
        """Send a source's chunks to a sink."""
        rate = inlet.source.sample_rate
        account = RouteAccount(rate, rate)
        delivery.account.routes.append(account)
        self._routes.setdefault(inlet.name, []).append(Route(delivery, account))

    # ---- the router's thread ----

    def _run(self) -> None:
        with self._beginning:
            if self._cancelled:
                return
            self._begun = True
        sit_on(self.sleeper)
        try:
            self.send(SessionStarted(self.clock.now()))
            self._move_until(lambda: self._stop_requested)
            self._finish()
        except BaseException as error:
            # A bug of ours; the sinks must still be closed, and the user must hear of it.
            _log.exception("the router crashed")
            self.crashed = error
            self._finish_after_crash()
        finally:
            switch_interval.release(self.config.switch_interval)
            self.sleeper.close()
            self.when_ended()
            self.done.set()
            self.send(SessionStopped(self.clock.now(), self.report().balanced))
            if self.events is not None:
                self.events.close()

    def _move_until(self, stop: Callable[[], bool]) -> None:
        """Move chunks until told to stop, or every source has ended."""
        inlets = [inlet for inlet in self.inlets.values() if not inlet.finished]
        readers = reader_array([inlet.reader for inlet in inlets])
        next_look = self.clock.now() + LOOK_INTERVAL
        while inlets and not stop():
            wait_and_read(readers, len(inlets), self.sleeper.native, deadline_ns(next_look))
            ended = [inlet for inlet in inlets if self._turn(inlet)]
            if ended:
                inlets = [inlet for inlet in inlets if inlet not in ended]
                readers = reader_array([inlet.reader for inlet in inlets])
            now = self.clock.now()
            if now >= next_look:
                next_look = now + LOOK_INTERVAL
                self._look_after(inlets, now)

    def _turn(self, inlet: Inlet) -> bool:
        """Hand on what the last read finished; True if nothing will follow."""
        routes = self._routes.get(inlet.name, ())
        for chunk in inlet.collect():
            for gap in chunk.gaps:
                self.send(GapDetected(self.clock.now(), gap))
            for route in routes:
                if not route.delivery.detached:
                    route.account.extend(chunk.frame, chunk.frames)
                    route.delivery.offer(chunk)
        if not inlet.reader.progress.finished:
            return False
        inlet.stop()
        for gap in inlet.settle():
            self.send(GapDetected(self.clock.now(), gap))
        self.send(SourceEnded(self.clock.now(), inlet.name))
        return True

    def _look_after(self, inlets: list[Inlet], now: float) -> None:
        """Notice sources that deliver nothing: dead ones end, silent ones are reported."""
        log_host_messages()
        for inlet in inlets:
            if inlet.packets_came() or inlet.source.freewheel:
                self._silent_since.pop(inlet.name, None)
                inlet.stalled = False
                continue
            since = self._silent_since.setdefault(inlet.name, now)
            if not inlet.source.is_active():
                inlet.error = f"{inlet.source.description} is gone"
                _log.warning("source %s: %s", inlet.name, inlet.error)
                self.send(SourceLost(now, inlet.name, inlet.error))
                inlet.source.lost()
                inlet.stop()
            elif now - since >= STALL_AFTER and not inlet.stalled:
                inlet.stalled = True
                _log.warning("source %s delivers nothing", inlet.name)
                self.send(SourceStalled(now, inlet.name, now - since))

    def _finish(self) -> None:
        """Stop the devices, drain the rings, deliver the tails, close everything."""
        for inlet in self.inlets.values():
            inlet.stop()
        self._move_until(lambda: False)
        self._close_deliveries()
        for inlet in self.inlets.values():
            inlet.close()

    def _close_deliveries(self) -> None:
        self._give_up_at = min(self._give_up_at, self.clock.now() + self._stop_timeout)
        for delivery in self.deliveries.values():
            delivery.close()
        for delivery in self.deliveries.values():
            # A stop that is asked for meanwhile may have less patience.
            delivery.wait(lambda: self._give_up_at - self.clock.now(), self.sleeper.wait)

    def _finish_after_crash(self) -> None:
        steps: list[Callable[[], object]] = [inlet.stop for inlet in self.inlets.values()]
        steps.append(self._close_deliveries)
        steps.extend(inlet.close for inlet in self.inlets.values())
        for step in steps:
            try:
                step()
            except Exception:
                _log.exception("after the crash")
