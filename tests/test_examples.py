"""Each example runs without hardware, and does what it says."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import wave
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import soxr

from support.processes import require_program

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BALANCED = "every frame is accounted for"
SECOND = 48_000


def command(name, *arguments):
    return [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]


def run(name, *arguments, cwd):
    done = subprocess.run(
        command(name, *arguments, "--virtual"), cwd=cwd, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done


def frames_told(path):
    """What a file's header says while it is being written."""
    if not path.exists() or path.stat().st_size < 4096:
        return 0
    return soundfile.info(path).frames


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
    assert done.stderr.decode().startswith(f"error: cannot create {tmp_path / 'tone.wav'}")
    assert (tmp_path / "tone.wav").read_bytes() == b"mine"


def test_record_keeps_what_was_recorded_before_ctrl_c(tmp_path):
    path = tmp_path / "tone.wav"
    with subprocess.Popen(
        command("record.py", path, "--seconds", 60, "--virtual"), stdout=subprocess.PIPE
    ) as process:
        while frames_told(path) < SECOND:
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
        "block 1: 32000 bytes of 16-bit samples",
        "block 2: 32000 bytes of 16-bit samples",
    ]
    assert lines[-1].startswith(BALANCED)


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
    assert process.returncode == 1


# ---- on spoken sentences ----

RECOGNISED_RATE = 16_000
SENTENCES = ("go forward ten meters", "good morning everybody")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Two sentences with a second of silence before, between and after; 16 kHz, mono.

    Spoken by flite, whose recorded voice a small recogniser understands; espeak-ng's it does not.
    """
    folder = tmp_path_factory.mktemp("spoken")
    silence = np.zeros(RECOGNISED_RATE, np.int16)
    parts = [silence]
    for sentence in SENTENCES:
        path = folder / "sentence.wav"
        flite = require_program("flite", "flite")
        subprocess.run([flite, "-voice", "rms", "-t", sentence, "-o", path], check=True)
        samples, rate = soundfile.read(path, dtype="int16")
        assert (rate, samples.ndim) == (RECOGNISED_RATE, 1)
        parts += [samples, silence]
    path = folder / "spoken.wav"
    soundfile.write(path, np.concatenate(parts), RECOGNISED_RATE)
    lengths = [len(part) for part in parts]
    begins = [sum(lengths[:index]) for index in (1, 3)]
    ends = [sum(lengths[: index + 1]) for index in (1, 3)]
    return path, list(zip(begins, ends, strict=True))


def run_on_file(name, path, *arguments, cwd):
    done = subprocess.run(
        command(name, "--file", path, *arguments), cwd=cwd, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_captions_shows_what_is_said(tmp_path, spoken):
    path, _ = spoken
    lines = run_on_file("captions.py", path, cwd=tmp_path).splitlines()
    assert [line.split(" s  ")[1] for line in lines] == list(SENTENCES)
    times = [float(line.split(" s  ")[0]) for line in lines]
    assert 1 < times[0] < times[1] < 8


def test_captions_take_whatever_a_microphone_has(tmp_path, spoken):
    """48 kHz stereo; the session's format makes of it what the recogniser takes."""
    path, _ = spoken
    samples, _ = soundfile.read(path)
    studio = soxr.resample(np.repeat(samples[:, None], 2, axis=1), RECOGNISED_RATE, 48_000)
    soundfile.write(tmp_path / "studio.wav", studio, 48_000)
    output = run_on_file("captions.py", tmp_path / "studio.wav", cwd=tmp_path)
    assert [line.split(" s  ")[1] for line in output.splitlines()] == list(SENTENCES)


def test_captions_of_silence_are_empty(tmp_path):
    assert run("captions.py", "--seconds", 0.5, cwd=tmp_path).stdout == b""


def test_vad_keeps_each_sentence_whole_in_a_file_of_its_own(tmp_path, spoken):
    path, sentences = spoken
    output = run_on_file("vad.py", path, cwd=tmp_path)
    assert BALANCED in output
    files = sorted(tmp_path.glob("*.wav"))
    assert [file.name for file in files] == ["speech-001.wav", "speech-002.wav"]
    everything, _ = soundfile.read(path, dtype="int16")
    for file, (begin, end) in zip(files, sentences, strict=True):
        heard, rate = soundfile.read(file, dtype="int16")
        assert rate == RECOGNISED_RATE
        loud = everything[begin:end]
        loud = loud[np.flatnonzero(np.abs(loud) > 500)[0] : np.flatnonzero(np.abs(loud) > 500)[-1]]
        assert loud.tobytes() in heard.tobytes()  # nothing of it is missing, to the sample
        assert len(heard) < end - begin + 1.5 * RECOGNISED_RATE


def test_vad_records_no_silence(tmp_path):
    run("vad.py", "--seconds", 0.5, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_record_on_sound_writes_a_file_for_each_time_it_is_loud(tmp_path):
    rate = 48_000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate // 2) / rate)
    silence = np.zeros(rate)
    soundfile.write(
        tmp_path / "input.wav", np.concatenate([silence, tone, silence, tone, silence]), rate
    )
    folder = tmp_path / "sounds"
    folder.mkdir()
    arguments = ("--folder", folder, "--before", 0.25, "--after", 0.125)
    output = run_on_file("record_on_sound.py", tmp_path / "input.wav", *arguments, cwd=tmp_path)
    assert BALANCED in output
    files = sorted(folder.iterdir())
    assert [file.name[-7:] for file in files] == ["001.wav", "002.wav"]
    # The tones begin and end on a window of 20 ms: quarter, half and eighth of a second.
    assert [soundfile.info(file).frames for file in files] == [rate * 7 // 8] * 2
    samples, _ = soundfile.read(files[1])
    np.testing.assert_allclose(samples[rate // 4 : rate * 3 // 4], tone, atol=2**-15)


def test_record_on_sound_hears_the_virtual_tone(tmp_path):
    output = run("record_on_sound.py", "--seconds", 0.5, cwd=tmp_path).stdout.decode()
    assert "event 1 begins at frame 0" in output
    (file,) = tmp_path.glob("*001.wav")
    assert soundfile.info(file).frames == 24_000


# ---- while they run ----


def test_pauses_and_marks_records_each_side_and_keeps_what_was_just_said(tmp_path):
    with subprocess.Popen(
        command("pauses_and_marks.py", "meeting", "--virtual"),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("recording")
        folder = tmp_path / "meeting"
        for name in ("me.wav", "others.wav"):
            while frames_told(folder / name) < SECOND:
                assert process.poll() is None
        output, _ = process.communicate("m\np\np\nq\n", timeout=30)
    assert process.returncode == 0
    assert "paused\ngoing on\n" in output
    assert BALANCED in output
    for side in ("me", "others"):
        mark, _ = soundfile.read(folder / f"mark-1-{side}.wav", dtype="int16")
        whole, _ = soundfile.read(folder / f"{side}.wav", dtype="int16")
        assert len(mark) >= SECOND
        # Both are rounded to 16 bits on their own, the recording with dither.
        np.testing.assert_allclose(mark, whole[: len(mark)], atol=3)


def wait_for_server(client):
    until = time.monotonic() + 60
    while True:
        try:
            return client.get("/level")
        except httpx.ConnectError:
            if time.monotonic() > until:
                raise


def test_web_microphone_streams_to_listeners_who_come_and_go(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        subprocess.Popen(
            command("web_microphone.py", "--virtual", "--port", port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        wait_for_server(client)
        for _ in range(2):  # the first one goes
            heard = b""
            with client.stream("GET", "/microphone.wav") as response:
                assert response.headers["content-type"] == "audio/wav"
                for piece in response.iter_bytes():
                    heard += piece
                    if len(heard) > 60_000:
                        break
            header, samples = heard[:44], np.frombuffer(heard[44:60_000], "<i2").reshape(-1, 2)
            with wave.open(io.BytesIO(header + bytes(4))) as told:
                assert (told.getframerate(), told.getnchannels()) == (48_000, 2)
            assert 20 * np.log10(np.abs(samples / 2**15).max()) == pytest.approx(-12, abs=0.1)
        assert client.get("/level").json()["peak"] == pytest.approx(-12, abs=0.1)
        assert "/microphone.wav" in client.get("/").text
        with client.stream("GET", "/microphone.wav") as response:
            pieces = response.iter_bytes()
            next(pieces)
            os.kill(process.pid, signal.SIGINT)
            for _ in pieces:  # the end of the session ends the stream
                pass
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors == ""
    assert BALANCED in output
    assert output.count("sink ChannelSink") == 3


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_speech_service_and_its_client_transcribe_what_is_said(tmp_path, spoken):
    path, _ = spoken
    port = free_port()
    with subprocess.Popen(
        command("speech_service.py", "--serve", "--port", port), stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout.readline().startswith("listening")
            output = run_on_file("speech_service.py", path, "--port", port, cwd=tmp_path)
            lines = output.splitlines()
            finals = [line.removeprefix("final: ") for line in lines if line.startswith("final")]
            assert finals == list(SENTENCES)
            assert sum(line.startswith("partial: ") for line in lines) >= 2
            assert BALANCED in output
            refused = subprocess.run(
                command("speech_service.py", "--port", port, "--token", "wrong", "--virtual"),
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert refused.returncode == 1
            assert "closed the connection (the host says: 1008 unknown token)" in refused.stderr
        finally:
            service.terminate()


def test_web_listeners_get_all_and_a_slow_one_costs_the_others_nothing(tmp_path):
    from websockets.sync.client import connect

    port = free_port()
    url = f"ws://127.0.0.1:{port}/live"
    with subprocess.Popen(
        command("web_listeners.py", "--virtual", "--port", port),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for_server(client)
            assert "new WebSocket" in client.get("/").text
        # One that never reads, and lets the system keep little for it.
        sleeper = socket.socket()
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.connect(("127.0.0.1", port))
        with (
            connect(url, sock=sleeper, max_queue=1, ping_interval=None, close_timeout=1),
            connect(url) as browser,
        ):
            about = json.loads(browser.recv())
            assert about == {"sample_rate": 48_000, "channels": 2}
            heard = b"".join(browser.recv() for _ in range(15))
        samples = np.frombuffer(heard, "<i2").reshape(-1, 2)
        assert len(samples) == 15 * 4800
        assert 20 * np.log10(np.abs(samples / 2**15).max()) == pytest.approx(-12, abs=0.1)
        with connect(url) as browser:  # one that is there at the end
            browser.recv()
            os.kill(process.pid, signal.SIGINT)
            output, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors == ""
    assert BALANCED in output
    assert output.count("sink ChannelSink") == 3


def test_every_example_is_tested_here():  # "meeting.py": tests/test_meetings_guide.py
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested, f"{path.name} has no test"
