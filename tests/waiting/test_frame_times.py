"""When frames were captured, by those whose packets told it: fixed places, in one order."""

import pytest

from stream_audio.waiting.frame_times import FrameTimes

RATE = 1000


def known():
    times = FrameTimes(RATE)
    for frame in (200, 250, 300):
        times.note(frame, 10.0 + frame / RATE, None)
    return times


def test_nothing_is_known_before_the_first_stamp():
    assert FrameTimes(RATE).before(0) is None


def test_the_first_stamp_tells_of_all_frames_since_the_take_began():
    times = known()
    first = times.before(0)
    assert (first.since, first.frame) == (0, 200)
    assert times.time_of(0, first) == pytest.approx(10.0)


def test_a_frame_counts_from_the_last_stamp_before_it():
    times = known()
    assert [times.before(frame).frame for frame in (249, 250, 299, 300, 9000)] == [
        200,
        250,
        250,
        300,
        300,
    ]


def test_stamps_within_frames_are_found_whatever_the_frames_are_cut_at():
    times = known()
    whole = times.within(0, 301)
    pieces = [each for start in range(0, 301, 7) for each in times.within(start, start + 7)]
    assert pieces == whole
    assert [each.frame for each in whole] == [200, 250, 300]


def test_a_take_that_begins_is_unknown_until_its_own_first_stamp():
    times = known()
    times.begin(400)
    assert times.before(399).frame == 300
    assert times.before(400) is None
    times.note(600.5, 99.0, None)
    assert (times.before(400).since, times.before(400).frame) == (400, 600.5)


def test_old_ones_are_forgotten_and_what_is_kept_stays_known():
    times = FrameTimes(RATE)
    times.kept = 2.0
    for frame in range(0, 20_000, 50):
        times.note(frame, frame / RATE, None)
    assert times.before(100) is None
    assert times.before(19_950 - 2000).frame == 17_950
    assert len(times.within(0, 20_000)) < 110
