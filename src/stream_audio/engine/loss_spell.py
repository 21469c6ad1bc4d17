"""A spell of losses of one sink, of which the beginning and the end are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream_audio.audio.gap import Gap
from stream_audio.reports.events import GapDetected

OVER_AFTER = 1.0
"""Seconds without a loss, while chunks come, after which a spell is over."""


class LossSpells:
    """The losses of a sink that is written to directly, by source and cause.

    A channel that nobody reads loses a chunk with each that comes, for as long as that lasts: the
    first loss is told at once, and all that follow by one event when the spell is over.
    """

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._last_loss = 0.0
        self.untold: dict[tuple[str, str], GapDetected | None] = {}
        """What is not told yet of each spell that is under way."""

    def lose(self, gaps: Iterable[Gap], now: float) -> Iterator[GapDetected]:
        """Enter losses; yields what is to be told of them at once."""
        for gap in gaps:
            event = GapDetected(now, gap, self._sink)
            kind = (gap.source, gap.cause)
            self._last_loss = now
            if kind not in self.untold:
                self.untold[kind] = None
                yield event
            else:
                before = self.untold[kind]
                self.untold[kind] = event if before is None else before.merged_with(event)

    def pass_on(self, now: float) -> Iterator[GapDetected]:
        """Say that a chunk was taken without a loss; yields what is to be told if all is over."""
        if now - self._last_loss >= OVER_AFTER:
            yield from self.end(now)

    def end(self, now: float) -> Iterator[GapDetected]:
        """Yield what is to be told at the end of all."""
        untold, self.untold = self.untold, {}
        for event in untold.values():
            if event is not None:
                yield GapDetected(now, event.gap, event.sink, event.count, event.further_frames)
