"""The cffi module and the thinnest wrapper over it.

Imported by the engine, the sources and the devices alone. Every function of ``lib`` releases the
GIL while it runs. That is right for one that waits, and costly for one that is over at once: with
four threads spinning it took 5 ms (p90) to 44 ms (p99) to get the GIL back. What is called again
and again goes through :func:`keeping_the_gil`.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from stream_audio._native import _core
from stream_audio.errors import ForkedProcessError

ffi: Any = _core.ffi
lib: Any = _core.lib

_loaded_in = os.getpid()
INTEGER = ffi.typeof("intptr_t")


def keeping_the_gil(name: str, result: Any, *arguments: Any) -> Any:
    """Return a C function, with these ctypes types, that keeps the GIL; cffi itself has no way."""
    return ctypes.PYFUNCTYPE(result, *arguments)(address(ffi.addressof(lib, name)))


def address(pointer: Any) -> int:
    """Return a cffi pointer as ctypes takes it. What it points to must be kept alive."""
    return int(ffi.cast(INTEGER, pointer))


def in_loading_process() -> bool:
    """Whether this is the process that loaded the library, and not a fork of it."""
    return os.getpid() == _loaded_in


def check_process() -> None:
    """Raise in a forked child: its audio threads do not exist and its rings are not mapped."""
    if not in_loading_process():
        raise ForkedProcessError(
            "stream_audio cannot be used in a forked child process",
            hint='Start processes with multiprocessing\'s "spawn" or "forkserver" method',
        )
