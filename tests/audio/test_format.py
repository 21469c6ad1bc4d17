"""Formats that make sense, and those that have a name."""

import numpy as np
import pytest

from stream_audio import AudioFormat, ConfigError, ConfigTypeError, FormatPreset


def test_what_is_left_out_is_the_sources_own():
    assert AudioFormat() == AudioFormat(sample_rate=None, channels=None, dtype=None)
    assert FormatPreset.NATIVE.value == AudioFormat()


def test_transcription_is_16_khz_mono():
    assert FormatPreset.TRANSCRIPTION.value == AudioFormat(16_000, 1)


def test_studio_is_48_khz_with_the_sources_channels():
    assert FormatPreset.STUDIO.value == AudioFormat(48_000)


@pytest.mark.parametrize("sample_rate", [1000, 44_100, 768_000, np.int32(48_000)])
@pytest.mark.parametrize("channels", [1, 64, np.uint8(2)])
def test_what_is_allowed(sample_rate, channels):
    chosen = AudioFormat(sample_rate, channels)
    assert (chosen.sample_rate, chosen.channels) == (sample_rate, channels)


@pytest.mark.parametrize("listed", [[4, 5], (4, 5), np.array([4, 5]), range(4, 6)])
def test_channels_may_be_listed(listed):
    assert AudioFormat(channels=listed).channels == (4, 5)


@pytest.mark.parametrize("dtype", ["int16", np.int16, np.dtype("<i2")])
def test_sample_types_have_their_numpy_names(dtype):
    assert AudioFormat(dtype=dtype).dtype == "int16"


OUT_OF_RANGE = [
    *[({"sample_rate": v}, f"sample_rate .*{v}") for v in (-1, 0, 999, 768_001, 10**12)],
    *[({"channels": v}, f"channels .*{v}") for v in (-1, 0, 65)],
    ({"channels": []}, "must not be empty"),
    ({"channels": [0, 1, 0]}, r"twice: \[0, 1, 0\]"),
    ({"channels": [-1]}, "from 0 to 63, not -1"),
    ({"channels": [0, 64]}, "from 0 to 63, not 64"),
    ({"dtype": "int8"}, "float32, int16, int24, int32; not 'int8'"),
    ({"dtype": np.float64}, "not 'float64'"),
    ({"quality": "best"}, "LQ, MQ, HQ, VHQ; not 'best'"),
]


@pytest.mark.parametrize(("settings", "words"), OUT_OF_RANGE, ids=str)
def test_what_is_out_of_range(settings, words):
    with pytest.raises(ConfigError, match=words):
        AudioFormat(**settings)


WRONG_TYPE = [
    *[{name: v} for name in ("sample_rate", "channels") for v in (48_000.0, "48000", True, 1j)],
    {"sample_rate": float("nan")},
    {"channels": [0.0]},
    {"channels": ["left"]},
    {"channels": {0, 1}},
    {"dtype": 16},
    {"dtype": len},
    {"dither": "yes"},
    {"dither": 1},
    {"quality": 4},
]


@pytest.mark.parametrize("settings", WRONG_TYPE, ids=str)
def test_what_is_of_the_wrong_type(settings):
    with pytest.raises(ConfigTypeError, match=next(iter(settings)).rstrip("s")):
        AudioFormat(**settings)


def test_equal_formats_are_one_key():
    assert {AudioFormat(48_000, [0, 1]): "a"}[AudioFormat(48_000, (0, 1))] == "a"


def test_repr_tells_what_was_said():
    assert repr(AudioFormat()) == "AudioFormat()"
    assert repr(AudioFormat(16_000, 1)) == "AudioFormat(sample_rate=16000, channels=1)"
    assert repr(AudioFormat(dtype="int16", dither=False)) == (
        "AudioFormat(dtype='int16', dither=False)"
    )
