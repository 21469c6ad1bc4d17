"""Samples whose header is gone, or that never had one: what they are, somebody has to say.

They become a WAV file where that can hold them as they are, else (samples whose first byte is the
most significant one, or signed ones of 8 bits) an AU file.
"""

from __future__ import annotations

import struct

from stream_audio.errors import FileError
from stream_audio.files.mending import Diagnosis, FileBytes, Kept, Stream
from stream_audio.files.raw_format import SAMPLE_BYTES, RawFormat

_IN_DS64 = 0xFFFFFFFF
_WAV_TAGS = {"PCM_U8": 1, "PCM_16": 1, "PCM_24": 1, "PCM_32": 1} | {
    "FLOAT": 3,
    "DOUBLE": 3,
    "ALAW": 6,
    "ULAW": 7,
}
_AU_CODINGS = {
    "ULAW": 1,
    "PCM_S8": 2,
    "PCM_16": 3,
    "PCM_24": 4,
    "PCM_32": 5,
    "FLOAT": 6,
    "DOUBLE": 7,
    "ALAW": 27,
}


def examine_raw(file: FileBytes, raw: RawFormat) -> Diagnosis:
    """Say what a file becomes that holds nothing but samples; raises FileError if it holds none.

    Returns
    -------
    Diagnosis
        Its format is that of the mended file: ``"WAV"``, ``"RF64"`` or ``"AU"``.
    """
    frames, cut = divmod(file.size - raw.offset, raw.frame_bytes)
    if frames <= 0:
        raise FileError(
            f"it has {file.size} bytes, too few for a frame of {raw.frame_bytes}"
            + (f" behind the first {raw.offset}" if raw.offset else "")
        )
    count = frames * raw.frame_bytes
    findings = ["it has no header"]
    missing = ""
    if cut:
        missing = f"its last frame is cut: it has {cut} of {raw.frame_bytes} bytes"
        findings.append(missing)
    audio = Kept(raw.offset, raw.offset + count)
    name, head = _head(raw, frames, count)
    pieces = (head, audio, bytes(count % 2) if name != "AU" else b"")
    return Diagnosis(
        name,
        tuple(findings),
        frames,
        tuple(piece for piece in pieces if len(piece)),
        missing,
        streams=(Stream((audio,), raw),),
    )


def _head(raw: RawFormat, frames: int, count: int) -> tuple[str, bytes]:
    """Return the name of a format that can hold such samples, and the header."""
    one_byte = SAMPLE_BYTES[raw.subtype] == 1
    if raw.subtype in _WAV_TAGS and (raw.endian == "little" or one_byte):
        return _wav_head(raw, frames, count)
    size, coding = min(count, 0xFFFFFFFF), _AU_CODINGS[raw.subtype]
    fields = (b".snd", 24, size, coding, raw.sample_rate, raw.channels)
    return "AU", struct.pack(">4sIIIII", *fields)


def _wav_head(raw: RawFormat, frames: int, count: int) -> tuple[str, bytes]:
    sample_bytes = SAMPLE_BYTES[raw.subtype]
    fields = struct.pack(
        "<HHIIHH",
        _WAV_TAGS[raw.subtype],
        raw.channels,
        raw.sample_rate,
        raw.sample_rate * raw.frame_bytes & 0xFFFFFFFF,
        raw.frame_bytes,
        sample_bytes * 8,
    )
    chunks = struct.pack("<4sI", b"fmt ", len(fields)) + fields
    size = 4 + len(chunks) + 8 + count + count % 2
    if size < _IN_DS64:
        data = struct.pack("<4sI", b"data", count)
        return "WAV", struct.pack("<4sI4s", b"RIFF", size, b"WAVE") + chunks + data
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, size + 36, count, frames, 0)
    data = struct.pack("<4sI", b"data", _IN_DS64)
    return "RF64", struct.pack("<4sI4s", b"RF64", _IN_DS64, b"WAVE") + ds64 + chunks + data
