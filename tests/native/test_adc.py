"""Which ADC times of a host are believed, and that those which are not do no harm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.timeline import PERIOD, RATE, SECOND, START_NS, Device, Timeline, only_late

MS = 1_000_000
PERIOD_NS = PERIOD * SECOND // RATE


def play(age_ns, *, seconds=3.0, latency=0.010, lateness=None, period=PERIOD):
    """Play packets whose last frame's age is ``age_ns(index, lateness)``."""
    timeline = Timeline(latency=latency)
    device = Device(seconds, drift_ppm=50, lateness=lateness, period=period)
    return timeline, timeline.play(device, age_ns=age_ns)


@pytest.mark.parametrize(
    "age_ns",
    [
        pytest.param(lambda index, late: 8 * MS + late, id="the age at the callback, as ALSA's"),
        pytest.param(lambda index, late: 8 * MS, id="always the same, as JACK's"),
        pytest.param(lambda index, late: 0, id="just come: a latency of one period"),
        pytest.param(lambda index, late: 33 * MS, id="older than the host reports, within slack"),
        pytest.param(
            lambda index, late: 8 * MS if index % 50 else None, id="missing now and then"
        ),
    ],
)
def test_plausible_times_are_used(age_ns):
    timeline, _ = play(age_ns, lateness=only_late(1e-3))
    assert timeline.uses_adc


@pytest.mark.parametrize(
    "age_ns",
    [
        pytest.param(lambda index, late: None, id="zero"),
        pytest.param(lambda index, late: 500 * MS, id="half a second early"),
        pytest.param(lambda index, late: -500 * MS, id="half a second late, in the future"),
        pytest.param(lambda index, late: -PERIOD_NS, id="no latency, as other JACK clients"),
        pytest.param(lambda index, late: -2 * MS, id="younger than the packet is long"),
        pytest.param(lambda index, late: 36 * MS, id="older than the host's latency and slack"),
        pytest.param(lambda index, late: (index + 1) * PERIOD_NS + late, id="standing still"),
        pytest.param(lambda index, late: 2 * index * PERIOD_NS, id="running backwards"),
        pytest.param(
            lambda index, late: 8 * MS if index % 4 else 8 * MS - 2 * PERIOD_NS,
            id="going back now and then",
        ),
        pytest.param(
            lambda index, late: 20 * MS if index % 2 else 6 * MS,
            id="going back, never beyond what is plausible",
        ),
        pytest.param(
            lambda index, late: 8 * MS if index % 4 else -PERIOD_NS,
            id="right three times and wrong once, as PulseAudio's",
        ),
        pytest.param(
            lambda index, late: 600 * MS if index < 100 else 8 * MS, id="wrong at the beginning"
        ),
    ],
)
def test_implausible_times_are_not_used_and_change_nothing(age_ns):
    timeline, errors = play(age_ns, lateness=only_late(1e-3), seconds=6)
    _, without = play(lambda index, late: None, lateness=only_late(1e-3), seconds=6)
    assert not timeline.uses_adc
    settled = 3 * RATE // PERIOD
    assert errors[settled:] == pytest.approx(without[settled:], abs=0.2)


def test_with_the_age_at_the_callback_times_are_free_of_jitter():
    """The converter's time, whatever the callback's lateness: 8 ms before it was complete."""
    _, errors = play(lambda index, late: 8 * MS + late, lateness=only_late(10e-3))
    assert errors == pytest.approx(-8, abs=0.05)  # the drift is not known at first


def test_a_constant_age_is_taken_off_the_filtered_time():
    _, errors = play(lambda index, late: 8 * MS, lateness=only_late(1e-3), seconds=10)
    assert errors[RATE // PERIOD :] == pytest.approx(0.5 - 8, abs=0.2)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda late: None, id="zero"),
        pytest.param(lambda late: 500 * MS, id="half a second early"),
        pytest.param(lambda late: -500 * MS, id="half a second late"),
    ],
)
def test_once_in_use_times_that_go_wrong_do_not_make_it_jump(wrong):
    def age(index, late):
        return 8 * MS + late if index * PERIOD < 5 * RATE else wrong(late)

    timeline, errors = play(age, lateness=only_late(4e-3), seconds=30)
    assert timeline.uses_adc
    assert errors == pytest.approx(-8, abs=0.5)
    assert np.abs(np.diff(errors)).max() < 0.05


def test_once_refused_times_that_come_right_do_not_make_it_jump():
    def age(index, late):
        return 8 * MS + late if index * PERIOD > 5 * RATE else None

    timeline, errors = play(age, seconds=30)
    assert not timeline.uses_adc
    assert errors == pytest.approx(0, abs=0.05)


def test_a_first_packet_without_its_time_delays_the_answer_by_a_second():
    timeline, errors = play(lambda index, late: 8 * MS if index else None, latency=0.010)
    assert timeline.uses_adc
    jumps = np.flatnonzero(np.abs(np.diff(errors)) > 1) + 1
    assert len(jumps) == 1
    assert jumps[0] * PERIOD / RATE == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("period", [16, 480, 8192])
def test_any_period_gets_its_answer_within_seconds(period):
    timeline, errors = play(lambda index, late: 20 * MS, latency=0.020, period=period)
    assert timeline.uses_adc
    assert errors[2 * RATE // period :] == pytest.approx(-20, abs=0.05)


@pytest.mark.parametrize(("period", "age_ms", "used"), [(16, -0.2, False), (256, -0.2, True)])
def test_the_last_frame_may_seem_to_come_late_by_a_part_of_its_packet(period, age_ms, used):
    timeline, _ = play(lambda index, late: age_ms * MS, period=period)
    assert timeline.uses_adc == used


def test_a_host_s_clock_may_start_at_zero():
    """JACK's does, so its first ADC times may be negative; but 0 itself is no time."""
    for adc_told, used in ((True, True), (False, False)):
        timeline = Timeline(latency=0.020)
        for index in range(3):
            now_ns = (index + 1) * PERIOD_NS
            adc_ns = now_ns - PERIOD_NS - 8 * MS if adc_told else 0
            timeline.packet(index * PERIOD, PERIOD, START_NS + now_ns, adc_ns, now_ns)
            assert timeline.uses_adc == used


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    latency_ms=st.floats(0, 200),
    age_ms=st.floats(-300, 300),
    period=st.integers(16, 4096),
)
def test_it_is_used_if_and_only_if_the_first_frame_is_as_old_as_it_can_be(
    latency_ms, age_ms, period
):
    timeline, _ = play(
        lambda index, late: age_ms * MS, latency=latency_ms / 1000, period=period, seconds=2
    )
    length_ms = period / RATE * 1000
    youngest, oldest = -min(0.5, length_ms / 4), latency_ms + 25
    if min(abs(age_ms - youngest), abs(age_ms - oldest)) > 0.01:
        assert timeline.uses_adc == (youngest < age_ms < oldest)


def test_a_wall_clock_that_is_set_does_no_harm():
    """The host's times may be those of the wall clock, which somebody sets back by an hour."""
    timeline = Timeline(latency=0.010)
    for index in range(2000):
        entry_ns = START_NS + (index + 1) * PERIOD_NS
        wall_ns = entry_ns + (0 if index > 1000 else 3600 * SECOND)
        timeline.packet(index * PERIOD, PERIOD, entry_ns, wall_ns - PERIOD_NS - 8 * MS, wall_ns)
        assert timeline.time_of((index + 1) * PERIOD) == pytest.approx(entry_ns - 8 * MS, abs=1000)
    assert timeline.uses_adc
