"""The event loop of the calling thread, if there is one.

``asyncio`` is not imported in this room: whoever has an event loop has imported it.
"""

from __future__ import annotations

import contextvars
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

starting_loop: contextvars.ContextVar[asyncio.AbstractEventLoop | None] = contextvars.ContextVar(
    "stream_audio_starting_loop", default=None
)
"""The loop on whose behalf this thread works; set in a thread that starts a session for it."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs on the calling thread, if one does."""
    events = sys.modules.get("asyncio.events")
    if events is None:
        return None
    loop: asyncio.AbstractEventLoop | None = events._get_running_loop()
    return loop


def loop_of_caller() -> asyncio.AbstractEventLoop | None:
    """Return the running loop, or that on whose behalf this thread works."""
    return running_loop() or starting_loop.get()
