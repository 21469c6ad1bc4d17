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

    def __getattr__(name: str) -> object:
        """Load the library at the first use of one of its names (PEP 562).

        So a program that can record, but need not, starts without paying for numpy and for us.
        """
        if name == "__all__" or not name.startswith("_"):
            face = _import_module("stream_audio._exports")
            globals().update({public: getattr(face, public) for public in face.__all__})
            globals()["__all__"] = face.__all__
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        __getattr__("__all__")
        return sorted(globals())
