"""Waking what waits on an event loop, from a session's threads."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from stream_audio._log import log
from stream_audio.waiting.event_loop import running_loop

if TYPE_CHECKING:
    import asyncio


class Wakeable(Protocol):
    """What waits on a loop."""

    woken: bool
    """Whether it is on its way to :meth:`on_loop`; set by :meth:`LoopWaker.wake`."""

    def on_loop(self) -> None:
        """Go on; called on the loop's thread. Clears ``woken`` before it looks for work."""


class LoopWaker:
    """Wakes what waits on one event loop: one call for all that is ready.

    The first :meth:`wake` after a pause schedules a call on the loop; what becomes ready until
    that call has begun joins it. So a loop that is blocked for long has one call waiting for it,
    however much audio arrives. A closed loop is left alone.

    The call is made by ``call_soon_threadsafe``, or, from a router's turn, by the router's native
    wait through :attr:`bell`.

    Attributes
    ----------
    bell : int
        An eventfd that the loop reads; -1 if it has none.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._ready: deque[Wakeable] = deque()
        self._scheduled = False
        self.bell = -1
        self._may_hang_bell = sys.platform == "linux"

    def hang_bell(self) -> None:
        """Give the loop a bell, if it is of a kind that can have one; on the loop's thread."""
        loop = self._loop()
        if loop is None or not self._may_hang_bell:
            return
        self._may_hang_bell = False
        try:
            bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            return  # out of descriptors: the other way needs none
        # It goes with the waker, which nobody keeps but who is about to ring it.
        weakref.finalize(self, os.close, bell).atexit = False
        try:
            loop.add_reader(bell, self._rung)
        except NotImplementedError:
            return
        self.bell = bell

    def wake(self, one: Wakeable) -> None:
        """Have ``one`` go on; on any thread, never blocks, never raises."""
        if one.woken:
            return
        one.woken = True
        self._ready.append(one)
        # Two threads may both find it False; the second call then has nothing to do.
        if not self._scheduled:
            self._scheduled = True
            later: list[LoopWaker] | None = getattr(_turn, "to_ring", None)
            if later is not None and self.bell >= 0:
                later.append(self)
            else:
                self.call()

    def call(self) -> None:
        """Make the call through the loop."""
        loop = self._loop()
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._run)
        except RuntimeError:
            self._ready.clear()  # closed: nobody will come for them

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.bell)
        self._run()

    def _run(self) -> None:
        # Before looking, so that what is added after the last look schedules another call.
        self._scheduled = False
        while self._ready:
            one = self._ready.popleft()
            try:
                one.on_loop()
            except Exception:
                log.exception("%r could not be woken", one)


_turn = threading.local()


@contextlib.contextmanager
def bells_rung_later() -> Iterator[list[LoopWaker]]:
    """Gather the wakers whose bells this thread is to ring, instead of calling their loops.

    Ringing a bell with the GIL released costs the loop one wake-up; a call from Python two, as the
    loop's thread then finds the GIL taken. Yields the list, which the caller rings and clears.
    """
    to_ring: list[LoopWaker] = []
    _turn.to_ring = to_ring
    try:
        yield to_ring
    finally:
        _turn.to_ring = None
        for waker in to_ring:
            waker.call()


_wakers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWaker] = (
    weakref.WeakKeyDictionary()
)


def waker_of(loop: asyncio.AbstractEventLoop) -> LoopWaker:
    """Return the one waker of a loop."""
    waker = _wakers.setdefault(loop, LoopWaker(loop))
    if running_loop() is loop:
        waker.hang_bell()
    return waker
