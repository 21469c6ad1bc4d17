"""The cffi module and the thinnest wrapper over it.

Imported by the engine, the sources and the devices alone. Every function of ``lib`` releases the
GIL while it runs.
"""

from __future__ import annotations

import os
from typing import Any

from stream_audio._native import _core
from stream_audio.errors import ForkedProcessError

ffi: Any = _core.ffi
lib: Any = _core.lib

_loaded_in = os.getpid()


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
