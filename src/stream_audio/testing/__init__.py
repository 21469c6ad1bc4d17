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

from stream_audio.sources.virtual import Fault
from stream_audio.testing.virtual_clock import VirtualClock

__all__ = ["Fault", "VirtualClock"]
