"""What a running session does with its sources; a part of :class:`~stream_audio.Session`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from stream_audio._checks import one_of, real_number
from stream_audio._locks import InterruptibleLock
from stream_audio._native import check_process
from stream_audio.adapter.sink_adapter import called_by_one_of, refuse_to_wait_for
from stream_audio.audio.chunk import AudioChunk
from stream_audio.contracts.source import Source, check_source
from stream_audio.errors import ConfigError, session_ended
from stream_audio.live.sink_handle import SinkHandle
from stream_audio.reports.report import SourceReport
from stream_audio.sink_spec import SinkGiven, source_ids, specs_of
from stream_audio.waiting.hubs import check_threads
from stream_audio.waiting.in_thread import in_thread

if TYPE_CHECKING:
    from stream_audio.engine.engine import Engine
    from stream_audio.engine.history import History
    from stream_audio.engine.pauses import PausePolicy
    from stream_audio.engine.source_setup import SourceSetup


class LiveSources:
    """The sources of a running session: added, removed, paused, and remembered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # One at a time, so that no two get the same name; the start of a sink may add another.
        self._adding = InterruptibleLock()

    def add_source(
        self, id: str, source: Source, sinks: Iterable[SinkGiven] = (), *, delay: float = 0.0
    ) -> list[SinkHandle]:
        """Add a source while the session runs; the other sources lose nothing.

        Sinks that were added for all sources, and have a method ``source_added`` (see
        :class:`Sink`), get it too: channels and functions do.

        Parameters
        ----------
        id : str
            The id that its chunks will carry. It must be new: the id of a source that was removed
            is free again once 100 others were removed after it.
        source : Source
            Its device is opened and started before this returns. A duration of the session counts
            from the source's own beginning.
        sinks : iterable of Sink, or of pairs of a Sink and its format
            Sinks that get this source alone, from its first frame on.
        delay : float
            As for :meth:`StreamAudioBuilder.add_source`.

        Returns
        -------
        list of SinkHandle
            One for each of ``sinks``.

        Raises
        ------
        ConfigError, ConfigTypeError
            The id is empty or taken, or an object is not a source or not a sink. Or a sink whose
            sources wait for it would get a device, which cannot wait.
        SessionStateError
            The session has ended, or a sink is in use.
        StreamAudioError
            The device or a sink could not start. Nothing is left of the source then.
        """
        check_process()
        check_threads()
        check_source(id, source)
        delay = real_number("delay", delay, -10, 10)
        setup = self._engine.source_setup
        with self._adding:
            if not self._engine.running:
                raise session_ended()
            if id in self._engine.sources:
                raise ConfigError(f"there is already a source {id!r}", hint="Give it another id")
            if id in setup.merges:
                raise ConfigError(f"there is a merge {id!r}", hint="Give the source another id")
            if id in setup.ids_taken:
                raise ConfigError(f"there was a source {id!r} before", hint="Give it another id")
            specs = specs_of(sinks, id, taken=self._engine.names_taken)
            setup.reserve(id)
        return [SinkHandle(self._engine, each) for each in setup.add(id, source, specs, delay)]

    async def aadd_source(
        self, id: str, source: Source, sinks: Iterable[SinkGiven] = (), *, delay: float = 0.0
    ) -> list[SinkHandle]:
        """Add a source as :meth:`add_source` does, while the event loop keeps running.

        A task that is cancelled here waits until the source has been added and removed again.
        """
        add = partial(self.add_source, id, source, sinks, delay=delay)
        return await in_thread(add, undo=lambda _: self.remove_source(id))

    def remove_source(self, id: str, timeout: float = 5.0) -> SourceReport:
        """Take a source out of the session; the other sources lose nothing.

        What it has captured reaches its sinks. Those that then have no source are completed and
        stopped. The session ends with its last source. If a sink's own method calls this, it
        returns at once, and the source leaves soon after.

        Parameters
        ----------
        id : str
            The source's id.
        timeout : float
            Seconds of the session's clock that sinks without a source get to take what waits for
            them; the rest is dropped and counted.

        Returns
        -------
        SourceReport
            Where its frames went; also part of ``session.report()``.

        Raises
        ------
        ConfigError
            There is no such source, or it was removed.
        SessionStateError
            The session has ended, or a sink that has to be stopped is asynchronous and this is the
            thread of its event loop.
        """
        setup = self._setup_to_remove(id, timeout)
        refuse_to_wait_for(setup.sinks_of(id), "await session.aremove_source(…)")
        return setup.remove(id, timeout, wait=not self._engine.is_own_thread)

    async def aremove_source(self, id: str, timeout: float = 5.0) -> SourceReport:
        """Remove a source as :meth:`remove_source` does, while the event loop keeps running.

        A task that is cancelled here still waits until the source is out.
        """
        setup = self._setup_to_remove(id, timeout)
        wait = not called_by_one_of(self._engine.sinks) and not self._engine.is_own_thread
        return await in_thread(lambda: setup.remove(id, timeout, wait=wait))

    def _setup_to_remove(self, id: str, timeout: float) -> SourceSetup:
        check_process()
        timeout = real_number("timeout", timeout, 0, 1e6)
        self._chosen(id)
        return self._engine.source_setup

    def last(self, seconds: float, source: str | None = None) -> AudioChunk | None:
        """Return the last seconds of a source, as one chunk in the source's own format.

        The result ends with the newest chunk that was handed on, without the captured part of the
        next one. Missing frames are silence, and its ``gaps`` say where.

        Parameters
        ----------
        seconds : float
            How much to return, at most the seconds of :meth:`StreamAudioBuilder.history`.
        source : str, optional
            The source's id; not needed if there is only one.

        Returns
        -------
        AudioChunk or None
            The audio, shorter than ``seconds`` if there is no more yet; ``None`` if there is none.
            It is also available after the session has stopped.

        Raises
        ------
        ConfigError
            The session does not keep that much history, there is no such source, or there are
            several and you named none.
        """
        check_process()
        seconds = real_number("seconds", seconds, 0, 3600)
        if source is None:
            source, *others = self._engine.sources
            if others:
                raise ConfigError(
                    "the session has several sources",
                    hint=f"Choose one of {', '.join([source, *others])}",
                )
        return self._history(source, seconds).last(seconds)

    def _history(self, source: str, seconds: float) -> History:
        if source not in self._engine.sources:
            raise _no_such_source(source, self._engine.sources)
        history = self._engine.history(source)
        if history is None or history.seconds < seconds:
            kept = 0.0 if history is None else history.seconds
            raise ConfigError(
                f"the session keeps {kept:g} s of history, but {seconds:g} s were asked for",
                hint="Ask for it before the start: StreamAudio.builder().history(seconds)",
            )
        return history

    def pause(
        self, sources: str | Iterable[str] | None = None, *, policy: PausePolicy = "discard"
    ) -> None:
        """Leave out what is captured from now on, until :meth:`resume`; the devices keep running.

        The cut is exact to the frame: audio from before is delivered, and audio from the pause
        reaches no sink. The timeline runs on, so ``chunk.frame`` jumps over a pause. A source that
        is paused already stays as it is. The report lists the pauses.

        Parameters
        ----------
        sources : str or iterable of str, optional
            Their ids; ``None``: all.
        policy : "discard" or "silence"
            "discard" hands nothing on; "silence" hands on silence of the same length.
        """
        check_process()
        one_of("policy", policy, ("discard", "silence"))
        self._engine.pause(self._chosen(sources), policy)

    def resume(self, sources: str | Iterable[str] | None = None) -> None:
        """Hand on what is captured from now on; does nothing to a source that is not paused.

        Parameters
        ----------
        sources : str or iterable of str, optional
            Their ids; ``None``: all.
        """
        check_process()
        self._engine.resume(self._chosen(sources))

    def _chosen(self, sources: str | Iterable[str] | None) -> tuple[str, ...]:
        if not self._engine.running:
            raise session_ended()
        chosen = tuple(self._engine.sources) if sources is None else source_ids(sources)
        for source in chosen:
            if source not in self._engine.sources:
                raise _no_such_source(source, self._engine.sources)
        return chosen


def _no_such_source(source: str, ids: Iterable[str]) -> ConfigError:
    return ConfigError(f"there is no source {source!r}", hint=f"There are: {', '.join(ids)}")
