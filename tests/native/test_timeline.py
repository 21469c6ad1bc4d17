"""The timeline in a reader: when each frame was captured."""

import numpy as np
import pytest

from stream_audio._native.capture import FRAME, HOST_LOST, TIME_NS
from support.line import PERIOD, RATE, SECOND, START_NS, Line


@pytest.fixture
def line():
    """Make lines; all are closed at the end."""
    made = []

    def make(**kwargs):
        made.append(Line(**kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def play(one, seconds, *, jitter=lambda random: 0.0, drift_ppm=0.0, stall=None, frames=0, seed=0):
    """Push at the times of a device with that drift; ``jitter(random)`` is in seconds.

    ``stall`` is a span of seconds without a callback; then all that is due comes at once. Returns
    the true capture time of a frame, in ns, as a function of the frame.
    """
    random = np.random.default_rng(seed)
    frame_ns = SECOND / (RATE * (1 + drift_ppm * 1e-6))
    last = START_NS
    while frames < seconds * RATE:
        frames += PERIOD
        due = START_NS + frames * frame_ns
        if stall is not None and stall[0] < (due - START_NS) / SECOND < stall[1]:
            due = START_NS + stall[1] * SECOND
        last = max(last, int(due + jitter(random) * SECOND))
        one.push(at_ns=last)
        one.read()
    return lambda frame: START_NS + frame * frame_ns


def errors_ms(one, true_time):
    return (one.rows[:, TIME_NS] - true_time(one.rows[:, FRAME])) / 1e6


def symmetric(seconds):
    return lambda random: random.uniform(-seconds, seconds)


def only_late(seconds):
    return lambda random: random.uniform(0, seconds)


def test_on_a_perfect_device_times_are_exact(line):
    one = line()
    true_time = play(one, 5)
    assert len(one.rows) >= 48
    assert np.abs(errors_ms(one, true_time)).max() < 1e-4


@pytest.mark.parametrize("drift_ppm", [-300, 0, 300])
def test_jitter_is_filtered_out(line, drift_ppm):
    one = line()
    true_time = play(one, 30, jitter=symmetric(0.002), drift_ppm=drift_ppm, seed=1)
    errors = np.abs(errors_ms(one, true_time))
    assert errors[:20].max() < 2.0  # locking
    assert errors[100:].max() < 0.4
    assert np.diff(one.rows[:, TIME_NS]).min() > 0.098 * SECOND


def test_times_are_as_late_as_the_callbacks_are_on_the_average(line):
    one = line()
    true_time = play(one, 30, jitter=only_late(0.004), seed=2)
    errors = errors_ms(one, true_time)
    assert errors.min() >= 0
    assert errors[100:].mean() == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("drift_ppm", [-300, -20, 20, 300])
def test_drift_is_followed(line, drift_ppm):
    one = line()
    play(one, 60, jitter=symmetric(0.001), drift_ppm=drift_ppm, seed=3)
    rows = one.rows[300:]
    slope = np.polyfit(rows[:, FRAME], rows[:, TIME_NS] - START_NS, 1)[0]
    assert (SECOND / slope / RATE - 1) * 1e6 == pytest.approx(drift_ppm, abs=5)


def test_times_stay_right_across_a_loss(line):
    one = line()
    play(one, 10, jitter=symmetric(0.001), seed=4)
    one.lose(1000 * PERIOD)
    true_time = play(one, 25, jitter=symmetric(0.001), frames=one.host, seed=5)
    one.finish()
    assert one.rows[:, HOST_LOST].sum() == 1000 * PERIOD
    assert np.abs(errors_ms(one, true_time)).max() < 1.0


def test_after_a_pause_without_frames_times_are_right_at_once(line):
    """The machine slept: the clock went on, the device did not."""
    one = line()
    play(one, 5)
    pause = 10 * SECOND
    frames = one.host
    for packet in range(1, 500):
        end = frames + packet * PERIOD
        one.push(at_ns=START_NS + pause + end * SECOND // RATE)
        one.read()
    rows = one.rows[one.rows[:, FRAME] > frames]
    true_times = START_NS + pause + rows[:, FRAME] * SECOND / RATE
    assert len(rows) > 20
    assert np.abs(rows[:, TIME_NS] - true_times).max() < SECOND // 1000


@pytest.mark.parametrize(
    "stall",
    [
        pytest.param((0, 0.05), id="a late start"),
        pytest.param((0, 0.3), id="a very late start"),
        pytest.param((3, 3.3), id="a stall"),
        pytest.param((3, 3.9), id="a long stall"),
        pytest.param((3, 4.5), id="a stall of more than a second"),
    ],
)
def test_later_frames_never_have_earlier_times(line, stall):
    """Nothing is lost: after the stall all that is due comes at once."""
    one = line()
    play(one, 8, jitter=only_late(0.001), stall=stall, seed=6)
    assert np.diff(one.rows[:, TIME_NS]).min() > 0
