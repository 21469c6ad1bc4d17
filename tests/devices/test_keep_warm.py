"""What a session opened of a host is used again by the next one, or let go, and never stale."""

import os
import subprocess
import sys

import pytest

from stream_audio import (
    AudioSource,
    ChannelSink,
    DeviceError,
    DeviceNotFoundError,
    FormatPreset,
    StreamAudio,
    StreamConfig,
    list_input_devices,
)
from stream_audio._native import warm
from stream_audio.devices import alsa_state
from support.processes import wait_until
from support.stubborn import build_library

GIVE_UP = 60.0

NEW, OPEN, OVER = "initialize", "open", "terminate"
NOWHERE = {
    "JACK_DEFAULT_SERVER": "stream-audio-none",
    "JACK_NO_START_SERVER": "1",
    "STREAM_AUDIO_PULSE_LIBRARY": "/no/library",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("host"))


class Host:
    """A PortAudio of the test's own, and what it was called for."""

    def __init__(self, folder, library):
        self.calls = folder / "calls"
        self.unplugged = folder / "unplugged"
        self.home = folder / "home"
        self.home.mkdir()
        self.environment = NOWHERE | {
            "STREAM_AUDIO_PORTAUDIO_LIBRARY": str(library),
            "CALLED": str(self.calls),
            "UNPLUGGED": str(self.unplugged),
            "HOME": str(self.home),
        }

    @property
    def called(self):
        return self.calls.read_text().split() if self.calls.exists() else []


@pytest.fixture
def host(library, tmp_path, monkeypatch):
    warm.let_go()
    found = Host(tmp_path, library)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    yield found
    warm.let_go()


def start(keep_warm=30.0):
    builder = StreamAudio.builder().config(StreamConfig(keep_warm=keep_warm))
    builder.add_source("mule", AudioSource.default_device(on_lost="stop"))
    return builder.format(FormatPreset.NATIVE).add_sink(ChannelSink()).start()


def record(keep_warm=30.0):
    report = start(keep_warm).stop()
    assert report.balanced
    return report


def test_the_next_session_uses_what_the_last_one_opened(host):
    for _ in range(3):
        record()
    assert host.called == [NEW, OPEN, OPEN, OPEN]


def test_nothing_is_kept_if_nothing_is_to_be(host):
    record(keep_warm=0)
    record(keep_warm=0)
    assert host.called == [NEW, OPEN, OVER] * 2


def test_it_is_let_go_when_its_time_is_over(host):
    record(keep_warm=0.01)
    wait_until(lambda: host.called == [NEW, OPEN, OVER], "it is let go")


def test_a_shorter_time_is_not_held_up_by_a_longer_one(host):
    record(keep_warm=3600)
    record(keep_warm=0.01)
    wait_until(lambda: host.called == [NEW, OPEN, OPEN, OVER], "it is let go")


def test_a_list_is_always_a_new_one(host):
    record()
    assert [device.name for device in list_input_devices()] == ["mule"]
    assert host.called == [NEW, OPEN, NEW, OVER]


def test_what_somebody_uses_is_nobody_elses(host):
    with start(), start():
        assert host.called == [NEW, OPEN, NEW, OPEN]


CHANGES = {
    "environment": lambda host, monkeypatch: monkeypatch.setenv("ALSA_CARD", "2"),
    "configuration": lambda host, monkeypatch: (host.home / ".asoundrc").write_text("# new\n"),
    "cards": lambda host, monkeypatch: (host.home / "cards").write_text("0 [Mic]: USB - Mic\n"),
    "rights": lambda host, monkeypatch: (host.home / "pcmC0D0c").chmod(0o600),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_not_used_again_after_a_change(host, change, monkeypatch):
    monkeypatch.setattr(alsa_state, "CARDS", str(host.home))
    monkeypatch.setattr(alsa_state, "DEVICES", str(host.home))
    (host.home / "pcmC0D0c").touch(mode=0o666)
    record()
    CHANGES[change](host, monkeypatch)
    record()
    assert host.called == [NEW, OPEN, OVER, NEW, OPEN]


def test_nothing_is_kept_where_no_system_tells_of_changes(host, monkeypatch):
    monkeypatch.setattr(alsa_state.sys, "platform", "darwin")
    record()
    assert host.called == [NEW, OPEN, OVER]


def test_a_client_of_jack_is_not_kept(host, monkeypatch):
    monkeypatch.setenv("STUBBORN", "jack")
    with pytest.raises(DeviceNotFoundError):
        start()
    assert host.called == [NEW, OVER]


def test_what_fails_is_tried_once_more_with_a_new_list(host, monkeypatch):
    monkeypatch.setenv("STUBBORN", "once")
    record()
    record()
    assert host.called == [NEW, OPEN, OPEN, OVER, NEW, OPEN]


def test_a_device_that_is_unplugged_between_two_sessions_is_not_found(host):
    record()
    host.unplugged.touch()
    with pytest.raises(DeviceNotFoundError, match="no input device"):
        start()
    assert host.called == [NEW, OPEN, OPEN, OVER, NEW]
    host.unplugged.unlink()
    record()
    assert host.called == [NEW, OPEN, OPEN, OVER, NEW, OVER, NEW, OPEN]


def test_a_device_that_refuses_is_an_error_at_the_second_try(host, monkeypatch):
    monkeypatch.setenv("STUBBORN", "once")
    session = start()
    try:
        record()
        assert host.called == [NEW, OPEN, NEW, OPEN]
        host.unplugged.touch()
        with pytest.raises(DeviceError):
            start()
    finally:
        session.stop()


PROGRAM = """
import os
import stream_audio as s

def record():
    source = s.AudioSource.default_device(on_lost="stop")
    builder = s.StreamAudio.builder().format(s.FormatPreset.NATIVE).add_source("mule", source)
    session = builder.add_sink(s.ChannelSink()).start()
    session.stop()
    assert session.report().balanced

record()
"""

FORK = """
child = os.fork()
record()
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""


def run(program, host):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", PROGRAM + program],
        env=os.environ | host.environment,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_let_go_when_the_program_exits(host):
    run("", host)
    assert host.called == [NEW, OPEN, OVER]


def test_it_is_let_go_before_a_fork_and_the_child_can_record(host):
    run(FORK, host)
    assert host.called[:3] == [NEW, OPEN, OVER]
    assert sorted(host.called[3:]) == sorted([NEW, OPEN, OVER] * 2)
