"""Finding out of what kind a sound file is, and what is wrong with it."""

from __future__ import annotations

from stream_audio.files.au_damage import examine_au
from stream_audio.files.chunked_damage import examine_aiff, examine_caf, examine_w64
from stream_audio.files.chunks import W64_NAME_END
from stream_audio.files.flac_damage import examine_flac
from stream_audio.files.mending import Diagnosis, FileBytes
from stream_audio.files.mp3_damage import examine_mp3
from stream_audio.files.ogg_damage import examine_ogg
from stream_audio.files.old_formats import examine_old
from stream_audio.files.raw_damage import examine_raw
from stream_audio.files.raw_format import RawFormat
from stream_audio.files.wav_damage import examine_wav

_W64_FILE = bytes.fromhex("726966662e91cf11a5d628db04c10000")


def examine(file: FileBytes, raw: RawFormat | None = None) -> Diagnosis | None:
    """Find out what is wrong with a file, by what its header claims and what is there.

    Parameters
    ----------
    file : FileBytes
        The file.
    raw : RawFormat, optional
        What it holds, if it has no header.

    Returns
    -------
    Diagnosis, optional
        ``None``: of this kind of file nothing can be told.

    Raises
    ------
    FileError
        It holds no audio that could be saved.
    """
    if raw is not None:
        return examine_raw(file, raw)
    start = file.read(0, 40)
    if start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:12] == b"WAVE":
        return examine_wav(file)
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return examine_aiff(file)
    if start[:4] == b"caff":
        return examine_caf(file)
    if start[:4] in (b".snd", b"dns."):
        return examine_au(file)
    if start[:16] == _W64_FILE and start[24:40] == b"wave" + W64_NAME_END:
        return examine_w64(file)
    offset = end_of_id3(start)
    if file.read(offset, 4) == b"fLaC":
        return examine_flac(file, offset)
    if start[:4] == b"OggS":
        return examine_ogg(file)
    old = examine_old(file)
    return old if old is not None else examine_mp3(file, offset)


def end_of_id3(start: bytes) -> int:
    """Return where a tag ends that some programs put before the audio; 0: there is none."""
    if start[:3] != b"ID3" or len(start) < 10:
        return 0
    return 10 + sum(byte << 7 * (9 - at) for at, byte in enumerate(start[6:10], 6))
