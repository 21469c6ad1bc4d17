"""JACK and PulseAudio in one session: one tone, heard through both, on one timeline."""

import numpy as np
import pytest

from stream_audio import (
    AudioFormat,
    AudioSource,
    ChannelSink,
    Merge,
    StreamAudio,
)
from support import servers
from support.effort import LONG

FREQUENCY = 50.0  # of which a period is longer than any offset
SECONDS = 12
RATE = 48_000


@pytest.fixture
def a_tone_in_both(servers_wanted: None):
    """PulseAudio plays to a JACK client; its monitor is a source of PulseAudio's own."""
    with servers.Jack(period=2048), servers.PulseAudio() as pulse:
        settings = ["sink_name=both", "client_name=both", "connect=no", "channels=1"]
        pulse.ask("load-module", "module-jack-sink", *settings)
        with pulse.play_tone(FREQUENCY, sink="both"):
            yield


def test_jack_and_pulseaudio_are_on_one_timeline(a_tone_in_both):
    """What is left is what the servers' buffers hold, and no drift: the offset is constant."""
    channel = ChannelSink(backlog="60 s")
    builder = (
        StreamAudio.builder()
        .add_source("jack", AudioSource.device("jack:both"))
        .add_source("pulse", AudioSource.device("pulse:both.monitor"))
        .add_sink(channel, merge=Merge("channels"), format=AudioFormat())
        .duration(SECONDS)
    )
    with builder as session:
        chunks = list(channel)
    merged = np.zeros((chunks[-1].end, chunks[-1].channels))
    for chunk in chunks:
        merged[chunk.frame : chunk.end] = chunk.data
    report = session.report()
    assert report.balanced, report
    assert len(merged) == SECONDS * report.merges["merge"].sample_rate
    seconds = merged[3 * RATE :].reshape(-1, RATE, merged.shape[1])
    turns = np.exp(-2j * np.pi * FREQUENCY * np.arange(RATE) / RATE)
    phases = np.einsum("sfc,f->sc", seconds, turns)
    # A machine that is busy plays the tone with holes, which are none of ours.
    level = np.abs(phases).max(axis=0)
    whole = phases[(np.abs(phases) > 0.9 * level).all(axis=1)]
    assert len(whole) > 1
    offsets = np.angle(whole[:, 0] / whole[:, -1]) / (2 * np.pi * FREQUENCY)
    spread = np.ptp(offsets)
    print(f"JACK and PulseAudio: {offsets.mean() * 1e3:.2f} ms apart, ± {spread * 5e2:.2f} ms")
    assert spread < (2e-3 if LONG else 20e-3)  # on a quiet machine
