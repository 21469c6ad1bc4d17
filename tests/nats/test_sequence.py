"""Chunks that come twice, cut otherwise or out of order come out in order, each frame once."""

import itertools
import random

import pytest

from stream_audio import GapCause
from stream_audio.nats.sequence import MOST_HELD, Sequence
from support.chunks import make_chunk, make_gap, positions


def frames_of(chunks):
    return [number for chunk in chunks for number in positions(chunk)]


def test_what_comes_twice_comes_out_once():
    frames = Sequence(patience=30.0)
    given = []
    for begin, count in [(0, 10), (10, 10), (0, 10), (5, 10), (15, 10), (0, 25), (25, 5)]:
        given += frames.push(make_chunk(begin, count), 0.0)
    assert frames_of(given) == list(range(30))
    assert all(chunk.gaps == () for chunk in given)
    assert frames.next == 30


def test_what_comes_late_is_waited_for():
    frames = Sequence(patience=30.0)
    assert frames_of(frames.push(make_chunk(0, 10), 0.0)) == list(range(10))
    assert frames.push(make_chunk(20, 10), 1.0, 7) == []
    assert frames.push(make_chunk(30, 10), 2.0, 8) == []
    assert frames.oldest_held == 7
    assert frames_of(frames.push(make_chunk(10, 10), 30.9)) == list(range(10, 40))
    assert frames.oldest_held is None


def test_what_never_comes_is_a_gap_after_a_while():
    frames = Sequence(patience=30.0)
    frames.push(make_chunk(0, 10), 0.0)
    assert frames.push(make_chunk(20, 10), 1.0) == []
    assert frames.due(30.9) == []
    (chunk,) = frames.due(31.0)
    (gap,) = chunk.gaps
    assert (gap.frame, gap.frames, gap.cause) == (10, 10, GapCause.NOT_RECEIVED)
    assert gap.time == pytest.approx(chunk.time - 10 / chunk.sample_rate)


def test_a_hole_that_a_gap_explains_is_not_waited_for():
    frames = Sequence(patience=30.0)
    frames.push(make_chunk(0, 10), 0.0)
    (chunk,) = frames.push(make_chunk(20, 10, missing=10), 0.0)
    assert chunk.gaps == (make_gap(10, 10),)


def test_a_gap_that_explains_a_part_is_told_with_the_rest():
    frames = Sequence(patience=30.0)
    frames.push(make_chunk(0, 10), 0.0)
    assert frames.push(make_chunk(30, 10, missing=5), 0.0) == []
    (chunk,) = frames.due(30.0)
    assert [(gap.frame, gap.frames) for gap in chunk.gaps] == [(10, 15), (25, 5)]
    assert [gap.cause for gap in chunk.gaps] == [GapCause.NOT_RECEIVED, GapCause.HOST_OVERFLOW]


def test_a_gap_of_frames_that_came_after_all_is_not_told():
    frames = Sequence(patience=30.0)
    frames.push(make_chunk(0, 25), 0.0)
    (chunk,) = frames.push(make_chunk(30, 10, missing=10), 0.0)
    assert [(gap.frame, gap.frames) for gap in chunk.gaps] == [(25, 5)]


def test_it_holds_no_more_than_a_minute_of_audio():
    frames = Sequence(patience=3600.0)
    frames.push(make_chunk(0, 10), 0.0)
    given, begin = [], 20
    while not given:
        given = frames.push(make_chunk(begin, 48_000), 0.0)
        begin += 48_000
    assert (MOST_HELD - 1) * 48_000 < begin <= (MOST_HELD + 2) * 48_000
    assert given[0].gaps[0].frames == 10


def test_a_start_leaves_out_what_was_before():
    frames = Sequence(patience=30.0, start=15)
    assert frames.push(make_chunk(0, 10), 0.0) == []
    assert frames_of(frames.push(make_chunk(10, 10), 0.0)) == list(range(15, 20))


@pytest.mark.parametrize("seed", range(200))
def test_any_order_of_overlapping_pieces_gives_each_frame_once(seed):
    rng = random.Random(seed)
    cuts = sorted({0, 300, *(rng.randrange(1, 300) for _ in range(20))})
    pieces = list(itertools.pairwise(cuts))
    pieces += [
        (begin, min(300, begin + rng.randrange(1, 60))) for begin in rng.sample(range(300), 10)
    ]
    shuffled = sorted(pieces, key=lambda piece: piece[0] + rng.uniform(0, 80))
    frames, given = Sequence(patience=30.0, start=0), []
    for begin, end in shuffled:
        given += frames.push(make_chunk(begin, end - begin), 0.0)
    assert frames_of(given) == list(range(300))
