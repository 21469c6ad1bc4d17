"""What stands in a message is what was in the chunk."""

import numpy as np
import pytest

from stream_audio import AudioChunk, ConfigError, GapCause
from stream_audio.network import wire
from support.chunks import make_chunk, make_gap

EPOCH = 1_700_000_000.0


def through(chunk, encode, session="s"):
    headers = wire.headers_of(chunk, session, encode, EPOCH)
    return wire.decode(headers, wire.encode_samples(chunk, encode), EPOCH)


def noise(dtype, channels=2, frames=4801):
    rng = np.random.default_rng(7)
    if dtype == "int16":
        data = rng.integers(-(2**15), 2**15, (frames, channels), np.int16)
    elif dtype == "int24":
        data = rng.integers(-(2**23), 2**23, (frames, channels), np.int32) << 8
    else:
        data = rng.uniform(-1, 1, (frames, channels)).astype(np.float32)
    return AudioChunk("mic", data, 48_000, 960, 12.25, 12.35)


@pytest.mark.parametrize("encode", ["pcm16", "pcm24", "float32", "flac"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_samples_are_the_same(encode, channels):
    chunk = noise(wire.ENCODINGS[encode], channels)
    again = through(chunk, encode)
    np.testing.assert_array_equal(again.data, chunk.data)
    assert again.data.dtype == chunk.data.dtype
    assert not again.data.flags.writeable


def test_opus_keeps_length_and_sound():
    frames = np.arange(4800)
    data = (0.5 * np.sin(frames * 2 * np.pi * 1000 / 48_000)).astype(np.float32)[:, None]
    again = through(AudioChunk("mic", data, 48_000, 0, 1.0, 1.1), "opus")
    assert again.data.shape == (4800, 1)
    assert again.rms[0] == pytest.approx(-9.03, abs=0.5)


def test_place_time_and_gaps_are_the_same():
    gaps = (make_gap(700, 200), make_gap(900, 60, GapCause.RING_FULL))
    chunk = AudioChunk(
        "mic", noise("int16").data, 48_000, 960, 12.25, 12.35, gaps, source_rate=44_100,
        _origin=(3.5, EPOCH),
    )  # fmt: skip
    again = through(chunk, "pcm16", "a/b é.*>")
    for name in ("source", "sample_rate", "frame", "frames", "channels", "source_frame"):
        assert getattr(again, name) == getattr(chunk, name)
    for name in ("time", "timestamp", "wall_time"):
        assert getattr(again, name) == pytest.approx(getattr(chunk, name), abs=1e-6)
    assert [(gap.frame, gap.frames, gap.cause) for gap in again.gaps] == [
        (gap.frame, gap.frames, gap.cause) for gap in gaps
    ]
    for gap, before in zip(again.gaps, gaps, strict=True):
        assert gap.time == pytest.approx(before.time, abs=1e-6)


def test_however_many_gaps_fit_into_the_headers_and_none_of_their_frames_is_forgotten():
    gaps = tuple(make_gap(10 * number, 10) for number in range(10_000))
    chunk = AudioChunk("m" * 100, noise("int16").data, 48_000, 100_000, 12.25, 12.35, gaps)
    headers = wire.headers_of(chunk, "s" * 100, "pcm16", EPOCH)
    assert sum(len(name) + len(value) + 4 for name, value in headers.items()) < wire.HEADER_BYTES
    again = wire.decode(headers, wire.encode_samples(chunk, "pcm16"), EPOCH)
    assert sum(gap.frames for gap in again.gaps) == 100_000
    assert again.gaps[-1].end == 100_000


@pytest.mark.parametrize("encode", wire.ENCODINGS)
def test_a_piece_is_never_longer_than_a_message(encode):
    most = 40_000
    chunk = noise(wire.ENCODINGS[encode], channels=2, frames=48_000)
    pieces = list(wire.pieces(chunk, wire.frames_in(most, encode, 2)))
    assert len(pieces) > 1
    assert [piece.frame for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert (pieces[0].frame, pieces[-1].end) == (chunk.frame, chunk.end)
    for piece in pieces:
        assert len(wire.encode_samples(piece, encode)) + wire.HEADER_BYTES <= most


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mic", "mic"), ("a.b", "a%2Eb"), ("a b", "a%20b"), ("*>", "%2A%3E"), ("é", "%C3%A9")],
)
def test_any_name_is_one_word_of_a_subject(name, expected):
    assert wire.token(name) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Schema": "2"}, "of schema '2'"),
        ({"Schema": None}, "has no header Stream-Audio-Schema"),
        ({"Format": "mp9"}, "of format 'mp9'"),
        ({"Frames": "7"}, "holds 480 of 1"),
    ],
)
def test_what_is_not_ours_or_of_later_days_is_an_error(changes, words):
    chunk = make_chunk(0, 480)
    headers = wire.headers_of(chunk, "s", "float32", EPOCH)
    for name, value in changes.items():
        headers[wire.PREFIX + name] = value
    headers = {name: value for name, value in headers.items() if value is not None}
    with pytest.raises(ConfigError, match=words):
        wire.decode(headers, wire.encode_samples(chunk, "float32"), EPOCH)
