"""The command line as a user runs it: another process, its exit code, its two outputs."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio.cli.outcome import IN_OPTIONS
from stream_audio.devices.list import no_input_device
from support.command_line import run_command
from support.mounts import tmpfs

GIVE_UP = 60.0
PROMPT = 8.0
"""Seconds within which a recording must have ended after a signal."""

RATE = 48_000
COMMAND = [sys.executable, "-m", "stream_audio"]
WITHOUT_PORTAUDIO = {"STREAM_AUDIO_PORTAUDIO_LIBRARY": "/nonexistent/libportaudio.so.2"}
"""So that these tests are the same on a machine with a microphone."""


def environment():
    plain = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR",)}
    return plain | WITHOUT_PORTAUDIO | {"COLUMNS": "200", "PYTHONWARNINGS": "error"}


def run(*arguments, command=None):
    if command is None:
        return run_command(arguments, environment())
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=environment(),
    )


def control_characters(text):
    return sorted({character for character in text if character < " " and character != "\n"})


def record(path, *arguments, **settings):
    return run("record", path, "--fallback-virtual", *arguments, **settings)


# ---- record ----


def test_a_recording_for_people(tmp_path):
    path = tmp_path / "take.wav"
    result = record(path, "--duration", 0.25)
    assert result.returncode == 0, result.stderr
    values, rate = soundfile.read(path)
    assert (values.shape, rate) == ((12_000, 2), RATE)
    assert np.abs(values).max() > 0.1
    for words in (
        "captured  12000 frames",
        "delivered  12000 frames",
        "lost  0 frames",
        str(path),
    ):
        assert words in result.stdout
    assert "0.250 s at 48000 Hz, 2 channels" in result.stdout
    assert "recording a tone from the virtual device" in result.stderr
    # Neither is a terminal: no progress, no colour.
    assert control_characters(result.stdout + result.stderr) == []
    assert len(result.stderr.splitlines()) == 1


def test_a_recording_of_what_another_program_writes(tmp_path):
    """A WAV file through a pipe; a recording that is stopped in the middle is whole, too."""
    samples = np.random.default_rng(1).integers(-(2**15), 2**15, (3 * RATE, 2), np.int16)
    soundfile.write(tmp_path / "in.wav", samples, RATE)
    command = [
        *COMMAND,
        "record",
        str(tmp_path / "out.wav"),
        "--source",
        "-",
        "--subtype",
        "PCM_16",
    ]
    with (tmp_path / "in.wav").open("rb") as file:
        done = subprocess.run(
            command, stdin=file, capture_output=True, timeout=GIVE_UP, env=environment()
        )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="int16")[0], samples)
    command[4] = str(tmp_path / "half.wav")
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment()) as process:
        process.stdin.write((tmp_path / "in.wav").read_bytes()[: 44 + RATE * 4])
        process.stdin.flush()
        until = time.monotonic() + GIVE_UP
        while not (
            (tmp_path / "half.wav").exists() and soundfile.info(tmp_path / "half.wav").frames
        ):
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        assert process.wait(PROMPT) == 0
    kept, _ = soundfile.read(tmp_path / "half.wav", dtype="int16")
    assert len(kept) > 0
    np.testing.assert_array_equal(kept, samples[: len(kept)])


def test_a_recording_for_machines(tmp_path):
    path = tmp_path / "take.wav"
    result = record(path, "-d", 0.1, "--json", "-r", 16_000, "-c", 1, "--subtype", "PCM_24")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["path"] == str(path)
    assert report["balanced"] is True
    assert report["running"] is False
    assert report["sources"]["input"]["captured"] == 4800  # the device runs at its own rate
    assert report["sinks"]["take.wav"]["delivered"] == 1600
    info = soundfile.info(path)
    assert (info.frames, info.samplerate, info.channels) == (1600, 16_000, 1)
    assert info.subtype == "PCM_24"


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path):
    path = tmp_path / "take.wav"
    path.write_bytes(b"precious")
    result = record(path, "-d", 0.1)
    assert result.returncode == 1
    assert "error: cannot create" in result.stderr
    assert "File exists" in result.stderr
    assert "overwrite" in result.stderr
    assert result.stdout == ""
    assert path.read_bytes() == b"precious"
    result = record(path, "-d", 0.1, "--overwrite")
    assert result.returncode == 0, result.stderr
    assert soundfile.info(path).frames == 4800


def test_no_portaudio_and_no_fallback(tmp_path):
    result = run("record", tmp_path / "take.wav", "-d", 0.1)
    assert result.returncode == 1
    assert result.stderr.startswith("error: PortAudio is not installed")
    assert "apt install libportaudio2" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


WRONG_USAGE = [
    ("record", "a.wav", "--loud"),
    ("record", "a.wav", "-d", "long"),
    ("rewind",),
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage(arguments):
    result = run(*arguments)
    assert result.returncode == 2, result.stderr
    assert "Usage" in result.stderr
    assert "Traceback" not in result.stderr


WRONG_VALUES = [
    (("-d", -1), "duration must be from"),
    (("-c", 65), "channels must be from"),
    (("--subtype", "MP3"), "PCM_16, PCM_24, PCM_32, FLOAT"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG_VALUES, ids=str)
def test_values_that_cannot_work(arguments, words, tmp_path):
    result = record(tmp_path / "a.wav", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_hints_are_for_the_command_line(tmp_path):
    """Each hint that speaks of an argument in Python is told as an option."""
    path = tmp_path / "a.wav"
    path.touch()
    cut_off(tmp_path / "cut.wav")
    existing, no_device, output = IN_OPTIONS.items()
    for result, (words, instead) in (
        (record(path, "-d", 1), existing),
        (run("repair", tmp_path / "cut.wav", "-o", path), output),
    ):
        assert result.returncode == 1
        assert instead in result.stderr
        assert words not in result.stderr
    assert no_device[0] in str(no_input_device())


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, 100_001))
from stream_audio.cli import main
sys.argv[0] = "stream-audio"
main()
"""


def test_every_file_of_a_recording_is_told(tmp_path):
    """Where the system takes no longer files, as FAT does at 4 GiB, it goes on in another one."""
    command = [sys.executable, "-c", LIMITED]
    result = record(tmp_path / "a.wav", "-d", 1, "--json", command=command)
    assert result.returncode == 0, result.stderr
    files = json.loads(result.stdout)["files"]
    assert [Path(file["path"]).name for file in files] == ["a.wav", "a-0002.wav"]
    assert sum(file["frames"] for file in files) == 48_000
    for file in files:
        assert soundfile.info(file["path"]).frames == file["frames"]


def test_a_full_disk_is_a_failure(tmp_path):
    with tmpfs(tmp_path / "disk", "size=16k") as disk:
        result = record(disk / "full.wav")  # which ends by itself, as nothing is left to do
    assert result.returncode == 1
    assert "No space left on device" in result.stdout
    assert "Free some space" in result.stdout


# The command line has no faults to ask for: its virtual source is given some.
FAULTY = """
import sys
import stream_audio
from stream_audio.cli import main
from stream_audio.testing import Fault

virtual = stream_audio.AudioSource.virtual
def faulty(*arguments, **settings):
    return virtual(*arguments, faults=[{fault}], **settings)
stream_audio.AudioSource.virtual = staticmethod(faulty)
sys.argv[0] = "stream-audio"
main()
"""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        # Enough callbacks are lost to be told from a late one, whatever the machine does.
        ("Fault.lose(9600, 100)", "host_overflow"),
        ("Fault.die(9600)", "ended early: virtual sine is gone"),
    ],
)
def test_missing_frames_have_an_exit_code_of_their_own(fault, words, tmp_path):
    path = tmp_path / "take.wav"
    command = [sys.executable, "-c", FAULTY.format(fault=fault)]
    result = record(path, "-d", 1.5, command=command)
    assert result.returncode == 3, result.stdout + result.stderr
    assert words in result.stdout
    frames = soundfile.info(path).frames
    assert frames > 9000
    # What is told of frames adds up, and is what the file has.
    lines = [line.split() for line in result.stdout.splitlines()]
    told = {words[0]: int(words[1]) for words in lines if words[2:3] == ["frames"]}
    assert told["captured"] == told["delivered"]
    assert told["delivered"] + told.get("silence", 0) == frames
    assert f"{frames} frames\n" in result.stdout


SILENT = """
import sys
import stream_audio
from stream_audio.cli import main

virtual = stream_audio.AudioSource.virtual
def silent(*arguments, **settings):
    return virtual("silence", pace="freewheel", frames=240_000)
stream_audio.AudioSource.virtual = staticmethod(silent)
sys.argv[0] = "stream-audio"
main()
"""


def test_a_muted_microphone_is_told_while_it_records(tmp_path):
    command = [sys.executable, "-c", SILENT]
    result = record(tmp_path / "take.wav", "-d", 5, command=command)
    assert result.returncode == 0, result.stdout + result.stderr
    (told,) = [line for line in result.stderr.splitlines() if "silence" in line]
    assert told.startswith("nothing but exact silence for 3 s. ")
    assert "right device" in told


# ---- signals ----


def begun(path, command=COMMAND):
    """A recording that has written some audio."""
    process = subprocess.Popen(
        [*command, "record", str(path), "--fallback-virtual", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    until = time.monotonic() + GIVE_UP
    # The header alone has less.
    while not (path.exists() and path.stat().st_size > 10_000):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.005)
    return process


@pytest.mark.parametrize(
    "numbers",
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP], [signal.SIGHUP, signal.SIGTERM]],
    ids=str,
)
def test_a_signal_ends_the_recording_well(numbers, tmp_path):
    path = tmp_path / "take.wav"
    process = begun(path)
    try:
        for number in numbers:
            process.send_signal(number)
        asked = time.monotonic()
        output, errors = process.communicate(timeout=GIVE_UP)
        assert time.monotonic() - asked < PROMPT
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    report = json.loads(output)
    assert report["balanced"]
    assert soundfile.info(path).frames == report["sources"]["input"]["captured"] > 0


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path):
    """As under nohup, which is asked for so that the recording goes on."""
    path = tmp_path / "take.wav"
    process = begun(path, ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *COMMAND])
    try:
        process.send_signal(signal.SIGHUP)
        size = path.stat().st_size
        until = time.monotonic() + GIVE_UP
        while path.stat().st_size < size + 300_000:  # more than was on its way
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=GIVE_UP)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert json.loads(output)["complete"]


def test_the_terminal_of_a_recording_may_go_first(tmp_path):
    """As when the connection drops: nothing can be shown any more, and the file is whole."""
    path = tmp_path / "take.wav"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "record", str(path), "--fallback-virtual"],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment() | {"TERM": "xterm-256color"},
    )
    os.close(theirs)
    try:
        while not (path.exists() and path.stat().st_size > 10_000):
            os.read(ours, 4096)
            assert process.poll() is None
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(GIVE_UP) == 0
    finally:
        process.kill()
        process.wait()
    assert soundfile.info(path).frames > 0


# ---- what cannot be shown, or written ----


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_is_not_utf_8_gets_what_it_can_show(encoding):
    result = subprocess.run(
        [*with_devices(2), "devices"],
        capture_output=True,
        timeout=GIVE_UP,
        env=environment() | {"PYTHONIOENCODING": encoding},
    )
    assert result.returncode == 0, result.stderr
    assert b"9-35 ms" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (("devices",), "1"),
        (("devices", "--json"), ""),
        (("formats",), ""),
        (("formats", "--json"), "1"),
        (("--help",), ""),
        (("latency", "--help"), ""),
    ],
)
def test_a_full_output_is_one_line_of_error(arguments, unbuffered):
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*with_devices(2), *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GIVE_UP,
            env=environment() | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert result.returncode == 1
    assert result.stderr == (
        "error: cannot write to the standard output: No space left on device\n"
    )


LINES = [["monitor", "--fallback-virtual", "-d", "0.1", "--json"]]
LINES += [
    pytest.param(arguments, marks=pytest.mark.long)
    for arguments in (
        ["monitor", "--virtual", "-d", "3", "--interval", "0.05", "--json"],
        ["doctor", "--json"],
        ["devices", "--watch", "--json"],
        ["latency", "-d", "0.2", "--consumers", "router", "--json"],
        ["serve", "--fallback-virtual", "-d", "3", "--port", "0", "--json"],
        ["--version"],
    )
]


@pytest.mark.parametrize("arguments", LINES, ids=" ".join)
def test_a_full_output_says_nothing_but_that(arguments):
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GIVE_UP,
            env=environment(),
        )
    assert result.returncode == 1
    assert result.stderr == (
        "error: cannot write to the standard output: No space left on device\n"
    )


def test_a_report_that_cannot_be_written_leaves_the_recording(tmp_path):
    path = tmp_path / "take.wav"
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*COMMAND, "record", str(path), "--fallback-virtual", "-d", "0.1", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GIVE_UP,
            env=environment(),
        )
    assert result.returncode == 1
    assert result.stderr == (
        "error: cannot write to the standard output: No space left on device\n"
    )
    assert soundfile.info(path).frames == 4800


def test_a_reader_that_has_had_enough_is_no_error():
    """As `stream-audio formats | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        result = subprocess.run(
            [*COMMAND, "formats", "--json"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GIVE_UP,
            env=environment(),
        )
    assert result.stderr == ""


# ---- progress ----


def on_a_terminal(*arguments):
    """Run with a terminal as stderr; returns the process and what the terminal showed."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            env=environment() | {"TERM": "xterm-256color"},
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: the other end is closed
                break
            shown += piece
        output, _ = process.communicate(timeout=GIVE_UP)
        return process.returncode, output, shown.decode()
    finally:
        os.close(ours)


def test_progress_is_for_terminals(tmp_path):
    code, output, shown = on_a_terminal(
        "record", tmp_path / "take.wav", "--fallback-virtual", "-d", 0.5
    )
    assert code == 0
    assert "recording" in shown
    assert "dBFS" in shown
    assert "\x1b[" in shown
    assert "captured  24000 frames" in output
    assert control_characters(output) == []


# ---- devices, and the rest ----


def test_devices_without_portaudio():
    result = run("devices", "--json")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: PortAudio is not installed")


WITH_DEVICES = """
import sys
import stream_audio

DEVICES = [
    stream_audio.InputDevice("Mic [usb]", "ALSA", 2, 48_000, 0.009, 0.035, True),
    stream_audio.InputDevice("system", "JACK Audio Connection Kit", 1, 44_100, 0.01, 0.02, False),
]
stream_audio.list_input_devices = lambda: DEVICES[:{count}]
from stream_audio.cli import main
sys.argv[0] = "stream-audio"
main()
"""


def with_devices(count):
    return [sys.executable, "-c", WITH_DEVICES.format(count=count)]


def test_devices_for_people():
    result = run("devices", command=with_devices(2))
    assert result.returncode == 0, result.stderr
    default, other = (line for line in result.stdout.splitlines() if "Hz" in line)
    assert default.split() == ["*", "Mic", "[usb]", "ALSA", "2", "48000", "Hz", "9–35", "ms"]
    assert other.split()[0] == "system"
    assert "44100 Hz" in other
    assert "* the default" in result.stdout
    assert control_characters(result.stdout) == []


def test_devices_for_machines():
    result = run("devices", "--json", command=with_devices(2))
    assert result.returncode == 0, result.stderr
    first, second = json.loads(result.stdout)
    assert first == {
        "name": "Mic [usb]",
        "host_api": "ALSA",
        "channels": 2,
        "sample_rate": 48_000,
        "low_latency": 0.009,
        "high_latency": 0.035,
        "is_default": True,
        "id": "",
        "channel_map": [],
        "is_monitor": False,
        "latency": None,
    }
    assert second["name"] == "system"


def test_no_devices():
    result = run("devices", command=with_devices(0))
    assert (result.returncode, result.stdout) == (0, "There is no input device.\n")


def test_an_error_is_shown_word_for_word(tmp_path):
    """Square brackets are markup to what prints it, and must not be here."""
    path = tmp_path / "[red]" / "[/] take.wav"
    result = record(path, "-d", 0.1)
    assert result.returncode == 1
    assert str(path) in result.stderr
    assert "Traceback" not in result.stderr


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"{stream_audio.__version__}\n")


def test_help_tells_the_exit_codes():
    result = run("--help")
    assert result.returncode == 0
    assert "Exit codes" in result.stdout


# ---- repair ----


def cut_off(path):
    """A WAV as a killed recorder leaves it: 1000 frames, and sizes of 0."""
    soundfile.write(path, np.full(1000, 0.25), RATE)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    path.write_bytes(data)
    return bytes(data)


def test_repair_writes_a_mended_copy_and_says_what_was_wrong(tmp_path):
    path = tmp_path / "take.wav"
    damaged = cut_off(path)
    result = run("repair", path)
    assert result.returncode == 0, result.stderr
    for words in ("was damaged", "RIFF size", "1000 frames", "take.repaired.wav"):
        assert words in result.stdout
    assert path.read_bytes() == damaged
    assert soundfile.info(tmp_path / "take.repaired.wav").frames == 1000


def test_repair_in_place_for_programs(tmp_path):
    path = tmp_path / "take.wav"
    cut_off(path)
    first, second = (json.loads(run("repair", path, "--in-place", "--json").stdout) for _ in "12")
    assert (first["sound"], first["output"], first["frames"]) == (False, str(path), 1000)
    assert (second["sound"], second["output"], second["frames"]) == (True, None, 1000)
    assert soundfile.info(path).frames == 1000


def test_repair_of_what_is_no_sound_file_fails(tmp_path):
    path = tmp_path / "take.wav"
    path.write_text("Dear diary")
    result = run("repair", path)
    assert result.returncode == 1
    assert "it looks like text" in result.stderr
    assert result.stdout == ""


# ---- formats ----


def test_formats_for_people_and_for_programs():
    people = run("formats")
    assert people.returncode == 0, people.stderr
    for word in ("FLAC", ".opus", "MPEG_LAYER_III", "only read"):
        assert word in people.stdout
    listed = json.loads(run("formats", "--json").stdout)
    assert [form["name"] for form in listed] == [form.name for form in stream_audio.formats()]


def test_the_ending_of_the_file_decides_its_format(tmp_path):
    for name, expected in (("a.flac", ("FLAC", "PCM_16")), ("a.ogg", ("OGG", "VORBIS"))):
        result = record(tmp_path / name, "--duration", 0.1)
        assert result.returncode == 0, result.stderr
        info = soundfile.info(tmp_path / name)
        assert (info.format, info.subtype) == expected
