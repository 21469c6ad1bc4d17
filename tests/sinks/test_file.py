"""The file sink: the file's time is real time, and an error says what to do about it."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioChunk,
    ConfigError,
    ConfigTypeError,
    FileSink,
    Gap,
    GapCause,
    Sink,
    SinkError,
    SinkInfo,
    SourceInfo,
)
from stream_audio.files import create, wav

RATE = 8000


def info(*ids, sample_rate=RATE, channels=1):
    return SinkInfo("file", tuple(SourceInfo(one, sample_rate, channels) for one in ids))


def chunk(frame, samples, *missing):
    """Return a chunk of 16-bit integers; ``missing`` are the lengths of the gaps before it."""
    gaps = []
    start = frame - sum(missing)
    for frames in missing:
        gaps.append(Gap("mic", start, frames, GapCause.RING_FULL, start / RATE))
        start += frames
    data = np.float32([[sample / 2**15] for sample in samples])
    return AudioChunk("mic", data, RATE, frame, frame / RATE, 0.0, tuple(gaps))


def started(path, **kwargs):
    sink = FileSink(path, **kwargs)
    sink.start(info("mic"))
    return sink


def integers(path):
    return soundfile.read(path, dtype="int16")[0].tolist()


def test_it_is_a_sink_that_may_block():
    sink = FileSink("a.wav")
    assert isinstance(sink, Sink)
    assert getattr(sink, "blocking", True)


@pytest.mark.parametrize("as_path", [str, Path])
def test_the_chunks_are_in_the_file(tmp_path, as_path):
    path = tmp_path / "a.wav"
    sink = started(as_path(path))
    sink.write(chunk(0, [1, 2, 3]))
    sink.write(chunk(3, [4, 5]))
    assert sink.frames == 5
    sink.stop()
    assert integers(path) == [1, 2, 3, 4, 5]
    assert sink.frames == 5


def test_the_file_has_the_format_of_the_source(tmp_path):
    path = tmp_path / "a.wav"
    sink = FileSink(path, subtype="FLOAT")
    sink.start(info("mic", sample_rate=96_000, channels=6))
    sink.stop()
    found = soundfile.info(path)
    assert (found.samplerate, found.channels, found.subtype) == (96_000, 6, "FLOAT")


def test_nothing_is_created_before_the_start(tmp_path):
    FileSink(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_gap_is_filled_with_silence(tmp_path):
    path = tmp_path / "a.wav"
    sink = started(path)
    sink.write(chunk(2, [3], 2))
    sink.write(chunk(6, [7], 1, 2))  # two gaps
    assert sink.frames == 7
    sink.stop()
    assert integers(path) == [0, 0, 3, 0, 0, 0, 7]


def test_a_gap_can_be_left_out(tmp_path):
    path = tmp_path / "a.wav"
    sink = started(path, gaps="skip")
    sink.write(chunk(2, [3], 2))
    sink.write(chunk(6, [7], 1, 2))
    assert sink.frames == 2
    sink.stop()
    assert integers(path) == [3, 7]


def test_several_sources_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="one source") as caught:
        FileSink(tmp_path / "a.wav").start(info("mic", "speaker"))
    assert "mic" in str(caught.value)
    assert "speaker" in str(caught.value)
    assert 'sources="' in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_an_error_that_says_how_to_replace_it(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("precious")
    with pytest.raises(SinkError, match="cannot create") as caught:
        started(path)
    assert str(path) in str(caught.value)
    assert caught.value.host_text == os.strerror(errno.EEXIST)
    assert "overwrite=True" in caught.value.hint
    assert path.read_text() == "precious"


def test_an_existing_file_is_replaced_if_asked(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 10_000)
    sink = started(path, overwrite=True)
    sink.write(chunk(0, [1]))
    sink.stop()
    assert integers(path) == [1]


def test_a_missing_folder_is_an_error_that_says_to_create_it(tmp_path):
    with pytest.raises(SinkError, match="cannot create") as caught:
        started(tmp_path / "missing" / "a.wav")
    assert caught.value.hint == "Create the folder first"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_of_that_name_is_an_error_that_says_to_name_a_file(tmp_path, overwrite):
    path = tmp_path / "a.wav"
    path.mkdir()
    with pytest.raises(SinkError, match="cannot create") as caught:
        started(path, overwrite=overwrite)
    assert caught.value.hint == "Give the name of a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError) as caught:
        started(tmp_path / "a.wav")
    assert caught.value.hint == "Choose a folder that you may write to"


FAILURES = [
    (errno.EACCES, "Choose a folder that you may write to"),
    (errno.EPERM, "Choose a folder that you may write to"),
    (errno.ENOSPC, "Free some space; what was recorded so far is complete"),
    (errno.EIO, ""),
]


@pytest.mark.parametrize(("number", "hint"), FAILURES)
def test_what_the_system_says_when_the_file_cannot_be_created(tmp_path, monkeypatch, number, hint):
    def refuse(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(create.os, "open", refuse)
        with pytest.raises(SinkError, match="cannot create") as caught:
            started(tmp_path / "a.wav")
    assert (caught.value.host_text, caught.value.hint) == (os.strerror(number), hint)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("number", "retryable"),
    [
        (errno.ENOSPC, False),
        (errno.EDQUOT, False),
        (errno.EROFS, False),
        (errno.EBADF, False),
        (errno.EIO, True),
        (errno.EAGAIN, True),
    ],
)
def test_only_what_may_pass_is_tried_again(tmp_path, monkeypatch, number, retryable):
    path = tmp_path / "a.wav"
    sink = started(path)
    sink.write(chunk(0, [1]))

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(wav.os, "pwrite", refuse)
        with pytest.raises(SinkError, match="cannot write to") as caught:
            sink.write(chunk(3, [4], 2))
    assert caught.value.retryable is retryable
    assert caught.value.host_text == os.strerror(number)
    assert sink.frames == 1
    # The same chunk comes again, its gap with it.
    sink.write(chunk(3, [4], 2))
    sink.stop()
    assert integers(path) == [1, 0, 0, 4]


def test_a_file_that_cannot_be_completed(tmp_path, monkeypatch):
    sink = started(tmp_path / "a.wav")

    def refuse(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(wav.os, "pwrite", refuse)
        with pytest.raises(SinkError, match="cannot complete"):
            sink.stop()
    sink.stop()  # does nothing twice


@pytest.mark.parametrize("when", ["before the start", "after the stop"])
def test_a_closed_file_takes_nothing(tmp_path, when):
    sink = FileSink(tmp_path / "a.wav")
    if when == "after the stop":
        sink.start(info("mic"))
        sink.stop()
    with pytest.raises(SinkError, match="not open") as caught:
        sink.write(chunk(0, [1]))
    assert not caught.value.retryable


def test_it_may_be_stopped_without_a_start(tmp_path):
    FileSink(tmp_path / "a.wav").stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["a.wav", "A.WAV", "a.b.wave"])
def test_the_ending_tells_the_format(path):
    sink = FileSink(path)
    assert sink.path == Path(path)
    assert sink.name == path


@pytest.mark.parametrize("path", ["a.xyz", "a", "wav", ".wav/a"])
def test_an_ending_that_tells_nothing(path):
    with pytest.raises(ConfigError, match="file format") as caught:
        FileSink(path)
    assert ".wav" in caught.value.hint


@pytest.mark.parametrize("path", [None, 3, b"a.wav"])
def test_only_a_path_will_do(path):
    with pytest.raises(ConfigTypeError, match="takes a path"):
        FileSink(path)


@pytest.mark.parametrize("setting", [{"subtype": "PCM_8"}, {"gaps": "noise"}])
def test_a_choice_that_does_not_exist(setting):
    (name,) = setting
    with pytest.raises(ConfigError, match=name):
        FileSink("a.wav", **setting)
