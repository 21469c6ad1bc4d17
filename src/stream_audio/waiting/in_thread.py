"""A blocking call on a thread of its own, awaited on the running loop."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from stream_audio.waiting.event_loop import starting_loop

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


async def in_thread(
    function: Callable[[], T],
    undo: Callable[[T], object] | None = None,
    when_cancelled: Callable[[], object] | None = None,
) -> T:
    """Run a function that blocks, on a thread of its own and on behalf of the running loop.

    A task that is cancelled meanwhile goes on waiting until the function has returned; what it
    returned is undone, likewise on a thread. So nothing is left half done behind its back.
    ``when_cancelled`` is called at once, so that the function may give up. The
    thread is none of the loop's executor, whose threads may all be waiting for this session.
    """
    import asyncio  # there is a loop, so it is loaded

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(settle_as: Callable[[Any], None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle_as, value)

    def run() -> None:
        starting_loop.set(loop)
        try:
            result = function()
        except BaseException as error:
            settle(done.set_exception, error)
        else:
            settle(done.set_result, result)

    in_context = contextvars.copy_context().run
    threading.Thread(
        target=in_context, args=(run,), name="stream-audio-async", daemon=True
    ).start()
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
            if when_cancelled is not None:
                when_cancelled()
    if cancelled is None:
        return done.result()
    if done.exception() is None and undo is not None:
        undoing = done.result()
        await in_thread(lambda: undo(undoing))
    raise cancelled
