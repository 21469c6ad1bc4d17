"""Samples become the bytes of a file: exactly, or to the nearest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stream_audio.files.encoder import SAMPLE_BYTES, Encoder
from support.effort import examples

BITS = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


def decoded(subtype, samples):
    """Return the integers that stand in the file; as 64 bits, so that nothing can overflow."""
    data = np.ascontiguousarray(Encoder(subtype).encode(samples)).tobytes()
    width = SAMPLE_BYTES[subtype]
    assert len(data) == samples.size * width
    rows = np.frombuffer(data, np.uint8).reshape(-1, width).astype(np.int64)
    values = (rows << (8 * np.arange(width))).sum(axis=1)
    return np.where(values >= 1 << (8 * width - 1), values - (1 << (8 * width)), values)


@pytest.mark.parametrize("subtype", BITS)
@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(samples=npst.arrays(np.float32, st.integers(1, 30), elements=st.floats(width=32)))
def test_floats_become_the_nearest_integer(subtype, samples):
    scale = 2.0 ** (BITS[subtype] - 1)
    exact = np.nan_to_num(samples.astype(np.float64), posinf=2, neginf=-2) * scale
    nearest = np.clip(np.rint(exact), -scale, scale - 1)
    assert np.array_equal(decoded(subtype, samples), nearest)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("subtype", SAMPLE_BYTES)
def test_floats_of_any_size_are_taken(subtype, dtype):
    """As a sink of the user's own may hand them on to a file."""
    samples = np.array([[0.25, -0.5], [0.125, 0.75]])
    expected = Encoder(subtype).encode(samples.astype(np.float32)).tobytes()
    assert Encoder(subtype).encode(samples.astype(dtype)).tobytes() == expected


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
@pytest.mark.parametrize("subtype", BITS)
@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_integers_keep_their_full_scale(subtype, dtype, data):
    """Widened exactly, narrowed to the nearest, never wrapped around."""
    samples = data.draw(npst.arrays(dtype, st.integers(1, 30)))
    shift = BITS[subtype] - 8 * samples.dtype.itemsize
    values = decoded(subtype, samples)
    exact = samples * 2.0**shift
    top = 2 ** (BITS[subtype] - 1) - 1
    assert np.all(np.abs(values - np.minimum(exact, top)) <= 0.5)
    assert values.max() <= top


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_integers_become_floats_of_full_scale_one(dtype):
    info = np.iinfo(dtype)
    samples = np.array([[info.min, info.max, -1, 0, 1]], dtype)
    floats = Encoder("FLOAT").encode(samples)
    assert np.array_equal(floats, (samples / -float(info.min)).astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "subtype"), [("float32", "FLOAT"), ("int16", "PCM_16"), ("int32", "PCM_32")]
)
def test_what_needs_no_change_is_not_even_copied(dtype, subtype):
    samples = np.zeros((10, 2), dtype)
    assert Encoder(subtype).encode(samples) is samples


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
@pytest.mark.parametrize("subtype", SAMPLE_BYTES)
def test_samples_that_do_not_lie_in_a_row_are_written_in_order(subtype, dtype):
    random = np.random.default_rng(1)
    samples = random.integers(-(2**15), 2**15, (4, 6)).astype(dtype)
    if dtype == "float32":
        samples /= 2**15
    encoded = [
        Encoder(subtype).encode(view).tobytes()
        for view in (samples[::2, 1::2], np.ascontiguousarray(samples[::2, 1::2]))
    ]
    assert encoded[0] == encoded[1]


@pytest.mark.parametrize("subtype", SAMPLE_BYTES)
def test_the_memory_is_that_of_the_chunk_before(subtype):
    encoder = Encoder(subtype)
    dtype = np.float32 if subtype != "FLOAT" else np.int16
    first = encoder.encode(np.zeros((100, 2), dtype))
    second = encoder.encode(np.ones((50, 2), dtype))
    assert np.shares_memory(first, second)
