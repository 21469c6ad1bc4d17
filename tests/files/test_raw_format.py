"""Samples without a header: somebody says what they are, and they are read and mended."""

import io

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    FileError,
    FormatPreset,
    RawFormat,
    StreamAudio,
    repair,
)
from stream_audio.files.mending import FileBytes
from stream_audio.files.raw_damage import examine_raw
from stream_audio.files.raw_format import SAMPLE_BYTES

RATE = 16_000
FRAMES = 3001


def raw_samples(raw):
    """Return samples as bytes without a header."""
    stream = io.BytesIO()
    samples = np.random.default_rng(3).uniform(-0.5, 0.5, (FRAMES, raw.channels))
    settings = raw.for_soundfile()
    with soundfile.SoundFile(stream, "w", **settings) as file:
        file.write(samples)
    return stream.getvalue()


def decoded(data, raw):
    settings = raw.for_soundfile()
    with soundfile.SoundFile(io.BytesIO(data), **settings) as file:
        return file.read(dtype="float32", always_2d=True)


def play(source):
    channel = ChannelSink(backlog=Backlog(2**30))
    builder = StreamAudio.builder().add_source("file", source).format(FormatPreset.NATIVE)
    with builder.add_sink(channel).start() as session:
        samples = np.concatenate([chunk.data for chunk in channel])
    return samples, session.report()


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("subtype", SAMPLE_BYTES)
def test_samples_are_read_and_become_a_sound_file(tmp_path, subtype, channels, endian):
    raw = RawFormat(subtype, RATE, channels, endian=endian)
    data = raw_samples(raw)
    path = tmp_path / "take.pcm"
    path.write_bytes(data)
    samples, report = play(AudioSource.file(path, raw=raw, pace="freewheel"))
    expected = decoded(data, raw)
    assert len(expected) == FRAMES
    np.testing.assert_array_equal(samples, expected)
    source = report.sources["file"]
    assert report.complete
    assert (source.sample_rate, source.channels) == (RATE, channels)
    mended = repair(path, raw=raw)
    assert mended.frames == FRAMES
    as_au = subtype == "PCM_S8" or (endian == "big" and SAMPLE_BYTES[subtype] > 1)
    assert mended.output == str(tmp_path / ("take.repaired.au" if as_au else "take.repaired.wav"))
    found, rate = soundfile.read(mended.output, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(found, expected)
    assert rate == RATE
    assert repair(mended.output).sound
    assert path.read_bytes() == data


def test_what_is_left_of_a_header_is_left_out(tmp_path):
    raw = RawFormat("PCM_24", RATE, 2, offset=44)
    data = raw_samples(raw)
    path = tmp_path / "take.wav"
    path.write_bytes(bytes(44) + data)
    samples, _ = play(AudioSource.file(path, raw=raw, pace="freewheel"))
    np.testing.assert_array_equal(samples, decoded(data, raw))
    report = repair(path, raw=raw, in_place=True)
    assert (report.output, report.frames) == (str(path), FRAMES)
    np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0], decoded(data, raw))


def test_a_last_frame_that_is_cut_is_left_out_and_told(tmp_path):
    raw = RawFormat("PCM_16", RATE, 2)
    data = raw_samples(raw)[:-1]
    path = tmp_path / "take.pcm"
    path.write_bytes(data)
    samples, report = play(AudioSource.file(path, raw=raw, pace="freewheel"))
    assert len(samples) == FRAMES - 1
    assert "its last frame is cut: it has 3 of 4 bytes" in report.sources["file"].error
    assert repair(path, raw=raw).frames == FRAMES - 1


@pytest.mark.parametrize(("size", "offset"), [(0, 0), (3, 0), (100, 97), (100, 1000)])
def test_less_than_a_frame_is_nothing(tmp_path, size, offset):
    path = tmp_path / "take.pcm"
    path.write_bytes(bytes(size))
    raw = RawFormat("PCM_16", RATE, 2, offset=offset)
    with pytest.raises(FileError, match="too few for a frame of 4"):
        play(AudioSource.file(path, raw=raw))
    with pytest.raises(FileError, match="too few for a frame of 4"):
        repair(path, raw=raw)


def test_more_than_4_gib_become_rf64_or_an_au_that_says_no_length(tmp_path):
    path = tmp_path / "take.pcm"
    with path.open("wb") as file:
        file.truncate(2**32 + 400)
    with path.open("rb") as file:
        damaged = FileBytes(file.fileno())
        little = examine_raw(damaged, RawFormat("PCM_16", RATE, 2))
        big = examine_raw(damaged, RawFormat("PCM_16", RATE, 2, "big"))
    assert (little.format, little.frames) == ("RF64", 2**30 + 100)
    assert (big.format, big.frames) == ("AU", 2**30 + 100)
    assert big.pieces[0][8:12] == b"\xff" * 4
    path.unlink()


@pytest.mark.parametrize(
    ("arguments", "settings", "error"),
    [
        (("PCM_12", RATE, 1), {}, ConfigError),
        ((16, RATE, 1), {}, ConfigTypeError),
        (("PCM_16", 10, 1), {}, ConfigError),
        (("PCM_16", "16k", 1), {}, ConfigTypeError),
        (("PCM_16", RATE, 0), {}, ConfigError),
        (("PCM_16", RATE, 65), {}, ConfigError),
        (("PCM_16", RATE, 1), {"endian": "middle"}, ConfigError),
        (("PCM_16", RATE, 1), {"offset": -1}, ConfigError),
    ],
)
def test_what_cannot_be_is_said_at_once(arguments, settings, error):
    with pytest.raises(error):
        RawFormat(*arguments, **settings)


@pytest.mark.parametrize("raw", ["PCM_16", 3, ("PCM_16", RATE, 1)])
def test_a_raw_format_is_asked_for(tmp_path, raw):
    with pytest.raises(ConfigTypeError, match="RawFormat"):
        AudioSource.file(tmp_path / "a", raw=raw)
    with pytest.raises(ConfigTypeError, match="RawFormat"):
        repair(tmp_path / "a", raw=raw)
