"""Each example runs without hardware, and does what it says."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BALANCED = "every frame is accounted for"


def command(name, *arguments):
    return [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]


def run(name, *arguments, cwd):
    done = subprocess.run(
        command(name, *arguments, "--virtual"), cwd=cwd, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done


def test_record_writes_the_file_to_the_frame(tmp_path):
    done = run("record.py", "tone.wav", "--seconds", 0.5, cwd=tmp_path)
    samples, rate = soundfile.read(tmp_path / "tone.wav")
    assert (rate, samples.shape) == (48_000, (24_000, 2))
    assert 20 * np.log10(np.abs(samples).max()) == pytest.approx(-12, abs=0.1)
    assert BALANCED in done.stdout.decode()
    assert done.stderr == b""


def test_record_does_not_replace_a_file_and_says_so(tmp_path):
    (tmp_path / "tone.wav").write_bytes(b"mine")
    done = subprocess.run(
        command("record.py", "tone.wav", "--virtual"),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("error: cannot create tone.wav")
    assert (tmp_path / "tone.wav").read_bytes() == b"mine"


def test_record_keeps_what_was_recorded_before_ctrl_c(tmp_path):
    path = tmp_path / "tone.wav"
    with subprocess.Popen(
        command("record.py", path, "--seconds", 60, "--virtual"), stdout=subprocess.PIPE
    ) as process:
        # The header is brought up to date once a second: then a second has been recorded.
        while not path.exists() or path.stat().st_size < 4096 or soundfile.info(path).frames == 0:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.startswith(b"stopping")
    assert BALANCED in output.decode()
    assert 0 < soundfile.info(path).frames < 60 * 48_000


def test_meter_shows_the_level_twenty_times_a_second(tmp_path):
    lines = run("meter.py", "--seconds", 0.5, cwd=tmp_path).stdout.decode().split("\n")
    shown = [line for line in lines if line]
    assert len(shown) == 10
    # -12 dBFS is four fifths of the way up from -60.
    assert all(line.startswith("#" * 32 + " ") and "-12.0 dBFS" in line for line in shown)


def test_callback_says_when_it_is_loud(tmp_path):
    loud = run("callback.py", "--seconds", 0.5, cwd=tmp_path).stdout.decode().split()
    assert loud == ["0.0", "s", "loud"]
    assert run("callback.py", "--seconds", 0.5, "--threshold", 0, cwd=tmp_path).stdout == b""


def test_channel_queue_hands_blocks_to_the_worker(tmp_path):
    lines = run("channel_queue.py", "--seconds", 2.5, cwd=tmp_path).stdout.decode().splitlines()
    assert [line for line in lines if line.startswith("block")] == [
        "block 1: 192000 bytes of 16-bit samples",
        "block 2: 192000 bytes of 16-bit samples",
    ]
    assert lines[-1] == BALANCED


def test_custom_sink_writes_raw_samples(tmp_path):
    done = run("custom_sink.py", "--seconds", 0.5, cwd=tmp_path)
    samples = np.frombuffer(done.stdout, "<i2").reshape(-1, 2)
    assert len(samples) == 24_000
    assert 20 * np.log10(np.abs(samples / 2**15).max()) == pytest.approx(-12, abs=0.1)
    assert done.stderr.startswith(b"S16_LE, 48000 Hz, 2 channels\n")


def test_custom_sink_ends_when_its_reader_is_gone(tmp_path):
    with subprocess.Popen(
        command("custom_sink.py", "--seconds", 60, "--virtual"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(1000)
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.wait(timeout=30)
    assert "error: the reader is gone (the host says: Broken pipe)" in errors
    assert BALANCED in errors


def test_every_example_is_tested_here():
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested, f"{path.name} has no test"
