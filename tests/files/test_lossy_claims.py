"""MP3 without a count of its frames, Ogg streams in a chain: all that can be decoded is read."""

import io
import itertools
import struct

import av
import numpy as np
import pytest
import soundfile

from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    FileError,
    FormatPreset,
    StreamAudio,
    repair,
)
from stream_audio.files.mending import FileBytes
from stream_audio.files.mp3_damage import _kind
from stream_audio.files.ogg_damage import page_sum
from stream_audio.files.sound_reader import SoundReader

SECOND = 44_100


def mp3(*loudness, rate=SECOND, channels=2, mode="VARIABLE"):
    """Return an MP3 file of a second of noise of each loudness."""
    stream = io.BytesIO()
    random = np.random.default_rng(2)
    with soundfile.SoundFile(
        stream, "w", rate, channels, "MPEG_LAYER_III", format="MP3", bitrate_mode=mode
    ) as file:
        for level in loudness:
            file.write(
                random.normal(0, level, (rate, channels)) if level else np.zeros((rate, channels))
            )
    return stream.getvalue()


def first_length(data):
    return _kind(data[1] << 8 | data[2]).length


def blocks(data):
    """Return how many frames of MPEG audio there are, and where the last ones end."""
    ends, position = [], 0
    while position + 4 <= len(data):
        position += first_length(data[position:])
        ends.append(position)
    return ends


def ogg(subtype, frames=50_001, channels=2, rate=48_000, seed=1):
    stream = io.BytesIO()
    samples = np.random.default_rng(seed).uniform(-0.3, 0.3, (frames, channels))
    soundfile.write(stream, samples, rate, subtype, format="OGG")
    return stream.getvalue()


def pages(data):
    """Return where each page of an Ogg file begins, and the end."""
    starts = [0]
    while starts[-1] < len(data):
        at = starts[-1]
        count = data[at + 26]
        starts.append(at + 27 + count + sum(data[at + 27 : at + 27 + count]))
    return starts


def summed(page):
    page = page[:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", page_sum(page)) + page[26:]


def decoded(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def by_ffmpeg(path):
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


@pytest.fixture
def put(tmp_path):
    def put(data, name="take"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return put


def read(path):
    """Return the samples of a file, what is wrong, and what is unclear."""
    reader = SoundReader(str(path))
    block = np.empty((5000, reader.channels), np.float32)
    pieces = []
    try:
        while True:
            frames = reader.read(block)
            pieces.append(block[:frames].copy())
            if frames < len(block):
                break
        try:
            return np.concatenate(pieces), "", reader.check_end()
        except FileError as error:
            return np.concatenate(pieces), str(error), ""
    finally:
        reader.close()


# ---- MP3 ----

UNCOUNTED = {
    "loud, then silent": ((0.2, 0, 0), {}),
    "silent, then loud": ((0, 0.2, 0.2), {}),
    "constant": ((0.2, 0, 0.1), {"mode": "CONSTANT"}),
    "mono": ((0.2, 0), {"channels": 1, "rate": 48_000}),
    "low rate": ((0.2, 0), {"rate": 22_050}),
    "lowest rate": ((0, 0.2), {"rate": 8_000, "channels": 1}),
}


@pytest.mark.parametrize("kind", UNCOUNTED)
def test_an_mp3_that_does_not_say_its_length_is_read_to_its_end(put, kind):
    loudness, settings = UNCOUNTED[kind]
    data = mp3(*loudness, **settings)
    data = data[first_length(data) :]
    frames = len(blocks(data)) * _kind(data[1] << 8 | data[2]).samples
    path = put(data, "a.mp3")
    samples, error, unclear = read(path)
    assert len(samples) == frames == by_ffmpeg(path)
    assert (error, unclear) == ("", "")
    assert repair(path).sound
    if loudness[0] == 0:  # libsndfile's guess is too large then, and it reads all
        np.testing.assert_allclose(samples, decoded(data), atol=1e-6)
    for before, behind in (
        (b"ID3\4\0\0\0\0\1\0" + bytes(128), b"TAG".ljust(128)),
        (b"", bytes(99)),
    ):
        again, error, unclear = read(put(before + data + behind, "b.mp3"))
        np.testing.assert_array_equal(again, samples)
        assert (error, unclear) == ("", "")


@pytest.mark.parametrize("count", [0, 2**32 - 1])
def test_an_mp3_whose_count_was_never_put_in_is_complete(put, count):
    data = bytearray(mp3(0.2, 0))
    expected = decoded(bytes(data))
    at = max(data[:100].find(b"Xing"), data[:100].find(b"Info"))
    struct.pack_into(">I", data, at + 8, count)
    path = put(data, "a.mp3")
    samples, error, unclear = read(path)
    np.testing.assert_array_equal(samples, expected)
    assert (error, unclear) == ("", "")
    mended = repair(path).output
    np.testing.assert_array_equal(read(mended)[0], expected)


@pytest.mark.parametrize(("more", "said"), [(-20, "its end may be missing"), (1, "but it has ")])
def test_an_mp3_whose_count_is_wrong_is_read_to_its_end_and_not_complete(put, more, said):
    data = bytearray(mp3(0.2, 0))
    expected = decoded(bytes(data))
    at = max(data[:100].find(b"Xing"), data[:100].find(b"Info"))
    count = struct.unpack_from(">I", data, at + 8)[0]
    struct.pack_into(">I", data, at + 8, count + more)
    path = put(data, "a.mp3")
    samples, error, unclear = read(path)
    # What was added to fill the last block is not known to be that any more.
    assert 0 <= len(samples) - len(expected) < 1152
    np.testing.assert_array_equal(samples[: len(expected)], expected)
    assert said in error + unclear
    mended = repair(path).output
    np.testing.assert_array_equal(read(mended)[0], samples)
    assert repair(mended).sound


@pytest.mark.parametrize("counted", [True, False])
def test_an_mp3_that_is_cut_is_read_to_its_last_whole_block_and_not_complete(put, counted):
    data = mp3(0.2, 0.2)
    head = 0 if counted else first_length(data)
    data = data[head : len(data) // 2]
    whole = sum(end <= len(data) for end in blocks(data)) - counted
    samples, error, _ = read(put(data, "a.mp3"))
    assert len(samples) == whole * 1152 - (1105 if counted else 0)
    assert "blocks, but it has" in error if counted else "last block is cut" in error


def test_what_stands_between_the_blocks_of_an_mp3_is_passed_over_and_told(put):
    data = mp3(0.2, 0)
    data = data[first_length(data) :]
    whole = read(put(data))[0]
    middle = blocks(data)[30]
    for stray in (b"\1" * 700, b"\xff\xfb" * 9000, bytes(100_000)):
        samples, error, unclear = read(put(data[:middle] + stray + data[middle:]))
        np.testing.assert_array_equal(samples, whole)
        assert error == ""
        assert f"{len(stray)} bytes in it belong to no frame" in unclear


def test_fraunhofer_s_count_is_understood(put):
    data = mp3(0.2, 0)
    length = first_length(data)
    audio = data[length:]
    count = len(blocks(audio))
    vbri = data[:4] + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 0, 75, len(audio), count)
    path = put(vbri.ljust(length, b"\0") + audio, "a.mp3")
    samples, error, unclear = read(path)
    assert len(samples) == count * 1152
    assert (error, unclear) == ("", "")
    assert "blocks, but it has" in read(put(path.read_bytes()[:-2000]))[1]


# ---- Ogg ----


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_all_streams_of_a_chain_are_read(put, subtype):
    links = [ogg(subtype, frames, seed=frames) for frames in (50_001, 700, 20_000)]
    path = put(b"".join(links), "a.ogg")
    samples, error, unclear = read(path)
    np.testing.assert_array_equal(samples, np.concatenate([decoded(link) for link in links]))
    assert len(samples) == 70_701
    assert (error, unclear) == ("", "")
    assert repair(path).sound


def test_a_loop_over_a_chain_is_exact(put):
    links = [ogg("VORBIS", frames, seed=frames) for frames in (9_001, 4_000)]
    path = put(b"".join(links), "a.ogg")
    once = np.concatenate([decoded(link) for link in links])
    channel = ChannelSink(backlog=Backlog(2**30))
    source = AudioSource.file(path, pace="freewheel", loop=True)
    builder = StreamAudio.builder().add_source("file", source).format(FormatPreset.NATIVE)
    frames = 3 * len(once) + 9_500
    with builder.add_sink(channel).duration(frames / 48_000).start():
        samples = np.concatenate([chunk.data for chunk in channel])
    np.testing.assert_array_equal(samples, np.concatenate([once] * 4)[:frames])


@pytest.mark.parametrize("other", [{"channels": 1}, {"rate": 24_000}])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_stream_of_another_kind_ends_a_chain_with_the_reason(put, subtype, other):
    if subtype == "OPUS" and "rate" in other:
        other = {"channels": 1, **other}  # libsndfile keeps the rate
    data = ogg(subtype)
    samples, error, _ = read(put(data + ogg(subtype, **other)))
    np.testing.assert_array_equal(samples, decoded(data))
    assert "from frame 50001 on" in error


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_that_is_cut_is_read_to_its_last_whole_page_and_not_complete(put, subtype):
    data = ogg(subtype, 150_000)
    whole = decoded(data)
    starts = pages(data)
    for cut in (starts[-1] - 1, starts[-2] + 1, starts[-2] + 20, starts[-3] + 900):
        path = put(data[:cut], "a.ogg")
        samples, error, _ = read(path)
        assert 0 < len(samples) < len(whole)
        np.testing.assert_array_equal(samples, whole[: len(samples)])
        assert "last page is cut" in error
        mended = repair(path, output=path.with_name(f"{cut}.ogg")).output
        np.testing.assert_array_equal(read(mended)[0], samples)
        assert "no mark at its end" in repair(mended).unclear


def test_an_ogg_that_ends_between_pages_is_not_called_complete(put):
    data = ogg("VORBIS", 150_000)
    data = data[: pages(data)[-2]]
    samples, error, unclear = read(put(data))
    assert (len(samples), error) == (len(decoded(data)), "")
    assert "no mark at its end, which may be missing" in unclear


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_that_lacks_something_is_not_called_complete(put, subtype):
    data = ogg(subtype, 150_000)
    starts = pages(data)
    lacking = data[: starts[4]] + data[starts[5] :]
    last = bytearray(data[starts[-2] :])
    struct.pack_into("<q", last, 6, 5000)
    broken = bytearray(data)
    broken[starts[-2] + 100] ^= 1
    for damaged in (lacking, data[: starts[-2]] + summed(bytes(last)), bytes(broken)):
        path = put(damaged)
        samples, error, _ = read(path)
        assert len(samples) < 150_000
        assert error
    stray = data[: starts[4]] + b"stray" * 100 + data[starts[4] :]
    samples, error, unclear = read(put(stray))
    np.testing.assert_array_equal(samples, decoded(data))
    assert (error, "500 bytes in it belong to no page" in unclear) == ("", True)


def test_the_sum_of_a_page_is_that_of_libogg(put):
    data = ogg("VORBIS")
    starts = pages(data)
    for start, end in itertools.pairwise(starts):
        assert summed(data[start:end]) == data[start:end]


HOSTILE = {
    "pages that are none": (b"OggS\0" + bytes(21) + b"\xff" + b"\xff" * 8, "a.ogg"),
    "capture patterns": (b"OggS", "a.ogg"),
    "headers": (b"\xff\xfb\x90\x00", "a.mp3"),
    "headers of short frames": (b"\xff\xf3\x14\xc4", "a.mp3"),
    "sync": (b"\xff", "a.mp3"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_looked_through_in_proportion(put, monkeypatch, kind):
    piece, name = HOSTILE[kind]
    start = ogg("VORBIS", 500) if name == "a.ogg" else mp3(0.1)
    data = start + piece * (2**20 // len(piece))
    path = put(data, name)
    bytes_read = 0
    real = FileBytes.read

    def counted(self, start, count):
        nonlocal bytes_read
        data = real(self, start, count)
        bytes_read += len(data)
        return data

    monkeypatch.setattr(FileBytes, "read", counted)
    SoundReader(str(path)).close()
    assert bytes_read < 16 * len(data) + 2**25
