"""A meeting: both sides in step, in a folder for nobody else, complete however it ends."""

import json
import stat
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import (
    AudioSource,
    ConfigTypeError,
    FileError,
    FileSinkError,
    LoopbackUnavailable,
    StreamConfig,
)
from stream_audio.testing import Fault, VirtualClock

RATE = 48_000
GIVE_UP = 60.0
FILES = ("microphone", "others", "mix")


def sides(**microphone):
    return {
        "microphone": AudioSource.virtual(channels=1, frequency=1000.0, **microphone),
        "others": AudioSource.virtual(sample_rate=44_100, frequency=300.0, drift_ppm=150.0),
        "config": StreamConfig(clock=VirtualClock()),
    }


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def level(samples, frequency):
    """Peak of a tone, 0 to 1."""
    phase = np.exp(-2j * np.pi * frequency * np.arange(len(samples)) / RATE)
    return 2 * abs(np.mean(samples * phase))


def test_both_sides_and_their_mix_are_of_one_length(tmp_path):
    folder = tmp_path / "calls" / "{standup} 10:30"
    with stream_audio.record_meeting(folder, duration=20, **sides()) as meeting:
        assert meeting.wait(GIVE_UP)
    assert meeting.report().balanced
    found = {name: soundfile.read(folder / f"{name}.wav", always_2d=True) for name in FILES}
    assert [(len(samples), rate) for samples, rate in found.values()] == [(20 * RATE, RATE)] * 3
    late = {name: samples[-5 * RATE :, 0] for name, (samples, _) in found.items()}
    expected = 10 ** (-12 / 20)
    assert level(late["microphone"], 1000) == pytest.approx(expected, rel=0.01)
    assert level(late["others"], 300 * (1 + 150e-6)) == pytest.approx(expected, rel=0.01)
    for frequency in (1000, 300 * (1 + 150e-6)):
        assert level(late["mix"], frequency) == pytest.approx(expected, rel=0.01)
    assert mode(folder) == 0o700
    for name in FILES:
        assert mode(folder / f"{name}.wav") == 0o600
        assert json.loads((folder / f"{name}.wav.json").read_text())


def test_an_outage_of_one_side_is_silence_of_its_length_and_a_gap(tmp_path):
    folder = tmp_path / "meeting"
    settings = sides(faults=[Fault.die(8 * RATE)], on_lost="wait")
    with stream_audio.record_meeting(folder, duration=20, **settings) as meeting:
        assert meeting.wait(GIVE_UP)
    report = meeting.report()
    assert report.balanced
    assert {soundfile.info(folder / f"{name}.wav").frames for name in FILES} == {20 * RATE}
    samples, _ = soundfile.read(folder / "microphone.wav")
    silent = np.flatnonzero(np.abs(samples) < 1e-4)
    source = report.sources["microphone"]
    assert {gap.cause for gap in source.gaps} == {"device_lost"}
    assert 0 < source.lost <= len(silent)
    ledger = json.loads((folder / "microphone.wav.json").read_text())
    assert "device_lost" in json.dumps(ledger)


def test_a_folder_that_was_there_stays_as_it_is(tmp_path):
    folder = tmp_path / "meeting"
    folder.mkdir(mode=0o755)
    (folder / "agenda.txt").write_text("1. Sound")
    with stream_audio.record_meeting(folder, duration=0.5, **sides()) as meeting:
        assert meeting.wait(GIVE_UP)
    assert mode(folder) == 0o755
    assert (folder / "agenda.txt").read_text() == "1. Sound"
    before = (folder / "mix.wav").read_bytes()
    with pytest.raises(FileSinkError, match="exists"):
        stream_audio.record_meeting(folder, **sides())
    assert (folder / "mix.wav").read_bytes() == before


def test_a_meeting_that_cannot_start_leaves_no_folder(tmp_path, monkeypatch):
    class Broken:
        def open(self, opening):
            raise LoopbackUnavailable("there is no sound server")

    folder = tmp_path / "meeting"
    settings = sides() | {"others": Broken()}
    with pytest.raises(LoopbackUnavailable):
        stream_audio.record_meeting(folder, **settings)
    assert not folder.exists()


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "meeting", "a\0b"):
        with pytest.raises(FileError, match="cannot make the folder"):
            stream_audio.record_meeting(folder, **sides())
    with pytest.raises(ConfigTypeError, match="path"):
        stream_audio.record_meeting(7, **sides())


PROGRAM = """
import os, signal, stream_audio
from stream_audio import AudioSource
tone = AudioSource.virtual()
with stream_audio.record_meeting("meeting", microphone=tone, others=tone) as meeting:
    meeting.wait(0.7)
    os.kill(os.getpid(), signal.SIGINT)
    meeting.wait()
"""


def test_ctrl_c_completes_all_files(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, timeout=GIVE_UP
    )
    assert b"KeyboardInterrupt" in done.stderr
    lengths = {soundfile.info(tmp_path / "meeting" / f"{name}.wav").frames for name in FILES}
    assert len(lengths) == 1
    assert lengths.pop() >= RATE // 2
