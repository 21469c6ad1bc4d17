"""Finding a signal in what came back; without a device, whose delay would not be known."""

import numpy as np
import pytest

from stream_audio import DeviceError
from stream_audio.devices.duplex import Heard
from stream_audio.latency.round_trip import (
    echoes,
    find_echo,
    maximum_length_sequence,
    round_trip_figures,
    sequence_for,
)

SIGNAL = 0.1 * maximum_length_sequence(14)
FRAMES = len(SIGNAL)


def delayed(frames, *, repetitions=1, gain=1.0):
    """Return the signal as it comes back after a delay that need not be whole."""
    turns = np.exp(-2j * np.pi * np.fft.rfftfreq(FRAMES) * frames)
    once = gain * np.fft.irfft(np.fft.rfft(SIGNAL) * turns, FRAMES)
    return np.tile(once, repetitions).astype(np.float32)


def noise(frames, level, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


@pytest.mark.parametrize("order", range(10, 19))
def test_a_sequence_correlates_with_itself_in_one_place_only(order):
    sequence = maximum_length_sequence(order)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(sequence)) ** 2, len(sequence))
    assert set(sequence) == {-1, 1}
    assert correlation[0] == pytest.approx(2**order - 1)
    assert correlation[1:] == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 96_000])
def test_a_sequence_lasts_at_least_a_second(rate):
    assert 1 <= len(sequence_for(rate)) / rate <= 2.1


@pytest.mark.parametrize("delay", [0, 1, 256, 5000, FRAMES - 1])
def test_a_whole_delay_is_found_exactly(delay):
    echo = find_echo(delayed(delay), SIGNAL)
    assert echo.delay == pytest.approx(delay, abs=1e-3)
    assert echo.gain == pytest.approx(0, abs=0.01)
    assert not echo.inverted


@pytest.mark.parametrize("delay", [0.25, 100.5, 1234.567])
def test_a_delay_between_two_frames_is_found_to_a_hundredth(delay):
    assert find_echo(delayed(delay), SIGNAL).delay == pytest.approx(delay, abs=0.01)


def test_an_echo_is_found_far_below_the_noise():
    heard = delayed(321.5, gain=0.1) + noise(FRAMES, 0.1)
    echo = find_echo(heard, SIGNAL)
    assert echo.delay == pytest.approx(321.5, abs=0.2)
    assert echo.gain == pytest.approx(-20, abs=2)


def test_a_loop_that_turns_the_sign_is_found_and_said():
    echo = find_echo(delayed(64, gain=-0.5), SIGNAL)
    assert echo.inverted
    assert echo.delay == pytest.approx(64, abs=1e-3)
    assert echo.gain == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_found_in_noise(seed):
    assert find_echo(noise(FRAMES, 0.1, seed), SIGNAL) is None


def test_nothing_is_found_in_silence():
    assert find_echo(np.zeros(FRAMES, np.float32), SIGNAL) is None


def heard(*channels):
    samples = np.stack(channels, axis=1)
    return Heard(samples, 48_000, "in", "out", "host", 0.01, 0.02, 0, 0)


def test_the_channel_with_the_signal_is_chosen():
    frames = 4 * FRAMES
    channel, found = echoes(heard(noise(frames, 0.1), delayed(480, repetitions=4)), SIGNAL)
    assert channel == 1
    assert [round(echo.delay, 3) for echo in found] == [480, 480, 480]


def test_a_repetition_without_the_signal_is_told_apart():
    samples = delayed(480, repetitions=4)
    samples[: 2 * FRAMES] = 0  # the cable was plugged in late
    figures = round_trip_figures(heard(samples), SIGNAL)
    assert figures["silent_repetitions"] == 1
    assert figures["delay"]["count"] == 2
    assert figures["delay"]["p50"] == pytest.approx(0.01, abs=1e-7)


def test_a_loop_that_changes_its_delay_shows_both():
    samples = np.concatenate([delayed(480, repetitions=2), delayed(736)])
    figures = round_trip_figures(heard(samples), SIGNAL)
    assert figures["frames"] == pytest.approx([480, 736], abs=1e-3)


def test_without_any_signal_the_error_says_what_to_do():
    with pytest.raises(DeviceError, match="Connect the output to the input"):
        round_trip_figures(heard(noise(4 * FRAMES, 0.1)), SIGNAL)


def test_too_short_a_measurement_is_an_error():
    with pytest.raises(DeviceError, match=r"within 0\.3 s.*at least 1 s"):
        round_trip_figures(heard(delayed(480)), SIGNAL)
