"""The virtual device plays what it is told to, at the rate it is told to."""

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamConfig,
    record,
)
from stream_audio.testing import VirtualClock

RATE = 48_000


def play(seconds: float = 1.0, **settings: object) -> np.ndarray:
    return record(duration=seconds, source=AudioSource.virtual(pace="freewheel", **settings))


@pytest.mark.parametrize("frequency", [1.0, 440.0, 23_000.0])
def test_a_sine_has_its_frequency_and_level_in_every_channel(frequency: float) -> None:
    samples = play(4.0, signal="sine", frequency=frequency, level=-20.0, channels=3)
    expected = 0.1 * np.sin(2 * np.pi * frequency * np.arange(len(samples)) / RATE)
    for channel in samples.T:
        np.testing.assert_allclose(channel, expected, atol=1e-6)


def test_noise_is_white_and_even_and_differs_between_channels() -> None:
    samples = play(10.0, signal="noise", level=0.0)
    assert np.abs(samples).max() <= 1.0
    assert samples.std(axis=0) == pytest.approx([1 / np.sqrt(3)] * 2, rel=0.01)
    assert np.abs(np.corrcoef(samples.T)[0, 1]) < 0.01
    assert np.abs(np.corrcoef(samples[1:, 0], samples[:-1, 0])[0, 1]) < 0.01
    power = np.abs(np.fft.rfft(samples[:, 0])) ** 2
    octants = [part.mean() for part in np.array_split(power[1:], 8)]
    assert max(octants) / min(octants) < 1.1


def test_noise_is_the_same_for_the_same_seed_only() -> None:
    first = play(0.1, signal="noise", seed=1)
    np.testing.assert_array_equal(play(0.1, signal="noise", seed=1), first)
    assert not np.array_equal(play(0.1, signal="noise", seed=2), first)


def test_the_counter_tells_each_position_and_wraps_at_2_to_the_23() -> None:
    frames = 2**23 + 1000
    samples = play(frames / RATE, signal="counter", channels=1)
    expected = np.arange(frames) % 2**23
    np.testing.assert_array_equal(samples[:, 0] * np.float64(2**23), expected)


@pytest.mark.parametrize("drift_ppm", [-500.0, 0.0, 150.0])
def test_drift_is_the_device_s_clock_against_ours(drift_ppm: float) -> None:
    channel = ChannelSink(backlog=Backlog(2**30))
    source = AudioSource.virtual("silence", channels=1, frames=RATE * 600, drift_ppm=drift_ppm)
    builder = StreamAudio.builder().add_source("mic", source)
    builder.add_sink(channel, format=FormatPreset.NATIVE)
    with builder.config(StreamConfig(clock=VirtualClock())).start():
        arrivals = [chunk.arrival for chunk in channel]
    length = arrivals[-1] - 1000.0
    assert length == pytest.approx(600 / (1 + drift_ppm * 1e-6), abs=1e-6)


def test_jitter_moves_callbacks_either_way_and_no_further() -> None:
    channel = ChannelSink(backlog=Backlog(2**30))
    source = AudioSource.virtual("silence", frames=RATE * 20, jitter=0.002, seed=5)
    config = StreamConfig(clock=VirtualClock(), chunk_duration=256 / RATE)
    builder = StreamAudio.builder().add_source("mic", source)
    builder.add_sink(channel, format=FormatPreset.NATIVE)
    with builder.config(config).start():
        late = np.array([chunk.arrival - 1000.0 - chunk.end / RATE for chunk in channel])
    assert np.abs(late).max() <= 0.002 + 1e-9
    assert late.min() < -0.0019
    assert late.max() > 0.0019


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 64])
def test_any_rate_and_up_to_64_channels(rate: int, channels: int) -> None:
    samples = play(0.1, signal="counter", sample_rate=rate, channels=channels, period=100)
    assert samples.shape == (round(rate * 0.1), channels)
    np.testing.assert_array_equal(samples[:, 0], samples[:, -1])
