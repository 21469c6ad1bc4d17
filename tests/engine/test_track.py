"""A source's track goes on with another take, and its timeline is one all the same."""

import itertools
import math

import numpy as np
import pytest

from stream_audio import (
    AudioFormat,
    AudioSource,
    CallbackSink,
    ChannelSink,
    FormatPreset,
    GapCause,
    SessionStateError,
    StreamAudio,
    StreamConfig,
)
from stream_audio.contracts.opening import Opening
from stream_audio.engine.fast_path import FastPath
from stream_audio.engine.track import TrackState
from stream_audio.engine.track_shape import TrackShape
from stream_audio.reports.events import GapDetected, SourceEnded, SourceLost
from stream_audio.testing import Fault, VirtualClock
from support.signals import chunk as chunk_of
from support.takes import Replacements

RATE = 48_000
PERIOD = 480
GIVE_UP = 30.0


def device(frames=None, *, dies_at=None, faults=(), **settings):
    """A device that ends after so many frames, or dies."""
    faults = [*faults, *([Fault.die(dies_at)] if dies_at is not None else [])]
    settings = {"channels": 1, "period": PERIOD} | settings
    return AudioSource.virtual("counter", frames=frames, faults=faults, **settings)


class Run:
    """A session on a virtual clock whose device is replaced, and all that it told."""

    def __init__(self, first, *then, duration=None, history=None, after=1.0, held=0.0, **config):
        self.events = []
        self.native, self.resampled = [], []
        self.config = StreamConfig(clock=VirtualClock(auto=False), **config)
        builder = StreamAudio.builder().config(self.config).add_source("mic", first)
        builder.add_sink(CallbackSink(self.native.append), format=FormatPreset.NATIVE)
        builder.add_sink(CallbackSink(self.resampled.append), format=AudioFormat(16_000, 1))
        builder.on_event(self.events.append)
        if duration is not None:
            builder.duration(duration)
        if history is not None:
            builder.history(history)
        self.session = builder.start()
        self.takes = Replacements(self.session, "mic", then, self.config, after=after, held=held)

    def advance(self, seconds):
        self.config.clock.advance(seconds)

    def end(self, seconds):
        """Let the session end by itself, at most so many seconds later; return its report."""
        for _ in range(round(seconds / 0.5)):
            self.advance(0.5)
        assert self.session.wait(GIVE_UP)
        self.takes.close()
        report = self.session.stop()
        assert report.balanced
        if not report.sources["mic"].pauses:
            for sink, rate in ((self.native, RATE), (self.resampled, 16_000)):
                assert_tiled(sink, rate)
        return report

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def assert_tiled(chunks, rate):
    """Chunks and the gaps before them follow one another on one timeline without a seam."""
    expected = chunks[0].frame
    for chunk in chunks:
        assert chunk.sample_rate == rate
        for gap in () if chunk is chunks[0] else chunk.gaps:
            assert gap.frame == expected
            expected += gap.frames
        assert chunk.frame == expected
        expected = chunk.end
    for before, after in itertools.pairwise(chunks):
        assert after.time > before.time  # which stands while the machine sleeps
        passed = (after.frame - before.frame) / rate
        assert after.timestamp - before.timestamp == pytest.approx(passed, abs=1e-9)
        assert after.wall_time - before.wall_time == pytest.approx(passed, abs=2 / rate)


def values(chunks):
    return np.concatenate([chunk.data[:, 0] for chunk in chunks])


# ---- the seam ----


def test_an_outage_is_one_gap_of_exact_length_and_all_else_goes_on():
    first, second = 100 * PERIOD, 150 * PERIOD
    run = Run(device(dies_at=first), device(second), after=2.0123, history=60.0)
    shape = run.session._engine.sources["mic"].shape
    report = run.end(8.0)
    gap, *others = report.sources["mic"].gaps
    assert not others
    before = [chunk for chunk in run.native if chunk.frame < first]
    ended = before[0].time + first / RATE
    (started,) = run.takes.started
    assert (gap.frame, gap.cause) == (first, GapCause.DEVICE_LOST)
    assert gap.frames == round((started - ended) * RATE)
    assert gap.time == pytest.approx(ended, abs=1e-6)
    mic = report.sources["mic"]
    assert (mic.captured, mic.lost) == (first + second, gap.frames)
    assert mic.position == first + gap.frames + second
    assert mic.error == ""
    # The devices count from 0 each.
    assert np.array_equal(values(run.native)[:first], values(run.native)[first:][:first])
    assert [each.gap for each in run.of(GapDetected)] == [gap]
    assert len(run.of(SourceLost)) == len(run.of(SourceEnded)) == 1
    assert run.session.stats().sources["mic"].callbacks == (first + second) // PERIOD
    assert run.session._engine.sources["mic"].shape is shape
    # The past is one, too: what is missing is silence in it.
    whole = run.session.last(mic.position / RATE)
    assert (whole.frame, whole.end, whole.gaps) == (0, mic.position, (gap,))
    assert not whole.data[gap.frame : gap.end].any()
    assert report.sinks["CallbackSink"].delivered == mic.captured


def test_figures_are_those_of_all_takes():
    flagged = Fault.lose(10 * PERIOD, 2, flagged=True)
    lossy = [device(dies_at=50 * PERIOD, faults=[flagged]) for _ in range(4)]
    run = Run(*lossy, device(50 * PERIOD, faults=[flagged]), after=0.25)
    report = run.end(10.0)
    mic = report.sources["mic"]
    assert mic.overflows == 5
    assert mic.captured == 5 * 48 * PERIOD
    lost_by_host = [gap.frames for gap in mic.gaps if gap.cause == GapCause.HOST_OVERFLOW]
    assert lost_by_host == [2 * PERIOD] * 5
    assert [gap.cause for gap in mic.gaps].count(GapCause.DEVICE_LOST) == 4
    assert run.session.stats().sources["mic"].callbacks == 5 * 48
    assert run.takes.went_on == [True] * 4


def test_what_was_lost_at_the_very_end_of_a_take_is_told_before_the_outage():
    """No chunk of the take follows it that could carry the gap."""
    run = Run(device(100 * PERIOD, faults=[Fault.lose(99 * PERIOD)]), device(PERIOD))
    report = run.end(5.0)
    causes = [gap.cause for chunk in run.native for gap in chunk.gaps]
    assert causes == [gap.cause for gap in report.sources["mic"].gaps]
    assert causes[-1] == GapCause.DEVICE_LOST


def test_a_first_take_that_brought_nothing_leaves_no_gap():
    run = Run(device(dies_at=0), device(100 * PERIOD))
    report = run.end(8.0)
    assert report.sources["mic"].gaps == ()
    assert run.native[0].frame == 0
    assert report.sources["mic"].captured == 100 * PERIOD


def test_a_machine_that_sleeps_in_an_outage_makes_it_longer():
    run = Run(device(dies_at=100 * PERIOD), device(100 * PERIOD), after=3.0)
    run.advance(3.0)
    asleep = 500.0
    run.config.clock.suspend(asleep)
    run.advance(4.0)
    report = run.end(2.0)
    (gap,) = report.sources["mic"].gaps
    (started,) = run.takes.started
    ended = run.native[0].time + 100 * PERIOD / RATE
    assert gap.frames == round((started - ended + asleep) * RATE)


# ---- what a session asks of a track ----


@pytest.mark.parametrize("held", [0.0, 0.3], ids=["at once", "some waits"])
def test_the_duration_is_that_of_the_timeline_outage_included(held):
    """A device may have captured for a while by the time that the track gets it."""
    first, wanted = 100 * PERIOD, 3.5
    run = Run(device(dies_at=first), device(), duration=wanted, after=1.0, held=held)
    report = run.end(7.0)
    assert run.takes.went_on == [True]
    mic = report.sources["mic"]
    (gap,) = mic.gaps
    assert mic.position == run.native[-1].end == wanted * RATE
    assert mic.captured == wanted * RATE - gap.frames == sum(map(len, run.native))
    assert mic.error == ""
    # A part of a chunk has levels of its own.
    last = run.native[-1]
    assert last.peak[0] == pytest.approx(20 * math.log10(last.data.max()), abs=1e-6)


@pytest.mark.parametrize("after", [4.0, 50.0], ids=["it comes too late", "it never comes"])
def test_an_outage_beyond_the_duration_ends_the_source_when_its_time_is_up(after):
    run = Run(device(dies_at=100 * PERIOD), device(), duration=2.0, after=after)
    run.advance(3.5)
    assert run.session.wait(GIVE_UP)
    report = run.session.report()
    (gap,) = report.sources["mic"].gaps
    assert gap.end == report.sources["mic"].position == 2.0 * RATE
    run.end(after)
    assert not any(run.takes.went_on)


def test_a_pause_that_begins_before_the_outage_ends_after_it():
    first, second = 100 * PERIOD, 200 * PERIOD
    run = Run(device(dies_at=first), device(second), after=1.0)
    run.advance(0.5)
    run.session.pause()
    run.advance(4.0)
    run.session.resume()
    report = run.end(6.0)
    mic = report.sources["mic"]
    assert mic.captured + mic.paused == first + second
    paused = [pause.frame for pause in mic.pauses]
    assert len(paused) == 2  # before the outage and after it
    assert paused[0] == pytest.approx(0.5 * RATE, abs=2)
    assert mic.pauses[0].end == first == mic.gaps[0].frame
    assert mic.pauses[1].frame == mic.gaps[0].end
    told = [gap for chunk in run.native for gap in chunk.gaps]
    assert [gap.cause for gap in told] == [GapCause.DEVICE_LOST]


def test_a_stop_ends_a_source_that_waits_for_a_device_at_once():
    run = Run(device(dies_at=100 * PERIOD), device(), after=1000.0)
    run.advance(5.0)
    assert run.session._engine.sources["mic"].state is TrackState.LOST
    report = run.session.stop()
    run.advance(1000.0)
    run.takes.close()
    assert report.sources["mic"].error == "virtual counter is gone"
    assert len(run.of(SourceEnded)) == 1


def test_a_device_that_is_not_paced_is_refused_and_the_track_waits_on():
    run = Run(device(dies_at=100 * PERIOD), device(100 * PERIOD), after=5.0)
    run.advance(3.0)
    engine = run.session._engine
    track = engine.sources["mic"]
    opened = device(pace="freewheel").open(Opening(run.config.clock, None))
    with pytest.raises(ValueError, match="is not paced as mic is"):
        engine.go_on(track, opened)
    opened.close()
    assert track.state is TrackState.LOST
    assert run.end(8.0).sources["mic"].captured == 200 * PERIOD


def test_a_track_that_runs_takes_no_other_device():
    run = Run(device(100 * PERIOD))
    opened = device().open(Opening(run.config.clock, None))
    assert not run.session._engine.go_on(run.session._engine.sources["mic"], opened)
    opened.close()
    run.end(3.0)


# ---- beside others, and on real time ----


def test_other_sources_notice_nothing():
    config = StreamConfig(clock=VirtualClock(auto=False))
    heard = []
    builder = StreamAudio.builder().config(config).format(FormatPreset.NATIVE)
    builder.add_source("lost", device(dies_at=50 * PERIOD))
    builder.add_source("other", device(600 * PERIOD))
    builder.add_sink(CallbackSink(heard.append))
    session = builder.start()
    takes = Replacements(session, "lost", [device(100 * PERIOD)], config, after=1.0)
    for _ in range(16):
        config.clock.advance(0.5)
    assert session.wait(GIVE_UP)
    takes.close()
    report = session.report()
    assert report.sources["other"].lost == 0
    assert report.sources["other"].captured == 600 * PERIOD
    assert report.sources["lost"].captured == 150 * PERIOD
    for name in ("lost", "other"):
        assert_tiled([chunk for chunk in heard if chunk.source == name], RATE)


def test_a_lone_channel_gets_its_chunks_the_fast_way_after_each_seam(monkeypatch):
    """The consumer runs the turns: it has to let go of the reader of the take before."""
    ways, run_turn = [], FastPath.run_turn

    def note(path, deadline_ns):
        ways.append((path._take, run_turn(path, deadline_ns)))
        return ways[-1][1]

    monkeypatch.setattr(FastPath, "run_turn", note)
    config = StreamConfig(chunk_duration=0.01)
    channel = ChannelSink()
    builder = StreamAudio.builder().config(config).format(FormatPreset.NATIVE)
    builder.add_source("mic", device(30 * PERIOD)).add_sink(channel)
    with builder.start() as session:
        devices = [device(frames * PERIOD) for frames in (25, 35, 40)]
        takes = Replacements(session, "mic", devices, config, after=0.02)
        chunks = list(channel)
    takes.close()
    report = session.report()
    assert report.sources["mic"].captured == 130 * PERIOD == sum(map(len, chunks))
    assert_tiled_on_real_time(chunks)
    fast = {take for take, was_fast in ways if was_fast}
    assert len(fast) == 4


def assert_tiled_on_real_time(chunks):
    expected = 0
    for chunk in chunks:
        assert [gap.frame for gap in chunk.gaps] == ([expected] if chunk.gaps else [])
        expected += sum(gap.frames for gap in chunk.gaps)
        assert chunk.frame == expected
        expected = chunk.end


# ---- without a device ----


def test_a_track_without_a_device_is_fed_and_is_a_source_like_any_other():
    config = StreamConfig(clock=VirtualClock(auto=False))
    builder = StreamAudio.builder().config(config)
    session = builder.add_source("mic", device(300 * PERIOD)).add_sink(ChannelSink()).start()
    engine = session._engine
    track = engine.track("mixed", TrackShape(RATE, 1, (0,)), history=10.0)
    engine.add_track(track)
    heard = []
    session.add_sink(CallbackSink(heard.append), sources="mixed", format=FormatPreset.NATIVE)
    signal = np.linspace(-0.5, 0.5, 4800, dtype=np.float32)[:, None]
    for number in range(10):
        made = chunk_of(signal, number * 4800)
        made = type(made)("mixed", *[getattr(made, name) for name in list(made.__slots__)[1:9]])
        assert engine.do(lambda made=made: track.feed(made))
    assert session.last(0.5, "mixed").frames == 0.5 * RATE
    config.clock.advance(5.0)
    assert session.wait(GIVE_UP)  # its device is no reason to go on, as it has none
    report = session.report()
    assert report.sources["mixed"].captured == 48_000 == sum(chunk.frames for chunk in heard)
    assert report.sources["mixed"].device == ""
    assert track.state is TrackState.ENDED


def test_a_source_that_comes_while_a_session_runs_is_part_of_its_timeline():
    config = StreamConfig(clock=VirtualClock(auto=False))
    builder = StreamAudio.builder().config(config)
    session = builder.add_source("mic", device(300 * PERIOD)).add_sink(ChannelSink()).start()
    config.clock.advance(1.0)
    engine = session._engine
    opened = device(100 * PERIOD).open(Opening(config.clock, None))
    track = engine.track("late", TrackShape.of(opened))
    track.begin(opened)
    opened.start()
    started = config.clock.now()
    engine.add_track(track)
    heard = []
    session.add_sink(CallbackSink(heard.append), sources="late", format=FormatPreset.NATIVE)
    for _ in range(10):
        config.clock.advance(0.5)
    assert session.wait(GIVE_UP)
    report = session.report()
    assert report.sources["late"].captured == 100 * PERIOD
    assert heard[0].timestamp == pytest.approx(started - session.started_at, abs=1e-6)


def test_a_source_that_is_ended_by_itself_delivers_its_tail_and_the_others_go_on():
    run = Run(device())
    engine = run.session._engine
    opened = device().open(Opening(run.config.clock, None))
    track = engine.track("late", TrackShape.of(opened))
    track.begin(opened)
    opened.start()
    engine.add_track(track)
    heard = []
    run.session.add_sink(CallbackSink(heard.append), sources="late", format=FormatPreset.NATIVE)
    run.advance(1.0)
    engine.end_track("late")
    stored = opened.capture.stored
    run.advance(1.0)
    assert track.state is TrackState.ENDED
    assert sum(map(len, heard)) == track.account.captured == stored > 0
    assert run.session.running
    assert run.session.stop().balanced
    assert [event.source for event in run.of(SourceEnded)] == ["late", "mic"]


def test_nothing_comes_to_a_session_that_has_ended():
    run = Run(device(100 * PERIOD))
    run.end(3.0)
    engine = run.session._engine
    track = engine.track("late", TrackShape(RATE, 1, (0,)))
    with pytest.raises(SessionStateError):
        engine.add_track(track)
    assert list(run.session.report().sources) == ["mic"]
    assert not engine.go_on(engine.sources["mic"], None)


def test_a_device_that_is_gone_takes_no_memory():
    run = Run(device(dies_at=100 * PERIOD), device(), after=50.0)
    assert run.session.memory().rings > 0
    run.advance(5.0)
    assert run.session._engine.sources["mic"].state is TrackState.LOST
    assert run.session.memory().rings == 0
    run.session.stop()
    run.advance(50.0)
    run.takes.close()
