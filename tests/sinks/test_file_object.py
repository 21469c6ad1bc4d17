"""A FileSink that writes to a file object: in memory, to a pipe, to standard output."""

import io
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    ConfigError,
    ConfigTypeError,
    FileSink,
    FileSinkError,
    FormatPreset,
    SinkInfo,
    SourceInfo,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock
from support.chunks import RATE, make_chunk
from support.processes import require_program

FRAMES = 12_000
UNKNOWN = 0xFFFFFFFF
STREAMED = ["WAV", "FLAC", "OGG", "OPUS", "MP3", "AU", "RAW"]


def record(sink, *, frames=FRAMES, channels=2):
    source = AudioSource.virtual("noise", frames=frames, channels=channels, pace="freewheel")
    settings = StreamConfig(clock=VirtualClock(), raise_on_sink_failure=False)
    building = StreamAudio.builder().config(settings).format(FormatPreset.NATIVE)
    with building.add_source("mic", source).add_sink(sink, name="out").start() as session:
        assert session.wait(60)
    report = session.report()
    assert report.balanced, report
    return report.sinks["out"]


def through_a_pipe(**settings):
    """Return what a reader of a pipe gets."""
    reading, writing = os.pipe()
    got = []

    def read():
        with open(reading, "rb") as pipe:
            got.append(pipe.read())

    reader = threading.Thread(target=read)
    reader.start()
    with open(writing, "wb") as pipe:
        report = record(FileSink(pipe, **settings))
    reader.join(60)
    assert (report.delivered, report.error) == (FRAMES, "")
    return got[0]


def decoded_frames(data):
    """What ffmpeg makes of a stream that it cannot seek in."""
    ffmpeg = require_program("ffmpeg", "ffmpeg")
    arguments = ["-v", "error", "-i", "-", "-f", "s16le", "-"]
    done = subprocess.run([ffmpeg, *arguments], input=data, capture_output=True, timeout=60)
    assert done.stderr == b""
    return len(done.stdout) // 4


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 3])
def test_in_memory_it_is_the_file_that_a_path_would_have_held(tmp_path, subtype, channels):
    memory = io.BytesIO()
    memory.write(b"before")
    record(FileSink(memory, subtype=subtype), frames=1001, channels=channels)
    record(FileSink(tmp_path / "a.wav", subtype=subtype), frames=1001, channels=channels)
    data = memory.getvalue()
    assert data[:6] == b"before"
    in_memory, rate = soundfile.read(io.BytesIO(data[6:]), dtype="int32", always_2d=True)
    on_disk, _ = soundfile.read(tmp_path / "a.wav", dtype="int32", always_2d=True)
    assert (rate, in_memory.shape) == (RATE, (1001, channels))
    if subtype == "PCM_16":  # rounded with dither, each by itself
        np.testing.assert_allclose(in_memory / 2**31, on_disk / 2**31, atol=2**-14)
    else:
        np.testing.assert_array_equal(in_memory, on_disk)
    assert struct.unpack("<I", data[10:14])[0] == len(data) - 6 - 8


@pytest.mark.parametrize("name", ["FLAC", "OGG", "MP3", "AIFF", "CAF", "AU", "W64", "VOC"])
def test_where_it_can_seek_any_container_is_completed(name):
    memory = io.BytesIO()
    assert record(FileSink(memory, format=name)).error == ""
    memory.seek(0)
    assert soundfile.info(memory).frames == FRAMES


@pytest.mark.parametrize("name", STREAMED)
def test_what_a_pipe_gets_can_be_decoded(name):
    data = through_a_pipe(format=name)
    if name == "RAW":
        assert len(data) == FRAMES * 4
    else:
        # Encoders with blocks of their own pad the last, or leave their delay in.
        assert decoded_frames(data) == pytest.approx(FRAMES, abs=0 if name in "WAVFLAC" else 3000)


def test_a_wav_header_gives_no_length_where_it_cannot_be_put_right():
    data = through_a_pipe()
    assert struct.unpack("<4sI4s", data[:12]) == (b"RIFF", UNKNOWN, b"WAVE")
    assert struct.unpack("<4sI", data[36:44]) == (b"data", UNKNOWN)
    assert len(data) == 44 + FRAMES * 4


def test_a_file_that_is_appended_to_is_never_sought_in(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(b"mine")
    with path.open("ab") as file:
        record(FileSink(file))
    data = path.read_bytes()
    assert data[:8] == b"mineRIFF"
    assert struct.unpack("<I", data[8:12])[0] == UNKNOWN


def test_standard_output_of_another_process(tmp_path):
    program = (
        "import sys\n"
        "from stream_audio import *\n"
        "source = AudioSource.virtual('noise', frames=4800, pace='freewheel')\n"
        "building = StreamAudio.builder().format(FormatPreset.NATIVE).add_source('mic', source)\n"
        "building.add_sink(FileSink(sys.stdout.buffer))\n"
        "with building.start() as session: session.wait(60)\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    piped = subprocess.run(command, capture_output=True, timeout=60)
    assert piped.stderr == b""
    assert struct.unpack("<I", piped.stdout[4:8])[0] == UNKNOWN
    path = tmp_path / "redirected.wav"
    with path.open("wb") as file:
        subprocess.run(command, stdout=file, check=True, timeout=60)
    assert soundfile.info(path).frames == 4800  # there, it can be put right


def sink_on(file, *, channels=1, **settings):
    sink = FileSink(file, **settings)
    sink.start(SinkInfo("out", (SourceInfo("mic", RATE, channels),)))
    sink.begun()
    return sink


@pytest.mark.parametrize(("gaps", "frames"), [("silence", 150_100), ("skip", 100)])
def test_a_gap_becomes_silence_or_nothing(gaps, frames):
    memory = io.BytesIO()
    sink = sink_on(memory, gaps=gaps, subtype="FLOAT")
    sink.write(make_chunk(0, 50))
    sink.write(make_chunk(150_050, 50, missing=150_000))
    sink.stop()
    assert sink.frames == frames
    memory.seek(0)
    samples, _ = soundfile.read(memory)
    assert list(samples[:50]) == list(range(50))
    assert not samples[50:-50].any()
    assert list(samples[-50:]) == list(range(150_050, 150_100))


class Trickle(io.RawIOBase):
    """Takes a few bytes at a time, and fails once it has had so many."""

    def __init__(self, most=10**9, error=None):
        self.data, self.most, self.error = bytearray(), most, error

    def writable(self):
        return True

    def write(self, data):
        if len(self.data) >= self.most:
            raise self.error
        some = bytes(data[: min(7, self.most - len(self.data))])
        self.data += some
        return len(some)


def test_an_object_that_takes_little_at_a_time_gets_all():
    slow = Trickle()
    record(FileSink(slow, format="RAW"))
    assert len(slow.data) == FRAMES * 4


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), ValueError("closed"), KeyError()]
)
def test_a_write_that_failed_is_final_and_says_how_much_is_out(error):
    """44 bytes of header, ten frames, and half of another."""
    file = Trickle(44 + 10 * 4 + 2, error)
    report = record(FileSink(file))
    assert bytes(file.data[:4]) == b"RIFF"
    assert len(file.data) == 44 + 10 * 4 + 2
    assert report.delivered == 10
    assert "cannot write to <Trickle>; 10 frames are saved in it" in report.error


def test_after_it_failed_nothing_more_is_written():
    file = Trickle(44 + 2, OSError(5, "Input/output error"))
    sink = sink_on(file)
    with pytest.raises(FileSinkError) as first:
        sink.write(make_chunk(0, 50))
    assert not first.value.retryable
    file.most = 10**9
    with pytest.raises(FileSinkError):
        sink.write(make_chunk(50, 50))
    sink.stop()
    assert len(file.data) == 44 + 2


def test_a_descriptor_that_does_not_wait_is_waited_for():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb") as reader, open(writing, "wb", buffering=0) as file:
        sink = sink_on(file, subtype="FLOAT")
        done = threading.Thread(target=lambda: (sink.write(make_chunk(0, 100_000)), file.close()))
        done.start()
        data = reader.read()
        done.join(60)
    assert len(data) == 58 + 100_000 * 4
    assert data[-4:] == struct.pack("<f", 99_999.0)


def test_a_file_object_is_left_open_and_where_it_is():
    memory = io.BytesIO()
    record(FileSink(memory))
    assert not memory.closed
    assert memory.tell() == len(memory.getvalue())


def test_a_start_that_fails_writes_nothing():
    memory = io.BytesIO()
    sink = sink_on(memory)
    sink.discard()
    assert memory.getvalue() == b""
    record(FileSink(memory))  # and it is free again


def test_two_sinks_do_not_share_an_object():
    memory = io.BytesIO()
    sink_on(memory)
    with pytest.raises(ConfigError, match="another sink writes to <BytesIO> already"):
        sink_on(memory)


class Pipe(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        return len(data)


@pytest.mark.parametrize(
    ("file", "settings", "words"),
    [
        (sys.__stdout__, {}, "takes text. Use sys.stdout.buffer"),
        (io.StringIO(), {}, "takes text"),
        (object(), {}, "takes a path or a binary file"),
        (Pipe(), {"format": "CAF"}, "CAF is completed at its beginning"),
        (Pipe(), {"format": "WAV", "subtype": "ULAW"}, "ULAW cannot be streamed as WAV"),
        (io.BytesIO(), {"rotate": "1h"}, "rotate is for files with a path"),
        (io.BytesIO(), {"overwrite": True}, "overwrite is for files with a path"),
        (io.BytesIO(), {"gaps": "split"}, "is for files with a path"),
        (io.BytesIO(), {"fsync": 1.0}, "fsync is for files with a path"),
        (io.BytesIO(), {"format": "nothing"}, "there is no file format"),
    ],
)
def test_what_it_cannot_do_it_says_at_once(file, settings, words):
    with pytest.raises((ConfigError, ConfigTypeError)) as raised:
        FileSink(file, **settings)
    assert words in str(raised.value)
