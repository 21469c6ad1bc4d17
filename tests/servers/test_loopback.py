"""What the computer plays, on PulseAudio and PipeWire: an output, or one program alone.

"speakers" is what programs play to, the default output. The monitor of "microphone", another null
sink, is the default input.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import (
    AmbiguousDeviceError,
    AudioFormat,
    AudioSource,
    ChannelSink,
    DefaultChanged,
    DeviceNotFoundError,
    DigitalSilence,
    FileSink,
    FormatPreset,
    GapCause,
    LoopbackUnavailable,
    SourceLost,
    SourceRecovered,
    SourceStalled,
    SourceSuspended,
    SourceSwitched,
    StreamAudio,
    capabilities,
    list_playing,
)
from stream_audio.devices import list as listing
from support import servers
from support.processes import end_process, require_program

RATE = 48_000
SECONDS = 20.0  # that anything may take at most
PLAYED, SPOKEN = 0.25, -0.5

SERVERS = {"PulseAudio": servers.PulseAudio, "PipeWire": servers.PipeWire}
both = pytest.mark.parametrize("server", list(SERVERS), indirect=True)
both_at_length = pytest.mark.parametrize(
    "server", ["PipeWire", pytest.param("PulseAudio", marks=pytest.mark.long)], indirect=True
)


@pytest.fixture(scope="module")
def server(request) -> Iterator[servers.PulseAudio]:
    if os.environ.get("STREAM_AUDIO_SERVERS") == "off":
        pytest.skip("STREAM_AUDIO_SERVERS=off")
    with SERVERS[request.param](sinks=("speakers", "microphone")) as running:
        running.ask("set-default-source", "microphone.monitor")
        yield running


class Recording:
    """A session with some sources, a channel for each, and what it was told."""

    def __init__(self, **sources) -> None:
        self.events, self._told = [], threading.Condition()
        self.chunks = {name: [] for name in sources}
        self._channels = {name: ChannelSink() for name in sources}
        builder = StreamAudio.builder().format(FormatPreset.NATIVE).on_event(self._tell)
        for name, source in sources.items():
            builder.add_source(name, source).add_sink(self._channels[name], sources=name)
        self.session = builder.start()
        self.started = time.monotonic()

    def _tell(self, event) -> None:
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def those(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, kind, count=1):
        """Return the first event of the kind, or the one after that …"""
        with self._told:
            enough = self._told.wait_for(lambda: len(self.those(kind)) >= count, SECONDS)
            assert enough, self.events
        return self.those(kind)[count - 1]

    def take(self, name, seconds) -> None:
        """Read so much more of a source that is no silence."""
        heard, give_up = 0, time.monotonic() + SECONDS
        while heard < seconds * RATE:
            assert time.monotonic() < give_up, "nothing was heard"
            heard += np.count_nonzero(self._next(name).data[:, 0])

    def take_until(self, name, heard) -> None:
        """Read until that is true of a chunk's samples."""
        give_up = time.monotonic() + SECONDS
        while not heard(self._next(name).data):
            assert time.monotonic() < give_up, values(self.chunks[name][-1].data)

    def pass_time(self, name, seconds) -> None:
        """Read so much more of a source, whatever it is."""
        end = self.chunks[name][-1].end if self.chunks[name] else 0
        end += seconds * RATE
        while self._next(name).end < end:
            pass

    def _next(self, name):
        self.chunks[name].append(self._channels[name].get(timeout=SECONDS))
        return self.chunks[name][-1]

    def rest(self):
        """Stop; the report, which must balance."""
        self.session.stop()
        for name, channel in self._channels.items():
            self.chunks[name] += list(channel)
        report = self.session.report()
        assert report.balanced
        return report

    def samples(self, name):
        return np.concatenate([chunk.data for chunk in self.chunks[name]])


@contextmanager
def recording(**sources):
    running = Recording(**sources)
    try:
        yield running
    finally:
        running.session.stop()


def values(samples):
    return set(np.unique(samples.round(6)))


@both
def test_the_output_is_recorded_and_the_microphone_is_silent_and_the_reverse(server):
    both_sources = {"system": AudioSource.system(), "mic": AudioSource.default_device()}
    with recording(**both_sources) as running:
        with server.play_constants("speakers", [PLAYED] * 2):
            running.take("system", 0.3)
        running.pass_time("mic", 0.1)
        report = running.rest()
    assert values(running.samples("system")) == {0.0, PLAYED}
    assert values(running.samples("mic")) <= {0.0}
    assert report.sources["system"].device.endswith(f", {stream_audio.capabilities().server}")
    assert report.complete

    with recording(**both_sources) as running:
        with server.play_constants("microphone", [SPOKEN] * 2):
            running.take("mic", 0.3)
        running.pass_time("system", 0.1)
        running.rest()
    assert values(running.samples("system")) <= {0.0}
    assert SPOKEN in values(running.samples("mic"))


@contextmanager
def heard_elsewhere(sink):
    """Note when another program that records the sink gets the beginnings of sounds."""
    times = []
    command = [require_program("parec", "pulseaudio-utils"), "--raw", "--format=float32le"]
    command += [f"--rate={RATE}", "--channels=1", "--latency-msec=5", f"--device={sink}.monitor"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE)

    def listen() -> None:
        assert program.stdout is not None
        silent = True
        while data := os.read(program.stdout.fileno(), 1 << 16):
            now, samples = time.monotonic(), np.frombuffer(data, np.float32)
            for index in np.flatnonzero(np.diff(np.concatenate([[not silent], samples != 0]))):
                silent = not silent
                if not silent:
                    times.append(now - (len(samples) - index) / RATE)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield times
    finally:
        end_process(program)
        thread.join()
        program.stdout.close()


def misplaced(server, seconds):
    """Seconds by which sounds after so much silence are from where another program heard them."""
    sounds = np.zeros((5, RATE // 5), np.float32)
    sounds[:, : RATE // 20] = PLAYED
    path = server.folder / "sounds.raw"
    sounds.tofile(path)
    with recording(system=AudioSource.system()) as running:
        running.pass_time("system", seconds)
        assert time.monotonic() - running.started - seconds < 0.5  # chunks come as time passes
        with heard_elsewhere("speakers") as times:
            subprocess.run(server._player("sounds", path, "speakers"), check=True, timeout=SECONDS)
            running.pass_time("system", 0.5)
        report = running.rest().sources["system"]
    first = running.chunks["system"][0]
    assert first.frame == 0
    assert abs(first.time - running.started) < 0.3
    assert not report.gaps
    assert not running.those((SourceStalled, SourceSuspended, DigitalSilence, SourceLost))
    heard = running.samples("system")[:, 0] != 0
    places = np.flatnonzero(heard & ~np.concatenate([[False], heard[:-1]])) / RATE + first.time
    if len(places) != 5 or len(times) != 5:
        return np.inf  # the server has skipped some
    return abs(max(places - times))  # the other program may hear late, and never early


def assert_in_place(server, seconds):
    """To 20 ms, once in three: the server itself skips time on a machine that is busy."""
    assert any(misplaced(server, seconds) < 0.02 for _ in range(3))


@both
def test_a_sound_after_silence_is_in_its_place(server):
    assert_in_place(server, 1.0)


@pytest.mark.long
@both
def test_a_sound_after_ten_seconds_of_silence_is_in_its_place(server):
    assert_in_place(server, 10.0)


@pytest.mark.parametrize("server", ["PulseAudio"], indirect=True)
def test_while_an_output_sleeps_its_time_goes_on_and_nothing_is_lost(server):
    with recording(system=AudioSource.system("speakers")) as running:
        with server.play_constants("speakers", [PLAYED] * 2):
            running.take("system", 0.2)
        server.ask("suspend-sink", "speakers", "1")
        running.pass_time("system", 1.0)
        server.ask("suspend-sink", "speakers", "0")
        with server.play_constants("speakers", [PLAYED] * 2):
            running.take("system", 0.2)
        report = running.rest().sources["system"]
    assert report.idle > 0.8 * RATE
    assert not report.lost
    assert not report.unexplained_frames
    assert report.captured + report.idle == report.position
    assert not running.those((SourceSuspended, SourceStalled))


@both_at_length
def test_the_output_that_was_found_stays_when_another_becomes_the_default(server):
    with recording(system=AudioSource.system()) as running:
        server.ask("set-default-sink", "microphone")
        try:
            changed = running.wait_for(DefaultChanged)
            with server.play_constants("speakers", [PLAYED] * 2):
                running.take("system", 0.2)
            running.rest()
        finally:
            server.ask("set-default-sink", "speakers")
    assert (changed.old, changed.new) == ("pulse:speakers.monitor", "pulse:microphone.monitor")
    assert PLAYED in values(running.samples("system"))


@both
def test_with_follow_the_next_default_output_goes_on_after_a_gap(server):
    with (
        server.play_constants("speakers", [PLAYED] * 2),
        server.play_constants("microphone", [SPOKEN] * 2),
        recording(system=AudioSource.system(follow=True)) as running,
    ):
        running.take("system", 0.3)
        server.ask("set-default-sink", "microphone")
        try:
            switched = running.wait_for(SourceSwitched)
            running.take_until("system", lambda samples: (samples < 0).any())
            report = running.rest().sources["system"]
        finally:
            server.ask("set-default-sink", "speakers")
    assert (switched.old, switched.new) == ("pulse:speakers.monitor", "pulse:microphone.monitor")
    assert {gap.cause for gap in report.gaps} <= {GapCause.DEVICE_LOST}
    assert report.lost < RATE
    samples = running.samples("system")[:, 0].round(6)
    first = np.flatnonzero(samples < 0)[0]
    assert values(samples[:first]) <= {0.0, PLAYED}
    # PulseAudio has what plays follow the default, too.
    assert values(samples[first:]) <= {0.0, PLAYED, SPOKEN, PLAYED + SPOKEN}


@both_at_length
def test_an_output_is_found_by_each_of_its_names(server):
    [monitor] = [
        each for each in stream_audio.list_input_devices() if each.id == "pulse:microphone.monitor"
    ]
    for name in ("microphone", "microphone.monitor", "MICRO", monitor.id, monitor):
        if name == "MICRO" and "microphone" not in monitor.name:
            continue  # PulseAudio describes each null sink alike
        with recording(system=AudioSource.system(name)) as running:
            assert running.rest().sources["system"].device.startswith(monitor.name)
    with pytest.raises(DeviceNotFoundError, match="no output device is called 'headphones'"):
        Recording(system=AudioSource.system("headphones"))


@both
def test_one_program_is_recorded_without_another(server):
    with (
        server.play_constants("speakers", [0.25] * 2),
        server.play_constants("speakers", [-0.5] * 2),
    ):
        first, second = sorted(list_playing(), key=lambda each: int(each.title.split("-")[1]))
        with recording(
            by_title=AudioSource.application(first.title),
            by_process=AudioSource.application(second.process),
        ) as running:
            running.take("by_title", 1.0)
            running.take("by_process", 1.0)
            outputs = server.ask("list", "sink-inputs")
            report = running.rest()
    for name, own, other in (("by_title", 0.25, -0.5), ("by_process", -0.5, 0.25)):
        samples = running.samples(name)
        samples = samples[np.any(samples, axis=1)]
        assert np.abs(samples - own).max() <= abs(other) * 1e-5  # 100 dB
    assert outputs.count("Mute: no") == 2
    assert report.sources["by_process"].device.startswith(f"pacat (process {second.process})")


@both_at_length
def test_of_several_streams_the_error_lists_each(server):
    with server.play_tone(441.0), server.play_tone(1009.0):
        playing = list_playing()
        with pytest.raises(AmbiguousDeviceError, match="2 streams fit 'pacat'") as raised:
            Recording(program=AudioSource.application("pacat"))
        assert all(each.id in str(raised.value) for each in playing)
        with pytest.raises(DeviceNotFoundError, match="fits 'firefox'") as raised:
            Recording(program=AudioSource.application("firefox", on_lost="stop"))
        assert all(each.title in str(raised.value) for each in playing)
        with recording(program=AudioSource.application(playing[1])) as running:
            running.rest()
        with recording(program=AudioSource.application(playing[0].id)) as running:
            running.rest()


@both
def test_a_program_that_ends_ends_its_source(server):
    with server.play_constants("speakers", [PLAYED] * 2):
        [program] = list_playing()
        running = Recording(program=AudioSource.application("pacat", on_lost="stop"))
        running.take("program", 0.3)
    with running.session:
        lost = running.wait_for(SourceLost)
        report = running.rest().sources["program"]
    assert lost.reason == report.error
    assert report.error.startswith(f"pacat (process {program.process})")
    assert values(running.samples("program")) <= {0.0, PLAYED}


@both
def test_a_program_that_starts_late_stops_and_starts_again_is_on_one_timeline(server):
    with recording(program=AudioSource.application("pacat")) as running:
        assert running.wait_for(SourceLost).waiting
        for number, value in enumerate((PLAYED, SPOKEN), 1):
            with server.play_constants("speakers", [value] * 2):
                running.take("program", 0.3)
            running.wait_for(SourceLost, 1 + number)
        report = running.rest().sources["program"]
    assert running.wait_for(SourceRecovered, 2).device.startswith("pacat (process ")
    assert {gap.cause for gap in report.gaps} == {GapCause.DEVICE_LOST}
    assert len(report.gaps) == 2
    samples = running.samples("program").round(6)
    heard = samples[np.any(samples, axis=1)][:, 0]
    changes = heard[np.flatnonzero(np.diff(heard, prepend=0))]
    assert changes.tolist() == [PLAYED, SPOKEN]
    # Each outage is as long as it took, from the start on.
    first, last = running.chunks["program"][0], running.chunks["program"][-1]
    assert first.frame == 0
    assert abs(first.time - running.started) < 0.3
    assert last.end / RATE == pytest.approx(last.time + last.duration - first.time, abs=0.05)


@both
def test_what_the_machine_can_do_is_said_without_opening_anything(server, monkeypatch):
    def refuse(**how):
        raise AssertionError("PortAudio was initialised")

    monkeypatch.setattr(listing, "Generation", refuse)
    found = capabilities()
    assert (found.system, found.application, found.exclude_self) == (True, True, False)
    assert (found.server, found.missing) == (type(server).__name__, "")
    with recording(system=AudioSource.system()) as running:  # needs no PortAudio either
        running.rest()
    with pytest.raises(LoopbackUnavailable, match="cannot leave this process out"):
        Recording(system=AudioSource.system(exclude_self=True))
    assert not server.ask("list", "short", "source-outputs")


@both_at_length
def test_the_command_line_records_the_output_and_one_program(server, tmp_path):
    command = [sys.executable, "-m", "stream_audio", "record", "--json", "-d", "0.3"]

    def record(*arguments):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.wav"
        done = subprocess.run(
            [*command, str(path), *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["sources"]["input"]

    with server.play_constants("speakers", [PLAYED] * 2):
        [program] = list_playing()
        assert "speakers" in record("--system")["device"] or server.program == "pulseaudio"
        assert "pacat" in record("--application", str(program.process))["device"]


def words_of(samples, rate):
    """What a recogniser understands of speech, as 16-bit samples at 16 kHz."""
    from pocketsphinx import Decoder

    assert (samples.dtype, rate) == (np.int16, 16_000)
    decoder = Decoder(loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return "" if found is None else found.hypstr


@pytest.mark.long
@both
def test_speech_is_recognised_from_the_recording_as_from_the_file(server, tmp_path):
    spoken, recorded = tmp_path / "spoken.wav", tmp_path / "recorded.wav"
    sentence = "go forward ten meters"
    flite = require_program("flite", "flite")
    subprocess.run([flite, "-voice", "rms", "-t", sentence, "-o", spoken], check=True)
    original, rate = soundfile.read(spoken, dtype="int16")
    assert words_of(original, rate) == sentence

    builder = StreamAudio.builder().add_source("system", AudioSource.system())
    builder.format(AudioFormat(16_000, 1)).add_sink(FileSink(recorded, subtype="PCM_16"))
    with builder.start():
        time.sleep(0.5)  # of silence before it
        player = [require_program("paplay", "pulseaudio-utils"), "--device=speakers", spoken]
        subprocess.run(player, check=True, timeout=60)
        time.sleep(0.5)
    assert words_of(*soundfile.read(recorded, dtype="int16")) == sentence
