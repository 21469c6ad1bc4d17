"""Sinks that hold their sources up and take nothing."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Iterable

from stream_audio.engine.delivery import Delivery
from stream_audio.reports.events import SinkStalled, StreamEvent

_log = logging.getLogger("stream_audio")

STALL_AFTER = 3.0
"""Seconds for which a full sink takes nothing until that is reported."""


class SinkWatch:
    """Looks at the sinks now and then, on the router's thread.

    Parameters
    ----------
    send : callable
        Gets the events.
    """

    def __init__(self, send: Callable[[StreamEvent], None]) -> None:
        self._send = send
        # Of full sinks: since when, and how much they had taken; since infinity, once it is told.
        self._taken_nothing: weakref.WeakKeyDictionary[Delivery, tuple[float, int]] = (
            weakref.WeakKeyDictionary()
        )

    def look(self, deliveries: Iterable[Delivery], now: float) -> None:
        """Report those that are full and have taken nothing for long."""
        for delivery in deliveries:
            if delivery.backlog is None or not delivery.full:
                self._taken_nothing.pop(delivery, None)
                continue
            taken = delivery.backlog.bytes_out
            since, before = self._taken_nothing.get(delivery, (now, taken))
            if taken != before:
                since = now
            self._taken_nothing[delivery] = (since, taken)
            if now - since >= STALL_AFTER:
                self._taken_nothing[delivery] = (math.inf, taken)
                _log.warning("sink %s takes nothing, and its sources wait", delivery.name)
                self._send(SinkStalled(now, delivery.name, now - since))
