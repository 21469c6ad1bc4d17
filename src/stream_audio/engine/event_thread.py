"""Events on a thread of their own, so that a slow or raising handler harms nobody."""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable

from stream_audio.reports.events import GapDetected, StreamEvent

_log = logging.getLogger("stream_audio")

CAPACITY = 1000
"""Events that may wait for a slow handler; further ones are dropped and counted."""

INTERVAL = 0.1
"""Seconds between two gaps of the same source, sink and cause; those in between become one."""

Kind = tuple[str, str, str]
"""Source, sink and cause of a gap."""


class EventThread:
    """Calls ``handler`` with each event, one at a time."""

    def __init__(self, handler: Callable[[StreamEvent], object]) -> None:
        self._handler = handler
        self._events: queue.SimpleQueue[StreamEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="stream-audio-events", daemon=True)
        self._dropped = 0
        self._sending = threading.Lock()
        self._told: dict[Kind, float] = {}  # when each kind was told last
        self._waiting: dict[Kind, GapDetected] = {}
        self._thread.start()

    def send(self, event: StreamEvent) -> None:
        """Queue an event; on any thread, never blocks."""
        with self._sending:
            if isinstance(event, GapDetected):
                self._send_gap(event)
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
        self._events.put(None)
        if self._dropped:
            _log.warning("on_event was too slow: %d events were dropped", self._dropped)

    def join(self, timeout: float) -> None:
        """Wait until all is handled, unless called by the handler itself."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _send_gap(self, event: GapDetected) -> None:
        kind = (event.gap.source, event.sink, event.gap.cause)
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
        if self._events.qsize() < CAPACITY:
            self._events.put(event)
        else:
            self._dropped += 1

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._handler(event)
            except Exception:
                _log.exception("on_event raised for %r", event)
