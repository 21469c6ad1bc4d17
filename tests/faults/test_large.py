"""A real file of five GiB, written by a session and read to the last sample."""

import shutil
import struct
import subprocess

import av
import numpy as np
import pytest
import soundfile

from stream_audio import AudioSource, FileSink, FormatPreset, StreamAudio, StreamConfig
from stream_audio.testing import VirtualClock

RATE = 48_000
CHANNELS = 16
FRAMES = 5 * 2**30 // (3 * CHANNELS) + 12_345
GIVE_UP = 600.0


@pytest.mark.long
def test_five_gib_are_all_there_and_could_be_read_at_any_moment(tmp_path):
    if shutil.disk_usage(tmp_path).free < 15 * 2**30:
        pytest.skip("needs 15 GiB of free disk space")
    path = tmp_path / "a.wav"
    source = AudioSource.virtual(
        "counter", sample_rate=RATE, channels=CHANNELS, frames=FRAMES, period=RATE
    )
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    builder.config(StreamConfig(clock=VirtualClock(), chunk_duration=1.0))
    seen = []
    with builder.add_sink(FileSink(path, subtype="PCM_24", bext=True)).start() as session:
        while not session.wait(0.2):
            info = soundfile.info(path)
            seen.append((info.format, info.frames))
    try:
        assert session.report().balanced
        assert path.stat().st_size > 5 * 2**30
        frames = [frames for _, frames in seen]
        assert frames == sorted(frames)
        kinds = [kind for kind, _ in seen]
        assert kinds == sorted(kinds, reverse=True)  # WAVEX before 4 GiB, RF64 after
        assert set(kinds) == {"WAVEX", "RF64"}
        limit = 2**32 // (3 * CHANNELS)
        assert all((frames > limit) == (kind == "RF64") for kind, frames in seen)
        _check(path)
    finally:
        path.unlink()


def _check(path):
    with soundfile.SoundFile(path) as file:
        assert (file.format, file.frames, file.channels) == ("RF64", FRAMES, CHANNELS)
        end = 0
        for block in file.blocks(10 * RATE, dtype="int32"):
            counted = np.arange(end, end + len(block)) % 2**23
            assert np.array_equal(block >> 8, np.repeat(counted[:, None], CHANNELS, axis=1))
            end += len(block)
        assert end == FRAMES
    with path.open("rb") as file:
        riff, _, wave, ds64, _, size, data, frames = struct.unpack("<4sI4s4sIQQQ", file.read(44))
    assert (riff, wave, ds64) == (b"RF64", b"WAVE", b"ds64")
    assert (size, data, frames) == (path.stat().st_size - 8, 3 * CHANNELS * FRAMES, FRAMES)
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        assert round(stream.duration * stream.time_base * RATE) == FRAMES
    told = subprocess.check_output(["soxi", "-s", path], timeout=GIVE_UP)
    assert int(told) == FRAMES
