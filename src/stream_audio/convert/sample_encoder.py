"""The stage that turns floating-point samples into integers."""

from __future__ import annotations

import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream_audio._native.samples import to_int16, to_int16_dithered, to_int32
from stream_audio._record import Record
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.chunk_maker import encoded_chunk
from stream_audio.audio.gap import Gap
from stream_audio.audio.samples import sealed
from stream_audio.convert.stage import Stateless

IntegerType = Literal["int16", "int24", "int32"]


class SampleEncoder(Stateless):
    """Rounds samples; what is beyond full scale is cut and counted in ``chunk.clipped``.

    The dither of a sample depends on its source, frame and channel alone: it repeats from run to
    run, is the same however the signal is cut into chunks, and another one for another source.
    Levels stay those of the signal before it was rounded.
    """

    def __init__(self, dtype: IntegerType, *, dither: bool) -> None:
        super().__init__()
        self._dtype = dtype
        self._dither = dither
        self._source, self._seed = "", 0  # which the dither of a source begins with

    def made(self, chunk: AudioChunk, gaps: tuple[Gap, ...]) -> AudioChunk:
        """Return the chunk with integer samples."""
        samples = np.ascontiguousarray(chunk.data)
        data: NDArray[Any]
        if self._dtype != "int16":
            data, clipped = to_int32(samples, 24 if self._dtype == "int24" else 32)
        elif self._dither:
            if chunk.source != self._source:
                self._source, self._seed = chunk.source, zlib.crc32(chunk.source.encode())
            first = chunk.frame * samples.shape[1]
            data, clipped = to_int16_dithered(samples, first, self._seed)
        else:
            data, clipped = to_int16(samples)
        return encoded_chunk(chunk, sealed(data), gaps, clipped)


class EncodeSamples(Record):
    """The settings of a :class:`SampleEncoder`."""

    dtype: IntegerType
    dither: bool

    def make(self) -> SampleEncoder:
        """Return a new stage."""
        return SampleEncoder(self.dtype, dither=self.dither)
