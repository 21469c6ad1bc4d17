"""Peaks and sums of squares against numpy, in every arrangement of channels and lengths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio._native import ffi, lib
from stream_audio._native.capture import MARKS
from support.line import PERIOD, Line

MAX_CHANNELS = lib.SA_MAX_CHANNELS


class Levels:
    """The running figures of so many channels."""

    def __init__(self, channels):
        self.peak = np.zeros(channels, np.float32)
        self.squares = np.zeros(channels, np.float64)

    def add(self, samples):
        samples = np.ascontiguousarray(samples, np.float32)
        frames, channels = samples.shape
        lib.sa_levels_add(
            ffi.cast("const float *", samples.ctypes.data),
            frames,
            channels,
            ffi.cast("float *", self.peak.ctypes.data),
            ffi.cast("double *", self.squares.ctypes.data),
        )
        return self


def noise(frames, channels, seed):
    """Each channel at a level of its own, so that a mix-up of channels shows."""
    random = np.random.default_rng(seed)
    levels = 10 ** np.linspace(0, -4, channels)
    return (random.standard_normal((frames, channels)) * levels).astype(np.float32)


def expect(levels, samples):
    assert np.array_equal(levels.peak, np.abs(samples).max(axis=0, initial=0))
    squares = (samples.astype(np.float64) ** 2).sum(axis=0)
    np.testing.assert_allclose(levels.squares, squares, rtol=1e-12)


@pytest.mark.parametrize("channels", range(1, MAX_CHANNELS + 1))
def test_every_number_of_channels(channels):
    for frames in (0, 1, 2, 15, 16, 17, 33, 1000):
        samples = noise(frames, channels, seed=frames)
        expect(Levels(channels).add(samples), samples)


@settings(derandomize=True, deadline=None)
@given(
    channels=st.integers(1, MAX_CHANNELS),
    pieces=st.lists(st.integers(0, 70), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
def test_pieces_add_up_to_the_whole(channels, pieces, seed):
    samples = noise(sum(pieces), channels, seed)
    levels = Levels(channels)
    for piece in np.split(samples, np.cumsum(pieces)[:-1]):
        levels.add(piece)
    expect(levels, samples)


@settings(derandomize=True, deadline=None)
@given(st.integers(1, MAX_CHANNELS), st.integers(1, 200), st.data())
def test_one_sample_shows_in_its_own_channel_alone(channels, frames, data):
    frame = data.draw(st.integers(0, frames - 1))
    channel = data.draw(st.integers(0, channels - 1))
    value = data.draw(st.floats(-1, 1, width=32).filter(bool))
    samples = np.zeros((frames, channels), np.float32)
    samples[frame, channel] = value
    levels = Levels(channels).add(samples)
    only = np.arange(channels) == channel
    assert np.array_equal(levels.peak, np.where(only, np.abs(np.float32(value)), 0))
    assert np.array_equal(levels.squares > 0, only)  # the smallest float32 counts
    assert levels.squares[channel] == np.float64(np.float32(value)) ** 2


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_exact_silence_is_exactly_zero(channels, zero):
    levels = Levels(channels).add(np.full((999, channels), zero, np.float32))
    assert not levels.peak.any()
    assert not levels.squares.any()
    assert not np.signbit(levels.peak).any()


@pytest.mark.parametrize("channels", [1, 2, 5, 64])
@pytest.mark.parametrize("frame", [0, 20, 99])
def test_not_a_number_shows_in_the_sum_of_its_channel_and_no_other(channels, frame):
    samples = noise(100, channels, seed=1)
    samples[frame, -1] = np.nan
    levels = Levels(channels).add(samples)
    expected = np.zeros(channels, bool)
    expected[-1] = True
    assert np.array_equal(np.isnan(levels.squares), expected)
    # The peak is that of the numbers.
    assert np.array_equal(levels.peak, np.nanmax(np.abs(samples), axis=0))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinity_shows_in_both(value):
    samples = noise(100, 2, seed=1)
    samples[50, 0] = value
    levels = Levels(2).add(samples)
    assert np.isposinf(levels.squares).tolist() == [True, False]
    assert np.isposinf(levels.peak).tolist() == [True, False]


def test_the_largest_samples_do_not_overflow_the_sum():
    largest = np.finfo(np.float32).max
    levels = Levels(1).add(np.full((10_000, 1), -largest, np.float32))
    assert levels.peak[0] == largest
    assert levels.squares[0] == pytest.approx(1e4 * float(largest) ** 2)


def test_a_long_faint_tone_does_not_vanish_beside_one_loud_sample():
    levels = Levels(1).add([[1e6]])
    faint = np.full((100_000, 1), 1e-3, np.float32)
    for _ in range(10):
        levels.add(faint)
    assert levels.squares[0] - 1e12 == pytest.approx(1.0, rel=1e-2)


NONFINITE, SILENT, LOUD = lib.SA_MARK_NONFINITE, lib.SA_MARK_SILENT, lib.SA_MARK_LOUD


@pytest.mark.parametrize(
    ("value", "mark"),
    [
        (np.nan, NONFINITE),
        (np.inf, NONFINITE | LOUD),
        (-np.inf, NONFINITE | LOUD),
        (np.float32(32767 / 32768), LOUD),
        (-1.0, LOUD),
        (np.nextafter(np.float32(32767 / 32768), np.float32(0)), 0),
    ],
)
@pytest.mark.parametrize("frame", [0, 100, PERIOD - 1])
def test_chunks_that_are_worth_a_second_look_are_marked(frame, value, mark):
    line = Line(chunk_frames=PERIOD, channels=3)
    faint = np.full((PERIOD, 3), 1e-6, np.float32)
    one_sample = faint.copy()
    one_sample[frame, 1] = value
    one_silent = faint.copy()
    one_silent[:, frame % 3] = 0
    for samples in faint, one_sample, faint, one_silent, one_sample:
        line.push(samples=samples)
    line.finish()
    assert line.rows[:, MARKS].tolist() == [0, mark, 0, SILENT, mark]
    line.close()


def test_to_be_loud_is_no_mark_below_full_scale():
    line = Line(chunk_frames=PERIOD)
    line.push(samples=np.full((PERIOD, 1), 0.999, np.float32))
    line.finish()
    assert line.rows[:, MARKS].tolist() == [0]
    line.close()
