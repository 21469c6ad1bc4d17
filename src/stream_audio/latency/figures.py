"""What many durations have in common: percentiles, a histogram, a time line.

Every value is kept, so percentiles are exact: the p99 is a duration that was measured, which 99 %
of all did not exceed. A value takes 16 bytes, which makes 11 MB an hour for 5 ms chunks and each
consumer.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_audio.reports.histogram import Histogram, rank

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
COLUMNS = ("min", *PERCENTILES, "max")

BUCKETS_PER_DECADE = 20
TIME_SLOTS = 200
SHORTEST = 1e-9
"""Seconds; a histogram's first bucket. Clocks count in ns."""

LONGEST_HDR_NS = 24 * 3600 * 10**9


def figures(durations: ArrayLike, times: ArrayLike | None = None) -> dict[str, Any]:
    """Return the figures of durations in seconds, ready for ``json.dumps``.

    Parameters
    ----------
    durations : array_like of float
        Seconds.
    times : array_like of float, optional
        When each was measured, rising; adds a time line.
    """
    values = np.asarray(durations, np.float64)
    found: dict[str, Any] = {"count": len(values)}
    if not len(values):
        return found | dict.fromkeys(COLUMNS)
    ordered = np.sort(values)
    found["min"] = float(ordered[0])
    for name, percent in PERCENTILES.items():
        found[name] = float(ordered[rank(percent, len(ordered)) - 1])
    found["max"] = float(ordered[-1])
    found["histogram"] = histogram_of(values).to_dict()
    if times is not None:
        found["timeline"] = _timeline(values, np.asarray(times, np.float64))
    return found


def figures_of_histogram(histogram: Histogram) -> dict[str, Any]:
    """Return the same figures of durations that were only counted; exact to a bucket."""
    found: dict[str, Any] = {"count": histogram.total}
    if not histogram.total:
        return found | dict.fromkeys(COLUMNS)
    used = np.flatnonzero(histogram.counts)
    found["min"] = float(histogram.edges[used[0]])
    found |= {name: histogram.percentile(percent) for name, percent in PERCENTILES.items()}
    found["max"] = histogram.percentile(100)
    return found | {"histogram": histogram.to_dict()}


def histogram_of(durations: NDArray[np.float64]) -> Histogram:
    """Count durations in buckets of equal ratio, as many as they need."""
    values = np.maximum(durations, SHORTEST)
    first = math.floor(math.log10(values.min()) * BUCKETS_PER_DECADE)
    last = math.floor(math.log10(values.max()) * BUCKETS_PER_DECADE) + 1
    edges = 10.0 ** (np.arange(first, last + 1) / BUCKETS_PER_DECADE)
    edges[0] = min(edges[0], values.min())  # powers and logarithms are rounded
    edges[-1] = math.inf
    counts = np.histogram(values, edges)[0]
    return Histogram(edges, counts.astype(np.int64))


def _timeline(values: NDArray[np.float64], times: NDArray[np.float64]) -> dict[str, Any]:
    """Return median and maximum in equal stretches of time; those without a value are left out."""
    since = times - times[0]
    slots = min(TIME_SLOTS, max(1, len(values) // 4))
    width = max(float(since[-1]) / slots, SHORTEST)
    slot = np.minimum(since // width, slots - 1).astype(np.int64)
    bounds = np.searchsorted(slot, np.arange(slots + 1))
    line: dict[str, Any] = {"seconds": [], "p50": [], "max": []}
    for number in range(slots):
        part = values[bounds[number] : bounds[number + 1]]
        if len(part):
            line["seconds"].append(round(number * width, 6))
            line["p50"].append(float(np.median(part)))
            line["max"].append(float(part.max()))
    return line


def hdr(durations: ArrayLike) -> str | None:
    """Return the durations as an encoded HdrHistogram (V2, in ns), for its many tools.

    ``None`` without the package hdrhistogram (``pip install hdrhistogram``), which is not needed
    for anything else.
    """
    try:
        with warnings.catch_warnings():  # of its own, from Python 3.14 on
            warnings.simplefilter("ignore", DeprecationWarning)
            from hdrh.histogram import HdrHistogram
    except ModuleNotFoundError:
        return None
    histogram = HdrHistogram(1, LONGEST_HDR_NS, 3)
    values, counts = np.unique(
        np.maximum(np.rint(np.asarray(durations, np.float64) * 1e9), 1), return_counts=True
    )
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(int(value), count)
    encoded: bytes = histogram.encode()
    return encoded.decode("ascii")
