"""Samples as they stand in files: the scaling, stated once.

Full scale is 1.0 = 2**(bits - 1). An integer ``v`` stands for ``v / 2**(bits - 1)``, so integers
that came from a converter go to float32 and back without a change up to 24 bits. The scale is the
same on both sides of zero; +1.0 itself is one step beyond the largest integer and is clipped.

Samples are float32, int16, or int32 of which 24 or all bits are used: full scale of an int32 is
2**31 either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._native import samples as native

Samples = NDArray[Any]


def pcm16_bytes(samples: Samples) -> bytes:
    """Little-endian signed 16-bit samples, in the order of ``samples``; no dither."""
    return _little_endian(to_int16(samples))


def pcm24_bytes(samples: Samples) -> bytes:
    """Little-endian signed 24-bit samples, three bytes each."""
    if samples.dtype == np.float32:
        return native.to_bytes24(np.ascontiguousarray(samples))
    four = to_int24(samples).astype("<i4", copy=False)
    return np.ascontiguousarray(four).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()


def pcm32_bytes(samples: Samples) -> bytes:
    """Little-endian signed 32-bit samples."""
    return _little_endian(to_int32(samples))


def float32_bytes(samples: Samples) -> bytes:
    """Little-endian 32-bit floats."""
    return _little_endian(to_float32(samples))


def _little_endian(samples: Samples) -> bytes:
    return samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Round to 16 bits (half to even), clipping what is beyond full scale; NaN becomes 0."""
    if samples.dtype == np.int16:
        return samples
    if samples.dtype == np.int32:
        return np.minimum(np.rint(samples / 2.0**16), 2**15 - 1).astype(np.int16)
    return native.to_int16(np.ascontiguousarray(samples))[0]


def to_int24(samples: Samples) -> NDArray[np.int32]:
    """Round to 24 bits, which stand in the upper three bytes of an int32."""
    if samples.dtype == np.int16:
        return to_int32(samples)
    if samples.dtype == np.int32:
        if not (samples & 0xFF).any():
            return samples
        return np.minimum(np.rint(samples / 256.0), 2**23 - 1).astype(np.int32) * 256
    return native.to_int32(np.ascontiguousarray(samples), 24)[0]


def to_int32(samples: Samples) -> NDArray[np.int32]:
    """Round to 32 bits."""
    if samples.dtype == np.int16:
        return samples.astype(np.int32) * 2**16
    if samples.dtype == np.int32:
        return samples
    return native.to_int32(np.ascontiguousarray(samples), 32)[0]


def to_float32(samples: Samples) -> NDArray[np.float32]:
    """Return floats of full scale ±1.0; from 32 bits, the nearest there are."""
    if samples.dtype == np.float32:
        return samples
    full_scale = -float(np.iinfo(samples.dtype).min)
    return (samples / full_scale).astype(np.float32)
