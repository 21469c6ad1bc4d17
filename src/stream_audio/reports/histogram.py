"""How often a duration was how long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._public import public


@public
@dataclass(frozen=True, eq=False, repr=False)
class Histogram:
    """Counts of durations in buckets.

    Attributes
    ----------
    edges : ndarray of float64, shape (buckets + 1,)
        Seconds, rising. Bucket ``i`` counts ``edges[i] <= duration < edges[i + 1]``; the last edge
        is infinite.
    counts : ndarray of int64, shape (buckets,)
        How many durations fell into each bucket.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float:
        """Return the duration in seconds that this percentage does not exceed, or NaN if empty.

        The result is the upper edge of the percentile's bucket. So it is never too small, and too
        large by at most the width of a bucket.
        """
        total = self.total
        if total == 0:
            return math.nan
        bucket = int(np.searchsorted(np.cumsum(self.counts), rank(percent, total)))
        upper = float(self.edges[bucket + 1])
        return upper if math.isfinite(upper) else float(self.edges[bucket])

    def to_dict(self) -> dict[str, Any]:
        """Return the buckets that are not empty, as lists: lower edges in seconds, and counts."""
        used = np.flatnonzero(self.counts)
        return {
            "seconds": self.edges[used].tolist(),
            "counts": self.counts[used].tolist(),
        }

    def __repr__(self) -> str:
        if self.total == 0:
            return "<Histogram: empty>"
        p50, p99 = (self.percentile(percent) for percent in (50, 99))
        return f"<Histogram: {self.total} durations, p50 {p50:.3g} s, p99 {p99:.3g} s>"


def rank(percent: float, total: int) -> int:
    """Return how many of ``total`` values, at least one, are ``percent`` percent of them.

    The value of that rank is the percentile by the nearest-rank method.
    """
    # Rounded first: 99.9 % of 20000 is 19980.000000000004 to a computer.
    return max(1, math.ceil(round(total * percent / 100, 6)))
