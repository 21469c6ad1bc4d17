"""A sound file as a source: exact, in step with the clock or as fast as it goes, and honest."""

import os
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    FileError,
    FormatPreset,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock

GIVE_UP = 60.0
START = 1000.0
"""What a virtual clock says at first."""

FORMATS = {
    "a.wav": ("WAV", "PCM_16", 48_000, 2),
    "b.wav": ("WAV", "MS_ADPCM", 22_050, 1),
    "c.wav": ("WAVEX", "PCM_24", 96_000, 6),
    "a.rf64": ("RF64", "FLOAT", 44_100, 2),
    "a.flac": ("FLAC", "PCM_24", 48_000, 2),
    "a.ogg": ("OGG", "VORBIS", 44_100, 2),
    "a.opus": ("OGG", "OPUS", 48_000, 1),
    "a.mp3": ("MP3", "MPEG_LAYER_III", 32_000, 2),
    "a.aiff": ("AIFF", "PCM_S8", 8_000, 1),
    "a.caf": ("CAF", "ALAC_16", 48_000, 2),
    "a.au": ("AU", "ULAW", 8_000, 1),
}


def make(path, seconds=1.3, form=None, seed=1):
    """Write a sound file of noise, of a length that is no multiple of anything."""
    container, subtype, rate, channels = form or FORMATS[path.name]
    random = np.random.default_rng(seed)
    samples = random.uniform(-0.4, 0.4, (round(seconds * rate) + 7, channels))
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=container) as file:
        for start in range(0, len(samples), 4096):
            file.write(samples[start : start + 4096].astype(np.float32))
    return path


def decoded(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def play(source, **config):
    """Run a session with one source to its end; returns the samples and the report."""
    channel = ChannelSink(backlog=Backlog(2**31))
    builder = StreamAudio.builder().add_source("file", source).format(FormatPreset.NATIVE)
    session = builder.add_sink(channel).config(StreamConfig(**config)).start()
    with session:
        chunks = list(channel)
    pieces = [chunk.data for chunk in chunks]
    report = session.report()
    assert report.balanced, report
    return (np.concatenate(pieces) if pieces else np.zeros((0, 1), np.float32)), report


# ---- exact ----


@pytest.mark.parametrize("pace", ["real_time", "freewheel"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_frame_of_every_format_arrives(tmp_path, name, pace):
    path = make(tmp_path / name)
    samples, report = play(AudioSource.file(path, pace=pace), clock=VirtualClock())
    np.testing.assert_array_equal(samples, decoded(path))
    source = report.sources["file"]
    _, _, rate, channels = FORMATS[name]
    assert (source.sample_rate, source.channels) == (rate, channels)
    assert (source.lost, source.error) == (0, "")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.caf"])
def test_a_loop_is_exact_to_the_frame(tmp_path, name):
    """Three times round, and a little: nothing is missing or doubled where it begins again."""
    path = make(tmp_path / name)
    once = decoded(path)
    rate = FORMATS[name][2]
    frames = 3 * len(once) + 1001
    source = AudioSource.file(path, pace="freewheel", loop=True)
    channel = ChannelSink(backlog=Backlog(2**31))
    builder = StreamAudio.builder().add_source("file", source).format(FormatPreset.NATIVE)
    with builder.add_sink(channel).duration(frames / rate).start() as session:
        samples = np.concatenate([chunk.data for chunk in channel])
    assert session.report().balanced
    expected = np.concatenate([once] * 4)[:frames]
    np.testing.assert_array_equal(samples, expected)


def test_a_loop_goes_on_until_it_is_stopped(tmp_path):
    path = make(tmp_path / "a.wav", 0.01)
    once = decoded(path)
    channel = ChannelSink()
    source = AudioSource.file(path, pace="freewheel", loop=True)
    with stream_audio.open(source, sinks=[channel], format=FormatPreset.NATIVE) as session:
        for chunk in channel:
            if chunk.end > 50 * len(once):
                break
        report = session.stop()
    assert report.balanced
    assert report.sources["default"].captured > 50 * len(once)
    assert report.sources["default"].error == ""


def test_the_session_ends_with_the_file(tmp_path):
    path = make(tmp_path / "a.wav")
    source = AudioSource.file(path, pace="freewheel")
    with stream_audio.open(source, sinks=[ChannelSink()], format=FormatPreset.NATIVE) as session:
        assert session.wait(GIVE_UP)


def test_a_source_can_be_played_again(tmp_path):
    source = AudioSource.file(make(tmp_path / "a.wav"), pace="freewheel")
    first, _ = play(source)
    second, _ = play(source)
    np.testing.assert_array_equal(first, second)


def test_two_sessions_may_play_one_file_at_a_time(tmp_path):
    path = make(tmp_path / "a.flac")
    builder = StreamAudio.builder().format(FormatPreset.NATIVE)
    channels = [ChannelSink(backlog=Backlog(2**30)) for _ in "ab"]
    for name, channel in zip("ab", channels, strict=True):
        builder.add_source(name, AudioSource.file(path, pace="freewheel"))
        builder.add_sink(channel, sources=name)
    with builder.start():
        for channel in channels:
            samples = np.concatenate([chunk.data for chunk in channel])
            np.testing.assert_array_equal(samples, decoded(path))


# ---- pace ----


def test_in_real_time_each_chunk_comes_when_it_would_have_been_captured(tmp_path):
    path = make(tmp_path / "a.wav", 3.0)
    channel = ChannelSink(backlog=Backlog(2**30))
    builder = StreamAudio.builder().add_source("file", AudioSource.file(path))
    builder.format(FormatPreset.NATIVE).add_sink(channel)
    with builder.config(StreamConfig(clock=VirtualClock())).start():
        chunks = list(channel)
    late = np.array([chunk.arrival - START - chunk.end / chunk.sample_rate for chunk in chunks])
    assert late.min() >= -1e-6
    assert late.max() < 0.011  # a period
    assert [chunk.frame for chunk in chunks] == [4800 * at for at in range(len(chunks))]


def test_real_time_is_real(tmp_path):
    path = make(tmp_path / "a.wav", 0.5)
    started = time.monotonic()
    play(AudioSource.file(path))
    assert 0.5 <= time.monotonic() - started < GIVE_UP


def test_a_small_ring_and_a_slow_sink_lose_nothing_of_a_freewheeling_file(tmp_path):
    """The feeder waits for room. The sink is written to on the router's thread, and is slow."""

    class Slow:
        blocking = False

        def __init__(self, clock):
            self.clock = clock
            self.pieces = []

        def write(self, chunk):
            self.clock.sleep(0.03)
            self.pieces.append(chunk.data)

    path = make(tmp_path / "a.flac", 5.0)
    clock = VirtualClock()
    sink = Slow(clock)
    source = AudioSource.file(path, pace="freewheel")
    builder = StreamAudio.builder().add_source("file", source).format(FormatPreset.NATIVE)
    config = StreamConfig(clock=clock, ring_duration=0.02)
    with builder.add_sink(sink).config(config).start() as session:
        assert session.wait(GIVE_UP)
    assert session.report().balanced
    assert session.report().sources["file"].lost == 0
    np.testing.assert_array_equal(np.concatenate(sink.pieces), decoded(path))


@pytest.mark.parametrize("limit", ["300 ms", "32 MiB"])
def test_a_slow_sink_of_its_own_thread_holds_the_file_up_and_loses_nothing(tmp_path, limit):
    """However long it takes for what waits at the end: nobody has asked for a stop."""

    class Slow:
        def __init__(self, clock):
            self.clock = clock
            self.pieces = []

        def write(self, chunk):
            self.clock.sleep(0.2)
            self.pieces.append(chunk.data)

    path = make(tmp_path / "a.flac", 20.0)
    clock = VirtualClock()
    sink = Slow(clock)
    source = AudioSource.file(path, pace="freewheel")
    builder = StreamAudio.builder().add_source("file", source).format(FormatPreset.NATIVE)
    builder.add_sink(sink, backlog=Backlog(limit)).config(StreamConfig(clock=clock))
    with builder.start() as session:
        assert session.wait(GIVE_UP)
    assert session.report().balanced
    assert session.report().sinks["Slow"].dropped == 0
    np.testing.assert_array_equal(np.concatenate(sink.pieces), decoded(path))


def test_a_file_in_real_time_waits_for_room_too(tmp_path):
    path = make(tmp_path / "a.wav", 1.0)
    samples, report = play(
        AudioSource.file(path), clock=VirtualClock(), ring_duration=0.01, chunk_duration=0.001
    )
    assert report.sources["file"].lost == 0
    np.testing.assert_array_equal(samples, decoded(path))


def test_virtual_runs_are_the_same_to_the_nanosecond(tmp_path):
    path = make(tmp_path / "a.mp3")

    def run():
        channel = ChannelSink(backlog=Backlog(2**30))
        builder = StreamAudio.builder().add_source("file", AudioSource.file(path))
        builder.format(FormatPreset.NATIVE).add_sink(channel)
        with builder.config(StreamConfig(clock=VirtualClock())).start():
            return [(chunk.frame, chunk.arrival) for chunk in channel]

    assert run() == run()


def test_a_stop_in_the_middle_keeps_what_was_played(tmp_path):
    path = make(tmp_path / "a.wav", 20.0)
    clock = VirtualClock(auto=False)
    channel = ChannelSink(backlog=Backlog(2**30))
    builder = StreamAudio.builder().add_source("file", AudioSource.file(path))
    builder.format(FormatPreset.NATIVE).add_sink(channel)
    with builder.config(StreamConfig(clock=clock)).start() as session:
        clock.advance(2.0)
        report = session.stop()
    samples = np.concatenate([chunk.data for chunk in channel])
    assert report.balanced
    assert 1.9 * 48_000 < len(samples) <= 2.0 * 48_000
    np.testing.assert_array_equal(samples, decoded(path)[: len(samples)])


def test_an_hour_takes_no_more_memory_than_a_minute(tmp_path):
    """In processes of their own: the most that each ever had."""
    peaks = []
    for seconds in (60, 3600):
        path = tmp_path / f"{seconds}.wav"
        make(path, 0.001, ("WAV", "PCM_16", 16_000, 1))
        size = seconds * 32_000
        data = bytearray(path.read_bytes())
        data[4:8], data[40:44] = struct.pack("<I", size + 36), struct.pack("<I", size)
        path.write_bytes(data)
        os.truncate(path, 44 + size)  # silence that takes no room
        program = f"""
import resource
from stream_audio import AudioSource, FormatPreset, open

class Nothing:
    blocking = False
    frames = 0
    def write(self, chunk):
        self.frames += chunk.frames

sink = Nothing()
source = AudioSource.file({str(path)!r}, pace="freewheel")
with open(source, sinks=[sink], format=FormatPreset.NATIVE) as session:
    session.wait()
assert sink.frames == {seconds * 16_000}, sink.frames
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
        done = subprocess.run(
            [sys.executable, "-c", program], timeout=GIVE_UP, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 8 * 1024  # KiB


# ---- settings, and files that are none ----


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [((None,), {}), ((7,), {}), (("a.wav",), {"loop": "yes"}), (("a.wav",), {"pace": 3})],
)
def test_types_are_checked_where_they_are_said(arguments, settings):
    with pytest.raises(ConfigTypeError):
        AudioSource.file(*arguments, **settings)


def test_the_pace_is_one_of_two():
    with pytest.raises(ConfigError, match="real_time, freewheel"):
        AudioSource.file("a.wav", pace="fast")


def refused(path):
    """Return the error that a file ends the start of a session with."""
    with pytest.raises(FileError) as caught:
        stream_audio.open(
            AudioSource.file(path), sinks=[ChannelSink()], format=FormatPreset.NATIVE
        )
    return str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    said = refused(tmp_path / "missing.wav")
    assert "missing.wav" in said
    assert "No such file" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said(tmp_path):
    path = make(tmp_path / "a.wav")
    path.chmod(0)
    assert "Permission denied" in refused(path)


def test_folders_pipes_and_null_bytes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path)
    assert "embedded null" in refused("a\0.wav")


NO_SOUND = {
    "it is empty": b"",
    "nothing but zeros, 5000 of them": bytes(5000),
    "its first 4100 bytes are zeros": bytes(4100) + b"\1" * 900,
    "looks like text": "Dear diary, schöner Tag".encode(),
    "looks like a web page": b"<!DOCTYPE html><html>Not found</html>",
    "looks like MPEG-4 audio": b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(100),
    "looks like MPEG-4 audio or video": b"\0\0\0\x20ftypisom\0\0\0\0" + bytes(100),
    "looks like Matroska or WebM": b"\x1aE\xdf\xa3" + bytes(100),
    "looks like Windows Media": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "looks like AAC": bytes.fromhex("fff15080027ffc") + bytes(12) + bytes.fromhex("fff1508002"),
    "looks like an AVI movie": b"RIFF\x64\0\0\0AVI LIST" + bytes(90),
    "looks like a ZIP archive": b"PK\3\4" + bytes(100),
    "looks like a MIDI file": b"MThd\0\0\0\6" + bytes(20),
    "looks like Ogg with Speex": b"OggS" + bytes(24) + b"Speex   " + bytes(100),
    "looks like Ogg that is cut short": b"OggS" * 50,
    "ends before its audio begins": b"RIFF\x24\0\0\0WAVEfmt ",
    "its header is incomplete": b"fLaC\0\0\0\x22\x10\0",
}


@pytest.mark.parametrize("what", NO_SOUND)
def test_what_is_no_sound_file_is_said_with_what_it_is(tmp_path, what):
    path = tmp_path / "a.wav"
    path.write_bytes(NO_SOUND[what])
    said = refused(path)
    assert f"cannot read {path} as a sound file: " in said
    assert what in said
    assert "the host says: " in said
    assert "repair" not in said  # it could not help
    with pytest.raises(FileError, match=what):
        stream_audio.repair(path)


def test_noise_is_offered_to_be_read_as_samples(tmp_path):
    path = tmp_path / "a.pcm"
    path.write_bytes(np.random.default_rng(1).bytes(10_000))
    assert "raw=RawFormat(" in refused(path)
    with pytest.raises(FileError, match="raw=RawFormat"):
        stream_audio.repair(path)


def test_too_many_channels_are_said(tmp_path):
    path = make(tmp_path / "many.wav", 0.1, ("WAV", "PCM_16", 48_000, 65))
    assert "65 channels" in refused(path)


def test_a_rate_beyond_measure_is_said(tmp_path):
    path = make(tmp_path / "fast.wav", 0.001, ("WAV", "PCM_16", 1_000_000, 1))
    assert "1000000 Hz" in refused(path)


def test_an_empty_file_ends_at_once_and_cannot_loop(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0, np.int16), 48_000)
    samples, report = play(AudioSource.file(path))
    assert (len(samples), report.sources["file"].position) == (0, 0)
    with pytest.raises(FileError, match="no frames"):
        play(AudioSource.file(path, loop=True))


def test_a_name_that_is_no_text_can_be_played(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    os.rename(make(tmp_path / "a.wav"), path)
    samples, _ = play(AudioSource.file(os.fsdecode(path), pace="freewheel"))
    assert len(samples) == 62_407


# ---- damaged files ----


def test_a_file_that_turns_bad_in_its_middle_ends_the_source_with_the_reason(tmp_path):
    path = make(tmp_path / "a.flac", 10.0)
    whole = decoded(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5000] = bytes(5000)
    path.write_bytes(data)
    samples, report = play(AudioSource.file(path, pace="freewheel"))
    assert 0.45 * len(whole) < len(samples) < 0.51 * len(whole)
    good = len(samples) - 4096  # the decoder notices after a block of its own making
    np.testing.assert_array_equal(samples[:good], whole[:good])
    source = report.sources["file"]
    assert f"beyond frame {len(samples)} of {len(whole)}" in source.error
    assert "the host says" in source.error
    assert source.lost == 0


def flac_with_total(path, total):
    """Have a FLAC file claim another length."""
    data = bytearray(path.read_bytes())
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
    data[18:26] = fields.to_bytes(8, "big")
    path.write_bytes(data)


@pytest.mark.parametrize("total", [0, 1, 30_000, 62_407, 120_000, 2**36 - 1])
@pytest.mark.parametrize("behind", [b"", bytes(3000), b"TAG".ljust(128), b"not audio " * 30])
def test_a_whole_flac_is_read_to_its_end_whatever_its_header_says(tmp_path, total, behind):
    path = make(tmp_path / "a.flac")
    whole = decoded(path)
    flac_with_total(path, total)
    path.write_bytes(path.read_bytes() + behind)
    samples, report = play(AudioSource.file(path, pace="freewheel"))
    np.testing.assert_array_equal(samples, whole)
    assert report.complete, report  # its last block is a short one, as only a last one is


@pytest.mark.parametrize("total", [0, 5000, 62_407, 2**36 - 1])
def test_a_flac_that_is_cut_is_read_to_its_last_whole_block_and_never_called_complete(
    tmp_path, total
):
    path = make(tmp_path / "a.flac")
    whole = decoded(path)
    flac_with_total(path, total)
    size = path.stat().st_size
    for cut in (size - 1, size // 2, size // 3):
        os.truncate(path, cut)
        samples, report = play(AudioSource.file(path, pace="freewheel"))
        assert len(samples) == len(whole) * cut // size // 4096 * 4096
        np.testing.assert_array_equal(samples, whole[: len(samples)])
        assert "block is cut" in report.sources["file"].error
        assert not report.complete
        assert stream_audio.repair(path, output=tmp_path / f"{cut}.flac").frames == len(samples)


def test_a_flac_that_may_have_been_cut_between_blocks_is_not_called_complete(tmp_path):
    """Nobody can tell: its length is not said, and its last block is a full one."""
    path = make(tmp_path / "a.flac", (2 * 4096 - 7) / 48_000)
    whole = decoded(path)
    assert len(whole) == 2 * 4096
    for total, said in ((0, "does not say how long"), (4096, "claims 4096 frames only")):
        flac_with_total(path, total)
        samples, report = play(AudioSource.file(path, pace="freewheel"))
        np.testing.assert_array_equal(samples, whole)
        assert report.sources["file"].error == ""
        assert said in report.sources["file"].unclear
        assert not report.complete
        assert "unclear: " in str(report)


def test_an_error_keeps_no_memoryview_alive(tmp_path):
    """CPython 3.11 crashes when the garbage collector breaks a cycle with one in a traceback."""
    from stream_audio.files.sound_reader import SoundReader

    path = make(tmp_path / "a.flac", 10.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(5000) + data[len(data) // 2 + 5000 :])
    reader = SoundReader(str(path))
    samples = np.zeros((16_384, 2), np.float32)

    def read_to_the_end():
        while reader.read(samples):
            pass
        reader.check_end()

    with pytest.raises(FileError) as caught:
        read_to_the_end()
    reader.close()
    held = []
    error = caught.value
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            held += traceback.tb_frame.f_locals.values()
            traceback = traceback.tb_next
        error = error.__cause__
    assert any(value is samples for value in held)
    assert not any(isinstance(value, memoryview) for value in held)


@pytest.mark.parametrize("pace", ["real_time", "freewheel"])
def test_a_loop_over_a_bad_file_ends(tmp_path, pace):
    path = make(tmp_path / "a.flac", 10.0)
    os.truncate(path, path.stat().st_size // 2)
    source = AudioSource.file(path, pace=pace, loop=True)
    _, report = play(source, clock=VirtualClock())
    assert report.sources["file"].error


def test_a_flac_that_does_not_say_its_length_is_played_to_its_end(tmp_path):
    path = make(tmp_path / "a.flac")
    whole = decoded(path)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    samples, report = play(AudioSource.file(path, pace="freewheel"))
    np.testing.assert_array_equal(samples, whole)
    assert report.sources["file"].error == ""


def test_a_flac_without_length_and_audio_is_refused(tmp_path):
    path = make(tmp_path / "a.flac")
    data = bytearray(path.read_bytes()[:86])
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert "ends before its audio begins" in refused(path)


def test_a_truncated_wav_is_played_as_far_as_it_goes(tmp_path):
    path = make(tmp_path / "a.wav")
    whole = decoded(path)
    os.truncate(path, 44 + 4 * 10_000 + 3)
    samples, _ = play(AudioSource.file(path, pace="freewheel"))
    np.testing.assert_array_equal(samples, whole[:10_000])


def test_a_read_that_fails_ends_the_source(tmp_path, monkeypatch):
    """A disk that breaks, for example."""
    from stream_audio.files.sound_reader import SoundReader

    def broken(self, samples):
        raise MemoryError("no memory for a block")

    path = make(tmp_path / "a.wav")
    monkeypatch.setattr(SoundReader, "read", broken)
    _, report = play(AudioSource.file(path, pace="freewheel"))
    assert "no memory for a block" in report.sources["file"].error


def test_damage_of_any_kind_is_an_error_or_an_end(tmp_path):
    """In a process of its own, so that a crash of a decoder fails this test and not the run."""
    for name in ("a.wav", "c.wav", "a.rf64", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.au"):
        make(tmp_path / name, 0.2)
    program = f"""
import random
from pathlib import Path
from stream_audio import AudioSource, FileError, FormatPreset, StreamAudio

class Count:
    blocking = False
    frames = 0
    def write(self, chunk):
        self.frames += chunk.frames

pick = random.Random(8)
played = refused = ended = 0
for path in sorted(Path({str(tmp_path)!r}).iterdir()):
    whole = path.read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(pick.choice((1, 2, 8, 64))):
            place = pick.randrange(min(len(data), pick.choice((48, 200, 4000, 10**6))))
            data[place] = pick.choice((0, 1, 0x7F, 0x80, 0xFF, pick.randrange(256)))
        if pick.random() < 0.3:
            del data[pick.randrange(len(data)) :]
        damaged = path.with_suffix(".damaged")
        damaged.write_bytes(data)
        sink = Count()
        builder = StreamAudio.builder().format(FormatPreset.NATIVE).add_sink(sink)
        builder.add_source("file", AudioSource.file(damaged, pace="freewheel"))
        try:
            with builder.duration(30).start() as session:
                assert session.wait(60), "it hangs"
        except FileError:
            refused += 1
            continue
        report = session.report()
        assert report.balanced, report
        played += 1
        ended += bool(report.sources["file"].error)
    damaged.unlink()
print(played, refused, ended)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=5 * GIVE_UP, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    played, refused_files, ended_early = map(int, done.stdout.split())
    assert min(played, refused_files, ended_early) > 10
