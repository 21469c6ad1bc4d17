"""What ALSA and JACK have to say goes to the log and into errors, never onto the terminal."""

import json
import os
import subprocess
import sys

import pytest

from support import servers
from support.alsa import SYSTEM_CONFIG

GIVE_UP = 60.0

PROGRAM = """
import json, logging, sys

lines = []
class Keep(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
if sys.argv[1] == "log":
    log = logging.getLogger("stream_audio.host")
    log.setLevel(logging.DEBUG)
    log.addHandler(Keep())

import stream_audio
devices, error = [], None
try:
    devices = [device.name for device in stream_audio.list_input_devices()]
    if devices:
        stream_audio.record(duration=0.1, source=stream_audio.AudioSource.device("there is none"))
except stream_audio.StreamAudioError as raised:
    error = [type(raised).__name__, str(raised), raised.host_text]
print(json.dumps({"devices": devices, "error": error, "log": lines}))
"""


def run(log=True):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, "log" if log else "quiet"],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        env=os.environ | {"JACK_NO_START_SERVER": "1"},
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


@pytest.fixture
def no_jack(servers_wanted):
    """No server of this name runs."""
    with servers.environment({"JACK_DEFAULT_SERVER": "stream-audio-none"}):
        yield


BROKEN_PCM = SYSTEM_CONFIG + "pcm.broken { type nonsense hint { show on } }\n"
"""ALSA itself loads; one of its PCMs cannot be opened, of which it complains."""

BROKEN_CONFIG = "pcm.!default { type nonsense\n"


def test_without_a_jack_server_nothing_is_printed(no_jack):
    with servers.alsa_config(servers.ALSA_NULL):
        told, errors = run()
    assert errors == ""
    assert servers.ALSA_NULL_DEVICE in told["devices"]
    assert [line for line in told["log"] if line.startswith("JACK: ")]


def test_a_broken_pcm_is_not_printed(no_jack):
    with servers.alsa_config(BROKEN_PCM):
        told, errors = run()
    assert errors == ""
    assert [line for line in told["log"] if line.startswith("ALSA: ")]


def test_a_broken_configuration_is_not_printed(no_jack):
    """What ALSA says of it is in the log and in the error."""
    with servers.alsa_config(BROKEN_CONFIG):
        told, errors = run()
    kind, text, host_text = told["error"]
    assert kind == "BackendError"
    assert "ALSA: " in host_text
    assert "asoundrc" in host_text  # which file it is
    assert host_text in text
    assert [line for line in told["log"] if "asoundrc" in line]
    # Debian's PortAudio is a debug build: it prints each failed call of its own, and has no
    # exported function to stop it.
    noise = [line for line in errors.splitlines() if not line.startswith("Expression ")]
    assert noise == []


def test_nobody_listens_and_nothing_is_printed(no_jack):
    """Without a handler, logging prints warnings: these are not."""
    with servers.alsa_config(BROKEN_PCM):
        told, errors = run(log=False)
    assert errors == ""
    assert told["log"] == []


def test_with_a_jack_server_nothing_is_printed(jack_counter):
    told, errors = run()
    assert errors == ""
    assert "counter" in told["devices"]
    assert "no input device is called 'there is none'" in told["error"][1]
