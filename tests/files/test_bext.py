"""The broadcast extension: read back by the book, and by others."""

import struct
import time
from datetime import datetime

import numpy as np
import pytest

from stream_audio import ConfigError, ConfigTypeError
from stream_audio.files.bext import check_bext
from stream_audio.files.create import create
from stream_audio.files.wav import WavWriter
from support.readers import by_ffmpeg, by_soundfile, by_sox

RATE = 48_000


@pytest.fixture(autouse=True)
def _zone(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def recorded(path, start_time, *, bext=True, frames=100, **encoding):
    writer = WavWriter(create(path).descriptor, RATE, 2, "PCM_24", {"bext": bext, **encoding})
    writer.start_time = start_time
    writer.write(np.full((frames, 2), 0.25, np.float32))
    writer.close()


def fields_of(path):
    """Return the fields of the chunk, and where in the file it ends."""
    data = path.read_bytes()
    offset = 12
    while data[offset : offset + 4] != b"bext":
        offset += 8 + struct.unpack_from("<I", data, offset + 4)[0]
    (size,) = struct.unpack_from("<I", data, offset + 4)
    content = data[offset + 8 : offset + 8 + size]
    names = ("description", "originator", "reference", "date", "time")
    sizes = (256, 32, 32, 10, 8)
    found, position = {}, 0
    for name, length in zip(names, sizes, strict=True):
        found[name] = content[position : position + length].rstrip(b"\0").decode("ascii")
        position += length
    found["samples"], found["version"] = struct.unpack_from("<QH", content, position)
    found["umid"] = content[348:412]
    found["loudness"] = struct.unpack_from("<5H", content, 412)
    found["reserved"] = content[422:602]
    found["history"] = content[602:].rstrip(b"\0").decode("ascii")
    return found, offset + 8 + size


@pytest.mark.parametrize("rf64", ["auto", "always"])
def test_it_says_when_the_first_frame_was_captured(tmp_path, rf64):
    path = tmp_path / "a.wav"
    recorded(path, datetime(2026, 7, 14, 15, 30, 5, 250_000).timestamp(), rf64=rf64)
    found, end = fields_of(path)
    assert (found["date"], found["time"]) == ("2026-07-14", "15:30:05")
    assert found["samples"] == ((15 * 60 + 30) * 60 + 5) * RATE + RATE // 4
    assert found["version"] == 2
    assert found["originator"] == "stream_audio"
    assert found["history"] == "A=PCM,F=48000,W=24,M=stereo,T=stream_audio\r\n"
    assert found["loudness"] == (0x7FFF,) * 5  # not measured
    assert found["umid"] == bytes(64)
    assert found["reserved"] == bytes(180)
    assert end < 4096


def test_samples_are_counted_from_midnight_on_a_day_of_25_hours(tmp_path):
    path = tmp_path / "a.wav"
    midnight = datetime(2026, 10, 25).timestamp()
    recorded(path, midnight + 24.5 * 3600)
    found, _ = fields_of(path)
    assert (found["date"], found["time"]) == ("2026-10-25", "23:30:00")
    assert found["samples"] == 24.5 * 3600 * RATE


def test_users_fields_are_in_it(tmp_path):
    path = tmp_path / "a.wav"
    said = {
        "description": "d" * 256,
        "originator": "Radio",
        "originator_reference": "DE-1",
        "coding_history": "A=PCM\r\n" * 285,
    }
    recorded(path, 0.0, bext=said)
    found, end = fields_of(path)
    assert found["description"] == said["description"]
    assert found["originator"] == "Radio"
    assert found["reference"] == "DE-1"
    assert found["history"] == said["coding_history"]
    assert end < 4096


@pytest.mark.parametrize("history", ["A=PCM", "A=PCM\r\n", "", "even"])
@pytest.mark.parametrize("rf64", ["auto", "always"])
@pytest.mark.parametrize("read", [by_soundfile, by_sox, by_ffmpeg])
def test_others_read_the_file_all_the_same(tmp_path, rf64, read, history):
    path = tmp_path / "a.wav"
    recorded(path, time.time(), rf64=rf64, bext={"coding_history": history})
    samples, rate = read(path)
    assert rate == RATE
    assert np.array_equal(samples, np.full((100, 2), 2**13))


@pytest.mark.parametrize(
    ("bext", "error"),
    [
        ("yes", ConfigTypeError),
        (1, ConfigTypeError),
        ({"author": "me"}, ConfigError),
        ({"description": 5}, ConfigTypeError),
        ({"description": "d" * 257}, ConfigError),
        ({"originator": "Öl"}, ConfigError),
    ],
)
def test_what_does_not_fit_is_refused(bext, error):
    with pytest.raises(error, match="bext"):
        check_bext(bext)
