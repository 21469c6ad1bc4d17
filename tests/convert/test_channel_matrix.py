"""The gains of every down-mixing and up-mixing, against the recommendation and by their sums."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import ConfigError
from stream_audio.convert.channel_matrix import identity, matrix, mixing, picked, picking

H = sqrt(0.5)
L, R, C, LFE, LS, RS = range(6)


def gains(inputs, outputs):
    return np.array(mixing(inputs, outputs))


def test_stereo_to_mono_is_the_mean():
    assert gains(2, 1).tolist() == [[0.5, 0.5]]


def test_mono_to_stereo_is_the_same_on_both_sides():
    assert gains(1, 2).tolist() == [[1.0], [1.0]]


def test_5_1_to_stereo_has_the_proportions_of_bs_775():
    left, right = gains(6, 2)
    assert left / left[L] == pytest.approx([1, 0, H, 0, H, 0])
    assert right / right[R] == pytest.approx([0, 1, H, 0, 0, H])
    assert left[L] == right[R]


def test_5_1_to_mono_has_the_proportions_of_bs_775():
    (mono,) = gains(6, 1)
    assert mono / mono[C] == pytest.approx([H, H, 1, 0, 0.5, 0.5])


def test_5_1_to_stereo_to_mono_is_5_1_to_mono():
    assert gains(2, 1) @ gains(6, 2) == pytest.approx(gains(6, 1))


def test_mono_to_stereo_to_mono_changes_nothing():
    assert (gains(2, 1) @ gains(1, 2)).tolist() == [[1.0]]


def test_mono_to_5_1_is_the_centre():
    assert gains(1, 6)[:, 0].tolist() == [0, 0, 1, 0, 0, 0]


def test_stereo_to_5_1_is_left_and_right():
    assert gains(2, 6).tolist() == [[1, 0], [0, 1], *[[0, 0]] * 4]


@pytest.mark.parametrize("inputs", [3, 4, 8, 32, 64])
def test_inputs_to_mono_is_the_mean(inputs):
    assert gains(inputs, 1) == pytest.approx(np.full((1, inputs), 1 / inputs))


def test_fewer_of_many_inputs_are_the_first_ones():
    assert gains(8, 2).tolist() == np.eye(8)[:2].tolist()


def test_more_than_there_are_are_silent():
    assert gains(2, 4).tolist() == np.eye(4, 2).tolist()


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64))
def test_what_is_within_full_scale_stays_there(inputs, outputs):
    sums = np.abs(gains(inputs, outputs)).sum(axis=1)
    assert gains(inputs, outputs).shape == (outputs, inputs)
    assert (sums <= 1 + 1e-12).all()
    assert sums.max() == pytest.approx(1.0)


@pytest.mark.parametrize("channels", [1, 2, 6, 64])
def test_as_many_channels_as_there_are_stay_what_they_are(channels):
    assert mixing(channels, channels) == identity(channels)


# ---- from a source to a format ----


def test_what_is_left_open_is_what_the_user_means_by_the_source():
    assert matrix("mic", 6, (4, 5), None) == picking(6, (4, 5))
    assert matrix("mic", 2, (0, 1), None) == identity(2)


def test_a_list_picks_from_all_that_the_device_delivers():
    assert matrix("mic", 6, (0, 1), (5, 4)) == picking(6, (5, 4))


def test_a_number_is_mixed_from_what_the_user_means_by_the_source():
    assert matrix("mic", 6, (4, 5), 1) == ((0, 0, 0, 0, 0.5, 0.5),)
    assert matrix("mic", 6, (3,), 2) == ((0, 0, 0, 1, 0, 0),) * 2


def test_a_channel_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"no channel 7 in source 'mic', which has 4"):
        matrix("mic", 4, (0, 1), (0, 7))


@pytest.mark.parametrize(
    ("rows", "channels"),
    [
        (identity(3), [0, 1, 2]),
        (picking(6, (4, 5)), [4, 5]),
        (mixing(1, 2), [0, 0]),
        (mixing(8, 2), [0, 1]),
        (mixing(2, 1), None),
        (mixing(2, 4), None),  # silence is no channel of the source
        (mixing(6, 2), None),
    ],
)
def test_picking_is_told_from_mixing(rows, channels):
    found = picked(rows)
    assert (None if found is None else found.tolist()) == channels
