"""Devices that run at another sample rate than they say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from stream_audio.engine.inlet import Inlet
from stream_audio.reports.events import StreamEvent, WrongSampleRate
from stream_audio.reports.report import measured_rate, rate_is_wrong

_log = logging.getLogger("stream_audio")


class RateWatch:
    """Looks at sources now and then, on the router's thread; tells each wrong rate once.

    Parameters
    ----------
    send : callable
        Gets the events.
    """

    def __init__(self, send: Callable[[StreamEvent], None]) -> None:
        self._send = send
        self._told: set[str] = set()

    def look(self, inlets: Iterable[Inlet], now: float) -> None:
        """Tell of those whose rate is wrong, as soon as that is certain."""
        for inlet in inlets:
            drift = inlet.reader.drift()
            if inlet.name in self._told or not rate_is_wrong(*drift):
                continue
            self._told.add(inlet.name)
            rate = inlet.source.sample_rate
            measured = measured_rate(rate, drift[0])
            assert measured is not None
            _log.warning(
                "source %s claims to run at %d Hz but runs at %.0f Hz", inlet.name, rate, measured
            )
            self._send(WrongSampleRate(now, inlet.name, rate, measured))
