"""A meeting on a real PulseAudio: two people speak, one into the microphone, one out of it."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from pocketsphinx import Decoder

import stream_audio
from stream_audio import AudioSource, SourceLost, SourceRecovered, SourceSwitched
from support.effort import LONG
from support.processes import require_program

RATE = 48_000
GIVE_UP = 60.0
FILES = ("microphone", "others", "mix")
SENTENCES = {"rms": "go forward ten meters", "awb": "good morning everybody"}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A sentence of each of two people, 16 kHz."""
    folder = tmp_path_factory.mktemp("spoken")
    flite = require_program("flite", "flite")
    for voice, sentence in SENTENCES.items():
        path = folder / f"{voice}.wav"
        subprocess.run([flite, "-voice", voice, "-t", sentence, "-o", path], check=True)
    return folder


def recognised(samples):
    """Return what is said in samples at 48 kHz."""
    import soxr

    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    low = np.clip(soxr.resample(mono, RATE, 16_000), -1, 1)
    decoder.start_utt()
    decoder.process_raw((low * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    return "" if decoder.hyp() is None else decoder.hyp().hypstr


class Desk:
    """A desktop: a headset whose microphone hears the sink "room", and loudspeakers."""

    def __init__(self, pulse):
        self.pulse = pulse
        pulse.load_sink("room", channels=1)
        pulse.load_sink("loud")
        pulse.ask("set-default-sink", "loud")
        self.headset = ""
        self.plug_in()

    def plug_in(self, master="room.monitor"):
        self.headset = self.pulse.ask(
            "load-module",
            "module-remap-source",
            f"master={master}",
            "source_name=headset",
            "source_properties=device.description=Headset",
        ).strip()
        self.pulse.ask("set-default-source", "headset")

    def unplug(self):
        self.pulse.unload(self.headset)

    def say(self, path, sink):
        """Play a file to its end."""
        paplay = require_program("paplay", "pulseaudio-utils")
        subprocess.run([paplay, f"--device={sink}", str(path)], check=True, timeout=GIVE_UP)


@pytest.fixture
def desk(pulse):
    return Desk(pulse)


def read(folder):
    return {name: soundfile.read(folder / f"{name}.wav", always_2d=True)[0] for name in FILES}


def test_each_side_and_the_mix_are_understood(desk, spoken, tmp_path):
    folder = tmp_path / "meeting"
    with stream_audio.record_meeting(folder) as meeting:
        desk.say(spoken / "rms.wav", "room")
        desk.say(spoken / "awb.wav", "loud")
        meeting.wait(0.5)
    assert meeting.report().balanced
    found = read(folder)
    assert len({len(samples) for samples in found.values()}) == 1
    assert recognised(found["microphone"]) == SENTENCES["rms"]
    assert recognised(found["others"]) == SENTENCES["awb"]
    assert recognised(found["mix"]) == " ".join(SENTENCES.values())


def test_another_output_is_followed(desk, spoken, tmp_path):
    folder = tmp_path / "meeting"
    switched = threading.Event()

    def react(event):
        if isinstance(event, SourceSwitched):
            switched.set()

    with stream_audio.record_meeting(folder, on_event=react) as meeting:
        desk.say(spoken / "awb.wav", "loud")
        desk.pulse.load_sink("hdmi")
        desk.pulse.ask("set-default-sink", "hdmi")
        assert switched.wait(GIVE_UP)
        desk.say(spoken / "rms.wav", "hdmi")
        meeting.wait(0.5)
    assert meeting.report().balanced
    found = read(folder)
    assert len({len(samples) for samples in found.values()}) == 1
    assert recognised(found["others"]) == f"{SENTENCES['awb']} {SENTENCES['rms']}"


def test_without_a_microphone_the_others_are_not_recorded_in_its_place(desk, spoken, tmp_path):
    """PulseAudio then calls the monitor of an output the default source."""
    folder = tmp_path / "meeting"
    lost = threading.Event()

    def react(event):
        if isinstance(event, SourceLost):
            lost.set()

    with stream_audio.record_meeting(folder, on_event=react) as meeting:
        desk.say(spoken / "rms.wav", "room")
        desk.unplug()
        assert lost.wait(GIVE_UP)
        desk.say(spoken / "awb.wav", "loud")
        desk.plug_in()
        desk.say(spoken / "rms.wav", "room")
        meeting.wait(0.5)
    assert meeting.report().balanced
    found = read(folder)
    assert recognised(found["others"]) == SENTENCES["awb"]
    assert SENTENCES["awb"] not in recognised(found["microphone"])


def offset(one, other):
    """Return by how many frames a sound comes later in the other."""
    size = 2 * len(one)
    product = np.conj(np.fft.rfft(one, size)) * np.fft.rfft(other, size)
    correlation = np.fft.irfft(product)
    place = int(np.argmax(correlation))
    return place if place < size // 2 else place - size


@contextmanager
def noise(pulse, sink, seconds):
    """Play noise while the block runs."""
    path = pulse.folder / "noise.wav"
    random = np.random.default_rng(1)
    soundfile.write(path, random.uniform(-0.3, 0.3, (round(seconds * RATE), 2)), RATE)
    player = subprocess.Popen([require_program("paplay", "x"), f"--device={sink}", str(path)])
    try:
        yield
    finally:
        player.terminate()
        player.wait()


def test_an_unplugged_headset_leaves_both_sides_in_step(desk, tmp_path):
    """Both hear the same noise, so that every frame tells where it is."""
    desk.unplug()
    desk.plug_in("loud.monitor")
    folder = tmp_path / "meeting"
    events, lost, back = [], threading.Event(), threading.Event()

    def react(event):
        events.append(event)
        if isinstance(event, SourceLost):
            lost.set()
        if isinstance(event, SourceRecovered):
            back.set()

    microphone = AudioSource.device("headset")
    with (
        noise(desk.pulse, "loud", 60),
        stream_audio.record_meeting(folder, microphone=microphone, on_event=react) as meeting,
    ):
        meeting.wait(4)
        desk.unplug()
        assert lost.wait(GIVE_UP)
        meeting.wait(5)
        desk.plug_in("loud.monitor")
        assert back.wait(GIVE_UP)
        meeting.wait(6)
    report = meeting.report()
    assert report.balanced
    [gap] = [gap for gap in report.sources["microphone"].gaps if gap.cause == "device_lost"]
    assert gap.frames >= 5 * report.sources["microphone"].sample_rate
    found = read(folder)
    assert len({len(samples) for samples in found.values()}) == 1
    most = RATE // (1000 if LONG else 100)  # a millisecond, on a quiet machine
    for end in (len(found["mix"]) - RATE // 2, 3 * RATE):
        last = slice(end - RATE, end)
        assert abs(offset(found["others"][last, 0], found["microphone"][last, 0])) <= most


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_shows_both_sides_and_ends_with_whole_files(desk, tmp_path, number):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "stream_audio", "meeting", "standup"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        shown = b""
        until = time.monotonic() + GIVE_UP
        while not (b"microphone" in shown and b"others" in shown and b"0:00:01" in shown):
            assert time.monotonic() < until, shown
            shown += os.read(ours, 4096)
        reader = threading.Thread(target=drain, args=(ours,), daemon=True)
        reader.start()
        process.send_signal(number)
        told, _ = process.communicate(timeout=GIVE_UP)
    assert process.returncode == 0, told
    lengths = {soundfile.info(tmp_path / "standup" / f"{name}.wav").frames for name in FILES}
    assert len(lengths) == 1
    assert lengths.pop() >= RATE
    assert all(f"{name}.wav" in told for name in FILES)


def drain(descriptor):
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        os.close(descriptor)


def test_the_command_says_what_is_missing_without_a_sound_server(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "stream_audio", "meeting", "standup"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=os.environ | {"PULSE_SERVER": f"unix:{tmp_path}/nowhere"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "standup").exists()
