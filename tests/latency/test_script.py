"""The script as a user runs it: another process, its exit code, what it prints and writes."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from support.command_line import run_command

GIVE_UP = 60.0
COMMAND = [sys.executable, "-m", "stream_audio", "latency"]
QUICK = ("--duration", 0.2)

WITHOUT_PORTAUDIO = {"STREAM_AUDIO_PORTAUDIO_LIBRARY": "/nonexistent/libportaudio.so.2"}
"""So that these tests are the same on a machine with a microphone."""


def environment():
    return os.environ | WITHOUT_PORTAUDIO | {"PYTHONWARNINGS": "error"}


def run(*arguments, command=None, **changes):
    if command is None:
        return run_command(("latency", *arguments), environment() | changes)
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=environment() | changes,
    )


def document(*arguments):
    result = run(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""  # not a terminal: no bar
    return json.loads(result.stdout)


def test_a_report_for_people():
    result = run(*QUICK)
    assert result.returncode == 0, result.stderr
    for words in ("callback to", "p99.9", "ring", "router", "channel", "file", "lost: 0 frames"):
        assert words in result.stdout


def test_a_report_for_machines():
    found = document(*QUICK, "--consumers", "router,channel")
    (measured,) = found["runs"]
    assert list(measured["callback_to"]) == ["ring", "router", "channel"]
    for figures in measured["callback_to"].values():
        assert figures["count"] > 10
        assert 0 < figures["min"] <= figures["p50"] <= figures["p99.9"] <= figures["max"]
        assert sum(figures["histogram"]["counts"]) == figures["count"]
    assert measured["balanced"]
    assert measured["period_jitter"]["count"] > 10
    assert measured["cpu"].keys() == {"router", "channel"}
    assert found["machine"]["kernel"].startswith(("Linux", "Darwin"))
    assert found["settings"]["duration"] == 0.2
    assert found["device"] == {"name": "virtual", "host_api": "none"}
    assert not found["interrupted"]


def test_a_delay_that_is_asked_for_is_found():
    found = document(*QUICK, "--consumers", "callback,file", "--delay", 3)
    for kind in ("callback", "file"):
        assert found["runs"][0]["callback_to"][kind]["min"] >= 0.003


def test_a_sweep_measures_every_combination_once():
    found = document("--sweep", *QUICK, "--period", "128,256", "--chunk", "0,256")
    assert [(run["period"], run["chunk"]) for run in found["runs"]] == [
        (128, 128),
        (128, 256),
        (256, 256),
    ]
    assert list(found["runs"][0]["callback_to"]) == ["ring", "router", "channel"]


def test_a_soak_measures_all_consumers_together():
    found = document("--soak", "0.6s")
    (measured,) = found["runs"]
    assert {"ring", "router", "channel", "callback", "file"} <= measured["callback_to"].keys()
    assert len(measured["cpu"]) == 1


def test_each_load_is_measured_in_turn():
    found = document(*QUICK, "--consumers", "channel", "--load", "none,gil-python")
    assert [run["load"] for run in found["runs"]] == ["none", "gil-python"]


@pytest.mark.parametrize("limits", [("--max-p99", 1e6), ("--max-lost", 10**9)])
def test_limits_that_are_kept_are_no_failure(limits):
    assert run(*QUICK, "--consumers", "channel", *limits).returncode == 0


def test_a_limit_that_is_exceeded_is_a_failure_with_all_figures():
    result = run(*QUICK, "--consumers", "callback", "--delay", 3, "--max-p99", 2, "--json")
    assert result.returncode == 1
    (line,) = json.loads(result.stdout)["exceeded"]
    assert "callback to callback: p99" in line
    assert "is above 2 ms" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("--load", "everything"),
        ("--consumers", "nobody"),
        ("--period", "0"),
        ("--duration", "nan"),
        ("--plot", "picture.gif"),
        ("--compare",),
        ("--round-trip", "--sweep"),
        ("--sweep", "--soak", "1"),
        ("--output", "speakers"),
        ("--nonsense",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_from_failure(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "rror" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_portaudio_a_device_is_an_error_with_a_hint():
    result = run("--device", "default")
    assert result.returncode == 1
    assert result.stderr.startswith("error: PortAudio is not installed")
    assert len(result.stderr.splitlines()) == 1


def test_a_picture(tmp_path):
    path = tmp_path / "latency.png"
    assert run(*QUICK, "--plot", path).returncode == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_page_that_needs_nothing_beside_it(tmp_path):
    path = tmp_path / "latency.html"
    assert run(*QUICK, "--consumers", "channel", "--plot", path).returncode == 0
    page = path.read_text(encoding="utf-8")
    assert page.count("<svg") == 2 * 3  # latencies, and the device's clock
    assert "http" not in page
    assert "lost: 0 frames" in page


def test_without_matplotlib_nothing_is_measured_in_vain(tmp_path):
    program = (
        "import sys; sys.modules['matplotlib'] = None; sys.argv[:1] = ['', 'latency']\n"
        "from stream_audio.cli import main; main()"
    )
    path = tmp_path / "latency.png"
    result = run("--duration", 3600, "--plot", path, command=[sys.executable, "-c", program])
    assert result.returncode == 1
    assert "stream-audio[plot]" in result.stderr
    assert not path.exists()


def test_a_picture_that_cannot_be_written_is_an_error_after_the_report(tmp_path):
    result = run(*QUICK, "--consumers", "channel", "--plot", tmp_path / "missing" / "a.png")
    assert result.returncode == 1
    assert "lost: 0 frames" in result.stdout
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_early_with_what_there_is(number):
    """On a terminal, whose bar tells when the second consumer is being measured."""
    above, below = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--duration", "1", "--consumers", "router,channel,callback"],
        stdout=subprocess.PIPE,
        stderr=below,
        text=True,
        env=environment(),
    )
    os.close(below)
    with process:
        shown = ""
        until = time.monotonic() + GIVE_UP
        while "channel" not in shown:
            assert time.monotonic() < until
            shown += os.read(above, 1000).decode()
        process.send_signal(number)
        report, _ = process.communicate(timeout=GIVE_UP)
    os.close(above)
    assert process.returncode == 0
    assert "█" in shown
    assert "Interrupted: this is what there was so far." in report
    rows = [line.split()[0] for line in report.splitlines() if line]
    assert "router" in rows
    assert "callback" not in rows[rows.index("ring") :]
