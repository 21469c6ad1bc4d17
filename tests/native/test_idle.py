"""While an output sleeps its timeline runs on, in silence that says that nobody captured it."""

import itertools

import pytest

from stream_audio._native import ffi, lib
from stream_audio._native.capture import FRAME, FRAMES, IDLE, MARKS, SUSPENDED, TIME_NS
from support.line import RATE, SECOND, START_NS, a_line

LOOK = lib.SA_IDLE_LOOK_NS
PERIOD = RATE // 100
MS = SECOND // 1000


class Output:
    """An output whose monitor is recorded, and what sees to its silence."""

    def __init__(self, line):
        self.line = line
        self.idle = ffi.new("sa_idle *")
        assert lib.sa_idle_init(self.idle, line.capture, PERIOD)
        self.now = START_NS
        self.begun = START_NS
        lib.sa_idle_begin(self.idle, self.now)

    def wait(self, seconds, *, asleep=False, alive=True, every=LOOK):
        """Let the time pass, with a look at the device now and then."""
        end = self.now + round(seconds * SECOND)
        while self.now + every <= end:
            self.now += every
            self.line.run_until(self.now)
            lib.sa_idle_look(self.idle, self.now, asleep, alive)
            self.line.read()
        self.now = end
        self.line.run_until(end)

    def play(self, packets, *, woken=False):
        """Let the device deliver, in time."""
        for number in range(packets):
            self.now += PERIOD * SECOND // RATE
            self.line.run_until(self.now)
            lib.sa_idle_end(self.idle, self.now, PERIOD, woken and number == 0)
            self.line.push(PERIOD)
            self.line.read()

    def end(self):
        """Return the rows of all chunks; each must have its time."""
        progress = self.line.finish()
        rows = self.line.rows
        for frame, time in rows[:, [FRAME, TIME_NS]].tolist():
            assert time == pytest.approx(self.begun + frame * SECOND / RATE, abs=2 * MS)
        lib.sa_idle_free(self.idle)
        return rows, progress


def idle_frames(rows):
    return sum(rows[rows[:, MARKS] & IDLE > 0, FRAMES])


@pytest.fixture
def output():
    with a_line(counted_by_host=False, ring_frames=20 * RATE) as line:
        yield Output(line)


def test_what_has_not_begun_is_not_silent(output):
    lib.sa_idle_begin(output.idle, 0)
    output.wait(1)
    rows, _ = output.end()
    assert len(rows) == 0


def test_an_output_that_sleeps_from_the_start_has_a_timeline_from_the_start(output):
    output.wait(10)
    assert output.line.progress.position >= 9.8 * RATE
    output.play(100)
    rows, progress = output.end()
    assert progress.position == 11 * RATE
    assert idle_frames(rows) == 10 * RATE
    assert (progress.host_lost, progress.unexplained, progress.suspended) == (0, 0, 0)


def test_sound_after_silence_is_in_its_place_to_the_frame(output):
    output.wait(1.2345)
    output.play(10)
    rows, _ = output.end()
    first_sound = rows[rows[:, MARKS] & IDLE == 0][0]
    assert first_sound[FRAME] == round(1.2345 * RATE)


def test_a_sleep_that_the_server_tells_counts_at_once(output):
    output.play(100)
    output.wait(0.5, asleep=True)
    output.play(100, woken=True)
    rows, progress = output.end()
    assert idle_frames(rows) == RATE // 2
    assert progress.position == 2.5 * RATE
    assert (progress.host_lost, progress.suspended, progress.unexplained) == (0, 0, 0)


def test_one_too_short_for_a_look_counts_as_well(output):
    output.play(10)
    output.wait(0.05, asleep=True)
    output.play(10, woken=True)
    rows, _ = output.end()
    assert idle_frames(rows) == RATE // 20


def test_packets_that_are_late_are_not_torn_apart_by_silence(output):
    output.play(100)
    output.wait(2)  # the server is busy
    for _ in range(200):
        lib.sa_idle_end(output.idle, output.now, PERIOD, False)
        output.line.push(PERIOD)
    output.play(100)
    _, progress = output.line.finish(), output.line.progress
    assert idle_frames(output.line.rows) == 0
    assert progress.position == 4 * RATE
    lib.sa_idle_free(output.idle)


def test_nothing_for_long_from_a_server_that_answers_is_silence(output):
    output.play(100)
    output.wait(5)
    output.play(100)
    rows, progress = output.end()
    assert idle_frames(rows) == 5 * RATE
    assert (progress.host_lost, progress.unexplained) == (0, 0)


def test_a_server_that_does_not_answer_is_no_silent_one(output):
    output.play(100)
    output.wait(5, alive=False)
    assert output.line.progress.position == RATE
    lib.sa_idle_free(output.idle)


def test_a_process_that_was_stopped_has_packets_to_come(output):
    output.play(100)
    output.wait(60, every=10 * SECOND)  # each look comes long after the last
    assert output.line.progress.position == RATE
    lib.sa_idle_free(output.idle)


def test_a_stop_within_a_silence_is_a_gap_that_fits_any_ring(output):
    output.wait(1)
    output.wait(3600, asleep=True, every=3600 * SECOND)
    rows, progress = output.end()
    assert progress.ring_lost == 0
    assert progress.suspended == pytest.approx(3590 * RATE, abs=RATE)
    assert progress.position == pytest.approx(3601 * RATE, abs=RATE // 10)
    assert sum(rows[:, SUSPENDED]) == progress.suspended


def test_a_chunk_is_all_silence_that_was_made_up_or_none_of_it(output):
    output.wait(0.55)
    output.play(50)
    output.wait(0.33, asleep=True)
    output.play(50, woken=True)
    rows, _ = output.end()
    spans = [(row[FRAME], row[FRAME] + row[FRAMES]) for row in rows.tolist()]
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert idle_frames(rows) == round(0.88 * RATE)


def test_silence_that_does_not_fit_the_ring_does_not_mark_what_follows():
    with a_line(counted_by_host=False, ring_frames=RATE // 10) as line:
        one = Output(line)
        for _ in range(20):  # nobody reads
            one.now += LOOK
            lib.sa_idle_look(one.idle, one.now, True, True)
        line.read()
        lib.sa_idle_end(one.idle, one.now, PERIOD, False)
        line.read()
        line.push(PERIOD)
        line.finish()
        assert not line.rows[-1, MARKS] & IDLE
        lib.sa_idle_free(one.idle)
