"""Events on a thread of their own, so that a slow or raising handler harms nobody.

There is no timer: the router's turns say that time has passed, and another event about the same
sink or source sends first what waits before it.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from stream_audio._locks import InterruptibleLock
from stream_audio.errors import log_raised, shown
from stream_audio.reports.events import GapDetected, SinkFailed, StreamEvent
from stream_audio.waiting.signals import LockSignal

_log = logging.getLogger("stream_audio")

CAPACITY = 1000
"""Events that may wait for a slow handler; further ones are dropped and counted."""

INTERVAL = 0.1
"""Seconds between two events of a kind that may come in floods; those in between become one."""

Kind = tuple[str, str, str]
"""Source, sink and cause of a gap; of a chunk that a sink could not take, the sink alone."""


class EventThread:
    """Calls ``handler`` with each event, one at a time."""

    def __init__(self, handler: Callable[[StreamEvent], object]) -> None:
        self._handler = handler
        # No SimpleQueue, which gevent replaces by one for a single thread.
        self._events: deque[StreamEvent | None] = deque()
        self._arrived = LockSignal()
        self._thread = threading.Thread(target=self._run, name="stream-audio-events", daemon=True)
        self._dropped = 0
        self.when_failure_is_told: Callable[[], object] = lambda: None
        """Called when the handler has returned from the end of a sink."""
        self._failures_sent = 0
        self._failures_told = 0
        self._sending = InterruptibleLock()
        self._told: dict[Kind, float] = {}  # when each kind was told last
        self._waiting: dict[Kind, GapDetected | SinkFailed] = {}
        self._thread.start()

    def send(self, event: StreamEvent) -> None:
        """Queue an event; on any thread, never blocks."""
        with self._sending:
            kind = _kind_of_flood(event)
            if kind is not None:
                self._send_limited(kind, event)
            else:
                self._send_what_came_before(event)
                self._put(event)

    def tick(self, now: float) -> None:
        """Send the gaps whose time has come; called now and then, with the session's clock."""
        if not self._told:
            return
        with self._sending:
            due = [kind for kind, told in self._told.items() if now - told >= INTERVAL]
            for kind in due:
                del self._told[kind]
                if kind in self._waiting:
                    self._told[kind] = now
                    self._put(self._waiting.pop(kind))

    def close(self) -> None:
        """Let what is queued be handled, then end; returns at once."""
        self._queue(None)
        if self._dropped:
            _log.warning("on_event was too slow: %d events were dropped", self._dropped)

    def join(self, timeout: float) -> None:
        """Wait until all is handled, unless called by the handler itself."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    @property
    def told_failures(self) -> bool:
        """Whether the handler has returned from the end of each sink that has failed."""
        return self._failures_told == self._failures_sent

    def _send_limited(self, kind: Kind, event: Any) -> None:
        now = event.time
        if kind in self._waiting:
            event = self._waiting.pop(kind).merged_with(event)
        if now - self._told.get(kind, -math.inf) < INTERVAL:
            self._waiting[kind] = event
        else:
            self._told[kind] = now
            self._put(event)

    def _send_what_came_before(self, event: StreamEvent) -> None:
        """Keep the order of what is told of one sink or one source; of all, at the end."""
        sink, source = getattr(event, "sink", ""), getattr(event, "source", "")
        for kind in list(self._waiting):
            if kind[1] == sink if sink else source in ("", kind[0]):
                self._put(self._waiting.pop(kind))

    def _put(self, event: StreamEvent) -> None:
        if len(self._events) < CAPACITY:
            self._failures_sent += _is_end_of_sink(event)
            self._queue(event)
        else:
            self._dropped += 1

    def _queue(self, event: StreamEvent | None) -> None:
        self._events.append(event)
        self._arrived.set()

    def _next(self) -> StreamEvent | None:
        while not self._events:
            self._arrived.wait()
        return self._events.popleft()

    def _run(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._handler(event)
            except BaseException as error:
                # SystemExit and its like, too: what follows is still to be told.
                log_raised(_log, error, "on_event raised for %s", shown(event))
            if _is_end_of_sink(event):
                self._failures_told += 1
                self.when_failure_is_told()


def _kind_of_flood(event: StreamEvent) -> Kind | None:
    if type(event) is GapDetected:
        return event.gap.source, event.sink, event.gap.cause
    if isinstance(event, SinkFailed) and not event.detached:
        return "", event.sink, "sink_failed"
    return None


def _is_end_of_sink(event: StreamEvent) -> bool:
    return isinstance(event, SinkFailed) and event.detached
