"""The timeline: what the host lost, by its own count, and when each frame was captured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio._native import ffi, lib
from stream_audio._native.capture import FRAME, FRAMES, HOST_LOST, TIME_NS, Block

SECOND = 1_000_000_000
START_NS = 1000 * SECOND
HOLD_NS = 200_000_000
RATE = 48_000
PERIOD = 256


class Line:
    """A capture on a virtual clock, fed packet by packet, and its reader."""

    def __init__(self, *, host_start=0, counted_by_host=True, chunk_frames=4800, seconds=1):
        self.clock = lib.sa_virtual_clock_create(START_NS, lib.SA_NEVER)
        self.capture = lib.sa_capture_create(self.clock, RATE, 1, 2 * RATE, 1000)
        self.capture.counted_by_host = counted_by_host
        self.reader = lib.sa_reader_create(self.capture, chunk_frames, False, HOLD_NS)
        self.progress = self.reader.progress
        chunks = seconds * RATE // chunk_frames + 10
        self.block = Block(chunks * chunk_frames, chunks + 100, 1)
        lib.sa_reader_lend(self.reader, self.block.native)
        self.host = host_start
        self._info = ffi.new("sa_host_info *")
        self._samples = np.zeros(65_536, np.float32)

    def close(self):
        lib.sa_reader_destroy(self.reader)
        lib.sa_capture_destroy(self.capture)
        lib.sa_virtual_clock_destroy(self.clock)

    def run_until(self, now_ns):
        assert lib.sa_virtual_clock_run_until(self.clock, now_ns, SECOND)

    def push(self, frames=PERIOD, *, late=0, at_ns=None):
        """One callback, whose host count is read ``late`` frames too late."""
        if at_ns is not None:
            self.run_until(at_ns)
        self._info.host_frame = (self.host + late) % 2**32
        samples = ffi.cast("float *", self._samples.ctypes.data)
        lib.sa_capture_push(self.capture, samples, frames, self._info)
        self.host += frames

    def lose(self, frames):
        self.host += frames

    def read(self):
        lib.sa_reader_read(self.reader)
        assert self.progress.waiting == 0, "the block is too small for this test"
        return self.progress

    def finish(self):
        lib.sa_capture_finish(self.capture)
        progress = self.read()
        assert progress.finished
        assert progress.captured + progress.ring_lost + progress.host_lost == progress.position
        return progress

    @property
    def rows(self):
        return self.block.rows[: self.progress.rows]

    @property
    def chunks(self):
        """Frame, frames and what the host lost before, of each finished chunk."""
        return [tuple(row) for row in self.rows[:, [FRAME, FRAMES, HOST_LOST]].tolist()]


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


# ---- losses ----


@pytest.mark.parametrize("before_the_wrap", [0, 1, 100, PERIOD, PERIOD + 1, 1000])
def test_the_hosts_count_wraps_around_and_nothing_is_lost(line, before_the_wrap):
    one = line(host_start=2**32 - before_the_wrap)
    for _ in range(10):
        one.push()
    progress = one.finish()
    assert (progress.captured, progress.host_lost) == (10 * PERIOD, 0)
    assert one.chunks == [(0, 10 * PERIOD, 0)]


@pytest.mark.parametrize("before_the_wrap", [PERIOD, PERIOD + 1, PERIOD + 700, PERIOD + 701])
def test_a_loss_right_at_the_wrap_is_exact(line, before_the_wrap):
    one = line(host_start=2**32 - before_the_wrap)
    one.push()
    one.lose(700)
    one.push()
    one.push()
    one.finish()
    assert one.chunks == [(0, PERIOD, 0), (PERIOD + 700, 2 * PERIOD, 700)]


def test_a_count_that_wraps_many_times_is_followed(line):
    one = line(host_start=123)
    expected = 0
    for _ in range(20):  # ten times around
        one.push()
        one.push()
        one.lose(2**31 - 2 * PERIOD - 1)
        expected += 2**31 - 1
    one.push()
    one.push()
    progress = one.finish()
    assert progress.position == expected + 2 * PERIOD
    assert progress.host_lost == expected - 40 * PERIOD
    assert one.chunks[-1] == (expected, 2 * PERIOD, 2**31 - 2 * PERIOD - 1)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 100_000), st.integers(2, 5)), max_size=8))
def test_a_jump_that_is_confirmed_is_a_loss_of_exactly_that_length(losses):
    one = Line(chunk_frames=PERIOD)
    try:
        one.push()
        expected = [(0, PERIOD, 0)]
        position = PERIOD
        for frames, packets in losses:
            one.lose(frames)
            position += frames
            for packet in range(packets):
                one.push()
                expected.append((position, PERIOD, 0 if packet else frames))
                position += PERIOD
        assert one.finish().position == position
        assert one.chunks == expected
    finally:
        one.close()


def test_a_jump_is_believed_as_soon_as_the_next_packet_confirms_it(line):
    one = line(chunk_frames=PERIOD)
    one.push()
    one.lose(100)
    one.push()
    assert one.read().captured == PERIOD
    one.push()
    one.read()
    assert one.chunks == [
        (0, PERIOD, 0),
        (PERIOD + 100, PERIOD, 100),
        (2 * PERIOD + 100, PERIOD, 0),
    ]


@pytest.mark.parametrize("late", [1, PERIOD, 10 * PERIOD])
def test_a_late_packet_that_the_next_one_makes_good_is_no_loss(line, late):
    one = line()
    one.push()
    one.push(late=late)
    assert one.read().captured == PERIOD  # not yet known
    one.push()
    assert one.read().captured == 3 * PERIOD
    assert one.finish().host_lost == 0
    assert one.chunks == [(0, 3 * PERIOD, 0)]


@pytest.mark.parametrize("count", [2, 5, 100])
def test_a_burst_that_makes_its_lateness_good_packet_by_packet_is_no_loss(line, count):
    """After a stall the packets come all at once, each less late than the one before."""
    one = line(chunk_frames=RATE)
    one.push()
    for left in range(count - 1, -1, -1):
        one.push(late=left * PERIOD)
    assert one.read().host_lost == 0
    assert one.finish().captured == (count + 1) * PERIOD
    assert one.chunks == [(0, (count + 1) * PERIOD, 0)]


@pytest.mark.parametrize("lost", [1, 300, 5000])
def test_lateness_and_loss_at_once_are_told_apart(line, lost):
    one = line()
    one.push()
    one.lose(lost)
    for late in (3 * PERIOD, 2 * PERIOD, PERIOD, 0, 0):
        one.push(late=late)
    assert one.read().host_lost == lost
    one.finish()
    assert one.chunks == [(0, PERIOD, 0), (PERIOD + lost, 5 * PERIOD, lost)]


def test_an_undecided_packet_is_held_for_so_long_and_no_longer(line):
    one = line()
    one.push()
    one.lose(100)
    one.push(at_ns=START_NS + SECOND)
    one.run_until(START_NS + SECOND + HOLD_NS)
    assert one.read().captured == PERIOD
    one.run_until(START_NS + SECOND + HOLD_NS + 1)
    assert one.read().captured == 2 * PERIOD
    assert one.progress.host_lost == 100


def test_packets_before_an_undecided_one_are_not_held(line):
    one = line(chunk_frames=PERIOD)
    for _ in range(4):
        one.push()
    one.lose(100)
    one.push()
    assert one.read().captured == 4 * PERIOD
    assert len(one.chunks) == 4


def test_a_wait_lets_an_undecided_packet_go_when_its_time_has_passed(line):
    one = line(chunk_frames=PERIOD)
    one.push(100)
    one.lose(100)
    one.push(100)
    sleeper = lib.sa_sleeper_create(one.clock)
    try:
        readers = ffi.new("sa_reader *[]", [one.reader])
        lib.sa_wait_and_read(readers, 1, sleeper, START_NS + SECOND)
        assert one.chunks == [(0, 100, 0)]  # ended by the gap
        waited = lib.sa_clock_now(one.clock) - START_NS
        assert HOLD_NS < waited < HOLD_NS + SECOND // 100
    finally:
        lib.sa_sleeper_destroy(sleeper)


def test_the_end_decides(line):
    one = line()
    one.push()
    one.lose(100)
    one.push()
    assert one.read().captured == PERIOD
    progress = one.finish()
    assert (progress.captured, progress.host_lost) == (2 * PERIOD, 100)


def test_a_loss_that_was_believed_too_early_is_not_counted_twice(line):
    """The hold time has passed, then a burst makes it good, then as much is really lost."""
    one = line()
    one.push()
    one.push(late=PERIOD)
    one.run_until(START_NS + HOLD_NS + 1)
    assert one.read().host_lost == PERIOD
    for _ in range(3):
        one.push()
    assert one.read().host_lost == PERIOD
    one.lose(PERIOD)
    one.push()
    one.push()
    progress = one.finish()
    assert progress.host_lost == PERIOD
    assert progress.position == one.host


@pytest.mark.parametrize("late", [1, PERIOD])
def test_a_first_packet_that_was_late_does_not_hide_a_later_loss(line, late):
    one = line()
    one.push(late=late)
    one.push()
    one.push()
    one.lose(PERIOD)
    one.push()
    one.push()
    progress = one.finish()
    assert (progress.captured, progress.host_lost) == (5 * PERIOD, PERIOD)


def test_what_did_not_fit_is_not_taken_for_a_loss_of_the_hosts(line):
    one = line(chunk_frames=RATE)
    one.push(65_536)
    one.push(65_536)  # the ring has room for part of it
    one.read()
    one.lose(50)
    one.push()
    one.push()
    progress = one.finish()
    assert (progress.ring_lost, progress.host_lost) == (2 * 65_536 - 2 * RATE, 50)
    assert progress.position == one.host


def test_the_count_may_start_anywhere(line):
    one = line(host_start=3_000_000_000)
    one.push()
    assert one.read().captured == PERIOD
    assert one.chunks == []
    one.finish()
    assert one.chunks == [(0, PERIOD, 0)]


def test_without_a_count_of_the_hosts_nothing_is_concluded_from_it(line):
    one = line(counted_by_host=False)
    one.push()
    one.lose(1000)
    one.push()
    assert one.read().captured == 2 * PERIOD  # and nothing is held
    assert one.finish().host_lost == 0


# ---- times ----


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
    one = line(seconds=5)
    true_time = play(one, 5)
    assert len(one.rows) >= 48
    assert np.abs(errors_ms(one, true_time)).max() < 1e-4


@pytest.mark.parametrize("drift_ppm", [-300, 0, 300])
def test_jitter_is_filtered_out(line, drift_ppm):
    one = line(seconds=30)
    true_time = play(one, 30, jitter=symmetric(0.002), drift_ppm=drift_ppm, seed=1)
    errors = np.abs(errors_ms(one, true_time))
    assert errors[:20].max() < 2.0  # locking
    assert errors[100:].max() < 0.4
    assert np.diff(one.rows[:, TIME_NS]).min() > 0.098 * SECOND


def test_times_are_as_late_as_the_callbacks_are_on_the_average(line):
    one = line(seconds=30)
    true_time = play(one, 30, jitter=only_late(0.004), seed=2)
    errors = errors_ms(one, true_time)
    assert errors.min() >= 0
    assert errors[100:].mean() == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("drift_ppm", [-300, -20, 20, 300])
def test_drift_is_followed(line, drift_ppm):
    one = line(seconds=60)
    play(one, 60, jitter=symmetric(0.001), drift_ppm=drift_ppm, seed=3)
    rows = one.rows[300:]
    slope = np.polyfit(rows[:, FRAME], rows[:, TIME_NS] - START_NS, 1)[0]
    assert (SECOND / slope / RATE - 1) * 1e6 == pytest.approx(drift_ppm, abs=5)


def test_times_stay_right_across_a_loss(line):
    one = line(seconds=30)
    play(one, 10, jitter=symmetric(0.001), seed=4)
    one.lose(1000 * PERIOD)
    true_time = play(one, 25, jitter=symmetric(0.001), frames=one.host, seed=5)
    one.finish()
    assert one.rows[:, HOST_LOST].sum() == 1000 * PERIOD
    assert np.abs(errors_ms(one, true_time)).max() < 1.0


def test_after_a_pause_without_frames_times_are_right_at_once(line):
    """The machine slept: the clock went on, the device did not."""
    one = line(seconds=30)
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
    one = line(seconds=8)
    play(one, 8, jitter=only_late(0.001), stall=stall, seed=6)
    assert np.diff(one.rows[:, TIME_NS]).min() > 0
