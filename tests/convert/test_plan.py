"""Which stages lead from a source to a format: as few as possible, in the cheapest order."""

from dataclasses import dataclass

import pytest

from stream_audio import AudioFormat, ConfigError, FormatPreset
from stream_audio.convert.channel_matrix import mixing, picking
from stream_audio.convert.channel_mixer import MixChannels
from stream_audio.convert.plan import conversion
from stream_audio.convert.resampler import Resample
from stream_audio.convert.sample_encoder import EncodeSamples


@dataclass
class FakeSource:
    sample_rate: int = 48_000
    channels: int = 2
    own_channels: tuple[int, ...] = (0, 1)
    silence_is_normal: bool = False


def converted(wanted, source=None, dtype="float32"):
    if isinstance(wanted, FormatPreset):
        wanted = wanted.value
    return conversion("mic", source or FakeSource(), wanted, 0.1, dtype)


NOTHING_TO_DO = [
    FormatPreset.NATIVE,
    FormatPreset.STUDIO,
    AudioFormat(48_000, 2, "float32"),
    AudioFormat(channels=[0, 1]),
]


@pytest.mark.parametrize("wanted", NOTHING_TO_DO, ids=str)
def test_what_is_there_already_takes_no_stage(wanted):
    made = converted(wanted)
    assert made.stages == ()
    assert made.result == (48_000, 2, "float32")


def test_transcription_is_mixed_down_then_resampled():
    made = converted(FormatPreset.TRANSCRIPTION)
    assert made.result == (16_000, 1, "float32")
    assert made.stages == (MixChannels(mixing(2, 1)), Resample(48_000, 16_000, 1, "HQ", 1600))


def test_more_channels_are_made_after_resampling():
    made = converted(AudioFormat(16_000, 2), FakeSource(channels=1, own_channels=(0,)))
    assert made.stages == (Resample(48_000, 16_000, 1, "HQ", 1600), MixChannels(mixing(1, 2)))


def test_integers_are_made_last():
    made = converted(AudioFormat(44_100, 1, "int16", quality="VHQ"))
    assert made.stages == (
        MixChannels(mixing(2, 1)),
        Resample(48_000, 44_100, 1, "VHQ", 4410),
        EncodeSamples("int16", dither=True),
    )


def test_the_sinks_wish_decides_where_the_format_leaves_the_type_open():
    assert converted(AudioFormat(), dtype="int16").dtype == "int16"
    assert converted(AudioFormat(dtype="float32"), dtype="int16").stages == ()
    assert converted(AudioFormat(dither=False), dtype="int16").stages == (
        EncodeSamples("int16", dither=False),
    )


def test_formats_that_come_to_the_same_have_equal_stages():
    """Then they share them; what makes no difference is left out."""
    assert converted(AudioFormat(48_000, quality="LQ")) == converted(AudioFormat(quality="VHQ"))
    assert converted(AudioFormat(dtype="int24")) == converted(
        AudioFormat(dtype="int24", dither=False)
    )
    assert hash(converted(FormatPreset.TRANSCRIPTION)) == hash(converted(AudioFormat(16_000, 1)))


def test_a_user_s_choice_among_a_device_s_channels_is_what_is_mixed():
    chosen = FakeSource(channels=6, own_channels=(4, 5))
    assert converted(FormatPreset.NATIVE, chosen).stages == (MixChannels(picking(6, (4, 5))),)
    assert converted(FormatPreset.NATIVE, chosen).channels == 2
    assert converted(AudioFormat(channels=[3]), chosen).stages == (MixChannels(picking(6, (3,))),)


def test_a_channel_that_is_not_there_is_an_error():
    with pytest.raises(ConfigError, match="no channel 2 in source 'mic'"):
        converted(AudioFormat(channels=[2]))


def test_chunks_are_never_empty():
    assert conversion("mic", FakeSource(), AudioFormat(1000), 0.0005).stages[0].chunk_frames == 1
