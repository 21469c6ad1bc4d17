"""Histograms of durations, counted in C."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._native import ffi, lib
from stream_audio.histogram import Histogram


@functools.cache
def _edges() -> NDArray[np.float64]:
    edges = [lib.sa_histogram_edge(bucket) * 1e-9 for bucket in range(lib.SA_HISTOGRAM_BUCKETS)]
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

    def record(self, seconds: float) -> None:
        """Count one."""
        lib.sa_histogram_record(self._native, int(seconds * 1e9))

    def snapshot(self) -> Histogram:
        """Return what was counted so far."""
        return snapshot(self._native)
