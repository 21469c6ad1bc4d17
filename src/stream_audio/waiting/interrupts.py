"""Ctrl-C held back while the main thread does what must not be left half done."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
from types import FrameType
from typing import Any

_module: Any = signal
with contextlib.suppress(ImportError):
    # What CPython's `signal` wraps: without making constants of what it returns it takes a sixth
    # of the time, which the consumer of a chunk waits for.
    _module = importlib.import_module("_signal")
_getsignal, _signal = _module.getsignal, _module.signal

# Whose handlers in Python may raise, as Ctrl-C's does.
_OTHERS = tuple(sorted(signal.valid_signals() - {signal.SIGINT}))


class HeldBackInterrupt:
    """A ``with`` block that Ctrl-C does not interrupt; it raises ``KeyboardInterrupt`` at its end.

    Python runs signal handlers between any two bytecodes of the main thread; elsewhere there is
    nothing to hold back. Other handlers are as they were: where these must not raise in the block
    either, enter it only if :meth:`possible`.

    Attributes
    ----------
    may_happen : bool
        Whether Ctrl-C interrupts the calling thread.
    noted : bool
        Whether it was pressed meanwhile.
    """

    __slots__ = ("_on_main_thread", "may_happen", "noted")

    def __init__(self) -> None:
        self.noted = False
        self._on_main_thread = threading.current_thread() is threading.main_thread()
        # In the background, a shell has it ignored.
        self.may_happen = (
            self._on_main_thread and _getsignal(signal.SIGINT) is signal.default_int_handler
        )

    def possible(self) -> bool:
        """Whether nothing but Ctrl-C, handled as Python does by itself, interrupts this thread."""
        return not self._on_main_thread or (
            (self.may_happen or not callable(_getsignal(signal.SIGINT)))
            and not any(map(callable, map(_getsignal, _OTHERS)))
        )

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.noted = True

    def __enter__(self) -> HeldBackInterrupt:
        if self.may_happen:
            _signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *raised: Any) -> None:
        if self.may_happen:
            _signal(signal.SIGINT, signal.default_int_handler)
            if self.noted:
                raise KeyboardInterrupt


def _give_child_its_own_handler() -> None:
    """In a child that another thread forked off: there is no block any more to end."""
    if getattr(_getsignal(signal.SIGINT), "__func__", None) is HeldBackInterrupt._note:
        _signal(signal.SIGINT, signal.default_int_handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_give_child_its_own_handler)
