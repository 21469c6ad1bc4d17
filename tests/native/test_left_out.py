"""What a host says that it left out is lost by the host, in its place, whatever else is lost."""

import pytest

from stream_audio._native import lib
from stream_audio._native.capture import FRAME, HOST_LOST, RING_LOST, SUSPENDED
from support.line import START_NS, a_line

RING = 1024
LOSSES = [FRAME, RING_LOST, HOST_LOST, SUSPENDED]


def leave_out(one, frames, flags=0):
    lib.sa_capture_leave_out(one.capture, frames, flags)


@pytest.fixture
def line():
    with a_line(counted_by_host=False, chunk_frames=256, ring_frames=RING) as one:
        yield one


def test_a_hole_is_told_by_the_chunk_behind_it(line):
    line.push()
    leave_out(line, 1000)
    leave_out(line, 10)
    line.push()
    progress = line.finish()
    assert line.rows[:, LOSSES].tolist() == [[0, 0, 0, 0], [1266, 0, 1010, 0]]
    assert (progress.host_lost, progress.ring_lost) == (1010, 0)
    assert lib.sa_capture_count(line.capture).lost == 0  # all that came did fit


def test_what_a_suspended_device_did_not_capture_has_a_cause_of_its_own(line):
    line.push()
    leave_out(line, 1000, lib.SA_PACKET_SUSPENDED)
    line.push()
    line.finish()
    assert line.rows[:, LOSSES].tolist() == [[0, 0, 0, 0], [1256, 0, 0, 1000]]


def test_a_hole_in_what_does_not_fit_is_told_apart_from_it(line):
    for _ in range(RING // 256):
        line.push()
    line.push()  # one too many
    leave_out(line, 100)
    line.push()
    line.read()
    line.push()
    progress = line.finish()
    assert line.rows[-1, LOSSES].tolist() == [RING + 612, 512, 100, 0]
    assert (progress.ring_lost, progress.host_lost) == (512, 100)
    assert lib.sa_capture_count(line.capture).lost == 512


def test_a_hole_that_nothing_follows_is_known_at_the_end(line):
    for _ in range(RING // 256 + 1):
        line.push()
    leave_out(line, 100)
    counts = lib.sa_capture_count(line.capture)
    assert (counts.unrecorded_loss, counts.unrecorded_holes) == (256, 100)
    progress = line.finish()
    assert (progress.trailing_ring_lost, progress.trailing_host_lost) == (256, 100)
    assert progress.position == RING + 356


def test_a_hole_does_not_pass_for_lateness(line):
    for packet in range(400):
        if packet == 200:
            leave_out(line, 4800)
        due = (packet + 1) * 256 + (4800 if packet >= 200 else 0)
        line.push(at_ns=START_NS + round(due / 48_000 * 1e9))
        line.read()
    progress = line.finish()
    assert line.gaps == [(200 * 256, 4800)]
    assert progress.unexplained == 0
