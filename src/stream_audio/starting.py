"""From a description to a running session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from stream_audio.audio.format import AudioFormat
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import Source
from stream_audio.engine.engine import Engine
from stream_audio.reports.events import StreamEvent
from stream_audio.session import Session
from stream_audio.sink_spec import SinkSpec


class Start:
    """One attempt to start a session, with what has to be undone if it fails."""

    def __init__(
        self,
        config: StreamConfig,
        audio_format: AudioFormat,
        on_event: Callable[[StreamEvent], object] | None,
        ends_at: float | None = None,
    ) -> None:
        self._format = audio_format
        self._engine = Engine(config, audio_format, on_event, ends_at)

    def open_sources(
        self,
        sources: Mapping[str, Source],
        sinks: Sequence[SinkSpec],
        duration: float | None,
        history: float | None,
        delays: Mapping[str, float],
    ) -> None:
        """Open each source, for what ``sinks`` want of it; none delivers yet."""
        setup = self._engine.source_setup
        setup.duration, setup.history = duration, history
        opening = setup.opening()
        try:
            for name, source in sources.items():
                opening.formats = tuple(
                    spec.format or self._format
                    for spec in sinks
                    if spec.sources is None or name in spec.sources
                )
                opened = opening.open(source)
                delay = delays.get(name, 0.0)
                self._engine.add_track(setup.track_of(name, source, opened, opening, delay))
        finally:
            opening.close()

    def start_sinks(self, sinks: Iterable[SinkSpec]) -> None:
        """Start each sink; none gets a chunk yet."""
        for spec in sinks:
            self._engine.open_sink(spec)

    def run(self) -> None:
        """Let the sources deliver; the engine waits for :meth:`begin`."""
        self._engine.start()

    def begin(self) -> Session:
        """Let the session run: nothing that could fail is left."""
        session = Session(self._engine)
        self._engine.begin()
        return session

    def undo(self) -> None:
        """Stop and free what was begun."""
        self._engine.undo()
