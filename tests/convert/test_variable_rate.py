"""What aligned tracks rely on of soxr's variable-rate mode, which it calls experimental."""

import math

import numpy as np
import pytest

from stream_audio.convert.variable_rate import VariableRate, delay
from support.signals import decibels, noise, rms, tone

PAIRS = [(48_000, 48_000), (48_000, 16_000), (44_100, 48_000), (48_000, 44_100), (16_000, 48_000)]


def changed(samples, rate_in, rate_out, factors, chunk=480):
    """What comes out, and what it should come to."""
    stream = VariableRate(rate_in, rate_out, samples.shape[1])
    due, made = 0.0, []
    for index, start in enumerate(range(0, len(samples), chunk)):
        piece, factor = samples[start : start + chunk], factors(index)
        made.append(stream.feed(piece, factor))
        due += len(piece) * rate_out * factor / rate_in
    made.append(stream.finish(round(due) - sum(map(len, made))))
    return np.concatenate(made), due, stream.offset


@pytest.mark.parametrize(("rate_in", "rate_out"), [*PAIRS, (192_000, 8_000), (8_000, 192_000)])
def test_as_many_frames_come_out_as_the_ratios_come_to(rate_in, rate_out):
    random = np.random.default_rng(3)
    drifts = random.uniform(-2000e-6, 2000e-6, 400)
    samples = np.zeros((400 * 480, 1), np.float32)
    made, due, _ = changed(samples, rate_in, rate_out, lambda index: 1 + drifts[index])
    assert len(made) == round(due)


@pytest.mark.parametrize("frames", [1, 5, 100, 239, 241, 1000])
@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_a_short_span_comes_out_whole(rate_in, rate_out, frames):
    made, due, _ = changed(noise(frames), rate_in, rate_out, lambda _: 1.0)
    assert len(made) == round(due)


@pytest.mark.long
def test_an_hour_of_changing_ratios_comes_to_the_frame():
    random = np.random.default_rng(4)
    drifts = 200e-6 + 10e-6 * random.standard_normal(36_000)
    stream, due, made = VariableRate(48_000, 48_000, 1), 0.0, 0
    second = np.zeros((4800, 1), np.float32)
    for drift in drifts.tolist():
        made += len(stream.feed(second, 1 + drift))
        due += 4800 * (1 + drift)
        assert -3 < due - made < 300
    made += len(stream.finish(round(due) - made))
    assert made == round(due)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
@pytest.mark.parametrize("drift", [0.0, 200e-6, -2000e-6])
def test_its_delay_is_constant_and_taken_out_but_for_a_fraction(rate_in, rate_out, drift):
    """The tone stands where it stood, less the offset that is told."""
    factor = 1 + drift
    wave = tone(500.0, 2, rate_in).astype(np.float32)
    made, _, offset = changed(wave, rate_in, rate_out, lambda _: factor)
    assert -1 < offset <= 1
    frames = np.arange(rate_out // 2, rate_out)
    turns = 2 * np.pi * 500.0 * (frames - offset) / (rate_out * factor)
    ideal = 0.5 * np.sin(turns)
    assert decibels(rms(made[frames, 0] - ideal) / rms(ideal)) < -60  # its ripple, 0.005 dB


def test_the_delay_is_what_it_was_measured_to_be():
    assert delay(48_000, 48_000) == pytest.approx(1.6134, abs=1e-3)
    assert delay(48_000, 16_000) == pytest.approx(1.6134, abs=1e-3)
    assert delay(16_000, 48_000) == pytest.approx(-0.5, abs=1e-3)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_it_leaves_no_noise_that_matters(rate_in, rate_out):
    made, _, _ = changed(tone(997.0, 3, rate_in).astype(np.float32), rate_in, rate_out, drifting)
    steady = made[rate_out : 2 * rate_out, 0].astype(np.float64)
    turns = 2 * np.pi * 997.0 * np.arange(rate_out) / (rate_out * drifting(0))
    wave = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    residue = steady - wave @ np.linalg.lstsq(wave, steady)[0]
    assert decibels(rms(residue) / rms(steady)) < -112


def drifting(index):
    return 1 + 150e-6


@pytest.mark.parametrize("frequency", [9_000.0, 11_000.0, 15_000.0, 20_000.0])
def test_what_the_new_rate_cannot_hold_is_gone(frequency):
    high = tone(frequency, 1, 48_000).astype(np.float32)
    made, _, _ = changed(high, 48_000, 16_000, lambda _: 1.0)
    assert decibels(rms(made[4_000:12_000]) / rms(high)) < -100


def test_it_is_the_same_however_it_is_cut():
    samples = noise(48_000, 2)
    whole, *_ = changed(samples, 48_000, 44_100, lambda _: 1 + 1e-4, chunk=48_000)
    pieces, *_ = changed(samples, 48_000, 44_100, lambda _: 1 + 1e-4, chunk=7)
    assert math.isclose(len(whole), len(pieces))
    np.testing.assert_array_equal(whole, pieces)
