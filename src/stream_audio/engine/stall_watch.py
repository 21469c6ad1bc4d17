"""Sources that deliver nothing, and sinks that hold their sources up and take nothing."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Iterable

from stream_audio.engine.delivery import Delivery
from stream_audio.engine.inlet import Inlet
from stream_audio.reports.events import (
    DefaultChanged,
    SinkStalled,
    SourceLost,
    SourceResumed,
    SourceStalled,
    SourceSuspended,
    StreamEvent,
)

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
        self._suspended_since: dict[str, float] = {}
        self._default: dict[str, str] = {}  # the id that was told last
        # Of full sinks: since when, and how much they had taken; since infinity, once it is told.
        self._taken_nothing: weakref.WeakKeyDictionary[Delivery, tuple[float, int]] = (
            weakref.WeakKeyDictionary()
        )

    def look_at_sources(self, inlets: Iterable[Inlet], now: float) -> None:
        """End the dead ones, and report the silent ones."""
        for inlet in inlets:
            self._look_at_role(inlet, now)
            if self._is_suspended(inlet, now):
                continue
            if inlet.packets_came() or inlet.source.freewheel:
                self._silent_since.pop(inlet.name, None)
                inlet.stalled = False
                continue
            since = self._silent_since.setdefault(inlet.name, now)
            if not inlet.source.is_active():
                gone = f"{inlet.source.description} is gone"
                self.tell_lost(inlet, inlet.source.end_reason() or gone, now)
                inlet.stop()
            elif now - since >= STALL_AFTER and not inlet.stalled:
                inlet.stalled = True
                _log.warning("source %s delivers nothing", inlet.name)
                self._send(SourceStalled(now, inlet.name, now - since))

    def tell_lost(self, inlet: Inlet, reason: str, now: float) -> None:
        """Report a source whose device is gone. Does nothing twice."""
        if inlet.error:
            return
        inlet.error = reason
        _log.warning("source %s: %s", inlet.name, reason)
        self._send(SourceLost(now, inlet.name, reason))
        inlet.source.lost()

    def _look_at_role(self, inlet: Inlet, now: float) -> None:
        """Report another default than the device that was found as it."""
        source = inlet.source
        before = self._default.setdefault(inlet.name, source.device_id)
        default = source.role_taken_by() or source.device_id
        if default != before:
            self._default[inlet.name] = default
            _log.info("source %s: the default device is %s now", inlet.name, default)
            self._send(DefaultChanged(now, inlet.name, before, default))

    def _is_suspended(self, inlet: Inlet, now: float) -> bool:
        """Return whether its host has put it to sleep, and report when that changes."""
        suspended = inlet.source.is_suspended()
        since = self._suspended_since.get(inlet.name)
        if suspended and since is None:
            self._suspended_since[inlet.name] = now
            self._silent_since.pop(inlet.name, None)
            _log.warning("source %s: its host has suspended the device", inlet.name)
            self._send(SourceSuspended(now, inlet.name))
        elif since is not None and not suspended:
            del self._suspended_since[inlet.name]
            self._send(SourceResumed(now, inlet.name, now - since))
        return suspended

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
