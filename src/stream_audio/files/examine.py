"""Finding out of what kind a sound file is, and what is wrong with it."""

from __future__ import annotations

from stream_audio.files.flac_damage import examine_flac
from stream_audio.files.mending import Diagnosis, FileBytes
from stream_audio.files.wav_damage import examine_wav


def examine(file: FileBytes) -> Diagnosis | None:
    """Find out what is wrong with a file, by what its header claims and what is there.

    Returns
    -------
    Diagnosis, optional
        ``None``: of this kind of file nothing can be told.

    Raises
    ------
    FileError
        It holds no audio that could be saved.
    """
    start = file.read(0, 12)
    if start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:] == b"WAVE":
        return examine_wav(file)
    offset = end_of_id3(start)
    if file.read(offset, 4) == b"fLaC":
        return examine_flac(file, offset)
    return None


def end_of_id3(start: bytes) -> int:
    """Return where a tag ends that some programs put before the audio; 0: there is none."""
    if start[:3] != b"ID3" or len(start) < 10:
        return 0
    return 10 + sum(byte << 7 * (9 - at) for at, byte in enumerate(start[6:10], 6))
