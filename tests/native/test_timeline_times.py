"""When each frame was captured: the loop against devices that jitter, stall, burst and lose."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.effort import examples
from support.timeline import (
    PERIOD,
    RATE,
    START_NS,
    Device,
    Timeline,
    mostly_prompt,
    only_late,
    symmetric,
)

PERIOD_MS = PERIOD / RATE * 1000


def errors_after(device, seconds):
    """How late times are found after so many seconds, in ms."""
    return Timeline().play(device)[device.seconds >= seconds]


@pytest.mark.parametrize("drift_ppm", [-150.0, 150.0])
@pytest.mark.parametrize("seed", range(5))
def test_1_ms_of_jitter_leaves_less_than_a_fifth_of_it_after_a_second(drift_ppm, seed):
    device = Device(120, drift_ppm=drift_ppm, lateness=symmetric(1e-3), seed=seed)
    errors = Timeline().play(device)
    assert np.abs(errors[device.seconds > 1]).max() < 0.2
    assert np.abs(errors[device.seconds > 60]).max() < 0.05


@pytest.mark.parametrize("period", [256, 1024])
@pytest.mark.parametrize("seed", range(3))
def test_10_ms_of_jitter_leave_less_than_1_ms_after_some_minutes(period, seed):
    device = Device(400, lateness=symmetric(10e-3), period=period, seed=seed)
    assert np.abs(errors_after(device, 300)).max() < 1


def test_one_early_or_late_packet_at_the_beginning_is_outvoted_at_once():
    for first_ms in (-5, 5):
        device = Device(1, drift_ppm=0)
        device.handed_over[0] += first_ms * 1e6
        assert np.abs(errors_after(device, 0.3)).max() < 0.1


def test_a_late_start_that_a_burst_makes_good_sets_nothing_late():
    device = Device(5, drift_ppm=0)
    device.delay(0, 0.5)
    assert np.abs(errors_after(device, 0.51)).max() < PERIOD_MS


def test_of_packets_that_come_in_pairs_the_second_tells_the_time():
    device = Device(10, drift_ppm=0)
    device.handed_over[:-1:2] = device.handed_over[1::2]
    assert np.abs(errors_after(device, 0)[2:]).max() < 0.01


@pytest.mark.parametrize("tick_ms", [20, 100])
def test_what_a_timer_hands_over_is_late_by_a_packet_at_most(tick_ms):
    """By half a packet on the average, not by half a tick."""
    device = Device(60, lateness=mostly_prompt(50e-6))
    device.handed_over = np.ceil(device.handed_over / (tick_ms * 1e6)) * tick_ms * 1e6
    errors = errors_after(device, 1)
    assert errors.mean() == pytest.approx(PERIOD_MS / 2, abs=0.5)
    assert errors.max() < PERIOD_MS


@pytest.mark.parametrize("stall", [0.05, 0.5, 1.9])
def test_a_stall_does_not_pull_the_times(stall):
    device = Device(60, lateness=mostly_prompt(50e-6))
    device.delay(30, 30 + stall)
    assert np.abs(errors_after(device, 29)).max() < 0.15


def test_a_loss_that_was_counted_changes_nothing():
    device = Device(60, lateness=only_late(2e-3))
    device.leave_out(30, 40, counted=True)
    assert errors_after(device, 20) == pytest.approx(1, abs=0.15)


def test_after_a_pause_that_nobody_counted_times_are_right_at_once():
    device = Device(60, lateness=mostly_prompt(50e-6))
    device.leave_out(30, 40, counted=False)
    assert np.abs(errors_after(device, 40)).max() < 0.5


def test_after_a_small_loss_that_nobody_counted_times_are_right_within_seconds():
    device = Device(120, lateness=mostly_prompt(50e-6))
    device.leave_out(60, 60.020, counted=False)
    errors = Timeline().play(device)
    before = errors[(device.seconds > 60.02) & (device.seconds < 61)]
    assert before.max() < -15  # it is there
    assert np.abs(errors[device.seconds > 70]).max() < 1


def test_frames_that_come_faster_than_time_are_captured_as_they_come():
    """A source that no clock paces: each packet says by itself when it came."""
    timeline = Timeline()
    for packet in range(1000):
        entry_ns = START_NS + packet * 1000
        timeline.packet(packet * PERIOD, PERIOD, entry_ns)
        assert timeline.time_of((packet + 1) * PERIOD) == entry_ns


packets = st.lists(
    st.tuples(
        st.integers(0, 2**50),  # entry
        st.integers(-(2**63), 2**63 - 1),  # ADC time
        st.integers(-(2**63), 2**63 - 1),  # now
        st.sampled_from([0, 1, 16, 256, 2**32 - 1]),
        st.one_of(st.integers(0, 2**50), st.integers(0, 10**6)),  # position
    ),
    max_size=30,
)


@settings(derandomize=True, deadline=None, max_examples=examples(300))
@given(packets, st.booleans())
def test_whatever_packets_come_there_is_a_time_and_a_drift_or_none(packets, in_order):
    timeline = Timeline()
    end = 0
    if in_order:
        packets.sort()
    for entry, adc, now, frames, position in packets:
        if in_order:
            position = end + position
        timeline.packet(position, frames, entry, adc, now)
        end = position + frames
        assert -(2**62) < timeline.time_of(end) < 2**62
        drift, error = timeline.drift
        assert math.isnan(drift) == math.isnan(error)
        assert math.isnan(drift) or math.isfinite(drift)
        assert not error < 0


@settings(derandomize=True, deadline=None, max_examples=examples(100))
@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from([1, 100, 256, 4096]), st.integers(0, 10**5)),
        min_size=1,
        max_size=60,
    )
)
def test_after_any_trouble_a_good_device_has_its_times_within_seconds(trouble):
    timeline = Timeline()
    entry_ns, position = START_NS, 0
    for wait, frames, lost in trouble:
        entry_ns += round(wait * 1e9)
        position += lost
        timeline.packet(position, frames, entry_ns)
        position += frames
    device = Device(30, drift_ppm=40, lateness=mostly_prompt(50e-6))
    errors = []
    for complete, handed_over in zip(device.complete, device.handed_over, strict=True):
        timeline.packet(position, PERIOD, entry_ns + round(handed_over))
        position += PERIOD
        errors.append((timeline.time_of(position) - entry_ns - complete) / 1e6)
    assert np.abs(errors[20 * RATE // PERIOD :]).max() < 2
