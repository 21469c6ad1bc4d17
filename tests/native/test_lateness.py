"""What a host lost that does not count its frames: found by how late the packets come."""

import numpy as np
import pytest

from stream_audio._native.capture import FRAME, FRAMES
from support.line import HOLD_NS, PERIOD, RATE, SECOND, START_NS, a_line

MILLISECOND = 1_000_000


class Device:
    """When a device hands its packets over, in ns after its start; change it, then play it."""

    def __init__(self, seconds, *, period=PERIOD, drift_ppm=0.0):
        count = round(seconds * RATE / period)
        self.sizes = np.full(count, period)
        self.frame_ns = SECOND / (RATE * (1 + drift_ppm * 1e-6))
        self.due = np.cumsum(self.sizes) * self.frame_ns
        self.period = period

    def jitter(self, lateness):
        self.due += lateness
        return self

    def stall(self, at, seconds):
        """Hand over what is due in that span at its end, all at once."""
        begin, end = at * SECOND, (at + seconds) * SECOND
        held = (self.due > begin) & (self.due < end)
        self.due[held] = end
        return self

    def lose(self, at, packets):
        first = np.searchsorted(self.due, at * SECOND)
        keep = np.ones(len(self.due), bool)
        keep[first : first + packets] = False
        self.due, self.sizes = self.due[keep], self.sizes[keep]
        return self

    @property
    def entries(self):
        return START_NS + SECOND + np.maximum.accumulate(self.due).astype(np.int64)

    def play(self, one):
        """Push each packet at its time and read at once."""
        for entry, frames in zip(self.entries.tolist(), self.sizes.tolist(), strict=True):
            one.push(frames, at_ns=entry)
            one.read()
        return one


def uniform(device, seconds, seed=0):
    """Early as often as late; no host does it, which makes it hard."""
    random = np.random.default_rng(seed)
    return random.uniform(-seconds, seconds, len(device.due)) * SECOND


def prompt(device, seconds, seed=0):
    """Mostly on time and seldom very late, as a machine is."""
    return np.random.default_rng(seed).exponential(seconds, len(device.due)) * SECOND


@pytest.fixture
def one():
    with a_line(counted_by_host=False, chunk_frames=PERIOD, ring_frames=30 * RATE) as line:
        yield line


# ---- what is no loss ----


FAST, RIGHT = (pytest.param(ppm, marks=pytest.mark.long) for ppm in (-500, 0))


@pytest.mark.parametrize("drift_ppm", [FAST, RIGHT, 500])
def test_an_hour_of_jitter_and_bursts_gives_no_false_alarm(drift_ppm):
    """Jitter of ±10 ms, and a stall of up to 1.5 s each 10 s that a burst makes good."""
    random = np.random.default_rng(drift_ppm + 500)
    device = Device(3600, drift_ppm=drift_ppm)
    device.jitter(uniform(device, 0.010))
    for at in np.arange(10, 3590, 10) + random.uniform(0, 8, 358):
        device.stall(at, random.uniform(0, 1.5))
    with a_line(counted_by_host=False, ring_frames=30 * RATE) as line:
        progress = device.play(line).finish()
        assert (progress.host_lost, progress.unexplained) == (0, 0)


@pytest.mark.parametrize("drift_ppm", [-500, 500])
def test_drift_is_not_taken_for_a_loss(one, drift_ppm):
    device = Device(300, drift_ppm=drift_ppm)
    progress = device.jitter(prompt(device, 0.0005)).play(one).finish()
    assert (progress.host_lost, progress.unexplained) == (0, 0)


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1, 10])
def test_a_stall_that_a_burst_makes_good_is_no_loss(one, seconds):
    device = Device(25).stall(5, seconds)
    progress = device.jitter(prompt(device, 0.0005)).play(one).finish()
    assert (progress.host_lost, progress.unexplained) == (0, 0)


def test_a_stall_that_begins_before_the_last_was_made_good_is_no_loss(one):
    """Half of what came late is handed over, then nothing for a second, then all."""
    device = Device(10)
    held = (device.due > 3 * SECOND) & (device.due < 5 * SECOND)
    half = held & (np.arange(len(held)) < np.flatnonzero(held)[50])
    device.due[held] = 5 * SECOND
    device.due[half] = 4 * SECOND
    assert device.play(one).finish().host_lost == 0


def test_a_host_that_delivers_in_groups_loses_nothing(one):
    device = Device(60)
    last_of_group = np.arange(len(device.due)) // 8 * 8 + 7
    device.due = device.due[np.minimum(last_of_group, len(device.due) - 1)]
    assert device.play(one).finish().host_lost == 0


def test_a_device_that_is_faster_than_its_clock_loses_nothing(one):
    """As ALSA's null device: as fast as the callback returns, but for a pause now and then."""
    device = Device(60)
    device.due = np.arange(len(device.due)) * 1000 + np.arange(len(device.due)) // 100 * 50e6
    assert device.play(one).finish().host_lost == 0


def test_a_last_packet_that_was_late_is_no_loss(one):
    device = Device(5)
    device.due[-1] += SECOND // 2
    progress = device.play(one).finish()
    assert (progress.host_lost, progress.unexplained) == (0, 0)


def test_a_source_that_no_clock_paces_is_not_judged_by_it():
    with a_line(counted_by_host=False, freewheel=True) as line:
        device = Device(5).lose(2, 100)
        assert device.play(line).finish().host_lost == 0


# ---- what is lost ----


@pytest.mark.parametrize("drift_ppm", [-200, 0, 200])
@pytest.mark.parametrize("period", [64, 256, 1024])
@pytest.mark.parametrize("lost", [1, 2, 7, 100])
def test_lost_periods_are_found_exactly_and_placed_where_they_are(lost, period, drift_ppm):
    device = Device(30, period=period, drift_ppm=drift_ppm).lose(10, lost).lose(20, lost)
    jitter = device.period * device.frame_ns / 40
    device.jitter(np.random.default_rng(0).exponential(jitter, len(device.due)))
    with a_line(counted_by_host=False, chunk_frames=period, ring_frames=30 * RATE) as line:
        progress = device.play(line).finish()
        places = [int(np.ceil(at * SECOND / device.frame_ns / period) - 1) for at in (10, 20)]
        assert line.gaps == [(place * period, lost * period) for place in places]
        assert progress.unexplained == 0


@pytest.mark.parametrize("lost", [10, 100, 1000])
def test_a_loss_beyond_the_jitter_is_right_to_a_period(one, lost):
    device = Device(60).lose(20, lost)
    device.jitter(uniform(device, 0.010)).play(one)
    progress = one.finish()
    assert progress.host_lost + progress.unexplained == lost * PERIOD
    assert progress.host_lost == pytest.approx(lost * PERIOD, abs=PERIOD)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lost", [1, 3])
def test_a_loss_within_the_jitter_is_found_in_hindsight(one, lost, seed):
    """±3 ms of jitter hide a period of 5.3 ms, but not for long."""
    device = Device(30).lose(15, lost)
    device.jitter(uniform(device, 0.003, seed)).play(one)
    progress = one.finish()
    assert (progress.host_lost, progress.unexplained) == (lost * PERIOD, 0)
    ((frame, frames),) = one.gaps
    assert frames == lost * PERIOD
    assert 15 * RATE - PERIOD <= frame < 17 * RATE


def test_a_loss_that_a_stall_ends_with_is_placed_before_what_came_late(one):
    """A second without a callback; 0.4 s of it are delivered at once, and 0.6 s are lost."""
    device = Device(10).stall(5, 1.0)
    first = np.searchsorted(device.due, 6 * SECOND)
    keep = np.ones(len(device.due), bool)
    keep[first : first + 112] = False
    device.due, device.sizes = device.due[keep], device.sizes[keep]
    device.play(one).finish()
    ((frame, frames),) = one.gaps
    assert frames == 112 * PERIOD
    assert frame == pytest.approx(5 * RATE, abs=PERIOD)


def test_the_length_is_right_to_a_millisecond_where_packets_have_many_sizes(one):
    random = np.random.default_rng(0)
    device = Device(30)
    device.sizes = random.integers(90, 105, 30 * RATE // 97)
    device.due = np.cumsum(device.sizes) * device.frame_ns
    first = np.searchsorted(device.due, 10 * SECOND)
    lost = int(device.sizes[first : first + 100].sum())
    device.lose(10, 100).jitter(prompt(device, 0.0003)).play(one)
    assert one.finish().host_lost == pytest.approx(lost, abs=RATE / 1000)


def test_a_loss_that_was_believed_too_early_shortens_the_next(one):
    """A device that stays 0.5 s late for 3 s, makes it good, and then loses as much."""
    device = Device(20)
    late = (device.due > 5 * SECOND) & (device.due < 8 * SECOND)
    device.due[late] += SECOND // 2
    entries = np.maximum.accumulate(device.due)
    made_good = int(np.searchsorted(device.due, 9 * SECOND))
    device.due, rest = entries[:made_good], device.due[made_good:]
    sizes = device.sizes
    device.sizes = sizes[:made_good]
    device.play(one)
    lost = one.progress.host_lost
    assert lost == pytest.approx(RATE // 2, abs=PERIOD)
    assert one.progress.unexplained == -lost
    device.due, device.sizes = rest[94:], sizes[made_good + 94 :]
    device.play(one)
    progress = one.finish()
    assert progress.host_lost == pytest.approx(lost, abs=PERIOD)
    assert progress.unexplained == pytest.approx(0, abs=PERIOD)


def test_in_the_first_half_second_a_rise_is_unexplained(one):
    """A host may begin with what it has in its buffers, then wait."""
    device = Device(5).lose(0.2, 10)
    progress = device.play(one).finish()
    assert (progress.host_lost, progress.unexplained) == (0, 10 * PERIOD)


def test_what_hindsight_has_no_time_to_tell_is_unexplained(one):
    device = Device(15.6).lose(15, 1)
    progress = device.jitter(uniform(device, 0.003)).play(one).finish()
    assert (progress.host_lost, progress.unexplained) == (0, PERIOD)


# ---- when it is told ----


def test_packets_that_are_on_time_are_not_held(one):
    device = Device(60)
    device.jitter(uniform(device, 0.001))
    for index, entry in enumerate(device.entries.tolist()):
        one.push(at_ns=entry)
        assert one.read().packets == index + 1


def test_a_packet_that_stands_out_is_held_until_it_is_told(one):
    device = Device(10).lose(5, 20)
    lost_at = int(np.searchsorted(device.due, 5 * SECOND))
    entries = device.entries.tolist()
    for index, entry in enumerate(entries):
        one.push(at_ns=entry)
        one.read()
        waited = entry - entries[lost_at] if index >= lost_at else 0
        if 0 < waited < HOLD_NS:
            assert one.progress.packets == lost_at  # what follows the gap is not delivered
        elif waited > HOLD_NS + 10 * MILLISECOND:
            assert one.progress.packets == index + 1
    assert one.gaps == [(lost_at * PERIOD, 20 * PERIOD)]


def test_a_late_packet_is_let_go_after_two_seconds_without_another(one):
    device = Device(5)
    device.play(one)
    read = one.progress.captured
    late_ns = int(device.entries[-1]) + SECOND // 2
    one.push(at_ns=late_ns)
    one.run_until(late_ns + 2 * SECOND)
    assert one.read().captured == read
    one.run_until(late_ns + 2 * SECOND + 1)
    assert one.read().captured == read + PERIOD
    assert one.progress.host_lost == 0


def test_what_is_held_never_fills_a_short_ring():
    """A ring of 0.1 s, a hold of 0.2 s, a reader that comes by at each packet."""
    with a_line(counted_by_host=False, chunk_frames=PERIOD, ring_frames=RATE // 10) as line:
        progress = Device(10).lose(5, 50).play(line).finish()
        assert progress.ring_lost == 0
        assert progress.host_lost == 50 * PERIOD


def test_gaps_and_chunks_tile_the_timeline(one):
    device = Device(30).lose(5, 3).lose(12, 100).stall(20, 1)
    device.jitter(prompt(device, 0.001)).play(one).finish()
    end = 0
    gaps = dict((frame + frames, frames) for frame, frames in one.gaps)
    for frame, frames in one.rows[:, [FRAME, FRAMES]].tolist():
        assert frame == end + gaps.get(frame, 0)
        end = frame + frames
