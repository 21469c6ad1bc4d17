"""Sixty-four sinks, some of them bad: no one delays another, and each account balances."""

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    FormatPreset,
    GapCause,
    SinkError,
    SinkFailed,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock

RATE = 48_000
CHUNK = 960  # 20 ms
SECONDS = 10
GIVE_UP = 60.0


def counters(chunk):
    return np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)


class Sink:
    """Keeps what it got, and when."""

    def __init__(self, clock):
        self.clock = clock
        self.chunks = []
        self.times = []

    def write(self, chunk):
        self.times.append(self.clock.now())
        self.chunks.append(chunk)

    def check(self):
        """What it got and what it was told to be missing tile the timeline, bit by bit."""
        end = 0
        for chunk in self.chunks:
            for gap in chunk.gaps:
                assert gap.frame == end
                end = gap.end
            assert chunk.frame == end
            np.testing.assert_array_equal(counters(chunk), chunk.frame + np.arange(chunk.frames))
            end = chunk.end
        return end


class Stuck(Sink):
    def write(self, chunk):
        super().write(chunk)
        self.clock.sleep(1e6)


class Slow(Sink):
    def write(self, chunk):
        super().write(chunk)
        self.clock.sleep(5 * CHUNK / RATE)


class RaisesAlways(Sink):
    def write(self, chunk):
        self.times.append(self.clock.now())
        raise OSError("always")


class RaisesOnceInTen(Sink):
    calls = 0

    def write(self, chunk):
        self.calls += 1
        if self.calls % 10 == 0:
            raise SinkError("once in ten")
        super().write(chunk)


def test_of_64_sinks_the_bad_ones_harm_nobody():
    clock = VirtualClock()
    source = AudioSource.virtual("counter", frames=SECONDS * RATE, period=CHUNK // 4)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    bad = {kind.__name__: kind(clock) for kind in (Stuck, Slow, RaisesAlways, RaisesOnceInTen)}
    fast = {f"fast {number}": Sink(clock) for number in range(60)}
    small = Backlog("200 ms", "drop_oldest")
    # The bad ones among the others, not before or behind them.
    names = [*list(fast)[:30], *bad, *list(fast)[30:]]
    for name in names:
        sink = bad.get(name) or fast[name]
        builder.add_sink(sink, name=name, backlog=small, on_failure="detach")
    events = []
    config = StreamConfig(clock=clock, chunk_duration=0.02, raise_on_sink_failure=False)
    with builder.on_event(events.append).config(config).start() as session:
        assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced, report
    assert report.sources["mic"].captured == SECONDS * RATE

    for name, sink in fast.items():
        assert sink.check() == SECONDS * RATE
        assert all(chunk.gaps == () for chunk in sink.chunks)
        # The clock allows it when the callback that completes the chunk is entered; the router
        # looks again a few times a millisecond.
        late = np.array(sink.times) - [chunk.arrival for chunk in sink.chunks]
        assert late.min() >= 0
        assert late.max() < 0.001, name
        assert report.sinks[name].dropped == 0

    stuck = report.sinks["Stuck"]
    assert (stuck.offered, stuck.delivered, stuck.dropped) == (480_000, 0, 480_000)
    assert {gap.cause for gap in stuck.gaps} == {GapCause.BACKLOG_FULL, GapCause.STOP_TIMEOUT}
    assert "did not finish in time" in stuck.error

    slow = report.sinks["Slow"]
    assert slow.offered == 480_000 == slow.delivered + slow.dropped
    assert {gap.cause for gap in slow.gaps} == {GapCause.BACKLOG_FULL}
    assert slow.delivered == pytest.approx(480_000 / 5, rel=0.1)
    assert bad["Slow"].check() == 480_000

    always = report.sinks["RaisesAlways"]
    assert (always.delivered, always.error) == (0, "OSError: always")
    assert always.offered == always.dropped
    tries = np.diff(bad["RaisesAlways"].times)
    assert tries == pytest.approx([0.1, 0.2, 0.4])  # and never again

    sometimes = report.sinks["RaisesOnceInTen"]
    assert sometimes.offered == 480_000 == sometimes.delivered + sometimes.dropped
    assert sometimes.error == ""
    assert bad["RaisesOnceInTen"].check() == 480_000
    assert bad["RaisesOnceInTen"].calls > len(bad["RaisesOnceInTen"].chunks) > 400

    failed = [event.sink for event in events if isinstance(event, SinkFailed)]
    assert sorted(failed) == ["RaisesAlways", "Stuck"]


def test_with_the_default_backlog_all_but_the_stuck_and_the_hopeless_get_everything():
    clock = VirtualClock()
    source = AudioSource.virtual("counter", period=CHUNK // 4)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    sinks = [kind(clock) for kind in (Slow, RaisesOnceInTen, Sink)]
    for sink in sinks:
        builder.add_sink(sink)
    builder.config(StreamConfig(clock=clock, chunk_duration=0.02))
    session = builder.start()
    assert session.wait(0) is False
    # Virtual time runs on until this thread has its turn, so it is longer than this by some.
    clock.sleep(SECONDS)
    report = session.stop(timeout=86_400.0)  # the slow one needs five times as long
    assert report.balanced
    assert report.sources["mic"].captured >= SECONDS * RATE
    for sink, name in zip(sinks, report.sinks, strict=True):
        assert report.sinks[name].dropped == 0
        assert sink.check() == report.sources["mic"].captured
