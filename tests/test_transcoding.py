"""transcode(): every frame, in another format, or an error that says why not."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import AudioFormat, ConfigError, FileError, FormatPreset, SinkError, transcode
from stream_audio.files.libsndfile.writer import LibsndfileWriter

RATE = 48_000


def make(path, seconds=2.0, channels=2, **settings):
    random = np.random.default_rng(6)
    samples = random.integers(-9000, 9000, (round(seconds * RATE) + 11, channels), np.int16)
    soundfile.write(path, samples, RATE, **settings)
    return path, samples


def read(path):
    return soundfile.read(path, dtype="int16", always_2d=True)[0]


@pytest.mark.parametrize("start", ["a.wav", "a.flac", "a.aiff"])
@pytest.mark.parametrize("end", ["b.wav", "b.flac", "b.aiff", "b.caf", "b.rf64"])
def test_what_loses_nothing_is_the_same_bit_for_bit(tmp_path, start, end):
    path, samples = make(tmp_path / start)
    report = transcode(path, tmp_path / end)
    assert report.balanced
    assert report.sources["file"].captured == len(samples)
    np.testing.assert_array_equal(read(tmp_path / end), samples)


@pytest.mark.parametrize("end", ["b.ogg", "b.opus", "b.mp3"])
def test_what_loses_detail_has_every_frame(tmp_path, end):
    path, samples = make(tmp_path / "a.wav")
    transcode(path, tmp_path / end, quality=0.4)
    assert soundfile.info(tmp_path / end).frames == len(samples)


def test_to_what_speech_recognisers_take(tmp_path):
    path, samples = make(tmp_path / "a.flac")
    transcode(path, tmp_path / "b.wav", format=FormatPreset.TRANSCRIPTION)
    info = soundfile.info(tmp_path / "b.wav")
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    assert abs(info.frames - len(samples) / 3) <= 1


def test_options_are_those_of_a_file_sink(tmp_path):
    path, samples = make(tmp_path / "a.wav")
    transcode(path, tmp_path / "b.flac", subtype="PCM_24", rotate="1 s")
    parts = [read(part) for part in sorted(tmp_path.glob("b*.flac"))]
    assert [len(part) for part in parts] == [RATE, RATE, 11]
    np.testing.assert_array_equal(np.concatenate(parts), samples)
    (tmp_path / "c.wav").write_text("precious")
    with pytest.raises(SinkError, match="overwrite=True"):
        transcode(path, tmp_path / "c.wav")
    assert (tmp_path / "c.wav").read_text() == "precious"


def test_to_opus_at_a_rate_that_it_has(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(44_100), 44_100)
    with pytest.raises(ConfigError, match="Opus only supports"):
        transcode(path, tmp_path / "b.opus")
    transcode(path, tmp_path / "b.opus", format=AudioFormat(sample_rate=48_000))
    assert abs(soundfile.info(tmp_path / "b.opus").frames - 48_000) <= 1


def test_a_source_that_is_missing_or_none_is_said(tmp_path):
    with pytest.raises(FileError, match="No such file"):
        transcode(tmp_path / "a.wav", tmp_path / "b.wav")
    (tmp_path / "a.wav").write_text("Dear diary")
    with pytest.raises(FileError, match="as a sound file"):
        transcode(tmp_path / "a.wav", tmp_path / "b.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_source_that_ends_badly_is_said_and_what_was_good_is_kept(tmp_path):
    path, samples = make(tmp_path / "a.flac", 5.0)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(FileError, match="its last block is cut"):
        transcode(path, tmp_path / "b.wav")
    kept = read(tmp_path / "b.wav")
    assert len(kept) > 2 * RATE
    np.testing.assert_array_equal(kept, samples[: len(kept)])


def test_a_destination_that_fails_is_said(tmp_path, monkeypatch):
    path, _ = make(tmp_path / "a.wav")
    pwrite = os.pwrite

    def full(descriptor, data, offset):
        if offset + len(data) > 100_000:
            raise OSError(28, os.strerror(28))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SinkError, match="No space left"):
        transcode(path, tmp_path / "b.flac")
    assert [each.name for each in tmp_path.iterdir()] == ["a.wav"]


def test_a_destination_that_cannot_be_completed_is_not_left(tmp_path, monkeypatch):
    """All was taken, and the last block does not fit any more."""
    path, _ = make(tmp_path / "a.wav")
    (tmp_path / "b.flac").write_text("old")
    close = LibsndfileWriter.close

    def full(writer):
        close(writer)
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(LibsndfileWriter, "close", full)
    with pytest.raises(SinkError, match="No space left"):
        transcode(path, tmp_path / "b.flac", overwrite=True, ledger=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.wav", "b.flac"]
    assert (tmp_path / "b.flac").read_text() == "old"


@pytest.mark.parametrize("old", [False, True])
def test_what_ends_it_leaves_nothing_half(tmp_path, old):
    """Ctrl-C as any other exception; a file that was there is as it was."""
    path, _ = make(tmp_path / "a.wav", 60.0)
    if old:
        (tmp_path / "b.flac").write_text("old")

    def press(frames, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transcode(path, tmp_path / "b.flac", overwrite=old, ledger=True, progress=press)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.wav", "b.flac"][: 1 + old]
    if old:
        assert (tmp_path / "b.flac").read_text() == "old"


def test_a_real_ctrl_c_leaves_nothing_half(tmp_path):
    path, _ = make(tmp_path / "a.wav", 60.0)
    program = f"""
from stream_audio import transcode
tell = lambda *_: print(flush=True)
transcode({str(path)!r}, {str(tmp_path / "b.mp3")!r}, progress=tell)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert [each.name for each in tmp_path.iterdir()] == ["a.wav"]


def test_progress_goes_up_to_all_of_it(tmp_path):
    path, samples = make(tmp_path / "a.wav", 30.0)
    told = []
    transcode(path, tmp_path / "b.flac", progress=lambda *how: told.append(how))
    frames = [done for done, _ in told]
    assert frames == sorted(frames)
    assert {total for _, total in told} == {len(samples)}
    assert told[-1] == (len(samples), len(samples))


@pytest.mark.parametrize("target", ["a.wav", "./a.wav", "link.wav", "same.wav"])
def test_a_file_is_not_transcoded_onto_itself(tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    path, samples = make(tmp_path / "a.wav")
    os.link(path, "same.wav")
    os.symlink(path, "link.wav")
    with pytest.raises(SinkError, match="reads that file"):
        transcode("a.wav", target, format=AudioFormat(16_000), overwrite=True)
    np.testing.assert_array_equal(read(path), samples)
    assert sorted(os.listdir()) == ["a.wav", "link.wav", "same.wav"]


def test_what_was_mended_can_be_transcoded(tmp_path):
    path, samples = make(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    path.write_bytes(data)
    mended = stream_audio.repair(path).output
    transcode(mended, tmp_path / "b.flac")
    np.testing.assert_array_equal(read(tmp_path / "b.flac"), samples)
