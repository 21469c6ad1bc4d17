"""Histograms of durations, counted in C."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._native import address, ffi, keeping_the_gil, lib
from stream_audio.reports.histogram import Histogram

_edge = keeping_the_gil("sa_histogram_edge", ctypes.c_int64, ctypes.c_uint32)
_record = keeping_the_gil("sa_histogram_record", None, ctypes.c_void_p, ctypes.c_int64)


@functools.cache
def _edges() -> NDArray[np.float64]:
    edges = [_edge(bucket) * 1e-9 for bucket in range(lib.SA_HISTOGRAM_BUCKETS)]
    seconds = np.array([*edges, np.inf])
    seconds.flags.writeable = False
    return seconds


def snapshot(native: Any) -> Histogram:
    """Return what an ``sa_histogram`` has counted so far."""
    counts = np.frombuffer(ffi.buffer(native.counts), np.uint64)
    return Histogram(_edges(), counts.astype(np.int64))


class Durations:
    """Counts durations; one thread records, any may ask."""

    def __init__(self) -> None:
        self._native = ffi.new("sa_histogram *")
        self._address = address(self._native)

    def record(self, seconds: float) -> None:
        """Count one."""
        _record(self._address, int(seconds * 1e9))

    def snapshot(self) -> Histogram:
        """Return what was counted so far."""
        return snapshot(self._native)
