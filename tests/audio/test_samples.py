"""Types of sample for each other: nothing changes that need not, what cannot fit is clipped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_audio.audio.samples import sample_bytes, to_float32, to_int16


def integers_of(data):
    """Decode little-endian two's complement, by another way than the encoder's."""
    pieces = (data[i : i + 2] for i in range(0, len(data), 2))
    return [int.from_bytes(piece, "little", signed=True) for piece in pieces]


def test_every_16_bit_integer_survives():
    integers = np.arange(-(2**15), 2**15)
    samples = (integers / 2**15).astype(np.float32)
    assert integers_of(sample_bytes(samples, "int16")) == integers.tolist()


def test_the_bounds():
    samples = np.float32([-1.0, 1.0, -1.5, 1.5, -np.inf, np.inf, 0.0, -0.0])
    expected = [-32768, 32767, -32768, 32767, -32768, 32767, 0, 0]
    assert integers_of(sample_bytes(samples, "int16")) == expected


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.float32, 32, elements=st.floats(-1.25, 1.25, width=32)))
def test_the_nearest_integer_is_chosen(samples):
    for sample, integer in zip(samples.tolist(), to_int16(samples).tolist(), strict=True):
        ideal = min(max(sample * 2**15, -(2**15)), 2**15 - 1)
        assert abs(integer - ideal) <= 0.5


def test_not_a_number_becomes_zero_and_its_neighbours_stay():
    samples = np.float32([0.5, np.nan, -0.5, -np.nan])
    assert to_int16(samples).tolist() == [2**14, 0, -(2**14), 0]


@pytest.mark.parametrize("sample", [1e35, np.finfo(np.float32).max])
def test_samples_far_beyond_full_scale_are_clipped_without_a_warning(sample):
    samples = np.float32([sample, -sample])
    assert to_int16(samples).tolist() == [2**15 - 1, -(2**15)]


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_the_samples_that_are_given_are_not_changed(dtype):
    samples = np.array([0.3, 2.0, 7], dtype)
    before = samples.copy()
    sample_bytes(samples, "int16")
    assert samples.tobytes() == before.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_a_transposed_array_is_interleaved_all_the_same(dtype):
    left_and_right = np.array([[1, 3, 5], [2, 4, 6]], dtype)
    interleaved = np.array([[1, 2], [3, 4], [5, 6]], dtype)
    assert sample_bytes(left_and_right.T, "int16") == sample_bytes(interleaved, "int16")


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_no_frames_are_no_bytes(dtype):
    assert sample_bytes(np.zeros((0, 2), dtype), "int16") == b""


# ---- from integers ----


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.int16, 64, elements=st.integers(-(2**15), 2**15 - 1)))
def test_16_bit_samples_stay_what_they_are(samples):
    assert integers_of(sample_bytes(samples, "int16")) == samples.tolist()
    assert np.array_equal(to_float32(samples) * 2**15, samples)


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.int32, 64, elements=st.integers(-(2**31), 2**31 - 1)))
def test_fewer_bits_are_the_nearest_there_are(samples):
    made = to_int16(samples)
    ideal = samples / 2.0**16
    within = ideal <= 2**15 - 1
    assert (np.abs(made - ideal)[within] <= 0.5).all()
    assert (made[~within] == 2**15 - 1).all()


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.int32, 64, elements=st.integers(-(2**23), 2**23 - 1)))
def test_24_bits_in_the_upper_bytes_are_exact_in_float32(integers):
    assert np.array_equal(to_float32(integers * np.int32(2**8)) * 2.0**23, integers)
