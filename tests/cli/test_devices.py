"""``doctor``, ``devices --watch`` and ``record --on-lost``, with devices that come and go."""

import json
import os
import platform
import threading

import pytest
from typer.testing import CliRunner

from stream_audio.cli import devices as devices_command
from stream_audio.cli.app import app
from stream_audio.testing import Incident, VirtualDevices


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def findings(result):
    return {each["about"]: each for each in json.loads(result.output)}


def test_the_doctor_finds_nothing_wrong_with_a_healthy_device(virtual_devices):
    virtual_devices.add("headset", channels=2)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "headset (virtual), 2 channels, 48000 Hz, the default" in result.output
    assert "96000 frames at 48000 Hz from headset, virtual" in result.output
    assert "loss           none" in result.output
    assert "stream-audio 0" in result.output


@pytest.mark.parametrize(
    ("settings", "about", "words"),
    [
        ({"signal": "silence"}, "level", "muted"),
        ({"signal": "sine", "level": 0.0}, "level", "clips"),
        ({"script": [Incident.suspended(1.0, 0.5)]}, "loss", "suspended"),
        ({"script": [Incident.refusing(0.0)]}, "test capture", "cannot open"),
        ({"script": [Incident.absent(0.0)]}, "devices", "none"),
    ],
)
def test_the_doctor_says_what_is_wrong_and_what_to_do(virtual_devices, settings, about, words):
    virtual_devices.add("headset", **settings)
    found = findings(run("doctor", "--json"))[about]
    assert words in found["found"] + found["advice"]
    assert found["advice"]
    assert found["state"] != "good"


def test_the_doctors_report_names_nobody(virtual_devices, monkeypatch):
    monkeypatch.setenv("USER", "marlene")
    monkeypatch.setenv("HOME", "/home/marlene")
    virtual_devices.add(f"marlene's headset at {platform.node()}")
    for arguments in ((), ("--json",)):
        output = run("doctor", *arguments).output
        assert "USER's headset" in output
        for name in ("marlene", platform.node(), os.path.expanduser("~")):
            assert name not in output


@pytest.mark.parametrize("as_json", [False, True])
def test_a_watch_tells_what_comes_and_goes(monkeypatch, as_json):
    told = threading.Event()

    class Stopping:
        def __init__(self):
            self.told = told

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            pass

    monkeypatch.setattr(devices_command, "Stopping", Stopping)
    with VirtualDevices() as devices:
        devices.add("webcam")
        devices.add("headset", script=[Incident.absent(devices.now + 0.5, 0.5)])
        threading.Timer(2.0, told.set).start()
        result = run("devices", "--watch", *(["--json"] if as_json else []))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    if as_json:
        events = [json.loads(line) for line in lines]
        assert [each["event"] for each in events] == ["devices", "removed", "added"]
        assert events[2]["device"]["id"] == "virtual:headset"
    else:
        assert lines[-2:] == [
            "- headset, virtual (virtual:headset)",
            "+ headset, virtual (virtual:headset)",
        ]


@pytest.mark.parametrize(("on_lost", "lost"), [("wait", True), ("stop", False), (None, True)])
def test_a_recording_waits_or_stops_as_it_is_told(virtual_devices, tmp_path, on_lost, lost):
    virtual_devices.add("headset", script=[Incident.absent(1.0, 1.0)])
    options = ["--on-lost", on_lost] if on_lost else []
    result = run("record", tmp_path / "a.wav", "--duration", 4, "--json", *options)
    report = json.loads(result.output.splitlines()[-1])
    gaps = report["sources"]["input"]["gaps"]
    assert [gap["cause"] for gap in gaps] == (["device_lost"] if lost else [])


def test_a_recording_ends_when_its_device_is_gone_for_too_long(virtual_devices, tmp_path):
    virtual_devices.add("headset", script=[Incident.absent(1.0, 60.0)])
    options = ["--lost-timeout", "2s", "--duration", "1m"]
    result = run("record", tmp_path / "a.wav", "--json", *options)
    report = json.loads(result.output.splitlines()[-1])
    assert 0 < report["sources"]["input"]["position"] <= 48_000  # and not a minute
    assert "unplugged" in report["sources"]["input"]["error"]


def test_a_time_to_wait_is_wrong_usage_where_nothing_waits(virtual_devices, tmp_path):
    virtual_devices.add("headset")
    options = ["--on-lost", "stop", "--lost-timeout", "2s"]
    result = run("record", tmp_path / "a.wav", "--duration", 1, *options)
    assert result.exit_code == 2
    assert "does not wait" in result.output


def test_another_wish_is_wrong_usage(virtual_devices, tmp_path):
    virtual_devices.add("headset")
    result = run("record", tmp_path / "a.wav", "--duration", 1, "--on-lost", "retry")
    assert result.exit_code == 2
