"""Changing the rate: closed forms, soxr in one go, and any cutting into chunks gives the same."""

import itertools
from functools import partial
from math import gcd

import numpy as np
import pytest
import scipy.signal
import soxr
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from stream_audio import Gap, GapCause
from stream_audio.convert.resampler import Resampler
from support.effort import examples
from support.signals import START, chunk, cut, decibels, joined, noise, rms, through, tone

RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
PAIRS = [(48_000, 16_000), (44_100, 16_000), (44_100, 48_000), (48_000, 44_100), (16_000, 48_000)]


def resampler(rate_in, rate_out, channels=1, quality="HQ", seconds=0.1):
    return Resampler(rate_in, rate_out, channels, quality, max(1, round(seconds * rate_out)))


def resampled(samples, rate_in, rate_out, lengths=None, frame=0, quality="HQ"):
    stage = resampler(rate_in, rate_out, samples.shape[1], quality)
    return through(stage, cut(samples, lengths or rate_in // 10, rate_in, frame))


def due(start, end, rate_in, rate_out):
    return end * rate_out // rate_in - start * rate_out // rate_in


# ---- closed forms ----


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
@pytest.mark.parametrize("part", [0.002, 0.02, 0.25, 0.4, 0.45])
def test_a_tone_comes_out_as_the_same_tone_at_the_same_instants(rate_in, rate_out, part):
    """Gain, delay and noise at once: the difference to the tone computed at the new rate."""
    frequency = part * min(rate_in, rate_out)
    made = joined(resampled(tone(frequency, 3, rate_in), rate_in, rate_out))
    ideal = tone(frequency, 3, rate_out)[: len(made)]
    steady = slice(rate_out, 2 * rate_out)
    error = rms((made - ideal)[steady]) / rms(ideal[steady])
    # Near the edge of the pass band 0.01 dB of ripple is an error of -59 dB.
    assert decibels(error) < (-100 if part <= 0.25 else -59)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_the_signal_to_noise_ratio_is_that_of_20_bits(rate_in, rate_out):
    frequency = 997.0
    made = joined(resampled(tone(frequency, 3, rate_in), rate_in, rate_out))
    steady = made[rate_out : 2 * rate_out, 0].astype(np.float64)
    turns = 2 * np.pi * frequency * np.arange(rate_out, 2 * rate_out) / rate_out
    wave = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    (sine, cosine), *_ = np.linalg.lstsq(wave, steady)
    residue = steady - wave @ [sine, cosine]
    assert decibels(rms(steady) / rms(residue)) > 125


def test_the_pass_band_is_flat_and_the_stop_band_shut():
    """An impulse's spectrum is the whole response at once."""
    rate_in, rate_out = 16_000, 96_000  # upwards nothing folds: the filter is seen as it is
    impulse = np.zeros((2 * rate_in, 1), np.float32)
    impulse[rate_in] = 1.0
    made = joined(resampled(impulse, rate_in, rate_out))[:, 0].astype(np.float64)
    response = np.abs(np.fft.rfft(made)) / (rate_out / rate_in)
    frequency = np.fft.rfftfreq(len(made), 1 / rate_out)
    passed = response[frequency <= 0.45 * rate_in]
    stopped = response[frequency >= 0.55 * rate_in]
    assert abs(decibels(passed.min())) < 0.01
    assert abs(decibels(passed.max())) < 0.01
    assert decibels(stopped.max()) < -115


@pytest.mark.parametrize("frequency", [8_800.0, 11_000.0, 15_000.0, 20_000.0, 23_000.0])
def test_what_the_new_rate_cannot_hold_is_gone(frequency):
    """At 48 to 16 kHz a tone of 11 kHz would come back as one of 5 kHz."""
    high = tone(frequency, 3, 48_000)
    made = joined(resampled(high, 48_000, 16_000))
    assert decibels(rms(made[16_000:32_000]) / rms(high)) < -100


def test_a_sweep_leaves_nothing_behind_above_half_the_new_rate():
    rate_in, rate_out, seconds = 48_000, 16_000, 8
    time = np.arange(seconds * rate_in) / rate_in
    wave = 0.5 * scipy.signal.chirp(time, 20, seconds, 24_000)
    made = joined(resampled(wave[:, None], rate_in, rate_out))[:, 0]
    # The sweep passes 7.2 kHz after 30 % of its time, and 8.8 kHz after 36.7 %.
    passed = made[rate_out // 10 : int(0.295 * len(made))]
    gone = made[int(0.37 * len(made)) : -rate_out // 10]
    assert rms(passed) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)
    assert decibels(rms(gone) / rms(passed)) < -100


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_an_impulse_comes_out_where_it_went_in(rate_in, rate_out):
    """The filter's delay is taken out: the response is symmetric about the instant."""
    common = rate_in // gcd(rate_in, rate_out)
    frame = rate_in // 2 // common * common  # an instant of both rates
    impulse = np.zeros((rate_in, 1), np.float32)
    impulse[frame] = 1.0
    chunks = resampled(impulse, rate_in, rate_out)
    made = joined(chunks)[:, 0]
    centre = frame * rate_out // rate_in
    assert np.argmax(np.abs(made)) == centre
    reach = rate_out // 5
    before = made[centre - reach : centre][::-1]
    after = made[centre + 1 : centre + 1 + reach]
    np.testing.assert_allclose(before, after, atol=2e-6)
    (found,) = [c for c in chunks if c.frame <= centre < c.end]
    time = found.time + (centre - found.frame) / rate_out
    assert time == pytest.approx(START + frame / rate_in, abs=1e-9)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_it_agrees_with_scipy_where_both_pass(rate_in, rate_out):
    divisor = gcd(rate_in, rate_out)
    music = sum(tone(f, 2, rate_in, 0.1) for f in (60.0, 440.0, 1234.5, 3000.0))
    made = joined(resampled(music, rate_in, rate_out))[:, 0]
    other = scipy.signal.resample_poly(
        music[:, 0], rate_out // divisor, rate_in // divisor, window=("kaiser", 14.0)
    )
    steady = slice(rate_out // 2, rate_out)
    assert decibels(rms((made - other[: len(made)])[steady]) / rms(made[steady])) < -60


# ---- the same, however it is cut ----


@pytest.mark.parametrize(("rate_in", "rate_out"), list(itertools.permutations(RATES, 2)))
def test_it_is_soxr_in_one_go_bit_for_bit_at_every_pair_of_rates(rate_in, rate_out):
    samples = noise(rate_in // 2 + 17, 2, seed=rate_in + rate_out)
    made = joined(resampled(samples, rate_in, rate_out))
    whole = soxr.resample(samples, rate_in, rate_out)
    assert len(made) == due(0, len(samples), rate_in, rate_out)
    np.testing.assert_array_equal(made, whole[: len(made)])


@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(
    rate_in=st.integers(8_000, 192_000),
    rate_out=st.integers(8_000, 192_000),
    lengths=st.lists(st.integers(1, 5_000), min_size=1, max_size=8),
    frames=st.integers(1, 30_000),
    quality=st.sampled_from(["LQ", "MQ", "HQ", "VHQ"]),
)
@example(rate_in=47_999, rate_out=16_001, lengths=[1], frames=3_000, quality="HQ")
@example(rate_in=192_000, rate_out=8_000, lengths=[1, 19_200], frames=50_000, quality="HQ")
@example(rate_in=8_000, rate_out=192_000, lengths=[800], frames=1, quality="HQ")
def test_any_cutting_gives_the_same_samples(rate_in, rate_out, lengths, frames, quality):
    assume(rate_in != rate_out)
    samples = noise(frames, 1, seed=frames)
    chunks = resampled(samples, rate_in, rate_out, lengths, quality=quality)
    assert sum(each.frames for each in chunks) == due(0, frames, rate_in, rate_out)
    if chunks:
        whole = soxr.resample(samples, rate_in, rate_out, quality=quality)
        np.testing.assert_array_equal(joined(chunks), whole[: sum(c.frames for c in chunks)])


@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(
    pair=st.sampled_from([*PAIRS, (47_999, 16_001), (22_050, 96_000)]),
    start=st.integers(0, 2**40),
    frames=st.integers(1, 20_000),
    lengths=st.lists(st.integers(1, 5_000), min_size=1, max_size=4),
)
def test_frame_counts_are_exact_from_any_position(pair, start, frames, lengths):
    rate_in, rate_out = pair
    stage = resampler(rate_in, rate_out)
    chunks = through(stage, cut(noise(frames), lengths, rate_in, start))
    assert sum(each.frames for each in chunks) == due(start, start + frames, rate_in, rate_out)
    assert stage.account.problems("") == []
    position = start * rate_out // rate_in
    for each in chunks:
        assert each.frame == position
        assert each.source_frame == position * rate_in // rate_out
        assert each.time - START == pytest.approx(position / rate_out, rel=1e-12, abs=1e-6)
        position = each.end
    usual = rate_out // 10
    most = max(1, round(max(lengths) * 10 / rate_in))
    assert {each.frames for each in chunks[:-1]} <= {n * usual for n in range(1, most + 1)}


def test_chunks_are_as_long_as_asked_for_and_the_last_one_shorter():
    chunks = through(resampler(48_000, 16_000, seconds=0.03), cut(noise(48_000), 1440))
    assert [each.frames for each in chunks] == [480] * 33 + [160]
    assert {each.sample_rate for each in chunks} == {16_000}


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_of_chunks_that_were_joined_come_such_that_are(rate_in, rate_out):
    usual, samples = rate_out // 10, noise(4 * rate_in)
    stage = resampler(rate_in, rate_out)
    apart = through(resampler(rate_in, rate_out), cut(samples, rate_in // 10, rate_in))
    reached = 0
    chunks = []
    for each in cut(samples, 8 * rate_in // 10, rate_in):
        made = stage.convert(each)
        assert len(made) <= 2  # what was open, and the rest
        assert all(one.frames % usual == 0 for one in made)
        chunks += made
        reached = chunks[-1].end
        # No more waits inside than if they came one by one: less than one, and soxr's delay.
        behind = each.end * rate_out // rate_in - reached
        assert behind < 2 * usual
    chunks += stage.flush()
    assert max(each.frames for each in chunks) >= 7 * usual
    assert np.array_equal(joined(chunks), joined(apart))
    assert stage.account.problems("") == []


# ---- gaps ----


@pytest.mark.parametrize(("rate_in", "rate_out"), [*PAIRS, (47_999, 16_001)])
def test_after_a_gap_the_samples_stand_where_they_stood_without_it(rate_in, rate_out):
    """The grid is absolute: the tone after the gap is the tone that went on meanwhile."""
    stage = resampler(rate_in, rate_out)
    start = rate_in + 4321
    before = cut(tone(500.0, 1, rate_in), rate_in // 10, rate_in)
    after = cut(tone(500.0, 1, rate_in, first=start), rate_in // 10, rate_in, start)
    chunks = through(stage, [*before, *after])
    first = start * rate_out // rate_in
    margin = rate_out // 5  # the filter rings about each end of the signal
    for each in chunks:
        position = each.frame + np.arange(each.frames)
        inner = (position > margin) & (position < rate_out - margin)
        inner |= (position > first + margin) & (position < first + rate_out - margin)
        error = each.data[inner] - tone(500.0, 3, rate_out)[position[inner]]
        assert np.abs(error).max(initial=0) < 1e-6


def test_at_a_gap_the_tail_comes_first_and_the_gap_ends_at_the_chunk():
    stage = resampler(48_000, 16_000)
    gaps = [
        Gap("mic", 4800, 1000, GapCause.RING_FULL, 1000.1),
        Gap("mic", 5800, 24, GapCause.HOST_OVERFLOW, 1000.2),
    ]
    chunks = through(
        stage, [chunk(noise(4800)), chunk(noise(4800), 5824, gaps=gaps), chunk(noise(100), 10624)]
    )
    assert [(each.frame, each.frames) for each in chunks] == [(0, 1600), (1941, 1600), (3541, 33)]
    assert chunks[0].gaps == chunks[2].gaps == ()
    assert chunks[1].gaps == (
        Gap("mic", 1600, 333, GapCause.RING_FULL, 1000.1),
        Gap("mic", 1933, 8, GapCause.HOST_OVERFLOW, 1000.2),
    )
    assert chunks[1].gap.end == chunks[1].frame


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    pair=st.sampled_from([*PAIRS, (47_999, 16_001)]),
    spans=st.lists(st.tuples(st.integers(1, 6000), st.integers(1, 3000)), min_size=1, max_size=6),
)
def test_chunks_and_gaps_tile_the_timeline(pair, spans):
    rate_in, rate_out = pair
    chunks, position = [], 0
    for frames, lost in spans:
        gap = [Gap("mic", position, lost, GapCause.RING_FULL, START)]
        chunks.append(chunk(noise(frames), position + lost, rate_in, gap))
        position += frames + lost
    stage = resampler(rate_in, rate_out)
    end = 0
    for each in through(stage, chunks):
        for gap in each.gaps:
            assert gap.frame == end
            end = gap.end
        assert each.frame == end
        end = each.end
    assert stage.account.problems("") == []


def test_a_jump_without_a_gap_is_a_pause_and_starts_afresh():
    samples = noise(9600)
    stage = resampler(48_000, 16_000)
    chunks = through(stage, [chunk(samples[:4800]), chunk(samples[4800:], 48_000)])
    assert [each.frame for each in chunks] == [0, 16_000]
    np.testing.assert_array_equal(
        chunks[1].data, joined(resampled(samples[4800:], 48_000, 16_000))
    )


# ---- what travels with the samples ----


def test_times_follow_those_of_the_source():
    """A source that runs 100 ppm fast, with marks that jitter."""
    jitter = iter(np.random.default_rng(1).uniform(-1e-4, 1e-4, 100))
    source = [
        type(each)("mic", each.data, 48_000, each.frame, at, at + 0.1)
        for each in cut(noise(480_000), 4800)
        for at in [START + each.frame / 48_004.8 + next(jitter)]
    ]
    made = through(resampler(48_000, 16_000), source)
    late = [each.time - START - each.source_frame / 48_004.8 for each in made]
    assert np.abs(late).max() < 2e-4
    assert (np.diff([each.time for each in made]) > 0).all()


def test_arrival_is_that_of_the_callback_that_brought_the_last_frame():
    made = through(resampler(48_000, 16_000, seconds=0.05), cut(noise(48_000), 4800))
    # Two chunks of 50 ms come out of each of 100 ms; both arrived with its end.
    arrivals = [each.arrival for each in made]
    assert arrivals == pytest.approx([START + 0.1 * (1 + i // 2) for i in range(20)])


def test_overflow_flags_are_told_once_and_with_their_frames():
    source = [
        type(each)("mic", each.data, 48_000, each.frame, each.time, each.arrival, (), count)
        for each, count in zip(cut(noise(24_000), 4800), [0, 2, 0, 0, 1], strict=True)
    ]
    made = through(resampler(48_000, 16_000), source)
    assert [each.overflows for each in made] == [0, 2, 0, 0, 1]


def test_no_flag_is_forgotten_however_short_the_source_s_chunks_are():
    source = [
        type(each)("mic", each.data, 48_000, each.frame, each.time, each.arrival, (), 1)
        for each in cut(noise(30_000), 1)
    ]
    made = through(resampler(48_000, 8_000), source)
    # All but those of the last frames, which are less than one that comes out.
    assert sum(each.overflows for each in made) >= 30_000 - 6


def test_levels_are_those_of_what_comes_out():
    both = tone(1000, 1, 48_000) + tone(11_000, 1, 48_000)
    for each in resampled(both, 48_000, 16_000)[2:-2]:
        assert each.peak == pytest.approx([-6.02], abs=0.01)
        assert each.rms == pytest.approx([-9.03], abs=0.01)


def test_silence_stays_exact_silence():
    assert all(each.is_silent for each in resampled(np.zeros((48_000, 2)), 48_000, 16_000))


def test_what_it_makes_cannot_be_written_to():
    made = resampled(noise(4800), 48_000, 16_000)[0]
    with pytest.raises(ValueError, match="read-only"):
        made.data[0] = 1


# ---- trouble ----


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_counts_as_zero_and_harms_nothing_else(value):
    broken = noise(48_000, 2)
    broken[20_000, 1] = value
    mended = broken.copy()
    mended[20_000, 1] = 0
    made = joined(resampled(broken, 48_000, 16_000))
    np.testing.assert_array_equal(made, joined(resampled(mended, 48_000, 16_000)))


def test_the_largest_numbers_there_are_harm_no_more_than_their_surroundings():
    broken = noise(96_000)
    broken[48_000] = np.finfo(np.float32).max
    made = joined(resampled(broken, 48_000, 16_000))
    clean = joined(resampled(noise(96_000), 48_000, 16_000))
    np.testing.assert_allclose(made[20_000:], clean[20_000:], atol=1e-6)


class Failing(soxr.ResampleStream):
    """A soxr stream that fails when it is told to."""

    fails = False

    def resample_chunk(self, x, last=False):
        if Failing.fails:
            Failing.fails = False
            raise MemoryError
        return super().resample_chunk(x, last=last)


@pytest.fixture
def fail_next(monkeypatch):
    """Have the next pass of soxr fail, in stages that are made from here on."""
    monkeypatch.setattr(soxr, "ResampleStream", Failing)
    yield partial(setattr, Failing, "fails", True)
    assert not Failing.fails


def tiles(chunks, gaps, end):
    """Chunks and gaps, taken together, cover every position once."""
    pieces = sorted([(c.frame, c.end) for c in chunks] + [(g.frame, g.end) for g in gaps])
    position = 0
    for first, last in pieces:
        assert first == position
        position = last
    return position == end


@pytest.mark.parametrize("at_a_gap", [False, True])
def test_a_failure_is_a_gap_that_is_told_and_the_next_chunk_starts_afresh(fail_next, at_a_gap):
    stage = resampler(48_000, 16_000)
    source = list(cut(noise(48_000), 4800))
    source_gaps = []
    if at_a_gap:
        source_gaps = [Gap("mic", 24_000, 4800, GapCause.RING_FULL, START)]
        source[5:] = cut(noise(24_000), 4800, frame=28_800)
        source[5] = chunk(source[5].data, 28_800, gaps=source_gaps)
    made = [out for each in source[:5] for out in stage.convert(each)]
    fail_next()
    with pytest.raises(MemoryError):
        stage.convert(source[5])
    lost = stage.give_up(source[5])
    assert {gap.cause for gap in lost} == {GapCause.CONVERSION_FAILED}
    made += through(stage, source[6:])
    told = [gap for each in made for gap in each.gaps]
    assert sorted(told, key=lambda gap: gap.frame) == told
    assert set(told) - set(lost) == {stage.scaled(gap) for gap in source_gaps}
    assert tiles(made, told, source[-1].end // 3)
    assert stage.account.lost == sum(gap.frames for gap in lost)
    assert stage.account.problems("") == []


def test_a_failure_of_the_flush_loses_the_tail(fail_next):
    stage = resampler(48_000, 16_000)
    made = [out for each in cut(noise(24_000), 4800) for out in stage.convert(each)]
    fail_next()
    with pytest.raises(MemoryError):
        stage.flush()
    lost = stage.give_up()
    assert tiles(made, lost, 8000)
    assert stage.flush() == []
    assert stage.account.problems("") == []
