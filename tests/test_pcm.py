"""Samples of every type as bytes: nothing changes that need not, what cannot fit is clipped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_audio.pcm import float32_bytes, pcm16_bytes, pcm24_bytes, pcm32_bytes

BYTES = {16: pcm16_bytes, 24: pcm24_bytes, 32: pcm32_bytes}
ENCODERS = [*BYTES.values(), float32_bytes]


def integers_of(data, bits):
    """Decode little-endian two's complement, by another way than the encoder's."""
    size = bits // 8
    pieces = (data[i : i + size] for i in range(0, len(data), size))
    return [int.from_bytes(piece, "little", signed=True) for piece in pieces]


def test_every_16_bit_integer_survives():
    integers = np.arange(-(2**15), 2**15)
    samples = (integers / 2**15).astype(np.float32)
    assert np.array_equal(np.frombuffer(pcm16_bytes(samples), "<i2"), integers)


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.int32, 64, elements=st.integers(-(2**23), 2**23 - 1)))
def test_24_bit_integers_survive(integers):
    samples = (integers / 2**23).astype(np.float32)
    assert integers_of(pcm24_bytes(samples), 24) == integers.tolist()


@pytest.mark.parametrize("bits", BYTES)
def test_the_bounds_of_every_width(bits):
    largest = 2 ** (bits - 1) - 1
    samples = np.float32([-1.0, 1.0, -1.5, 1.5, -np.inf, np.inf, 0.0, -0.0])
    expected = [-largest - 1, largest, -largest - 1, largest, -largest - 1, largest, 0, 0]
    assert integers_of(BYTES[bits](samples), bits) == expected


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.float32, 32, elements=st.floats(-1.25, 1.25, width=32)))
def test_the_nearest_integer_is_chosen(samples):
    made = integers_of(pcm16_bytes(samples), 16)
    for sample, integer in zip(samples.tolist(), made, strict=True):
        ideal = min(max(sample * 2**15, -(2**15)), 2**15 - 1)
        assert abs(integer - ideal) <= 0.5


@pytest.mark.parametrize("bits", BYTES)
def test_not_a_number_becomes_zero_and_its_neighbours_stay(bits):
    samples = np.float32([0.5, np.nan, -0.5, -np.nan])
    half = 2 ** (bits - 2)
    assert integers_of(BYTES[bits](samples), bits) == [half, 0, -half, 0]


@pytest.mark.parametrize("sample", [1e35, np.finfo(np.float32).max])
def test_samples_far_beyond_full_scale_are_clipped_without_a_warning(sample):
    samples = np.float32([sample, -sample])
    assert integers_of(pcm16_bytes(samples), 16) == [2**15 - 1, -(2**15)]


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_the_samples_that_are_given_are_not_changed(encode, dtype):
    samples = np.array([0.3, 2.0, 7], dtype)
    before = samples.copy()
    encode(samples)
    assert samples.tobytes() == before.tobytes()


@pytest.mark.parametrize("bits", BYTES)
def test_frames_are_interleaved(bits):
    samples = np.float32([[1, 2, 3], [4, 5, 6]]) / 2 ** (bits - 1)
    assert integers_of(BYTES[bits](samples), bits) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
@pytest.mark.parametrize("encode", ENCODERS)
def test_a_transposed_array_is_interleaved_all_the_same(encode, dtype):
    left_and_right = np.array([[1, 3, 5], [2, 4, 6]], dtype)
    interleaved = np.array([[1, 2], [3, 4], [5, 6]], dtype)
    assert encode(left_and_right.T) == encode(interleaved)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
@pytest.mark.parametrize("encode", ENCODERS)
def test_no_frames_are_no_bytes(encode, dtype):
    assert encode(np.zeros((0, 2), dtype)) == b""


def test_floats_stay_as_they_are():
    samples = np.float32([[0.1, -7.5], [np.inf, 1e-45]])
    assert float32_bytes(samples) == samples.astype("<f4").tobytes()
    assert float32_bytes(samples.T) == samples.T.astype("<f4").tobytes()


# ---- from integers ----


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.int16, 64, elements=st.integers(-(2**15), 2**15 - 1)))
def test_16_bit_samples_are_the_same_in_every_width(samples):
    integers = samples.astype(int)
    assert integers_of(pcm16_bytes(samples), 16) == integers.tolist()
    assert integers_of(pcm24_bytes(samples), 24) == (integers * 2**8).tolist()
    assert integers_of(pcm32_bytes(samples), 32) == (integers * 2**16).tolist()
    assert np.array_equal(np.frombuffer(float32_bytes(samples), "<f4") * 2**15, integers)


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.int32, 64, elements=st.integers(-(2**23), 2**23 - 1)))
def test_24_bit_samples_stand_in_the_upper_bytes(integers):
    samples = integers * np.int32(2**8)
    assert integers_of(pcm24_bytes(samples), 24) == integers.tolist()
    assert integers_of(pcm32_bytes(samples), 32) == samples.tolist()
    assert np.array_equal(np.frombuffer(float32_bytes(samples), "<f4") * 2.0**23, integers)


@settings(derandomize=True, deadline=None)
@given(
    arrays.arrays(np.int32, 64, elements=st.integers(-(2**31), 2**31 - 1)),
    st.sampled_from([16, 24, 32]),
)
def test_fewer_bits_are_the_nearest_there_are(samples, bits):
    made = np.array(integers_of(BYTES[bits](samples), bits))
    ideal = samples / 2.0 ** (32 - bits)
    within = ideal <= 2 ** (bits - 1) - 1
    assert (np.abs(made - ideal)[within] <= 0.5).all()
    assert (made[~within] == 2 ** (bits - 1) - 1).all()
