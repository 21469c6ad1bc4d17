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

_OTHERS = tuple(sorted(signal.valid_signals() - {signal.SIGINT}))


def none_but_ctrl_c() -> bool:
    """Return whether nothing but Ctrl-C, as Python handles it itself, interrupts this thread."""
    if not _is_main_thread():
        return True
    ctrl_c = _getsignal(signal.SIGINT)
    return (ctrl_c is signal.default_int_handler or not callable(ctrl_c)) and not any(
        map(callable, map(_getsignal, _OTHERS))
    )


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class HeldBackInterrupt:
    """A ``with`` block that Ctrl-C does not interrupt; it raises ``KeyboardInterrupt`` at its end.

    Python runs signal handlers between any two bytecodes of the main thread; elsewhere there is
    nothing to hold back. Other handlers are as they were.

    Attributes
    ----------
    may_happen : bool
        Whether Ctrl-C interrupts the calling thread.
    noted : bool
        Whether it was pressed meanwhile.
    """

    __slots__ = ("may_happen", "noted")

    def __init__(self) -> None:
        self.noted = False
        # In the background, a shell has it ignored.
        self.may_happen = (
            _is_main_thread() and _getsignal(signal.SIGINT) is signal.default_int_handler
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
