"""A question to a host that may hang, asked beside the session."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Probe:
    """What a host said last, asked again on a thread of its own.

    Parameters
    ----------
    ask : callable
        Says whether all is well; may take long, and may not raise.
    """

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._well = True
        self._asking = threading.Lock()

    def look(self) -> bool:
        """Return the last answer, and ask again if no question is open; does not block."""
        if not self._asking.locked() and self._asking.acquire(blocking=False):
            threading.Thread(target=self._run, name="stream-audio-probe", daemon=True).start()
        return self._well

    def _run(self) -> None:
        try:
            self._well = self._ask()
        finally:
            self._asking.release()

    def end(self, seconds: float) -> bool:
        """Wait for an open question, and let none follow; False if it is still open then."""
        return self._asking.acquire(timeout=seconds)
