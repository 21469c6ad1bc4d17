"""Channels are picked bit for bit, and mixed by their gains; place, time and gaps stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import Gap, GapCause
from stream_audio.convert.channel_matrix import mixing, picking
from stream_audio.convert.channel_mixer import ChannelMixer
from support.signals import chunk, noise

GAP = Gap("mic", 90, 10, GapCause.RING_FULL, 999.0)


def test_place_time_and_gaps_stay():
    (made,) = ChannelMixer(mixing(2, 1)).convert(before := chunk(noise(480, 2), 100, gaps=[GAP]))
    for name in ("source", "frame", "source_frame", "time", "arrival", "gaps", "sample_rate"):
        assert getattr(made, name) == getattr(before, name)
    assert made.data.shape == (480, 1)


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 40), st.integers(0, 2**31))
def test_it_is_the_product_with_the_gains(inputs, outputs, frames, seed):
    samples = noise(frames, inputs, seed)
    (made,) = ChannelMixer(mixing(inputs, outputs)).convert(chunk(samples))
    expected = samples.astype(np.float64) @ np.array(mixing(inputs, outputs)).T
    np.testing.assert_allclose(made.data, expected, atol=1e-6)


def test_picked_channels_are_the_same_to_the_bit():
    samples = noise(100, 32)
    samples[3, 4] = np.nan
    samples[4, 4] = -0.0
    (made,) = ChannelMixer(picking(32, (31, 4, 0))).convert(chunk(samples))
    assert made.data.tobytes() == samples[:, [31, 4, 0]].tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_in_a_mixture_what_is_no_number_counts_as_zero(value):
    samples = np.full((10, 2), 0.5, np.float32)
    samples[4, 1] = value
    (made,) = ChannelMixer(mixing(2, 1)).convert(chunk(samples))
    assert made.data[:, 0].tolist() == [0.5] * 4 + [0.25] + [0.5] * 5


def test_levels_are_those_of_the_channels_that_come_out():
    samples = np.zeros((100, 4), np.float32)
    samples[:, 2] = 0.5
    picked = ChannelMixer(picking(4, (2,))).convert(chunk(samples))[0]
    others = ChannelMixer(picking(4, (0, 3))).convert(chunk(samples))[0]
    assert picked.peak == pytest.approx([-6.0206], abs=1e-4)
    assert picked.rms == pytest.approx([-6.0206], abs=1e-4)
    assert others.is_silent


def test_what_it_makes_cannot_be_written_to():
    (made,) = ChannelMixer(mixing(2, 1)).convert(chunk(noise(10, 2)))
    with pytest.raises(ValueError, match="read-only"):
        made.data[0] = 1


def test_a_chunk_that_is_given_up_is_a_gap_before_the_next_one():
    mixer = ChannelMixer(mixing(2, 1))
    lost = mixer.give_up(chunk(noise(50, 2), 100, gaps=[GAP]))
    assert lost == [Gap("mic", 100, 50, GapCause.CONVERSION_FAILED, lost[0].time)]
    (made,) = mixer.convert(chunk(noise(50, 2), 150))
    assert made.gaps == (GAP, *lost)
    (after,) = mixer.convert(chunk(noise(50, 2), 200))
    assert after.gaps == ()
    assert mixer.give_up() == []
    assert mixer.flush() == []
