"""Samples as libsndfile stores them unchanged.

Where it is given floats it truncates, or (as for µ-law) reads beyond its tables. So integers are
made here, and what it would mistake is kept from it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio.files.encoder import Encoder
from stream_audio.files.writer import Samples

LOSSY = frozenset({"VORBIS", "OPUS", "MPEG_LAYER_III"})
"""Codecs that are given floats."""

SAMPLE_BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64,
    "ULAW": 8, "ALAW": 8,
}  # fmt: skip
"""Bits that a sample takes in the file, where each takes the same."""

_INTEGER_BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "DPCM_8": 8, "DWVW_12": 12, "PCM_24": 24, "DWVW_24": 24,
    "PCM_32": 32,
}  # fmt: skip
"""Bits of the integers that libsndfile stores; those not named are given 16."""


def converter(subtype: str) -> Callable[[Samples], NDArray[Any]]:
    """Return a function that makes of a chunk's samples what libsndfile is to be given."""
    if subtype in LOSSY:
        return partial(_within_full_scale, Encoder("FLOAT"))
    if subtype == "FLOAT":
        return Encoder("FLOAT").encode
    if subtype == "DOUBLE":
        return _to_double
    bits = _INTEGER_BITS.get(subtype, 16)
    if bits in (16, 32):
        return Encoder(f"PCM_{bits}").encode
    if bits == 24:
        return partial(_left_justified, Encoder("PCM_24"))
    return partial(_rounded, Encoder("PCM_32"), bits)


def _within_full_scale(encoder: Encoder, samples: Samples) -> NDArray[Any]:
    # An MP3 encoder ends the process when it meets a NaN.
    floats: NDArray[Any] = np.clip(encoder.encode(samples), -1, 1)
    if np.isnan(floats.sum()):
        floats[np.isnan(floats)] = 0
    return floats


def _to_double(samples: NDArray[Any]) -> NDArray[Any]:
    if samples.dtype.kind == "f":
        return samples
    scaled: NDArray[Any] = samples * 2.0 ** (1 - 8 * samples.dtype.itemsize)
    return scaled


def _left_justified(encoder: Encoder, samples: Samples) -> NDArray[Any]:
    packed = encoder.encode(samples)
    four = np.zeros((*samples.shape, 4), np.uint8)
    four[..., 1:] = packed
    wide: NDArray[Any] = four.view("<i4")[..., 0]
    return wide


def _rounded(encoder: Encoder, bits: int, samples: Samples) -> NDArray[Any]:
    """Round to so many bits, halves upwards, clipping."""
    steps = (encoder.encode(samples) >> (31 - bits)) + 1 >> 1
    wide: NDArray[Any] = np.minimum(steps, 2 ** (bits - 1) - 1) << (32 - bits)
    return wide
