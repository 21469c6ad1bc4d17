"""What else the process does while audio is captured: threads that compete for the interpreter."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

HOLD_SECONDS = 0.5

_c_library = ctypes.PyDLL(None)  # a PyDLL, unlike a CDLL, keeps the GIL during its calls


def spin() -> None:
    """Compute in Python for some ten microseconds."""
    count = 0
    while count < 500:
        count += 1


def hold_the_gil() -> None:
    """Call C that keeps the GIL, as many an extension module does."""
    _c_library.usleep(int(HOLD_SECONDS * 1e6))


LOADS: dict[str, tuple[Callable[[], None], int]] = {
    "idle": (spin, 0),
    "gil-python": (spin, 4),
    "gil-c": (hold_the_gil, 1),
}
"""Name: what the threads do, and how many there are."""

DESCRIPTIONS = {
    "idle": "nothing else runs in the process",
    "gil-python": "four threads compute in Python",
    "gil-c": "one thread calls C that holds the GIL for 0.5 s, again and again",
}


class Load:
    """Threads of one of :data:`LOADS`."""

    def __init__(self, name: str) -> None:
        self._work, count = LOADS[name]
        self._stop = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop:
            self._work()
