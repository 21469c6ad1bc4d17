"""gevent and eventlet: threads must be real, and a greenlet that waits must let others run.

Both can turn ``threading`` into greenlets, of which one runs at a time on one thread: a native
wait would then stop the whole process. Without that they are no hindrance. But a greenlet that
waits as threads do keeps the hub of its thread, hence all other greenlets, from running; so it
looks every few milliseconds instead, and sleeps as they do in between. Both can wait on a thread
of their pools, too; but a wait that is given up would go on there and take the next wake-up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from stream_audio.errors import SessionStateError

LOOK = 0.005
"""Seconds between two looks of a greenlet that waits."""


def check_threads() -> None:
    """Raise if threads are greenlets in this process: a session would stop it for ever."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        raise _greenlets("gevent", "gevent.monkey.patch_all(thread=False)")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        raise _greenlets("eventlet", "eventlet.monkey_patch(thread=False)")


def _greenlets(library: str, instead: str) -> SessionStateError:
    return SessionStateError(
        f"{library} has turned threads into greenlets, which cannot record audio",
        hint=f"Call {instead}, which leaves threads as they are",
    )


def wait_in_turn(wait: Callable[[float | None], bool], timeout: float | None = None) -> bool:
    """Call ``wait(timeout)``, so that on a thread with a hub other greenlets run meanwhile."""
    sleep = hub_sleep()
    if sleep is None:
        return wait(timeout)
    until = None if timeout is None else time.monotonic() + timeout
    while not wait(0.0):
        left = LOOK if until is None else until - time.monotonic()
        if left <= 0:
            return False
        sleep(min(LOOK, left))
    return True


def hub_sleep() -> Callable[[float], object] | None:
    """Return how a greenlet sleeps, if the calling thread has a hub that others may wait for."""
    modules = sys.modules
    gevent: Any = modules.get("gevent._hub_local")
    if gevent is not None and (hub := gevent.get_hub_if_exists()) is not None:
        # The hub itself, which runs callbacks, cannot sleep.
        is_hub = modules["greenlet"].getcurrent() is hub
        return None if is_hub else modules["gevent"].sleep
    eventlet: Any = modules.get("eventlet.hubs")
    if eventlet is not None:
        hub = getattr(eventlet._threadlocal, "hub", None)
        if hub is not None and modules["greenlet"].getcurrent() is not hub.greenlet:
            sleep: Callable[[float], object] = modules["eventlet.greenthread"].sleep
            return sleep
    return None
