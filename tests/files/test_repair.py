"""Repair: foreign files that were cut off are mended, sound ones are left alone."""

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import stream_audio.files.damaged_file
from stream_audio import AudioSource, ConfigError, ConfigTypeError, FileError, FileSink
from stream_audio.files.flac_damage import crc8
from stream_audio.files.mending import FileBytes
from stream_audio.files.repair import repair
from stream_audio.files.wav_damage import examine_wav
from support.effort import examples

RATE = 48_000
FRAMES = 20_001
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Recorder 1.0\0\0"
BEXT = b"bext" + struct.pack("<I", 602) + b"a take".ljust(602, b"\0")
UNKNOWN = 2**32 - 1
LONG_AGO = 10**18 + 123_456_789  # ns


def samples(channels=2, subtype="PCM_16"):
    bits = int(subtype[4:])
    full = 2 ** (bits - 1)
    random = np.random.default_rng(5).integers(-full // 3, full // 3, (FRAMES, channels))
    return random.astype(np.int32) << (32 - bits)


def sound(format="WAV", subtype="PCM_16", channels=2):
    """Return a sound file as libsndfile writes it."""
    stream = io.BytesIO()
    soundfile.write(stream, samples(channels, subtype), RATE, subtype, format=format)
    return stream.getvalue()


def killed(format, subtype="PCM_16", channels=2):
    """Return what libsndfile has written of a file when it is killed."""
    stream = io.BytesIO()
    writer = soundfile.SoundFile(stream, "w", RATE, channels, subtype, format=format)
    writer.write(samples(channels, subtype))
    data = stream.getvalue()
    writer.close()
    return data


def with_sizes(data, riff=None, audio=None):
    """Return a WAV with other sizes in its header."""
    data = bytearray(data)
    if riff is not None:
        struct.pack_into("<I", data, 4, riff)
    if audio is not None:
        struct.pack_into("<I", data, data.index(b"data") + 4, audio)
    return bytes(data)


def before_audio(data, chunk):
    """Return a WAV with a chunk before its ``fmt ``."""
    return with_sizes(data[:12] + chunk + data[12:], riff=len(data) + len(chunk) - 8)


def after_audio(data, chunk):
    return with_sizes(data + chunk, riff=len(data) + len(chunk) - 8)


WAV = sound()
WAV_24 = sound(subtype="PCM_24", channels=1)  # of odd length, hence with a padding byte
FLAC = sound("FLAC")
BLOCK = 4096
AUDIO_AT = 44


@pytest.fixture
def put(tmp_path):
    def put(data, name="take.wav"):
        path = tmp_path / name
        path.write_bytes(data)
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        return path

    return put


def check_mended(report, damaged, frames, channels=2, subtype="PCM_16"):
    """Every frame that was whole is there; the damaged file is as it was."""
    assert not report.sound
    assert report.frames == frames
    output = Path(report.output)
    data, rate = soundfile.read(output, dtype="int32", always_2d=True)
    assert rate == RATE
    assert np.array_equal(data, samples(channels, subtype)[:frames])
    assert output.stat().st_mtime_ns == LONG_AGO
    again = repair(output)
    assert again.sound, again
    assert again.frames == frames
    if report.output != report.path:
        assert Path(report.path).read_bytes() == damaged


# ---- what is sound is left alone ----

SOUND = {
    "plain.wav": WAV,
    "padded.wav": WAV_24,
    "float.wav": None,
    "rf64.wav": sound("RF64"),
    "extensible.wav": sound("WAVEX", channels=3),
    "list before.wav": before_audio(WAV, LIST),
    "list after.wav": after_audio(WAV, LIST),
    "bext and list after.wav": after_audio(WAV_24, BEXT + LIST),
    "chunk outside.wav": WAV + LIST,
    "two in one.wav": WAV + WAV,
    "tag behind.wav": WAV + b"TAG".ljust(128, b" "),
    "zeros behind.wav": WAV + bytes(1000),
    "one byte behind.wav": WAV + b"x",
    "padding not counted.wav": with_sizes(WAV_24, riff=len(WAV_24) - 9),
    "empty.wav": with_sizes(WAV[:AUDIO_AT], riff=AUDIO_AT - 8, audio=0),
    "whole.flac": FLAC,
    "mono 24.flac": sound("FLAC", "PCM_24", 1),
    "tag behind.flac": FLAC + b"TAG".ljust(128, b" "),
    "noise behind.flac": FLAC + b"not audio " * 30,
    "zeros behind.flac": FLAC + bytes(3000),
    "tag before.flac": b"ID3\4\0\0\0\0\1\0" + bytes(128) + FLAC,
}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_file_is_left_alone(put, tmp_path, name, in_place):
    data = SOUND[name]
    if data is None:
        stream = io.BytesIO()
        soundfile.write(stream, np.float32([0.5, -3.0, 0.25]), RATE, "FLOAT", format="WAV")
        data = stream.getvalue()
    path = put(data, name)
    inode = path.stat().st_ino
    report = repair(path, in_place=in_place)
    assert report.sound, report
    assert report.output is None
    assert report.frames == {"float.wav": 3, "empty.wav": 0}.get(name, FRAMES)
    assert path.read_bytes() == data
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (LONG_AGO, inode)
    assert list(tmp_path.iterdir()) == [path]


# ---- WAV ----

DAMAGED_WAV = {
    "sizes 0": (with_sizes(WAV, 0, 0), FRAMES),
    "sizes unknown, as of a pipe": (with_sizes(WAV, UNKNOWN, UNKNOWN), FRAMES),
    "sizes of a writer's guess": (with_sizes(WAV, 2**31 - 4, 2**31 - 40), FRAMES),
    "RIFF size 0": (with_sizes(WAV, riff=0), FRAMES),
    "RIFF size too large": (with_sizes(WAV, riff=len(WAV)), FRAMES),
    "RIFF size too small": (with_sizes(WAV, riff=36), FRAMES),
    "audio size 0": (with_sizes(WAV, audio=0), FRAMES),
    "a header that was left behind": (with_sizes(WAV, 40_036, 40_000), FRAMES),
    "cut between frames": (WAV[: AUDIO_AT + 4000], 1000),
    "cut in a frame": (WAV[: AUDIO_AT + 4003], 1000),
    "cut in the first frame": (WAV[: AUDIO_AT + 3], 0),
    "cut behind the header": (WAV[:AUDIO_AT], 0),
    "sizes 0 and a cut frame": (with_sizes(WAV, 0, 0)[:-1], FRAMES - 1),
    "killed RF64": (killed("RF64"), FRAMES),
    "RF64 that is cut": (sound("RF64")[:-4001], FRAMES - 1001),
    "RF64 without ds64": (b"RF64" + WAV[4:], FRAMES),
    "list before, sizes 0": (with_sizes(before_audio(WAV, LIST), 0, 0), FRAMES),
    "list after, sizes 0": (with_sizes(after_audio(WAV, LIST), 0, 0), FRAMES),
    "list after, audio size wrong": (with_sizes(after_audio(WAV, LIST), audio=4000), FRAMES),
    "bext and list after, audio beyond the end": (
        with_sizes(after_audio(WAV, BEXT + LIST), audio=10**9),
        FRAMES,
    ),
    "a wild size before the audio": (
        with_sizes(before_audio(WAV, b"LIST\xff\xff\xff\x7f" + LIST[8:])),
        FRAMES,
    ),
    "no padding before the audio": (
        with_sizes(before_audio(WAV, b"note\5\0\0\0hello"), riff=len(WAV) + 13 - 8),
        FRAMES,
    ),
}


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in place"])
@pytest.mark.parametrize("damage", DAMAGED_WAV)
def test_a_damaged_wav_is_mended(put, damage, in_place):
    data, frames = DAMAGED_WAV[damage]
    path = put(data)
    report = repair(path, in_place=in_place)
    assert report.output == str(path if in_place else path.with_name("take.repaired.wav"))
    check_mended(report, data, frames)
    if report.format == "WAV":
        with wave.open(report.output) as file:
            assert file.getnframes() == frames


@pytest.mark.parametrize("damage", [d for d in DAMAGED_WAV if "list" in d])
def test_foreign_chunks_are_kept(put, damage):
    data, _ = DAMAGED_WAV[damage]
    mended = Path(repair(put(data)).output).read_bytes()
    for chunk in (LIST, BEXT):
        assert mended.count(chunk) == data.count(chunk)
    with_list = soundfile.SoundFile(io.BytesIO(mended))
    assert with_list.copy_metadata()["software"].startswith("Recorder 1.0")


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in place"])
@pytest.mark.parametrize("tail", [b"", LIST, BEXT + LIST])
@pytest.mark.parametrize("audio", [None, 0, 10**9])
def test_padding_is_added_where_it_is_missing(put, tail, audio, in_place):
    data = with_sizes(after_audio(WAV_24[:-1], tail), audio=audio)
    report = repair(put(data), in_place=in_place)
    check_mended(report, data, FRAMES, 1, "PCM_24")
    mended = Path(report.output).read_bytes()
    assert len(mended) % 2 == 0
    assert mended.endswith(tail)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
@pytest.mark.parametrize("channels", [1, 2, 5])
@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.data())
def test_a_wav_cut_anywhere_keeps_every_whole_frame(tmp_path_factory, subtype, channels, data):
    whole = sound("WAV" if channels < 3 else "WAVEX", subtype, channels)
    start = whole.index(b"data") + 8
    cut = data.draw(st.integers(start, len(whole) - 2))
    damaged = whole[:cut]
    if data.draw(st.booleans()):
        damaged = with_sizes(damaged, 0, 0)
    path = tmp_path_factory.mktemp("cut") / "take.wav"
    path.write_bytes(damaged)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    frame_bytes = channels * int(subtype[4:]) // 8
    frames = min(FRAMES, (cut - start) // frame_bytes)
    report = repair(path)
    check_mended(report, damaged, frames, channels, subtype)


def test_a_wrong_frame_size_is_put_right(put):
    data = bytearray(WAV)
    struct.pack_into("<H", data, 32, 0)
    report = repair(put(data))
    check_mended(report, data, FRAMES)
    assert struct.unpack_from("<H", Path(report.output).read_bytes(), 32) == (4,)


@pytest.mark.parametrize("tag", ["ULAW", "ALAW"])
def test_8_bit_telephony_is_mended_too(put, tag):
    stream = io.BytesIO()
    soundfile.write(stream, samples()[:, :1], RATE, tag, format="WAV")
    data = with_sizes(stream.getvalue(), 0, 0)
    report = repair(put(data))
    mended, _ = soundfile.read(report.output, dtype="int16")
    expected, _ = soundfile.read(io.BytesIO(stream.getvalue()), dtype="int16")
    assert np.array_equal(mended[:FRAMES], expected)


def test_what_is_not_counted_in_frames_is_not_cut(put):
    stream = io.BytesIO()
    soundfile.write(stream, samples(), RATE, "MS_ADPCM", format="WAV")
    whole = stream.getvalue()
    damaged = with_sizes(whole, 0, 0)
    report = repair(put(damaged))
    assert report.frames is None
    mended = Path(report.output).read_bytes()
    assert mended[whole.index(b"data") + 8 :] == whole[whole.index(b"data") + 8 :]
    assert np.array_equal(soundfile.read(report.output)[0], soundfile.read(io.BytesIO(whole))[0])


# ---- past 4 GiB, as holes that take no room ----


def large_wav(path, head, size, tail=b""):
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
        file.seek(0, os.SEEK_END)
        file.write(tail)


def head_of(channels=2, room=b""):
    empty = sound(channels=channels)[:AUDIO_AT]
    return empty[:12] + room + empty[12:]


JUNK_28 = b"JUNK" + struct.pack("<I", 28) + bytes(28)


@pytest.mark.parametrize("wraps", [1, 2])
@pytest.mark.parametrize("room", [b"", JUNK_28], ids=["no room", "room"])
def test_sizes_that_passed_4_gib_become_rf64(tmp_path, room, wraps):
    """In place where there is room for the large sizes, by a diagnosis where all has to move."""
    path = tmp_path / "take.wav"
    size = wraps * 2**32 + 4000
    head = head_of(room=room)
    large_wav(path, with_sizes(head, len(head) + size - 8 & UNKNOWN, size & UNKNOWN), size)
    if room:
        report = repair(path, in_place=True)
        assert any("passed 4 GiB" in finding for finding in report.findings)
        assert report.frames == size // 4
        info = soundfile.info(path)
        assert (info.format, info.frames) == ("RF64", size // 4)
        assert repair(path).sound
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        diagnosis = examine_wav(FileBytes(descriptor))
    finally:
        os.close(descriptor)
    assert not diagnosis.stays_in_place
    assert diagnosis.size == len(head) + 36 + size
    new_head = b"".join(piece for piece in diagnosis.pieces if isinstance(piece, bytes))
    assert new_head.startswith(b"RF64")
    riff, audio, frames = struct.unpack_from("<QQQ", new_head, new_head.index(b"ds64") + 8)
    assert (riff, audio, frames) == (diagnosis.size - 8, size, size // 4)


def test_a_killed_recording_past_4_gib_becomes_rf64(tmp_path):
    path = tmp_path / "take.wav"
    size = 2**32 + 10**6
    large_wav(path, with_sizes(head_of(room=JUNK_28), 0, 0), size, b"\1\2\3\4")
    report = repair(path, in_place=True)
    assert report.frames == size // 4 + 1
    with soundfile.SoundFile(path) as file:
        assert file.frames == report.frames
        file.seek(-1, os.SEEK_END)
        assert file.read(1, dtype="int16").tobytes() == b"\1\2\3\4"


# ---- FLAC ----


def with_total(data, total):
    data = bytearray(data)
    fields = struct.unpack_from(">Q", data, 18)[0] >> 36 << 36 | total
    struct.pack_into(">Q", data, 18, fields)
    return bytes(data)


def total_of(data):
    return struct.unpack_from(">Q", data, 18)[0] & 2**36 - 1


LAST = FRAMES // BLOCK * BLOCK
LAST_AT = FLAC.rindex(b"\xff\xf8")

DAMAGED_FLAC = {
    "no total": (with_total(FLAC, 0), FRAMES),
    "total too small": (with_total(FLAC, FRAMES - 5000), FRAMES),
    "total too large": (with_total(FLAC, FRAMES + 1), FRAMES),
    "cut in the last block": (FLAC[:-1], LAST),
    "cut in the last block's header": (FLAC[: LAST_AT + 5], LAST),
    "cut between blocks": (FLAC[:LAST_AT], LAST),
    "no total and cut": (with_total(FLAC, 0)[:-1], LAST),
    "cut, then zeros, as after a power loss": (FLAC[:-100] + bytes(5000), LAST),
    "killed": (killed("FLAC"), LAST),
}


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in place"])
@pytest.mark.parametrize("damage", DAMAGED_FLAC)
def test_a_damaged_flac_is_mended(put, damage, in_place):
    data, frames = DAMAGED_FLAC[damage]
    path = put(data, "take.flac")
    report = repair(path, in_place=in_place)
    assert report.output == str(path if in_place else path.with_name("take.repaired.flac"))
    check_mended(report, data, frames)
    assert total_of(Path(report.output).read_bytes()) == frames


def test_a_sum_of_samples_that_are_gone_is_taken_out(put):
    md5 = slice(26, 42)
    assert any(FLAC[md5])
    mended = Path(repair(put(FLAC[:-1], "a.flac")).output).read_bytes()
    assert mended[md5] == bytes(16)
    kept = Path(repair(put(with_total(FLAC, 0), "b.flac")).output).read_bytes()
    assert kept == FLAC


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 8])
@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.data())
def test_a_flac_cut_anywhere_keeps_every_whole_block(tmp_path_factory, subtype, channels, data):
    whole = sound("FLAC", subtype, channels)
    path = tmp_path_factory.mktemp("cut") / "take.flac"
    first_two = len(whole) // (FRAMES / BLOCK / 2)  # bytes, about
    cut = data.draw(st.integers(int(first_two), len(whole) - 1))
    path.write_bytes(whole[:cut])
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    report = repair(path)
    expected = report.frames
    assert expected % BLOCK == 0
    check_mended(report, whole[:cut], expected, channels, subtype)
    # One more block would not have been whole.
    bytes_a_block = len(whole) / FRAMES * BLOCK
    assert cut - expected / BLOCK * bytes_a_block < 1.1 * bytes_a_block + 500


def test_digital_silence_is_counted_too(put):
    """Its blocks are a dozen bytes, thousands of them near the end."""
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(10**7, np.int16), RATE, format="FLAC")
    report = repair(put(with_total(stream.getvalue(), 0), "a.flac"))
    assert report.frames == 10**7


# ---- what is not mended ----

HOPELESS = {
    "empty": b"",
    "text": b"Dear diary",
    "an Ogg": b"OggS" + bytes(100),
    "an AVI": b"RIFF" + struct.pack("<I", 100) + b"AVI " + bytes(100),
    "WAV that ends in its header": WAV[:30],
    "WAV that ends before its audio": WAV[:36],
    "WAV without a format": WAV[:12] + WAV[36:],
    "WAV without channels": WAV[:22] + b"\0\0" + WAV[24:],
    "WAV at 0 Hz": WAV[:24] + bytes(4) + WAV[28:],
    "WAV of empty chunks": WAV[:12] + b"JUNK\0\0\0\0" * 100_000,
    "FLAC that ends in its head": FLAC[:30],
    "FLAC without audio": FLAC[:86],
    "FLAC without a whole block": FLAC[:5000],
    "FLAC without STREAMINFO": FLAC[:4] + b"\x84\0\0\0" + FLAC[8:],
}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("kind", HOPELESS)
def test_what_cannot_be_mended_is_said_and_left_alone(put, tmp_path, kind, in_place):
    path = put(HOPELESS[kind])
    with pytest.raises(FileError) as caught:
        repair(path, in_place=in_place)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == HOPELESS[kind]
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FileError, match=r"cannot open .*No such file"):
        repair(tmp_path / "missing.wav")


def test_a_folder_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(FileError, match="not a regular file"):
            repair(path)


def test_a_copy_replaces_nothing(put):
    path = put(with_sizes(WAV, 0, 0))
    path.with_name("take.repaired.wav").write_text("precious")
    with pytest.raises(FileError, match="exists"):
        repair(path)
    assert path.with_name("take.repaired.wav").read_text() == "precious"
    with pytest.raises(FileError, match="exists"):
        repair(path, output=path)
    assert path.read_bytes() == with_sizes(WAV, 0, 0)


def test_the_copy_goes_where_it_is_told_and_has_the_permissions_of_the_original(put, tmp_path):
    path = put(with_sizes(WAV, 0, 0))
    path.chmod(0o640)
    report = repair(path, output=tmp_path / "good.wav")
    assert report.output == str(tmp_path / "good.wav")
    assert (tmp_path / "good.wav").stat().st_mode & 0o777 == 0o640


def test_in_place_keeps_the_permissions(put, tmp_path):
    """Also where the file has to be written anew, because padding is missing in its middle."""
    path = put(after_audio(WAV_24[:-1], LIST))
    path.chmod(0o640)
    report = repair(path, in_place=True)
    assert report.frames == FRAMES
    assert path.stat().st_mode & 0o777 == 0o640
    assert repair(path).sound
    assert list(tmp_path.iterdir()) == [path]


def test_in_place_refuses_a_link_and_says_where_it_leads(put, tmp_path):
    data = with_sizes(WAV, 0, 0)
    path = put(data)
    link = tmp_path / "link.wav"
    link.symlink_to(path)
    with pytest.raises(FileError, match="it is a link") as caught:
        repair(link, in_place=True)
    assert str(path) in caught.value.hint
    assert path.read_bytes() == data
    assert repair(link).frames == FRAMES  # a copy beside the link


@pytest.mark.parametrize("damage", ["in place", "moved"])
@pytest.mark.parametrize("swap", ["link", "file"])
def test_another_file_that_takes_the_name_meanwhile_is_not_touched(
    put, tmp_path, monkeypatch, damage, swap
):
    """Whoever may write the folder could otherwise have any file of the caller's mended."""
    data = with_sizes(WAV, 0, 0) if damage == "in place" else after_audio(WAV_24[:-1], LIST)
    path = put(data)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious " * 100_000)
    gone = tmp_path / "gone.wav"
    examine = stream_audio.files.damaged_file.examine

    def examined_while_names_change(file, raw):
        diagnosis = examine(file, raw)
        path.rename(gone)
        if swap == "link":
            path.symlink_to(victim)
        else:
            path.write_bytes(victim.read_bytes())
        return diagnosis

    monkeypatch.setattr(stream_audio.files.damaged_file, "examine", examined_while_names_change)
    if damage == "in place":
        repair(path, in_place=True)
        assert soundfile.info(gone).frames == FRAMES  # the file that was examined
    else:
        with pytest.raises(FileError, match="another file has taken its name"):
            repair(path, in_place=True)
        assert gone.read_bytes() == data
    assert victim.read_bytes() == path.read_bytes() == b"precious " * 100_000
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("in_place", [False, True], ids=["copy", "in place"])
def test_holes_stay_holes(tmp_path, in_place):
    """A gap of a night takes no room on the disk, in the mended file either."""
    path = tmp_path / "take.wav"
    size = 2**28
    odd = b"note\5\0\0\0hello"  # without padding: all has to be moved
    large_wav(path, before_audio(with_sizes(head_of(), 0, 0), odd), size, b"\1\2\3\4")
    assert path.stat().st_blocks * 512 < 2**20
    report = repair(path, in_place=in_place)
    mended = Path(report.output)
    assert report.frames == size // 4 + 1
    assert mended.stat().st_blocks * 512 < 2**20
    with soundfile.SoundFile(mended) as file:
        assert file.frames == report.frames
        file.seek(-1, os.SEEK_END)
        assert file.read(1, dtype="int16").tobytes() == b"\1\2\3\4"


def test_a_hole_at_the_end_is_kept_too(tmp_path):
    path = tmp_path / "take.wav"
    large_wav(path, with_sizes(head_of(), 0, 0), 2**28)
    report = repair(path)
    assert report.frames == 2**28 // 4
    assert Path(report.output).stat().st_size == path.stat().st_size
    assert Path(report.output).stat().st_blocks * 512 < 2**20


def test_a_disk_without_room_leaves_no_half_copy(put, tmp_path, monkeypatch):
    path = put(with_sizes(WAV, 0, 0))

    def full(descriptor, data, offset):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(FileError, match="No space left"):
        repair(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_being_written_is_left_alone(put, monkeypatch):
    path = put(with_sizes(WAV, 0, 0))
    read = FileBytes.read

    def read_while_written(self, start, count):
        with path.open("ab") as file:
            file.write(bytes(4))
        return read(self, start, count)

    monkeypatch.setattr(FileBytes, "read", read_while_written)
    with pytest.raises(FileError, match="a program is writing it"):
        repair(path)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", ["take.wav", "take.flac"])
def test_a_recording_under_way_is_left_alone(tmp_path, name, in_place):
    path = tmp_path / name
    source = AudioSource.virtual()
    with stream_audio.open(source, sinks=[FileSink(path)]):
        (writing,) = tmp_path.iterdir()
        with pytest.raises(FileError, match="a program is writing it"):
            repair(writing, in_place=in_place)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", [None, 3, b"a.wav"])
def test_a_path_is_asked_for(path):
    with pytest.raises(ConfigTypeError):
        repair(path)


def test_in_place_and_an_output_exclude_each_other(tmp_path):
    with pytest.raises(ConfigError):
        repair(tmp_path / "a.wav", in_place=True, output=tmp_path / "b.wav")


def test_the_report_says_what_was_found(put):
    report = repair(put(with_sizes(WAV[:-2], riff=0)))
    assert json.loads(json.dumps(report.to_dict()))["frames"] == FRAMES - 1
    text = str(report)
    for word in ("damaged", "RIFF size is 0", "last frame is cut", "take.repaired.wav"):
        assert word in text
    assert "is intact" in str(repair(report.output))


# ---- anything at all ----


def checked(path):
    """Repair a file of any content: it may be mended or refused, and nothing else."""
    before = path.read_bytes()
    try:
        report = repair(path)
    except FileError:
        assert path.read_bytes() == before
        return
    assert path.read_bytes() == before
    if report.output is not None:
        again = repair(report.output, output=path.with_name("again"))
        assert again.sound, (report, again)
        Path(report.output).unlink()


WHOLE = {
    "wav": sound()[:3000],
    "bext before": before_audio(WAV, BEXT)[:3000],
    "list after": after_audio(WAV[: AUDIO_AT + 800], LIST),
    "rf64": sound("RF64")[:2000],
    "extensible": sound("WAVEX", "PCM_24", 3)[:2000],
    "flac": FLAC,
    "flac without total": with_total(FLAC, 0),
}


@settings(derandomize=True, deadline=None, max_examples=examples(400))
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    sizes=st.sampled_from([None, 0, UNKNOWN]),
    changes=st.lists(
        st.tuples(
            st.one_of(st.integers(0, 120), st.integers(0, 40_000)),
            st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255),
        ),
        max_size=6,
    ),
    words=st.lists(
        st.tuples(
            st.integers(0, 120), st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, UNKNOWN, 10**6])
        ),
        max_size=2,
    ),
    cut=st.integers(0, 40_000),
)
def test_any_damage_is_mended_or_refused(tmp_path_factory, kind, sizes, changes, words, cut):
    data = bytearray(WHOLE[kind])
    if "flac" not in kind:
        data = bytearray(with_sizes(data, sizes, sizes))
    del data[max(10, len(data) - cut) :]
    for place, value in changes:
        data[place % len(data)] = value
    for place, value in words:
        if place + 4 <= len(data):
            struct.pack_into("<I", data, place, value)
    path = tmp_path_factory.mktemp("any") / "take.wav"
    path.write_bytes(data)
    checked(path)


@settings(derandomize=True, deadline=None, max_examples=examples(100))
@given(start=st.sampled_from([b"", WAV[:12], WAV[:36], FLAC[:42], FLAC[:86]]), rest=st.binary())
def test_any_bytes_are_mended_or_refused(tmp_path_factory, start, rest):
    path = tmp_path_factory.mktemp("any") / "take.wav"
    path.write_bytes(start + rest)
    checked(path)


def flac_header(number=0):
    header = bytes([0xFF, 0xF8, 0xC9, 0x18, number])
    return header + bytes([crc8(header)])


HOSTILE = {
    "chunks": (WAV[:36] + b"data" + bytes(4), b"LIST\0\0\0\0"),
    "audio chunks": (WAV[:36] + b"data" + bytes(4), b"data\0\0\0\0"),
    "headers": (FLAC[:86], flac_header()),
    "headers and zeros": (FLAC[:86], flac_header() + bytes(7)),
    "headers of all numbers": (FLAC[:86], b"".join(flac_header(n) for n in range(128))),
    "beginnings of headers": (FLAC[:86], b"\xff\xf8\xc9\x18"),
    "sync": (FLAC[:86], b"\xff\xf8"),
    "ones": (FLAC[:86], b"\xff"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_takes_time_and_memory_in_proportion(put, tmp_path, kind):
    """Millions of places that look like what is searched for. Counted in bytes that are read."""
    head, piece = HOSTILE[kind]
    data = head + piece * (2**22 // len(piece))
    path = put(data)
    with CountedReads() as counted, contextlib.suppress(FileError):
        repair(path, output=tmp_path / "mended")
    assert counted.bytes < 3 * len(data) + 2**24
    assert counted.longest <= 2**22


class CountedReads:
    """Counts what is read of a damaged file while it is examined."""

    def __enter__(self):
        self.bytes = self.longest = 0
        self._read = FileBytes.read

        def read(file, start, count):
            data = self._read(file, start, count)
            self.bytes += len(data)
            self.longest = max(self.longest, len(data))
            return data

        FileBytes.read = read
        return self

    def __exit__(self, *_):
        FileBytes.read = self._read


def test_a_hostile_flac_takes_no_time(put, tmp_path):
    """In a process of its own, whose memory is limited by the system."""
    path = put(FLAC[:86] + flac_header() * (2**24 // 6), "a.flac")
    program = f"""
import resource, time
import soundfile
from stream_audio import AudioSource, FileError, repair
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    repair({str(path)!r})
except FileError as error:
    print(error)
after = resource.getrusage(resource.RUSAGE_SELF)
assert after.ru_utime - before.ru_utime < 4, after
assert after.ru_maxrss - before.ru_maxrss < 100 * 1024, after
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "no whole block" in done.stdout


def test_ctrl_c_as_soon_as_the_new_file_is_there_leaves_nothing_of_it(tmp_path, monkeypatch):
    path = tmp_path / "take.wav"
    soundfile.write(path, np.full(1000, 0.25), 48_000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    path.write_bytes(data)
    make = os.open

    def interrupted(name, flags, *arguments, **settings):
        descriptor = make(name, flags, *arguments, **settings)
        if flags & os.O_CREAT:
            os.close(descriptor)
            raise KeyboardInterrupt
        return descriptor

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream_audio.repair(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == data
