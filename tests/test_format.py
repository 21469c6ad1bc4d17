"""Sample rates and channels that make sense, and those that have a name."""

import numpy as np
import pytest

from stream_audio import AudioFormat, ConfigError, ConfigTypeError, FormatPreset


def test_what_is_left_out_is_the_devices_own():
    assert AudioFormat() == AudioFormat(sample_rate=None, channels=None)
    assert FormatPreset.NATIVE.value == AudioFormat()


def test_transcription_is_16_khz_mono():
    assert FormatPreset.TRANSCRIPTION.value == AudioFormat(16_000, 1)


@pytest.mark.parametrize("sample_rate", [1000, 44_100, 768_000, np.int32(48_000)])
@pytest.mark.parametrize("channels", [1, 64, np.uint8(2)])
def test_what_is_allowed(sample_rate, channels):
    chosen = AudioFormat(sample_rate, channels)
    assert (chosen.sample_rate, chosen.channels) == (sample_rate, channels)


@pytest.mark.parametrize(
    ("name", "value"),
    [("sample_rate", v) for v in (-1, 0, 999, 768_001)] + [("channels", v) for v in (-1, 0, 65)],
)
def test_what_is_out_of_range(name, value):
    with pytest.raises(ConfigError, match=f"{name} .*{value}"):
        AudioFormat(**{name: value})


@pytest.mark.parametrize("value", [48_000.0, "48000", True])
@pytest.mark.parametrize("name", ["sample_rate", "channels"])
def test_only_whole_numbers(name, value):
    with pytest.raises(ConfigTypeError, match=name):
        AudioFormat(**{name: value})


def test_equal_formats_are_one_key():
    assert {AudioFormat(48_000, 2): "a"}[AudioFormat(48_000, 2)] == "a"
