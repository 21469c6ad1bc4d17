"""Types of sample, and how they stand for each other: the scaling, stated once.

Full scale is 1.0 = 2**(bits - 1). An integer ``v`` stands for ``v / 2**(bits - 1)``, so integers
that came from a converter go to float32 and back without a change up to 24 bits. The scale is the
same on both sides of zero; +1.0 itself is one step beyond the largest integer and is clipped.

Samples are float32, int16, or int32 of which the upper 24 or all 32 bits are used: full scale of
an int32 is 2**31 either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._native import samples as native
from stream_audio.audio.format import SampleType

Samples = NDArray[Any]


def sealed(samples: Samples) -> Samples:
    """Return the samples in memory that nobody can make writeable, for several to share.

    An array that owns its memory, or is a view of one that does, can be made writeable again by
    whoever has it; one over ``bytes`` cannot.
    """
    return np.ndarray(samples.shape, samples.dtype, buffer=samples.tobytes())


def sample_bytes(samples: Samples, dtype: SampleType) -> bytes:
    """Little-endian samples, in the order of ``samples``; rounded without dither, and clipped.

    "int24" has three bytes a sample, "int32" four.
    """
    if dtype == "float32":
        return to_float32(samples).astype("<f4", copy=False).tobytes()
    if dtype == "int16":
        return to_int16(samples).astype("<i2", copy=False).tobytes()
    wide = _to_int32(samples, 24 if dtype == "int24" else 32).astype("<i4", copy=False)
    if dtype == "int32":
        return wide.tobytes()
    return np.ascontiguousarray(wide).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()


def _to_int32(samples: Samples, bits: int) -> NDArray[np.int32]:
    if samples.dtype == np.int16:
        return np.left_shift(samples, 16, dtype=np.int32)
    if samples.dtype == np.int32:
        if bits == 32:
            return samples
        step = 2.0 ** (32 - bits)
        whole: Samples = np.minimum(np.rint(samples / step), 2 ** (bits - 1) - 1)
        return (whole * step).astype(np.int32)
    return native.to_int32(np.ascontiguousarray(samples, np.float32), bits)[0]


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Round to 16 bits (half to even), clipping what is beyond full scale; NaN becomes 0."""
    if samples.dtype == np.int16:
        return samples
    if samples.dtype == np.int32:
        return np.minimum(np.rint(samples / 2.0**16), 2**15 - 1).astype(np.int16)
    return native.to_int16(np.ascontiguousarray(samples, np.float32))[0]


def to_float32(samples: Samples) -> NDArray[np.float32]:
    """Return floats of full scale ±1.0; from 32 bits, the nearest there are."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    full_scale = -float(np.iinfo(samples.dtype).min)
    return (samples / full_scale).astype(np.float32)


def round_into(samples: NDArray[np.float32], bits: int, out: NDArray[Any]) -> None:
    """Round floats to 16, 24 or 32 bits, without dither, into memory of the caller's.

    Parameters
    ----------
    samples : ndarray of float32
        Contiguous.
    bits : int
        16, 24 or 32.
    out : ndarray of int16 or, for 24 and 32 bits, of int32, of which the upper bits are used
        Contiguous, of the same size.
    """
    if bits == 16:
        native.to_int16(samples, out)
    else:
        native.to_int32(samples, bits, out)
