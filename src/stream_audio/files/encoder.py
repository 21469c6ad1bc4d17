"""Samples into the bytes of a PCM file, without an allocation a chunk.

Full scale of a float is ±1.0, that of an integer its whole range (see ``audio/samples.py``).
Widening is exact, narrowing rounds to the nearest and clips; NaN becomes 0. Integers are written
as this machine has them, which is little-endian as the files are.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.samples import round_into
from stream_audio.files.writer import Samples

SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
"""Bytes of one sample of each type, by its libsndfile name."""

_DTYPES = {"PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32", "FLOAT": "float32"}
"""What the samples are before they are bytes; of 24 bits, the upper three bytes of an int32."""


class Encoder:
    """Encodes chunk after chunk into the same memory."""

    def __init__(self, subtype: str) -> None:
        if sys.byteorder != "little":
            raise NotImplementedError("sound files are written on little-endian machines only")
        self._bits = 8 * SAMPLE_BYTES[subtype]
        self._dtype = np.dtype(_DTYPES[subtype])
        self._packed = subtype == "PCM_24"
        self._memory = np.empty((3, 0), np.int32)
        self._make_room((0,))

    def encode(self, samples: Samples) -> NDArray[Any]:
        """Return the samples' bytes as a contiguous array, which the next call overwrites.

        It is ``samples`` itself if that is what stands in the file already.
        """
        data: NDArray[Any] = np.ascontiguousarray(samples)
        if data.dtype.kind == "f":  # a sink of the user's own may hand on any
            data = data.astype(np.float32, copy=False)
        if data.dtype == self._dtype and not self._packed:
            return data
        if data.shape != self._shape:
            self._make_room(data.shape)
        if self._dtype.kind == "f":
            scale = np.float64(2.0 ** (1 - 8 * data.dtype.itemsize))
            np.multiply(data, scale, out=self._out, casting="same_kind")
        elif data.dtype.kind == "f":
            round_into(data, self._bits, self._out)
        else:
            self._from_integers(data)
        return self._pack() if self._packed else self._out

    def _make_room(self, shape: tuple[int, ...]) -> None:
        """Lay arrays of that shape over memory that is kept, and grows when it must."""
        size = math.prod(shape)
        if size > self._memory.shape[1]:
            self._memory = np.empty((3, size), np.int32)
        out, wide, packed = self._memory
        self._shape = shape
        self._out: NDArray[Any] = out.view(self._dtype)[:size].reshape(shape)
        self._wide = wide[:size].reshape(shape)
        self._upper = self._wide.view(np.int16).reshape(*shape, 2)[..., 1]
        four = self._out.view(np.uint8).reshape(*shape, self._dtype.itemsize)
        self._bytes = packed.view(np.uint8)[: 3 * size].reshape(*shape, 3)
        # Three long runs are four times as fast as many of three bytes.
        planes = range(3) if self._packed else ()
        self._planes = [(self._bytes[..., i], four[..., i + 1]) for i in planes]

    def _from_integers(self, samples: Samples) -> None:
        wide = self._wide if self._bits == 16 else self._out
        np.copyto(wide, samples)
        if samples.dtype.itemsize == 2:
            wide <<= 16
        elif self._bits < 32:
            # To the nearest, halves upwards, without overflowing on the way.
            narrower = 32 - self._bits
            wide >>= narrower - 1
            wide += 1
            wide >>= 1
            np.minimum(wide, 2 ** (self._bits - 1) - 1, out=wide)
            wide <<= narrower
        if self._bits == 16:
            np.copyto(self._out, self._upper)

    def _pack(self) -> NDArray[Any]:
        """Leave the lowest of four bytes out."""
        for to, byte in self._planes:
            np.copyto(to, byte)
        return self._bytes
