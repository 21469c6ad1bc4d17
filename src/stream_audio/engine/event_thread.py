"""Events on a thread of their own, so that a slow or raising handler harms nobody."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from stream_audio.events import StreamEvent

_log = logging.getLogger("stream_audio")

CAPACITY = 1000
"""Events that may wait for a slow handler; further ones are dropped and counted."""


class EventThread:
    """Calls ``handler`` with each event, one at a time."""

    def __init__(self, handler: Callable[[StreamEvent], object]) -> None:
        self._handler = handler
        self._events: queue.SimpleQueue[StreamEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="stream-audio-events", daemon=True)
        self._dropped = 0
        self._thread.start()

    def send(self, event: StreamEvent) -> None:
        """Queue an event; never blocks."""
        if self._events.qsize() < CAPACITY:
            self._events.put(event)
        else:
            self._dropped += 1

    def close(self) -> None:
        """Let what is queued be handled, then end; returns at once."""
        self._events.put(None)
        if self._dropped:
            _log.warning("on_event was too slow: %d events were dropped", self._dropped)

    def join(self, timeout: float) -> None:
        """Wait until all is handled, unless called by the handler itself."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._handler(event)
            except Exception:
                _log.exception("on_event raised for %r", event)
