"""A capture and its reader against a model: where every frame goes, to the frame.

The device counts its frames, and each sample is the count of its frame. The model knows the
device's side (what was pushed, what the host lost) and derives from it alone what the chunks must
be; how the reader's turns and blocks fall must make no difference.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from stream_audio._native import ffi, lib
from stream_audio._native.capture import (
    FRAME,
    FRAMES,
    HOST_LOST,
    OFFSET,
    OVERFLOWS,
    RING_LOST,
    Block,
)
from support.effort import examples

NEVER = 2**63 - 1
START_NS = 1_000_000_000_000


@dataclass
class Packet:
    """What a callback brought that went into the ring."""

    device: int  # the device's count at its first frame
    frames: int
    ring_lost: int  # frames just before it that did not fit
    host_lost: int  # and before it, that the host lost
    late: int  # frames by which the host's count was read too late
    flagged: bool


@dataclass
class Chunk:
    frame: int
    frames: int
    ring_lost: int
    host_lost: int
    overflows: int


class Rig:
    """A capture on a virtual clock that stands still, a device, a reader, and their model."""

    def __init__(
        self,
        *,
        channels=1,
        ring_frames=1000,
        packet_slots=100,
        chunk_frames=10,
        block_chunks=1000,
        block_rows=1000,
        counted_by_host=True,
        host_start=0,
        limit=NEVER,
    ):
        self.clock = ffi.gc(
            lib.sa_virtual_clock_create(START_NS, lib.SA_NEVER), lib.sa_virtual_clock_destroy
        )
        self.capture = lib.sa_capture_create(
            self.clock, 48_000, channels, ring_frames, packet_slots
        )
        assert self.capture != ffi.NULL
        self.capture.counted_by_host = counted_by_host
        self.counted_by_host = counted_by_host
        # No packet is decided by the passing of time.
        self.reader = lib.sa_reader_create(self.capture, chunk_frames, False, NEVER)
        self.reader.limit = limit
        self.progress = self.reader.progress
        self.channels = channels
        self.ring_frames = ring_frames
        self.packet_slots = packet_slots
        self.chunk_frames = chunk_frames
        self.block_size = (block_chunks * chunk_frames, block_rows)
        self.host_start = host_start
        self.limit = limit

        self.device = 0
        self.packets = []
        self.callbacks = 0
        self.carried = 0  # did not fit since the last packet
        self.carried_flag = False
        self.overflowing = False
        self.host_lost = 0  # lost by the host since the last packet
        self.finished = False
        self.blocks = []  # with the number of rows that were taken from each
        self.lend()

    def close(self):
        lib.sa_reader_destroy(self.reader)
        lib.sa_capture_destroy(self.capture)

    # ---- the device ----

    def samples(self, device, frames):
        """Exact in float32; the channels differ in sign and size."""
        counts = np.arange(device, device + frames, dtype=np.float32)[:, None] * 2.0**-24
        signs = np.resize(np.float32([1, -1, 0.5]), self.channels)
        return counts * signs

    def push(self, frames, *, late=0, flagged=False, no_buffer=False):
        """One callback; returns how many of its frames went in, which the model foretells."""
        room = self.ring_frames - (self.stored - self.progress.captured)
        slots = self.packet_slots - self.waiting_packets
        eighth = max(1, self.ring_frames // 8), max(1, self.packet_slots // 8)
        needed = eighth if self.overflowing else (1, 1)
        if no_buffer or room < needed[0] or slots < needed[1]:
            room = 0
        stored = min(frames, room)
        if not no_buffer:
            self.overflowing = stored < frames
        samples = self.samples(self.device, frames)
        host = ffi.new(
            "sa_host_info *",
            {
                "host_frame": (self.host_start + self.device + late) % 2**32,
                "flags": lib.SA_PACKET_OVERFLOW if flagged else 0,
            },
        )
        buffer = ffi.NULL if no_buffer else ffi.cast("float *", samples.ctypes.data)
        lib.sa_capture_push(self.capture, buffer, frames, host)
        self.callbacks += 1
        flagged |= self.carried_flag  # of callbacks that left no record
        if stored:
            self.packets.append(
                Packet(self.device, stored, self.carried, self.host_lost, late, flagged)
            )
            self.carried = self.host_lost = 0
        self.carried_flag = flagged and not stored
        self.carried += frames - stored
        self.device += frames
        assert lib.sa_capture_count(self.capture).stored == self.stored
        return stored

    def lose(self, frames):
        """Frames that never reach the callback."""
        self.host_lost += frames
        self.device += frames

    def finish(self):
        lib.sa_capture_finish(self.capture)
        self.finished = True

    # ---- the reader ----

    def lend(self):
        block = Block(*self.block_size, self.channels)
        self.blocks.append([block, 0])
        lib.sa_reader_lend(self.reader, block.native)

    def read(self):
        lib.sa_reader_read(self.reader)
        self.blocks[-1][1] = self.progress.rows

    def read_to_the_end(self):
        if not self.finished:
            self.finish()
        self.read()
        while not self.progress.finished:
            assert self.progress.waiting > 0
            self.lend()
            self.read()

    # ---- the model ----

    @property
    def stored(self):
        return sum(packet.frames for packet in self.packets)

    @property
    def waiting_packets(self):
        """Packets that are not read entirely: their records still take room."""
        read = self.progress.captured
        waiting = len(self.packets)
        for packet in self.packets:
            read -= packet.frames
            if read < 0:
                break
            waiting -= 1
        return waiting

    def losses(self):
        """Yield each packet that can be judged by now, with what the host is found to have lost.

        A rise of the host's count is a loss once a later packet shows that it stays; one that was
        late falls back. When nothing follows any more, the rise is believed.
        """
        for index, packet in enumerate(self.packets):
            if not self.counted_by_host or index == 0:
                yield packet, 0
                continue
            # Packets that must follow: one shows the fall, the next that it has ended.
            needed = (packet.late > 0) + (packet.host_lost > 0)
            following = len(self.packets) - 1 - index
            if following >= needed:
                yield packet, packet.host_lost
            elif self.finished:
                late = packet.late if following == 0 else 0
                yield packet, packet.host_lost + late
            else:
                return

    def timeline(self):
        """Yield (what, frames) in the order of the timeline, and at each packet the packet."""
        for packet, host_lost in self.losses():
            yield "ring_lost", packet.ring_lost
            yield "host_lost", host_lost
            yield "captured", packet
        if self.finished:
            yield "ring_lost", self.carried

    def expected(self):
        """Return the chunks, and what became of the frames after the last of them."""
        chunks = []
        pending = {"ring_lost": 0, "host_lost": 0}
        room = None  # frames until the chunk under way is complete
        position = 0
        for what, piece in self.timeline():
            if what != "captured":
                frames = min(piece, self.limit - position)
                pending[what] += frames
                position += frames
                if piece:
                    room = None
                continue
            left = min(piece.frames, self.limit - position)
            while left > 0:
                if not room:
                    chunks.append(Chunk(position, 0, overflows=0, **pending))
                    pending = {"ring_lost": 0, "host_lost": 0}
                    room = self.chunk_frames
                taken = min(left, room)
                chunks[-1].frames += taken
                room -= taken
                position += taken
                left -= taken
                if left == 0 and piece.flagged:
                    chunks[-1].overflows += 1
        return chunks, pending, position

    # ---- what must be so ----

    def chunks(self):
        """Return the chunks that were read so far, having looked at each of their samples."""
        chunks = []
        device_of = self.device_frames()
        for block, rows in self.blocks:
            for index, row in enumerate(block.rows[:rows].tolist()):
                chunks.append(
                    Chunk(row[FRAME], row[FRAMES], row[RING_LOST], row[HOST_LOST], row[OVERFLOWS])
                )
                data = block.samples[row[OFFSET] : row[OFFSET] + row[FRAMES]]
                expected = self.samples(device_of[row[FRAME]], row[FRAMES])
                assert np.array_equal(data, expected)
                assert np.array_equal(block.peaks[index], np.abs(data).max(axis=0))
                squares = (data.astype(np.float64) ** 2).sum(axis=0)
                np.testing.assert_allclose(block.squares[index], squares, rtol=1e-12)
        return chunks

    def device_frames(self):
        """Map each captured position of the timeline to the device's own count."""
        frames = {}
        position = 0
        for what, piece in self.timeline():
            if what == "captured":
                for i in range(piece.frames):
                    frames[position + i] = piece.device + i
                position += piece.frames
            else:
                position += piece
        return frames

    def check_progress(self):
        """After a read: all that could be read has been, unless the block is full."""
        progress = self.progress
        chunks, _, position = self.expected()
        captured = sum(chunk.frames for chunk in chunks)
        if progress.waiting == 0:
            assert progress.captured == captured
        else:
            assert progress.captured < captured
            assert not self.reader.chunk_open
            frames, rows = self.block_size
            full = frames - self.reader.used_frames < self.chunk_frames
            assert full or progress.rows == rows
        lost = progress.ring_lost + progress.host_lost
        if progress.finished:
            assert progress.captured + lost == progress.position == position
        assert 0 <= progress.ring_fill <= progress.ring_highest <= self.ring_frames

    def check_end(self):
        progress = self.progress
        chunks, trailing, position = self.expected()
        assert self.chunks() == chunks
        assert progress.position == position
        assert progress.captured == sum(chunk.frames for chunk in chunks)
        assert progress.trailing_ring_lost == trailing["ring_lost"]
        assert progress.trailing_host_lost == trailing["host_lost"]
        for what in ("ring_lost", "host_lost"):
            in_chunks = sum(getattr(chunk, what) for chunk in chunks)
            assert getattr(progress, what) == in_chunks + trailing[what]
        assert progress.captured + progress.ring_lost + progress.host_lost == position
        for chunk, following in pairwise(chunks):
            whole = chunk.frames == self.chunk_frames
            assert whole or following.frame > chunk.frame + chunk.frames
        if self.limit == NEVER:
            counts = lib.sa_capture_count(self.capture)
            assert (counts.stored, counts.lost) == (progress.captured, progress.ring_lost)
            assert counts.callbacks == self.callbacks
            assert progress.packets == len(self.packets)
            assert progress.overflows == sum(packet.flagged for packet in self.packets)


class CaptureModel(RuleBasedStateMachine):
    """Any order of callbacks, losses and reads."""

    rig = None

    @initialize(
        channels=st.integers(1, 3),
        ring_frames=st.one_of(st.integers(1, 20), st.integers(1, 300)),
        packet_slots=st.one_of(st.integers(1, 4), st.integers(5, 30)),
        chunk_frames=st.integers(1, 50),
        block_chunks=st.integers(1, 4),
        block_rows=st.integers(1, 6),
        counted_by_host=st.booleans(),
        host_start=st.sampled_from([0, 2**31 - 100, 2**32 - 100]),
        limit=st.one_of(st.just(NEVER), st.integers(1, 600)),
    )
    def create(self, **settings):
        self.rig = Rig(**settings)

    def teardown(self):
        if self.rig is not None:
            try:
                self.rig.read_to_the_end()
                self.rig.check_progress()
                self.rig.check_end()
            finally:
                self.rig.close()

    def runs(self):
        return not self.rig.finished and not self.rig.progress.finished

    def may_lose(self):
        """Not just after a late packet: whether a loss or lateness is seen cannot be told then."""
        packets = self.rig.packets
        return self.runs() and self.rig.counted_by_host and not (packets and packets[-1].late)

    @precondition(runs)
    @rule(frames=st.one_of(st.integers(0, 9), st.integers(10, 120)), flagged=st.booleans())
    def push(self, frames, flagged):
        self.rig.push(frames, flagged=flagged)

    @precondition(runs)
    @rule(frames=st.integers(1, 20))
    def push_without_a_buffer(self, frames):
        assert self.rig.push(frames, no_buffer=True) == 0

    @precondition(lambda self: self.may_lose() and self.rig.packets)
    @rule(frames=st.integers(1, 60), late=st.integers(1, 60))
    def push_late(self, frames, late):
        self.rig.push(frames, late=late)

    @precondition(may_lose)
    @rule(frames=st.integers(1, 60))
    def lose(self, frames):
        self.rig.lose(frames)

    @rule()
    def read(self):
        self.rig.read()
        self.rig.check_progress()

    @precondition(lambda self: self.rig.progress.waiting > 0)
    @rule()
    def lend(self):
        self.rig.lend()
        self.rig.read()
        self.rig.check_progress()

    @precondition(runs)
    @rule()
    def finish(self):
        self.rig.finish()

    @invariant()
    def the_unread_fit_the_ring(self):
        if self.rig is not None:
            waiting = self.rig.stored - self.rig.progress.captured
            assert 0 <= waiting <= self.rig.ring_frames


TestCaptureModel = CaptureModel.TestCase
TestCaptureModel.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=examples(300),
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],  # a loaded machine is slow
)


@pytest.fixture
def rig():
    """Make rigs; all are closed at the end."""
    made = []

    def make(**settings):
        made.append(Rig(**settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_overflow_drops_the_newest_to_the_frame(rig):
    one = rig(ring_frames=25, chunk_frames=100)
    assert one.push(20) == 20
    assert one.push(20) == 5
    assert one.push(20) == 0
    one.read()
    assert one.push(20) == 20
    one.read_to_the_end()
    one.check_end()
    assert one.chunks() == [Chunk(0, 25, 0, 0, 0), Chunk(60, 20, 35, 0, 0)]


def test_after_an_overflow_an_eighth_of_the_ring_must_be_free(rig):
    one = rig(ring_frames=80, chunk_frames=4, block_chunks=1, block_rows=1)
    assert one.push(90) == 80
    one.read()  # one chunk
    assert one.push(1) == 0
    one.lend()
    one.read()
    assert one.push(1) == 0
    one.lend()
    one.read()
    assert one.push(20) == 12
    assert one.push(1) == 0
    one.read_to_the_end()
    one.check_end()


def test_a_callback_without_a_buffer_is_a_loss(rig):
    one = rig(chunk_frames=100)
    one.push(10)
    one.push(7, no_buffer=True)
    one.push(10)
    one.read_to_the_end()
    one.check_end()
    assert one.chunks() == [Chunk(0, 10, 0, 0, 0), Chunk(17, 10, 7, 0, 0)]


def test_no_room_for_a_record_loses_its_frames(rig):
    one = rig(ring_frames=1000, packet_slots=2, chunk_frames=100)
    assert [one.push(10) for _ in range(5)] == [10, 10, 0, 0, 0]
    one.read()
    assert one.push(10) == 10
    one.read_to_the_end()
    one.check_end()
    assert one.chunks() == [Chunk(0, 20, 0, 0, 0), Chunk(50, 10, 30, 0, 0)]


def test_what_is_lost_before_the_first_packet_is_told_by_the_first_chunk(rig):
    one = rig()
    one.push(7, no_buffer=True)
    one.push(10)
    one.read_to_the_end()
    one.check_end()
    assert one.chunks() == [Chunk(7, 10, 7, 0, 0)]


def test_what_is_lost_after_the_last_packet_is_known_at_the_end(rig):
    one = rig(ring_frames=10)
    one.push(30)
    one.read()
    assert one.progress.ring_lost == 0  # no packet has told of it yet
    one.read_to_the_end()
    one.check_end()
    assert one.progress.trailing_ring_lost == 20
    assert one.progress.position == 30


def test_a_capture_that_got_nothing_ends(rig):
    one = rig()
    one.read()
    assert not one.progress.finished
    one.read_to_the_end()
    one.check_end()
    assert one.chunks() == []
    assert one.progress.position == 0


def test_nothing_is_finished_before_all_is_read(rig):
    one = rig(block_chunks=1, chunk_frames=10)
    one.push(25)
    one.finish()
    finished = []
    for _ in range(3):
        one.read()
        finished.append(one.progress.finished)
        one.lend()
    assert finished == [False, False, True]
    one.check_end()


@pytest.mark.parametrize("limit", [1, 5, 10, 15, 20, 99, 100, 101])
def test_a_limit_cuts_to_the_frame(rig, limit):
    one = rig(limit=limit)
    for _ in range(10):
        one.push(10)
    one.read()
    assert one.progress.finished == (limit <= 100)
    one.read_to_the_end()
    one.check_end()
    assert one.progress.captured == min(limit, 100)


@pytest.mark.parametrize("limit", [11, 25, 29, 30])
@pytest.mark.parametrize("who", ["ring_lost", "host_lost"])
def test_a_limit_cuts_a_loss_as_well(rig, who, limit):
    one = rig(limit=limit, chunk_frames=100)
    one.push(10)
    if who == "host_lost":
        one.lose(20)
    else:
        one.push(20, no_buffer=True)
    one.push(10)
    one.push(10)
    one.read()
    assert one.progress.finished
    one.check_end()
    assert getattr(one.progress, who) == limit - 10
    assert one.chunks() == [Chunk(0, 10, 0, 0, 0)]


def test_what_is_lost_after_the_limit_does_not_change_who_lost_what_before_it(rig):
    one = rig(limit=20, ring_frames=30, chunk_frames=100)
    one.push(10)
    one.lose(20)  # the limit falls into this loss
    one.push(10)
    one.push(10)  # confirms it
    one.push(5)  # no room: lost after the limit
    one.read()
    assert one.progress.finished
    assert (one.progress.ring_lost, one.progress.host_lost) == (0, 10)
    one.check_end()


def test_the_overflow_flag_is_told_of_the_chunk_that_ends_its_packet(rig):
    one = rig(chunk_frames=10)
    one.push(5, flagged=True)
    one.push(15, flagged=True)
    one.push(3)
    one.push(7, flagged=True)
    one.read_to_the_end()
    one.check_end()
    assert [chunk.overflows for chunk in one.chunks()] == [1, 1, 1]
    assert one.progress.overflows == 3


def test_an_overflow_flag_after_the_limit_is_told_of_no_chunk_before_it(rig):
    one = rig(limit=15, chunk_frames=10)
    one.push(10)
    one.read()
    one.push(10, no_buffer=True)
    one.push(10, flagged=True)
    one.read()
    assert one.progress.finished
    assert [chunk.overflows for chunk in one.chunks()] == [0]
    one.check_end()


def test_the_most_that_waited_in_the_ring_is_told(rig):
    one = rig()
    for count in (3, 5, 2):
        for _ in range(count):
            one.push(10)
        one.read()
        assert one.progress.ring_fill == 10 * count
    assert one.progress.ring_highest == 50


def test_what_was_lost_did_not_wait_in_the_ring(rig):
    one = rig()
    one.push(10)
    one.push(500, no_buffer=True)
    one.push(10)
    one.read()
    assert one.progress.ring_highest == 20


def test_the_unread_of_a_finished_block_stays_as_it_is(rig):
    """What the reader does later never touches a chunk that it has handed over."""
    one = rig(ring_frames=20, block_chunks=2, chunk_frames=5)
    for _ in range(50):
        one.push(13)
        one.read()
        if one.progress.waiting:
            one.lend()
    one.read_to_the_end()
    assert len(one.blocks) > 10
    one.check_end()  # looks at every sample of every block
