"""A sound server that no real one can be made to be, played by a libpulse of the test's own."""

import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    ChannelSink,
    DeviceError,
    DeviceNotFoundError,
    FormatPreset,
    GapCause,
    HostUnresponsiveError,
    SourceLost,
    StreamAudio,
)
from stream_audio._native import pulse
from support.processes import require_program

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"
CORE = (
    *("pulse_connection", "pulse_library", "pulse_stream", "adc", "capture", "clock", "doorbell"),
    *("idle", "pulse_lists"),
    *("drift", "gaps", "lateness", "levels", "overwritten", "platform_posix", "reader"),
    *("realtime", "ring", "standstill", "timeline"),
)
PACKET, PACKETS = 480, 100
HALF = PACKET * PACKETS // 2


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("pulse") / "libpulse.so.0"
    compile_c(path, HERE / "fake_pulse.c", "-fPIC", "-shared")
    return path


def compile_c(output, *arguments):
    flags = ["-std=gnu11", "-O1", "-g", "-pthread", f"-I{CSRC}", "-o", output]
    command = [require_program("cc", "gcc"), *flags, *arguments, "-lm"]
    subprocess.run([str(word) for word in command], check=True, timeout=120)


@pytest.fixture
def server(library, monkeypatch):
    """Return a function that makes the server behave as it is told."""
    monkeypatch.setenv("STREAM_AUDIO_PULSE_LIBRARY", str(library))
    # Nothing but this server is there to be listed.
    monkeypatch.setenv("STREAM_AUDIO_PORTAUDIO_LIBRARY", str(library))
    return lambda how: monkeypatch.setenv("FAKE_PULSE", how)


def record(source=None):
    """Record until the source ends; the count in each frame, the report of the source, events."""
    channel, events = ChannelSink(), []
    builder = StreamAudio.builder().add_source(
        "mic", source or AudioSource.default_device(on_lost="stop")
    )
    builder.format(FormatPreset.NATIVE).add_sink(channel).on_event(events.append)
    with builder.start() as session:
        chunks = list(channel)
    assert session.wait(10)
    counts = np.concatenate([chunk.data[:, 0] for chunk in chunks]) * 2**20
    lost = [event for event in events if isinstance(event, SourceLost)]
    return counts.astype(int), session.report().sources["mic"], lost


def test_all_that_came_before_the_end_is_recorded(server):
    server("plain")
    counts, report, lost = record()
    assert counts.tolist() == list(range(PACKET * PACKETS))
    assert not report.lost
    assert report.device == "Microphone, PulseAudio"
    assert [event.reason for event in lost] == [report.error]
    assert "Microphone, PulseAudio is gone: Entity killed" in report.error


def test_a_sink_is_told_which_device_was_found(server):
    server("plain")
    seen = []

    class Sink:
        def start(self, info):
            seen.extend(source.device for source in info.sources)

        def write(self, chunk):
            pass

    builder = StreamAudio.builder().add_source("mic", AudioSource.default_device(on_lost="stop"))
    builder.add_source("tone", AudioSource.virtual(frames=480)).add_sink(Sink())
    with builder.start() as session:
        assert session.wait(10)
    assert seen == ["Microphone, PulseAudio", ""]


def test_a_hole_is_a_gap_of_its_length_and_place(server):
    server("hole")
    counts, report, _ = record()
    assert counts.tolist() == list(range(PACKET * PACKETS))
    assert [(gap.frame, gap.frames, gap.cause) for gap in report.gaps] == [
        (HALF, 1000, GapCause.HOST_OVERFLOW)
    ]


def test_a_hole_at_the_end_is_counted_too(server):
    server("hole-last")
    counts, report, _ = record()
    assert len(counts) == PACKET * PACKETS
    assert [(gap.frame, gap.frames, gap.cause) for gap in report.gaps] == [
        (PACKET * PACKETS, 1000, GapCause.HOST_OVERFLOW)
    ]


def test_a_stream_that_is_moved_all_the_same_ends_before_the_first_frame_of_the_other(server):
    server("moved")
    counts, report, lost = record()
    assert counts.tolist() == list(range(HALF))
    assert len(lost) == 1
    assert "the server moved the stream to other" in report.error


def test_a_part_of_a_frame_ends_the_source_rather_than_shift_its_channels(server):
    server("part")
    counts, report, _ = record()
    assert counts.tolist() == list(range(HALF))
    assert "a part of a frame" in report.error


def test_a_server_that_records_another_source_is_not_recorded(server):
    server("other")
    with pytest.raises(DeviceNotFoundError, match=r"'Microphone' \(mic\) is gone"):
        record(AudioSource.device("mic"))


@pytest.mark.parametrize("how", ["frozen", "deaf"])
def test_a_server_that_does_not_answer_is_an_error_in_time(server, how, monkeypatch):
    server(how)
    monkeypatch.setattr(pulse, "ANSWER_TIMEOUT", 200_000_000)
    began = time.monotonic()
    with pytest.raises(HostUnresponsiveError, match="answer"):
        record(AudioSource.device("mic"))
    assert time.monotonic() - began < 5


def test_more_channels_than_the_source_has_are_refused(server):
    server("plain")
    with pytest.raises(DeviceError, match="does not record 3 channels"):
        record(AudioSource.device("mic", channels=3))


@pytest.mark.long
@pytest.mark.parametrize("how", ["plain", "hole", "moved"])
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_its_client_runs_clean_under_sanitizers(sanitizer, how, tmp_path):
    flag = f"-fsanitize={sanitizer}"
    compile_c(tmp_path / "libpulse.so.0", HERE / "fake_pulse.c", "-fPIC", "-shared", flag)
    sources = [HERE / "pulse_client.c", *(CSRC / f"{name}.c" for name in CORE)]
    compile_c(tmp_path / "client", *sources, flag)
    frames = HALF if how == "moved" else 2 * HALF
    done = subprocess.run(
        ["setarch", "-R", tmp_path / "client", tmp_path / "libpulse.so.0", str(frames)],
        env=os.environ | {"FAKE_PULSE": how},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_library_that_lacks_a_function_counts_as_none(tmp_path, monkeypatch):
    path = tmp_path / "libpulse.so.0"
    source = "const char *pa_strerror(int error) { return 0; }"
    command = [require_program("cc", "gcc"), "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)
    monkeypatch.setenv("STREAM_AUDIO_PULSE_LIBRARY", os.fspath(path))
    with pytest.raises(pulse.NoPulseServerError, match="has no pa_channel_map_snprint"):
        pulse.PulseConnection()
