"""A length in a header is a claim: all that can be decoded is read, and nothing false is said."""

import io
import os
import struct

import av
import numpy as np
import pytest
import soundfile

from stream_audio import AudioSource, FileError, FormatPreset, StreamAudio, repair, transcode
from stream_audio.files.chunks import W64_NAME_END
from stream_audio.files.examine import examine
from stream_audio.files.mending import FileBytes, MendedFile, Stream
from stream_audio.files.sound_reader import SoundReader

RATE = 48_000
FRAMES = 20_001
UNKNOWN = 2**32 - 1
GUESS = 2**31 - 1
KINDS = {
    "wav": ("WAV", "PCM_16", 2),
    "wav 24": ("WAV", "PCM_24", 1),  # of odd length
    "wav extensible": ("WAVEX", "PCM_24", 3),
    "rf64": ("RF64", "PCM_16", 2),
    "aiff": ("AIFF", "PCM_16", 2),
    "aiff 24": ("AIFF", "PCM_24", 1),
    "aiff float": ("AIFF", "FLOAT", 2),
    "caf": ("CAF", "PCM_16", 2),
    "caf 24": ("CAF", "PCM_24", 1),
    "au": ("AU", "PCM_16", 2),
    "au law": ("AU", "ULAW", 1),
    "w64": ("W64", "PCM_16", 2),
    "w64 24": ("W64", "PCM_24", 1),
}
W64_DATA = b"data\xf3\xac\xd3\x11"


def sound(kind):
    """Return a sound file, and how many bytes a frame of it has."""
    container, subtype, channels = KINDS[kind]
    stream = io.BytesIO()
    samples = np.random.default_rng(7).uniform(-0.3, 0.3, (FRAMES, channels))
    soundfile.write(stream, samples, RATE, subtype, format=container)
    sizes = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4, "ULAW": 1}
    return stream.getvalue(), sizes[subtype] * channels


def patched(data, place, layout, value):
    data = bytearray(data)
    bits = 8 * struct.calcsize(layout)
    struct.pack_into(layout, data, place, value % 2**bits)
    return bytes(data)


def with_claim(kind, data, size, around=None):
    """Have a file claim that it has ``size`` bytes of audio, or whatever it counts there."""
    around = size if around is None else around
    if kind.startswith("wav"):
        return patched(patched(data, 4, "<I", around), data.index(b"data") + 4, "<I", size)
    if kind == "rf64":
        ds64 = data.index(b"ds64")
        return patched(patched(data, ds64 + 8, "<Q", around), ds64 + 16, "<Q", size)
    if kind.startswith("aiff"):
        ssnd = size + 8 if 0 < size < GUESS else size
        frames = size if size in (0, -1, UNKNOWN) else size // sound(kind)[1]
        data = patched(data, data.index(b"COMM") + 10, ">I", frames)
        return patched(patched(data, 4, ">I", around), data.index(b"SSND") + 4, ">I", ssnd)
    if kind.startswith("caf"):
        return patched(data, data.index(b"data") + 4, ">Q", size + 4 if 0 < size < GUESS else size)
    if kind.startswith("au"):
        return patched(data, 8, ">I", size)
    place = data.index(W64_DATA) + 16
    return patched(
        patched(data, 16, "<Q", around), place, "<Q", size + 24 if 0 < size < GUESS else size
    )


def end_of_audio(kind, data, frame_bytes):
    """Return where the audio of a sound file ends."""
    starts = {"aiff": (b"SSND", 16), "caf": (b"data", 16), "w64": (W64_DATA, 24)}
    name, skipped = starts.get(kind.split()[0], (b"data", 8))
    begin = 24 if kind.startswith("au") else data.index(name) + skipped
    return begin + FRAMES * frame_bytes


@pytest.fixture
def put(tmp_path):
    def put(data, name="take"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return put


def read(path, raw=None):
    """Return the samples of a file, what is wrong, and what is unclear."""
    reader = SoundReader(str(path), raw)
    pieces = []
    try:
        while True:
            block = np.empty((5000, reader.channels), np.float32)
            frames = reader.read(block)
            pieces.append(block[:frames])
            if frames < len(block):
                break
        try:
            return np.concatenate(pieces), "", reader.check_end()
        except FileError as error:
            return np.concatenate(pieces), str(error), ""
    finally:
        reader.close()


def decoded(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def check_repair(path, expected):
    """What repair makes of a file is what was read of it, by two other readers."""
    mended = path.with_name("mended")
    report = repair(path, output=mended)
    if report.sound:
        mended = path
    assert report.frames == len(expected)
    np.testing.assert_array_equal(decoded(mended.read_bytes()), expected)
    with av.open(str(mended)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == len(expected)
    assert repair(mended, output=path.with_name("again")).sound


@pytest.mark.parametrize("claim", [0, -1, UNKNOWN])
@pytest.mark.parametrize("kind", KINDS)
def test_a_length_that_is_not_said_is_found_and_the_file_called_complete(put, kind, claim):
    data, _ = sound(kind)
    path = put(with_claim(kind, data, claim))
    samples, error, unclear = read(path)
    np.testing.assert_array_equal(samples, decoded(data))
    assert (error, unclear) == ("", "")
    check_repair(path, samples)


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_that_was_left_behind_hides_nothing_and_is_told(put, kind):
    """As a killed writer leaves it: nobody can tell whether the end is there."""
    data, frame_bytes = sound(kind)
    path = put(with_claim(kind, data, 5000 * frame_bytes))
    samples, error, unclear = read(path)
    np.testing.assert_array_equal(samples, decoded(data))
    assert error == ""
    assert "its end may be missing" in unclear
    check_repair(path, samples)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rf64"])
def test_a_guess_of_a_writer_is_no_length(put, kind):
    data, _ = sound(kind)
    path = put(with_claim(kind, data, GUESS))
    samples, error, unclear = read(path)
    np.testing.assert_array_equal(samples, decoded(data))
    assert error == ""
    assert "never corrected" in unclear
    check_repair(path, samples)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_shorter_than_it_claims_is_read_to_its_last_frame_and_not_complete(
    put, kind
):
    data, frame_bytes = sound(kind)
    end = end_of_audio(kind, data, frame_bytes)
    for cut in (1, frame_bytes, 1000 * frame_bytes + 1):
        path = put(data[: end - cut])
        samples, error, _ = read(path)
        expected = decoded(data)[: FRAMES - -(-cut // frame_bytes)]
        np.testing.assert_array_equal(samples, expected)
        assert f"ends after {len(expected)} frames" in error
        check_repair(path, samples)
        path.with_name("mended").unlink()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "law" not in kind])
def test_a_length_that_is_not_said_before_a_frame_that_is_cut(put, kind):
    data, frame_bytes = sound(kind)
    path = put(with_claim(kind, data, 0)[: end_of_audio(kind, data, frame_bytes) - 1])
    samples, error, _ = read(path)
    np.testing.assert_array_equal(samples, decoded(data)[:-1])
    assert "last frame is cut" in error
    check_repair(path, samples)


def as_decoded(path):
    """Return the diagnosis of a file, and the file as the decoder gets it, to seek in it."""
    damaged = FileBytes(os.open(path, os.O_RDONLY))
    diagnosis = examine(damaged)
    (stream,) = diagnosis.streams or (Stream(diagnosis.pieces),)
    raw = {} if stream.raw is None else stream.raw.for_soundfile()
    return diagnosis, soundfile.SoundFile(MendedFile(damaged, stream.pieces), **raw)


TAIL = {
    "aiff": b"ANNO" + struct.pack(">I", 12) + b"hello there!",
    "caf": b"info" + struct.pack(">Q", 12) + b"hello there!",
    "w64": b"list" + W64_NAME_END + struct.pack("<Q", 40) + bytes(16),
    "wav": b"LIST" + struct.pack("<I", 12) + b"INFOISFTxxxx",
}


@pytest.mark.parametrize("claim", [None, 0, -1])
@pytest.mark.parametrize("kind", ["wav", "aiff", "aiff 24", "caf", "caf 24", "w64", "w64 24"])
def test_chunks_behind_the_audio_are_no_audio_and_are_kept(put, kind, claim):
    data, frame_bytes = sound(kind)
    tail = TAIL[kind.split()[0]]
    end = end_of_audio(kind, data, frame_bytes)
    align = {"w64": 8, "caf": 1}.get(kind.split()[0], 2)
    whole = data[:end] + bytes(-end % align) + tail
    path = put(whole if claim is None else with_claim(kind, whole, claim))
    samples, error, unclear = read(path)
    np.testing.assert_array_equal(samples[:FRAMES], decoded(data))
    padding = len(samples) - FRAMES  # as long as a frame, or nearly two
    if kind.startswith("w64") and claim is not None:
        assert padding == -end % 8 // frame_bytes
    else:
        assert padding == 0
    assert error == ""
    assert unclear == "" if not padding else "may be padding" in unclear
    report = repair(path, output=path.with_name("mended"))
    assert report.frames == len(samples)
    if not report.sound:
        assert path.with_name("mended").read_bytes().endswith(tail)
        assert repair(path.with_name("mended")).sound


@pytest.mark.parametrize("kind", KINDS)
def test_tags_and_padding_behind_the_audio_are_no_audio(put, kind):
    data, _ = sound(kind)
    for behind in (b"TAG".ljust(128), bytes(512)):
        path = put(data + behind)
        samples, error, unclear = read(path)
        np.testing.assert_array_equal(samples, decoded(data))
        assert (error, unclear) == ("", "")
        assert repair(path).sound


@pytest.mark.parametrize("kind", KINDS)
def test_many_zeros_behind_the_audio_may_be_silence(put, kind):
    data, _ = sound(kind)
    samples, error, unclear = read(put(data + bytes(100_000)))
    np.testing.assert_array_equal(samples, decoded(data))
    assert error == ""
    assert "zero bytes follow" in unclear


@pytest.mark.parametrize("kind", ["wav", "aiff", "caf", "au", "w64"])
def test_silence_behind_a_length_that_was_left_behind_hides_nothing(put, kind):
    """However long it is: what follows it is audio."""
    data, frame_bytes = sound(kind)
    end = end_of_audio(kind, data, frame_bytes)
    longer = data[:end] + bytes(100_000 * frame_bytes) + data[end - 4000 : end]
    samples, _, unclear = read(put(longer))
    assert len(samples) == FRAMES + 100_000 + 4000 // frame_bytes
    assert "its end may be missing" in unclear


@pytest.mark.parametrize("kind", ["wav", "aiff", "aiff 24", "au", "caf"])
@pytest.mark.parametrize("wraps", [1, 2])
def test_sizes_that_passed_4_gib_and_began_again_are_found_out(tmp_path, kind, wraps):
    """As holes that take no room; the last frames are those of a sound file."""
    data, frame_bytes = sound(kind)
    end = end_of_audio(kind, data, frame_bytes)
    begin = end - FRAMES * frame_bytes
    hole = wraps * 2**32 // frame_bytes // 2 * 2 * frame_bytes
    size = FRAMES * frame_bytes + hole
    path = tmp_path / "take"
    with path.open("wb") as file:
        file.write(with_claim(kind, data, size % 2**32)[:begin])
        file.seek(begin + hole)
        file.write(data[begin:end])
    if kind.startswith("aiff"):  # its number of frames goes further than its sizes
        with path.open("r+b") as file:
            head = file.read(begin)
            size += 8
            head = patched(head, head.index(b"COMM") + 10, ">I", hole // frame_bytes + FRAMES)
            head = patched(head, head.index(b"SSND") + 4, ">I", size)
            file.seek(0)
            file.write(head)
    if kind == "caf":  # of 64 bits
        with path.open("r+b") as file:
            file.seek(data.index(b"data") + 4)
            file.write(struct.pack(">Q", (size + 4) % 2**32))
    diagnosis, file = as_decoded(path)
    with file:
        assert file.frames == hole // frame_bytes + FRAMES
        assert (file.channels, file.samplerate) == (KINDS[kind][2], RATE)
        file.seek(-FRAMES, os.SEEK_END)
        block = file.read(dtype="float32", always_2d=True)
        np.testing.assert_array_equal(block, decoded(data))
    assert (diagnosis.missing, diagnosis.unclear) == ("", "")


def test_an_aiff_of_more_than_4_gib_is_read_but_cannot_be_mended(tmp_path):
    data, frame_bytes = sound("aiff")
    path = tmp_path / "take.aiff"
    path.write_bytes(with_claim("aiff", data, 0))
    os.truncate(path, 2**32 + end_of_audio("aiff", data, frame_bytes))
    with pytest.raises(FileError, match=r"longer than 4 GiB; transcode reads all"):
        repair(path)
    _, file = as_decoded(path)
    with file:
        assert file.frames == FRAMES + 2**32 // frame_bytes


@pytest.mark.parametrize("kind", ["wav", "caf", "w64"])
def test_what_is_known_of_the_end_stands_in_the_report(put, kind):
    class Count:
        blocking = False
        frames = 0

        def write(self, chunk):
            self.frames += chunk.frames

    data, frame_bytes = sound(kind)
    end = end_of_audio(kind, data, frame_bytes)
    stale = with_claim(kind, data, 5000 * frame_bytes)
    for content, frames in ((data, FRAMES), (stale, FRAMES), (data[: end - 1], FRAMES - 1)):
        sink = Count()
        builder = StreamAudio.builder().format(FormatPreset.NATIVE).add_sink(sink)
        builder.add_source("file", AudioSource.file(put(content), pace="freewheel"))
        with builder.start() as session:
            session.wait()
        report = session.report()
        source = report.sources["file"]
        assert sink.frames == frames
        assert report.balanced
        assert report.complete == (content is data)
        assert bool(source.unclear) == (content is stale)
        assert bool(source.error) == (frames < FRAMES)


def test_transcode_reads_what_is_unclear_and_says_so(put, tmp_path):
    data, frame_bytes = sound("wav")
    path = put(with_claim("wav", data, 5000 * frame_bytes), "take.wav")
    report = transcode(path, tmp_path / "b.flac")
    assert soundfile.info(tmp_path / "b.flac").frames == FRAMES
    assert not report.complete
    with pytest.raises(FileError, match="ends after 4989 frames"):
        transcode(put(data[:20_000], "cut.wav"), tmp_path / "c.flac")
    assert soundfile.info(tmp_path / "c.flac").frames == (20_000 - 44) // 4
