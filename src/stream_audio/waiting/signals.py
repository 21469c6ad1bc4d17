"""What one thread sleeps on and others wake, on real time."""

from __future__ import annotations

import threading


class LockSignal:
    """A wake-up that is kept until it is taken; a lock that is held while unset.

    A lock of Python's, so that Ctrl-C gets through to a waiting main thread.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the sleeper, or its next sleep."""
        # Two threads may both see it locked; the second release then finds it set already.
        if self._lock.locked():
            try:  # noqa: SIM105 - a context manager takes longer, on the way of every chunk
                self._lock.release()
            except RuntimeError:
                pass

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until set or ``timeout`` seconds have passed; True if it was set."""
        if timeout is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=max(0.0, timeout))

    def close(self) -> None:
        """Do nothing; a seat at a virtual clock is given up here."""
