"""Broken or empty ALSA configurations: a clear error or a list, and the process lives.

Each in a process of its own, for PortAudio has been seen to end it.
"""

import os
import subprocess
import sys

import pytest

from support import servers
from support.alsa import SYSTEM_CONFIG, null_pcm

GIVE_UP = 60.0

PROGRAM = """
import sys
import stream_audio as s

try:
    print("listed", len(s.list_input_devices()))
except s.BackendError as error:
    assert error.hint and error.host_text, error
    print("BackendError", error)
# Whatever ALSA is like, what needs no device works on.
source = s.AudioSource.virtual("silence", pace="freewheel")
assert s.record(duration=0.1, source=source).shape == (4800, 2)
"""


def run(program=PROGRAM, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=os.environ
        | {"JACK_NO_START_SERVER": "1", "JACK_DEFAULT_SERVER": "stream-audio-none"}
        | environment,
    )


UNUSABLE = {
    "no syntax": "pcm.!default { type nonsense\n",
    "binary": "\x01\x02\x03{{{{",
}

USABLE = {
    "unknown type": SYSTEM_CONFIG + "pcm.broken { type nonsense hint { show on } }\n",
    "no such card": SYSTEM_CONFIG + "pcm.gone { type hw card 31 hint { show on } }\n",
    "type that is no text": SYSTEM_CONFIG + "pcm.broken { type 5 hint { show on } }\n",
    "default that is a number": SYSTEM_CONFIG + "pcm.!default 5\n",
    "loop": SYSTEM_CONFIG
    + "pcm.a { type plug slave.pcm b hint { show on } }\n"
    + "pcm.b { type plug slave.pcm a hint { show on } }\n",
    "many": SYSTEM_CONFIG + "".join(null_pcm(f"null{number}") for number in range(50)),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_configuration_that_cannot_be_read(name, servers_wanted):
    with servers.alsa_config(UNUSABLE[name]) as path:
        result = run()
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("BackendError PortAudio finds no working audio backend")
        assert str(path) in result.stdout  # the file to mend
        assert "configuration is valid" in result.stdout


@pytest.mark.parametrize("name", USABLE)
def test_a_configuration_with_something_wrong_in_it(name, servers_wanted):
    with servers.alsa_config(USABLE[name]):
        result = run()
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("listed")
    if name == "many":
        assert int(result.stdout.split()[1]) >= 50


NO_DEFAULT = 'pcm.mic { type null hint { show on description "mic" } }\n'

BESIDE_A_RECORDING = """
import threading
import stream_audio as s

channel = s.ChannelSink()
builder = s.StreamAudio.builder().add_source("v", s.AudioSource.virtual()).add_sink(channel)
with builder.start() as session:
    channel.get(timeout=30)
    try:
        print("listed", [device.name for device in s.list_input_devices()])
    except s.StreamAudioError as error:
        print(type(error).__name__, error)
    channel.get(timeout=30)
assert session.report().balanced
"""


def test_a_configuration_without_a_default_is_listed(servers_wanted):
    """PortAudio 19.6 fails an assertion there, which would end the process."""
    with servers.alsa_config(NO_DEFAULT):
        result = run(BESIDE_A_RECORDING)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "listed ['mic']\n"
    assert result.stderr == ""


def test_no_configuration_at_all_is_an_error_with_a_remedy(servers_wanted):
    result = run(BESIDE_A_RECORDING, ALSA_CONFIG_PATH="/nonexistent/alsa.conf")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("BackendError ALSA has no configuration")
    assert "Cannot access file /nonexistent/alsa.conf" in result.stdout
    assert "apt install libasound2-data" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("text", ["", "pcm 5\n", 'pcm "mic"\n', "ctl.x { type hw card 0 }\n"])
def test_a_configuration_that_defines_no_pcm_is_an_error_with_a_remedy(text, servers_wanted):
    """ALSA fails an assertion over the second and the third, which would end the process."""
    with servers.alsa_config(text):
        result = run(BESIDE_A_RECORDING)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("BackendError ALSA has no configuration")
    assert "apt install libasound2-data" in result.stdout


def test_a_configuration_that_is_mended_works_in_the_same_process(servers_wanted):
    """PortAudio is opened anew for each list: what was broken before does not stick."""
    program = """
import os, sys
import stream_audio as s

broken, good = sys.argv[1:]
for _ in range(2):
    os.environ["ALSA_CONFIG_PATH"] = broken
    try:
        s.list_input_devices()
    except s.BackendError:
        pass
    else:
        raise AssertionError("no error")
    os.environ["ALSA_CONFIG_PATH"] = good
    assert "flatout" in [device.name for device in s.list_input_devices()]
"""
    with (
        servers.alsa_config(UNUSABLE["no syntax"]) as broken,
        servers.alsa_config(servers.ALSA_NULL) as good,
    ):
        result = subprocess.run(
            [sys.executable, "-c", program, str(broken), str(good)],
            capture_output=True,
            text=True,
            timeout=GIVE_UP,
            env=os.environ
            | {"JACK_NO_START_SERVER": "1", "JACK_DEFAULT_SERVER": "stream-audio-none"},
        )
    assert result.returncode == 0, result.stderr


def test_a_failing_backend_leaves_no_descriptor_or_thread_behind(servers_wanted):
    program = """
import os, time
from operator import gt
import stream_audio as s

def count():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

def fail():
    try:
        s.list_input_devices()
    except s.BackendError:
        return
    raise AssertionError("no error")

fail()
before = count()  # a thread that has been joined may still be on its way out: it counts here
for _ in range(5):
    fail()
until = time.monotonic() + 10
while any(map(gt, count(), before)) and time.monotonic() < until:
    time.sleep(0.01)
assert not any(map(gt, count(), before)), (before, count())
"""
    with servers.alsa_config(UNUSABLE["no syntax"]):
        result = run(program)
    assert result.returncode == 0, result.stderr


def test_the_command_line_lists_an_alsa_device(alsa_null):
    result = subprocess.run(
        [sys.executable, "-m", "stream_audio", "devices", "--json"],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=os.environ | {"JACK_NO_START_SERVER": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert f'"name": "{alsa_null}"' in result.stdout
    assert result.stderr == ""
