"""A host that does not do as it is told: nothing is freed under callbacks that still come."""

import os
import subprocess
import sys

import pytest

from support.stubborn import build_library

GIVE_UP = 60.0

PROGRAM = """
import os
callbacks, told = os.pipe()
os.environ["CALLBACKS"] = str(told)
from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio

channel = ChannelSink()
builder = StreamAudio.builder().add_source("mule", AudioSource.default_device())
session = builder.format(FormatPreset.NATIVE).add_sink(channel).start()
for _ in range(3):
    channel.get(timeout=30)
report = session.stop()
print(report.balanced, report.problems)
print(report.sources["mule"].error)
if os.environ["STUBBORN"] == "stop close":
    os.read(callbacks, 65536)  # those until now
    # A hundred more would write to what a wrong close has freed.
    for _ in range(100):
        assert os.read(callbacks, 1)
print("alive")
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("host"))


@pytest.mark.parametrize("stubborn", ["", "stop", "close", "stop close"])
def test_a_stream_that_cannot_be_ended_is_left_its_memory(stubborn, library):
    settings = {"STREAM_AUDIO_PORTAUDIO_LIBRARY": str(library), "STUBBORN": stubborn}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )
    assert done.returncode == 0, done.stderr
    balanced, error, alive = done.stdout.splitlines()
    assert balanced == "True ()"
    assert ("it refuses" in error) == ("stop" in stubborn)
    assert alive == "alive"


ASSERTED = """
import stream_audio

try:
    stream_audio.list_input_devices()
except stream_audio.BackendError as error:
    print(error)
"""


def test_a_failed_assertion_is_an_error_and_no_abort(library):
    settings = {"STREAM_AUDIO_PORTAUDIO_LIBRARY": str(library), "STUBBORN": "assert"}
    nowhere = {"JACK_DEFAULT_SERVER": "stream-audio-none", "JACK_NO_START_SERVER": "1"}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", ASSERTED],
        env=os.environ | settings | nowhere,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "PortAudio failed an internal assertion" in done.stdout
    assert 'refuses("assert")' in done.stdout


SPOKEN = """
import logging, os, sys
callbacks, told = os.pipe()
os.environ["CALLBACKS"] = str(told)
from stream_audio import AudioSource, ChannelSink, StreamAudio

logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(name)s: %(message)s")
channel = ChannelSink()
builder = StreamAudio.builder().add_source("mule", AudioSource.default_device())
with builder.add_sink(channel).start():
    for _ in range(10):  # a second: what hosts say is looked for now and then
        channel.get(timeout=30)
"""


def test_what_alsa_says_on_a_thread_of_portaudio_goes_to_the_log(library):
    settings = {"STREAM_AUDIO_PORTAUDIO_LIBRARY": str(library), "STUBBORN": "speak"}
    nowhere = {"JACK_DEFAULT_SERVER": "stream-audio-none", "JACK_NO_START_SERVER": "1"}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SPOKEN],
        env=os.environ | settings | nowhere,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "stream_audio.host: ALSA: Unknown PCM stubborn_and_unknown" in done.stdout
