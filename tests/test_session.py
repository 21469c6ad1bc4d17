"""A session on virtual time: every frame is where it should be, whatever happens."""

import queue
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import (
    AudioChunk,
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    FileSink,
    FileSinkError,
    FormatPreset,
    GapCause,
    GapDetected,
    Retry,
    SessionStarted,
    SessionStopped,
    SourceEnded,
    SourceLost,
    SourceStalled,
    StreamAudio,
    StreamAudioBuilder,
    StreamConfig,
    StreamEvent,
    record,
)
from stream_audio.testing import Fault, VirtualClock
from support.mounts import tmpfs

RATE = 48_000
TONE = AudioSource.virtual("sine", frames=4800, pace="freewheel")


def native_builder() -> StreamAudioBuilder:
    return StreamAudio.builder().format(FormatPreset.NATIVE)


def virtual_session(**source: object) -> tuple[StreamAudioBuilder, ChannelSink]:
    channel = ChannelSink(backlog=Backlog(2**30))
    builder = native_builder().add_source("mic", AudioSource.virtual("counter", **source))
    return builder.add_sink(channel).config(StreamConfig(clock=VirtualClock())), channel


def counters(chunk: AudioChunk) -> np.ndarray:
    return np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)


def check_positions(chunks: list[AudioChunk]) -> None:
    """Each sample tells its position; chunks and gaps tile the timeline."""
    end = 0
    for chunk in chunks:
        for gap in chunk.gaps:
            assert gap.frame == end
            end = gap.end
        assert chunk.frame == end
        np.testing.assert_array_equal(
            counters(chunk), (chunk.frame + np.arange(chunk.frames)) % 2**23
        )
        end = chunk.end


def test_every_frame_arrives_in_order() -> None:
    builder, channel = virtual_session(frames=RATE * 60)
    with builder.start() as session:
        chunks = list(channel)
    check_positions(chunks)
    assert {chunk.frames for chunk in chunks} == {RATE // 10}
    report = session.report()
    assert report.balanced
    assert report.sources["mic"].captured == RATE * 60
    assert report.sinks["ChannelSink"].delivered == RATE * 60


@pytest.mark.parametrize("flagged", [False, True])
def test_lost_periods_are_placed_and_counted_with_and_without_flags(flagged: bool) -> None:
    faults = [Fault.lose(RATE, 3, flagged=flagged), Fault.lose(RATE * 2, 40, flagged=flagged)]
    builder, channel = virtual_session(frames=RATE * 5, faults=faults)
    events: list[StreamEvent] = []
    with builder.on_event(events.append).start() as session:
        chunks = list(channel)
    check_positions(chunks)
    source = session.report().sources["mic"]
    assert [gap.frames for gap in source.gaps] == [3 * 256, 40 * 256]
    assert [gap.cause for gap in source.gaps] == [GapCause.HOST_OVERFLOW] * 2
    assert source.captured + source.lost == RATE * 5
    assert source.overflows == (2 if flagged else 0)
    assert [event.gap for event in events if isinstance(event, GapDetected)] == list(source.gaps)


def test_a_stall_that_a_burst_makes_good_is_no_loss() -> None:
    builder, channel = virtual_session(frames=RATE * 5, faults=[Fault.stall(RATE, 1.5)])
    with builder.start() as session:
        chunks = list(channel)
    check_positions(chunks)
    assert session.report().sources["mic"].lost == 0


def test_what_does_not_fit_into_the_ring_is_a_gap_exact_to_the_frame() -> None:
    """The router sleeps, in virtual time, for longer than the ring lasts."""
    clock = VirtualClock()
    channel = ChannelSink(backlog=Backlog(2**30))

    class Sleepy:
        blocking = False  # so the router itself sleeps
        slept = False

        def write(self, chunk: AudioChunk) -> None:
            if not self.slept and chunk.frame >= RATE:
                self.slept = True
                clock.sleep(35.0)

    builder = native_builder().add_source("mic", AudioSource.virtual("counter"))
    builder.add_sink(Sleepy(), name="sleepy").add_sink(channel).duration(60)
    with builder.config(StreamConfig(clock=clock)).start() as session:
        chunks = list(channel)
    check_positions(chunks)
    report = session.report()
    assert report.balanced
    (gap,) = report.sources["mic"].gaps
    assert gap.cause == GapCause.RING_FULL
    source = report.sources["mic"]
    assert source.ring_highest == RATE * 30
    assert source.captured + gap.frames == RATE * 60
    # 35 s were slept through and 30 s fitted; what is left is 5 s, to a period.
    assert gap.frames == pytest.approx(RATE * 5, abs=256)


def test_two_runs_with_the_same_seed_are_the_same() -> None:
    def run() -> list[tuple[int, float, float]]:
        builder, channel = virtual_session(frames=RATE * 2, jitter=0.002, seed=7, drift_ppm=80.0)
        with builder.start():
            return [(chunk.frame, chunk.time, chunk.arrival) for chunk in channel]

    assert run() == run()


def test_duration_ends_every_sink_at_the_same_frame(tmp_path: Path) -> None:
    builder, channel = virtual_session()
    path = tmp_path / "a.wav"
    with builder.add_sink(FileSink(path)).duration(1.2345).start() as session:
        chunks = list(channel)
    frames = round(1.2345 * RATE)
    assert sum(chunk.frames for chunk in chunks) == frames
    assert soundfile.info(path).frames == frames
    assert session.report().balanced


def test_two_sources_keep_their_own_timelines() -> None:
    channel = ChannelSink(backlog=Backlog(2**30))
    builder = native_builder().add_sink(channel)
    for name, rate in (("a", 44_100), ("b", 16_000)):
        source = AudioSource.virtual("counter", sample_rate=rate, channels=1, frames=rate * 3)
        builder.add_source(name, source)
    with builder.config(StreamConfig(clock=VirtualClock())).start() as session:
        chunks = list(channel)
    for name, rate in (("a", 44_100), ("b", 16_000)):
        own = [chunk for chunk in chunks if chunk.source == name]
        check_positions(own)
        assert own[-1].end == rate * 3
    assert session.report().sinks["ChannelSink"].delivered == 3 * (44_100 + 16_000)


def test_a_sink_gets_only_the_sources_it_asked_for() -> None:
    wanted, everything = ChannelSink(), ChannelSink()
    builder = native_builder().add_sink(wanted, sources="b").add_sink(everything)
    for name in "ab":
        builder.add_source(name, AudioSource.virtual(frames=RATE))
    with builder.config(StreamConfig(clock=VirtualClock())).start():
        assert {chunk.source for chunk in wanted} == {"b"}
        assert {chunk.source for chunk in everything} == {"a", "b"}


def test_chunks_cannot_be_written_to_and_stay_as_they_were() -> None:
    builder, channel = virtual_session(frames=RATE * 30)
    with builder.start():
        chunks = list(channel)
    with pytest.raises(ValueError, match="read-only"):
        chunks[0].data[0, 0] = 1.0
    check_positions(chunks)


def test_levels_come_with_each_chunk() -> None:
    channel = ChannelSink()
    source = AudioSource.virtual("sine", frequency=1000.0, level=-6.0, frames=RATE)
    builder = native_builder().add_source("mic", source).add_sink(channel)
    with builder.config(StreamConfig(clock=VirtualClock())).start():
        for chunk in channel:
            assert chunk.peak == pytest.approx([-6.0, -6.0], abs=0.01)
            assert chunk.rms == pytest.approx([-9.01, -9.01], abs=0.01)
            assert not chunk.is_silent


def test_digital_silence_is_told_from_a_quiet_signal() -> None:
    silence = record(duration=0.1, source=AudioSource.virtual("silence", pace="freewheel"))
    assert not silence.any()
    channel = ChannelSink()
    quiet = AudioSource.virtual("sine", level=-140.0, frames=4800, pace="freewheel")
    with native_builder().add_source("mic", quiet).add_sink(channel).start():
        assert not any(chunk.is_silent for chunk in channel)


def test_a_dead_device_ends_its_source_and_the_session() -> None:
    builder, channel = virtual_session(faults=[Fault.die(RATE * 3)])
    events: list[StreamEvent] = []
    with builder.on_event(events.append).start() as session:
        chunks = list(channel)
    check_positions(chunks)
    source = session.report().sources["mic"]
    assert source.captured == RATE * 3 // 256 * 256
    assert source.error
    assert session.report().balanced
    assert [type(event) for event in events if isinstance(event, SourceLost | SourceEnded)] == [
        SourceLost,
        SourceEnded,
    ]


def test_a_device_that_hangs_is_reported_as_stalled_and_can_be_stopped() -> None:
    clock = VirtualClock(auto=False)
    channel = ChannelSink()
    events: queue.SimpleQueue[StreamEvent] = queue.SimpleQueue()
    source = AudioSource.virtual("counter", faults=[Fault.hang(RATE)])
    builder = native_builder().add_source("mic", source).add_sink(channel)
    session = builder.config(StreamConfig(clock=clock)).on_event(events.put).start()
    clock.advance(10.0)
    assert session.running
    assert isinstance(events.get(timeout=10), SessionStarted)
    stalled = events.get(timeout=10)
    assert isinstance(stalled, SourceStalled)
    assert 3.0 <= stalled.seconds < 5.0
    report = session.stop()
    assert report.balanced
    assert report.sources["mic"].captured == RATE // 256 * 256


def test_the_tail_reaches_every_sink_when_the_session_is_stopped(tmp_path: Path) -> None:
    clock = VirtualClock(auto=False)
    channel = ChannelSink()
    path = tmp_path / "a.wav"
    builder = native_builder().add_source("mic", AudioSource.virtual("counter"))
    builder.add_sink(channel).add_sink(FileSink(path, subtype="FLOAT"))
    session = builder.config(StreamConfig(clock=clock)).start()
    clock.advance(1.05)
    report = session.stop()
    captured = report.sources["mic"].captured
    assert captured == int(1.05 * RATE) // 256 * 256
    chunks = list(channel)
    check_positions(chunks)
    assert chunks[-1].end == captured
    samples, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(samples[:, 0], np.concatenate([c.data[:, 0] for c in chunks]))


def test_a_slow_sink_loses_its_oldest_chunks_and_no_other_sink_does() -> None:
    clock = VirtualClock()
    channel = ChannelSink(backlog=Backlog(2**30))
    seen: list[AudioChunk] = []

    def slow(chunk: AudioChunk) -> None:
        seen.append(chunk)
        clock.sleep(0.5)  # five times too slow

    builder = native_builder()
    builder.add_source("mic", AudioSource.virtual("counter", frames=RATE * 60))
    builder.add_sink(channel).add_sink(CallbackSink(slow), name="slow")
    config = StreamConfig(clock=clock, backlog=Backlog("1 s", "drop_oldest"))
    with builder.config(config).start() as session:
        check_positions(list(channel))
        session.wait()
    report = session.report()
    assert report.balanced, report
    sink = report.sinks["slow"]
    assert sink.offered == RATE * 60
    assert sink.delivered + sink.dropped == RATE * 60
    assert sink.dropped > RATE * 30
    assert {gap.cause for gap in sink.gaps} == {GapCause.BACKLOG_FULL}
    check_positions(seen)  # the gaps stand in-band, before the chunk that follows
    assert report.sources["mic"].lost == 0


def test_events_begin_and_end_with_the_session() -> None:
    builder, channel = virtual_session(frames=RATE)
    events: list[StreamEvent] = []
    with builder.on_event(events.append).start():
        list(channel)
    assert isinstance(events[0], SessionStarted)
    assert events[-1] == SessionStopped(events[-1].time, balanced=True)


def test_the_switch_interval_is_set_while_sessions_run_and_then_put_back() -> None:
    before = sys.getswitchinterval()
    clock = VirtualClock(auto=False)
    builder = native_builder().add_source("mic", AudioSource.virtual())
    builder.config(StreamConfig(clock=clock, switch_interval=0.0005)).add_sink(ChannelSink())
    with builder.start():
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    assert sys.getswitchinterval() == before


def test_freewheeling_waits_for_the_sinks_and_loses_nothing() -> None:
    frames = RATE * 120  # four times what the ring holds
    channel = ChannelSink(backlog=Backlog(2**30))
    source = AudioSource.virtual("counter", frames=frames, pace="freewheel")
    with native_builder().add_source("mic", source).add_sink(channel).start() as session:
        check_positions(list(channel))
    assert session.report().sources["mic"].captured == frames


def test_time_follows_the_device_and_not_the_jitter() -> None:
    builder, channel = virtual_session(frames=RATE * 30, jitter=0.001, seed=3, drift_ppm=100.0)
    with builder.start():
        chunks = list(channel)
    start = 1000.0
    late = np.array([c.time - start - c.frame / (RATE * (1 + 100e-6)) for c in chunks])
    assert np.all(np.diff([chunk.time for chunk in chunks]) > 0)
    assert np.abs(late[len(late) // 2 :]).max() < 0.0005


def test_a_builder_is_a_context_of_its_own() -> None:
    channel = ChannelSink()
    with native_builder().add_source("mic", TONE).add_sink(channel) as session:
        frames = sum(chunk.frames for chunk in channel)
    assert frames == 4800
    assert not session.running
    builder = native_builder().add_source("mic", TONE).add_sink(ChannelSink())
    with pytest.raises(RuntimeError, match="in the block"), builder as session:
        raise RuntimeError("in the block")
    assert not session.running


def test_a_session_in_one_call_takes_settings() -> None:
    heard: list[AudioChunk] = []
    sinks = [CallbackSink(heard.append)]
    with stream_audio.open(TONE, sinks=sinks, config=StreamConfig(chunk_duration=0.02)) as session:
        session.wait()
    assert [chunk.frames for chunk in heard] == [320] * 5


@pytest.mark.parametrize(
    ("fault", "failing", "complete"),
    [(None, False, True), (Fault.lose(2400), False, False), (None, True, False)],
    ids=["whole", "lost", "failed"],
)
def test_a_report_says_whether_anything_is_missing(fault, failing, complete) -> None:
    def take(chunk: AudioChunk) -> None:
        if failing:
            raise ValueError("a bug of the user's")

    source = AudioSource.virtual("sine", frames=9600, period=240, faults=[fault] if fault else [])
    builder = native_builder().add_source("mic", source).add_sink(CallbackSink(take))
    with builder.config(
        StreamConfig(clock=VirtualClock(), retry=Retry(0), raise_on_sink_failure=False)
    ) as session:
        session.wait()
    report = session.report()
    assert report.balanced
    assert report.complete is complete
    assert report.to_dict()["complete"] is complete
    assert str(report).endswith("none is missing" if complete else "listed above")
    if failing:
        assert "failed: ValueError: a bug of the user's" in str(report)


def test_recording_to_a_file_that_cannot_be_written_raises(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=64k") as disk:
        with pytest.raises(FileSinkError, match="No space left on device") as caught:
            record(disk / "a.wav", duration=1, source=AudioSource.virtual(pace="freewheel"))
        saved = soundfile.info(disk / "a.wav").frames
    assert saved == caught.value.frames > 0


BUG = """
import stream_audio

def mine(chunk):
    raise TypeError("my bug")

tone = stream_audio.AudioSource.virtual("sine", frames=4800, pace="freewheel")
{setup}
config = stream_audio.StreamConfig(raise_on_sink_failure=False)
with stream_audio.open(tone, sinks=[stream_audio.CallbackSink(mine)], config=config) as session:
    session.wait()
"""
QUIET = "import logging; logging.getLogger('stream_audio').addHandler(logging.NullHandler())"


@pytest.mark.parametrize(("setup", "seen"), [("", True), (QUIET, False)], ids=["plain", "quiet"])
def test_a_bug_in_a_callback_is_seen_with_its_place_unless_the_log_is_turned_off(
    setup: str, seen: bool
) -> None:
    program = [sys.executable, "-c", BUG.format(setup=setup)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    assert ("TypeError: my bug" in done.stderr) is seen
    assert ("in mine" in done.stderr) is seen
