"""A sink that calls a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from stream_audio._public import public
from stream_audio.adapter.answers import refuse_coroutine, refuse_generator
from stream_audio.audio.chunk import AudioChunk
from stream_audio.errors import ConfigTypeError, shown

if TYPE_CHECKING:
    from stream_audio.contracts.sink import SourceInfo


@public
class CallbackSink:
    """A sink that calls ``function(chunk)`` for each chunk, on a worker thread of its own.

    An ``async def`` function runs on the event loop that starts the session.

    A slow function delays nobody else: its chunks wait in memory and then on disk, see
    :class:`~stream_audio.Backlog`. A function that raises gets the same chunk again, see
    :class:`~stream_audio.Retry`.

    Parameters
    ----------
    function : callable
        Takes one :class:`~stream_audio.AudioChunk`; its return value is ignored.
    """

    def __init__(self, function: Callable[[AudioChunk], object]) -> None:
        if not callable(function):
            raise ConfigTypeError(f"CallbackSink takes a function, not {shown(function)}")
        refuse_generator(function, shown(function))
        self._function = function
        if inspect.iscoroutinefunction(function):
            # So that the session sees what kind of sink this is.
            self.write = function  # type: ignore[method-assign, assignment]

    def source_added(self, info: SourceInfo) -> None:
        """Take a source that comes while the session runs; its chunks say whose they are."""

    def write(self, chunk: AudioChunk) -> None:
        """Call the function."""
        refuse_coroutine(self._function(chunk))

    def __repr__(self) -> str:
        return f"CallbackSink({getattr(self._function, '__qualname__', self._function)!s})"
