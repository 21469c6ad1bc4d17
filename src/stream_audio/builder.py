"""What a user says before a session starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from stream_audio._checks import real_number
from stream_audio._locks import Latch
from stream_audio._native import check_process
from stream_audio._public import public
from stream_audio.audio.format import AudioFormat, FormatPreset, audio_format
from stream_audio.backlog.policy import Backlog
from stream_audio.backlog.retry import Retry
from stream_audio.config import StreamConfig
from stream_audio.contracts.merge import Merge, Timeline
from stream_audio.contracts.sink import OnFailure, Sink
from stream_audio.contracts.source import Source, check_source
from stream_audio.errors import ConfigError, ConfigTypeError, SessionStateError, shown
from stream_audio.reports.events import StreamEvent
from stream_audio.sink_spec import SinkSpec, sink_spec
from stream_audio.waiting.hubs import check_threads
from stream_audio.waiting.in_thread import in_thread

if TYPE_CHECKING:
    from stream_audio.session import Session


@public
class StreamAudioBuilder:
    """A collection of sources, sinks and settings that starts a session; calls can be chained.

    ``with builder as session``, or ``async with`` in ``async`` code, starts and stops it.
    """

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._delays: dict[str, float] = {}
        self._sinks: list[SinkSpec] = []
        self._format = FormatPreset.TRANSCRIPTION.value
        self._config = StreamConfig()
        self._on_event: Callable[[StreamEvent], object] | None = None
        self._duration: float | None = None
        self._history: float | None = None
        self._started = False
        self._entered: Session | None = None

    def add_source(self, id: str, source: Source, *, delay: float = 0.0) -> StreamAudioBuilder:
        """Add a source; its chunks will carry this id.

        Parameters
        ----------
        id : str
            What ``chunk.source`` will be.
        source : Source
            One that :class:`~stream_audio.AudioSource` makes.
        delay : float
            Seconds, -10 to 10, by which its audio is older than its times say: a constant latency
            that no host reports. Tracks on the session's timeline and merges take it out.

        Raises
        ------
        ConfigError, ConfigTypeError
            The id is empty or taken, or the object is not a source.
        """
        check_source(id, source)
        if id in self._sources:
            raise ConfigError(f"there is already a source {id!r}", hint="Give it another id")
        self._delays[id] = real_number("delay", delay, -10, 10)
        self._sources[id] = source
        return self

    def add_sink(
        self,
        sink: Sink,
        *,
        sources: str | Iterable[str] | None = None,
        name: str | None = None,
        on_failure: OnFailure = "detach",
        format: AudioFormat | FormatPreset | None = None,
        backlog: Backlog | str | None = None,
        retry: Retry | None = None,
        timeline: Timeline = "source",
        merge: Merge | bool | None = None,
    ) -> StreamAudioBuilder:
        """Add a sink: any object with ``write(chunk)``.

        Parameters
        ----------
        sink : Sink
            See :class:`stream_audio.Sink`.
        sources : str or iterable of str, optional
            Ids of the sources that the sink gets chunks from; ``None``: all.
        name : str, optional
            The sink's name in events and in the report; ``None``: a name made from its type.
        on_failure : "detach" or "skip"
            What to do when all tries with a chunk have failed: give the sink up, or drop that
            chunk and continue.
        format : AudioFormat or FormatPreset, optional
            The format of the sink's chunks; ``None``: the session's, see :meth:`format`. Sinks of
            one format share its conversion.
        backlog : Backlog or str, optional
            How much may wait for the sink, and what happens beyond that; ``None``: the setting of
            the session's ``StreamConfig``.
        retry : Retry, optional
            How often a failed chunk is tried again; ``None``: the setting of the session's
            ``StreamConfig``.
        timeline : "source" or "session"
            What ``chunk.frame`` counts. "source": the source's own frames, as it delivers them.
            "session": time since the session's start, ``frame / sample_rate`` seconds, exactly.
            The drift of the source's clock is taken out, and late starts, losses, pauses and
            outages become gaps of exact length. So files of several sources stay in step for
            hours, and end together. The last chunk may have no frames: its gaps tell what is
            missing up to the end.
        merge : Merge or bool, optional
            Whether the sink gets its sources as one, and how; True: ``Merge("mix")``. A merge is
            on the session's timeline. See :class:`~stream_audio.Merge`.

        Raises
        ------
        ConfigError, ConfigTypeError
            The object is not a sink or was added already, or a setting is wrong.
        """
        if any(spec.sink is sink for spec in self._sinks):
            raise ConfigError(f"{shown(sink)} was added already", hint="Add one sink object once")
        taken = {spec.name for spec in self._sinks}
        self._sinks.append(
            sink_spec(
                sink,
                sources=sources,
                name=name,
                on_failure=on_failure,
                format=format,
                backlog=backlog,
                retry=retry,
                timeline=timeline,
                merge=merge,
                taken=taken,
            )
        )
        return self

    def add_sink_from(self, sink: Sink, source: str, **settings: Any) -> StreamAudioBuilder:
        """Add a sink that gets one source: ``add_sink(sink, sources=source, …)``."""
        return self.add_sink(sink, sources=source, **settings)

    def add_sink_merged(
        self, sink: Sink, sources: Iterable[str], **settings: Any
    ) -> StreamAudioBuilder:
        """Add a sink that gets several sources mixed: ``add_sink(…, merge=True)``."""
        return self.add_sink(sink, sources=sources, **{"merge": True, **settings})

    def format(self, wanted: AudioFormat | FormatPreset) -> StreamAudioBuilder:
        """Set the format of sinks that are added without a format of their own.

        The default is ``FormatPreset.TRANSCRIPTION``: 16 kHz, mono. With ``FormatPreset.NATIVE``
        sinks get what the source has. The devices run at their own rate in any case.
        """
        self._format = audio_format(wanted)
        return self

    def config(self, config: StreamConfig) -> StreamAudioBuilder:
        """Set the session's other settings, which most users never need."""
        if not isinstance(config, StreamConfig):
            raise ConfigTypeError(f"config takes a StreamConfig, not {config!r}")
        self._config = config
        return self

    def duration(self, seconds: float) -> StreamAudioBuilder:
        """End each source after this many seconds of its own timeline, exact to the frame.

        If a sink is merged or on the session's timeline, the seconds count there, for all sources:
        outages and sleep of the machine are part of them.
        """
        self._duration = real_number("duration", seconds, 1e-6, 1e9)
        return self

    def history(self, seconds: float) -> StreamAudioBuilder:
        """Keep the last seconds of each source, for ``session.last`` and ``add_sink(replay=…)``.

        Parameters
        ----------
        seconds : float
            How much to keep, 0.01 to 3600 s. It takes ``(seconds + 1) * sample_rate * channels *
            4`` bytes of memory for each source.
        """
        self._history = real_number("history", seconds, 0.01, 3600)
        return self

    def on_event(self, handler: Callable[[StreamEvent], object]) -> StreamAudioBuilder:
        """Call ``handler(event)`` for each event of the session, on a thread of its own.

        The log has whatever the handler raises. If it is slow, up to 1000 events wait; further
        ones are dropped.
        """
        if not callable(handler) or inspect.iscoroutinefunction(handler):
            raise ConfigTypeError(
                f"on_event takes a function that is not asynchronous, not {shown(handler)}"
            )
        self._on_event = handler
        return self

    def start(self) -> Session:
        """Open the devices, start the sinks, and run.

        If anything fails, the builder undoes everything that was begun and raises the error.

        Raises
        ------
        ConfigError
            There is no source, or a sink names a source that does not exist.
        DeviceError
            A device could not be found, opened or started.
        BackendError
            PortAudio or an audio backend is missing.
        SinkError
            A sink could not start, for example create its file.
        SessionStateError
            The builder has started a session already, a sink is in use in another one, or gevent
            or eventlet have replaced threads with greenlets.
        """
        return self._start(lambda: True)

    def _start(self, wanted: Callable[[], bool]) -> Session:
        check_process()
        check_threads()
        self._check()
        # What runs a session takes longer to load than what describes one.
        from stream_audio.starting import Start

        aligned = any(spec.is_aligned for spec in self._sinks)
        ends_at = self._duration if aligned else None
        start = Start(self._config, self._format, self._on_event, ends_at)
        try:
            start.open_sources(
                self._sources, self._sinks, self._duration, self._history, self._delays
            )
            start.start_sinks(self._sinks)
            start.run()
            if not wanted():
                raise SessionStateError("the start was cancelled")
            self._started = True
            return start.begin()
        except BaseException:
            start.undo()
            raise

    def __enter__(self) -> Session:
        """Start the session."""
        self._entered = self.start()
        return self._entered

    def __exit__(self, *raised: Any) -> None:
        session, self._entered = self._entered, None
        if session is not None:
            session.__exit__(*raised)

    async def __aenter__(self) -> Session:
        """Start the session without blocking the event loop; a cancelled task undoes the start."""
        cancelled = Latch()
        self._entered = await in_thread(
            lambda: self._start(lambda: not cancelled.is_set()),
            undo=lambda session: session.stop(),
            when_cancelled=cancelled.set,
        )
        return self._entered

    async def __aexit__(self, *raised: Any) -> None:
        session, self._entered = self._entered, None
        if session is not None:
            await session.__aexit__(*raised)

    def __repr__(self) -> str:
        sources = ", ".join(self._sources) or "no source"
        sinks = ", ".join(spec.name for spec in self._sinks) or "no sink"
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
        for spec in self._sinks:
            spec.check_sources(self._sources)


@public
class StreamAudio:
    """The entry point of the library: ``StreamAudio.builder()``."""

    @staticmethod
    def builder() -> StreamAudioBuilder:
        """Return a new builder."""
        return StreamAudioBuilder()
