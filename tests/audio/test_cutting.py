"""Cutting chunks and the gaps before them, exact to the frame."""

import numpy as np
import pytest

from stream_audio.audio.cutting import cut, gaps_from
from support.chunks import make_chunk, make_gap, positions, time_of


def test_a_part_is_a_view_in_its_place():
    chunk = make_chunk(100, 50)
    part = cut(chunk, 110, 130)
    assert positions(part) == list(range(110, 130))
    assert (part.frame, part.end) == (110, 130)
    assert part.time == pytest.approx(time_of(110), abs=1e-9)
    assert np.shares_memory(part.data, chunk.data)
    assert part.peak[0] == pytest.approx(20 * np.log10(129))


def test_the_whole_chunk_is_the_chunk_itself():
    chunk = make_chunk(100, 50, missing=10)
    assert cut(chunk, 100, 150) is chunk


def test_only_the_part_that_begins_with_the_chunk_tells_what_is_before_it():
    chunk = make_chunk(100, 50, missing=10)
    object.__setattr__(chunk, "overflows", 1)
    first, second = cut(chunk, 100, 120), cut(chunk, 120, 150)
    assert (first.gaps, first.overflows) == (chunk.gaps, 1)
    assert (second.gaps, second.overflows) == ((), 0)


def test_gaps_are_cut_too():
    chunk = make_chunk(100, 50, missing=10)
    assert gaps_from(chunk, 80) is chunk
    assert gaps_from(chunk, 90) is chunk
    (kept,) = gaps_from(chunk, 94).gaps
    assert (kept.frame, kept.frames) == (94, 6)
    assert kept.time == pytest.approx(time_of(94), abs=1e-9)
    assert gaps_from(chunk, 100).gaps == ()


def test_of_several_gaps_the_late_ones_stay():
    chunk = make_chunk(100, 50)
    early, late = make_gap(70, 10), make_gap(80, 20)
    object.__setattr__(chunk, "gaps", (early, late))
    assert gaps_from(chunk, 80).gaps == (late,)
