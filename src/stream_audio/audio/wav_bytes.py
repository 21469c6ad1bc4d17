"""A WAV file in memory: a header, and samples that are all there already.

Files that grow are written by ``files/wav.py``. The layout is that of Microsoft's "Multimedia
Programming Interface and Data Specifications 1.0" (1991), section WAVE, and for floating point its
"New Multimedia Data Types and Data Techniques" (1994), which asks for a ``fact`` chunk.
"""

from __future__ import annotations

import struct

from stream_audio.audio.format import SampleType
from stream_audio.errors import ConfigError

_PCM, _FLOAT = 1, 3
_BYTES = {"int16": 2, "int24": 3, "int32": 4, "float32": 4}
_LONGEST = 2**32 - 1024
"""Bytes of samples: lengths have 32 bits, and the header's count too."""


def wav_bytes(samples: bytes, sample_rate: int, channels: int, dtype: SampleType) -> bytes:
    """Return a WAV file; ``samples`` are interleaved and little-endian."""
    if len(samples) > _LONGEST:
        raise ConfigError(
            f"{len(samples)} bytes of samples do not fit into a WAV file",
            hint="Cut the chunk, or write it with a FileSink",
        )
    width = _BYTES[dtype]
    block = width * channels
    tag = _FLOAT if dtype == "float32" else _PCM
    rate = sample_rate
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, width * 8)
    chunks = [(b"fmt ", form), (b"data", samples)]
    if tag == _FLOAT:
        chunks.insert(1, (b"fact", struct.pack("<I", len(samples) // block)))
    body = b"WAVE"
    for name, content in chunks:
        body += struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)
    return struct.pack("<4sI", b"RIFF", len(body)) + body
