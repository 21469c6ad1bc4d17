"""Spans of frames on one timeline: which of them are in, in order, none twice."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Spans:
    """Disjoint spans; adjoining ones become one, so memory grows with their number alone."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def overlaps(self, start: int, end: int) -> bool:
        """Whether a frame from ``start`` up to ``end`` is in."""
        index = bisect_right(self._ends, start)
        return start < end and index < len(self._starts) and self._starts[index] < end

    def add(self, start: int, end: int) -> None:
        """Put a span in; what of it is in already stays."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def __len__(self) -> int:
        return len(self._starts)
