"""Passes over samples that are over in microseconds.

They keep the GIL, each for some 10 µs a chunk. Arrays must be contiguous.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._native import INTEGER, ffi, keeping_the_gil, lib
from stream_audio.errors import ConfigError, ConfigTypeError

_POINTER, _INT64, _UINT32, _UINT64 = (
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_uint32,
    ctypes.c_uint64,
)


_levels_add = keeping_the_gil("sa_levels_add", None, _POINTER, _INT64, _UINT32, _POINTER, _POINTER)
_mix = keeping_the_gil(
    "sa_channels_mix", None, _POINTER, _INT64, _UINT32, _POINTER, _UINT32, _POINTER
)
_pick = keeping_the_gil(
    "sa_channels_pick", None, _POINTER, _INT64, _UINT32, _POINTER, _UINT32, _POINTER
)
_count_nonfinite = keeping_the_gil("sa_count_nonfinite", _INT64, _POINTER, _INT64)
_zero_nonfinite = keeping_the_gil("sa_zero_nonfinite", _INT64, _POINTER, _INT64, _POINTER)
_to_int16 = keeping_the_gil("sa_to_int16", _INT64, _POINTER, _INT64, _POINTER)
_to_int16_dithered = keeping_the_gil(
    "sa_to_int16_dithered", _INT64, _POINTER, _INT64, _POINTER, _UINT64, _UINT32
)
_are_int16 = keeping_the_gil("sa_are_int16", ctypes.c_bool, _POINTER, _INT64)
_to_int32 = keeping_the_gil("sa_to_int32", _INT64, _POINTER, _INT64, _UINT32, _POINTER)


def _floats(samples: NDArray[np.float32]) -> int:
    """Return the address of samples; C would take others for what they are not."""
    if samples.dtype != np.float32:
        raise ConfigTypeError(f"samples must be float32, not {samples.dtype}")
    return _address(samples)


def _address(array: NDArray[Any]) -> int:
    # A third of the time of array.ctypes.data.
    return int(ffi.cast(INTEGER, ffi.from_buffer(array)))


def levels(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return each channel's peak and sum of squares; shape of ``samples``: (frames, channels)."""
    frames, channels = samples.shape
    if not 1 <= channels <= lib.SA_MAX_CHANNELS:
        raise ConfigError(f"{channels} channels are not from 1 to {lib.SA_MAX_CHANNELS}")
    peaks = np.zeros(channels, np.float32)
    squares = np.zeros(channels, np.float64)
    _levels_add(_floats(samples), frames, channels, _address(peaks), _address(squares))
    return peaks, squares


def mix(samples: NDArray[np.float32], gains: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``samples @ gains.T``; ``gains``: shape (channels out, channels in)."""
    frames, channels = samples.shape
    out = np.empty((frames, len(gains)), np.float32)
    data = _floats(samples)
    _mix(data, frames, channels, _address(gains), len(gains), _address(out))
    return out


def pick(samples: NDArray[np.float32], channels: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return ``samples[:, channels]``."""
    frames, inputs = samples.shape
    out = np.empty((frames, len(channels)), np.float32)
    data = _floats(samples)
    _pick(data, frames, inputs, _address(channels), len(channels), _address(out))
    return out


def count_nonfinite(samples: NDArray[np.float32]) -> int:
    """Return how many samples are infinite or not a number."""
    return int(_count_nonfinite(_floats(samples), samples.size))


def zero_nonfinite(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Return samples with 0 in place of those that are no finite numbers, and their number."""
    out = np.empty_like(samples)
    return out, _zero_nonfinite(_floats(samples), samples.size, _address(out))


def to_int16(
    samples: NDArray[np.float32], out: NDArray[np.int16] | None = None
) -> tuple[NDArray[np.int16], int]:
    """Return the nearest 16-bit integers, in ``out`` if given, and how many were clipped."""
    if out is None:
        out = np.empty(samples.shape, np.int16)
    return out, _to_int16(_floats(samples), samples.size, _address(out))


def to_int16_dithered(
    samples: NDArray[np.float32], first: int, seed: int
) -> tuple[NDArray[np.int16], int]:
    """Return 16-bit integers rounded with dither, and how many samples were clipped.

    Samples that are integers already are left alone if all of them are.

    Parameters
    ----------
    samples : ndarray of float32
        Any shape.
    first : int
        Number of the first sample, which chooses its noise, together with ``seed``.
    """
    data, size = _floats(samples), samples.size
    if _are_int16(data, size):
        return to_int16(samples)
    out = np.empty(samples.shape, np.int16)
    return out, _to_int16_dithered(data, size, _address(out), first % 2**64, seed)


def to_int32(
    samples: NDArray[np.float32], bits: int, out: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.int32], int]:
    """Return integers whose upper ``bits`` (24 or 32) are used, and how many were clipped.

    In ``out`` if given.
    """
    if out is None:
        out = np.empty(samples.shape, np.int32)
    return out, _to_int32(_floats(samples), samples.size, bits, _address(out))
