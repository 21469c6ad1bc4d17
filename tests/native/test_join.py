"""Chunks that gathered can be taken as one, where nothing lies between them (csrc/reader.c)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio._native import ffi, lib
from stream_audio._native.capture import (
    ARRIVAL_NS,
    FRAME,
    FRAMES,
    MARKS,
    NONFINITE,
    OFFSET,
    OVERFLOWS,
    RING_LOST,
    TIME_NS,
    Capture,
    Reader,
)
from support.effort import examples
from support.line import RATE, SECOND

CHUNK = 100
CHANNELS = 2
ALL = 2**40  # frames

SOUND, SILENT, LOUD, BROKEN = 0.0625, 0.0, 1.0, np.nan


class Fed:
    """A reader whose packets are chunks, of samples of one kind each."""

    def __init__(self, ring_chunks=100):
        self.clock = lib.sa_virtual_clock_create(SECOND, lib.SA_NEVER)
        self.capture = Capture(self.clock, RATE, CHANNELS, ring_chunks * CHUNK, CHUNK)
        # Of a block that holds them all.
        self.reader = Reader(self.capture, CHUNK, freewheel=True)
        self.info = ffi.new("sa_host_info *")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.capture.close()
        lib.sa_virtual_clock_destroy(self.clock)

    def push(self, *levels, overflow=False):
        """Each is of all channels, or one for each."""
        self.info.flags = lib.SA_PACKET_OVERFLOW if overflow else 0
        for level in levels:
            samples = np.full((CHUNK, CHANNELS), level, np.float32)
            samples[::2] *= -0.5
            lib.sa_capture_push(
                self.capture.native, ffi.from_buffer("float[]", samples), CHUNK, self.info
            )

    def take(self, join):
        self.reader.make_room()
        lib.sa_reader_read(self.reader.native)
        return self.reader.take(join)


def taken(levels, join):
    with Fed() as fed:
        fed.push(*levels)
        block, first, rows = fed.take(join)
        data = [block.samples[row[OFFSET] : row[OFFSET] + row[FRAMES]].copy() for row in rows]
        figures = [
            (block.peaks[first + i].tolist(), block.squares[first + i].tolist())
            for i in range(len(rows))
        ]
    return rows, data, figures


def test_what_gathered_is_one_chunk():
    (row,), (data,), _ = taken([SOUND] * 7, ALL)
    (*_, last), apart, _ = taken([SOUND] * 7, 0)
    assert (row[FRAME], row[FRAMES]) == (0, 7 * CHUNK)
    assert row[ARRIVAL_NS] == last[ARRIVAL_NS]
    assert np.array_equal(data, np.concatenate(apart))


def test_its_time_is_that_of_its_first_frame():
    (row,), _, _ = taken([SOUND] * 7, ALL)
    first, *_ = taken([SOUND] * 7, 0)[0]
    assert row[TIME_NS] == first[TIME_NS]


def test_its_levels_are_those_of_all_of_it():
    _, _, [(peaks, squares)] = taken([0.25, 0.5, 0.25], ALL)
    assert peaks == [0.5, 0.5]
    one = CHUNK / 2 * (1 + 0.25)  # of samples of full scale, every other one halved
    assert squares == pytest.approx([one * (0.0625 + 0.25 + 0.0625)] * 2)


@pytest.mark.parametrize(("join", "lengths"), [(0, [1] * 7), (CHUNK, [1] * 7), (350, [3, 3, 1])])
def test_it_has_no_more_frames_than_were_asked_for(join, lengths):
    rows, _, _ = taken([SOUND] * 7, join)
    assert [row[FRAMES] // CHUNK for row in rows] == lengths


def test_silence_is_as_long_as_it_was():
    rows, _, _ = taken([SOUND, SILENT, SILENT, SILENT, SOUND, SOUND], ALL)
    assert [row[FRAMES] // CHUNK for row in rows] == [1, 3, 2]
    assert [row[MARKS] for row in rows] == [0, lib.SA_MARK_SILENT, 0]


def test_silence_of_each_channel_is_as_long_as_it_was():
    first, second = (SOUND, SILENT), (SILENT, SOUND)
    rows, _, _ = taken([first, first, second, SILENT, second, second], ALL)
    assert [row[FRAMES] // CHUNK for row in rows] == [2, 1, 1, 2]


def test_what_is_loud_marks_all_of_it():
    (row,), _, _ = taken([SOUND, LOUD, SOUND], ALL)
    assert row[MARKS] == lib.SA_MARK_LOUD


def test_samples_that_are_no_numbers_stay_by_themselves():
    rows, _, _ = taken([SOUND, BROKEN, BROKEN, SOUND], ALL)
    assert [row[FRAMES] // CHUNK for row in rows] == [1] * 4
    assert [bool(row[MARKS] & NONFINITE) for row in rows] == [False, True, True, False]


def test_a_loss_keeps_what_is_before_it_and_after_it_apart():
    with Fed(ring_chunks=3) as fed:
        fed.push(*[SOUND] * 5)  # two of which do not fit
        early = fed.take(ALL)[2]
        fed.push(SOUND, SOUND)
        late = fed.take(ALL)[2]
    assert [(row[FRAME], row[FRAMES]) for row in early + late] == [(0, 300), (500, 200)]
    assert [row[RING_LOST] for row in early + late] == [0, 200]


def test_a_loss_in_the_middle_of_what_gathered():
    with Fed(ring_chunks=3) as fed:
        fed.push(*[SOUND] * 4)
        lib.sa_reader_read(fed.reader.native)
        fed.push(SOUND, SOUND)
        _, _, rows = fed.take(ALL)
    assert [(row[FRAME], row[FRAMES], row[RING_LOST]) for row in rows] == [
        (0, 300, 0),
        (400, 200, 100),
    ]


def test_the_overflows_of_all_are_counted():
    with Fed() as fed:
        fed.push(SOUND, overflow=True)
        fed.push(SOUND, SOUND)
        fed.push(SOUND, overflow=True)
        _, _, (row,) = fed.take(ALL)
    assert row[OVERFLOWS] == 2


def test_what_comes_later_stands_behind_it():
    with Fed() as fed:
        fed.push(SOUND, SOUND, SOUND)
        block, _, (row,) = fed.take(ALL)
        seen = block.samples[: row[FRAMES]].copy()
        fed.push(LOUD, LOUD)
        again, first, (late,) = fed.take(ALL)
        assert again is block
        assert first == 3
        assert (late[FRAME], late[OFFSET], late[FRAMES]) == (300, 300, 200)
        assert block.peaks[first].tolist() == [1.0, 1.0]
        assert np.array_equal(block.samples[: row[FRAMES]], seen)


@settings(derandomize=True, deadline=None, max_examples=examples(200))
@given(
    levels=st.lists(st.sampled_from([SOUND, 0.125, SILENT, LOUD, BROKEN]), max_size=40),
    join=st.integers(0, 12 * CHUNK),
)
def test_joined_or_not_it_is_the_same_audio(levels, join):
    rows, data, figures = taken(levels, join)
    apart, samples, single = taken(levels, 0)
    assert [row[FRAMES] for row in apart] == [CHUNK] * len(levels)
    whole = np.concatenate([*samples, np.empty((0, CHANNELS))])
    assert np.array_equal(np.concatenate([*data, np.empty((0, CHANNELS))]), whole, equal_nan=True)
    index = 0
    for row, (peaks, squares) in zip(rows, figures, strict=True):
        assert row[FRAME] == index * CHUNK
        count = row[FRAMES] // CHUNK
        assert count == 1 or row[FRAMES] <= join
        assert row[TIME_NS] == apart[index][TIME_NS]
        part = single[index : index + count]
        marks = [each[MARKS] for each in apart[index : index + count]]
        assert row[MARKS] == np.bitwise_or.reduce(marks)
        assert count == 1 or not row[MARKS] & NONFINITE
        assert len({each & lib.SA_MARK_SILENT for each in marks}) == 1
        np.testing.assert_array_equal(peaks, np.max([each[0] for each in part], axis=0))
        np.testing.assert_allclose(squares, np.sum([each[1] for each in part], axis=0))
        index += count
    assert index == len(levels)
