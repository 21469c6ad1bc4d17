"""What a user says before a session starts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from stream_audio._checks import name_text, one_of, real_number
from stream_audio._native import check_process
from stream_audio.config import StreamConfig
from stream_audio.engine.delivery import OnFailure
from stream_audio.engine.event_thread import EventThread
from stream_audio.engine.inlet import Inlet
from stream_audio.engine.router import Router
from stream_audio.errors import ConfigError, ConfigTypeError, SessionStateError
from stream_audio.events import StreamEvent
from stream_audio.format import AudioFormat, FormatPreset
from stream_audio.session import Session
from stream_audio.sinks.base import SinkInfo, SourceInfo
from stream_audio.sources.base import Opening, OpenSource, Source


@dataclass(frozen=True)
class _SinkEntry:
    name: str
    sink: Any
    sources: tuple[str, ...] | None  # None: all
    on_failure: OnFailure


class StreamAudioBuilder:
    """Collects sources, sinks and settings, then starts a session; calls can be chained."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._sinks: list[_SinkEntry] = []
        self._format = AudioFormat()
        self._config = StreamConfig()
        self._on_event: Callable[[StreamEvent], object] | None = None
        self._duration: float | None = None
        self._started = False

    def add_source(self, id: str, source: Source) -> StreamAudioBuilder:
        """Add a source under an id that its chunks will carry.

        Raises
        ------
        ConfigError, ConfigTypeError
            The id is empty or taken, or this is no source.
        """
        name_text("the source's id", id)
        if not callable(getattr(source, "open", None)):
            raise ConfigTypeError(
                f"{source!r} is not a source",
                hint="Make one with AudioSource, for example AudioSource.default_device()",
            )
        if id in self._sources:
            raise ConfigError(f"there is already a source {id!r}", hint="Give it another id")
        self._sources[id] = source
        return self

    def add_sink(
        self,
        sink: Any,
        *,
        sources: str | Iterable[str] | None = None,
        name: str | None = None,
        on_failure: OnFailure = "detach",
    ) -> StreamAudioBuilder:
        """Add a sink: any object with ``write(chunk)``.

        Parameters
        ----------
        sink : Sink
            See :class:`stream_audio.Sink`.
        sources : str or iterable of str, optional
            The sources it gets chunks from; ``None``: all.
        name : str, optional
            Its name in events and in the report; ``None``: one is made up from its type.
        on_failure : "detach" or "skip"
            After all tries with a chunk failed: give the sink up, or drop that chunk and go on.

        Raises
        ------
        ConfigError, ConfigTypeError
            This is no sink, it was added already, or a setting is wrong.
        """
        if not callable(getattr(sink, "write", None)):
            raise ConfigTypeError(
                f"{sink!r} is not a sink: it has no method write(chunk)",
                hint="Use FileSink, ChannelSink, CallbackSink, or an object with write(chunk)",
            )
        if any(entry.sink is sink for entry in self._sinks):
            raise ConfigError(f"{sink!r} was added already", hint="Add one sink object once")
        chosen: tuple[str, ...] | None = None
        if sources is not None:
            chosen = _names(sources)
            if not chosen:
                raise ConfigError("sources must not be empty", hint="Leave it out for all sources")
        one_of("on_failure", on_failure, ("detach", "skip"))
        taken = {entry.name for entry in self._sinks}
        if name is None:
            name = _free_name(sink, taken)
        elif name_text("name", name) in taken:
            raise ConfigError(f"there is already a sink {name!r}", hint="Give it another name")
        self._sinks.append(_SinkEntry(name, sink, chosen, on_failure))
        return self

    def format(self, audio_format: AudioFormat | FormatPreset) -> StreamAudioBuilder:
        """Say which sample rate and channels are wanted; without it, ``FormatPreset.NATIVE``."""
        if isinstance(audio_format, FormatPreset):
            audio_format = audio_format.value
        if not isinstance(audio_format, AudioFormat):
            raise ConfigTypeError(
                f"format takes an AudioFormat or a FormatPreset, not {audio_format!r}"
            )
        self._format = audio_format
        return self

    def config(self, config: StreamConfig) -> StreamAudioBuilder:
        """Change settings that most users never touch."""
        if not isinstance(config, StreamConfig):
            raise ConfigTypeError(f"config takes a StreamConfig, not {config!r}")
        self._config = config
        return self

    def duration(self, seconds: float) -> StreamAudioBuilder:
        """End each source after so many seconds of its own timeline, exact to the frame."""
        self._duration = real_number("seconds", seconds, 1e-6, 1e9)
        return self

    def on_event(self, handler: Callable[[StreamEvent], object]) -> StreamAudioBuilder:
        """Call ``handler(event)`` for what happens besides audio, on a thread of its own.

        What it raises is logged. If it is slow, up to 1000 events wait; further ones are dropped.
        """
        if not callable(handler):
            raise ConfigTypeError(f"on_event takes a function, not {handler!r}")
        self._on_event = handler
        return self

    def start(self) -> Session:
        """Open the devices, start the sinks, and run.

        If anything fails, everything that was begun is undone and the error is raised.

        Raises
        ------
        ConfigError
            There is no source or no sink, or a sink names a source that does not exist.
        DeviceError
            A device could not be found, opened or started.
        BackendError
            PortAudio or an audio backend is missing.
        SinkError
            A sink could not start, for example create its file.
        SessionStateError
            This builder has started a session already, or a sink is in use in another one.
        """
        check_process()
        self._check()
        opening = Opening(self._config.clock, self._format, self._config.ring_duration)
        start = _Start(self)
        try:
            try:
                start.open_sources(opening)
            finally:
                opening.close()
            start.start_sinks()
            start.run()
            self._started = True
            return Session(start.router)
        except BaseException:
            start.undo()
            raise

    def __repr__(self) -> str:
        sources = ", ".join(self._sources) or "no source"
        sinks = ", ".join(entry.name for entry in self._sinks) or "no sink"
        return f"<StreamAudioBuilder: {sources} → {sinks}>"

    def _check(self) -> None:
        if self._started:
            raise SessionStateError(
                "this builder has started a session already", hint="Make a new builder"
            )
        if not self._sources:
            raise ConfigError(
                "the session has no source",
                hint='Add one: .add_source("mic", AudioSource.default_device())',
            )
        if not self._sinks:
            raise ConfigError("the session has no sink", hint="Add one: .add_sink(ChannelSink())")
        for entry in self._sinks:
            for source in entry.sources or ():
                if source not in self._sources:
                    raise ConfigError(
                        f"sink {entry.name} wants a source {source!r} that does not exist",
                        hint=f"There are: {', '.join(self._sources)}",
                    )


_sinks_in_use: set[int] = set()
_sinks_lock = threading.Lock()


class _Start:
    """One attempt to start, with what has to be undone if it fails."""

    def __init__(self, builder: StreamAudioBuilder) -> None:
        self._builder = builder
        handler = builder._on_event
        self._events = None if handler is None else EventThread(handler)
        self._opened: list[OpenSource] = []
        self._sinks_begun: list[str] = []
        self._claimed: set[int] = set()
        self.router = Router(builder._config, self._events)

    def open_sources(self, opening: Opening) -> None:
        builder, router = self._builder, self.router
        for name, source in builder._sources.items():
            opened = source.open(opening)
            self._opened.append(opened)
            router.add_inlet(
                Inlet(
                    name,
                    opened,
                    builder._config.chunk_duration,
                    builder._duration,
                    router.ledger.open_source(name),
                )
            )

    def start_sinks(self) -> None:
        for entry in self._builder._sinks:
            self._claim(entry)
            names = entry.sources or tuple(self._builder._sources)
            inlets = [self.router.inlets[name] for name in dict.fromkeys(names)]
            delivery = self.router.add_delivery(entry.name, entry.sink, entry.on_failure)
            for inlet in inlets:
                self.router.add_route(inlet, delivery)
            begin = getattr(entry.sink, "start", None)
            if begin is not None:
                begin(SinkInfo(entry.name, tuple(_info(inlet) for inlet in inlets)))
            self._sinks_begun.append(entry.name)

    def _claim(self, entry: _SinkEntry) -> None:
        with _sinks_lock:
            if id(entry.sink) in _sinks_in_use:
                raise SessionStateError(
                    f"{entry.sink!r} is in use in another session",
                    hint="Make a sink of its own for each session",
                )
            _sinks_in_use.add(id(entry.sink))
            self._claimed.add(id(entry.sink))
        self.router.when_ended = self._give_back

    def _give_back(self) -> None:
        with _sinks_lock:
            _sinks_in_use.difference_update(self._claimed)

    def run(self) -> None:
        for opened in self._opened:
            opened.start()
        for delivery in self.router.deliveries.values():
            delivery.start()
        self.router.start()

    def undo(self) -> None:
        """Stop and free what was begun."""
        if not self.router.cancel():  # interrupted at the very end: it stops everything itself
            self.router.request_stop()
            self.router.done.wait()
            return
        for inlet in self.router.inlets.values():
            inlet.close()
        for name, delivery in self.router.deliveries.items():
            delivery.discard(stop_sink=name in self._sinks_begun)
        self.router.sleeper.close()
        self._give_back()
        if self._events is not None:
            self._events.close()


def _info(inlet: Inlet) -> SourceInfo:
    return SourceInfo(inlet.name, inlet.source.sample_rate, inlet.source.channels)


def _names(sources: object) -> tuple[str, ...]:
    if isinstance(sources, str):
        return (sources,)
    if isinstance(sources, Iterable):
        names = tuple(sources)
        if all(isinstance(name, str) for name in names):
            return names
    raise ConfigTypeError(f"sources takes the id of a source or a list of ids, not {sources!r}")


def _free_name(sink: object, taken: set[str]) -> str:
    base = cast(str, getattr(sink, "name", None) or type(sink).__name__)
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


class StreamAudio:
    """The way in: ``StreamAudio.builder()``."""

    @staticmethod
    def builder() -> StreamAudioBuilder:
        """Return a new builder."""
        return StreamAudioBuilder()
