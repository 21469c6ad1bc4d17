"""What goes to a waiting consumer by the short way is what the usual way brings, and as exact."""

import itertools
import math
import threading

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioFormat,
    AudioSource,
    CallbackSink,
    ChannelSink,
    FileSink,
    FormatPreset,
    StreamAudio,
    StreamConfig,
)
from stream_audio.audio.gap import GapCause
from stream_audio.engine.baton import Baton
from stream_audio.engine.fast_path import PATIENCE, FastPath
from stream_audio.reports.events import Clipping, GapDetected
from stream_audio.sources.virtual import Fault
from support.processes import wait_until

RATE = 48_000
PERIOD = 240
GIVE_UP = 30.0


class Usual(ChannelSink):
    """Whatever is of another class is written to, as it may want to know."""

    def write(self, chunk):
        return super().write(chunk)


@pytest.fixture
def ways(monkeypatch):
    """Whether each of a consumer's turns went the short way, as far as one was prepared."""
    ways, run_turn = [], FastPath.run_turn

    def note(path, deadline_ns):
        ways.append(run_turn(path, deadline_ns))
        return ways[-1]

    monkeypatch.setattr(FastPath, "run_turn", note)
    return ways


def builder_of(channel, *, signal="counter", chunk=0.013, seconds=0.5, **source):
    frames = None if seconds is None else round(seconds * RATE)
    device = AudioSource.virtual(signal, period=PERIOD, frames=frames, **source)
    builder = StreamAudio.builder().add_source("mic", device).add_sink(channel, name="channel")
    return builder.format(FormatPreset.NATIVE).config(StreamConfig(chunk_duration=chunk))


def chunks_of(channel, **settings):
    with builder_of(channel, **settings).start() as session:
        chunks = list(channel)
    report = session.report()
    assert report.balanced
    assert sum(chunk.frames for chunk in chunks) == report.sources["mic"].captured
    assert report.sinks["channel"].delivered == report.sources["mic"].captured
    return chunks, report


def what_the_device_tells(chunk):
    levels = chunk.peak.tolist(), chunk.rms.tolist()
    return chunk.source, chunk.frame, chunk.frames, chunk.gaps, chunk.overflows, levels


@pytest.mark.parametrize("chunk", [PERIOD / RATE, 0.013, 0.04], ids=["one packet", "odd", "8"])
def test_chunks_are_those_of_the_usual_way(ways, chunk):
    short, _ = chunks_of(ChannelSink(), chunk=chunk)
    assert True in ways
    del ways[:]
    usual, _ = chunks_of(Usual(), chunk=chunk)
    assert not ways
    for one, other in zip(short, usual, strict=True):
        assert what_the_device_tells(one) == what_the_device_tells(other)
        assert np.array_equal(one.data, other.data)
        assert not one.data.flags.writeable
        assert one.sample_rate == other.sample_rate
        assert (one.clipped, one.source_rate) == (0, None)


def test_times_are_those_of_the_frames(ways):
    chunks, _ = chunks_of(ChannelSink(), chunk=0.01)
    assert True in ways
    for before, chunk in itertools.pairwise(chunks):
        frames = chunk.frame - before.frame
        assert frames == before.frames + sum(gap.frames for gap in chunk.gaps)
        assert chunk.timestamp - before.timestamp == pytest.approx(frames / RATE, abs=1e-6)
        assert chunk.time > before.time  # how exact: tests of the timeline say, on a virtual clock
        assert chunk.arrival >= before.arrival
        assert chunk.arrival > chunk.time


def test_a_chunk_is_as_immutable_as_any(ways):
    chunks, _ = chunks_of(ChannelSink())
    for chunk in chunks:
        with pytest.raises(AttributeError):
            chunk.frame = 0


def test_what_a_gap_precedes_takes_the_usual_way_and_the_next_the_short_one(ways):
    faults = [Fault.lose(RATE // 10, 3), Fault.lose(RATE // 4, 1, flagged=True)]
    events = []
    channel = ChannelSink()
    builder = builder_of(channel, faults=faults).on_event(events.append)
    with builder.start() as session:
        chunks = list(channel)
    report = session.report()
    assert report.balanced
    gaps = [gap for chunk in chunks for gap in chunk.gaps]
    assert [gap.frames for gap in gaps] == [3 * PERIOD, PERIOD]
    assert {gap.cause for gap in gaps} == {GapCause.HOST_OVERFLOW}
    assert [event.gap for event in events if isinstance(event, GapDetected)] == gaps
    assert tuple(gaps) == report.sources["mic"].gaps
    expected = 0
    for chunk in chunks:
        expected += sum(gap.frames for gap in chunk.gaps)
        assert chunk.frame == expected
        expected = chunk.end
    assert True in ways


def test_more_short_chunks_than_rows_were_thought_of():
    """Each loss ends a chunk, and a block has rows for sixteen more than usual."""
    faults = [Fault.lose(at * 2 * PERIOD) for at in range(3, 90)]
    chunks, report = chunks_of(ChannelSink(), chunk=0.5, seconds=1.0, faults=faults)
    assert len(chunks) > 80
    assert report.sources["mic"].lost == 87 * PERIOD


def test_a_pause_that_begins_while_the_consumer_waits_leaves_its_frames_out(ways):
    channel = ChannelSink()
    frames = 0
    with builder_of(channel, chunk=0.01, seconds=None).start() as session:
        for number, chunk in enumerate(channel):
            frames += chunk.frames
            if number == 20:
                session.pause()
                threading.Timer(0.1, session.resume).start()
            if number == 40:
                session.stop()
    report = session.report()
    assert report.balanced
    assert report.sources["mic"].paused > 0
    assert report.sources["mic"].captured == frames
    assert True in ways[-10:]


def test_what_is_noticed_of_its_samples_is_told(ways):
    events = []
    channel = ChannelSink()
    builder = builder_of(channel, signal="sine", level=0.0).on_event(events.append)
    with builder.start():
        for _ in channel:
            pass
    assert any(isinstance(event, Clipping) for event in events)
    assert True in ways


def test_a_sink_that_comes_ends_it_and_nothing_is_lost_or_doubled(ways):
    channel = ChannelSink()
    session = builder_of(channel, chunk=0.005, seconds=None).start()
    chunks = []
    reader = threading.Thread(target=lambda: chunks.extend(channel))
    reader.start()
    for _ in range(10):
        turns = len(ways)
        wait_until(lambda before=turns: True in ways[before:], "the short way is taken")
        handle = session.add_sink(CallbackSink(lambda chunk: None))
        handle.remove()
    report = session.stop()
    reader.join(GIVE_UP)
    assert report.balanced
    expected = 0
    for chunk in chunks:
        assert chunk.frame == expected
        expected = chunk.end
    assert expected == report.sources["mic"].captured == report.sinks["channel"].delivered


@pytest.mark.parametrize("wanted", [None, AudioFormat(16_000, 1)], ids=["as it is", "converted"])
def test_a_file_beside_the_channel_gets_the_same(ways, tmp_path, wanted):
    """In order, with what a loss, a pause and the end need; it costs the channel nothing."""
    channel, path = ChannelSink(), tmp_path / "beside.wav"
    faults = [Fault.lose(RATE // 4, 3)]
    file = FileSink(path, subtype="FLOAT", gaps="skip")
    builder = builder_of(channel, signal="sine", level=-6.0, chunk=0.01, faults=faults)
    with builder.add_sink(file, name="file", format=wanted).start() as session:
        chunks = []
        for number, chunk in enumerate(channel):
            chunks.append(chunk.data)
            if number == 12:
                session.pause()
                session.resume()
    report = session.report()
    assert report.balanced
    assert True in ways
    captured, delivered = report.sources["mic"].captured, report.sinks["file"].delivered
    assert report.sinks["channel"].delivered == captured
    recorded, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert len(recorded) == delivered == report.sinks["file"].offered
    if wanted is None:
        assert np.array_equal(recorded, np.concatenate(chunks))
    else:
        assert delivered == pytest.approx(captured * rate / RATE, abs=4)


def test_a_sink_that_can_wait_waits_while_the_consumer_reads_and_no_longer():
    """The router brings its chunks, in order, though the consumer runs every turn."""
    got, channel = [], ChannelSink()

    class Patient:
        gather = PATIENCE

        def write(self, chunk):
            got.append((chunk.frame, chunk.end))

    builder = builder_of(channel, chunk=0.005, seconds=None)
    with builder.start() as session:
        patient = session.add_sink(Patient(), name="patient")
        newest = channel.get()
        while not got or got[-1][1] < RATE // 2:
            newest = channel.get()
        assert newest.end >= got[-1][1]
        removed = patient.remove()
    report = session.report()
    assert report.balanced
    assert all(before[1] == after[0] for before, after in itertools.pairwise(got))
    assert removed.delivered == removed.offered == got[-1][1] - got[0][0]


def test_two_sinks_in_a_hurry_take_the_usual_way(ways):
    channel = ChannelSink()
    builder = builder_of(channel, seconds=0.2).add_sink(CallbackSink(lambda chunk: None))
    with builder.start():
        assert list(channel)
    assert not ways


def test_two_sources_or_another_format_take_the_usual_way(ways):
    channel = ChannelSink()
    builder = builder_of(channel, seconds=0.2)
    builder.add_source("other", AudioSource.virtual("sine", frames=RATE // 5))
    with builder.start():
        assert list(channel)
    channel = ChannelSink()
    with builder_of(channel, seconds=0.2).format(FormatPreset.TRANSCRIPTION).start():
        assert list(channel)
    assert not ways


def test_a_chunk_whose_get_was_interrupted_is_the_next_one():
    """As when Ctrl-C is raised at the end of the turn that brought it."""
    channel = ChannelSink()
    with builder_of(channel, chunk=0.01, seconds=None).start() as session:
        first = channel.get()
        baton: Baton = channel._baton
        while channel.handed is None:
            waiting = channel.unread
            baton.run_turns(channel._has_news, math.inf)
            if channel.handed is None:  # the usual way, while the router was at it
                first = channel.get()
        assert channel.unread == waiting + channel.handed.frames
        assert session.report().sinks["channel"].unread >= channel.handed.frames
        assert channel.wait(timeout=0)
        assert not channel.can_be_handed
        assert channel.get(timeout=0).frame == first.end
        assert channel.handed is None


def test_what_was_passed_over_is_told_by_the_next_chunk(ways):
    channel = ChannelSink()
    with builder_of(channel, chunk=0.005, seconds=None).start():
        channel.get()
        newest = channel.latest()
        while newest.gap is None and not channel.passed_over:  # until something was passed over
            wait_until(lambda: channel.unread > RATE // 100, "two chunks wait")
            newest = channel.latest()
        following = channel.get()
        assert newest.gap.cause == GapCause.PASSED_OVER
        assert following.frame == newest.end
        assert following.gap is None
