"""The session's wall clock runs on while the machine sleeps: chunks, events, files."""

import re
import struct
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioChunk,
    AudioFormat,
    AudioSource,
    CallbackSink,
    FileClosed,
    FileSink,
    FormatPreset,
    GapCause,
    GapDetected,
    SessionStopped,
    Sink,
    StreamAudio,
    StreamConfig,
    StreamEvent,
)
from stream_audio.testing import VirtualClock

RATE = 48_000
HOUR = 3600.0


class Slept:
    """A session on the virtual clock, whose machine sleeps after the first seconds."""

    def __init__(
        self,
        *sinks: Sink,
        before: float = 2.0,
        asleep: float = HOUR,
        after: float = 3.0,
        format: AudioFormat | FormatPreset = FormatPreset.NATIVE,
        pace: str = "real_time",
    ) -> None:
        self.chunks: list[AudioChunk] = []
        self.events: list[StreamEvent] = []
        clock = VirtualClock(auto=False)
        builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("sine"))
        for sink in (CallbackSink(self.chunks.append), *sinks):
            builder.add_sink(sink)
        builder.format(format).on_event(self.events.append).config(StreamConfig(clock=clock))
        self.wall = time.time()
        with builder.start() as session:
            clock.advance(before)
            clock.suspend(asleep)
            clock.advance(after)
        self.session = session
        self.report = session.report()

    @property
    def gap_at(self) -> int:
        (index,) = (i for i, chunk in enumerate(self.chunks) if chunk.gaps)
        return index


@pytest.mark.parametrize(
    "wanted", [FormatPreset.NATIVE, FormatPreset.TRANSCRIPTION, AudioFormat(44_100, 1, "int16")]
)
def test_chunks_tell_the_right_wall_time_before_and_right_after_a_sleep(wanted):
    slept = Slept(format=wanted)
    began = slept.session.epoch + slept.session.started_at
    assert began == pytest.approx(slept.wall, abs=2.0)
    for chunk in slept.chunks:
        # Frames that passed while the machine slept are counted, so the count tells the time.
        assert chunk.wall_time == pytest.approx(began + chunk.timestamp, abs=0.03)
    before, after = slept.chunks[slept.gap_at - 1], slept.chunks[slept.gap_at]
    assert after.gaps[0].cause == GapCause.SUSPENDED
    assert after.wall_time - before.wall_time == pytest.approx(HOUR + before.duration, abs=0.03)
    assert after.time - before.time < 1  # the monotonic clock stood


def test_each_of_several_sleeps_counts():
    chunks: list[AudioChunk] = []
    clock = VirtualClock(auto=False)
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("sine"))
    builder.add_sink(CallbackSink(chunks.append)).format(FormatPreset.NATIVE)
    with builder.config(StreamConfig(clock=clock)).start() as session:
        for asleep in (60.0, 7.0, 86_400.0):
            clock.advance(1.0)
            clock.suspend(asleep)
        clock.advance(1.0)
    began = session.epoch + session.started_at
    for chunk in chunks:
        assert chunk.wall_time == pytest.approx(began + chunk.timestamp, abs=0.03)
    assert chunks[-1].wall_time - chunks[0].wall_time > 86_467


def test_events_tell_the_wall_time_of_their_moment():
    slept = Slept()
    began = slept.session.epoch + slept.session.started_at
    first, last = slept.events[0], slept.events[-1]
    assert first.wall_time == pytest.approx(began, abs=0.1)
    assert isinstance(last, SessionStopped)
    assert last.wall_time == pytest.approx(began + HOUR + 5, abs=0.1)
    (gap,) = (event for event in slept.events if isinstance(event, GapDetected))
    assert gap.wall_time == pytest.approx(began + HOUR + 2, abs=0.5)


def test_an_event_made_by_hand_has_the_wall_time_of_this_process():
    assert StreamEvent(time.monotonic()).wall_time == pytest.approx(time.time(), abs=1.0)


def test_the_report_tells_when_a_source_started():
    slept = Slept()
    assert slept.report.sources["mic"].started == slept.chunks[0].wall_time
    assert slept.report.to_dict()["sources"]["mic"]["started"] == slept.chunks[0].wall_time


def test_a_source_of_which_nothing_came_has_not_started():
    clock = VirtualClock(auto=False)
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("sine"))
    builder.add_sink(CallbackSink(print)).config(StreamConfig(clock=clock))
    with builder.start() as session:
        pass
    report = session.report()
    assert report.sources["mic"].captured == 0
    assert report.sources["mic"].started is None


def parts_of(slept: Slept) -> list[Path]:
    return [event.path for event in slept.events if isinstance(event, FileClosed)]


def test_a_file_that_begins_after_the_sleep_is_named_after_its_time(tmp_path):
    sink = FileSink(tmp_path / "{start:%Y%m%d-%H%M%S}-{index}.wav", gaps="split")
    slept = Slept(sink)
    began = slept.session.epoch + slept.session.started_at
    first, second = (
        datetime.strptime(re.sub(r"-\d\.wav", "", path.name), "%Y%m%d-%H%M%S").timestamp()
        for path in parts_of(slept)
    )
    assert first == pytest.approx(began, abs=1.5)
    assert second == pytest.approx(began + HOUR + 2, abs=1.5)


def test_files_begin_at_whole_times_of_day_after_the_sleep(tmp_path):
    """A minute's sleep: silence fills it, and the file changes at each whole 10 s in it."""
    sink = FileSink(tmp_path / "{start:%H%M%S}.wav", rotate=10, align=True)
    slept = Slept(sink, asleep=60.0, after=12.0)
    first, *later = parts_of(slept)
    assert len(later) >= 7
    assert all(int(path.stem) % 10 == 0 for path in later)
    seconds = [soundfile.info(path).frames / RATE for path in later[:-1]]
    assert seconds == pytest.approx([10.0] * len(seconds), abs=0.05)
    began = datetime.fromtimestamp(slept.session.epoch + slept.session.started_at)
    assert abs(int(first.stem) - int(f"{began:%H%M%S}")) <= 1


def test_a_broadcast_file_after_the_sleep_has_the_sample_of_its_day(tmp_path):
    sink = FileSink(tmp_path / "a.wav", gaps="split", bext=True)
    slept = Slept(sink)
    _, second = parts_of(slept)
    content = second.read_bytes()
    at = content.index(b"bext") + 8
    date, clock = content[at + 320 : at + 330], content[at + 330 : at + 338]
    (since_midnight,) = struct.unpack_from("<Q", content, at + 338)
    after = slept.chunks[slept.gap_at]
    when = datetime.fromtimestamp(after.wall_time)
    assert date.decode() == f"{when:%Y-%m-%d}"
    assert clock.decode() in {
        f"{datetime.fromtimestamp(after.wall_time + slack):%H:%M:%S}" for slack in (-0.05, 0.05)
    }
    midnight = when.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    assert since_midnight / RATE == pytest.approx(after.wall_time - midnight, abs=0.05)


def test_a_source_that_waits_tells_the_wall_time_of_its_reading():
    chunks: list[AudioChunk] = []
    builder = StreamAudio.builder()
    builder.add_source("file", AudioSource.virtual("sine", frames=9600, pace="freewheel"))
    builder.add_sink(CallbackSink(chunks.append))
    before = time.time()
    with builder.start() as session:
        assert session.wait(60)
    assert np.all([before - 1 < chunk.wall_time < time.time() + 1 for chunk in chunks])
