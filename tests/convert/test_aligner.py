"""Sources on the session's timeline: in step however their clocks drift, and every frame told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import GapCause
from stream_audio.convert.aligner import Align
from stream_audio.convert.variable_rate import VariableRate
from stream_audio.waiting.frame_times import FrameTimes
from support.effort import examples
from support.signals import joined
from support.timeline import RATE
from support.world import (
    chirp,
    heard,
    moved,
    offsets,
    session_time,
    thd_n,
    tone,
)


class Rig:
    """An aligner that learns when the first frame of each chunk was captured, as the chunk says.

    That is the least that is known of a track; stamps at fixed frames are tests of their own.
    """

    def __init__(self, settings):
        self.times = settings.times
        self.stage = settings.make()

    def convert(self, chunk):
        return self._told(self.stage.convert, chunk)

    def skip(self, chunk):
        return self._told(self.stage.skip, chunk)

    def _told(self, method, chunk):
        if self.times is not None:
            epoch = chunk._origin[1]
            self.times.note(chunk.frame, chunk.time, epoch)
        return method(chunk)

    def __getattr__(self, name):
        return getattr(self.stage, name)


def aligner(session=None, rate_out=RATE, delay=0.0, freewheel=False, rate_in=RATE):
    session = session or session_time()
    times = None if freewheel else FrameTimes(rate_in)
    return Rig(Align(rate_in, rate_out, 1, rate_out // 10, session, delay, times))


def through(stage, chunks):
    return [made for chunk in chunks for made in stage.convert(chunk)] + stage.flush()


def tiles(stage, made, begin=0):
    """Chunks and gaps tile the timeline, and the account is exact."""
    end = begin
    for chunk in made:
        for gap in chunk.gaps:
            assert gap.frame == end
            end = gap.end
        assert chunk.frame == end
        end = chunk.end
    assert end == stage.end
    assert sum(chunk.frames for chunk in made) == stage.account.made
    assert stage.account.problems("mic") == []


def pair(sound, seconds, jitter, **settings):
    """Two devices at +200 and -200 ppm, aligned."""
    found = []
    for seed, drift_ppm in enumerate((200.0, -200.0)):
        stage = aligner()
        chunks = heard(
            sound, seconds, drift_ppm=drift_ppm, jitter=jitter, seed=seed, period=256, **settings
        )
        made = through(stage, chunks)
        tiles(stage, made)
        found.append((stage, made))
    return found


def apart(sound, made):
    """How far the two are apart in each tenth of a second, in µs."""
    both = [offsets(joined(each), sound, each[0].frame) for _, each in made]
    count = min(map(len, both))
    return np.abs(both[0][:count] - both[1][:count]) * 1e6


# ---- drift ----


def in_step(seconds, jitter):
    """Return how far apart two devices are that hear one chirp; prints it for the curious."""
    made = pair(chirp, seconds, jitter)
    found = apart(chirp, made)
    alone = 400e-6 * seconds * 1e6
    print(
        f"{seconds} s, {jitter * 1e3:g} ms of jitter: at most {found[:300].max():.0f} µs apart, "
        f"{found[300:].max():.0f} after 30 s; uncorrected {alone:.0f} µs"
    )
    for (stage, each), drift in zip(made, (200e-6, -200e-6), strict=True):
        fed = stage.account.fed
        assert each[-1].end == pytest.approx(fed / (1 + drift), abs=1 + 0.15 * jitter * RATE)
    return found


def test_with_a_millisecond_of_jitter_two_devices_are_in_step():
    found = in_step(60, 1e-3)
    assert found.max() < 500
    assert found[300:].max() < 100


def test_with_a_tenth_of_that_they_are_in_step_to_the_frame():
    found = in_step(40, 1e-4)
    assert found.max() < 300
    assert found[300:].max() < 15


def test_ten_milliseconds_of_jitter_leave_what_their_times_leave():
    """Of times that are off by 10 ms either way, no filter makes more in so short a time."""
    found = in_step(60, 1e-2)
    assert found.max() < 4000
    assert found[300:].max() < 1500


@pytest.mark.long
@pytest.mark.parametrize("jitter", [1e-4, 1e-3])
def test_for_an_hour_two_devices_are_in_step(jitter):
    found = in_step(3600, jitter)
    assert found.max() < 500
    assert found[300:].max() < 100


@pytest.mark.parametrize(
    ("jitter", "at_once", "after_5", "after_30"),
    [
        (1e-4, -90, -105, -110),
        (1e-3, -75, -80, -100),
    ],
)
def test_the_steering_is_not_heard(jitter, at_once, after_5, after_30):
    """Both tracks of a tone, mixed: neither the ratio's changes nor beats between them."""
    made = pair(tone(), 40, jitter)
    count = min(each[-1].end for _, each in made)
    mixed = np.zeros(count)
    for _, each in made:
        mixed += np.concatenate([np.zeros(each[0].frame), joined(each)[:, 0]])[:count]
    found = thd_n(mixed)
    print(f"{jitter * 1e3:g} ms of jitter: THD+N {found.round().tolist()} dB")
    assert found.max() < at_once
    assert found[5:].max() < after_5
    assert found[30:].max() < after_30


@pytest.mark.parametrize("rate_out", [16_000, 44_100])
def test_drift_and_a_change_of_rate_are_one(rate_out):
    stage = aligner(rate_out=rate_out)
    made = through(stage, heard(chirp, 20, drift_ppm=150))
    tiles(stage, made)
    found = offsets(joined(made), chirp, made[0].frame, rate_out)
    assert np.abs(found[150:]).max() < 20e-6


TINY = pytest.param(48, marks=pytest.mark.long)


@pytest.mark.parametrize("chunk_frames", [TINY, 480, 48_000, 4 * 48_000])
def test_chunks_may_be_of_any_length(chunk_frames):
    stage = aligner()
    made = through(stage, heard(chirp, 40, drift_ppm=100, chunk_frames=chunk_frames))
    tiles(stage, made)
    found = offsets(joined(made), chirp, made[0].frame)
    assert np.abs(found[200:]).max() < (20e-6 if chunk_frames <= 48_000 else 1e-3)


# ---- jumps ----


def cause_and_frames(made):
    return [(gap.cause, gap.frames) for chunk in made for gap in chunk.gaps if gap.frames]


def test_a_source_that_starts_late_begins_with_a_gap():
    stage = aligner()
    made = through(stage, heard(chirp, 2, start=3.0))
    tiles(stage, made)
    assert cause_and_frames(made) == [(GapCause.LATE_START, 3 * RATE)]
    assert np.abs(offsets(joined(made), chirp, made[0].frame)[1:]).max() < 12e-6


@pytest.mark.parametrize("frames", [1, 256, 4800, 100_000])
def test_lost_frames_are_a_gap_of_their_length(frames):
    stage, made = aligner(), []
    for chunk in heard(chirp, 4):
        later = chunk.frame >= 2 * RATE
        first = chunk.frame == 2 * RATE
        made += stage.convert(moved(chunk, frames, lost=first) if later else chunk)
    made += stage.flush()
    tiles(stage, made)
    [(cause, found)] = cause_and_frames(made)
    assert cause is GapCause.HOST_OVERFLOW
    assert abs(found - frames) <= 1


def test_a_pause_is_a_gap_that_says_so_and_is_told_at_once():
    stage, made = aligner(), []
    for chunk in heard(chirp, 4):
        if RATE <= chunk.frame < 2 * RATE:
            told = stage.skip(chunk)
            assert 0 <= chunk.end - stage.end <= 0.002 * RATE + 1
            made += told
        else:
            made += stage.convert(chunk)
    made += stage.flush()
    tiles(stage, made)
    assert {cause for cause, _ in cause_and_frames(made)} == {GapCause.PAUSED}
    assert sum(frames for _, frames in cause_and_frames(made)) == pytest.approx(RATE, abs=1)
    after = [chunk for chunk in made if chunk.frames and chunk.frame >= 2 * RATE]
    assert np.abs(offsets(joined(after), chirp, after[0].frame)[1:]).max() < 25e-6


def test_a_pause_that_nobody_told_of_is_one_all_the_same():
    stage = aligner()
    chunks = [chunk for chunk in heard(chirp, 4) if not RATE <= chunk.frame < 2 * RATE]
    made = through(stage, chunks)
    tiles(stage, made)
    assert cause_and_frames(made) == [(GapCause.PAUSED, RATE)]


def test_a_step_of_the_clock_is_a_gap_and_never_a_glide():
    stage, made = aligner(), []
    for chunk in heard(chirp, 6, drift_ppm=50):
        step = 0.05 if chunk.frame >= 3 * RATE else 0.0
        made += stage.convert(moved(chunk, seconds=step))
    made += stage.flush()
    tiles(stage, made)
    assert stage.account.steps == 1
    [(cause, frames)] = cause_and_frames(made)
    assert cause is GapCause.CLOCK_STEP
    assert frames == pytest.approx(0.05 * RATE, abs=3)  # and what was still to be steered out
    assert abs(stage.account.correction * 1e6) < 120


def test_a_step_back_leaves_out_what_has_no_place():
    stage, made = aligner(), []
    for chunk in heard(chirp, 6):
        step = -0.5 if chunk.frame >= 3 * RATE else 0.0
        made += stage.convert(moved(chunk, seconds=step))
    made += stage.flush()
    tiles(stage, made)
    assert stage.account.steps == 1
    assert cause_and_frames(made) == []
    assert stage.account.overlapping == pytest.approx(0.5 * RATE, abs=2)
    assert stage.account.fed + stage.account.overlapping == 6 * RATE


def test_an_hours_sleep_is_a_gap_of_an_hour():
    """The clock stood, so that only the epoch tells."""
    session = session_time()
    stage, made = aligner(session), []
    epoch = session._wall.epoch
    for chunk in heard(chirp, 4):
        if chunk.frame >= 2 * RATE:
            chunk = moved(chunk, 3600 * RATE, lost=chunk.frame == 2 * RATE, epoch=epoch + 3600.0)
        made += stage.convert(chunk)
    made += stage.flush()
    tiles(stage, made)
    [(_, frames)] = cause_and_frames(made)
    assert frames == 3600 * RATE
    assert made[-1].time == pytest.approx(session.started_at + 3.9, abs=1e-4)
    assert made[-1].timestamp == pytest.approx(3603.9, abs=1e-4)


def test_a_delay_that_is_told_moves_the_track():
    stage = aligner(delay=0.02)
    made = through(stage, heard(chirp, 3))
    tiles(stage, made)
    found = offsets(joined(made), lambda seconds: chirp(seconds + 0.02), made[0].frame)
    assert np.abs(found[1:]).max() < 25e-6
    assert stage.account.overlapping == 960  # before the session's start


def test_a_source_without_a_clock_counts_its_own_frames():
    stage = aligner(freewheel=True)
    made = through(stage, (moved(chunk, seconds=-chunk.time) for chunk in heard(chirp, 3)))
    tiles(stage, made)
    assert made[-1].end == 3 * RATE


def test_a_track_lasts_to_the_end_of_the_session():
    stage = aligner()
    made = through(stage, heard(chirp, 2))
    made += stage.close(5 * RATE, GapCause.SOURCE_ENDED)
    tiles(stage, made)
    assert made[-1].frames == 0
    assert cause_and_frames(made) == [(GapCause.SOURCE_ENDED, 3 * RATE)]


def test_a_listener_of_later_begins_with_what_comes_next():
    session = session_time()
    session.now = lambda: 2.05  # type: ignore[method-assign]
    stage = aligner(session)
    made = through(stage, (chunk for chunk in heard(chirp, 4) if chunk.frame >= 2 * RATE))
    tiles(stage, made, begin=2 * RATE)
    assert cause_and_frames(made) == []


def test_what_cannot_be_converted_is_lost_and_told(monkeypatch):
    stage, made, lost = aligner(), [], []
    for chunk in heard(chirp, 4):
        with monkeypatch.context() as broken:
            if chunk.frame == RATE:
                broken.setattr(VariableRate, "feed", None)
            try:
                made += stage.convert(chunk)
            except TypeError:
                assert chunk.frame == RATE
                lost += stage.give_up(chunk)
    made += stage.flush()
    tiles(stage, made)
    assert stage.account.lost == sum(gap.frames for gap in lost) > 0
    assert {cause for cause, _ in cause_and_frames(made)} == {GapCause.CONVERSION_FAILED}
    assert made[-1].end == 4 * RATE


# ---- any schedule ----


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["play", "play", "pause", "lose", "step", "sleep"]),
            st.integers(1, 30_000),
        ),
        max_size=12,
    ),
    st.sampled_from([16_000, 44_100, 48_000]),
    st.integers(0, 2),
)
@settings(max_examples=examples(60), deadline=None)
def test_any_schedule_tiles_the_timeline_and_balances(schedule, rate_out, drift):
    session = session_time()
    stage, made = aligner(session, rate_out), []
    epoch = session._wall.epoch
    source = heard(np.zeros_like, 30, drift_ppm=drift * 150, chunk_frames=1000)
    frames, seconds, asleep, lost = 0, 0.0, 0.0, 0
    for what, amount in [*schedule, ("play", 3000)]:
        if what == "lose":
            frames, seconds, lost = frames + amount, seconds + amount / RATE, lost + amount
        elif what == "step":
            seconds += (amount - 10_000) / RATE
        elif what == "sleep":
            asleep += amount / 100
        else:
            for _ in range(1 + amount // 2000):
                chunk = moved(
                    next(source), frames, seconds=seconds, epoch=epoch + asleep, gap=lost
                )
                lost = 0
                made += stage.convert(chunk) if what == "play" else stage.skip(chunk)
    made += stage.flush()
    made += stage.close(stage.end + 17, GapCause.SOURCE_ENDED)
    tiles(stage, made)
    times = [chunk.time for chunk in made if chunk.frames]
    assert times == sorted(times)
