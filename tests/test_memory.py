"""Memory is bounded and known: measured from outside, in processes of their own."""

import subprocess
import sys

import pytest

MIB = 2**20

SESSION = """
import sys
import stream_audio as sa
from stream_audio.testing import VirtualClock

RATE = 48_000

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

clock = VirtualClock()

def run(source, backlog, nap, *, chunk_duration=0.1, spill_dir=None, nap_once=False):
    '''Run a slow and a fast sink; what was resident once a minute, as the fast one sees it.'''
    marks, got = [], {"slow": 0, "fast": 0}

    def slow(chunk):
        if got["slow"] == 0 or not nap_once:
            clock.sleep(nap)
        got["slow"] += chunk.frames

    def fast(chunk):
        if got["fast"] // (60 * RATE) < (got["fast"] + chunk.frames) // (60 * RATE):
            marks.append(resident())
        got["fast"] += chunk.frames

    config = sa.StreamConfig(
        clock=clock, chunk_duration=chunk_duration, spill_dir=spill_dir, ring_duration=5.0
    )
    builder = sa.StreamAudio.builder().add_source("mic", source).config(config)
    builder.format(sa.FormatPreset.NATIVE).add_sink(sa.CallbackSink(fast), name="fast")
    builder.add_sink(sa.CallbackSink(slow), name="slow", backlog=backlog)
    with builder.start() as session:
        session.wait()
        report = session.stop()
    assert report.balanced, report
    assert report.sinks["fast"].dropped == 0
    return marks, report.sinks["slow"]

def tone(seconds, pace):
    return sa.AudioSource.virtual("counter", frames=seconds * RATE, pace=pace)

run(tone(60, "freewheel"), sa.Backlog("1 MiB"), 0.0)  # all that is loaded once is loaded
"""


def measure(program):
    """Run it after SESSION; return the numbers that it prints."""
    command = [sys.executable, "-c", SESSION + program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return [int(number) for number in result.stdout.split()]


@pytest.mark.parametrize("limit", ["1 MiB", pytest.param("32 MiB", marks=pytest.mark.long)])
def test_an_hour_through_a_slow_and_a_fast_sink_leaves_memory_flat(limit):
    """1.4 GB go through; the slow one holds the source up."""
    program = f"""
marks, slow = run(tone(3600, "freewheel"), sa.Backlog({limit!r}), 0.001)
assert slow.delivered == 3600 * RATE
print(*marks)
"""
    marks = measure(program)
    assert len(marks) == 60
    # The first minutes fill a backlog of 32 MiB, which holds a minute and a half.
    assert max(marks) - max(marks[:3]) < 4 * MIB


def test_what_waits_on_disk_is_not_in_memory(tmp_path):
    """Ten minutes behind a sink that is stuck: 230 MB."""
    program = f"""
before = resident()
marks, slow = run(
    tone(660, "real_time"), sa.Backlog("4 MiB", "spill"), 600.0,
    spill_dir={str(tmp_path)!r}, nap_once=True,
)
assert slow.delivered == 660 * RATE
print(before, *marks)
"""
    before, *marks = measure(program)
    assert len(marks) == 11
    assert max(marks) - before < 24 * MIB


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_a_backlog_with_holes_takes_no_more_than_its_limit(policy):
    """Chunks are views into blocks of a second: one that is kept must not keep all the others."""
    program = f"""
before = resident()
marks, slow = run(
    tone(300, "real_time"), sa.Backlog("1 MiB", {policy!r}), 1.0, chunk_duration=0.02
)
assert slow.dropped > 280 * RATE
print(before, *marks)
"""
    before, *marks = measure(program)
    # 136 chunks fit; with a block each it would be 52 MB.
    assert max(marks) - before < 16 * MIB
