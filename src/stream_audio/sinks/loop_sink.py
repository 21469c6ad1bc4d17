"""Sinks whose methods are ``async def``: run on an event loop, called from a worker thread."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from stream_audio.chunk import AudioChunk
from stream_audio.errors import SessionStateError, SinkError
from stream_audio.event_loop import loop_of_caller, running_loop

if TYPE_CHECKING:
    import asyncio

    from stream_audio.sinks.base import SinkInfo

LOOK_INTERVAL = 0.5
"""Seconds between looks whether the loop was closed under a call that waits for it."""

_called: contextvars.ContextVar[LoopSink | None] = contextvars.ContextVar(
    "stream_audio_called_sink", default=None
)


def blocking_form(sink: Any) -> Any:
    """Return a sink whose calls block until they are done; most sinks are that already.

    Raises
    ------
    SessionStateError
        It has ``async`` methods, and no event loop runs here.
    """
    methods = (getattr(sink, name, None) for name in ("start", "write", "stop"))
    if not any(map(inspect.iscoroutinefunction, methods)):
        return sink
    loop = loop_of_caller()
    if loop is None:
        raise SessionStateError(
            f"{sink!r} is asynchronous, and no event loop runs here",
            hint='Start the session with "async with builder as session"',
        )
    return LoopSink(sink, loop)


class LoopSink:
    """Calls an asynchronous sink on its event loop, and waits there until it is done.

    So backlog, tries and timeouts are those of any sink that blocks; a blocked loop is a slow sink.
    """

    def __init__(self, sink: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._sink = sink
        self._loop = loop

    @property
    def unread(self) -> int:
        """As the sink has it."""
        unread: int = getattr(self._sink, "unread", 0)
        return unread

    def start(self, info: SinkInfo) -> None:
        """Start the sink."""
        self._call("start", info)

    def write(self, chunk: AudioChunk) -> None:
        """Write a chunk."""
        self._call("write", chunk)

    def stop(self) -> object:
        """Stop the sink."""
        return self._call("stop")

    def waits_for_caller(self) -> bool:
        """Whether the calling thread is that of the loop, so that a call could never end."""
        return running_loop() is self._loop

    def is_called_here(self) -> bool:
        """Whether the calling task is one of this sink's own methods."""
        return _called.get() is self

    def _call(self, name: str, *arguments: object) -> object:
        method = getattr(self._sink, name, None)
        if method is None:
            return None
        if not inspect.iscoroutinefunction(method):
            return method(*arguments)
        if self.waits_for_caller():
            raise SessionStateError(
                f"{self._sink!r} would have to wait for the event loop that waits for it",
                hint='Use "async with builder as session"; elsewhere, "asyncio.to_thread"',
            )
        import asyncio

        coroutine = method(*arguments)
        context = contextvars.copy_context()
        context.run(_called.set, self)
        try:
            called = context.run(asyncio.run_coroutine_threadsafe, coroutine, self._loop)
        except RuntimeError as error:
            coroutine.close()
            raise self._loop_is_gone() from error
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
                    raise SinkError(
                        f"a call of {self._sink!r} was cancelled", retryable=False
                    ) from error
                raise

    def _loop_is_gone(self) -> SinkError:
        return SinkError(
            f"the event loop of {self._sink!r} is closed",
            retryable=False,
            hint="Close the session before the loop ends",
        )

    def __repr__(self) -> str:
        return repr(self._sink)


def refuse_to_wait_for(sinks: Iterable[object]) -> None:
    """Raise if one of the sinks needs the event loop of the calling thread to go on."""
    for sink in sinks:
        if isinstance(sink, LoopSink) and sink.waits_for_caller():
            raise SessionStateError(
                f"{sink!r} needs the event loop that stop() would block",
                hint='Use "await session.aclose()"',
            )


def is_called_by(sinks: Iterable[object]) -> bool:
    """Whether the calling task is a method of one of the sinks."""
    return any(isinstance(sink, LoopSink) and sink.is_called_here() for sink in sinks)
