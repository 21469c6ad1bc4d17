"""Memory that chunks are written to is used again, once nobody can see it (_native/capture.py)."""

import random

import numpy as np
import pytest

from stream_audio._native import ffi, lib
from stream_audio._native.capture import FRAMES, OFFSET, Block, Capture, Reader
from support.line import RATE, SECOND

CHUNK = RATE // 10


@pytest.fixture
def block():
    return Block(480, 10, 2)


def test_one_that_nobody_sees_is_free(block):
    assert block.reclaim()


@pytest.mark.parametrize(
    "look_at",
    [
        lambda block: block.samples[:10],
        lambda block: block.samples[:10][2:4, 1],
        lambda block: block.samples[5:].T,
        lambda block: memoryview(block.samples[:10]),
        lambda block: np.frombuffer(block.samples[:10], np.int32),
        lambda block: block.peaks[3],
        lambda block: block.squares[3],
    ],
    ids=["chunk", "slice", "transposed", "memoryview", "frombuffer", "peaks", "squares"],
)
def test_one_that_somebody_sees_is_not(block, look_at):
    seen = look_at(block)
    before = np.array(seen)
    assert not block.reclaim()
    assert np.array_equal(seen, before)


def test_one_that_was_seen_is_free_as_soon_as_nobody_does(block):
    seen = [block.samples[:10], memoryview(block.samples[3:]), block.peaks[3], block.squares[3]]
    del seen
    assert block.reclaim()
    assert block.reclaim()


class Fed:
    """A reader that is fed by hand, and remembers its blocks."""

    def __init__(self, *, freewheel=True):
        self.clock = lib.sa_virtual_clock_create(SECOND, lib.SA_NEVER)
        self.capture = Capture(self.clock, RATE, 1, 10 * RATE, CHUNK)
        self.reader = Reader(self.capture, CHUNK, freewheel=freewheel)
        self.info = ffi.new("sa_host_info *")
        self.frames = 0

    def close(self):
        self.reader.close()
        self.capture.close()
        lib.sa_virtual_clock_destroy(self.clock)

    def push(self, seconds):
        count = int(seconds * RATE)
        samples = np.arange(self.frames, self.frames + count, dtype=np.float32)
        for chunk in samples.reshape(-1, CHUNK):
            data = ffi.from_buffer("float[]", chunk)
            lib.sa_capture_push(self.capture.native, data, CHUNK, self.info)
        self.frames += count
        return count

    def take(self, seconds):
        """Return the chunks of so many seconds, which count up, and the block that they are in."""
        count = self.push(seconds)
        self.reader.make_room()
        lib.sa_reader_read(self.reader.native)
        block, _, rows = self.reader.take()
        chunks = [block.samples[row[OFFSET] : row[OFFSET] + row[FRAMES]] for row in rows]
        assert not count or sum(map(len, chunks)) == count
        return chunks, block


@pytest.fixture
def fed():
    one = Fed()
    yield one
    one.close()


def test_a_block_is_used_again_when_its_chunks_are_gone(fed):
    blocks = [fed.take(1)[1] for _ in range(6)]
    assert blocks[2::2] == [blocks[0]] * 2
    assert blocks[3::2] == [blocks[1]] * 2


def test_one_of_a_chunk_that_was_kept_is_not(fed):
    kept, block = fed.take(1)
    del kept[1:]
    assert all(fed.take(1)[1] is not block for _ in range(6))


def test_levels_begin_with_nothing_in_a_block_that_is_used_again(fed):
    levels = []
    for _ in range(4):
        fed.frames = 0
        _, block = fed.take(1)
        levels.append((block.peaks[:10].tolist(), block.squares[:10].tolist()))
    assert levels == [levels[0]] * 4


def test_what_a_stall_needed_is_not_kept():
    fed = Fed(freewheel=False)
    usual = fed.take(1)[1].frames
    fed.take(1)
    fed.push(8)
    sizes = [fed.take(0)[1].frames for _ in range(3)]
    assert max(sizes) >= 6 * RATE  # it was read in one go
    sizes = [fed.take(1)[1].frames for _ in range(6)]
    assert set(sizes[2:]) == {usual}
    fed.close()


def test_kept_chunks_never_change(fed):
    dice = random.Random(5)
    kept = []
    for _ in range(60):
        chunks, _ = fed.take(1)
        for chunk in dice.sample(chunks, dice.randint(0, 2)):
            seen = dice.choice([chunk, chunk[7:], memoryview(chunk)])
            kept.append((seen, np.array(seen)))
    assert len(kept) > 30
    for seen, then in kept:
        assert np.array_equal(seen, then)
