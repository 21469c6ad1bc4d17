"""Older formats: what is missing of them is told; they are read as they are."""

import io

import numpy as np
import pytest
import soundfile

from stream_audio import FileError, repair
from stream_audio.files.sound_reader import SoundReader

FRAMES = 6001
KINDS = [
    ("NIST", "PCM_16", 2),
    ("NIST", "ULAW", 2),
    ("AVR", "PCM_16", 2),
    ("AVR", "PCM_S8", 1),
    ("MPC2K", "PCM_16", 2),
    ("VOC", "PCM_16", 2),
    ("VOC", "ULAW", 1),
    ("SVX", "PCM_S8", 1),
    ("SVX", "PCM_16", 1),
    ("MAT4", "PCM_32", 2),
    ("MAT5", "DOUBLE", 2),
    ("SDS", "PCM_16", 1),
    ("HTK", "PCM_16", 1),
    ("WVE", "ALAW", 1),
]
WITHOUT_LENGTH = [
    ("IRCAM", "PCM_16", 2),
    ("IRCAM", "FLOAT", 2),
    ("PAF", "PCM_16", 2),
    ("PVF", "PCM_32", 2),
]


def sound(container, subtype, channels):
    stream = io.BytesIO()
    samples = np.random.default_rng(3).uniform(-0.3, 0.3, (FRAMES, channels))
    soundfile.write(stream, samples, 8_000, subtype, format=container)
    return stream.getvalue()


def read(path):
    """Return how many frames a file has, what is wrong, and what is unclear."""
    reader = SoundReader(str(path))
    block = np.empty((5000, reader.channels), np.float32)
    count = 0
    try:
        while (frames := reader.read(block)) == len(block):
            count += frames
        try:
            return count + frames, "", reader.check_end()
        except FileError as error:
            return count + frames, str(error), ""
    finally:
        reader.close()


@pytest.mark.parametrize("kind", [*KINDS, *WITHOUT_LENGTH])
def test_a_whole_one_is_complete(tmp_path, kind):
    path = tmp_path / "take"
    path.write_bytes(sound(*kind))
    frames = soundfile.info(path).frames  # libsndfile adds some to a VOC
    assert read(path) == (frames, "", "")
    assert FRAMES <= frames < FRAMES + 4


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_cut_is_read_to_its_end_and_not_complete(tmp_path, kind):
    data = sound(*kind)
    path = tmp_path / "take"
    for cut in (len(data) - 5, len(data) * 2 // 3, len(data) // 2 + 1):
        path.write_bytes(data[:cut])
        frames, error, _ = read(path)
        assert 0 < frames < FRAMES
        assert abs(frames / FRAMES - cut / len(data)) < 0.1
        assert "its header claims" in error
        mended = tmp_path / f"{cut}"
        if kind[0] == "HTK":  # libsndfile refuses one with a wrong length
            assert repair(path, output=mended).frames == soundfile.info(mended).frames == frames
        else:
            with pytest.raises(FileError, match="its header claims"):
                repair(path, output=mended)


@pytest.mark.parametrize("kind", WITHOUT_LENGTH)
def test_a_frame_that_is_cut_is_told_where_no_length_is_said(tmp_path, kind):
    path = tmp_path / "take"
    path.write_bytes(sound(*kind)[:-1])
    frames, error, _ = read(path)
    assert frames == FRAMES - 1
    assert "its last frame is cut" in error


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[0] != "HTK"])
def test_what_follows_is_not_taken_for_audio_in_silence(tmp_path, kind):
    data = sound(*kind)
    path = tmp_path / "take"
    for behind in (bytes(600), b"TAG".ljust(128), b"what is this? " * 300):
        path.write_bytes(data + behind)
        frames, error, unclear = read(path)
        assert FRAMES <= frames < FRAMES + 4 or error or unclear
