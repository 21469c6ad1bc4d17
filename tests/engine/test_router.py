"""What the router's thread does in a turn."""

import threading
from collections import Counter

import pytest

from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio, StreamConfig
from stream_audio._native import capture, portaudio
from stream_audio._native import lib as native
from stream_audio.reports import durations
from stream_audio.testing import VirtualClock

RATE = 48_000
SECONDS = 20
GIVE_UP = 60.0


class Counting:
    """The library, with a note of the router's calls, each of which lets the GIL go."""

    def __init__(self):
        self.calls = Counter()

    def __getattr__(self, name):
        value = getattr(native, name)
        if callable(value) and threading.current_thread().name == "stream-audio-router":
            self.calls[name] += 1
        return value


class Sink:
    def write(self, chunk):
        pass


@pytest.mark.parametrize("audio_format", [FormatPreset.NATIVE, FormatPreset.TRANSCRIPTION])
def test_a_turn_lets_the_gil_go_in_its_one_wait_and_nowhere_else(monkeypatch, audio_format):
    """With four threads spinning, getting it back takes tens of milliseconds each time."""
    counting = Counting()
    for module in (capture, durations, portaudio):  # what wakes a worker is the clock's own
        monkeypatch.setattr(module, "lib", counting)
    source = AudioSource.virtual("sine", frames=SECONDS * RATE)
    builder = StreamAudio.builder().add_source("mic", source).format(audio_format)
    builder.add_sink(ChannelSink()).add_sink(Sink())
    config = StreamConfig(clock=VirtualClock(), chunk_duration=0.02)
    with builder.config(config).start() as session:
        assert session.wait(GIVE_UP)
    assert counting.calls["sa_wait_and_read"] >= SECONDS / 0.02
    # The others are those of the end.
    assert sum(counting.calls.values()) - counting.calls["sa_wait_and_read"] < 20


class Direct:
    blocking = False

    def write(self, chunk):
        pass


MOST_CALLS = 26
"""Of Python's functions, for a chunk that goes to one direct sink as it is: 24 today."""


def test_a_chunk_takes_few_calls_to_a_direct_sink():
    """After a wait the caches are cold, and each function on the way takes microseconds."""
    calls = Counter()

    def note(frame, event, argument):
        if event == "call" and threading.current_thread().name == "stream-audio-router":
            calls[frame.f_code.co_name] += 1

    source = AudioSource.virtual("sine", period=960, frames=SECONDS * RATE)
    builder = StreamAudio.builder().add_source("mic", source).add_sink(Direct())
    config = StreamConfig(clock=VirtualClock(), chunk_duration=0.02)
    threading.setprofile(note)  # for threads that begin from now on
    try:
        session = builder.format(FormatPreset.NATIVE).config(config).start()
    finally:
        threading.setprofile(None)
    assert session.wait(GIVE_UP)
    chunks = session.report().sources["mic"].captured / 960
    assert calls["write"] == chunks
    assert sum(calls.values()) <= MOST_CALLS * chunks, calls.most_common(40)
