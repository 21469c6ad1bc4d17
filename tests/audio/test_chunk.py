"""What a chunk says of itself: its place, its levels, what is missing before it."""

import dataclasses

import numpy as np
import pytest

from stream_audio import AudioChunk, ConfigError, Gap, GapCause
from stream_audio.audio.chunk import encoded_chunk, engine_chunk


def chunk(data, frame=0, gaps=(), sample_rate=48_000):
    """Return a chunk as the engine makes it, with the levels that it found."""
    data = np.asarray(data, np.float32)
    peaks = np.abs(data).max(axis=0)
    squares = (data.astype(np.float64) ** 2).sum(axis=0)
    return engine_chunk(
        "mic", data, sample_rate, frame, 1000.0, 1000.1, tuple(gaps), 0, peaks, squares, 0.0
    )


def ring_gap(frame, frames):
    return Gap("mic", frame, frames, GapCause.RING_FULL, 999.0)


def host_gap(frame, frames):
    return Gap("mic", frame, frames, GapCause.HOST_OVERFLOW, 999.5)


def test_its_place_and_length():
    one = chunk(np.zeros((480, 3)), frame=1000)
    assert (one.frames, one.channels, one.frame, one.end) == (480, 3, 1000, 1480)
    assert one.duration == 0.01


def test_levels_are_in_decibels_of_full_scale():
    turns = np.arange(48_000)[:, None] / 48_000
    sine = np.sin(2 * np.pi * 480 * turns)
    square = np.where(sine >= 0, 0.5, -0.5)
    one = chunk(np.hstack([sine, square]))
    assert one.rms == pytest.approx([-3.0103, -6.0206], abs=1e-3)
    assert one.peak == pytest.approx([0.0, -6.0206], abs=1e-3)


def test_silence_has_no_level():
    one = chunk(np.zeros((100, 2)))
    assert one.is_silent
    assert one.rms.tolist() == [-np.inf, -np.inf]
    assert one.peak.tolist() == [-np.inf, -np.inf]


def test_the_faintest_sample_in_any_channel_is_not_silence():
    data = np.zeros((100, 2), np.float32)
    data[77, 1] = np.finfo(np.float32).smallest_subnormal
    assert not chunk(data).is_silent


def test_not_a_number_is_not_silence():
    assert not chunk([[0.0, np.nan]]).is_silent


def test_a_chunk_made_by_hand_knows_its_levels():
    by_hand = AudioChunk("mic", np.full((10, 1), 0.5, np.float32), 48_000, 0, 0.0, 0.0)
    assert not by_hand.is_silent
    assert by_hand.peak == pytest.approx([-6.0206], abs=1e-3)
    assert by_hand.rms == pytest.approx([-6.0206], abs=1e-3)


@pytest.mark.parametrize("channels", [0, 65, 2000])
def test_it_has_as_many_channels_as_a_source_may_have(channels):
    samples = np.zeros((10, channels), np.float32)
    with pytest.raises(ConfigError, match=f"{channels} channels are not from 1 to 64"):
        AudioChunk("mic", samples, 48_000, 0, 0.0, 0.0)


def test_nothing_missing_is_no_gap():
    assert chunk(np.zeros((1, 1))).gap is None


def test_one_gap_is_itself():
    gap = ring_gap(90, 10)
    assert chunk(np.zeros((1, 1)), 100, [gap]).gap is gap


def test_several_gaps_read_as_one_from_the_first_to_the_chunk():
    one = chunk(np.zeros((1, 1)), 100, [ring_gap(70, 10), host_gap(80, 20)])
    assert one.gap == Gap("mic", 70, 30, GapCause.RING_FULL, 999.0)
    assert one.gap.end == one.frame
    assert one.gaps == (ring_gap(70, 10), host_gap(80, 20))


def test_16_bit_samples_are_interleaved_and_clipped():
    one = chunk([[0.5, -1.0], [1.0, 2.0]])
    assert np.frombuffer(one.to_pcm16(), "<i2").tolist() == [16384, -32768, 32767, 32767]


def test_it_cannot_be_changed():
    one = chunk(np.zeros((1, 1)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.frame = 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        ring_gap(0, 1).frames = 7


def fields(one):
    return {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}


def test_one_from_a_source_is_no_different_from_one_made_by_hand():
    """The engine has a quicker way to make one."""
    data, levels = np.zeros((1, 1), np.float32), (np.zeros(1, np.float32), np.zeros(1))
    captured = engine_chunk("mic", data, 48_000, 7, 1.0, 1.1, (), 2, *levels, 0.5)
    by_hand = AudioChunk("mic", data, 48_000, 7, 1.0, 1.1, (), 2, *levels, _start=0.5)
    assert type(captured) is AudioChunk
    assert not hasattr(captured, "__dict__")
    assert fields(captured) == fields(by_hand)


def test_an_encoded_one_differs_in_its_samples_gaps_and_clipping_alone():
    one = dataclasses.replace(chunk(np.ones((1, 1)), 7), overflows=3, source_rate=44_100, _start=9)
    samples = np.full((1, 1), 32_767, np.int16)
    encoded = encoded_chunk(one, samples, (ring_gap(0, 7),), 1)
    assert type(encoded) is AudioChunk
    assert fields(encoded) == fields(one) | {
        "data": samples,
        "gaps": (ring_gap(0, 7),),
        "clipped": 1,
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        encoded.clipped = 0


def test_it_can_stand_in_a_set():
    one, other = chunk(np.zeros((1, 1))), chunk(np.zeros((1, 1)))
    assert len({one, other, one}) == 2


def test_repr_tells_what_and_where():
    text = repr(chunk(np.zeros((480, 2)), 100, [ring_gap(90, 10)]))
    assert text == (
        "<AudioChunk 'mic' frame 100: 480 frames, 2 channels, 48000 Hz, after a gap of 10>"
    )
    assert "gap" not in repr(chunk(np.zeros((480, 2))))
