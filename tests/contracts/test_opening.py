"""A ring that does not hold what comes between two turns is refused, with the least that does."""

import itertools
import re

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    CallbackSink,
    ChannelSink,
    ConfigError,
    FormatPreset,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock

RATE = 48_000


class Gathering:
    """A sink that can wait, as a file can."""

    gather = 0.8
    takes_batches = True

    def write(self, chunk):
        pass


def captured(source, chunk, ring, sink, clock=None):
    config = StreamConfig(chunk_duration=chunk, ring_duration=ring, clock=clock or VirtualClock())
    builder = StreamAudio.builder().config(config).format(FormatPreset.NATIVE)
    with builder.add_source("mic", source).add_sink(sink).start() as session:
        session.wait()
    report = session.report().sources["mic"]
    assert report.lost == 0, (chunk, ring, report)
    return report.captured


@pytest.mark.parametrize("period", [1, 256, 4096, 65_536])
@pytest.mark.parametrize("gathering", [False, True])
def test_a_ring_is_refused_or_nothing_is_lost_and_the_least_that_is_told_works(period, gathering):
    refused = 0
    rings = [0.01, 0.05, 0.1, 0.17, 0.5, 1.0, 5.0]
    for chunk, ring in itertools.product([0.001, 0.1, 1.0, 10.0], rings):
        frames = 4 * RATE if period > 1 else RATE // 8
        source = AudioSource.virtual("silence", channels=1, period=period, frames=frames)

        def sink():
            return Gathering() if gathering else CallbackSink(lambda chunk: None)

        try:
            assert captured(source, chunk, ring, sink()) == frames
        except ConfigError as error:
            refused += 1
            least = float(re.search(r"ring_duration=([\d.]+)\)", error.hint)[1])
            assert least > ring
            assert captured(source, chunk, least, sink()) == frames
    assert 0 < refused < 28 or period == 65_536


def test_the_least_that_is_told_works_in_real_time():
    source = AudioSource.virtual("silence", channels=1, frames=RATE)
    with pytest.raises(ConfigError, match="cannot hold") as caught:
        captured(source, 0.1, 0.1, ChannelSink(), StreamConfig().clock)
    least = float(re.search(r"ring_duration=([\d.]+)\)", caught.value.hint)[1])
    assert captured(source, 0.1, least, ChannelSink(), StreamConfig().clock) == RATE


@pytest.mark.parametrize("chunk", [0.001, 1.0])
def test_a_source_that_waits_for_room_takes_any_ring(chunk, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(RATE, np.float32), RATE)
    sources = [
        AudioSource.virtual("silence", pace="freewheel", frames=RATE, channels=1),
        AudioSource.file(path, pace="freewheel"),
        AudioSource.file(path, pace="real_time"),
    ]
    for source in sources:
        assert captured(source, chunk, 0.01, CallbackSink(lambda chunk: None)) == RATE
