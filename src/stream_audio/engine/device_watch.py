"""A device that delivers nothing, is gone, or runs at another sample rate than it says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, auto

from stream_audio.engine.take import Take
from stream_audio.reports.events import (
    DefaultChanged,
    SourceLost,
    SourceRecovered,
    SourceResumed,
    SourceStalled,
    SourceSuspended,
    SourceSwitched,
    StreamEvent,
    WrongSampleRate,
)
from stream_audio.reports.report import measured_rate, rate_is_wrong

_log = logging.getLogger("stream_audio")

STALL_AFTER = 3.0
"""Seconds without a callback after which a source that claims to run is called stalled. Some hosts
take two seconds to begin (PulseAudio's null sinks)."""


class Flow(Enum):
    """Whether callbacks come."""

    FLOWING = auto()
    """They do."""
    SILENT = auto()
    """None came of late."""
    STALLED = auto()
    """None came for so long that it was told."""
    SUSPENDED = auto()
    """The host has put the device to sleep, which was told."""


class DeviceWatch:
    """Looks at the device of one track now and then, on the router's thread.

    Parameters
    ----------
    source : str
        The source's id.
    send : callable
        Gets the events.
    """

    def __init__(self, source: str, send: Callable[[StreamEvent], None]) -> None:
        self._source = source
        self._send = send
        self._flow = Flow.FLOWING
        self._since = 0.0  # as long as it is not
        self._packets = 0  # at the last look
        self._default: str | None = None  # the id that was told last
        self._told_rate: float | None = None  # the one that was told to be wrong
        self._loss = ""  # why it was lost, until another device delivers
        self.waits = False
        """Whether another device may follow one that is lost; see ``Recovery``."""
        self.follows = False
        """Whether a device is left for another one that has its role."""

    def begin_take(self) -> None:
        """Look at another device from now on."""
        self._flow = Flow.FLOWING
        self._packets = 0
        self._default = None

    def look(self, take: Take, now: float) -> None:
        """Report what has changed, and end a device that is dead."""
        source = take.source
        self._look_at_role(take, now)
        if take.left_for:
            return
        self.look_at_rate(take, now)
        if source.is_suspended():
            if self._flow is not Flow.SUSPENDED:
                self._flow, self._since = Flow.SUSPENDED, now
                _log.warning("source %s: its host has suspended the device", self._source)
                self._send(SourceSuspended(now, self._source))
            return
        if self._flow is Flow.SUSPENDED:
            self._flow = Flow.FLOWING
            self._send(SourceResumed(now, self._source, now - self._since))
        before, self._packets = self._packets, take.reader.progress.packets
        silent = self._packets == before
        if not silent or source.freewheel:
            self._flow = Flow.FLOWING
            return
        if self._flow is Flow.FLOWING:
            self._flow, self._since = Flow.SILENT, now
        if not source.is_active():
            self.tell_lost(take, source.end_reason() or f"{source.description} is gone", now)
            take.stop()
        elif self._flow is Flow.SILENT and now - self._since >= STALL_AFTER:
            self._flow = Flow.STALLED
            _log.warning("source %s delivers nothing", self._source)
            self._send(SourceStalled(now, self._source, now - self._since))

    def tell_lost(self, take: Take, reason: str, now: float) -> None:
        """Report a device that is gone. Does nothing twice."""
        if take.error:
            return
        take.error = reason
        _log.warning("source %s: %s", self._source, reason)
        if not self._loss:  # else the loss before it is not over yet
            self._tell_loss(reason, now)
        take.source.lost()

    def _tell_loss(self, reason: str, now: float) -> None:
        self._loss = reason
        self._send(SourceLost(now, self._source, reason, self.waits))

    def went_on(self, left: Take, take: Take, outage: float, now: float) -> None:
        """Report that another device delivers; it may be lost by now, too."""
        self._loss = ""
        if left.left_for:
            old, new = left.source.device_id, take.source.device_id
            self._send(SourceSwitched(now, self._source, old, new, take.source.description))
        else:
            self._send(SourceRecovered(now, self._source, outage, take.source.description))
        if take.error:
            self._tell_loss(take.error, now)

    def _look_at_role(self, take: Take, now: float) -> None:
        """Report another default than the device that was found as it, and follow it if wanted."""
        own = take.source.device_id
        before = own if self._default is None else self._default
        default = take.source.role_taken_by() or own
        if default != before:
            _log.info("source %s: the default device is %s now", self._source, default)
            self._send(DefaultChanged(now, self._source, before, default))
            if self.follows and default != own:
                take.left_for = default
                take.stop()
        self._default = default

    def look_at_rate(self, take: Take, now: float) -> None:
        """Report a wrong sample rate as soon as that is certain; once."""
        drift = take.reader.drift()
        if self._told_rate is not None or not rate_is_wrong(*drift):
            return
        rate = take.source.sample_rate
        measured = measured_rate(rate, drift[0])
        assert measured is not None
        self._told_rate = measured
        _log.warning(
            "source %s claims to run at %d Hz but runs at %.0f Hz", self._source, rate, measured
        )
        self._send(WrongSampleRate(now, self._source, rate, measured))
