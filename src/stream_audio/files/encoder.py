"""Samples into the bytes of a PCM file, without an allocation a chunk.

The one place where the writers of this package turn sample types into each other. Full scale of a
float is ±1.0, that of an integer its whole range; an integer ``v`` of ``bits`` bits stands for
``v / 2**(bits - 1)``. Widening is exact, narrowing rounds to the nearest and clips; NaN becomes 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio.files.writer import Samples

SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
"""Bytes of one sample of each type, by its libsndfile name."""


class Encoder:
    """Encodes chunk after chunk into the same memory."""

    def __init__(self, subtype: str) -> None:
        self._float = subtype == "FLOAT"
        self._bits = 8 * SAMPLE_BYTES[subtype]
        self._same = np.dtype({"PCM_16": "<i2", "PCM_32": "<i4", "FLOAT": "<f4"}.get(subtype, "V"))
        self._memory: dict[str, NDArray[Any]] = {}

    def encode(self, samples: Samples) -> NDArray[Any]:
        """Return the samples' bytes as a contiguous array, which the next call overwrites.

        It is ``samples`` itself if that is what stands in the file already.
        """
        if samples.dtype == self._same:
            if samples.flags.c_contiguous:
                return samples
            same = self._room(samples, self._same.str)
            np.copyto(same, samples)
            return same
        if self._float:
            return self._to_float(samples)
        if samples.dtype.kind == "f":
            integers = self._from_float(samples)
        else:
            integers = self._from_integers(samples)
        if self._bits == 32:
            return integers
        if self._bits == 16:
            narrow = self._room(samples, "<i2")
            np.copyto(narrow, integers, casting="unsafe")
            return narrow
        packed = self._room(samples, "u1", 3)
        four = integers.view(np.uint8).reshape(*samples.shape, 4)
        for byte in range(3):
            packed[..., byte] = four[..., byte]
        return packed

    def _room(self, samples: Samples, dtype: str, *more: int) -> NDArray[Any]:
        """Return an array of the samples' shape in memory that is kept for the next chunk."""
        shape = (*samples.shape, *more)
        count = samples.size * (more[0] if more else 1)
        memory = self._memory.get(dtype)
        if memory is None or memory.size < count:
            memory = self._memory[dtype] = np.empty(count, dtype)
        return memory[:count].reshape(shape)

    def _to_float(self, samples: Samples) -> NDArray[Any]:
        floats = self._room(samples, "<f4")
        scale = 2.0 ** (1 - 8 * samples.dtype.itemsize)
        np.multiply(samples, np.float64(scale), out=floats, casting="same_kind")
        return floats

    def _from_float(self, samples: Samples) -> NDArray[Any]:
        # A float32 holds the largest integer of 24 bits, not that of 32.
        scaled = self._room(samples, "f8" if self._bits == 32 else "f4")
        scale = 2.0 ** (self._bits - 1)
        # Clipped first: scaled, what is far beyond full scale would overflow.
        np.clip(samples, -1, 1, out=scaled)
        scaled *= scale
        np.rint(scaled, out=scaled)
        np.minimum(scaled, scale - 1, out=scaled)
        # A NaN has no integer; what the cast makes of it depends on the machine.
        if np.isnan(scaled.sum()):
            scaled[np.isnan(scaled)] = 0
        integers = self._room(samples, "<i4")
        np.copyto(integers, scaled, casting="unsafe")
        return integers

    def _from_integers(self, samples: Samples) -> NDArray[Any]:
        integers = self._room(samples, "<i4")
        np.copyto(integers, samples)
        wider = self._bits - 8 * samples.dtype.itemsize
        if wider > 0:
            integers <<= wider
        elif wider < 0:
            # To the nearest, halves upwards, without overflowing on the way.
            integers >>= -wider - 1
            integers += 1
            integers >>= 1
            np.minimum(integers, 2 ** (self._bits - 1) - 1, out=integers)
        return integers
