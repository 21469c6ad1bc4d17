"""The C passes over samples, against numpy, at every length that leaves a rest for the vectors."""

import ctypes
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_audio._native import samples as native

LENGTHS = [*range(20), 255, 256, 257, 1000]
floats = st.floats(width=32, allow_nan=True, allow_infinity=True)


def signal(length, seed=0):
    """Ordinary samples, with the odd one beyond full scale, tiny, or no number."""
    random = np.random.default_rng(seed)
    made = random.uniform(-1.2, 1.2, length)
    odd = [0.0, -0.0, 1.0, -1.0, 1e38, -1e38, np.inf, -np.inf, np.nan, 1e-40, 2**-16, 3 * 2**-16]
    where = random.random(length) < 0.2
    made[where] = random.choice(odd, where.sum())
    return made.astype(np.float32)


def rounded(samples, bits):
    """Integers by another way: in float64, where every step is exact."""
    largest = 2 ** (bits - 1) - 1
    scaled = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=1e99, neginf=-1e99)
    nearest = np.rint(scaled * 2 ** (bits - 1))
    beyond = (nearest > largest) | (nearest < -largest - 1)
    return np.clip(nearest, -largest - 1, largest).astype(np.int64), int(beyond.sum())


ENCODERS = {
    16: lambda samples: native.to_int16(samples),
    24: lambda samples: native.to_int32(samples, 24),
    32: lambda samples: native.to_int32(samples, 32),
}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("bits", ENCODERS)
def test_integers_are_the_nearest_and_clips_are_counted(bits, length):
    samples = signal(length, seed=length)
    expected, clipped = rounded(samples, bits)
    made, counted = ENCODERS[bits](samples)
    np.testing.assert_array_equal(made, expected * 256 if bits == 24 else expected)
    assert counted == clipped


@settings(derandomize=True, deadline=None)
@given(arrays.arrays(np.float32, 37, elements=floats), st.sampled_from(list(ENCODERS)))
def test_any_float_has_an_integer(samples, bits):
    expected, clipped = rounded(samples, bits)
    made, counted = ENCODERS[bits](samples)
    np.testing.assert_array_equal(made, expected * 256 if bits == 24 else expected)
    assert counted == clipped


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 1000])
def test_16_bit_material_is_known_wherever_one_sample_is_not(length):
    integers = np.random.default_rng(length).integers(-(2**15), 2**15, length)
    samples = (integers / 2**15).astype(np.float32)
    made, _ = native.to_int16_dithered(samples, 0, 1)
    np.testing.assert_array_equal(made, integers)
    for where in {0, length // 2, length - 1} if length else ():
        other = samples.copy()
        other[where] = 2**-16
        again, _ = native.to_int16_dithered(other, 0, 1)
        if length > 200:  # a few samples may by chance be rounded to what they are
            assert not np.array_equal(np.delete(again, where), np.delete(integers, where))


@pytest.mark.parametrize("length", LENGTHS)
def test_dither_moves_a_sample_by_less_than_one_step_and_a_half(length):
    samples = np.clip(signal(length, seed=length), -0.99, 0.99)
    made, _ = native.to_int16_dithered(samples, 5, 1)
    exact = np.nan_to_num(samples.astype(np.float64)) * 2**15
    number = ~np.isnan(samples)
    assert (np.abs(made - exact)[number] < 1.5).all()
    assert not made[~number].any()


def test_a_sample_s_dither_depends_on_its_number_alone():
    samples = np.full(1000, 0.3 * 2**-15, np.float32)
    whole, _ = native.to_int16_dithered(samples, 2**40, 7)
    for first in (1, 17, 500, 999):
        part, _ = native.to_int16_dithered(samples[first:], 2**40 + first, 7)
        np.testing.assert_array_equal(part, whole[first:])
    assert not np.array_equal(native.to_int16_dithered(samples, 2**40, 8)[0], whole)


# ---- channels ----


@pytest.mark.parametrize("inputs", [1, 2, 3, 6, 64])
@pytest.mark.parametrize("outputs", [1, 2, 5, 64])
@pytest.mark.parametrize("frames", [0, 1, 7, 16, 33])
def test_mixing_is_a_matrix_product(inputs, outputs, frames):
    random = np.random.default_rng(inputs * 1000 + outputs)
    samples = random.standard_normal((frames, inputs)).astype(np.float32)
    gains = random.standard_normal((outputs, inputs)).astype(np.float32)
    expected = samples.astype(np.float64) @ gains.T
    np.testing.assert_allclose(native.mix(samples, gains), expected, rtol=1e-5, atol=1e-4)


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 64), st.integers(0, 50), st.data())
def test_picking_is_indexing(inputs, frames, data):
    channels = data.draw(st.lists(st.integers(0, inputs - 1), min_size=1, max_size=64))
    samples = np.random.default_rng(0).standard_normal((frames, inputs)).astype(np.float32)
    made = native.pick(samples, np.array(channels, np.uint32))
    assert made.tobytes() == samples[:, channels].tobytes()


def test_levels_are_those_of_numpy():
    samples = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
    peaks, squares = native.levels(samples)
    np.testing.assert_array_equal(peaks, np.abs(samples).max(axis=0))
    np.testing.assert_allclose(squares, (samples.astype(np.float64) ** 2).sum(axis=0))


@pytest.mark.parametrize("length", LENGTHS)
def test_samples_that_are_no_finite_numbers_are_counted_and_become_zero(length):
    samples = signal(length, seed=length)
    finite = np.isfinite(samples)
    data, found = native.zero_nonfinite(samples)
    assert data.tobytes() == np.where(finite, samples, np.float32(0)).tobytes()
    assert found == native.count_nonfinite(samples) == length - np.count_nonzero(finite)


# ---- the GIL ----


def test_no_pass_releases_it():
    """Getting it back can take a hundred times as long as the pass itself."""
    passes = [f for f in vars(native).values() if isinstance(f, ctypes._CFuncPtr)]
    assert len(passes) == 9
    for each in passes:
        assert type(each)._flags_ & ctypes._FUNCFLAG_PYTHONAPI


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """The same source, compiled for the least of processors only."""
    source = Path(__file__).parents[2] / "csrc" / "samples.c"
    library = tmp_path_factory.mktemp("baseline") / "samples.so"
    compiler = shlex.split(os.environ.get("CC") or "cc")
    flags = ["-O3", "-std=gnu11", "-fno-trapping-math", "-fPIC", "-shared", "-DSA_BASELINE_ONLY"]
    subprocess.run([*compiler, *flags, str(source), "-o", str(library)], check=True)
    made = ctypes.CDLL(str(library))
    made.sa_to_int16.restype = made.sa_to_int16_dithered.restype = ctypes.c_int64
    made.sa_are_int16.restype = ctypes.c_bool
    return made


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


@pytest.mark.parametrize("length", LENGTHS)
def test_every_processor_makes_the_same_integers(baseline, length):
    samples = signal(length, seed=length)
    size = ctypes.c_int64(length)
    plain, dithered = np.empty(length, np.int16), np.empty(length, np.int16)
    clips = baseline.sa_to_int16(pointer(samples), size, pointer(plain))
    dithered_clips = baseline.sa_to_int16_dithered(
        pointer(samples), size, pointer(dithered), ctypes.c_uint64(12345), ctypes.c_uint32(7)
    )
    made, counted = native.to_int16(samples)
    np.testing.assert_array_equal(made, plain)
    assert counted == clips
    if not baseline.sa_are_int16(pointer(samples), size):
        made, counted = native.to_int16_dithered(samples, 12345, 7)
        np.testing.assert_array_equal(made, dithered)
        assert counted == dithered_clips
