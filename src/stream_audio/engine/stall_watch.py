"""Sources that deliver nothing, and sinks that hold their sources up and take nothing."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Iterable

from stream_audio.engine.delivery import Delivery
from stream_audio.engine.inlet import Inlet
from stream_audio.reports.events import SinkStalled, SourceLost, SourceStalled, StreamEvent

_log = logging.getLogger("stream_audio")

STALL_AFTER = 3.0
"""Seconds without a callback after which a source that claims to run is called stalled. Some hosts
take two seconds to begin (PulseAudio's null sinks)."""


class StallWatch:
    """Looks at both now and then, on the router's thread.

    Parameters
    ----------
    send : callable
        Gets the events.
    """

    def __init__(self, send: Callable[[StreamEvent], None]) -> None:
        self._send = send
        self._silent_since: dict[str, float] = {}
        # Of full sinks: since when, and how much they had taken; since infinity, once it is told.
        self._taken_nothing: weakref.WeakKeyDictionary[Delivery, tuple[float, int]] = (
            weakref.WeakKeyDictionary()
        )

    def look_at_sources(self, inlets: Iterable[Inlet], now: float) -> None:
        """End the dead ones, and report the silent ones."""
        for inlet in inlets:
            if inlet.packets_came() or inlet.source.freewheel:
                self._silent_since.pop(inlet.name, None)
                inlet.stalled = False
                continue
            since = self._silent_since.setdefault(inlet.name, now)
            if not inlet.source.is_active():
                inlet.error = f"{inlet.source.description} is gone"
                _log.warning("source %s: %s", inlet.name, inlet.error)
                self._send(SourceLost(now, inlet.name, inlet.error))
                inlet.source.lost()
                inlet.stop()
            elif now - since >= STALL_AFTER and not inlet.stalled:
                inlet.stalled = True
                _log.warning("source %s delivers nothing", inlet.name)
                self._send(SourceStalled(now, inlet.name, now - since))

    def look_at_sinks(self, deliveries: Iterable[Delivery], now: float) -> None:
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
