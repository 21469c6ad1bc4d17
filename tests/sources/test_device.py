"""Which channels of a device are opened, and which devices may well be silent."""

import pytest

from stream_audio import AudioFormat, AudioSource, ConfigError, ConfigTypeError, FormatPreset
from stream_audio._native.portaudio import JACK, NativeDevice
from stream_audio.devices.portaudio import is_monitor
from stream_audio.sources.device import channels_to_open

NATIVE, MONO = FormatPreset.NATIVE.value, FormatPreset.TRANSCRIPTION.value


@pytest.mark.parametrize(
    ("chosen", "most", "formats", "expected"),
    [
        pytest.param(None, 1, [NATIVE], (1, (0,)), id="a mono microphone"),
        pytest.param(None, 2, [NATIVE], (2, (0, 1)), id="stereo"),
        pytest.param(None, 32, [NATIVE, MONO], (2, (0, 1)), id="the first two of many"),
        pytest.param(1, 32, [NATIVE], (1, (0,)), id="as many as the user says"),
        pytest.param(32, 32, [MONO], (32, tuple(range(32))), id="all that there are"),
        pytest.param((4, 5), 8, [NATIVE], (6, (4, 5)), id="listed for the source"),
        pytest.param((5, 4), 8, [NATIVE], (6, (5, 4)), id="in another order"),
        pytest.param(None, 8, [AudioFormat(channels=[4, 5])], (6, (0, 1)), id="listed by a sink"),
        pytest.param(None, 8, [AudioFormat(channels=6), MONO], (6, (0, 1, 2, 3, 4, 5)), id="six"),
        pytest.param(None, 1, [AudioFormat(channels=2)], (1, (0,)), id="mono asked for stereo"),
        pytest.param(2, 8, [AudioFormat(channels=[4])], (2, (0, 1)), id="the user's word counts"),
        pytest.param(None, 4, [AudioFormat(channels=[6])], (7, (0, 1)), id="more than there are"),
    ],
)
def test_what_is_opened_and_what_of_it_is_the_source(chosen, most, formats, expected):
    assert channels_to_open(chosen, most, formats) == expected


def device(name, host_api_type=8):
    return NativeDevice(
        index=0,
        name=name,
        host_api="an API",
        host_api_type=host_api_type,
        max_input_channels=2,
        is_default_input=False,
        is_host_api_default_input=False,
        default_sample_rate=48_000.0,
        low_latency=0.01,
        high_latency=0.1,
    )


@pytest.mark.parametrize(
    ("name", "host_api_type", "expected"),
    [
        ("USB Mic", 8, False),
        ("alsa_output.pci-0000.analog-stereo.monitor", 8, True),
        ("Monitor of Built-in Audio", 8, True),
        ("Studio Monitor Mic", 8, False),
        ("system", JACK, False),
        ("a synthesizer", JACK, True),
    ],
)
def test_a_monitor_is_told_from_a_microphone(name, host_api_type, expected):
    assert is_monitor(device(name, host_api_type)) is expected


def test_the_environment_can_make_pulseaudio_s_device_a_monitor(monkeypatch):
    monkeypatch.delenv("PULSE_SOURCE", raising=False)
    assert not is_monitor(device("pulse"))
    monkeypatch.setenv("PULSE_SOURCE", "speakers.monitor")
    assert is_monitor(device("pulse"))
    assert is_monitor(device("default"))
    assert not is_monitor(device("USB Mic"))


@pytest.mark.parametrize(
    "make", [AudioSource.default_device, lambda **s: AudioSource.device("usb", **s)]
)
@pytest.mark.parametrize(
    ("channels", "error", "words"),
    [
        (0, ConfigError, "channels must be from 1 to 64"),
        (65, ConfigError, "channels must be from 1 to 64"),
        (2.0, ConfigTypeError, "channels must be a whole number"),
        ("2", ConfigTypeError, "channels must be a whole number"),
        ([], ConfigError, "channels must not be empty"),
        ([4, 4], ConfigError, "twice"),
        ([-1], ConfigError, "a channel must be from 0 to 63"),
        ([64], ConfigError, "a channel must be from 0 to 63"),
        ([1.5], ConfigTypeError, "a channel must be a whole number"),
    ],
)
def test_channels_that_make_no_sense_are_refused_at_once(make, channels, error, words):
    with pytest.raises(error, match=words):
        make(channels=channels)
