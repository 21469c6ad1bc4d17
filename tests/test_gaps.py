"""Losses of the host and of a machine that sleeps, as a session tells them, on virtual time."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioChunk,
    AudioSource,
    Backlog,
    ChannelSink,
    FormatPreset,
    GapCause,
    GapDetected,
    SessionReport,
    StreamAudio,
    StreamConfig,
    StreamEvent,
)
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, Source
from stream_audio.testing import Fault, VirtualClock

RATE = 48_000
PERIOD = 256


class Uncounted:
    """A source whose host does not count its frames."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def open(self, opening: Opening) -> OpenSource:
        opened = self._source.open(opening)
        opened.capture.native.counted_by_host = False
        return opened


class At:
    """A sink that does something on the router's thread, once, at a frame."""

    blocking = False

    def __init__(self, frame: int, work: Callable[[], None]) -> None:
        self._frame = frame
        self._work: Callable[[], None] | None = work

    def write(self, chunk: AudioChunk) -> None:
        if self._work is not None and chunk.frame >= self._frame:
            work, self._work = self._work, None
            work()


def run(
    source: Source, clock: VirtualClock, *sinks: At
) -> tuple[list[AudioChunk], list[StreamEvent], SessionReport]:
    channel = ChannelSink(backlog=Backlog(2**30))
    events: list[StreamEvent] = []
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    for sink in sinks:
        builder.add_sink(sink)
    builder.add_sink(channel).config(StreamConfig(clock=clock)).on_event(events.append)
    with builder.start() as session:
        chunks = list(channel)
    return chunks, events, session.report()


def check_tiles(chunks: list[AudioChunk]) -> None:
    """Chunks and gaps tile the timeline, and time never goes back."""
    end, time = 0, -np.inf
    for chunk in chunks:
        for gap in chunk.gaps:
            assert gap.frame == end
            assert gap.time > time
            end = gap.end
        assert chunk.frame == end
        assert chunk.time > time
        end, time = chunk.end, chunk.time


@pytest.mark.parametrize("counted", [True, False])
def test_what_a_machine_slept_through_is_suspended(counted: bool) -> None:
    clock = VirtualClock()
    virtual = AudioSource.virtual("counter", frames=RATE * 5)
    source = virtual if counted else Uncounted(virtual)
    chunks, events, report = run(source, clock, At(RATE * 2, lambda: clock.suspend(3600)))
    check_tiles(chunks)
    mic = report.sources["mic"]
    assert report.balanced
    (gap,) = mic.gaps
    assert (gap.cause, gap.frames) == (GapCause.SUSPENDED, RATE * 3600)
    assert RATE * 2 <= gap.frame <= RATE * 2.2  # a chunk more may have come
    assert (mic.captured, mic.position) == (RATE * 5, RATE * 3605)
    assert [event.gap for event in events if isinstance(event, GapDetected)] == [gap]


def test_a_file_loses_nothing_while_the_machine_sleeps(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(RATE * 5, np.float32), RATE)
    clock = VirtualClock()
    source = AudioSource.file(path)
    chunks, _, report = run(source, clock, At(RATE * 2, lambda: clock.suspend(3600)))
    assert sum(chunk.frames for chunk in chunks) == report.sources["mic"].position == RATE * 5


@pytest.mark.parametrize("jitter", [0.0, 0.0005])
def test_without_a_count_a_loss_is_found_by_how_late_the_packets_come(jitter: float) -> None:
    faults = [Fault.lose(RATE * 2, 1), Fault.lose(RATE * 4, 40), Fault.stall(RATE * 6, 1.5)]
    virtual = AudioSource.virtual("counter", frames=RATE * 9, faults=faults, jitter=jitter)
    chunks, events, report = run(Uncounted(virtual), VirtualClock())
    check_tiles(chunks)
    mic = report.sources["mic"]
    assert report.balanced
    assert [gap.frames for gap in mic.gaps] == [PERIOD, 40 * PERIOD]
    assert {gap.cause for gap in mic.gaps} == {GapCause.HOST_OVERFLOW}
    assert mic.unexplained_frames == 0
    assert [event.gap for event in events if isinstance(event, GapDetected)] == list(mic.gaps)
    for chunk in chunks:  # in-band: nothing after a gap comes before it
        told = np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)
        assert told[0] == chunk.frame % 2**23


def test_what_cannot_be_told_from_jitter_is_in_the_report() -> None:
    """±3 ms of jitter hide a period, and the session ends before hindsight tells."""
    faults = [Fault.lose(RATE * 5, 1)]
    frames = round(RATE * 5.6)
    virtual = AudioSource.virtual("counter", frames=frames, faults=faults, jitter=0.003)
    _, _, report = run(Uncounted(virtual), VirtualClock())
    mic = report.sources["mic"]
    assert (mic.lost, mic.unexplained_frames) == (0, PERIOD)
    told = json.loads(json.dumps(report.to_dict()))
    assert told["sources"]["mic"]["unexplained_frames"] == PERIOD
    assert f"{PERIOD} unexplained" in str(report)


def test_a_pause_of_the_routers_own_is_no_standstill_of_the_process() -> None:
    """A sink holds the router up; callbacks go on, and what the host loses is the host's."""
    clock = VirtualClock()
    faults = [Fault.lose(RATE * 3, 20)]
    virtual = AudioSource.virtual("counter", frames=RATE * 8, faults=faults)
    _, _, report = run(virtual, clock, At(RATE * 2, lambda: clock.sleep(3)))
    (gap,) = report.sources["mic"].gaps
    assert (gap.cause, gap.frames) == (GapCause.HOST_OVERFLOW, 20 * PERIOD)
