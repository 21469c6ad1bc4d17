"""Chunks gather in the ring for as long as all sinks of their source can wait; no longer."""

import itertools

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    Backlog,
    ConfigError,
    ConfigTypeError,
    FileSink,
    FormatPreset,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import Fault, VirtualClock

RATE = 48_000
CHUNK = 4_800  # 100 ms
SOON = 0.001
GIVE_UP = 60.0


class Sink:
    blocking = False

    def __init__(self, clock, gather=0.0):
        self.clock = clock
        self.gather = gather
        self.chunks = []
        self.times = []

    def write(self, chunk):
        self.times.append(self.clock.now())
        self.chunks.append(chunk)

    @property
    def ends(self):
        return [chunk.end for chunk in self.chunks]

    def late(self):
        """By how much each chunk came after its last callback, seconds."""
        return np.array(self.times) - [chunk.arrival for chunk in self.chunks]

    def bursts(self):
        """How many chunks came together, each time."""
        return [len(list(group)) for _, group in itertools.groupby(self.times)]


def builder_of(clock, *sinks, seconds=None, **config):
    frames = None if seconds is None else round(seconds * RATE)
    source = AudioSource.virtual("counter", channels=1, period=480, frames=frames)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    for sink in sinks:
        builder.add_sink(sink)
    return builder.config(StreamConfig(clock=clock, **config))


def run(clock, *sinks, seconds=4.0, **config):
    with builder_of(clock, *sinks, seconds=seconds, **config).start() as session:
        assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced
    return report


def test_a_patient_sink_gets_chunks_together():
    clock = VirtualClock()
    sink = Sink(clock, gather=0.4)
    run(clock, sink)
    assert sink.ends == list(range(CHUNK, 4 * RATE + 1, CHUNK))
    assert max(sink.bursts()) == 4
    assert sink.bursts().count(4) >= 8
    assert sink.late().max() == pytest.approx(0.3, abs=0.02)


def test_beside_one_that_is_not_it_gets_each_at_once():
    clock = VirtualClock()
    patient, other = Sink(clock, gather=0.4), Sink(clock)
    run(clock, patient, other)
    assert patient.late().max() < SOON
    assert other.late().max() < SOON


def test_the_least_patient_one_counts():
    clock = VirtualClock()
    sinks = Sink(clock, gather=0.4), Sink(clock, gather=0.2)
    run(clock, *sinks)
    for sink in sinks:
        assert max(sink.bursts()) == 2


def test_with_a_history_nobody_waits():
    clock = VirtualClock()
    sink = Sink(clock, gather=0.4)
    with builder_of(clock, sink, seconds=4.0).history(1.0).start() as session:
        assert session.wait(GIVE_UP)
    assert sink.late().max() < SOON


def test_a_small_ring_is_never_more_than_a_quarter_full():
    clock = VirtualClock()
    sink = Sink(clock, gather=0.4)
    report = run(clock, sink, ring_duration=0.8)
    assert report.sources["mic"].lost == 0
    assert max(sink.bursts()) == 2
    assert report.sources["mic"].ring_highest <= 0.2 * RATE + 480


def test_stop_hands_on_what_had_gathered():
    clock = VirtualClock(auto=False)
    sink = Sink(clock, gather=0.4)
    with builder_of(clock, sink).start() as session:
        clock.advance(1.05)
        assert len(sink.chunks) == 8
        report = session.stop()
    assert report.sources["mic"].captured >= RATE
    assert sink.ends[-1] == report.sources["mic"].captured


@pytest.mark.parametrize("chunk_duration", [0.01, 0.1, 0.3])
def test_a_file_lacks_the_last_second_at_most_at_any_moment(tmp_path, chunk_duration):
    """What has gathered, and what its header does not speak of yet, together."""
    clock = VirtualClock(auto=False)
    path = tmp_path / "a.wav"
    builder = builder_of(clock, FileSink(path), chunk_duration=chunk_duration)
    with builder.start() as session:
        behind = []
        for _ in range(100):
            clock.advance(0.07)
            mic = session.stats().sources["mic"]
            delivered = mic.captured + round(mic.ring_seconds * RATE)
            behind.append(delivered - soundfile.info(path).frames)
    assert max(behind) <= RATE, np.array(behind) / RATE
    assert max(behind) >= 0.3 * RATE  # it does gather


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("a.wav", 0.8), ("a.aiff", 0.8), ("a.flac", 0.8 + 4096 / RATE), ("a.mp3", 1.01)],
)
def test_what_a_kill_costs_is_what_gathers_and_what_the_encoder_holds(tmp_path, name, seconds):
    clock = VirtualClock(auto=False)
    path = tmp_path / name
    behind = []
    with builder_of(clock, FileSink(path)).start() as session:
        clock.advance(1.5)  # there is no FLAC file before its first block
        for _ in range(60):
            clock.advance(0.07)
            mic = session.stats().sources["mic"]
            delivered = mic.captured + round(mic.ring_seconds * RATE)
            behind.append(delivered - soundfile.info(path).frames)
    assert max(behind) <= seconds * RATE, np.array(behind) / RATE
    assert max(behind) >= 0.6 * RATE


# ---- as one chunk ----


class BatchSink(Sink):
    takes_batches = True


def test_what_gathered_may_come_as_one_chunk():
    clock = VirtualClock()
    sink = BatchSink(clock, gather=0.4)
    report = run(clock, sink)
    assert sink.ends == list(range(4 * CHUNK, 4 * RATE + 1, 4 * CHUNK))
    assert set(sink.bursts()) == {1}
    assert report.sinks["BatchSink"].delivered == 4 * RATE
    samples = np.concatenate([chunk.data for chunk in sink.chunks])
    assert np.array_equal(np.rint(samples[:, 0] * 2**23), np.arange(4 * RATE))
    for chunk in sink.chunks:
        largest = np.abs(chunk.data).max()
        assert chunk.peak == pytest.approx([20 * np.log10(largest)])
        assert chunk.rms == pytest.approx(
            10 * np.log10(np.mean(np.square(chunk.data, dtype=float)))
        )


def test_chunks_stay_as_they_are_beside_a_sink_that_wants_them_so():
    clock = VirtualClock()
    sinks = BatchSink(clock, gather=0.4), Sink(clock, gather=0.4)
    run(clock, *sinks)
    for sink in sinks:
        assert sink.ends == list(range(CHUNK, 4 * RATE + 1, CHUNK))


def test_without_gathering_there_is_nothing_to_join():
    clock = VirtualClock()
    sink = BatchSink(clock)
    run(clock, sink)
    assert sink.ends == list(range(CHUNK, 4 * RATE + 1, CHUNK))


def test_a_backlog_holds_eight_of_them_at_least():
    clock = VirtualClock()
    sink = BatchSink(clock, gather=0.8)
    sink.blocking = True
    run(clock, sink, backlog=Backlog("1.7 s", "drop_oldest"))
    assert max(chunk.frames for chunk in sink.chunks) == 2 * CHUNK
    assert sink.ends[-1] == 4 * RATE


def test_chunks_are_as_usual_once_a_sink_comes_that_wants_them_so():
    clock = VirtualClock(auto=False)
    sink, other = BatchSink(clock, gather=0.4), Sink(clock)
    with builder_of(clock, sink).start() as session:
        clock.advance(1.05)
        handle = session.add_sink(other)
        clock.advance(1.05)
        handle.remove()
        clock.advance(2.0)
        session.stop()
    assert {chunk.frames for chunk in other.chunks} == {CHUNK}
    lengths = [chunk.frames // CHUNK for chunk in sink.chunks]
    assert lengths[:3] == [4, 4, 2]  # what had gathered is handed on first
    assert lengths[3:13] == [1] * 10
    assert max(lengths[13:]) == 4


def test_a_loss_keeps_chunks_apart():
    clock = VirtualClock()
    sink = BatchSink(clock, gather=0.4)
    lost = Fault.lose(RATE + 2 * CHUNK, periods=5)
    source = AudioSource.virtual("counter", channels=1, period=480, frames=2 * RATE, faults=[lost])
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    with builder.add_sink(sink).config(StreamConfig(clock=clock)).start() as session:
        assert session.wait(GIVE_UP)
    assert session.report().balanced
    (after,) = [chunk for chunk in sink.chunks if chunk.gaps]
    assert sum(gap.frames for gap in after.gaps) == 5 * 480
    for chunk in sink.chunks:
        values = np.rint(chunk.data[:, 0] * 2**23)
        assert np.array_equal(values, np.arange(chunk.frame, chunk.end))


def test_a_pause_is_exact_to_the_frame():
    clock = VirtualClock(auto=False)
    sink = BatchSink(clock, gather=0.4)
    with builder_of(clock, sink).start() as session:
        clock.advance(1.105)
        session.pause()
        clock.advance(0.5)
        session.resume()
        clock.advance(2.0)
        report = session.stop()
    (pause,) = report.sources["mic"].pauses
    assert pause.frames == RATE // 2
    ends = [0, *sink.ends]
    jumps = [c.frame - end for c, end in zip(sink.chunks, ends, strict=False) if c.frame != end]
    assert jumps == [RATE // 2]
    assert max(chunk.frames for chunk in sink.chunks) == 4 * CHUNK


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
@pytest.mark.parametrize("format", [FormatPreset.NATIVE, FormatPreset.TRANSCRIPTION])
def test_a_file_is_the_same_with_all_at_once_and_with_each_by_itself(tmp_path, name, format):
    """To the bit, with losses in it, dithered."""
    faults = [Fault.lose(RATE, periods=7), Fault.lose(2 * RATE + 777, periods=100)]
    written = []
    for gather in (0.0, 0.8):
        clock = VirtualClock()
        path = tmp_path / f"{gather}-{name}"
        source = AudioSource.virtual(
            "sine", channels=2, period=480, frames=5 * RATE, faults=faults
        )
        sink = FileSink(path, gather=gather)
        builder = StreamAudio.builder().add_source("mic", source).format(format).add_sink(sink)
        with builder.config(StreamConfig(clock=clock)).start() as session:
            assert session.wait(GIVE_UP)
        assert session.report().balanced
        written.append(soundfile.read(path, dtype="int16")[0])
    assert len(written[0]) >= 4 * (RATE if format is FormatPreset.NATIVE else 16_000)
    assert np.array_equal(*written)


# ---- sinks that come and go ----


def test_a_sink_that_is_removed_gets_what_had_gathered():
    clock = VirtualClock(auto=False)
    sink, other = Sink(clock, gather=0.4), Sink(clock, gather=0.4)
    with builder_of(clock, other).start() as session:
        handle = session.add_sink(sink)
        clock.advance(1.05)
        assert len(sink.chunks) == 8
        handle.remove()
        assert sink.ends[-1] == RATE
        assert len(sink.chunks) == 10
        session.stop()


def test_a_sink_that_is_added_gets_nothing_of_what_had_gathered():
    clock = VirtualClock(auto=False)
    sink, other = Sink(clock), Sink(clock, gather=0.4)
    with builder_of(clock, other).start() as session:
        clock.advance(1.05)
        session.add_sink(sink)
        clock.advance(1.05)
        session.stop()
    assert sink.chunks[0].frame == RATE
    assert sink.late()[:-1].max() < SOON  # and now there is one that does not wait


def test_once_the_impatient_one_is_gone_chunks_gather():
    clock = VirtualClock(auto=False)
    sink, other = Sink(clock, gather=0.4), Sink(clock)
    with builder_of(clock, sink).start() as session:
        handle = session.add_sink(other)
        clock.advance(1.01)
        assert sink.late().max() < SOON
        handle.remove()
        clock.advance(2.0)
        assert max(sink.bursts()) == 4
        session.stop()


def test_a_source_that_does_not_wait_for_the_clock_is_not_held_up():
    clock = VirtualClock()
    sink = Sink(clock, gather=0.4)
    source = AudioSource.virtual("counter", pace="freewheel", frames=10 * RATE)
    builder = StreamAudio.builder().add_source("mic", source).add_sink(sink)
    with builder.format(FormatPreset.NATIVE).config(StreamConfig(clock=clock)).start() as session:
        assert session.wait(GIVE_UP)
    assert sink.ends[-1] == 10 * RATE
    assert clock.now() < 1100.0


@pytest.mark.parametrize("name", ["a.wav", "a.aiff"])
@pytest.mark.parametrize("fsync", [0.5, 1.0, 2.0])
def test_with_fsync_a_file_lacks_no_more_than_was_said(tmp_path, name, fsync):
    clock = VirtualClock(auto=False)
    sink = FileSink(tmp_path / name, fsync=fsync)
    behind = []
    with builder_of(clock, sink, chunk_duration=0.05).start() as session:
        for _ in range(100):
            clock.advance(0.07)
            mic = session.stats().sources["mic"]
            delivered = mic.captured + round(mic.ring_seconds * RATE)
            behind.append(delivered - soundfile.info(tmp_path / name).frames)
    assert max(behind) <= fsync * RATE


def test_less_than_what_gathers_cannot_be_on_the_disk(tmp_path):
    with pytest.raises(ConfigError, match=r"gather must be less than fsync"):
        FileSink(tmp_path / "a.wav", fsync=0.2, gather=0.2)


@pytest.mark.parametrize("gather", [-0.1, 0.9, float("nan")])
def test_gather_out_of_range(gather, tmp_path):
    with pytest.raises(ConfigError, match=r"gather must be from 0 to 0\.8"):
        FileSink(tmp_path / "a.wav", gather=gather)
    with pytest.raises(ConfigError, match=r"gather must be from 0 to 0\.8"):
        StreamAudio.builder().add_sink(Sink(None, gather))


def test_gather_of_the_wrong_type(tmp_path):
    with pytest.raises(ConfigTypeError, match="gather must be a number"):
        FileSink(tmp_path / "a.wav", gather="long")
