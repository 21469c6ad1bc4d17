"""Files that libsndfile writes: exact, whole after a failure, and opened after a kill."""

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import wave
from datetime import datetime
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import AudioSource, ConfigError, ConfigTypeError, FileSink, FormatPreset
from stream_audio.files.containers import all_containers, find_container
from stream_audio.files.libsndfile import flac_output
from stream_audio.files.libsndfile.containers import containers
from stream_audio.files.libsndfile.mp3_output import mp3_frame_bytes
from stream_audio.files.libsndfile.writer import LibsndfileWriter
from support import effort, killed_writer
from support.readers import seconds_by_ffmpeg

RATE = 48_000
GIVE_UP = 60.0
BLOCK = 4096
"""Frames of a FLAC block."""

BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32,
    "ALAC_16": 16,
}  # fmt: skip
RATES = {"HTK": 16_000, "WVE": 8_000, "XI": 44_100, "MP3": 44_100}
MONO = {"SVX", "HTK", "WVE", "XI"}
EVERY = [(c.name, s) for c in all_containers() for s in c.subtypes]
LOSSLESS = [(name, subtype) for name, subtype in EVERY if subtype in BITS]


def by_name(name):
    return next(c for c in all_containers() if c.name == name)


def format_of(name, subtype):
    """Return a rate and channels that a format holds."""
    rate = 16_000 if (name, subtype) == ("VOC", "PCM_U8") else RATES.get(name, RATE)
    mono = name in MONO or subtype.startswith(("G7", "GSM", "DWVW", "NMS"))
    return rate, 1 if mono else 2


def opened(path, name, subtype, sample_rate=None, channels=None, **encoding):
    rate, count = format_of(name, subtype)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    container = by_name(name)
    return container.open(descriptor, sample_rate or rate, channels or count, subtype, encoding)


def write(path, name, subtype, samples, pieces=7, **settings):
    writer = opened(path, name, subtype, channels=samples.shape[1], **settings)
    for piece in np.array_split(samples, pieces):
        writer.write(piece)
    assert writer.frames == len(samples)
    writer.close()
    assert writer.frames == len(samples)


def read(path, name="", dtype="int32", subtype=None):
    if name == "RAW":
        rate, channels = format_of(name, subtype)
        samples, _ = soundfile.read(
            path, -1, 0, None, dtype, True, None, None, rate, channels, "RAW", subtype
        )
        return samples
    return soundfile.read(path, dtype=dtype, always_2d=True)[0]


def integers(frames, channels, bits, seed=0):
    """Random integers of so many bits, left-justified in 32."""
    random = np.random.default_rng(seed)
    values = random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (frames, channels))
    return (values << (32 - bits)).astype(np.int32)


def tone(seconds, sample_rate=RATE, channels=2):
    frames = np.arange(round(seconds * sample_rate))
    wave = 0.4 * np.sin(2 * np.pi * 440 * frames / sample_rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


# ---- exact ----


@pytest.mark.parametrize(("name", "subtype"), LOSSLESS)
def test_every_integer_comes_back_bit_by_bit(tmp_path, name, subtype):
    path = tmp_path / "a"
    _, channels = format_of(name, subtype)
    wanted = integers(10_003, channels, BITS[subtype])
    write(path, name, subtype, wanted)
    assert np.array_equal(read(path, name, subtype=subtype)[: len(wanted)], wanted)


@pytest.mark.parametrize(("name", "subtype"), LOSSLESS)
def test_16_bits_are_kept_or_rounded(tmp_path, name, subtype):
    path = tmp_path / "a"
    _, channels = format_of(name, subtype)
    wanted = (integers(5001, channels, 16) >> 16).astype(np.int16)
    write(path, name, subtype, wanted)
    got = read(path, name, subtype=subtype)[: len(wanted)].astype(np.int64)
    error = np.abs(got - (wanted.astype(np.int64) << 16))
    assert error.max() <= (0 if BITS[subtype] >= 16 else 2**24)


@pytest.mark.parametrize(("name", "subtype"), [e for e in LOSSLESS if BITS[e[1]] <= 24])
def test_floats_that_came_from_integers_come_back_bit_by_bit(tmp_path, name, subtype):
    path = tmp_path / "a"
    _, channels = format_of(name, subtype)
    wanted = integers(5001, channels, BITS[subtype])
    write(path, name, subtype, (wanted / 2**31).astype(np.float32))
    assert np.array_equal(read(path, name, subtype=subtype)[: len(wanted)], wanted)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("name", ["FLAC", "AIFF", "CAF", "W64"])
def test_the_samples_are_those_of_a_wav_file(tmp_path, name, subtype):
    """Rounded and clipped in the same way, NaN and infinity too."""
    random = np.random.default_rng(3)
    samples = (random.standard_normal((20_000, 2)) * 0.6).astype(np.float32)
    samples[:6, 0] = [np.nan, np.inf, -np.inf, 1e30, 1.0, -1.0]
    samples[6:5000] = (random.integers(-(2**17), 2**17, (4994, 2)) / 2**17).astype(np.float32)
    write(tmp_path / "a", name, subtype, samples)
    write(tmp_path / "b", "RF64", subtype, samples)
    assert np.array_equal(read(tmp_path / "a"), read(tmp_path / "b"))


@pytest.mark.parametrize("name", ["AIFF", "AU", "CAF", "W64", "MAT5", "RAW"])
def test_floats_are_kept_as_they_are(tmp_path, name):
    path = tmp_path / "a"
    samples = np.float32([[1e30, -7], [np.inf, 1e-45], [0.1, np.nan]])
    for subtype in ("FLOAT", "DOUBLE"):
        write(path, name, subtype, samples, pieces=1)
        got = read(path, name, "float32" if subtype == "FLOAT" else "float64", subtype)
        assert np.array_equal(got.astype(np.float32), samples, equal_nan=True)
    write(path, name, "DOUBLE", integers(100, 2, 32), pieces=1)
    got = read(path, name, "float64", "DOUBLE")
    assert np.array_equal(got * 2**31, integers(100, 2, 32))


LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("OPUS", "OPUS"), ("MP3", "MPEG_LAYER_III")]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("name", "subtype"), LOSSY)
def test_lossy_files_have_every_frame_and_sound_alike(tmp_path, name, subtype, channels):
    path = tmp_path / "a"
    samples = tone(2.0, RATES.get(name, RATE), channels)
    write(path, name, subtype, samples, pieces=23)
    got = read(path, dtype="float32")
    assert got.shape == samples.shape
    middle = slice(10_000, -10_000)
    assert np.abs(got - samples)[middle].max() < 0.05


@pytest.mark.parametrize(("name", "subtype"), EVERY)
def test_what_is_listed_as_written_is_read_again(tmp_path, name, subtype):
    """In pieces of odd length; some codecs are coarse, and some end with a whole block."""
    path = tmp_path / "a"
    rate, channels = format_of(name, subtype)
    samples = tone(1.0, rate, channels)
    write(path, name, subtype, samples)
    if name == "RAW" and subtype.startswith("DWVW"):
        return  # libsndfile cannot tell how long such a file is
    got = read(path, name, "float32", subtype)
    assert len(samples) <= len(got) < len(samples) + 5000
    likeness = np.corrcoef(got[2000 : len(samples) - 2000, 0], samples[2000:-2000, 0])[0, 1]
    assert likeness > 0.97


@pytest.mark.parametrize(("name", "subtype"), EVERY)
def test_whatever_the_samples_are_the_file_opens(tmp_path, name, subtype):
    """NaN ends the process in an MP3 encoder, and large floats are read beyond a µ-law table."""
    path = tmp_path / "a"
    rate, channels = format_of(name, subtype)
    samples = tone(1.0, rate, channels)
    for place, value in enumerate([np.nan, np.inf, -np.inf, 1e38, -1e38, 1.0, -1.0, 1e-45]):
        samples[100 + 200 * place : 250 + 200 * place] = value
    write(path, name, subtype, samples)
    if name != "RAW":
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (rate, channels)
        # Some codecs write whole blocks.
        assert len(samples) <= info.frames < len(samples) + 5000
    assert path.stat().st_size > len(samples) * channels / 50


# ---- readers other than ours ----


def frames_by_av(path):
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        frames = 0
        # A last packet that a kill has cut is an error, which players pass over.
        with contextlib.suppress(av.error.InvalidDataError):
            for frame in file.decode(stream):
                frames += frame.samples
        return frames, stream.rate, stream.channels


def frames_by_sox(path):
    said = [
        int(subprocess.run(["sox", "--i", option, path], capture_output=True, check=True).stdout)
        for option in ("-s", "-r", "-c")
    ]
    return tuple(said)


BY_AV = ["FLAC", "OGG", "OPUS", "MP3", "AIFF", "CAF", "AU", "W64", "RF64", "NIST", "IRCAM", "AVR"]
BY_SOX = ["FLAC", "OGG", "AIFF", "CAF", "AU", "W64", "NIST", "IRCAM", "PVF"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", BY_AV)
def test_ffmpeg_agrees_on_length_rate_and_channels(tmp_path, name, channels):
    container = by_name(name)
    path = tmp_path / f"a{container.extensions[0]}"
    rate = RATES.get(name, RATE)
    write(path, name, container.subtypes[0], tone(1.0, rate, channels))
    frames, found_rate, found_channels = frames_by_av(path)
    assert (found_rate, found_channels) == (rate, channels)
    if name in ("OPUS", "MP3", "OGG"):  # what the encoder adds or the last block may be counted
        assert rate - 1000 < frames < rate + 3000
    else:
        assert frames == rate


@pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
@pytest.mark.parametrize("name", BY_SOX)
def test_sox_agrees_on_length_rate_and_channels(tmp_path, name):
    container = by_name(name)
    channels = 1 if name in MONO else 2
    path = tmp_path / f"a{container.extensions[0]}"
    write(path, name, container.subtypes[0], tone(1.0, RATE, channels))
    assert frames_by_sox(path) == (RATE, RATE, channels)


# ---- silence ----


@pytest.mark.parametrize("name", ["FLAC", "AIFF", "OGG", "MP3"])
def test_silence_stands_before_the_samples(tmp_path, name):
    """More of it than is written at once."""
    path = tmp_path / "a"
    samples = tone(0.5, RATES.get(name, RATE))
    writer = opened(path, name, by_name(name).subtypes[0])
    writer.write(samples)
    writer.write(samples, silence_before=200_001)
    writer.write(samples[:0], silence_before=3)
    assert writer.frames == 200_004 + 2 * len(samples)
    writer.close()
    got = read(path, dtype="float32")
    assert len(got) == 200_004 + 2 * len(samples)
    quiet = got[len(samples) + 3000 : len(samples) + 197_000]
    assert np.abs(quiet).max() < 1e-3
    assert np.abs(got[-2000:-1000]).max() > 0.3


# ---- settings ----


@pytest.mark.parametrize(
    ("name", "subtype", "setting"),
    [
        ("FLAC", "PCM_16", "compression_level"),
        ("OGG", "VORBIS", "quality"),
        ("OPUS", "OPUS", "quality"),
        ("MP3", "MPEG_LAYER_III", "quality"),
    ],
)
def test_quality_and_compression_change_the_size(tmp_path, name, subtype, setting):
    random = np.random.default_rng(0)
    samples = tone(2.0, RATES.get(name, RATE))
    samples += random.standard_normal(samples.shape).astype(np.float32) * 0.05
    sizes = []
    for value in (0.0, 0.5, 1.0):
        write(tmp_path / "a", name, subtype, samples, **{setting: value})
        sizes.append((tmp_path / "a").stat().st_size)
    assert len(set(sizes)) == 3
    # More quality takes more room, more compression less.
    assert sizes == sorted(sizes, reverse=setting == "compression_level")


def test_a_constant_bit_rate_is_constant(tmp_path):
    path = tmp_path / "a"
    samples = np.concatenate([tone(2.0, 44_100), np.zeros((88_200, 2), np.float32)])
    settings = {"quality": 0.5, "bitrate_mode": "constant"}
    write(path, "MP3", "MPEG_LAYER_III", samples, **settings)
    data = path.read_bytes()
    rates, at = set(), 0
    while length := mp3_frame_bytes(data[at : at + 4]) if at + 4 <= len(data) else 0:
        rates.add(data[at + 2] >> 4)
        at += length
    assert at == len(data)
    assert len(rates) == 1


@pytest.mark.parametrize("name", ["FLAC", "OGG"])
def test_the_time_of_the_first_frame_is_in_the_file(tmp_path, name):
    path = tmp_path / "a"
    writer = opened(path, name, by_name(name).subtypes[0])
    writer.start_time = 1_700_000_000.5
    writer.write(tone(0.2))
    writer.close()
    with soundfile.SoundFile(path) as file:
        date = file.copy_metadata()["date"]
    assert datetime.fromisoformat(date).timestamp() == 1_700_000_000.5


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        ("a.flac", {"quality": 0.5}),
        ("a.flac", {"compression_level": 1.5}),
        ("a.flac", {"compression_level": "best"}),
        ("a.ogg", {"compression_level": 0.5}),
        ("a.ogg", {"quality": -0.1}),
        ("a.mp3", {"bitrate_mode": "fast"}),
        ("a.ogg", {"bitrate_mode": "constant"}),
        ("a.flac", {"subtype": "FLOAT"}),
        ("a.flac", {"fsync": 0}),
        ("a.flac", {"bext": True}),
        ("a.xyz", {}),
        ("a.wav", {"format": "MP4"}),
    ],
)
def test_settings_that_cannot_work_are_refused_where_they_are_said(path, settings):
    with pytest.raises((ConfigError, ConfigTypeError)):
        FileSink(path, **settings)


@pytest.mark.parametrize(
    ("name", "sample_rate", "channels", "says"),
    [
        ("OPUS", 44_100, 2, ["OPUS cannot hold", "Opus only supports", "8000, 12000, 16000"]),
        ("MP3", 96_000, 2, ["MPEG_LAYER_III cannot hold", "44100, 48000 Hz"]),
        ("MP3", 48_000, 6, ["6 channels", "1, 2 channels"]),
        ("FLAC", 48_000, 9, ["9 channels", "7, 8 channels"]),
        ("FLAC", 768_000, 2, ["768000", "192000 Hz"]),
        ("OGG", 384_000, 2, ["Vorbis goes up to 200000 Hz", "192000 Hz"]),
        ("HTK", 44_100, 1, ["would say", "8000, 11025, 16000 Hz"]),
        ("SVX", 96_000, 1, ["would say", "48000 Hz"]),
        ("WVE", 48_000, 1, ["would say", "8000 Hz"]),
    ],
)
def test_what_a_format_cannot_hold_is_said_with_what_it_can(
    tmp_path, name, sample_rate, channels, says
):
    path = tmp_path / "a"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    container = by_name(name)
    with pytest.raises(ConfigError) as caught:
        container.open(descriptor, sample_rate, channels, container.subtypes[0], {})
    for words in says:
        assert words in str(caught.value)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)  # it is closed


def test_a_session_that_a_format_cannot_hold_does_not_start_and_leaves_no_file(tmp_path):
    source = AudioSource.virtual(sample_rate=44_100, frames=1000, pace="freewheel")
    with pytest.raises(ConfigError, match="Opus only supports"):
        stream_audio.record(tmp_path / "a.opus", duration=1, source=source)
    assert list(tmp_path.iterdir()) == []


def test_no_rate_or_number_of_channels_crashes_libsndfile():
    """1.2.2 does, at some of them, when it closes the file: those must not get there."""
    program = """
from stream_audio.files.libsndfile.containers import containers
from stream_audio.files.libsndfile.limits import check_holds
from stream_audio import ConfigError
for container in containers():
    format = "OGG" if container.name == "OPUS" else container.name
    for subtype in container.subtypes:
        for rate in (1, 1000, 7999, 44_100, 200_000, 200_001, 655_350, 768_000):
            for channels in (1, 2, 3, 8, 9, 64):
                try:
                    check_holds(format, subtype, rate, channels)
                except ConfigError:
                    pass
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=4 * GIVE_UP)
    assert done.returncode == 0


# ---- long chunks, long files ----


@pytest.mark.parametrize(("name", "subtype"), LOSSY)
def test_a_chunk_of_half_a_minute_is_taken(tmp_path, name, subtype):
    """libvorbis would overflow the stack."""
    write(tmp_path / "a", name, subtype, tone(30.0, RATES.get(name, RATE)), pieces=1)
    assert soundfile.info(tmp_path / "a").frames == 30 * RATES.get(name, RATE)


@pytest.mark.parametrize(
    ("name", "frame_bytes", "limit"), [("AIFF", 4, 2**32), ("WVE", 1, 2**31), ("SVX", 2, 2**31)]
)
def test_a_file_is_not_made_longer_than_its_format_can_say(tmp_path, name, frame_bytes, limit):
    writer = opened(tmp_path / "a", name, by_name(name).subtypes[0])
    room = writer.room()
    assert 0.99 * limit < room * frame_bytes < limit
    piece = np.zeros((10, 2 if name == "AIFF" else 1), np.int16)
    with pytest.raises(OSError, match="File too large"):
        writer.write(piece, room - 9)
    writer.write(piece)
    assert writer.room() == room - 10
    writer.close()


@pytest.mark.parametrize("name", ["FLAC", "OGG", "MP3", "CAF", "W64"])
def test_others_have_no_end(tmp_path, name):
    writer = opened(tmp_path / "a", name, by_name(name).subtypes[0])
    assert writer.room() > 2**60
    writer.close()


def test_a_compressed_file_has_no_room_once_it_has_its_size(tmp_path):
    writer = opened(tmp_path / "a.flac", "FLAC", "PCM_16")
    assert writer.room(50_000) > 2**40
    while writer.room(50_000):
        writer.write(integers(4800, 2, 16))
    assert 50_000 <= writer.size < 80_000
    writer.close()


# ---- failures ----


class Disk:
    """In place of `os.pwrite`: takes so many bytes more, in short writes, then has no space."""

    def __init__(self):
        self.room = None
        self.longest = 1000

    def write(self, file, data, offset):
        if self.room is None:
            return pwrite(file, data, offset)
        grown = max(0, offset + len(data) - os.fstat(file).st_size)
        size = min(len(data), self.longest)
        if grown:  # what is in the file already can be written over
            size = min(size, self.room)
            if size == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= size
        return pwrite(file, bytes(data[:size]), offset)


pwrite = os.pwrite


@pytest.fixture
def disk(monkeypatch):
    full = Disk()
    monkeypatch.setattr(os, "pwrite", full.write)
    return full


def fill(writer, samples, step=4800):
    """Write until an error comes; returns how many frames had been taken, and the error."""
    for start in range(0, len(samples), step):
        try:
            writer.write(samples[start : start + step])
        except OSError as error:
            return start, error
    raise AssertionError("the disk was not full")


EXACT = ["FLAC", "AIFF", "CAF", "AU", "W64", "NIST", "RAW"]
"""Of these it is known to the frame what is on the disk."""


@pytest.mark.parametrize("room", [0, 1, 100, 5000, 40_000, 123_456])
@pytest.mark.parametrize("name", EXACT)
def test_a_full_disk_leaves_a_whole_file_and_gives_back_what_is_not_in_it(
    tmp_path, disk, name, room
):
    path = tmp_path / "a"
    samples = integers(100_000, 2, 16)
    writer = opened(path, name, "PCM_16")
    writer.write(samples[:5000])
    disk.room = room
    taken, error = fill(writer, samples[5000:])
    taken += 5000
    assert error.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        writer.close()
    got = read(path, name, subtype="PCM_16")
    assert len(got) == writer.frames
    assert np.array_equal(got, samples[: len(got)])
    rest = np.concatenate([*writer.unsaved, samples[:0]])
    assert np.array_equal(np.concatenate([got, rest]), samples[:taken])
    if name == "FLAC":
        assert taken - len(got) < 3 * 4800 + BLOCK


@pytest.mark.parametrize("name", [*EXACT, "OGG", "OPUS", "MP3"])
def test_when_there_is_room_again_nothing_is_missing(tmp_path, disk, name):
    rate = RATES.get(name, RATE)
    samples = integers(5 * rate, 2, 16)
    subtype = by_name(name).subtypes[0]
    write(tmp_path / "whole", name, subtype, samples, pieces=50)
    writer = opened(tmp_path / "a", name, subtype)
    pieces = np.array_split(samples, 50)
    disk.room = 10_000
    failures = 0
    while pieces:
        try:
            writer.write(pieces[0])
        except OSError:
            failures += 1
            disk.room = 10_000 if failures < 3 else None
        else:
            pieces.pop(0)
    assert failures == 3
    disk.room = None
    writer.close()
    assert writer.unsaved == []
    data = (tmp_path / "a").read_bytes()
    if name in ("OGG", "OPUS"):  # the stream's serial number is random
        assert np.array_equal(read(tmp_path / "a"), read(tmp_path / "whole"))
    else:
        assert data == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("name", ["OGG", "OPUS", "MP3"])
def test_a_full_disk_leaves_a_lossy_file_that_opens(tmp_path, disk, name):
    path = tmp_path / "a"
    rate = RATES.get(name, RATE)
    samples = integers(5 * rate, 2, 16)
    writer = opened(path, name, by_name(name).subtypes[0])
    writer.write(samples[:rate])
    disk.room = 40_000
    taken, error = fill(writer, samples[rate:])
    with pytest.raises(OSError, match="No space"):
        writer.close()
    assert error.errno == errno.ENOSPC
    got = read(path)
    assert rate // 2 < writer.frames <= rate + taken
    if name != "MP3":
        assert len(got) == writer.frames
        assert len(got) + sum(map(len, writer.unsaved)) == rate + taken
    else:
        assert abs(len(got) - writer.frames) < 5000


@pytest.mark.parametrize("silence", [0, 100_000])
def test_the_same_silence_is_not_written_twice(tmp_path, disk, silence):
    """A chunk that could not be written comes again, with the silence before it."""
    path = tmp_path / "a"
    samples = integers(4800, 2, 16)
    writer = opened(path, "AIFF", "PCM_16")
    writer.write(samples)
    for room in (10, 200_000, None):
        disk.room = room
        try:
            writer.write(samples, silence)
        except OSError:
            continue
        break
    disk.room = None
    writer.close()
    expected = np.concatenate([samples, np.zeros((silence, 2), np.int32), samples])
    assert np.array_equal(read(path), expected)


# ---- silence of hours: a laptop that slept ----


LONG = {
    "FLAC": (8000, 2), "OGG": (8000, 1), "OPUS": (8000, 1), "MP3": (44_100, 1),
    "AIFF": (8000, 2), "CAF": (8000, 1), "AU": (8000, 1), "W64": (8000, 2),
}  # fmt: skip
HOURS = 0.05


@pytest.fixture
def encoded(monkeypatch):
    """Frames that encoders were given."""
    given = []
    write = soundfile.SoundFile.write

    def count(sound, samples):
        given.append(len(samples))
        write(sound, samples)

    monkeypatch.setattr(soundfile.SoundFile, "write", count)
    return given


def chirp(rate, channels, seconds=2.0):
    phase = 2 * np.pi * np.cumsum(np.linspace(100, rate / 8, round(seconds * rate))) / rate
    return np.repeat(0.3 * np.sin(phase)[:, None], channels, axis=1).astype(np.float32)


def is_alike(got, expected, *, lossless):
    if lossless:
        return np.abs(got - expected).max() < 2**-14
    return np.corrcoef(got[:, 0], expected[:, 0])[0, 1] > 0.99


@pytest.mark.parametrize(("name", "mode"), [*((name, None) for name in LONG), ("MP3", "constant")])
def test_silence_of_hours_is_not_encoded_frame_by_frame(tmp_path, encoded, name, mode):
    """Twice in a file, and all readers find all frames in their places."""
    (rate, channels), path = LONG[name], tmp_path / f"a.{name.lower()}"
    settings = {} if mode is None else {"bitrate_mode": mode}
    writer = opened(path, name, by_name(name).subtypes[0], rate, channels, **settings)
    sound = chirp(rate, channels)
    hours = round(HOURS * 3600 * rate) + 777
    for silence in (0, hours, hours + 12_345):
        writer.write(sound, silence)
    frames = writer.frames
    assert frames == 3 * len(sound) + 2 * hours + 12_345
    writer.close()
    assert sum(encoded) < 120 * rate
    if mode is None:
        assert path.stat().st_blocks * 512 < 2_000_000
    assert soundfile.info(path).frames == frames
    assert round(seconds_by_ffmpeg(path) * rate) == frames
    place = loudest = 0
    found = []
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(1 << 20, dtype="float32", always_2d=True):
            for begin in (0, len(sound) + hours, frames - len(sound)):
                first = max(begin - place, 0)
                last = min(begin + len(sound) - place, len(block))
                if first < last:
                    found.append(block[first:last].copy())
                    block[max(0, first - 4096) : last + 4096] = 0  # an encoder rings
            loudest = max(loudest, np.abs(block).max())
            place += len(block)
    assert place == frames
    assert loudest < 2**-9
    got = np.concatenate(found).reshape(3, len(sound), channels)
    for each in got:
        assert is_alike(each, sound, lossless=name not in ("OGG", "OPUS", "MP3"))


@pytest.mark.parametrize("room", [5000, 20_000])
@pytest.mark.parametrize("name", ["FLAC", "OGG", "OPUS", "MP3", "AIFF"])
def test_a_disk_that_is_full_in_such_silence_leaves_a_whole_file(tmp_path, disk, name, room):
    (rate, channels), path = LONG[name], tmp_path / f"a.{name.lower()}"
    writer = opened(path, name, by_name(name).subtypes[0], rate, channels)
    sound = chirp(rate, channels)
    writer.write(sound)
    disk.room, disk.longest = room, 1 << 30

    def write_on():
        for _ in range(100):
            writer.write(sound, 300 * rate)

    with pytest.raises(OSError, match="No space") as caught:
        write_on()
    writer.fail(caught.value)
    frames = writer.frames
    with pytest.raises(OSError, match="No space"):
        writer.close()
    assert writer.frames == frames
    if frames:
        assert soundfile.info(path).frames == frames


@pytest.mark.parametrize("name", ["FLAC", "OGG", "MP3", "AIFF"])
def test_with_room_again_such_silence_has_its_length(tmp_path, disk, name):
    (rate, channels), path = LONG[name], tmp_path / f"a.{name.lower()}"
    writer = opened(path, name, by_name(name).subtypes[0], rate, channels)
    sound, silence = chirp(rate, channels), 200 * rate
    writer.write(sound)
    for room in (1000, 5000, 20_000, None):
        disk.room, disk.longest = room, 1 << 30
        try:
            writer.write(sound, silence)
        except OSError:
            continue
        break
    disk.room = None
    writer.close()
    assert soundfile.info(path).frames == 2 * len(sound) + silence
    assert round(seconds_by_ffmpeg(path) * rate) == 2 * len(sound) + silence


def test_blocks_of_flac_keep_their_numbers_and_sums():
    """Those that libsndfile made, taken apart and put together again."""
    blocks = []

    class Blocks(io.BytesIO):
        def write(self, data):
            if bytes(data[:2]) == b"\xff\xf8":
                blocks.append(bytes(data))
            return super().write(data)

    with soundfile.SoundFile(Blocks(), "w", 44_101, 1, "PCM_16", format="FLAC") as sound:
        sound.write(np.random.default_rng(0).integers(-99, 99, 4096 * 2100).astype(np.int16))
    for number in (0, 1, 127, 128, 2047, 2048, 2099):
        found, rest = flac_output._split(blocks[number])
        assert found == number
        assert flac_output._blocks(np.array([number]), rest) == blocks[number]


def test_a_disk_that_is_full_from_the_start_fails_the_start(tmp_path, disk):
    disk.room = 0
    with pytest.raises(OSError, match="No space"):
        opened(tmp_path / "a", "AIFF", "PCM_16")


def test_an_error_of_fsync_is_not_forgotten(tmp_path, monkeypatch):
    """The system tells it once; what was written before may be lost all the same."""
    writer = opened(tmp_path / "a", "FLAC", "PCM_16", fsync=0.1)
    samples = integers(4800, 2, 16)
    writer.write(samples)

    def broken(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        writer.write(samples)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            writer.write(samples)
    with pytest.raises(OSError, match="Input/output"):
        writer.close()


def test_fsync_comes_before_the_header_speaks_of_the_audio(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fdatasync", lambda file: order.append("sync"))
    monkeypatch.setattr(
        os, "pwrite", lambda file, data, at: order.append(at) or pwrite(file, data, at)
    )
    writer = opened(tmp_path / "a", "FLAC", "PCM_16", fsync=1)
    for _ in range(30):
        writer.write(integers(4800, 2, 16))
    stated = [place for place, what in enumerate(order) if what == 18]
    assert len(stated) == 3
    for place in stated:
        assert order[place - 1] == "sync"
    writer.close()
    assert order[-1] == "sync"


@pytest.mark.parametrize("format", ["FLAC", "AIFF", "CAF", "AU"])
def test_once_settled_the_header_speaks_of_what_is_there(tmp_path, format):
    path = tmp_path / "a"
    writer = opened(path, format, "PCM_16")
    writer.write(integers(8192, 2, 16))
    writer.settle()
    before = soundfile.info(path).frames
    writer.write(integers(8192, 2, 16))
    assert soundfile.info(path).frames == before
    writer.settle()
    assert soundfile.info(path).frames == before + 8192
    writer.close()


def test_the_system_limits_the_file_and_it_stays_whole(tmp_path):
    """A real limit of the kernel, which cuts a write short before it refuses the next."""
    path = tmp_path / "a.flac"
    program = f"""
import os, resource, signal
import numpy as np
from stream_audio.files.libsndfile.writer import LibsndfileWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, 100_001))
writer = LibsndfileWriter("FLAC", os.open({str(path)!r}, os.O_WRONLY | os.O_CREAT), 48_000, 2,
                          "PCM_16", {{}})
samples = np.random.default_rng(0).integers(-9000, 9000, (4800, 2), np.int16)
try:
    while True:
        writer.write(samples)
except OSError as error:
    print(error.errno)
try:
    writer.close()
except OSError as error:
    print(error.errno, writer.frames)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=GIVE_UP, capture_output=True, text=True
    )
    assert done.stderr == ""
    first, second, frames = done.stdout.split()
    assert int(first) == int(second) == errno.EFBIG
    assert len(read(path)) == int(frames) >= 2 * BLOCK


def values_held_by(error):
    """Yield every local variable of every frame that an error keeps alive."""
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            yield from traceback.tb_frame.f_locals.values()
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
def test_an_error_keeps_no_memoryview_alive(tmp_path, disk, name):
    """CPython 3.11 crashes when the garbage collector breaks a cycle with one in a traceback."""
    container = find_container(Path(name), None)
    descriptor = os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT)
    writer = container.open(descriptor, RATE, 2, "PCM_16", {})
    samples = integers(48_000, 2, 16)
    disk.room = 50_000
    _, error = fill(writer, samples)
    held = list(values_held_by(error))
    with contextlib.suppress(OSError):
        writer.close()
    assert any(value is samples for value in held)
    assert not any(isinstance(value, memoryview) for value in held)


# ---- killed ----


def killed(folder, name, subtype, *, rounds, seed, sample_rate, channels, longest=100):
    """Yield, for each writer that was killed: its file, and how many frames it had taken."""
    program = [sys.executable, killed_writer.__file__]
    arguments = (seed, rounds, longest, name, subtype, sample_rate, channels, folder)
    done = subprocess.run(
        [*program, *map(str, arguments)],
        timeout=GIVE_UP + rounds,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == rounds
    for line in lines:
        number, frames = line.split()
        yield folder / number, int(frames)


@pytest.mark.parametrize(
    ("subtype", "sample_rate", "channels", "seed"),
    [("PCM_16", 48_000, 2, 1), ("PCM_24", 48_000, 2, 2), ("PCM_16", 44_100, 1, 3)],
)
def test_a_flac_whose_writer_is_killed_lacks_the_last_second_at_most(
    tmp_path, subtype, sample_rate, channels, seed
):
    """Killed at random moments; it opens unrepaired in soundfile, sox and ffmpeg."""
    audio = killed_writer.samples(sample_rate, channels, 60)
    rounds = killed(
        tmp_path,
        "FLAC",
        subtype,
        rounds=67 if effort.LONG else 22,
        seed=seed,
        sample_rate=sample_rate,
        channels=channels,
    )
    lengths = set()
    for number, (path, taken) in enumerate(rounds):
        got = read(path, dtype="int16")
        lengths.add(len(got))
        # A block that is not whole, and the tenth of a second under way, come on top.
        assert len(got) >= taken - sample_rate - BLOCK - sample_rate // 10, path
        assert np.array_equal(got, audio[: len(got)])
        if number % 10 == 0:
            flac = path.rename(path.with_suffix(".flac"))
            frames, rate, count = frames_by_av(flac)
            assert (rate, count) == (sample_rate, channels)
            assert len(got) <= frames <= taken + sample_rate
            if shutil.which("sox"):
                assert frames_by_sox(flac) == (len(got), sample_rate, channels)
    assert len(lengths) > 3  # they were killed at different moments


@pytest.mark.parametrize(
    ("name", "subtype", "behind"),
    [("MP3", "MPEG_LAYER_III", 1.2), ("OGG", "VORBIS", 1.0), ("OPUS", "OPUS", 1.2)],
)
def test_a_lossy_file_whose_writer_is_killed_opens(tmp_path, name, subtype, behind):
    rate = 48_000
    settings = {"rounds": 10, "seed": 4, "sample_rate": rate, "channels": 2}
    opened_files = 0
    for path, taken in killed(tmp_path, name, subtype, **settings):
        if taken < (behind + 0.2) * rate:
            continue  # perhaps nothing but its head has been written
        opened_files += 1
        got = read(path, dtype="float32")
        assert taken - behind * rate <= len(got) <= taken + rate // 10 + 3000
        assert got.std() > 0.05
    assert opened_files > 2, opened_files


KILLED_AT_IT = """
import os, signal, sys
import numpy as np
from stream_audio.files.containers import all_containers

for line in sys.stdin:
    name, subtype, rate, channels, path = line.rstrip().split(" ", 4)
    child = os.fork()
    if child == 0:
        container = next(c for c in all_containers() if c.name == name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        writer = container.open(descriptor, int(rate), int(channels), subtype, {})
        samples = np.random.default_rng(0).standard_normal((int(rate) // 10, int(channels)))
        for _ in range(37):
            writer.write((samples * 0.1).astype(np.float32))
        os.kill(os.getpid(), signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def nursery():
    """A process from which writers are forked that kill themselves: a line tells what to write."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_AT_IT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        yield process


@pytest.mark.parametrize("form", stream_audio.formats(), ids=lambda form: form.name)
def test_what_a_kill_leaves_is_as_documented(nursery, tmp_path, form):
    if not form.written:
        assert form.after_kill == "unknown"
        return
    path = tmp_path / "a"
    rate, channels = format_of(form.name, form.subtypes[0])
    nursery.stdin.write(f"{form.name} {form.subtypes[0]} {rate} {channels} {path}\n")
    assert int(nursery.stdout.readline()) == -signal.SIGKILL
    try:
        frames = len(read(path, form.name, subtype=form.subtypes[0]))
    except soundfile.SoundFileError:
        assert form.after_kill == "unreadable"
        return
    if form.after_kill == "opens":
        assert 2.5 * rate < frames <= 3.7 * rate + 1
    else:
        assert (form.after_kill, frames) == ("empty", 0)


def test_the_first_frame_of_an_mp3_says_how_many_follow(tmp_path):
    """Without it soundfile took a third of a file for the whole, or more than there was."""
    for rate, channels in ((48_000, 2), (44_100, 1), (22_050, 2), (16_000, 1), (8_000, 1)):
        path = tmp_path / f"{rate}.mp3"
        writer = opened(path, "MP3", "MPEG_LAYER_III", rate, channels)
        samples = tone(5.05, rate, channels)
        for piece in np.array_split(samples, 50):
            writer.write(piece)
        frames = soundfile.info(path).frames  # as a kill would leave it
        assert len(samples) - 1.3 * rate < frames <= len(samples)
        writer.close()
        assert soundfile.info(path).frames == len(samples)


# ---- in a session ----


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.opus", "a.mp3", "a.AIFF", "a.rf64"])
def test_the_ending_decides(tmp_path, name):
    path = tmp_path / name
    source = AudioSource.virtual("noise", pace="freewheel")
    report = stream_audio.record(path, duration=1, source=source)
    assert report.balanced
    info = soundfile.info(path)
    assert (info.frames, info.samplerate, info.channels) == (RATE, RATE, 2)
    expected = {".ogg": "OGG", ".opus": "OGG", ".aiff": "AIFF"}
    suffix = path.suffix.lower()
    assert info.format == expected.get(suffix, suffix[1:].upper())


def test_a_name_decides_over_the_ending(tmp_path):
    source = AudioSource.virtual("noise", frames=RATE, pace="freewheel")
    sink = FileSink(tmp_path / "a.dat", format="flac", subtype="PCM_24")
    with stream_audio.open(source, sinks=[sink], format=FormatPreset.NATIVE) as session:
        session.wait()
    assert soundfile.info(tmp_path / "a.dat").subtype == "PCM_24"


def test_flac_in_parts_is_exact_to_the_frame(tmp_path):
    """What was recorded is the parts, one behind the other, bit for bit."""
    source = AudioSource.virtual("noise", frames=5 * RATE + 77, pace="freewheel", seed=9)
    sinks = [FileSink(tmp_path / "whole.wav"), FileSink(tmp_path / "part.flac", rotate="1 s")]
    with stream_audio.open(source, sinks=sinks, format=FormatPreset.NATIVE) as session:
        session.wait()
    assert session.report().balanced
    parts = [read(path) for path in sorted(tmp_path.glob("part*.flac"))]
    assert [len(part) for part in parts] == [RATE] * 5 + [77]
    assert np.array_equal(np.concatenate(parts), read(tmp_path / "whole.wav"))


@pytest.mark.parametrize(
    ("name", "room"),
    [(name, room) for name in ("a.flac", "a.aiff") for room in (20_000, 150_000, 333_333)]
    + [("a.ogg", 20_000)],
)
def test_a_fallback_goes_on_without_a_missing_frame(tmp_path, monkeypatch, name, room):
    """What the encoder held when the disk was full is in the other file."""
    first = tmp_path / name
    other = tmp_path / f"other{first.suffix}"

    def full(file, data, offset):
        if os.readlink(f"/proc/self/fd/{file}") == str(first) and offset + len(data) > room:
            if offset >= room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = bytes(data[: room - offset])
        return pwrite(file, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    source = AudioSource.virtual("noise", frames=5 * RATE, pace="freewheel", seed=2)
    sinks = [FileSink(tmp_path / "whole.wav"), FileSink(first, fallback=other)]
    with stream_audio.open(source, sinks=sinks, format=FormatPreset.NATIVE) as session:
        session.wait()
    assert session.report().balanced
    assert not any(sink.error for sink in session.report().sinks.values())
    parts = [read(first), read(other)]
    assert sum(map(len, parts)) == 5 * RATE
    if name != "a.ogg":
        assert np.array_equal(np.concatenate(parts), read(tmp_path / "whole.wav"))


# ---- the list ----


def test_every_format_that_libsndfile_knows_is_listed():
    listed = {form.name: form for form in stream_audio.formats()}
    assert set(soundfile.available_formats()) <= set(listed)
    for name in ("WAV", "FLAC", "OGG", "OPUS", "MP3"):
        assert listed[name].written
        assert listed[name].extensions
    endings = [ending for form in listed.values() for ending in form.extensions]
    assert len(endings) == len(set(endings))
    assert json.dumps([form.__dict__ for form in listed.values()])


@pytest.mark.parametrize("form", stream_audio.formats(), ids=lambda form: form.name)
def test_what_is_listed_can_be_asked_for(form):
    for ending in form.extensions:
        assert find_container(Path(f"A{ending.upper()}"), None).name == form.name
    if form.written:
        assert find_container(Path("a"), form.name.lower()).subtypes == form.subtypes


def test_16_bit_files_of_python_s_own_reader(tmp_path):
    """RF64 aside, what ends in .wav is ours and is read by the wave module."""
    source = AudioSource.virtual("noise", frames=1000, pace="freewheel")
    sinks = [FileSink(tmp_path / "a.wav")]
    with stream_audio.open(source, sinks=sinks, format=FormatPreset.NATIVE) as session:
        session.wait()
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == 1000


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "PCM_U8", "GSM610", "IMA_ADPCM"])
def test_a_wav_file_of_telephony(tmp_path, subtype):
    path = tmp_path / "a.wav"
    source = AudioSource.virtual(sample_rate=8000, channels=1, frames=24_007, pace="freewheel")
    sink = FileSink(path, subtype=subtype)
    with stream_audio.open(source, sinks=[sink], format=FormatPreset.NATIVE) as session:
        session.wait()
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate) == ("WAV", subtype, 8000)
    assert 24_007 <= info.frames < 25_000
    with pytest.raises(ConfigTypeError, match="no setting 'bext'"):
        FileSink(path, subtype=subtype, bext=True)


@pytest.mark.parametrize("subtype", ["ULAW", "PCM_U8"])
def test_a_wav_file_of_telephony_opens_after_a_kill(tmp_path, subtype):
    path = tmp_path / "a.wav"
    writer = opened(path, "WAV", subtype, 8000, 1)
    for _ in range(35):
        writer.write(tone(0.1, 8000, 1))
    # Nothing is held back: a kill would leave the file as it is now.
    assert 2.5 * 8000 <= soundfile.info(path).frames <= 3.5 * 8000
    if shutil.which("sox"):
        assert frames_by_sox(path)[0] == soundfile.info(path).frames
    writer.close()


def test_the_containers_are_made_once():
    assert containers() is containers()
    assert all(c.open.func is LibsndfileWriter for c in containers())
