"""An event loop on a thread of its own, for a sink whose own thread waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from stream_audio._locks import InterruptibleLock
from stream_audio.errors import SinkError

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for other threads.

    Parameters
    ----------
    let_go : callable
        Called there at the end, to let go of whatever is still connected.
    """

    def __init__(self, let_go: Callable[[], object]) -> None:
        self._let_go = let_go
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stream-audio-network", daemon=True)
        self._ended = False
        self._ending = InterruptibleLock()
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            self._let_go()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            self._loop.run_until_complete(asyncio.sleep(0))  # in which transports close
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T], within: float | None = None) -> T:
        """Run a coroutine there, and wait for what it returns; not on the loop's own thread.

        ``within`` so many seconds, or it raises TimeoutError.

        Raises
        ------
        SinkError
            The loop was ended meanwhile.
        """
        with self._ending:
            if self._ended:
                coroutine.close()
                raise _given_up()
            limited = coroutine if within is None else _within(coroutine, within)
            future = asyncio.run_coroutine_threadsafe(limited, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise _given_up() from None

    def end(self) -> None:
        """End whatever is under way; on any thread, and without waiting."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
            self._loop.call_soon_threadsafe(self._loop.stop)

    def close(self) -> None:
        """End it, and wait for the thread."""
        self.end()
        self._thread.join(2.0)


async def _within(coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
    async with asyncio.timeout(seconds):
        return await coroutine


def _given_up() -> SinkError:
    return SinkError("the session waits for it no longer", retryable=False)
