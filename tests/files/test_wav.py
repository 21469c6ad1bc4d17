"""The WAV writer: exact, readable at any moment, all or nothing, and past 4 GiB."""

import contextlib
import errno
import os
import signal
import struct
import subprocess
import sys
import tracemalloc
import wave

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio.files import wav
from stream_audio.files.create import create
from stream_audio.files.wav import WavWriter
from support.effort import examples
from support.readers import by_ffmpeg, by_soundfile, by_sox

RATE = 8000
BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
GIVE_UP = 60.0


def noise(frames, channels=1, subtype="PCM_16", seed=0):
    """Random samples that the subtype holds exactly."""
    random = np.random.default_rng(seed)
    if subtype == "FLOAT":
        return random.standard_normal((frames, channels)).astype(np.float32)
    bits = min(24, 8 * BYTES[subtype])  # what a float holds
    full_scale = 2 ** (bits - 1)
    integers = random.integers(-full_scale, full_scale, (frames, channels))
    return (integers / full_scale).astype(np.float32)


def written(path, subtype="PCM_16", channels=1, *, sample_rate=RATE, **encoding):
    file = create(path)
    return WavWriter(file.descriptor, sample_rate, channels, subtype, encoding)


def read(path):
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return samples


def chunks_of(path):
    """Parse the file by the book: {id: (offset, size)}; every chunk at an even offset."""
    data = path.read_bytes()
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WAVE"
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    found = {}
    offset = 12
    while offset < len(data):
        name, size = struct.unpack_from("<4sI", data, offset)
        found[name] = (offset + 8, size)
        offset += 8 + size + size % 2
    assert offset == len(data)  # the padding is there
    return found


# ---- exact ----


@pytest.mark.parametrize("channels", [1, 2, 3, 8, 63, 64])
@pytest.mark.parametrize("subtype", BYTES)
def test_every_sample_comes_back_bit_by_bit(tmp_path, subtype, channels):
    path = tmp_path / "a.wav"
    samples = noise(1001, channels, subtype)
    writer = written(path, subtype, channels)
    for piece in np.array_split(samples, 7):
        writer.write(piece)
    assert writer.frames == 1001
    writer.close()
    info = soundfile.info(path)
    assert (info.frames, info.channels, info.samplerate) == (1001, channels, RATE)
    assert (info.format, info.subtype) == ("WAVEX" if channels > 2 else "WAV", subtype)
    assert read(path).tobytes() == samples.tobytes()


@pytest.mark.parametrize("channels", [1, 2])
def test_16_bits_are_read_by_the_wave_module(tmp_path, channels):
    path = tmp_path / "a.wav"
    samples = noise(777, channels)
    writer = written(path, channels=channels, sample_rate=44_100)
    writer.write(samples)
    writer.close()
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (channels, 2, 44_100, 777)
        integers = np.frombuffer(file.readframes(777), "<i2").reshape(-1, channels)
    assert np.array_equal(integers, samples * 2**15)


def test_a_float_file_keeps_what_is_beyond_full_scale(tmp_path):
    path = tmp_path / "a.wav"
    samples = np.float32([[1e30], [-7.0], [np.inf], [np.nan], [1e-45]])
    writer = written(path, "FLOAT")
    writer.write(samples)
    writer.close()
    assert read(path).tobytes() == samples.tobytes()


@pytest.mark.parametrize("subtype", BYTES)
def test_a_transposed_array_is_written_frame_by_frame(tmp_path, subtype):
    path = tmp_path / "a.wav"
    left_and_right = noise(2, 100, subtype)
    writer = written(path, subtype, channels=2)
    writer.write(left_and_right.T)
    writer.close()
    assert np.array_equal(read(path), left_and_right.T)


@pytest.mark.parametrize("sample_rate", [1000, 44_100, 768_000])
def test_the_sample_rate_is_written(tmp_path, sample_rate):
    path = tmp_path / "a.wav"
    written(path, sample_rate=sample_rate).close()
    assert soundfile.info(path).samplerate == sample_rate


# ---- by the book ----


@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(
    subtype=st.sampled_from(sorted(BYTES)),
    channels=st.integers(1, 64),
    pieces=st.lists(st.integers(0, 40), max_size=5),
)
def test_the_file_is_well_formed_at_any_length(tmp_path_factory, subtype, channels, pieces):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    writer = written(path, subtype, channels)
    for frames in pieces:
        writer.write(np.zeros((frames, channels), np.float32))
    writer.close()
    found = chunks_of(path)
    frame_bytes = channels * BYTES[subtype]
    assert found[b"data"][1] == sum(pieces) * frame_bytes
    fields = struct.unpack_from("<HHIIHH", path.read_bytes(), found[b"fmt "][0])
    tag = 0xFFFE if channels > 2 else (3 if subtype == "FLOAT" else 1)
    bits = 8 * BYTES[subtype]
    assert fields == (tag, channels, RATE, RATE * frame_bytes, frame_bytes, bits)
    if subtype == "FLOAT":  # what is not PCM needs a fact chunk
        assert struct.unpack_from("<I", path.read_bytes(), found[b"fact"][0]) == (sum(pieces),)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_24_bits_of_odd_length_are_padded(tmp_path, frames):
    path = tmp_path / "a.wav"
    writer = written(path, "PCM_24")
    writer.write(noise(frames, 1, "PCM_24"))
    writer.close()
    offset, size = chunks_of(path)[b"data"]
    assert size == 3 * frames
    assert path.stat().st_size == offset + size + frames % 2
    assert read(path).tobytes() == noise(frames, 1, "PCM_24").tobytes()


# ---- at any moment ----


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("subtype", BYTES)
def test_it_can_be_read_while_it_is_written(tmp_path, subtype, channels):
    path = tmp_path / "a.wav"
    samples = noise(5 * RATE, channels, subtype)
    writer = written(path, subtype, channels)
    assert len(read(path)) == 0
    for end in range(RATE // 4, len(samples) + 1, RATE // 4):
        writer.write(samples[end - RATE // 4 : end])
        so_far = read(path)
        assert end - RATE // 2 <= len(so_far) <= end
        assert so_far.tobytes() == samples[: len(so_far)].tobytes()
    writer.close()
    assert read(path).tobytes() == samples.tobytes()


def test_a_writer_that_is_killed_leaves_a_file_that_lacks_half_a_second_at_most(tmp_path):
    path = tmp_path / "a.wav"
    program = f"""
import os, signal
from pathlib import Path
import numpy as np
from stream_audio.files.create import create
from stream_audio.files.wav import WavWriter
writer = WavWriter(create(Path({str(path)!r})).descriptor, {RATE}, 2, "PCM_24", {{}})
for i in range(37):
    writer.write(np.full(({RATE // 10}, 2), (i + 1) / 64, np.float32))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=GIVE_UP)
    assert done.returncode == -signal.SIGKILL
    samples = read(path)
    assert 3.2 * RATE <= len(samples) <= 3.7 * RATE
    tenths = np.arange(len(samples)) // (RATE // 10)
    assert np.array_equal(samples[:, 1], np.float32((tenths + 1) / 64))


# ---- silence ----


@pytest.mark.parametrize("subtype", BYTES)
def test_silence_stands_before_the_samples(tmp_path, subtype):
    path = tmp_path / "a.wav"
    samples = noise(10, 2, subtype)
    writer = written(path, subtype, channels=2)
    writer.write(samples, silence_before=7)
    writer.write(samples, silence_before=1)
    assert writer.frames == 28
    writer.close()
    silence = np.zeros((7, 2), np.float32)
    assert np.array_equal(read(path), np.vstack([silence, samples, silence[:1], samples]))


def test_minutes_of_silence(tmp_path):
    """More than is written at once, and no whole number of such pieces."""
    path = tmp_path / "a.wav"
    writer = written(path, "PCM_24", channels=3)
    writer.write(noise(1, 3, "PCM_24"), silence_before=400_000)
    writer.close()
    samples = read(path)
    assert len(samples) == 400_001
    assert not samples[:-1].any()
    assert samples[-1:].tobytes() == noise(1, 3, "PCM_24").tobytes()


# ---- files that are there already ----


def test_a_file_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        written(path)
    assert path.read_text() == "precious"


# ---- all or nothing ----


class FullDisk:
    """In place of `os.pwrite`: takes ``room`` bytes of samples more, in short writes.

    The header's place is taken already.
    """

    def __init__(self, room=None, error=errno.ENOSPC, longest=100):
        self.room = room
        self.error = error
        self.longest = longest

    def pwrite(self, file, data, offset):
        if self.room is None or offset == 0:
            return os_pwrite(file, data, offset)
        size = min(len(data), self.longest, self.room)
        if size == 0:
            raise OSError(self.error, os.strerror(self.error))
        self.room -= size
        return os_pwrite(file, bytes(data[:size]), offset)


os_pwrite = os.pwrite


@pytest.fixture
def disk(monkeypatch):
    full = FullDisk()
    monkeypatch.setattr(wav.os, "pwrite", full.pwrite)
    return full


@pytest.mark.parametrize("room", [0, 1, 2, 3, 50, 101, 299])
@pytest.mark.parametrize("silence", [0, 30])
def test_a_write_that_does_not_fit_leaves_nothing_behind(tmp_path, disk, room, silence):
    path = tmp_path / "a.wav"
    before = noise(100, 1, "PCM_24", seed=1)
    writer = written(path, "PCM_24")
    writer.write(before)
    size = path.stat().st_size
    disk.room = room
    with pytest.raises(OSError, match="No space") as caught:
        writer.write(noise(100, 1, "PCM_24"), silence_before=silence)
    assert caught.value.errno == errno.ENOSPC
    assert writer.frames == 100
    assert path.stat().st_size == size

    disk.room = None  # somebody made room
    after = noise(50, 1, "PCM_24", seed=2)
    writer.write(after)
    writer.close()
    assert read(path).tobytes() == np.vstack([before, after]).tobytes()


def test_short_writes_lose_nothing(tmp_path, disk):
    path = tmp_path / "a.wav"
    disk.room, disk.longest = 10**9, 7
    writer = written(path, "PCM_24", channels=2)
    samples = noise(500, 2, "PCM_24")
    writer.write(samples, silence_before=3)
    writer.close()
    assert np.array_equal(read(path)[3:], samples)


@pytest.mark.parametrize("frames", [100, 101])
def test_a_disk_that_is_full_at_the_end_keeps_every_frame_that_was_written(tmp_path, disk, frames):
    path = tmp_path / "a.wav"
    samples = noise(frames, 1, "PCM_24")
    writer = written(path, "PCM_24")
    writer.write(samples)
    disk.room = 0
    with contextlib.suppress(OSError):  # there may be no room for the padding
        writer.close()
    assert read(path).tobytes() == samples.tobytes()


def test_a_header_that_cannot_be_written_does_not_make_the_samples_come_twice(
    tmp_path, monkeypatch
):
    """Whoever is told that a write failed writes the same samples again."""
    path = tmp_path / "a.wav"
    samples = noise(RATE, 1)
    writer = written(path)

    def broken(file, data, offset):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(wav.os, "pwrite", broken)
        try:
            writer.write(samples)
        except OSError:
            assert writer.frames == 0
        else:
            assert writer.frames == len(samples)
    if writer.frames == 0:
        writer.write(samples)
    writer.close()
    assert read(path).tobytes() == samples.tobytes()


def test_a_file_that_cannot_be_cut_back_is_written_over(tmp_path, disk, monkeypatch):
    path = tmp_path / "a.wav"
    first, second = noise(100, 1, seed=1), noise(200, 1, seed=2)
    writer = written(path)
    writer.write(first)

    def broken(file, size):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(wav.os, "ftruncate", broken)
        disk.room = 33
        with pytest.raises(OSError, match="No space"):
            writer.write(second)
    disk.room = None
    writer.write(second)
    writer.close()
    assert read(path).tobytes() == np.vstack([first, second]).tobytes()


@pytest.mark.parametrize("subtype", BYTES)
def test_the_system_limits_the_file_and_it_stays_valid_to_the_last_whole_write(tmp_path, subtype):
    """A real limit of the kernel, which cuts a write short before it refuses the next."""
    path = tmp_path / "a.wav"
    program = f"""
import resource, signal
from pathlib import Path
import numpy as np
from stream_audio.files.create import create
from stream_audio.files.wav import WavWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, 100_001))
writer = WavWriter(create(Path({str(path)!r})).descriptor, {RATE}, 3, {subtype!r}, {{}})
try:
    for i in range(1000):
        writer.write(np.full((77, 3), (i + 1) / 1024, np.float32))
except OSError as error:
    print(type(error).__name__, error.errno, writer.frames)
writer.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=GIVE_UP, capture_output=True, text=True
    )
    assert done.stderr == ""
    name, number, frames = done.stdout.split()
    assert (name, int(number)) == ("OSError", errno.EFBIG)
    room = 100_001 - chunks_of(path)[b"data"][0]
    assert int(frames) == room // (3 * BYTES[subtype]) // 77 * 77
    samples = read(path)
    assert len(samples) == int(frames)
    assert np.array_equal(samples[:, 2], np.float32((np.arange(len(samples)) // 77 + 1) / 1024))


# ---- past 4 GiB ----


LIMIT = 2**32 - 1
"""The largest size that a RIFF header holds."""


@pytest.mark.parametrize("subtype", BYTES)
def test_past_4_gib_it_becomes_rf64(tmp_path, subtype):
    path = tmp_path / "a.wav"
    samples = noise(101, 64, subtype)
    silence = 2**32 // (64 * BYTES[subtype]) + 1
    writer = written(path, subtype, channels=64)
    writer.write(samples, silence_before=silence)
    frames = silence + 101

    def check():
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.frames) == ("RF64", subtype, frames)
        with soundfile.SoundFile(path) as file:
            file.seek(silence)
            assert file.read(dtype="float32", always_2d=True).tobytes() == samples.tobytes()

    check()  # while it is open
    writer.close()
    check()


def riff_size_but_for_data(path, **kwargs):
    written(path, **kwargs).close()
    return struct.unpack_from("<I", path.read_bytes(), 4)[0]


@pytest.mark.parametrize(("beyond", "name"), [(0, b"RIFF"), (1, b"RF64")])
def test_it_stays_plain_wav_as_long_as_that_can_be(tmp_path, beyond, name):
    """To the frame: the largest RIFF, and one frame more."""
    overhead = riff_size_but_for_data(tmp_path / "empty.wav")
    path = tmp_path / "a.wav"
    frames = (LIMIT - overhead) // 2 + beyond
    writer = written(path)
    writer.write(noise(3), silence_before=frames - 3)
    writer.close()
    with path.open("rb") as file:
        header = file.read(200)
    assert header[:4] == name
    riff, ds64 = struct.unpack_from("<I", header, 4)[0], header[12:16]
    if beyond:
        assert (riff, ds64) == (LIMIT, b"ds64")
        size, riff64, data64, count = struct.unpack_from("<IQQQ", header, 16)
        assert (size, riff64, data64, count) == (28, overhead + 2 * frames, 2 * frames, frames)
        assert header[header.index(b"data") + 4 :][:4] == b"\xff" * 4
    else:
        assert riff == overhead + 2 * frames == path.stat().st_size - 8
        assert ds64 == b"JUNK"
    assert soundfile.info(path).frames == frames


def test_an_odd_size_past_4_gib_is_padded(tmp_path):
    path = tmp_path / "a.wav"
    frames = 2**32 // 3 + 2
    frames += frames % 2 == 0
    writer = written(path, "PCM_24")
    writer.write(noise(1, 1, "PCM_24"), silence_before=frames - 1)
    writer.close()
    with path.open("rb") as file:
        riff64, data64 = struct.unpack_from("<QQ", file.read(100), 20)
    assert data64 == 3 * frames
    assert path.stat().st_size == riff64 + 8
    assert riff64 % 2 == 0
    assert soundfile.info(path).frames == frames


def sox_frames(path):
    return int(subprocess.check_output(["soxi", "-s", path], timeout=GIVE_UP))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("subtype", BYTES)
def test_other_readers_agree_past_4_gib(tmp_path, subtype, channels):
    path = tmp_path / "a.wav"
    silence = 2**32 // (channels * BYTES[subtype]) + 1
    samples = noise(101, channels, subtype)
    writer = written(path, subtype, channels)
    writer.write(samples, silence_before=silence)
    writer.close()
    assert soundfile.info(path).frames == silence + 101
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        seconds = float(stream.duration * stream.time_base)
        assert round(seconds * RATE) == silence + 101
    assert os.stat(path).st_blocks * 512 < 10**6  # it is a hole


@pytest.mark.parametrize("channels", [1, 3])
def test_sox_agrees_past_4_gib(tmp_path, channels):
    """It also looks for chunks where the size's lower 32 bits say that the samples end.

    For a minute, if zeros stand there; hence ones.
    """
    path = tmp_path / "a.wav"
    writer = written(path, channels=channels)
    ones = np.full((1000, channels), -1, np.int16)
    writer.write(ones)
    silence = 2**32 // (2 * channels) - 1500
    writer.write(ones, silence_before=silence)
    writer.close()
    assert path.stat().st_size > 2**32
    assert sox_frames(path) == silence + 2000


# ---- RF64 or not ----


def test_rf64_from_the_start(tmp_path):
    path = tmp_path / "a.wav"
    samples = noise(5 * RATE, 2, "PCM_24")
    writer = written(path, "PCM_24", 2, rf64="always")
    for end in range(RATE // 4, len(samples) + 1, RATE // 4):
        writer.write(samples[end - RATE // 4 : end])
        assert end - RATE <= soundfile.info(path).frames <= end
    writer.close()
    assert path.read_bytes()[:4] == b"RF64"
    assert soundfile.info(path).format == "RF64"
    assert read(path).tobytes() == samples.tobytes()
    assert sox_frames(path) == len(samples)


@pytest.mark.parametrize("subtype", BYTES)
@pytest.mark.parametrize("channels", [1, 3])
def test_rf64_never_ends_at_the_last_frame_that_a_riff_holds(tmp_path, subtype, channels):
    path = tmp_path / "a.wav"
    writer = written(path, subtype, channels, rf64="never")
    one = noise(1, channels, subtype)
    writer.write(one, silence_before=writer.room() - 1)
    assert writer.room() == 0
    with pytest.raises(OSError, match="too large") as caught:
        writer.write(one)
    assert caught.value.errno == errno.EFBIG
    writer.close()
    frame_bytes = channels * BYTES[subtype]
    assert LIMIT - frame_bytes - 2 < path.stat().st_size - 8 < LIMIT
    info = soundfile.info(path)
    assert info.format in ("WAV", "WAVEX")
    assert info.frames == writer.frames


# ---- how much room ----


@settings(derandomize=True, deadline=None, max_examples=examples(100))
@given(
    subtype=st.sampled_from(sorted(BYTES)),
    channels=st.integers(1, 64),
    before=st.integers(0, 50),
    size=st.integers(0, 20_000),
)
def test_room_is_told_to_the_frame(tmp_path_factory, subtype, channels, before, size):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    writer = written(path, subtype, channels)
    writer.write(np.zeros((before, channels), np.float32))
    room = writer.room(size)
    if room:
        writer.write(np.zeros((room, channels), np.float32))
    fits = writer.size + writer.size % 2 <= size
    assert fits or room == 0
    writer.close()
    assert path.stat().st_size <= size or room == 0
    frame_bytes = channels * BYTES[subtype]
    assert path.stat().st_size + frame_bytes + 1 > size  # and no more would have fitted


# ---- samples that are integers already ----


def integers_of(dtype, frames=1001, channels=2):
    info = np.iinfo(dtype)
    random = np.random.default_rng(7)
    samples = random.integers(info.min, info.max + 1, (frames, channels)).astype(dtype)
    samples[:2] = [[info.min, info.max], [-1, 1]]
    return samples


@pytest.mark.parametrize(
    ("dtype", "subtype"), [*(("int16", subtype) for subtype in BYTES), ("int32", "PCM_32")]
)
def test_integers_come_back_bit_by_bit(tmp_path, dtype, subtype):
    path = tmp_path / "a.wav"
    samples = integers_of(dtype)
    writer = written(path, subtype, 2)
    writer.write(samples[:500], silence_before=3)
    writer.write(samples[500:])
    writer.close()
    found, _ = soundfile.read(path, dtype="float64" if subtype == "FLOAT" else dtype)
    if subtype == "FLOAT":
        found = found * 2**15
    assert np.array_equal(found[3:], samples)


# ---- what it costs ----


@pytest.fixture
def calls(monkeypatch):
    """Every call of the system that the writer makes, by name."""
    seen = []

    def counted(name):
        original = getattr(os, name)

        def call(*args):
            seen.append(name)
            return original(*args)

        return call

    for name in ("pwrite", "write", "pwritev", "lseek", "ftruncate", "fsync", "fdatasync"):
        monkeypatch.setattr(os, name, counted(name))
    return seen


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
@pytest.mark.parametrize("subtype", BYTES)
def test_a_chunk_takes_one_system_call_and_half_a_second_one_more(tmp_path, calls, subtype, dtype):
    writer = written(tmp_path / "a.wav", subtype, 2)
    calls.clear()
    chunk = np.zeros((RATE // 10, 2), dtype)
    for i in range(100):
        writer.write(chunk, silence_before=RATE // 10 if i % 2 else 0)
    assert set(calls) == {"pwrite"}
    assert len(calls) <= 100 + 30 + 2  # 15 s of audio, a third of it silence for gaps
    writer.close()


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
@pytest.mark.parametrize("subtype", BYTES)
def test_a_chunk_takes_no_new_memory(tmp_path, subtype, dtype):
    writer = written(tmp_path / "a.wav", subtype, 2)
    chunk = np.zeros((480_000, 2), dtype)
    writer.write(chunk)
    tracemalloc.start()
    try:
        for _ in range(10):
            writer.write(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    writer.close()
    assert peak < 200_000  # a chunk has ten times that, or more


# ---- the end of a row of writes ----


def test_once_settled_the_header_speaks_of_what_is_there(tmp_path):
    path = tmp_path / "a.wav"
    writer = written(path)
    for i in range(4):
        writer.write(noise(RATE // 20, seed=i))
    assert soundfile.info(path).frames == 0
    writer.settle()
    assert soundfile.info(path).frames == RATE // 5
    writer.write(noise(RATE // 25))
    writer.settle()  # it nearly does
    assert soundfile.info(path).frames == RATE // 5
    writer.close()


def test_with_fsync_settling_leaves_the_header_to_the_flush(tmp_path):
    path = tmp_path / "a.wav"
    writer = written(path, fsync=1.0)
    writer.write(noise(RATE // 4))
    writer.settle()
    assert soundfile.info(path).frames == 0
    writer.close()


def test_an_error_in_settling_is_not_the_audio_s(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    writer = written(path)
    writer.write(noise(RATE // 4))

    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        writer.settle()
    assert soundfile.info(path).frames == 0
    writer.settle()
    assert soundfile.info(path).frames == RATE // 4
    writer.close()


# ---- power cuts ----


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
def test_with_fsync_the_header_speaks_only_of_what_is_on_the_disk(tmp_path, monkeypatch, seconds):
    """What the file held at the last flush is what a power cut leaves at least."""
    path = tmp_path / "a.wav"
    on_disk = 0
    flushes = 0

    def flush(descriptor, original=os.fdatasync):
        nonlocal on_disk, flushes
        original(descriptor)
        flushes += 1
        on_disk = (os.fstat(descriptor).st_size - header) // 2

    monkeypatch.setattr(os, "fdatasync", flush)
    writer = written(path, fsync=seconds)
    header = path.stat().st_size
    for i in range(100):
        writer.write(noise(RATE // 10, seed=i))
        in_header = soundfile.info(path).frames
        assert in_header <= on_disk
        assert writer.frames - in_header <= seconds * RATE
    assert 10 / seconds - 1 <= flushes <= 1.25 * 10 / seconds + 1
    writer.close()
    assert on_disk == soundfile.info(path).frames == 10 * RATE


def test_a_flush_that_failed_is_not_forgotten(tmp_path, monkeypatch):
    """Systems tell such an error once: another flush would succeed, and the samples be lost."""
    path = tmp_path / "a.wav"
    samples = noise(RATE)
    writer = written(path, fsync=1.0)

    def refuse(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        with pytest.raises(OSError, match="Input/output"):
            writer.write(samples)
    assert writer.frames == 0
    with pytest.raises(OSError, match="Input/output"):
        writer.write(samples)
    writer.close()


# ---- silence after a failure ----


def test_silence_after_a_write_that_failed_holds_nothing_of_it(tmp_path, disk, monkeypatch):
    """It is a hole, where what could not be cut off might still stand."""
    path = tmp_path / "a.wav"
    writer = written(path)

    def refuse(file, size):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(wav.os, "ftruncate", refuse)
        disk.room = 150
        with pytest.raises(OSError, match="No space"):
            writer.write(noise(200))
        disk.room = None
        with pytest.raises(OSError, match="Input/output"):
            writer.write(noise(1), silence_before=100)
    writer.write(noise(1), silence_before=100)
    writer.close()
    assert not read(path)[:100].any()
    assert read(path)[100:].tobytes() == noise(1).tobytes()


# ---- other readers ----


@pytest.mark.parametrize("rf64", ["auto", "always"])
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("subtype", BYTES)
def test_other_readers_agree_on_every_sample(tmp_path, subtype, channels, rf64):
    path = tmp_path / "a.wav"
    samples = noise(1001, channels, "PCM_24")
    writer = written(path, subtype, channels, rf64=rf64, sample_rate=44_100)
    writer.write(samples[:500])
    writer.write(samples[500:], silence_before=7)
    writer.close()
    ours, rate = by_soundfile(path)
    assert (ours.shape, rate) == ((1008, channels), 44_100)
    for reader in (by_sox, by_ffmpeg):
        theirs, rate = reader(path)
        assert rate == 44_100
        assert np.array_equal(theirs, ours), reader
