"""The parts of a WAV header that do not depend on its length."""

from __future__ import annotations

import struct

from stream_audio.files.encoder import SAMPLE_BYTES

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_EXTENSIBLE_GUID = bytes.fromhex("000000001000800000aa00389b71")
UNKNOWN = 0xFFFFFFFF
"""A length that nobody knows: readers go on to the end of the stream."""


def format_chunk(sample_rate: int, channels: int, subtype: str) -> bytes:
    """Return the ``fmt`` chunk."""
    sample_bytes = SAMPLE_BYTES[subtype]
    tag = _FLOAT if subtype == "FLOAT" else _PCM
    extensible = channels > 2
    fields = struct.pack(
        "<HHIIHH",
        _EXTENSIBLE if extensible else tag,
        channels,
        sample_rate,
        sample_rate * channels * sample_bytes,
        channels * sample_bytes,
        sample_bytes * 8,
    )
    if extensible:
        # Channel mask 0: the channels are a device's inputs, not loudspeaker positions.
        fields += struct.pack("<HHIH", 22, sample_bytes * 8, 0, tag) + _EXTENSIBLE_GUID
    elif tag != _PCM:
        fields += struct.pack("<H", 0)  # no extension
    return struct.pack("<4sI", b"fmt ", len(fields)) + fields


def stream_header(fmt: bytes, frame_bytes: int, data_bytes: int = UNKNOWN) -> bytes:
    """Return the header of a WAV stream with that ``fmt`` chunk; its length never changes."""
    fact = b""
    if fmt[8:10] == struct.pack("<H", _FLOAT):
        frames = UNKNOWN if data_bytes == UNKNOWN else data_bytes // frame_bytes
        fact = struct.pack("<4sII", b"fact", 4, frames)
    riff_bytes = 4 + len(fmt) + len(fact) + 8 + data_bytes + data_bytes % 2
    if data_bytes == UNKNOWN or riff_bytes >= UNKNOWN:
        riff_bytes = data_bytes = UNKNOWN
    riff = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    return riff + fmt + fact + struct.pack("<4sI", b"data", data_bytes)
