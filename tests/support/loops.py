"""Event loops to run a test's coroutine on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop

T = TypeVar("T")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

GIVE_UP = 60.0
"""Seconds that only a hang exceeds."""


def run_on(loop: str, main: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end on a loop of this kind; a hang is a TimeoutError."""

    async def bounded() -> T:
        async with asyncio.timeout(GIVE_UP):
            return await main

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(bounded())
