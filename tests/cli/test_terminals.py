"""Every command on terminals of 50 and of 120 columns, in a pipe, with LANG=C, and killed."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.processes import wait_until

# Every command with devices that are there on no machine, and seconds that are short.
DEVICES = """
import sys
import time
import stream_audio
import stream_audio.cli.doctor
from stream_audio.cli import main

MICROPHONE = stream_audio.InputDevice("USB mic", "ALSA", 2, 48_000, 0.009, 0.035, True)

class Watcher:
    devices = [MICROPHONE]
    def __enter__(self):
        return self
    def __exit__(self, *raised):
        pass
    def get(self, seconds):
        time.sleep(seconds)

def tone(*arguments, **settings):
    return stream_audio.AudioSource.virtual()

stream_audio.list_input_devices = lambda: [MICROPHONE]
stream_audio.watch_devices = Watcher
stream_audio.AudioSource.default_device = stream_audio.AudioSource.system = staticmethod(tone)
sys.modules["stream_audio.cli.doctor"].CAPTURE_SECONDS = 0.3
sys.argv[0] = "stream-audio"
main()
"""
COMMAND = [sys.executable, "-c", DEVICES]
GIVE_UP = 60.0
WITHOUT_DEVICES = {"STREAM_AUDIO_PORTAUDIO_LIBRARY": "/nonexistent/libportaudio.so.2"}
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**changes):
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")
    }
    return inherited | WITHOUT_DEVICES | {"TERM": "xterm-256color"} | changes


class Terminal:
    """A pseudo-terminal of a width, with a program on it."""

    def __init__(self, columns, *arguments, cwd=None, **changes):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=environment(**changes),
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, words):
        until = time.monotonic() + GIVE_UP
        while words not in self.shown:
            assert self._read(until), self.shown
            assert time.monotonic() < until, self.shown

    def rest(self):
        until = time.monotonic() + GIVE_UP
        while self._read(until):
            assert time.monotonic() < until, self.shown
        os.close(self._ours)
        return self.process.wait(GIVE_UP)

    def lines(self):
        """Return what was shown, each line as long as it was written at the most."""
        plain = CONTROL.sub("", self.shown)
        return [line for row in plain.split("\n") for line in row.split("\r")]

    def _read(self, until):
        ready, _, _ = select.select([self._ours], [], [], max(0, until - time.monotonic()))
        assert ready, self.shown
        try:
            piece = os.read(self._ours, 65_536)
        except OSError:  # EIO: the program has ended
            return False
        self.shown += piece.decode("utf-8", "replace")
        return bool(piece)


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory):
    """A WAV file that its writer left incomplete, and one that is whole."""
    folder = tmp_path_factory.mktemp("files")
    whole, cut = folder / "whole.wav", folder / "cut.wav"
    soundfile.write(whole, np.full(1000, 0.25), 48_000)
    data = bytearray(whole.read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    cut.write_bytes(data)
    return cut


def everything(cut, folder):
    """Return a use of each command, and words that it shows."""
    return {
        "record": (["record", folder / "a.wav", "--virtual", "-d", "0.3"], "14400 frames"),
        "monitor": (["monitor", "--virtual", "-d", "0.5"], "0 frames lost"),
        "transcode": (["transcode", cut.with_name("whole.wav"), folder / "a.flac"], "0.021 s"),
        "repair": (["repair", cut, "--output", folder / "mended.wav"], "was damaged"),
        "formats": (["formats"], "FLAC"),
        "latency": (["latency", "-d", "0.2", "--consumers", "router"], "router"),
        "devices": (["devices"], "USB mic"),
        "doctor": (["doctor"], "test capture"),
        "meeting": (["meeting", folder / "talk", "-d", "0.3"], "mix.wav"),
        "serve": (
            ["serve", folder / "s.wav", "--virtual", "-d", "0.5", "--port", "0"],
            "24000 frames",
        ),
        "help": (["--help"], "monitor"),
        **{f"{name} --help": ([name, "--help"], words) for name, words in HELP.items()},
    }


HELP = {
    "record": "--rotate",
    "monitor": "--duration",
    "serve": "--token",
    "meeting": "--microphone",
    "transcode": "--quality",
    "repair": "--in-place",
    "formats": "--json",
    "latency": "--load",
    "devices": "--watch",
    "doctor": "--device",
}
COMMANDS = list(everything(Path("cut"), Path()))
LIVE = {"record", "monitor", "meeting", "serve"}
FAST = {"record", "monitor"}
"""The others show what has no live part; all are tried with --long."""


def named(names):
    return [pytest.param(name, marks=[] if name in FAST else [pytest.mark.long]) for name in names]


@pytest.mark.parametrize("columns", [50, pytest.param(120, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", named(COMMANDS))
def test_a_terminal(name, columns, cut_off, tmp_path):
    arguments, words = everything(cut_off, tmp_path)[name]
    terminal = Terminal(columns, *arguments)
    code = terminal.rest()
    assert code == 0, terminal.shown
    assert "Traceback" not in terminal.shown
    assert words in " ".join(CONTROL.sub("", terminal.shown).split()), terminal.shown
    if name in LIVE or "help" in name:  # tables of figures may be wider
        live = [line for line in terminal.lines() if "▮" in line or "▯" in line or "│" in line]
        assert max(map(len, live)) <= columns
        assert live or "help" in name


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_in_the_c_locale(name, cut_off, tmp_path):
    arguments, words = everything(cut_off, tmp_path)[name]
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        timeout=GIVE_UP,
        env=environment(LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
    )
    assert result.returncode == 0, result.stderr
    shown = (result.stdout + result.stderr).decode("ascii")
    assert words in " ".join(shown.split())
    assert not CONTROL.search(shown)  # in a pipe there is nothing to move


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_output_is_an_error_in_a_line(name, cut_off, tmp_path):
    arguments, _ = everything(cut_off, tmp_path)[name]
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=GIVE_UP,
            env=environment(),
        )
    assert result.returncode == 1
    assert "cannot write to the standard output: No space left" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


SIGNALS = [
    signal.SIGINT,
    pytest.param(signal.SIGTERM, marks=pytest.mark.long),
    pytest.param(signal.SIGHUP, marks=pytest.mark.long),
]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_monitor(number):
    terminal = Terminal(50, "monitor", "--virtual")
    terminal.read_until("▮")
    terminal.process.send_signal(number)
    assert terminal.rest() == 0, terminal.shown
    assert "input: 0:0" in terminal.shown
    assert "0 frames lost" in terminal.shown


LASTING = {
    "record": ["record", "a.wav", "--virtual"],
    "serve": ["serve", "a.wav", "--virtual", "--port", "0"],
    "meeting": ["meeting", "."],
    "devices": ["devices", "--watch"],
    "latency": ["latency", "-d", "60", "--consumers", "router"],
}
"""What lasts until it is told to end, beside what has tests of its own here."""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", LASTING)
def test_a_signal_ends_well_what_lasts(name, number, tmp_path):
    terminal = Terminal(120, *LASTING[name], cwd=tmp_path)
    terminal.read_until({"devices": "USB mic", "latency": "\r"}.get(name, "▮"))
    expected = {"meeting": 3, "record": 1, "serve": 1}.get(name, 0)
    wait_until(
        lambda: sum(file.stat().st_size > 10_000 for file in tmp_path.iterdir()) == expected,
        "its files have audio",
    )
    terminal.process.send_signal(number)
    assert terminal.rest() == 0, terminal.shown
    assert "Traceback" not in terminal.shown
    made = [file for file in tmp_path.iterdir() if file.suffix != ".json"]
    assert len(made) == expected, made
    assert all(soundfile.info(file).frames for file in made)


SLOW_REPAIR = """
import time
from stream_audio.files.mending import Diagnosis

Diagnosis.copy = lambda *arguments: time.sleep(60)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_nothing_of_a_repair(number, cut_off, tmp_path):
    damaged = tmp_path / "cut.wav"
    damaged.write_bytes(cut_off.read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_REPAIR + DEVICES, "repair", str(damaged)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "it has begun")
    process.send_signal(number)
    _, errors = process.communicate(timeout=GIVE_UP)
    assert process.returncode > 0, errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == [damaged]
    assert damaged.read_bytes() == cut_off.read_bytes()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_nothing_of_a_transcoding(number, tmp_path):
    source, made = tmp_path / "long.wav", tmp_path / "long.flac"
    soundfile.write(source, np.zeros((48_000, 8), np.float32), 48_000)
    size = 1_500_000_044
    with source.open("r+b") as file:  # half an hour of silence that takes no room
        file.truncate(size)
        file.seek(4)
        file.write(struct.pack("<I", size - 8))
        file.seek(40)
        file.write(struct.pack("<I", size - 44))
    process = subprocess.Popen(
        [*COMMAND, "transcode", str(source), str(made)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    until = time.monotonic() + GIVE_UP
    while not list(tmp_path.glob("*.part")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.002)
    process.send_signal(number)
    _, errors = process.communicate(timeout=GIVE_UP)
    assert "error: stopped: nothing was written" in errors
    assert process.returncode == 1
    assert list(tmp_path.glob("long.flac*")) == []


# ---- pipes ----


def run(*arguments):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, timeout=GIVE_UP, env=environment()
    )


@pytest.mark.parametrize("format", ["WAV", "RAW"])
def test_a_recording_into_a_pipe_is_audio_and_nothing_else(format, tmp_path):
    result = run("record", "-", "--virtual", "-d", 0.5, "--format", format)
    assert result.returncode == 0, result.stderr
    samples = result.stdout[-24_000 * 2 * 2 :]
    values = np.frombuffer(samples, "<i2").reshape(-1, 2)
    assert np.abs(values).max() > 3000
    assert len(result.stdout) - len(samples) in ((0,) if format == "RAW" else range(44, 200))
    assert b"24000 frames" in result.stderr  # the summary gets out of the way


def test_audio_is_not_written_to_a_terminal():
    terminal = Terminal(80, "record", "-", "--virtual", "-d", "1")
    assert terminal.rest() == 2
    assert "not written to a terminal" in terminal.shown


@pytest.mark.long
def test_several_sources_go_into_several_files(tmp_path):
    a, b, c = tmp_path / "a.wav", tmp_path / "b.flac", tmp_path / "c.wav"
    result = run(
        *("record", a, "-o", f"{b}:two", "-o", f"{c}:one", "-d", 0.2),
        *("-s", "one=virtual"),
    )
    assert result.returncode == 2  # there is no source "two"
    result = run(
        *("record", f"{a}:one", "-o", f"{b}:two", "-o", f"{c}:one", "-d", 0.2),
        *("-s", "one=virtual", "-s", "two=virtual", "--json"),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report["sources"]) == {"one", "two"}
    assert {soundfile.info(path).frames for path in (a, b, c)} == {9600}


@pytest.mark.long
@pytest.mark.parametrize(("merge", "channels"), [("mix", 2), ("channels", 4)])
def test_a_file_of_several_sources_is_their_merge(merge, channels, tmp_path):
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    result = run(
        *("record", path, "--out", f"{other}:two", "-d", 0.5, "--merge", merge),
        *("-s", "one=virtual", "-s", "two=virtual"),
    )
    assert result.returncode == 0, result.stderr
    merged, alone = soundfile.info(path), soundfile.info(other)
    assert (merged.channels, alone.channels) == (channels, 2)
    assert 20_000 < alone.frames <= 24_000  # the session counts, from its start
    assert f"{merge} of one + two" in result.stdout.decode()
    assert f"{merged.frames} frames" in result.stdout.decode()


def test_a_format_without_the_rate_gets_another_one_and_says_so(tmp_path):
    code = (
        "import stream_audio as s; v = s.AudioSource.virtual\n"
        "s.AudioSource.virtual = staticmethod(lambda *a, **k: v(*a, sample_rate=44_100, **k))\n"
        "import sys; sys.argv[0] = 'stream-audio'; from stream_audio.cli import main; main()"
    )
    path = tmp_path / "a.opus"
    result = subprocess.run(
        [sys.executable, "-c", code, "record", str(path), "--virtual", "-d", "0.5"],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=environment(),
    )
    assert result.returncode == 0, result.stderr
    assert "a.opus cannot hold 44100 Hz: converting to 48000 Hz" in result.stderr
    assert soundfile.info(path).samplerate == 48_000
    asked = run("record", path, "--virtual", "-d", 0.5, "--overwrite", "--rate", 44_100)
    assert asked.returncode == 2  # a rate that was asked for is not changed


@pytest.mark.long
def test_two_of_eight_channels_are_said(tmp_path):
    code = (
        "import stream_audio as s; v = s.AudioSource.virtual\n"
        "s.AudioSource.virtual = staticmethod(lambda *a, **k: v(*a, channels=8, **k))\n"
        "import sys; sys.argv[0] = 'stream-audio'; from stream_audio.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "record", str(tmp_path / "a.wav"), "--virtual", "-d", "0.2",
         "--channels", "2"],
        capture_output=True, text=True, timeout=GIVE_UP, env=environment(),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "2 of the 8 of input" in result.stdout


@pytest.mark.long
def test_a_rotated_recording_keeps_the_last_files(tmp_path):
    result = run(
        *("record", tmp_path / "a.wav", "--virtual", "-d", "1.05s"),
        *("--rotate", "0.25s", "--keep", "2", "--ledger", "--json"),
    )
    assert result.returncode == 0, result.stderr
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a-0004.wav", "a-0004.wav.json", "a-0005.wav", "a-0005.wav.json"]


@pytest.mark.long
def test_aligned_files_begin_at_full_seconds_of_the_clock(tmp_path):
    result = run(
        *("record", tmp_path / "a.wav", "--virtual", "-d", "2.2"),
        *("--rotate", "1s", "--align", "--ledger"),
    )
    assert result.returncode == 0, result.stderr
    notes = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    assert len(notes) >= 3
    for note in notes[1:]:
        begin = datetime.fromisoformat(note["start"]).timestamp()
        assert begin == pytest.approx(round(begin), abs=0.001)
    assert sum(note["frames"] for note in notes) == 105_600
    refused = run("record", tmp_path / "b.wav", "--virtual", "-d", "1", "--align")
    assert refused.returncode == 2
    assert list(tmp_path.glob("b*")) == []


@pytest.mark.long
def test_quality_decides_how_large_a_file_is(tmp_path):
    sizes = []
    for quality in ("0", "1"):
        path = tmp_path / f"{quality}.ogg"
        result = run("record", path, "--virtual", "-d", "0.5", "--quality", quality)
        assert result.returncode == 0, result.stderr
        sizes.append(path.stat().st_size)
    assert sizes[1] > 1.2 * sizes[0]
    assert (
        run("record", tmp_path / "2.ogg", "--virtual", "-d", "1", "--quality", 2).returncode == 2
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("rec", ["record"]),
        ("record --al", ["--align"]),
        ("record --device U", ["USB mic"]),
        ("meeting --microphone ", ["USB mic"]),
        ("doctor --device U", ["USB mic"]),
        ("latency --device U", ["USB mic"]),
        ("monitor --source U", ["USB mic"]),
        ("serve --source me=U", ["me=USB mic"]),
        ("record -s s", ["system"]),
        ("record --device X", []),
    ],
)
def test_commands_options_and_devices_are_completed(typed, completed):
    result = subprocess.run(
        COMMAND,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=environment(
            _STREAM_AUDIO_COMPLETE="complete_bash",
            COMP_WORDS=f"stream-audio {typed}",
            COMP_CWORD=str(len(typed.split(" "))),
        ),
    )
    assert list(filter(None, result.stdout.splitlines())) == completed, result.stderr


def test_quiet_says_nothing_if_all_is_well(tmp_path):
    result = run("record", tmp_path / "a.wav", "--virtual", "-d", "0.2", "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.long
def test_the_monitor_in_a_pipe_tells_a_line_an_interval():
    result = run("monitor", "--virtual", "-d", "1", "--interval", "0.2", "--json")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) >= 3
    assert lines[-1]["source"] == "input"
    assert lines[-1]["lost"] == 0
    assert lines[-1]["peak"] == pytest.approx([-12.04, -12.04], abs=0.1)
    people = run("monitor", "--virtual", "-d", "0.5", "--interval", "0.2").stdout.decode()
    assert "input   -12.0  -12.0 dBFS  lost 0" in people


@pytest.mark.long
def test_version_and_help_have_short_names():
    assert run("-V").stdout == run("--version").stdout != b""
    for command in (("-h",), ("record", "-h"), ("latency", "-h")):
        result = run(*command)
        assert result.returncode == 0
        assert b"Usage" in result.stdout


@pytest.mark.long
def test_each_command_has_an_example_in_its_help():
    listed = run("--help").stdout.decode()
    names = re.findall(r"^│ (\w+) {2,}", listed.partition("Commands")[2], re.MULTILINE)
    assert {"record", "monitor", "transcode", "repair", "formats", "latency"} <= {*names}
    for name in names:
        assert f"stream-audio {name}" in run(name, "--help").stdout.decode().split("Example")[-1]
