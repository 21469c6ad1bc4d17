"""Ctrl-C held back while the main thread does what must not be left half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

try:
    # What the functions of `signal` wrap: without making constants of what it returns it takes a
    # sixth of the time, which the consumer of a chunk waits for.
    from _signal import getsignal as _getsignal  # type: ignore[import-not-found,unused-ignore]
    from _signal import signal as _signal
except ImportError:
    _getsignal, _signal = signal.getsignal, signal.signal

# Whose handlers in Python may raise, as Ctrl-C's does. Those that a system lacks are left out.
_OTHERS = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPROF")
    if hasattr(signal, name)
]


class HeldBackInterrupt:
    """A ``with`` block that Ctrl-C does not interrupt; it raises ``KeyboardInterrupt`` at its end.

    Python runs signal handlers between any two bytecodes of the main thread; elsewhere there is
    nothing to hold back. Enter it only if :meth:`possible`.

    Attributes
    ----------
    noted : bool
        Whether Ctrl-C was pressed meanwhile.
    """

    __slots__ = ("_on_main_thread", "noted")

    def __init__(self) -> None:
        self.noted = False
        self._on_main_thread = threading.current_thread() is threading.main_thread()

    @property
    def may_happen(self) -> bool:
        """Whether the calling thread is the one that is interrupted."""
        return self._on_main_thread

    def possible(self) -> bool:
        """Whether nothing but Ctrl-C, handled as Python does by itself, interrupts this thread."""
        return not self._on_main_thread or (
            _getsignal(signal.SIGINT) is signal.default_int_handler
            and not any(callable(_getsignal(each)) for each in _OTHERS)
        )

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.noted = True

    def __enter__(self) -> HeldBackInterrupt:
        if self._on_main_thread:
            _signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._on_main_thread:
            _signal(signal.SIGINT, signal.default_int_handler)
            if self.noted:
                raise KeyboardInterrupt
