"""ALSA's plug-ins: the channels that the source has are what comes, whatever was asked for."""

import json
import os
import struct
import subprocess
import sys

import pytest

from support.alsa import alsa_config

GIVE_UP = 60.0
LEVELS = [8192, -16384, 4096, 2048, -1024, 512, -256, 128]

PROGRAM = """
import json, sys
import stream_audio as s

def heard(source, **more):
    try:
        return s.record(duration=0.05, source=source, **more)[480].tolist()
    except s.StreamAudioError as error:
        return str(error)

name = sys.argv[1]
device = s.AudioSource.device
listed = {each.name: each.channels for each in s.list_input_devices()}
print(json.dumps({
    "listed": listed[name],
    "all": heard(device(name), format=s.FormatPreset.NATIVE),
    "first": heard(device(name, channels=[0]), format=s.FormatPreset.NATIVE),
    "one": heard(device(name, channels=1), format=s.FormatPreset.NATIVE),
    "last two": heard(device(name, channels=[1, 0]), format=s.FormatPreset.NATIVE),
    "of the sink": heard(device(name), format=s.AudioFormat(channels=[1])),
    "too many": heard(device(name, channels=9)),
}))
"""


def pcms(folder, channels):
    """Return PCMs before one with so many channels, each of which has a constant value."""
    raw = folder / "levels.raw"
    raw.write_bytes(struct.pack(f"<{channels}h", *LEVELS[:channels]) * 24_000)
    return f"""
pcm.levels {{
    type file
    slave.pcm {{ type null }}
    file /dev/null
    infile "{raw}"
    format raw
}}
pcm.plugged {{
    type plug
    slave {{ pcm levels channels {channels} rate 48000 format S16_LE }}
    hint {{ show on description "as a plug-in mixes" }}
}}
pcm.again {{
    type plug
    slave.pcm plugged
    hint {{ show on description "a plug-in before a plug-in" }}
}}
"""


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("plugged", 1),
        ("plugged", 2),
        ("again", 4),
        pytest.param("plugged", 4, marks=pytest.mark.long),
        pytest.param("plugged", 6, marks=pytest.mark.long),
        ("plugged", 8),
    ],
)
def test_a_plug_in_that_mixes_is_opened_with_the_channels_there_are(tmp_path, name, channels):
    with alsa_config(pcms(tmp_path, channels)):
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, name],
            capture_output=True,
            text=True,
            timeout=GIVE_UP,
            env=os.environ | {"JACK_NO_START_SERVER": "1", "JACK_DEFAULT_SERVER": "none"},
        )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    levels = [level / 32768 for level in LEVELS[:channels]]
    assert found["listed"] == channels
    assert found["all"] == pytest.approx(levels)
    assert found["first"] == found["one"] == pytest.approx(levels[:1])
    if channels > 1:
        assert found["last two"] == pytest.approx(levels[1::-1])
        assert found["of the sink"] == pytest.approx(levels[1:2])
    assert found["too many"].endswith(f"does not record 9 channels. It has {channels}")
