"""What a chunk says of itself: its place, its levels, what is missing before it."""

import dataclasses
import io
import time
import wave

import numpy as np
import pytest
import soundfile

from stream_audio import AudioChunk, ConfigError, ConfigTypeError, Gap, GapCause
from stream_audio.audio.chunk_maker import encoded_chunk, engine_chunk


def chunk(data, frame=0, gaps=(), sample_rate=48_000):
    """Return a chunk as the engine makes it, with the levels that it found."""
    data = np.asarray(data, np.float32)
    peaks = np.abs(data).max(axis=0)
    squares = (data.astype(np.float64) ** 2).sum(axis=0)
    return engine_chunk(
        "mic",
        data,
        sample_rate,
        frame,
        1000.0,
        1000.1,
        tuple(gaps),
        0,
        peaks,
        squares,
        (0.0, None),
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
    captured = engine_chunk("mic", data, 48_000, 7, 1.0, 1.1, (), 2, *levels, (0.5, 7.0))
    by_hand = AudioChunk("mic", data, 48_000, 7, 1.0, 1.1, (), 2, *levels, _origin=(0.5, 7.0))
    assert type(captured) is AudioChunk
    assert not hasattr(captured, "__dict__")
    assert fields(captured) == fields(by_hand)


def test_an_encoded_one_differs_in_its_samples_gaps_and_clipping_alone():
    one = dataclasses.replace(
        chunk(np.ones((1, 1)), 7), overflows=3, source_rate=44_100, _origin=(9.0, 7.0)
    )
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


# ---- len, slices, arrays ----


def test_its_length_is_its_frames_and_an_empty_one_is_true():
    one = chunk(np.zeros((480, 2)))
    assert len(one) == 480
    assert one[:0]
    assert (len(one[:0]), one[:0].channels, one[:0].duration) == (0, 2, 0.0)
    assert one[:0].rms.tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize(
    ("piece", "first", "last"),
    [
        (slice(0, 100), 0, 100),
        (slice(100, 300), 100, 300),
        (slice(-80, None), 400, 480),
        (slice(None, -80), 0, 400),
        (slice(100, 10_000), 100, 480),
        (slice(300, 100), 300, 300),
    ],
)
def test_a_slice_is_a_chunk_with_its_own_place_time_and_levels(piece, first, last):
    ramp = np.arange(480, dtype=np.float32)[:, None] / 480
    one = dataclasses.replace(chunk(ramp, frame=1000), _origin=(2.0, 5000.0), overflows=1)
    part = one[piece]
    assert isinstance(part, AudioChunk)
    assert part.data[:, 0].tolist() == ramp[first:last, 0].tolist()
    assert (part.frame, part.end) == (1000 + first, 1000 + last)
    for clock in ("time", "timestamp", "wall_time"):
        assert getattr(part, clock) - getattr(one, clock) == pytest.approx(first / 48_000)
    assert part.source_frame == 1000 + first
    if last > first:
        with np.errstate(divide="ignore"):
            assert part.peak[0] == pytest.approx(20 * np.log10(ramp[last - 1, 0]), abs=1e-4)
    assert part.overflows == (1 if first == 0 else 0)


def test_all_of_a_chunk_is_itself():
    one = chunk(np.zeros((10, 1)))
    assert one[:] is one


def test_what_is_missing_before_a_chunk_is_told_by_its_first_slice_alone():
    one = chunk(np.zeros((480, 1)), 1000, [ring_gap(900, 60), host_gap(960, 40)])
    assert one[:10].gaps == one.gaps
    assert one[10:].gaps == ()


def test_a_gap_that_is_silence_within_a_chunk_is_cut_with_it():
    """As those of ``session.last`` are."""
    one = chunk(np.zeros((480, 1)), 1000, [Gap("mic", 1100, 48, GapCause.RING_FULL, 50.0)])
    assert one[0:100].gaps == ()
    assert one[100:148].gaps == one.gaps
    (cut,) = one[124:300].gaps
    assert (cut.frame, cut.frames, cut.end) == (1124, 24, 1148)
    assert cut.time == pytest.approx(50.0 + 24 / 48_000)
    assert one[148:].gaps == ()


def test_single_frames_and_steps_are_not_chunks():
    one = chunk(np.zeros((480, 1)))
    with pytest.raises(ConfigTypeError, match=r"chunk\.data"):
        one[3]
    with pytest.raises(ConfigError, match="contiguous"):
        one[::2]
    with pytest.raises(TypeError):
        iter(one)


def test_numpy_takes_a_chunk_for_its_samples():
    one = chunk([[0.5, -1.0], [0.25, 0.0]])
    assert np.shares_memory(np.asarray(one), one.data)
    assert np.asarray(one, np.float64).dtype == np.float64
    assert np.array(one).flags.writeable
    assert np.mean(one) == pytest.approx(-0.0625)
    assert one.__array__(np.float32, copy=False) is one.data
    with pytest.raises(ValueError, match="copy"):
        one.__array__(np.int16, copy=False)


# ---- bytes and files in memory ----


@pytest.mark.parametrize(
    ("dtype", "width", "full_scale"),
    [("int16", 2, 2**15), ("int24", 3, 2**23), ("int32", 4, 2**31)],
)
def test_bytes_are_interleaved_little_endian_and_clipped(dtype, width, full_scale):
    data = chunk([[0.5, -1.0], [0.25, 2.0]]).to_bytes(dtype)
    assert len(data) == 4 * width
    numbers = [
        int.from_bytes(data[at : at + width], "little", signed=True)
        for at in range(0, len(data), width)
    ]
    expected = [full_scale // 2, -full_scale, full_scale // 4, full_scale - 1]
    assert numbers == pytest.approx(expected, abs=256 if dtype == "int32" else 0)


def test_float_bytes_are_the_samples():
    one = chunk([[0.5, -1.0], [0.25, 2.0]])
    assert np.frombuffer(one.to_bytes("float32"), "<f4").tolist() == [0.5, -1.0, 0.25, 2.0]


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        (np.array([[2**14], [-(2**15)], [77]], np.int16), "int16"),
        (np.array([[2**30], [-(2**31)], [256 * 77]], np.int32), "int24"),
        (np.array([[2**30], [-(2**31)], [77]], np.int32), "int32"),
    ],
)
def test_integers_go_to_bytes_of_their_own_type_unchanged(samples, dtype):
    one = AudioChunk("mic", samples, 48_000, 0, 0.0, 0.0)
    if dtype == "int24":
        assert one.to_bytes(dtype) == b"".join(
            int(v >> 8).to_bytes(3, "little", signed=True) for v in samples[:, 0]
        )
    else:
        assert one.to_bytes(dtype) == samples.tobytes()


def test_a_type_of_sample_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="int16"):
        chunk([[0.0]]).to_bytes("int8")
    with pytest.raises(ConfigError, match="int16"):
        chunk([[0.0]]).to_wav("float64")


@pytest.mark.parametrize("dtype", ["int16", "int24", "int32", "float32"])
@pytest.mark.parametrize(("frames", "channels"), [(480, 2), (481, 1), (3, 3), (0, 1)])
def test_a_wav_file_in_memory_is_read_by_others(dtype, frames, channels):
    rng = np.random.default_rng(1)
    one = chunk(rng.uniform(-1, 1, (max(frames, 1), channels)).astype(np.float32))[:frames]
    content = one.to_wav(dtype)
    data, rate = soundfile.read(io.BytesIO(content), always_2d=True, dtype="float32")
    assert (rate, data.shape) == (48_000, (frames, channels))
    assert np.abs(data - one.data).max(initial=0) <= (2**-15 if dtype == "int16" else 2**-22)
    assert len(content) == int.from_bytes(content[4:8], "little") + 8
    if dtype != "float32":
        with wave.open(io.BytesIO(content)) as file:
            assert (file.getnframes(), file.getnchannels()) == (frames, channels)


def test_a_chunk_made_by_hand_has_the_wall_time_of_this_process():
    now = time.monotonic()
    one = AudioChunk("mic", np.zeros((1, 1), np.float32), 48_000, 0, now, now)
    assert one.wall_time == pytest.approx(time.time(), abs=1.0)
