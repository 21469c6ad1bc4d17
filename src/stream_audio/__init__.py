"""Audio capture that never loses a frame without saying so.

>>> import stream_audio
>>> tone = stream_audio.AudioSource.virtual("sine", frames=48_000, pace="freewheel")
>>> chunks = stream_audio.ChannelSink()
>>> with stream_audio.open(tone, sinks=[chunks]) as session:
...     seconds = sum(chunk.duration for chunk in chunks)
>>> round(seconds, 3), session.report().balanced
(1.0, True)
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from stream_audio._exports import *  # noqa: F403 - the names, for type checkers

__version__ = "0.1.0"

if not _TYPE_CHECKING:  # a checker would take any name for granted
    from stream_audio._exports import _WHERE

    # `from stream_audio import *` hides nothing that Python has.
    __all__ = sorted(_WHERE.keys() - {"open"})  # pyright: ignore[reportUnsupportedDunderAll]

    def __getattr__(name: str) -> object:
        """Load a public name at its first use (PEP 562), with what it needs and no more."""
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        made = getattr(_import_module(f"stream_audio.{_WHERE[name]}"), name)
        globals()[name] = made
        return made

    def __dir__() -> list[str]:
        own = {name for name in globals() if name.startswith("__")}
        return sorted({*own, *_WHERE, "testing"})
