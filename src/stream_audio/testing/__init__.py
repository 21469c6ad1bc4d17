"""For tests: a clock that does not wait, and devices that fail on cue.

>>> import stream_audio
>>> from stream_audio.testing import VirtualClock
>>> chunks = stream_audio.ChannelSink()
>>> builder = (
...     stream_audio.StreamAudio.builder()
...     .add_source("mic", stream_audio.AudioSource.virtual("counter", frames=480_000))
...     .format(stream_audio.FormatPreset.NATIVE)
...     .add_sink(chunks)
...     .config(stream_audio.StreamConfig(clock=VirtualClock()))
... )
>>> with builder.start() as session:  # ten seconds of audio, in no time
...     frames = sum(chunk.frames for chunk in chunks)
>>> frames, session.report().balanced
(480000, True)
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from stream_audio.sources.scripted import Incident as Incident
    from stream_audio.sources.virtual import Fault as Fault
    from stream_audio.testing.virtual_clock import VirtualClock as VirtualClock
    from stream_audio.testing.virtual_devices import VirtualDevices as VirtualDevices

__all__ = ["Fault", "Incident", "VirtualClock", "VirtualDevices"]

_WHERE = {
    "Fault": "sources.virtual",
    "Incident": "sources.scripted",
    "VirtualClock": "testing.virtual_clock",
    "VirtualDevices": "testing.virtual_devices",
}


def __getattr__(name: str) -> _Any:
    # As for the package: the plug-in for pytest is in every test run, and should cost nothing.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"stream_audio.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
