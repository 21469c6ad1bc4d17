"""Rounding to integers: dither, what stays bit-exact, what is clipped and counted."""

import numpy as np
import pytest

from stream_audio import Gap, GapCause
from stream_audio.convert.sample_encoder import SampleEncoder
from support.signals import chunk, cut, joined, noise, rms, through, tone

STEP = 2.0**-15
TYPES = {"int16": (np.int16, 2**15), "int24": (np.int32, 2**31), "int32": (np.int32, 2**31)}


def encoded(samples, dtype="int16", *, dither=True, frame=0, lengths=4800):
    encoder = SampleEncoder(dtype, dither=dither)
    return through(encoder, cut(np.asarray(samples, np.float32), lengths, frame=frame))


def errors(samples, **settings):
    """What rounding did to each sample, in steps."""
    return joined(encoded(samples, **settings)) - np.asarray(samples, np.float32) / STEP


@pytest.mark.parametrize("dtype", TYPES)
def test_type_and_scale(dtype):
    numpy_type, full_scale = TYPES[dtype]
    (made,) = encoded([[0.5, -0.5, -1.0, 0.0]], dtype)
    assert made.data.dtype == numpy_type
    assert made.data.tolist() == [[full_scale // 2, -full_scale // 2, -full_scale, 0]]
    assert not made.data.flags.writeable


def test_int24_are_24_bits_in_the_upper_bytes():
    made = joined(encoded(noise(1000), "int24"))
    assert not (made & 0xFF).any()
    np.testing.assert_array_equal(made, np.rint(noise(1000).astype(float) * 2**23) * 2**8)


def test_every_float32_of_24_bits_survives_as_int32():
    samples = noise(1000)
    assert (joined(encoded(samples, "int32")) / 2**31).astype(np.float32).tobytes() == (
        np.rint(samples.astype(float) * 2**31) / 2**31
    ).astype(np.float32).tobytes()


# ---- dither ----


def test_the_error_of_dithered_rounding_does_not_depend_on_the_signal():
    """Mean 0 and variance 1/4 step² wherever the signal stands between two steps."""
    for offset in (0.0, 0.1, 0.25, 0.5, 0.77):
        samples = np.full((200_000, 1), offset * STEP)
        samples[0] = 0.3 * STEP  # else the exact ones would need no dither
        error = errors(samples, lengths=200_000)
        assert error.mean() == pytest.approx(0.0, abs=0.005)
        assert error.var() == pytest.approx(0.25, abs=0.005)


def test_a_tone_below_one_step_is_still_there_and_undistorted():
    seconds, rate, frequency = 10, 48_000, 1000
    quiet = tone(frequency, seconds, rate, amplitude=0.4 * STEP)
    plain = joined(encoded(quiet, dither=False))
    assert not plain.any()  # without dither there is nothing left of it
    spectrum = np.fft.rfft(joined(encoded(quiet))[:, 0]) / (rate * seconds / 2)
    level = np.abs(spectrum)
    assert level[frequency * seconds] == pytest.approx(0.4, rel=0.05)
    floor = np.sqrt(np.mean(level[1000:] ** 2))
    for harmonic in (2, 3, 5, 7):
        assert level[harmonic * frequency * seconds] < 5 * floor


def test_without_dither_a_loud_tone_is_distorted_and_with_it_not():
    coarse = tone(1000, 10, 48_000, amplitude=3 * STEP)

    def third_harmonic(dither):
        wave = joined(encoded(coarse, dither=dither))[:, 0]
        return np.abs(np.fft.rfft(wave))[3 * 1000 * 10] / (len(wave) / 2)

    assert third_harmonic(dither=False) > 0.015
    assert third_harmonic(dither=True) < 0.005


def test_the_noise_is_white_and_not_that_of_another_channel():
    silence = np.full((2**17, 2), 0.5 * STEP)
    error = errors(silence, lengths=2**17)
    power = np.abs(np.fft.rfft(error[:, 0])) ** 2
    octants = [part.mean() for part in np.array_split(power[1:], 8)]
    assert max(octants) / min(octants) < 1.1
    assert abs(np.corrcoef(error.T)[0, 1]) < 0.01


def test_the_noise_repeats_from_run_to_run_and_differs_from_frame_to_frame():
    samples = noise(4800, 2)
    assert np.array_equal(joined(encoded(samples)), joined(encoded(samples)))
    moved = joined(encoded(samples, frame=4800))
    assert not np.array_equal(joined(encoded(samples)), moved)


def test_the_noise_is_the_same_however_the_signal_is_cut():
    samples = noise(4800, 2)
    whole = joined(encoded(samples))
    assert np.array_equal(joined(encoded(samples, lengths=[1, 480, 7, 1000])), whole)


def test_two_sources_have_different_noise():
    samples = noise(4800)
    encoder = SampleEncoder("int16", dither=True)
    one = chunk(samples)
    other = type(one)("speaker", one.data, one.sample_rate, 0, one.time, one.arrival)
    assert not np.array_equal(encoder.convert(one)[0].data, encoder.convert(other)[0].data)


# ---- bit-exact ----


def test_16_bit_material_stays_bit_exact_with_dither_on():
    integers = np.random.default_rng(1).integers(-(2**15), 2**15, (48_000, 2))
    assert np.array_equal(joined(encoded(integers * STEP)), integers)


def test_digital_silence_stays_silent():
    made = joined(encoded(np.zeros((4800, 2))))
    assert not made.any()


def test_one_sample_between_two_steps_dithers_its_chunk_alone():
    samples = np.zeros((9600, 1))
    samples[4800] = 0.5 * STEP
    made = joined(encoded(samples))
    assert not made[:4800].any()
    assert made[4800:].any()


# ---- clipping ----


@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_beyond_full_scale_is_cut_and_counted(dtype):
    full_scale = TYPES[dtype][1]
    samples = [[1.0, -1.0], [1.5, -1.5], [np.inf, -np.inf], [0.999, -0.999]]
    (made,) = encoded(samples, dtype, dither=False)
    assert made.clipped == 5  # -1.0 is an integer of its own, +1.0 is not
    largest = full_scale - (256 if dtype == "int24" else 1)
    assert made.data[:3].tolist() == [[largest, -full_scale]] * 3


def test_dither_does_not_count_as_clipping():
    (made,) = encoded(np.full((4800, 1), 1 - 1.25 * STEP))
    assert made.clipped == 0
    assert made.data.max() == 2**15 - 1


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("dither", [False, True])
def test_not_a_number_is_zero(dtype, dither):
    samples = np.full((100, 1), 0.3)
    samples[50] = np.nan
    made = joined(encoded(samples, dtype, dither=dither))
    assert made[50] == 0
    assert rms(np.delete(made, 50)) == pytest.approx(0.3 * TYPES[dtype][1], rel=1e-3)


# ---- what stays ----


def test_levels_and_silence_are_those_before_rounding():
    before = chunk(np.full((4800, 1), 0.25 * STEP))
    (made,) = SampleEncoder("int16", dither=False).convert(before)
    assert not made.data.any()
    assert made.peak.tolist() == before.peak.tolist()
    assert not made.is_silent


def test_gaps_and_place_stay():
    gap = Gap("mic", 90, 10, GapCause.RING_FULL, 999.0)
    (made,) = SampleEncoder("int24", dither=False).convert(chunk(noise(10), 100, gaps=[gap]))
    assert (made.frame, made.gaps) == (100, (gap,))
