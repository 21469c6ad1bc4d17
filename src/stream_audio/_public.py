"""Public classes and functions say where users find them, not where they are made.

So tracebacks, ``repr`` and pickles name ``stream_audio.AudioChunk``, and modules can move.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def public(made: T) -> T:
    """Let a class or function say that it lives in ``stream_audio``; a decorator."""
    made.__module__ = "stream_audio"
    return made
