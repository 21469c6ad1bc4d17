"""The cffi module and the thinnest wrapper over it.

Imported by the engine, the sources and the devices alone. Every function of ``lib`` releases the
GIL while it runs. That is right for one that waits, and costly for one that is over at once: with
four threads spinning it took 5 ms (p90) to 44 ms (p99) to get the GIL back. What is called again
and again goes through :func:`keeping_the_gil`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

from stream_audio._native import _core
from stream_audio.errors import ForkedProcessError

ffi: Any = _core.ffi
lib: Any = _core.lib

INTEGER = ffi.typeof("intptr_t")

_process = os.getpid()  # the one that may use the library
_in_use: set[object] = set()  # each with threads or a ring that a forked child lacks


def keeping_the_gil(name: str, result: Any, *arguments: Any) -> Any:
    """Return a C function, with these ctypes types, that keeps the GIL; cffi itself has no way."""
    return ctypes.PYFUNCTYPE(result, *arguments)(address(ffi.addressof(lib, name)))


def address(pointer: Any) -> int:
    """Return a cffi pointer as ctypes takes it. What it points to must be kept alive."""
    return int(ffi.cast(INTEGER, pointer))


def owned(pointer: Any, destroy: Callable[[Any], object]) -> Any:
    """Return ``pointer`` so that ``destroy`` frees it once nobody refers to it.

    Not in a forked child, where threads are missing that may have held its locks.
    """
    process, own = os.getpid, os.getpid()
    # As the interpreter ends, names of modules are gone before the last objects are.
    return ffi.gc(pointer, lambda it: destroy(it) if process() == own else None)


def note_use(user: object) -> None:
    """Say that ``user`` has what a forked child would not have: threads, or a ring."""
    check_process()
    _in_use.add(user)


def note_end_of_use(user: object) -> None:
    """Undo :func:`note_use`; does nothing twice."""
    _in_use.discard(user)


def in_own_process() -> bool:
    """Whether this is a process that may use the library, and not the child of one that does."""
    return os.getpid() == _process


def check_process() -> None:
    """Raise in a forked child whose parent was using the library.

    Its audio threads do not exist there, and its rings are not mapped.
    """
    if not in_own_process():
        raise ForkedProcessError(
            "stream_audio cannot be used in a forked child of a process that was recording",
            hint='Start processes with multiprocessing\'s "spawn" or "forkserver" method, or '
            "fork before anything is recorded",
        )


def _begin_anew() -> None:
    """In a forked child: descriptions, lists and sessions that have ended are no hindrance."""
    global _process
    if not _in_use:
        _process = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
