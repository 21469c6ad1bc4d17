"""From a description to a running session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from stream_audio.audio.format import AudioFormat
from stream_audio.config import StreamConfig
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, Source
from stream_audio.engine.event_thread import EventThread
from stream_audio.engine.router import Router
from stream_audio.engine.track import TrackShape
from stream_audio.errors import in_words
from stream_audio.reports.events import StreamEvent
from stream_audio.session import Session
from stream_audio.sink_spec import SinkSpec

_log = logging.getLogger("stream_audio")


class Start:
    """One attempt to start a session, with what has to be undone if it fails."""

    def __init__(
        self,
        config: StreamConfig,
        audio_format: AudioFormat,
        on_event: Callable[[StreamEvent], object] | None,
    ) -> None:
        self._config = config
        self._format = audio_format
        self._events = None if on_event is None else EventThread(on_event)
        self._opened: list[OpenSource] = []
        self._router = Router(config, audio_format, self._events)

    def open_sources(
        self,
        sources: Mapping[str, Source],
        sinks: Iterable[SinkSpec],
        duration: float | None,
        history: float | None,
    ) -> None:
        """Open each source, for what ``sinks`` want of it; none delivers yet."""
        config = self._config
        opening = Opening(
            config.clock,
            config.ring_duration,
            chunk_duration=config.chunk_duration,
            doorbell=config.doorbell,
        )
        try:
            for name, source in sources.items():
                opening.formats = tuple(
                    spec.format or self._format
                    for spec in sinks
                    if spec.sources is None or name in spec.sources
                )
                self._open(name, source.open(opening), duration, history)
        finally:
            opening.close()

    def _open(
        self, name: str, opened: OpenSource, duration: float | None, history: float | None
    ) -> None:
        router = self._router
        self._opened.append(opened)
        track = router.track(name, TrackShape.of(opened), duration=duration, history=history)
        track.begin(opened)
        router.add_track(track)

    def start_sinks(self, sinks: Iterable[SinkSpec]) -> None:
        """Start each sink; none gets a chunk yet."""
        for spec in sinks:
            self._router.connect(self._router.setup.open(spec))

    def run(self) -> None:
        """Let the sources deliver; the router's thread waits for :meth:`begin`."""
        self._router.note_start()
        for opened in self._opened:
            opened.start()
        for delivery in self._router.deliveries.values():
            delivery.start()
        self._router.start()

    def begin(self) -> Session:
        """Let the session run: nothing that could fail is left."""
        session = Session(self._router)
        self._router.begin()
        return session

    def undo(self) -> None:
        """Stop and free what was begun."""
        if not self._router.cancel():  # interrupted at the very end: it stops everything itself
            self._router.request_stop()
            self._router.done.wait()
            return
        steps: list[Callable[[], object]] = [each.close for each in self._router.tracks.values()]
        steps += [self._router.setup.discard_all, self._router.sleeper.close]
        if self._events is not None:
            steps.append(self._events.close)
        for step in steps:
            try:
                step()
            except Exception as error:  # the start's own error is the one to be raised
                _log.info("undoing a start: %s", in_words(error))
