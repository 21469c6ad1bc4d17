"""What a session tells about itself while it runs."""

import json
import math
import threading
import time

import pytest

from stream_audio import (
    AudioSource,
    CallbackSink,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamConfig,
    TriggerSink,
)
from stream_audio.testing import Fault, VirtualClock

RATE = 48_000
SECOND = 1.01  # a little more: the callback that completes the last chunk comes after it


class Sleepy:
    """Takes 0.25 s of the session's clock for a chunk of 0.1 s, and fails at its third."""

    def __init__(self, clock):
        self.clock, self.calls = clock, 0

    def write(self, chunk):
        self.calls += 1
        self.clock.sleep(0.25)
        if self.calls == 3:
            raise OSError("busy")


@pytest.fixture
def running():
    clock = VirtualClock(auto=False)
    channel, sleepy = ChannelSink(), Sleepy(clock)
    source = AudioSource.virtual("sine", level=-6.0, faults=[Fault.lose(RATE // 2, flagged=True)])
    session = (
        StreamAudio.builder()
        .add_source("mic", source)
        .format(FormatPreset.NATIVE)
        .add_sink(channel, name="channel")
        .add_sink(sleepy, name="sleepy")
        .history(0.5)
        .config(StreamConfig(clock=clock, ring_duration=5.0))
        .start()
    )
    yield session, clock, channel
    stopper = threading.Thread(target=session.stop)
    stopper.start()
    while stopper.is_alive():  # time stands still but for this
        clock.advance(0.1)
    assert session.report().balanced


def test_a_source_tells_its_frames_its_ring_its_callbacks_and_its_level(running):
    session, clock, _ = running
    assert session.stats().sources["mic"].peak == ()
    clock.advance(SECOND)
    stats = session.stats()
    source = stats.sources["mic"]
    assert stats.time == clock.now()
    assert source.lost == 256
    assert source.captured + source.lost == source.position
    assert source.position == pytest.approx(RATE, abs=4800)
    assert source.xruns == 1
    assert source.callbacks == source.callback_durations.total == pytest.approx(188, abs=2)
    assert source.ring_capacity_seconds == 5.0
    # Packets are read once a chunk, so up to a chunk waits.
    assert 0 <= source.ring_seconds <= source.ring_highest_seconds <= 0.11
    assert source.peak == pytest.approx((-6.0, -6.0), abs=0.01)
    assert source.rms == pytest.approx((-9.01, -9.01), abs=0.02)


def test_a_sink_tells_its_backlog_its_write_times_and_its_retries(running):
    session, clock, channel = running
    clock.advance(2 * SECOND)
    sinks = session.stats().sinks
    sleepy = sinks["sleepy"]
    assert sleepy.pending > 0
    assert sleepy.offered == sleepy.delivered + sleepy.dropped + sleepy.pending
    assert sleepy.retries == 1
    assert sleepy.write_times.percentile(50) == pytest.approx(0.25, rel=0.02)
    assert 0.5 < sleepy.backlog_seconds <= sleepy.backlog_highest_seconds < 2.1
    assert sleepy.backlog_bytes == pytest.approx(sleepy.backlog_seconds * RATE * 8)
    waiting = sinks["channel"]
    assert waiting.backlog_seconds * RATE == channel.unread
    assert waiting.pending == 0  # a channel has delivered what was put into it
    for _ in range(10):
        channel.get()
    read = session.stats().sinks["channel"]
    assert read.backlog_seconds < waiting.backlog_seconds == read.backlog_highest_seconds


def test_figures_are_json_whatever_they_are(running):
    session, clock, _ = running
    clock.advance(SECOND)
    stats = session.stats()
    plain = json.loads(stats.to_json())
    assert plain == json.loads(json.dumps(stats.to_dict()))
    assert plain["sources"]["mic"]["captured"] == stats.sources["mic"].captured
    assert sum(plain["sources"]["mic"]["callback_durations"]["counts"]) > 0


def test_the_level_of_silence_is_null_in_json():
    source = AudioSource.virtual("silence", frames=RATE, pace="freewheel")
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    session = builder.add_sink(ChannelSink()).start()
    assert session.wait(60.0)
    session.stop()
    stats = session.stats()  # still there when everything is closed
    assert stats.sources["mic"].peak == (-math.inf, -math.inf)
    assert json.loads(stats.to_json())["sources"]["mic"]["peak"] == [None, None]
    assert stats.sources["mic"].captured == RATE
    assert session.memory().rings == 0  # but its memory is not


def test_memory_is_told_and_bounded(running):
    session, clock, _ = running
    clock.advance(2 * SECOND)
    memory = session.memory()
    assert memory.rings >= 5 * RATE * 8
    assert RATE * 8 <= memory.blocks <= 2 * 1.2 * RATE * 8  # one, and one to use again
    assert 0 < memory.backlogs <= memory.backlogs_at_most
    assert memory.histories == pytest.approx(0.5 * RATE * 8, rel=0.3)
    parts = memory.rings, memory.blocks, memory.backlogs, memory.histories, memory.sinks
    assert memory.total == sum(parts)


def test_memory_tells_of_what_a_trigger_keeps():
    source = AudioSource.virtual("counter", frames=60 * RATE, pace="freewheel", channels=1)
    trigger = TriggerSink(CallbackSink(print), pre_roll=5.0, decide_within=2.0)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    with builder.add_sink(trigger).start() as session:
        assert session.wait(60.0)
    assert session.memory().sinks == pytest.approx((5.0 + 2.0) * RATE * 4, rel=0.05)


def test_figures_are_cheap():
    source = AudioSource.virtual("silence", frames=RATE, pace="freewheel")
    builder = StreamAudio.builder().add_source("mic", source)
    session = builder.add_sink(ChannelSink()).start()
    session.wait(60.0)
    began = time.perf_counter()
    for _ in range(100):
        session.stats()
    # Ten a second are to be nothing. It takes about 50 us; only a blunder comes to 10 ms.
    assert (time.perf_counter() - began) / 100 < 0.010
    session.stop()
