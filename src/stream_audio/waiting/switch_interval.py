"""A shorter thread switch interval while sessions that ask for it run."""

from __future__ import annotations

import sys

from stream_audio._locks import InterruptibleLock

_lock = InterruptibleLock()
_wanted: list[float] = []
_original = 0.0


def hold(seconds: float | None) -> None:
    """Set the interpreter's switch interval to the shortest one that any session asks for."""
    global _original
    if seconds is None:
        return
    with _lock:
        if not _wanted:
            _original = sys.getswitchinterval()
        _wanted.append(seconds)
        sys.setswitchinterval(min(_wanted))


def release(seconds: float | None) -> None:
    """Undo one :func:`hold`; the last one puts the interpreter's own value back."""
    if seconds is None:
        return
    with _lock:
        _wanted.remove(seconds)
        sys.setswitchinterval(min(_wanted) if _wanted else _original)
