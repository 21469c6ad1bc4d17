"""Servers that are killed and started again in the middle of one recording."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    FileSink,
    FormatPreset,
    GapCause,
    Session,
    SourceEnded,
    SourceLost,
    SourceRecovered,
    StreamAudio,
    StreamEvent,
)
from stream_audio.audio.chunk import AudioChunk
from support import servers

GIVE_UP = 30.0


class Recording:
    """A session that writes a file, with what it told."""

    def __init__(self, source: object, path: Path) -> None:
        self.events: list[StreamEvent] = []
        self.chunks: list[AudioChunk] = []
        self._told = threading.Condition()
        self._builder = (
            StreamAudio.builder()
            .add_source("mic", source)  # type: ignore[arg-type]
            .format(FormatPreset.NATIVE)
            .add_sink(FileSink(path))
            .add_sink(self)
            .on_event(self._note)
        )
        self.session: Session

    def write(self, chunk: AudioChunk) -> None:
        with self._told:
            self.chunks.append(chunk)
            self._told.notify_all()

    def _note(self, event: StreamEvent) -> None:
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def wait_for(self, kind: type[StreamEvent], count: int = 1) -> None:
        with self._told:
            assert self._told.wait_for(lambda: len(self.of(kind)) >= count, GIVE_UP), self.events

    def take(self, seconds: float) -> None:
        """Wait until it has captured so much more."""
        with self._told:
            wanted = sum(chunk.duration for chunk in self.chunks) + seconds
            assert self._told.wait_for(
                lambda: sum(chunk.duration for chunk in self.chunks) >= wanted, GIVE_UP
            )

    def of(self, kind: type[StreamEvent]) -> list[StreamEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def errors_of_gaps(self) -> list[float]:
        """Seconds by which each outage is told longer than it was between its two chunks.

        How a busy server's own clock runs meanwhile is not in it.
        """
        return [
            (after.frame - before.frame - before.frames) / after.sample_rate
            - (after.time - before.time - before.duration)
            for before, after in pairwise(self.chunks)
            if GapCause.DEVICE_LOST in [gap.cause for gap in after.gaps]
        ]

    @contextmanager
    def running(self) -> Iterator["Recording"]:
        with self._builder.start() as self.session:
            self.take(0.5)
            yield self


def check(recording: Recording, path: Path, times: int) -> None:
    """Check that the account balances, and the file has the whole timeline."""
    report = recording.session.report()
    assert report.balanced, report
    mic = report.sources["mic"]
    assert [gap.cause for gap in mic.gaps].count(GapCause.DEVICE_LOST) == times
    kinds = [SourceLost, SourceRecovered] * times + [SourceEnded]
    assert [type(e) for e in recording.events if type(e) in kinds] == kinds
    samples, rate = soundfile.read(path, always_2d=True)
    assert len(samples) == mic.position
    assert rate == mic.sample_rate
    for gap in mic.gaps:
        assert not np.any(samples[gap.frame : gap.end])


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.long)])
def test_jackd_is_killed_and_started_again_in_one_recording(
    jack: servers.Jack, tmp_path: Path, times: int
) -> None:
    path = tmp_path / "jack.wav"
    counter = servers.JackCounter().start()
    recording = Recording(AudioSource.device("counter"), path)
    with recording.running():
        usual = in_use()
        for number in range(1, times + 1):
            jack.kill()
            counter.stop()
            recording.wait_for(SourceLost, number)
            jack.restart()
            counter = servers.JackCounter().start()
            recording.wait_for(SourceRecovered, number)
            recording.take(0.5)
        check_use(usual, times)
    counter.stop()
    check(recording, path, times)
    # The machine may be busy; the median says how right a gap is.
    assert np.median(np.abs(recording.errors_of_gaps())) < (0.001 if times > 1 else 0.05)


SERVERS = {"PulseAudio": servers.PulseAudio, "PipeWire": servers.PipeWire}


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", SERVERS)
def test_a_sound_server_is_killed_and_started_again_in_one_recording(
    servers_wanted: None, tmp_path: Path, name: str, times: int
) -> None:
    path = tmp_path / "server.wav"
    with SERVERS[name]() as server:
        module = server.load_sink("room") if name == "PulseAudio" else ""
        source = "room.monitor" if module else "speakers.monitor"
        recording = Recording(AudioSource.device(source), path)
        with recording.running():
            usual = in_use()
            for number in range(1, times + 1):
                server.kill()
                recording.wait_for(SourceLost, number)
                server.restart()
                if module:
                    server.load_sink("room")
                recording.wait_for(SourceRecovered, number)
                recording.take(0.5)
            check_use(usual, times)
    check(recording, path, times)
    assert np.median(np.abs(recording.errors_of_gaps())) < (0.005 if times > 1 else 0.1)


def in_use() -> tuple[int, int, int]:
    """Return this process's threads, descriptors and resident bytes."""
    status = Path("/proc/self/status").read_text()
    kib = int(status.partition("VmRSS:")[2].split()[0])
    return threading.active_count(), len(os.listdir("/proc/self/fd")), kib * 1024


def check_use(usual: tuple[int, int, int], times: int) -> None:
    """Check that deaths leave nothing behind; threads on their way out get a moment."""
    deadline = time.monotonic() + GIVE_UP
    while (now := in_use())[0] > usual[0] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert now[0] <= usual[0]
    assert now[1] <= usual[1] + 2
    assert now[2] - usual[2] <= (times + 10) * 3 * 2**20
