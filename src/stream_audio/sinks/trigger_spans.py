"""Which frames trigger: by hand, and by a function; told late or in time, in any order."""

from __future__ import annotations

import math
from collections import deque

EVENTS_REMEMBERED = 64
"""Events of which it is known which frames they had, for what is told late."""


class Span:
    """Frames that trigger, from ``first`` up to ``last``: infinity while it is held by hand."""

    def __init__(self, first: int, last: float) -> None:
        self.first = first
        self.last = last
        self.told = False
        """Whether it was told what of it could not be handed on."""

    def __repr__(self) -> str:
        return f"Span({self.first}, {self.last})"


class TriggerSpans:
    """The spans that no event has dealt with yet, and the one that is held by hand."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._held: Span | None = None

    def add(self, span: Span) -> None:
        """Add frames that trigger."""
        self._spans.append(span)
        self._spans.sort(key=lambda each: each.first)

    def hold(self, frame: int) -> None:
        """Trigger from a frame on until :meth:`release`."""
        held = self._held
        if held is None:
            self._held = Span(frame, math.inf)
            self.add(self._held)
        elif frame < held.first:
            self.add(Span(frame, held.first))

    def release(self, frame: int) -> None:
        """Let what is held end at a frame, but never before it began."""
        if self._held is not None:
            self._held.last = max(frame, self._held.first)
            self._held = None

    @property
    def next(self) -> Span | None:
        """The first of them."""
        return self._spans[0] if self._spans else None

    def pop(self) -> Span:
        """Take the first one out."""
        return self._spans.pop(0)


class HandedOn:
    """Which frames the events had, as far back as anyone may ask."""

    def __init__(self) -> None:
        self._spans: deque[tuple[int, int]] = deque()
        self._known_from = -(2**62)

    def add(self, begin: int, end: int) -> None:
        """Add the frames of an event, which begins no earlier than the one before it ended."""
        if len(self._spans) == EVENTS_REMEMBERED:
            self._known_from = self._spans.popleft()[1]
        self._spans.append((begin, end))

    def missing(self, begin: int, end: float) -> list[tuple[int, int]]:
        """Return the parts of ``begin`` up to ``end`` that no event had."""
        parts = []
        begin = max(begin, self._known_from)
        for first, last in (*self._spans, (end, end)):
            until = int(min(first, end))
            if begin < until:
                parts.append((begin, until))
            begin = max(begin, int(last))
        return parts
