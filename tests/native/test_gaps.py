"""What a host lost that counts its frames: found by its count, and by what the packets hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio._native import ffi, lib
from support.line import HOLD_NS, PERIOD, RATE, SECOND, START_NS, Line, a_line, counted, counter


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
    with a_line(chunk_frames=PERIOD) as one:
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
        lib.sa_wait_and_read(readers, 1, sleeper, START_NS + SECOND, ffi.NULL, 0)
        one.read()
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


@pytest.mark.parametrize("hours", [11, 14, 100])
def test_a_loss_that_lasts_longer_than_the_count_is_exact(line, hours):
    """Stopped for so long: 32 bits wrap after a day, and half a day is too much for a sign."""
    one = line()
    one.push(at_ns=START_NS + SECOND)
    one.look()
    one.read()
    lost = hours * 3600 * RATE
    one.lose(lost)
    for packet in range(2):
        one.push(at_ns=START_NS + SECOND + lost * SECOND // RATE + packet * SECOND // 187)
        one.look()
    assert one.finish().suspended == lost


@pytest.mark.parametrize("hours", [11, 14, 100])
def test_a_host_whose_count_stood_still_for_so_long_lost_nothing(line, hours):
    one = line()
    for packet in range(2):
        one.push(at_ns=START_NS + SECOND + packet * hours * 3600 * SECOND)
        one.read()
    one.push()
    progress = one.finish()
    assert (progress.host_lost, progress.suspended) == (0, 0)


def test_what_was_believed_too_early_is_told_until_it_is_made_good(line):
    one = line()
    one.push()
    one.push(late=PERIOD)
    one.run_until(START_NS + HOLD_NS + 1)
    assert one.read().host_lost == PERIOD
    one.push()
    assert one.read().unexplained == -PERIOD
    one.lose(PERIOD)
    one.push()
    one.push()
    assert one.finish().unexplained == 0


# ---- periods that were overwritten before they were read ----


class Port:
    """Another client's port: what its frame ``n`` is, and a JACK that serves it by the period."""

    def __init__(self, one, signal=counter):
        self.one = one
        self.signal = signal
        self.cycle = 0

    def period(self, cycle):
        return self.signal(cycle * PERIOD, PERIOD)

    def cycles(self, count):
        for _ in range(count):
            self.one.push(samples=self.period(self.cycle))
            self.cycle += 1

    def late(self, *, holds):
        """One callback a cycle late, then the next in the same cycle.

        ``holds(older, newer)`` is what the late one finds in the port.
        """
        older, newer = self.period(self.cycle), self.period(self.cycle + 1)
        self.one.push(late=PERIOD, samples=holds(older, newer))
        self.one.push(samples=newer)
        self.cycle += 2


def newer_period(older, newer):
    return newer


def older_period(older, newer):
    return older


def begun(older, newer):
    return np.concatenate([newer[:100], older[100:]])


def half_seen(older, newer):
    return np.concatenate([older[:100], newer[100:]])


def second_channel_only(older, newer):
    return np.column_stack([older[:, 0], newer[:, 1]])


def stereo_counter(first, frames):
    return counter(first, frames, channels=2)


@pytest.mark.parametrize("holds", [newer_period, begun, half_seen])
def test_a_period_that_was_overwritten_before_it_was_read_is_lost(line, holds):
    one = line(chunk_frames=PERIOD)
    port = Port(one)
    port.cycles(5)
    port.late(holds=holds)
    port.cycles(5)
    progress = one.finish()
    assert (progress.host_lost, progress.overwritten) == (PERIOD, PERIOD)
    assert progress.position == 12 * PERIOD
    assert one.gaps == [(5 * PERIOD, PERIOD)]
    for (frame, frames, _), data in zip(one.chunks, one.data, strict=True):
        np.testing.assert_array_equal(counted(data[:, 0]), frame + np.arange(frames))


def test_one_channel_may_have_been_overwritten_and_not_the_other(line):
    one = line(channels=2)
    port = Port(one, stereo_counter)
    port.cycles(5)
    port.late(holds=second_channel_only)
    port.cycles(5)
    assert one.finish().overwritten == PERIOD


def test_a_late_callback_that_still_finds_its_period_loses_nothing(line):
    one = line()
    port = Port(one)
    port.cycles(5)
    port.late(holds=older_period)
    port.cycles(5)
    progress = one.finish()
    assert (progress.captured, progress.host_lost, progress.overwritten) == (12 * PERIOD, 0, 0)


def silence(first, frames):
    return np.zeros((frames, 1), np.float32)


def constant(first, frames):
    return np.full((frames, 1), 0.25, np.float32)


def not_a_number(first, frames):
    return np.full((frames, 1), np.nan, np.float32)


def periodic(first, frames):
    """A tone whose waves fit the period, from a table: each period is the same to the bit."""
    wave = np.sin(2 * np.pi * np.arange(64) / 64).astype(np.float32)
    return wave[(first + np.arange(frames)) % 64][:, None]


def tone_after_silence(first, frames):
    return periodic(first, frames) if first >= 5 * PERIOD else silence(first, frames)


def clicks(first, frames):
    return ((first + np.arange(frames)) % PERIOD == 100).astype(np.float32)[:, None]


def quiet_16_bit_noise(first, frames):
    """Neighbouring periods agree in a third of their samples."""
    random = np.random.default_rng(first)
    return random.integers(-1, 2, (frames, 1)).astype(np.float32) / 32768


@pytest.mark.parametrize(
    "signal",
    [silence, constant, not_a_number, periodic, tone_after_silence, clicks, quiet_16_bit_noise],
)
def test_a_signal_that_repeats_by_itself_is_no_loss(line, signal):
    one = line()
    port = Port(one, signal)
    port.cycles(5)
    port.late(holds=older_period)
    port.cycles(5)
    progress = one.finish()
    assert (progress.captured, progress.host_lost) == (12 * PERIOD, 0)


def test_the_same_period_twice_in_two_cycles_is_no_loss(line):
    """Only a callback that was called again at once can have missed its period."""
    one = line()
    port = Port(one)
    port.cycles(5)
    for _ in range(2):
        one.push(samples=port.period(5))
    assert one.finish().overwritten == 0


def test_a_period_lost_before_an_overwritten_one_is_lost_too(line):
    one = line(chunk_frames=PERIOD)
    port = Port(one)
    port.cycles(5)
    one.lose(3 * PERIOD)
    port.cycle += 3
    port.late(holds=newer_period)
    port.cycles(5)
    progress = one.finish()
    assert (progress.host_lost, progress.overwritten) == (4 * PERIOD, PERIOD)
    assert one.gaps == [(5 * PERIOD, 4 * PERIOD)]


def test_an_overwritten_period_is_told_once_the_packet_after_the_two_has_come(line):
    one = line(chunk_frames=PERIOD)
    port = Port(one)
    port.cycles(5)
    port.late(holds=newer_period)
    assert one.read().captured == 5 * PERIOD
    port.cycles(1)
    assert one.read().captured == 7 * PERIOD


def test_at_the_end_an_overwritten_period_is_told_without_it(line):
    one = line()
    port = Port(one)
    port.cycles(5)
    port.late(holds=newer_period)
    assert one.finish().overwritten == PERIOD


def test_callbacks_that_stay_late_until_one_is_overwritten_lose_that_one_period(line):
    """Two in a row are late: a loss is believed. The pair that ends it shows which it was."""
    one = line(chunk_frames=PERIOD)
    port = Port(one)
    port.cycles(5)
    for _ in range(3):
        one.push(late=PERIOD, samples=port.period(port.cycle))
        port.cycle += 1
    port.late(holds=newer_period)
    port.cycles(5)
    progress = one.finish()
    assert (progress.host_lost, progress.overwritten) == (PERIOD, PERIOD)
    assert progress.position == 15 * PERIOD
    assert progress.unexplained == 0
    arrived = [int(counted(data[0, 0])) // PERIOD for data in one.data]
    assert arrived == [*range(8), *range(9, 15)]  # each once
    for (frame, _, _), cycle in zip(one.chunks[8:], arrived[8:], strict=True):
        assert frame == cycle * PERIOD


def test_overwritten_frames_do_not_wait_in_the_ring(line):
    one = line()
    port = Port(one)
    port.cycles(5)
    port.late(holds=newer_period)
    port.cycles(1)
    one.read()
    port.cycles(3)
    assert one.read().ring_fill == 3 * PERIOD


@pytest.mark.parametrize("limit", [5 * PERIOD + 1, 6 * PERIOD, 6 * PERIOD + 1])
def test_a_limit_cuts_an_overwritten_period_to_the_frame(line, limit):
    one = line()
    one.reader.limit = limit
    port = Port(one)
    port.cycles(5)
    port.late(holds=newer_period)
    port.cycles(5)
    progress = one.read()
    assert progress.finished
    assert progress.captured + progress.host_lost == progress.position == limit
    assert progress.host_lost == min(limit, 6 * PERIOD) - 5 * PERIOD


# ---- standing still ----


def play(one, seconds, *, from_ns):
    """Packets on time, from then on; returns when the next is due."""
    packets = round(seconds * RATE / PERIOD)
    for packet in range(packets):
        one.push(at_ns=from_ns + packet * PERIOD * SECOND // RATE)
        one.look()
        one.read()
    return from_ns + packets * PERIOD * SECOND // RATE


@pytest.mark.parametrize("counted_by_host", [True, False])
@pytest.mark.parametrize("proven", [True, False])
def test_what_passes_while_the_process_is_stopped_is_suspended(line, counted_by_host, proven):
    one = line(counted_by_host=counted_by_host)
    next_ns = play(one, 2, from_ns=START_NS)
    one.lose(10 * RATE)
    next_ns += 10 * SECOND
    one.run_until(next_ns)
    one.look(due_ns=next_ns - 10 * SECOND + SECOND // 10 if proven else None)
    play(one, 2, from_ns=next_ns)
    progress = one.finish()
    assert progress.host_lost == 0
    assert progress.suspended == pytest.approx(10 * RATE, abs=PERIOD)
    assert one.gaps == [(2 * RATE, progress.suspended)]


def test_what_the_host_loses_while_the_reader_sleeps_as_it_should_is_the_hosts(line):
    one = line()
    next_ns = play(one, 2, from_ns=START_NS)
    one.look(due_ns=next_ns + SECOND)
    one.lose(RATE)
    one.run_until(next_ns + SECOND)
    one.look(due_ns=next_ns + SECOND)
    play(one, 1, from_ns=next_ns + SECOND)
    progress = one.finish()
    assert (progress.host_lost, progress.suspended) == (RATE, 0)


def test_a_reader_that_python_kept_waiting_while_callbacks_came_explains_no_loss(line):
    """It had no GIL for a second; the host lost a period meanwhile."""
    one = line()
    next_ns = play(one, 1, from_ns=START_NS)
    for packet in range(188):
        if packet == 90:
            one.lose(PERIOD)
            next_ns += PERIOD * SECOND // RATE
        one.push(at_ns=next_ns + packet * PERIOD * SECOND // RATE)
    one.look()
    one.read()
    progress = one.finish()
    assert (progress.host_lost, progress.suspended) == (PERIOD, 0)


def test_a_late_sleep_between_callbacks_that_came_explains_no_loss(line):
    """The reading thread alone was kept from running: a starved machine."""
    one = line()
    next_ns = play(one, 1, from_ns=START_NS)
    due_ns = next_ns
    for packet in range(188):
        if packet == 90:
            one.lose(PERIOD)
            next_ns += PERIOD * SECOND // RATE
        one.push(at_ns=next_ns + packet * PERIOD * SECOND // RATE)
    one.look(due_ns=due_ns)
    one.read()
    progress = one.finish()
    assert (progress.host_lost, progress.suspended) == (PERIOD, 0)


@pytest.mark.parametrize("counted_by_host", [True, False])
def test_what_passes_while_the_machine_sleeps_is_suspended(line, counted_by_host):
    """The clock stood, so the packets seem to come without a break; their frames do not."""
    one = line(counted_by_host=counted_by_host)
    next_ns = play(one, 2, from_ns=START_NS)
    one.run_until(next_ns - 1)
    one.look(suspended_ns=3600 * SECOND)
    for packet in range(200):
        one.push(at_ns=next_ns + packet * PERIOD * SECOND // RATE)
        one.look(suspended_ns=3600 * SECOND)
        one.read()
    progress = one.finish()
    assert (progress.host_lost, progress.suspended) == (0, 3600 * RATE)
    assert one.gaps == [(2 * RATE, 3600 * RATE)]


def test_a_sleep_is_placed_at_the_longest_pause_since_the_machine_was_last_seen_awake(line):
    one = line(chunk_frames=PERIOD)
    next_ns = play(one, 1, from_ns=START_NS)
    read = one.progress.captured
    period_ns = PERIOD * SECOND // RATE
    for pause in (0, 0, 30_000_000, 0, 0):  # the device needs a little to wake up
        next_ns += pause
        one.push(at_ns=next_ns)
        next_ns += period_ns
    one.look(suspended_ns=100 * SECOND)
    one.push(at_ns=next_ns)
    assert one.finish().suspended == 100 * RATE
    assert one.gaps == [(read + 2 * PERIOD, 100 * RATE)]


def test_a_sleep_that_the_host_counted_is_not_counted_twice(line):
    one = line()
    next_ns = play(one, 1, from_ns=START_NS)
    one.look(suspended_ns=100 * SECOND)
    one.lose(101 * RATE)
    for packet in range(3):
        one.push(at_ns=next_ns + packet)
    progress = one.finish()
    assert (progress.host_lost, progress.suspended) == (0, 101 * RATE)


def test_after_a_sleep_the_hosts_losses_are_exact(line):
    one = line()
    next_ns = play(one, 1, from_ns=START_NS)
    one.look(suspended_ns=100 * SECOND)
    one.push(at_ns=next_ns)
    one.push(at_ns=next_ns + 1)
    one.lose(700)
    one.push(at_ns=next_ns + 2)
    one.push(at_ns=next_ns + 3)
    progress = one.finish()
    assert (progress.host_lost, progress.suspended) == (700, 100 * RATE)


def test_a_machine_that_sleeps_before_the_first_packet_misses_nothing(line):
    one = line()
    one.look()
    one.look(suspended_ns=100 * SECOND)
    one.push()
    one.push()
    assert one.finish().suspended == 0
