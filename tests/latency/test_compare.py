"""How contenders are compared: with blocks whose lateness is known."""

import numpy as np
import pytest

from stream_audio.latency.compare import (
    Turn,
    comparison,
    lateness,
    steady,
    true_rate,
    without_lateness,
)

RATE = 48_000
PERIOD = 480
BLOCKS = 600
START, END = 1.0, 5.0


def turn(late=(), *, lost=(), rate=RATE):
    """Return 6 s of blocks, some of them late by so much, some never delivered."""
    late = np.broadcast_to(np.asarray(late if len(late) else 0.0), BLOCKS)
    ends = np.arange(1, BLOCKS + 1) * PERIOD
    had = np.maximum.accumulate(ends / rate + late)
    kept = np.setdiff1d(np.arange(BLOCKS), lost)
    # What a contender has counted: of frames that are lost it knows nothing.
    return Turn(had[kept], np.arange(1, len(kept) + 1) * PERIOD, START, END, 0.1)


def test_without_lateness_none_is_found():
    late, lost = lateness(turn(), steady(RATE), RATE, PERIOD)
    assert late == pytest.approx(0, abs=1e-9)
    assert (len(late), lost) == (400, 0)


def test_known_lateness_is_found():
    known = np.random.default_rng(0).uniform(0, 0.009, BLOCKS)
    late, lost = lateness(turn(known), steady(RATE), RATE, PERIOD)
    # The line of a block is the quickest of those after it, which is late by almost nothing.
    expected = known[(np.arange(1, BLOCKS + 1) * 0.01 >= START)][: len(late)]
    assert np.median(late) == pytest.approx(np.median(expected), rel=0.05)
    assert lost == 0


def test_a_stall_charges_every_block_that_waited():
    known = np.zeros(BLOCKS)
    known[300] = 1.0  # those that follow come with it
    late, lost = lateness(turn(known), steady(RATE), RATE, PERIOD)
    assert lost == 0
    assert sorted(late)[-100:] == pytest.approx(np.arange(1, 101) * 0.01, abs=1e-6)


def test_lost_blocks_are_counted_and_do_not_make_the_others_late():
    late, lost = lateness(turn(lost=range(200, 250)), steady(RATE), RATE, PERIOD)
    assert lost == 50 * PERIOD
    assert late == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_device_that_runs_fast_or_slow_does_not_look_late(ppm):
    rate = RATE * (1 + ppm * 1e-6)
    late, lost = lateness(turn(rate=rate), steady(rate), rate, PERIOD)
    assert late == pytest.approx(0, abs=1e-9)
    assert lost == 0


def test_a_device_that_stands_still_makes_nobody_late_and_loses_nothing():
    """As a server does that gets no processor: it gives no frames, and goes on where it was."""
    pause = np.where(np.arange(BLOCKS) >= 300, 0.5, 0.0)
    ends = np.arange(1, BLOCKS + 1) * PERIOD
    had = ends / RATE + pause
    device = Turn(had, ends, START, END + 0.5, 0.1)
    late, lost = lateness(device, lambda times: np.interp(times, had, ends), RATE, PERIOD)
    assert late == pytest.approx(0, abs=1e-9)
    assert lost == 0


def test_late_callbacks_of_the_reference_are_put_right_and_standstills_are_kept():
    ends = np.arange(1, BLOCKS + 1) * PERIOD
    due = ends / RATE + np.where(ends > 300 * PERIOD, 0.5, 0.0)
    jitter = np.random.default_rng(0).choice([0.0, 0.0, 0.004], BLOCKS)
    jitter[[299, -1]] = 0  # one that none follows cannot be put right
    found = without_lateness(due + jitter, ends, RATE)
    assert found == pytest.approx(due, abs=1e-9)


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_the_true_rate_is_found_among_late_callbacks(ppm):
    rate = RATE * (1 + ppm * 1e-6)
    ends = np.arange(1, 1001) * PERIOD
    jitter = np.random.default_rng(0).exponential(0.001, 1000)
    assert true_rate(100 + ends / rate + jitter, ends, RATE) == pytest.approx(rate, rel=5e-6)


def test_too_few_callbacks_tell_no_rate():
    assert true_rate(np.arange(5.0), np.arange(5) * PERIOD, RATE) == RATE


def test_turns_are_taken_together():
    found = comparison([turn(), turn(lost=range(200, 203))], steady(RATE), RATE, PERIOD)
    assert found["turns"] == 2
    assert found["lost_frames"] == 3 * PERIOD
    assert found["frames"] == 8 * RATE
    assert found["cpu"] == 0.1
