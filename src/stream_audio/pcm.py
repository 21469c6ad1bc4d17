"""Integer samples from floating-point ones: the scaling, stated once.

Full scale is 1.0 = 2**(bits - 1). An integer ``v`` stands for ``v / 2**(bits - 1)``, so integers
that came from a converter go to float32 and back without a change up to 24 bits. The scale is the
same on both sides of zero; +1.0 itself is one step beyond the largest integer and is clipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_integers(samples: NDArray[np.float32], bits: int) -> NDArray[np.int32]:
    """Round to the nearest integer of ``bits`` bits, clipping what is beyond full scale.

    Parameters
    ----------
    samples : ndarray of float32
        Any shape; full scale is ±1.0. NaN becomes 0.
    bits : int
        2 to 24.

    Returns
    -------
    ndarray of int32
        The same shape, from ``-2**(bits - 1)`` to ``2**(bits - 1) - 1``.
    """
    scale = float(1 << (bits - 1))
    # Clipped first: scaled, what is far beyond full scale would overflow.
    scaled = np.clip(np.ascontiguousarray(samples), np.float32(-2), np.float32(2))
    scaled *= np.float32(scale)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -scale, scale - 1, out=scaled)
    # A NaN has no integer; what the cast makes of it depends on the machine.
    if np.isnan(scaled.sum()):
        scaled[np.isnan(scaled)] = 0
    return scaled.astype(np.int32)


def pcm16_bytes(samples: NDArray[np.float32]) -> bytes:
    """Little-endian signed 16-bit samples, in the order of ``samples``."""
    return to_integers(samples, 16).astype("<i2").tobytes()


def pcm24_bytes(samples: NDArray[np.float32]) -> bytes:
    """Little-endian signed 24-bit samples, three bytes each."""
    four = to_integers(samples, 24).astype("<i4")
    return four.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def float32_bytes(samples: NDArray[np.float32]) -> bytes:
    """Little-endian 32-bit floats: the samples as they are."""
    return samples.astype("<f4", copy=False).tobytes()
