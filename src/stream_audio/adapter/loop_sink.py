"""Sinks whose methods are ``async def``: run on an event loop, called from a worker thread."""

from __future__ import annotations

import contextvars
import inspect
from typing import TYPE_CHECKING, Any

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk
from stream_audio.errors import SessionStateError, SinkError, shown
from stream_audio.waiting.event_loop import loop_of_caller, running_loop

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from stream_audio.contracts.sink import SinkInfo, SourceInfo

LOOK_INTERVAL = 0.5
"""Seconds between looks whether the loop was closed under a call that waits for it."""

_METHODS = ("start", "begun", "source_added", "write", "caught_up", "stop", "discard")

_called: contextvars.ContextVar[LoopSink | None] = contextvars.ContextVar(
    "stream_audio_called_sink", default=None
)


def blocking_form(sink: Any, loop: asyncio.AbstractEventLoop | None = None) -> Any:
    """Return a sink whose calls block until they are done; most sinks are that already.

    An asynchronous one is called on the loop that runs here, or else on the given one.

    Raises
    ------
    SessionStateError
        It has ``async`` methods, and no event loop runs here.
    """
    methods = (getattr(sink, name, None) for name in _METHODS)
    if not any(map(inspect.iscoroutinefunction, methods)):
        return sink
    loop = loop_of_caller() or loop
    if loop is None:
        raise SessionStateError(
            f"{shown(sink)} is asynchronous, and no event loop runs here",
            hint='Start the session with "async with builder as session"',
        )
    return LoopSink(sink, loop)


class LoopSink:
    """Calls an asynchronous sink on its event loop, and waits there until it is done.

    So backlog, tries and timeouts are those of any sink that blocks; a blocked loop makes it slow.
    """

    def __init__(self, sink: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.as_given = sink
        self._loop = loop
        self._under_way: Future[Any] | None = None
        self._abandoned = False
        # So that a call either begins before it is abandoned, and is cancelled, or not at all.
        self._beginning = InterruptibleLock()

    @property
    def unread(self) -> int:
        """As the sink has it."""
        unread: int = getattr(self.as_given, "unread", 0)
        return unread

    def start(self, info: SinkInfo) -> None:
        """Start the sink."""
        self._call("start", info)

    def begun(self) -> None:
        """Say that the session has begun."""
        self._call("begun")

    def source_added(self, info: SourceInfo) -> None:
        """Tell the sink of another source."""
        self._call("source_added", info)

    def write(self, chunk: AudioChunk) -> None:
        """Write a chunk."""
        self._call("write", chunk)

    def caught_up(self) -> None:
        """Say that nothing more is there to be written for now."""
        self._call("caught_up")

    def stop(self) -> object:
        """Stop the sink."""
        return self._call("stop")

    def discard(self) -> object:
        """Undo the start of a sink that never got a chunk."""
        return self._call("discard" if hasattr(self.as_given, "discard") else "stop")

    def abandon(self) -> None:
        """Cancel the call that is under way, and begin no other; on any thread, for good."""
        with self._beginning:
            self._abandoned = True
        if self._under_way is not None:
            self._under_way.cancel()

    def waits_for_caller(self) -> bool:
        """Whether the calling thread is that of the loop, so that a call could never end."""
        return running_loop() is self._loop

    def is_called_here(self) -> bool:
        """Whether the calling task is one of this sink's own methods."""
        return _called.get() is self

    def _call(self, name: str, *arguments: object) -> object:
        method = getattr(self.as_given, name, None)
        if method is None:
            return None
        if not inspect.iscoroutinefunction(method):
            return method(*arguments)
        if self.waits_for_caller():
            raise SessionStateError(
                f"{shown(self.as_given)} would have to wait for the event loop that waits for it",
                hint='Use "async with builder as session"; elsewhere, "asyncio.to_thread"',
            )
        import asyncio

        coroutine = method(*arguments)
        context = contextvars.copy_context()
        context.run(_called.set, self)
        with self._beginning:
            if self._abandoned:
                coroutine.close()
                raise self._was_cancelled()
            try:
                called = context.run(asyncio.run_coroutine_threadsafe, coroutine, self._loop)
            except RuntimeError as error:
                coroutine.close()
                raise self._loop_is_gone() from error
            self._under_way = called
        while True:
            try:
                return called.result(LOOK_INTERVAL)
            except TimeoutError:
                if called.done():  # the sink raised it
                    raise
                if self._loop.is_closed():
                    coroutine.close()
                    raise self._loop_is_gone() from None
            except BaseException as error:
                if called.cancelled():
                    raise self._was_cancelled() from error
                raise

    def _was_cancelled(self) -> SinkError:
        return SinkError(f"a call of {shown(self.as_given)} was cancelled", retryable=False)

    def _loop_is_gone(self) -> SinkError:
        return SinkError(
            f"the event loop of {shown(self.as_given)} is closed",
            retryable=False,
            hint="Close the session before the loop ends",
        )

    def __repr__(self) -> str:
        return shown(self.as_given)
