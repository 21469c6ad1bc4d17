"""Who tells the user what happens in a session, and remembers which sink failed first."""

from __future__ import annotations

from collections.abc import Callable

from stream_audio.engine.event_thread import EventThread
from stream_audio.reports.events import SinkFailed, StreamEvent
from stream_audio.waiting.clock import WallClock


class Announcer:
    """Sends events to the handler, if there is one; on any thread.

    Parameters
    ----------
    wall : WallClock
        The session's.
    handler : callable, optional
        Takes events, on a thread of its own.

    Attributes
    ----------
    first_failure : SinkFailed or None
        The first failure of a sink.
    tick : callable
        Tells what was held back, if its time has come; called now and then, with the time.
    """

    def __init__(self, wall: WallClock, handler: Callable[[StreamEvent], object] | None) -> None:
        self.first_failure: SinkFailed | None = None
        self._wall = wall
        self._events = None if handler is None else EventThread(handler)
        self.tick: Callable[[float], None] = lambda now: None
        if self._events is not None:
            self.tick = self._events.tick

    def send(self, event: StreamEvent) -> None:
        """Tell of an event; never blocks."""
        if self.first_failure is None and isinstance(event, SinkFailed):
            self.first_failure = event
        if self._events is not None:
            # By the base class: an event of a sink may be of the user's own kind.
            self._events.send(StreamEvent.dated(event, self._wall.epoch_now()))

    def when_failure_is_told(self, call: Callable[[], object]) -> None:
        """Have ``call`` called each time the handler has returned from the end of a sink."""
        if self._events is not None:
            self._events.when_failure_is_told = call

    @property
    def told_failures(self) -> bool:
        """Whether the user knows of the end of each sink that has failed."""
        return self._events is None or self._events.told_failures

    def close(self) -> None:
        """Let what is queued be told, then end; returns at once."""
        if self._events is not None:
            self._events.close()

    def join(self, timeout: float) -> None:
        """Wait until all is told, unless called by the handler itself."""
        if self._events is not None:
            self._events.join(timeout)
