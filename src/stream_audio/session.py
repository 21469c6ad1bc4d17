"""A running session, as the user holds it."""

from __future__ import annotations

import atexit
import time
import warnings
import weakref
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from stream_audio._checks import real_number
from stream_audio._log import log
from stream_audio._native import check_process, in_own_process
from stream_audio._public import public
from stream_audio.adapter.sink_adapter import (
    SinkAdapter,
    called_by_one_of,
    refuse_to_wait_for,
)
from stream_audio.audio.format import AudioFormat, FormatPreset
from stream_audio.backlog.policy import Backlog
from stream_audio.backlog.retry import Retry
from stream_audio.contracts.merge import Merge, Timeline
from stream_audio.contracts.sink import OnFailure, Sink
from stream_audio.errors import (
    ConfigError,
    SinkError,
    StreamAudioError,
    in_words,
    say_whose,
    session_ended,
)
from stream_audio.live.sink_handle import SinkHandle
from stream_audio.live.sources import LiveSources
from stream_audio.reports.report import SessionReport
from stream_audio.reports.stats import MemoryUse, SessionStats
from stream_audio.sink_spec import sink_spec
from stream_audio.waiting.hubs import check_threads, wait_in_turn
from stream_audio.waiting.in_thread import in_thread

if TYPE_CHECKING:
    from stream_audio.engine.engine import Engine

EXIT_TIMEOUT = 10.0
EVENT_TIMEOUT = 1.0

_running: weakref.WeakSet[Engine] = weakref.WeakSet()


@public
class Session(LiveSources):
    """A running capture; ``StreamAudio.builder()…start()`` makes it.

    Use it in a ``with`` block (``async with`` in ``async`` code), which stops it at the end, also
    on an exception or Ctrl-C. The session also ends by itself when every source has ended. A
    session that is dropped without a stop stops itself, with a warning in the log and a
    ``ResourceWarning``. A program whose main thread has ended stops its sessions, even if other
    threads still read.

    All methods may be called from any thread.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        _running.add(engine)
        self._finalizer = weakref.finalize(self, _dropped, engine)
        self._finalizer.atexit = False  # stop_all sees to the exit of the interpreter

    @property
    def running(self) -> bool:
        """Whether the session has not ended yet."""
        return self._engine.running

    @property
    def epoch(self) -> float:
        """What ``time.time()`` was when ``time.monotonic()`` was 0, read as the session began.

        A later change of the wall clock does not change it. ``chunk.wall_time`` and
        ``event.wall_time`` count from it, and add the time that the machine has slept since.
        """
        return self._engine.epoch

    @property
    def started_at(self) -> float:
        """When the sources were started, ``time.monotonic()`` seconds: the 0 of timestamps.

        ``session.started_at + chunk.timestamp`` and ``chunk.time`` agree for a source's first
        chunk; later they differ by the device's drift.
        """
        return self._engine.started_at

    def stop(self, timeout: float | None = None) -> SessionReport:
        """Stop the devices, deliver everything that was captured, and stop the sinks.

        It returns the report, and a second call returns it again.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait in all; whatever a sink has not taken by then is dropped and counted.
            ``None``: wait as long as each sink takes something at least every
            ``StreamConfig.stop_timeout`` seconds.

        Raises
        ------
        SessionStateError
            A sink is asynchronous, and this is the thread of its event loop.
        StreamAudioError
            The session ended because of a fault of this library.
        BaseException
            The error of the first sink that failed, unless
            ``StreamConfig(raise_on_sink_failure=False)``.
        """
        report = self._stop(timeout)
        self._raise_sink_failure()
        return report

    close = stop

    def _stop(self, timeout: float | None = None) -> SessionReport:
        check_process()
        if timeout is not None:
            timeout = real_number("timeout", timeout, 0, 1e6)
        if self.running:
            refuse_to_wait_for(self._sinks(), "await session.aclose()")
        self._finalizer.detach()
        self._engine.request_stop(timeout)
        if not self._engine.is_own_thread:
            try:
                wait_in_turn(self._engine.wait)
            except BaseException:  # a second Ctrl-C: it is in a hurry
                self._engine.request_stop(EXIT_TIMEOUT)
                raise
            self._engine.join_events(EVENT_TIMEOUT)
        crash = self._engine.crashed
        if crash is not None:
            raise StreamAudioError(
                "the session ended because of a fault in stream_audio"
            ) from crash
        return self.report()

    def _raise_sink_failure(self) -> None:
        failure = self._engine.failure_to_raise
        if failure is not None and not self.running:
            say_whose(failure.error, f"It was raised by the sink {failure.sink}.")
            if not issubclass(type(failure.error), Exception):
                # SystemExit and its like would end more than the session.
                words = in_words(failure.error)
                raise SinkError(f"sink {failure.sink} failed: {words}") from failure.error
            raise failure.error

    async def aclose(self, timeout: float | None = None) -> SessionReport:
        """Stop the session as :meth:`stop` does, while the event loop keeps running.

        A task that is cancelled here still waits until all is stopped, which then takes at most
        10 s in all. If a sink's own coroutine calls it, it returns at once, and the session ends
        when that coroutine returns.
        """
        report = await self._aclose(timeout)
        self._raise_sink_failure()
        return report

    async def _aclose(self, timeout: float | None = None) -> SessionReport:
        if called_by_one_of(self._sinks()):
            self._finalizer.detach()
            self._engine.request_stop(timeout)
            return self.report()
        return await in_thread(
            lambda: self._stop(timeout),
            # Of asyncio's own doing at a second Ctrl-C; the loop would wait as long as the stop.
            when_cancelled=lambda: self._engine.request_stop(EXIT_TIMEOUT),
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the session has ended by itself, and return whether it has.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; ``None``: as long as it takes.

        Raises
        ------
        BaseException
            The error of a sink that failed, as for :meth:`stop`.
        """
        check_process()
        if timeout is not None:
            timeout = real_number("timeout", timeout, 0, 1e9)
        ended = wait_in_turn(self._engine.wait, timeout)
        self._raise_sink_failure()
        return ended

    def report(self) -> SessionReport:
        """Return where every frame went, or has gone so far while the session runs."""
        check_process()
        return self._engine.report()

    def stats(self) -> SessionStats:
        """Return the figures of this moment: losses, ring and backlogs, durations, levels.

        The call is cheap: make it ten times a second if you like.
        """
        check_process()
        return self._engine.stats()

    def memory(self) -> MemoryUse:
        """Return how much memory the session's audio takes, and takes at most."""
        check_process()
        return self._engine.memory()

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
        replay: float = 0.0,
    ) -> SinkHandle:
        """Add a sink while the session runs; the other sinks notice nothing.

        The sink gets the chunks that come from now on. Parameters and errors are those of
        :meth:`StreamAudioBuilder.add_sink`, and these:

        Parameters
        ----------
        replay : float
            Seconds of the past that the sink gets first, exact to the frame and without a seam; at
            most those of :meth:`StreamAudioBuilder.history`.

        Raises
        ------
        SessionStateError
            The session has ended, or the sink is in use in this or another session.
        SinkError
            The sink could not start, for example create its file.
        """
        check_process()
        check_threads()
        engine = self._engine
        with self._adding:
            if not engine.running:
                raise session_ended()
            spec = sink_spec(
                sink,
                sources=sources,
                name=name,
                on_failure=on_failure,
                format=format,
                backlog=backlog,
                retry=retry,
                timeline=timeline,
                merge=merge,
                taken=engine.names_taken,
            )
            spec.check_sources(engine.sources)
            if real_number("replay", replay, 0, 3600) > 0:
                if spec.merge is not None:
                    raise ConfigError(
                        "a merge keeps no history, so nothing of it can be replayed",
                        hint="Leave out replay, or add a sink for each source",
                    )
                for source in spec.sources or engine.sources:
                    self._history(source, replay)
            delivery = engine.claim_sink(spec)
        # Without the lock: a sink's start may take its time, and the router may be adding another.
        if not engine.add_sink(delivery, replay):
            raise session_ended()
        return SinkHandle(engine, delivery)

    async def aadd_sink(
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
        replay: float = 0.0,
    ) -> SinkHandle:
        """Add a sink as :meth:`add_sink` does, while the event loop keeps running.

        A task that is cancelled here waits until the sink has been added and removed again.
        """
        add = partial(
            self.add_sink,
            sink,
            sources=sources,
            name=name,
            on_failure=on_failure,
            format=format,
            backlog=backlog,
            retry=retry,
            timeline=timeline,
            merge=merge,
            replay=replay,
        )
        return await in_thread(add, undo=SinkHandle.remove)

    def add_sink_from(self, sink: Sink, source: str, **settings: Any) -> SinkHandle:
        """Add a sink that gets one source: ``add_sink(sink, sources=source, …)``."""
        return self.add_sink(sink, sources=source, **settings)

    def add_sink_merged(self, sink: Sink, sources: Iterable[str], **settings: Any) -> SinkHandle:
        """Add a sink that gets several sources mixed: ``add_sink(…, merge=True)``."""
        return self.add_sink(sink, sources=sources, **{"merge": True, **settings})

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exception_type is GeneratorExit and not self.running:
            return  # the interpreter ends, and this module's names are gone perhaps
        if in_own_process():  # in a forked child there is nothing to stop
            self._stop()
            if exception is None:
                self._raise_sink_failure()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if in_own_process():
            await self._aclose()
            if exception is None:
                self._raise_sink_failure()

    def _sinks(self) -> list[SinkAdapter]:
        return self._engine.sinks

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<Session {state}: {self._engine}>"


def _dropped(engine: Engine) -> None:
    """Stop a session that nobody holds any more; runs wherever the garbage collector does."""
    if engine.running and in_own_process():
        engine.request_stop()
        message = (
            f"the session {engine} was dropped while it ran, and is being stopped. "
            "Keep it and call stop(), or use a with block"
        )
        log.warning("%s", message)  # Python shows no ResourceWarning unless asked to
        warnings.warn(message, ResourceWarning, stacklevel=2)


@atexit.register
def _stop_all() -> None:
    """Let running sessions finish their files before the interpreter goes."""
    if not in_own_process():
        return
    engines = [engine for engine in _running if engine.running]
    for engine in engines:
        engine.request_stop(EXIT_TIMEOUT)
    until = time.monotonic() + EXIT_TIMEOUT
    for engine in engines:
        engine.wait(max(0.0, until - time.monotonic()))
