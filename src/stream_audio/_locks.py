"""A lock and a latch that stay whole whatever a signal handler raises in them, and whenever."""

from __future__ import annotations

import _thread
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:

    class _Owned:
        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
        def release(self) -> None: ...
        def __exit__(self, *raised: object) -> None: ...
        def _is_owned(self) -> bool: ...

else:
    _Owned = _thread.RLock  # the one in `threading` is a function


class InterruptibleLock(_Owned):
    """For ``with`` blocks on the main thread; no signal handler runs as it is taken or given back.

    Python runs handlers after calls. From 3.14 on it also does between the ``__enter__`` of
    ``threading.Lock`` and the block: what a handler raises there leaves the lock held for ever,
    and one that waits for another thread keeps it meanwhile. Whether a handler runs within the
    block is up to the block, and its calls.
    """

    def __enter__(self) -> bool:
        # Unpacking is no call, though it makes one; nor is a handler run as a function returns.
        (acquired,) = map(self.acquire, (True,))
        return acquired


class Latch:
    """Set once, for ever; any number of threads wait for it.

    ``threading.Event`` holds a lock while a handler of signals may raise in it, and is then locked
    for all. Here whoever leaves lets the others through, however it leaves.
    """

    __slots__ = ("_is_set", "_lock")

    def __init__(self) -> None:
        self._is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def is_set(self) -> bool:
        """Whether it is."""
        return self._is_set

    def set(self) -> None:
        """Let all through, now and later."""
        self._is_set = True
        try:  # noqa: SIM105 - a handler might raise in a context manager
            self._lock.release()
        except RuntimeError:
            pass  # another thread was first

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for ``timeout`` seconds; True if it is set."""
        try:
            self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        finally:
            if self._is_set:
                try:  # noqa: SIM105 - as above; nor in a function
                    self._lock.release()
                except RuntimeError:
                    pass
        return self._is_set
