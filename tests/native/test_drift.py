"""The drift of a device's clock: found, with an error that can be believed, whatever happens."""

import math

import numpy as np
import pytest

from support.timeline import RATE, Device, Timeline, mostly_prompt, only_late, symmetric


def drift_of(device):
    timeline = Timeline()
    timeline.play(device)
    return timeline.drift


@pytest.mark.parametrize("drift_ppm", [-300.0, -20.0, 0.0, 150.0, 300.0])
@pytest.mark.parametrize("seed", range(3))
def test_after_a_minute_of_1_ms_jitter_it_is_known_to_2_ppm(drift_ppm, seed):
    found, error = drift_of(Device(61, drift_ppm=drift_ppm, lateness=symmetric(1e-3), seed=seed))
    assert found == pytest.approx(drift_ppm, abs=2)
    assert 0 < error < 1


@pytest.mark.parametrize("period", [64, 256, 1024, 4096])
def test_after_ten_minutes_of_10_ms_jitter_it_is_known_to_2_ppm(period):
    device = Device(601, lateness=symmetric(10e-3), period=period)
    found, error = drift_of(device)
    assert found == pytest.approx(150, abs=2)
    assert 0 < error < 1


@pytest.mark.parametrize("part", [-0.2, -0.08125, -0.02, 0.02, 0.0884, 0.2])
@pytest.mark.parametrize("period", [64, 480, 4096])
def test_a_rate_that_is_wrong_by_per_cent_is_known_too(part, period):
    """Its points lie far apart, and are no steps; every lock on its first times is lost."""
    found, error = drift_of(Device(14, drift_ppm=part * 1e6, period=period))
    assert found == pytest.approx(part * 1e6, abs=10)
    assert error < 10


def test_nothing_is_said_in_the_first_ten_seconds():
    drift, error = drift_of(Device(9.9))
    assert math.isnan(drift)
    assert math.isnan(error)


def test_nothing_is_said_while_the_error_is_larger_than_crystals_are():
    drift, error = drift_of(Device(12, lateness=symmetric(50e-3), period=4096))
    assert math.isnan(drift)
    assert math.isnan(error)


def test_a_perfect_device_has_its_drift_exactly():
    drift, error = drift_of(Device(20, drift_ppm=-12.5))
    assert drift == pytest.approx(-12.5, abs=1e-3)
    assert error < 1e-3


@pytest.mark.parametrize(
    "lateness",
    [symmetric(1e-3), symmetric(10e-3), only_late(4e-3), mostly_prompt(50e-6)],
    ids=["symmetric 1 ms", "symmetric 10 ms", "late 4 ms", "prompt"],
)
@pytest.mark.parametrize("seconds", [31, 121])
def test_the_error_is_as_large_as_it_says(lateness, seconds):
    """Off by three standard errors: 1 in 370 if the error is right; by four, next to never."""
    times_off = []
    for seed in range(30):
        drift, error = drift_of(Device(seconds, lateness=lateness, period=512, seed=seed))
        times_off.append((drift - 150) / error)
    times_off = np.array(times_off)
    times_off = times_off[np.isfinite(times_off)]
    assert len(times_off) >= 25  # ±10 ms leave more than 100 ppm now and then, after half a minute
    assert 0.5 < np.sqrt(np.mean(times_off**2)) < 1.5
    assert np.abs(times_off).max() < 5


def test_load_that_comes_and_goes_is_within_the_error():
    """Load moves many points together; the scatter of single points would not tell."""
    for seed in range(8):
        device = Device(120, lateness=mostly_prompt(50e-6), seed=seed)
        busy = device.seconds % 30 > 20 - seed
        delays = np.random.default_rng(seed).exponential(3e6, busy.sum())
        device.handed_over[busy] += delays
        drift, error = drift_of(device)
        assert abs(drift - 150) < 4 * error < 4


def test_load_from_the_middle_on_is_within_the_error():
    device = Device(120, lateness=mostly_prompt(50e-6))
    busy = device.seconds > 60
    device.handed_over[busy] += np.random.default_rng(1).exponential(2e6, busy.sum())
    drift, error = drift_of(device)
    assert abs(drift - 150) < 5 * error < 5


def test_frames_that_were_counted_as_lost_change_nothing():
    device = Device(120, lateness=symmetric(1e-3))
    device.leave_out(40, 52, counted=True)
    assert drift_of(device)[0] == pytest.approx(150, abs=1)


@pytest.mark.parametrize("pause", [0.05, 0.2, 1.0, 3.0, 30.0])
def test_a_pause_that_nobody_counted_changes_nothing(pause):
    """A process that was stopped: the device went on, its frames are in no position."""
    device = Device(150, lateness=mostly_prompt(50e-6))
    device.leave_out(50, 50 + pause, counted=False)
    drift, error = drift_of(device)
    assert drift == pytest.approx(150, abs=1)
    assert error < 1


def test_what_was_known_before_a_pause_is_kept():
    """Segments of 20 s each, which alone would know the drift to some 3 ppm."""
    device = Device(240, lateness=only_late(4e-3))
    for begin in range(200, 0, -20):
        device.leave_out(begin, begin + 5, counted=False)
    drift, error = drift_of(device)
    assert drift == pytest.approx(150, abs=1.5)
    assert error < 0.5


def test_frames_lost_in_the_first_seconds_do_not_stay_in_it():
    device = Device(60, lateness=mostly_prompt(50e-6))
    device.leave_out(4, 4.02, counted=False)
    assert drift_of(device)[0] == pytest.approx(150, abs=1)


def test_a_stall_of_seconds_changes_nothing():
    device = Device(120, lateness=mostly_prompt(50e-6))
    for begin in (20, 47.5, 90):
        device.delay(begin, begin + 1.7)
    assert drift_of(device)[0] == pytest.approx(150, abs=1)


@pytest.mark.parametrize("tick", [0.01, 0.02, 0.1])
@pytest.mark.parametrize("drift_ppm", [-150.0, 150.0])
def test_packets_that_a_timer_hands_over_have_the_device_s_drift(tick, drift_ppm):
    """The least late packet of each second is late by a saw tooth of up to a packet."""
    device = Device(600, drift_ppm=drift_ppm, lateness=mostly_prompt(50e-6))
    ticks = np.ceil(device.handed_over / (tick * 1e9))
    device.handed_over = ticks * tick * 1e9
    drift, error = drift_of(device)
    assert drift == pytest.approx(drift_ppm, abs=1)
    assert error < 1


def test_the_last_ten_minutes_count():
    """A crystal that warmed up long ago."""
    device = Device(1500, drift_ppm=0, lateness=only_late(2e-3), period=4096)
    warm = np.maximum(device.seconds - 600, 0)
    device.complete -= warm * 40e-6 * 1e9
    device.handed_over -= warm * 40e-6 * 1e9
    drift, error = drift_of(device)
    assert drift == pytest.approx(40, abs=0.5)
    assert error < 0.5


def test_packets_of_any_length_give_points():
    timeline = Timeline()
    random = np.random.default_rng(5)
    position, frame_ns = 0, 1e9 / (RATE * (1 + 80e-6))
    while position < 120 * RATE:
        frames = int(random.choice([1, 7, 441, 4096, 100_000]))
        late = random.exponential(50e3)
        timeline.packet(position, frames, 10**12 + round((position + frames) * frame_ns + late))
        position += frames
    drift, error = timeline.drift
    assert drift == pytest.approx(80, abs=2)
    assert error < 2
