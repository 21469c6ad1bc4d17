"""Which channels of a device are opened, and which devices may well be silent."""

import pytest

from stream_audio import (
    AudioFormat,
    AudioSource,
    ConfigError,
    ConfigTypeError,
    DeviceFormatError,
)
from stream_audio._native.portaudio import NativeDevice
from stream_audio.devices.portaudio import is_monitor
from stream_audio.sources.channels import channels_to_open


@pytest.mark.parametrize(
    ("chosen", "most", "formats", "own"),
    [
        pytest.param(None, 1, [AudioFormat()], (0,), id="a mono microphone"),
        pytest.param(None, 2, [AudioFormat(channels=1)], (0, 1), id="stereo, for a mono sink"),
        pytest.param(None, 8, [AudioFormat(), AudioFormat(channels=2)], tuple(range(8)), id="all"),
        pytest.param(1, 32, [AudioFormat()], (0,), id="as many as the user says"),
        pytest.param((5, 4), 8, [AudioFormat()], (5, 4), id="listed for the source"),
        pytest.param(2, 8, [AudioFormat(channels=[4])], (0, 1), id="listed by a sink"),
        pytest.param(None, 1, [AudioFormat(channels=2)], (0,), id="mono asked for stereo"),
    ],
)
def test_all_channels_are_opened_and_the_user_s_are_the_source(chosen, most, formats, own):
    assert channels_to_open(chosen, "mic", most, formats) == (most, own)


def test_channels_beyond_those_that_can_be_recorded_are_left_out():
    assert channels_to_open(None, "mic", 100, []) == (64, tuple(range(64)))


@pytest.mark.parametrize(
    ("chosen", "formats"),
    [(5, []), ((4,), []), (None, [AudioFormat(channels=[0, 4])])],
)
def test_a_channel_that_is_not_there_is_refused(chosen, formats):
    with pytest.raises(DeviceFormatError, match=r"'mic' does not record 5 channels.*It has 4"):
        channels_to_open(chosen, "mic", 4, formats)


def device(name):
    return NativeDevice(
        index=0,
        name=name,
        host_api="an API",
        host_api_type=8,
        max_input_channels=2,
        is_default_input=False,
        is_host_api_default_input=False,
        default_sample_rate=48_000.0,
        low_latency=0.01,
        high_latency=0.1,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("USB Mic", False),
        ("alsa_output.pci-0000.analog-stereo.monitor", True),
        ("Monitor of Built-in Audio", True),
        ("Studio Monitor Mic", False),
    ],
)
def test_a_monitor_is_told_from_a_microphone(name, expected):
    assert is_monitor(device(name)) is expected


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
