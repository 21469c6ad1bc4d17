"""Samples without a header, as they come in pieces of any size."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.samples import to_float32
from stream_audio.files.raw_format import SAMPLE_BYTES, RawFormat

_TYPES = {"PCM_16": "i2", "PCM_32": "i4", "FLOAT": "f4", "DOUBLE": "f8"}


class RawSamples:
    """Turns bytes into frames; the rest of a frame waits for the bytes that follow."""

    def __init__(self, raw: RawFormat) -> None:
        self._raw = raw
        self._rest = b""
        # libsndfile knows what each byte means; there are only 256 of them.
        self._meanings = _meanings(raw.subtype) if SAMPLE_BYTES[raw.subtype] == 1 else None

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._rest)

    def frames(self, data: bytes) -> NDArray[np.float32]:
        """Return the frames that are complete with these bytes; shape (frames, channels)."""
        data = self._rest + data
        whole = len(data) - len(data) % self._raw.frame_bytes
        self._rest = data[whole:]
        return self._samples(data[:whole]).reshape(-1, self._raw.channels)

    def _samples(self, data: bytes) -> NDArray[np.float32]:
        if self._meanings is not None:
            return self._meanings[np.frombuffer(data, np.uint8)]
        order = "<" if self._raw.endian == "little" else ">"
        if self._raw.subtype != "PCM_24":
            return to_float32(np.frombuffer(data, order + _TYPES[self._raw.subtype]))
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        triples = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide[:, 1:] = triples if order == "<" else triples[:, ::-1]
        return to_float32(wide.view("<i4")[:, 0])


def _meanings(subtype: str) -> NDArray[np.float32]:
    import soundfile

    raw: dict[str, Any] = RawFormat(subtype, 8000, 1).for_soundfile()
    samples, _ = soundfile.read(io.BytesIO(bytes(range(256))), dtype="float32", **raw)
    return np.asarray(samples, np.float32)
