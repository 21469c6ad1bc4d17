"""Gaps on their way to the chunk that will tell of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause


def missing(chunk: AudioChunk, cause: GapCause) -> Gap:
    """Return the gap that a chunk leaves when it is dropped."""
    return Gap(chunk.source, chunk.frame, chunk.frames, cause, chunk.time)


class UntoldGaps:
    """Gaps of chunks that a consumer did not get, until the next chunk of the same source.

    Adjoining gaps of one cause become one, so that this stays small however much is dropped.

    Attributes
    ----------
    by_source : dict
        The gaps of each source that are carried, in order.
    """

    def __init__(self) -> None:
        self.by_source: dict[str, list[Gap]] = {}

    def add(self, gaps: Iterable[Gap]) -> None:
        """Append gaps, later ones after earlier ones of their source."""
        for gap in gaps:
            append_gap(self.by_source.setdefault(gap.source, []), gap)

    def add_chunk(self, chunk: AudioChunk, cause: GapCause) -> Gap:
        """Append what is lost with a dropped chunk; returns the chunk's own gap."""
        gap = missing(chunk, cause)
        # The gaps before it would go unseen with it.
        self.add((*chunk.gaps, gap))
        return gap

    def take_over(self, other: UntoldGaps) -> None:
        """Append all that ``other`` carries, which then carries nothing."""
        if other.by_source:
            for gaps in other.by_source.values():
                self.add(gaps)
            other.by_source.clear()

    def give_to(self, chunk: AudioChunk) -> AudioChunk:
        """Return the chunk with the gaps of its source that were carried until now."""
        if not self.by_source:
            return chunk
        gaps = self.by_source.pop(chunk.source, None)
        return with_gaps_before(chunk, gaps) if gaps else chunk

    def give_earlier_to(self, chunk: AudioChunk) -> AudioChunk:
        """Likewise where chunks come again: in order, but for gaps that lie after this one."""
        earlier: list[Gap] = []
        later: list[Gap] = []
        for gap in sorted(self.by_source.pop(chunk.source, []), key=lambda gap: gap.frame):
            append_gap(earlier if gap.end <= chunk.frame else later, gap)
        if later:
            self.by_source[chunk.source] = later
        return with_gaps_before(chunk, earlier) if earlier else chunk


def with_gaps_before(chunk: AudioChunk, gaps: Iterable[Gap]) -> AudioChunk:
    """Return the chunk with these gaps before its own."""
    return replace(chunk, gaps=(*gaps, *chunk.gaps))


def append_gap(gaps: list[Gap], gap: Gap) -> None:
    """Append a gap to those of the same source, as one with the last if it goes on from there."""
    joined = gaps[-1].joined(gap) if gaps else None
    if joined is not None:
        gaps[-1] = joined
    else:
        gaps.append(gap)
