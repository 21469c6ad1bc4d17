"""A pipe as a source: raw PCM and WAV, whatever its head claims, and a stop that never waits."""

import io
import os
import socket
import struct
import subprocess
import sys
import threading
import time

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
    SessionStateError,
    StreamAudio,
    StreamConfig,
)
from stream_audio.sources import stream

RATE = 48_000
GIVE_UP = 30.0
UNKNOWN = 0xFFFFFFFF


def noise(frames=9_600, channels=2, seed=1):
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, channels), np.int16)


def wav(samples, *, data=None, riff=None, before=b"", after=b"", form=None, magic=b"RIFF"):
    """A WAV file of 16 bits with any sizes, and chunks before and after its audio."""
    channels = samples.shape[1]
    audio = samples.tobytes()
    form = form or struct.pack("<HHIIHH", 1, channels, RATE, RATE * 2 * channels, 2 * channels, 16)
    data = len(audio) if data is None else data
    body = b"WAVE" + before + chunk(b"fmt ", form)
    whole = len(body) + 8 + len(audio) + len(after)
    head = magic + struct.pack("<I", whole if riff is None else riff) + body
    return head + b"data" + struct.pack("<I", data) + audio + after


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def play(source, *, error="", unclear=""):
    """Record to the end; returns the samples, int16 where they are."""
    channel = ChannelSink(backlog=Backlog(2**31, when_full=None))
    builder = StreamAudio.builder().add_source("in", source).format(FormatPreset.NATIVE)
    with builder.add_sink(channel).start() as session:
        assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced
    assert error in report.sources["in"].error
    assert bool(error) == bool(report.sources["in"].error)
    assert unclear in report.sources["in"].unclear
    assert bool(unclear) == bool(report.sources["in"].unclear)
    chunks = list(channel)
    if not chunks:
        return np.zeros((0, 1), np.float32)
    return np.concatenate([chunk.data for chunk in chunks])


def assert_same(found, samples):
    np.testing.assert_array_equal(found, samples.astype(np.float32) / 2**15)


def piped(data, size=4096):
    """The reading end of a pipe that somebody writes to, piece by piece."""
    reader, writer = os.pipe()

    def write():
        with open(writer, "wb") as file:
            for start in range(0, len(data), size):
                file.write(data[start : start + size])

    threading.Thread(target=write, daemon=True).start()
    return open(reader, "rb")


# ---- what is in it ----


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_raw_pcm_arrives_whatever_the_pieces(size):
    samples = noise(300 if size == 1 else 9_600)
    with piped(samples.tobytes(), size) as file:
        assert_same(play(AudioSource.stream(file, raw=RawFormat("PCM_16", RATE, 2))), samples)


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize(
    "subtype",
    ["PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"],
)
def test_raw_samples_mean_what_libsndfile_says(subtype, endian):
    raw = RawFormat(subtype, RATE, 2, endian, offset=5)
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(), RATE, subtype, endian.upper(), "RAW")
    expected, _ = soundfile.read(
        io.BytesIO(buffer.getvalue()), dtype="float32", **raw.for_soundfile()
    )
    found = play(AudioSource.stream(io.BytesIO(b"skip!" + buffer.getvalue()), raw=raw))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
def test_wav_of_every_kind_is_read(form, subtype):
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(), RATE, subtype, format=form)
    expected, _ = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")
    np.testing.assert_array_equal(
        play(AudioSource.stream(io.BytesIO(buffer.getvalue()))), expected
    )


def test_a_wav_of_big_endian_is_read():
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(), RATE, "PCM_16", "BIG", "WAV")
    assert buffer.getvalue()[:4] == b"RIFX"
    assert_same(play(AudioSource.stream(io.BytesIO(buffer.getvalue()))), noise())


# ---- what the head claims ----


@pytest.mark.parametrize("riff", [0, 36, 0x7FFFFFFF, 0x80000024, UNKNOWN])
@pytest.mark.parametrize("data", [0, 0x7FFFF000, 0x7FFFFFDB, 0x80000000, 0xFFFFF000, UNKNOWN])
def test_a_length_that_nobody_knew_is_read_to_the_end(riff, data):
    assert_same(play(AudioSource.stream(io.BytesIO(wav(noise(), riff=riff, data=data)))), noise())


def test_a_length_in_ds64_counts_for_rf64_and_may_be_unknown():
    samples = noise()
    for length in (samples.nbytes, 0, 2**64 - 1, 2**63):
        ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, length, 0, 0))
        data = wav(samples, magic=b"RF64", riff=UNKNOWN, data=UNKNOWN, before=ds64)
        assert_same(play(AudioSource.stream(io.BytesIO(data))), samples)


def test_other_chunks_are_no_audio():
    before = chunk(b"LIST", b"INFO" + bytes(15)) + chunk(b"JUNK", bytes(28))
    after = chunk(b"LIST", b"INFO" + bytes(2000)) + chunk(b"bext", bytes(602))
    data = wav(noise(), before=before, after=after)
    with piped(data) as pipe, piped(data, 1 << 20) as another:
        for file in (io.BytesIO(data), pipe, another):
            assert_same(play(AudioSource.stream(file)), noise())
    empty = wav(noise(0), after=after)
    assert len(play(AudioSource.stream(io.BytesIO(empty)))) == 0


def test_audio_behind_a_length_that_is_too_small_is_read_and_told():
    for claim in (4, 400, noise().nbytes - 4):
        data = wav(noise(), data=claim)
        source = AudioSource.stream(io.BytesIO(data))
        assert_same(play(source, unclear=f"after the {claim // 4} frames"), noise())


def test_a_pipe_that_stays_open_ends_where_its_head_says(monkeypatch):
    monkeypatch.setattr(stream, "END_WAIT", 0.05)
    reader, writer = os.pipe()
    with open(reader, "rb") as file, open(writer, "wb", buffering=0) as end:
        writing = threading.Thread(target=end.write, args=(wav(noise()),))
        writing.start()
        assert_same(play(AudioSource.stream(file)), noise())
        writing.join()


@pytest.mark.parametrize("cut", [1, 2, 3, 1000, 20_000])
def test_a_stream_that_is_cut_short_says_so(cut):
    data = wav(noise())[:-cut]
    samples = play(AudioSource.stream(io.BytesIO(data)), error="but its head claims 9600")
    assert_same(samples, noise()[: len(samples)])
    assert len(samples) == len(noise()) - -(-cut // 4)


def test_a_stream_that_ends_within_a_frame_says_so():
    data = noise().tobytes()[:-3]
    source = AudioSource.stream(io.BytesIO(data), raw=RawFormat("PCM_16", RATE, 2))
    assert_same(play(source, unclear="ends within a frame, after 9599"), noise()[:-1])


FORM = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 4, 16)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"fLaC" + bytes(100), "does not begin with the header of a WAV"),
        (b"RIFF\0\0\0\0AVI " + bytes(100), "no WAV file"),
        (b"RIFF\0\0\0\0WAVE", "ends before its audio"),
        (wav(noise())[:40], "ends before its audio"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(100)), "what kind of audio"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", FORM[:12]), "what kind of audio"),
        (b"RIFF\0\0\0\0WAVEJUNK\xff\xff\xff\xff" + bytes(1000), "does not begin within"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"JUNK", b"") * 1001, "over 1000 chunks"),
        (wav(noise(), form=struct.pack("<HHIIHH", 1, 0, RATE, 0, 0, 16)), "0 channels"),
        (wav(noise(), form=struct.pack("<HHIIHH", 1, 65, RATE, 0, 130, 16)), "65 channels"),
        (wav(noise(), form=struct.pack("<HHIIHH", 1, 2, 0, 0, 4, 16)), "0 Hz"),
        (wav(noise(), form=struct.pack("<HHIIHH", 1, 2, RATE, 0, 0, 0)), "not supported"),
        (wav(noise(), form=struct.pack("<HHIIHH", 2, 2, RATE, 0, 1024, 4)), "tag 0x2"),
        (wav(noise(), form=struct.pack("<HHIIHH", 1, 2, RATE, 0, 3, 64)), "not supported"),
    ],
)
def test_what_is_no_wav_is_refused_at_the_start(data, words):
    with pytest.raises(FileError, match="the stream") as raised:
        play(AudioSource.stream(io.BytesIO(data)))
    assert words in str(raised.value)


def test_a_frame_size_that_is_wrong_is_not_believed():
    form = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 99, 16)
    assert_same(play(AudioSource.stream(io.BytesIO(wav(noise(), form=form)))), noise())


# ---- a read that blocks, or fails ----


class Stuck:
    """A file object whose read returns only when it is let."""

    def __init__(self, first=b""):
        self.first = first
        self.entered = threading.Event()
        self.let = threading.Event()

    def read(self, size):
        if self.first:
            data, self.first = self.first[:size], self.first[size:]
            return data
        self.entered.set()
        self.let.wait(GIVE_UP)
        return bytes(4) * (size // 4)


def open_pipe(first):
    reader, writer = os.pipe()
    os.write(writer, first)
    return open(reader, "rb"), writer


RAW = RawFormat("PCM_16", RATE, 2)


@pytest.mark.parametrize("kind", ["pipe", "socket", "object"])
def test_a_read_that_blocks_does_not_hold_a_stop_up(kind):
    before = threading.active_count()
    samples = noise(1000)
    if kind == "pipe":
        file, writer = open_pipe(samples.tobytes())
    elif kind == "socket":
        ours, theirs = socket.socketpair()
        theirs.sendall(samples.tobytes())
        file = ours.makefile("rb")
    else:
        file = Stuck(samples.tobytes())
    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("in", AudioSource.stream(file, raw=RAW))
    session = builder.format(FormatPreset.NATIVE).add_sink(channel).start()
    limit = time.monotonic() + GIVE_UP
    while not session.stats().sources["in"].callbacks and time.monotonic() < limit:
        threading.Event().wait(0.01)
    began = time.monotonic()
    report = session.stop()
    assert time.monotonic() - began < 5
    assert report.balanced
    assert report.sources["in"].error == ""
    if kind == "pipe":
        os.write(writer, b"not ours")  # what comes after the end is left to whoever reads next
        os.close(writer)
    elif kind == "socket":
        theirs.close()
    else:
        file.let.set()
    while threading.active_count() > before and time.monotonic() < limit:
        threading.Event().wait(0.01)
    assert threading.active_count() == before
    if kind == "pipe":
        assert file.read() == b"not ours"
    if kind != "object":
        file.close()
    if kind == "socket":
        ours.close()


def test_a_head_that_never_comes_is_an_error(monkeypatch):
    monkeypatch.setattr(stream, "HEAD_TIMEOUT", 0.05)
    stuck = Stuck(b"RIFF")
    source = AudioSource.stream(stuck)
    with pytest.raises(FileError, match="did not come within") as raised:
        play(source)
    assert "RawFormat" in str(raised.value)
    stuck.let.set()
    with pytest.raises(SessionStateError, match="one session"):
        play(source)


def test_a_read_that_fails_ends_the_source_with_the_reason():
    class Failing:
        calls = 0

        def read(self, size):
            self.calls += 1
            if self.calls > 3:
                raise self.error
            return bytes(400)

    for error in (OSError(5, "Input/output error"), ValueError("closed"), SystemExit(3)):
        failing = Failing()
        failing.error = error
        samples = play(AudioSource.stream(failing, raw=RAW), error=type(error).__name__)
        assert len(samples) == 300

    class Text:
        def read(self, size):
            return "text"

    play(AudioSource.stream(Text(), raw=RAW), error="returns str")


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "words"),
    [
        (("a.wav",), {}, ConfigTypeError, "file object"),
        ((io.StringIO(),), {}, ConfigTypeError, "sys.stdin.buffer"),
        ((io.BytesIO(),), {"raw": "PCM_16"}, ConfigTypeError, "RawFormat"),
        ((io.BytesIO(),), {"when_full": "raise"}, ConfigError, "block, gap"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments, settings, error, words):
    with pytest.raises(error) as raised:
        AudioSource.stream(*arguments, **settings)
    assert words in str(raised.value)


def test_a_start_that_fails_leaves_the_stream_to_the_next():
    class Broken:
        def start(self, info):
            raise OSError("no such place")

        def write(self, chunk):
            raise AssertionError

    source = AudioSource.stream(io.BytesIO(wav(noise())))
    builder = StreamAudio.builder().add_source("in", source).add_sink(Broken())
    with pytest.raises(OSError, match="no such place"):
        builder.start()
    assert_same(play(source), noise())
    with pytest.raises(SessionStateError, match="one session"):
        play(source)


def test_a_slow_sink_holds_the_pipe_up_and_nothing_is_lost():
    class Slow:
        frames = 0

        def write(self, chunk):
            time.sleep(0.001)
            self.frames += chunk.frames

    slow = Slow()
    with piped(noise(10 * RATE).tobytes()) as file:
        builder = StreamAudio.builder().format(FormatPreset.NATIVE)
        builder.add_source("in", AudioSource.stream(file, raw=RAW))
        builder.add_sink(slow, backlog="100ms").config(StreamConfig(ring_duration=0.2))
        with builder.start() as session:
            assert session.wait(GIVE_UP)
    assert (slow.frames, session.report().sources["in"].lost) == (10 * RATE, 0)


PROGRAM = """
import sys, threading
from stream_audio import AudioSource, ChannelSink, RawFormat, StreamAudio
source = AudioSource.stream(sys.stdin.buffer, raw=RawFormat("PCM_16", 48000, 2))
builder = StreamAudio.builder().add_source("in", source).add_sink(ChannelSink())
session = builder.start()
print("running", flush=True)
threading.Event().wait(0.1)
if sys.argv[1] == "stop":
    print(session.stop().balanced)
"""


@pytest.mark.parametrize("end", ["stop", "leave"])
def test_a_program_whose_standard_input_stays_silent_ends_cleanly(end):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout.readline() == "running\n"
        assert program.wait(GIVE_UP) == 0
        assert program.stdout.read() == ("True\n" if end == "stop" else "")
        assert "Fatal" not in program.stderr.read()
