"""The task that waits for a channel on an event loop."""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import TYPE_CHECKING

from stream_audio.waiting.loop_waker import waker_of

if TYPE_CHECKING:
    import asyncio

MONOPOLY = 0.01
"""Seconds that a reader which never has to wait may keep its event loop, or hub, to itself."""


class LoopWaiter:
    """The task that waits for a channel on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waker = waker_of(loop)
        self.woken = False
        self.future: asyncio.Future[None] | None = None
        self._resumed_at = loop.time()

    def arm(self) -> asyncio.Future[None]:
        """Return a future that the next wake sets."""
        self.future = self.loop.create_future()
        return self.future

    def disarm(self) -> None:
        """Say that nobody waits any more."""
        self.future = None

    def is_waiting(self) -> bool:
        """Whether a task waits; one whose loop was closed under it never goes on."""
        return self.future is not None and not self.loop.is_closed()

    def on_loop(self) -> None:
        """Let the task go on."""
        self.woken = False
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    def resumed(self) -> None:
        """Say that other tasks had their turn."""
        self._resumed_at = self.loop.time()

    def is_due(self) -> bool:
        """Whether other tasks should have a turn, though there may be something to read."""
        return self.loop.time() - self._resumed_at > MONOPOLY


@types.coroutine
def let_others_run() -> Generator[None, None, None]:
    """Step back once, so that other tasks have a turn."""
    yield
