"""Parts of chunks and of gaps, exact to the frame, and gaps on their way to a chunk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stream_audio.chunk import AudioChunk
from stream_audio.gap import Gap


def cut(chunk: AudioChunk, start: int, stop: int) -> AudioChunk:
    """Return the frames of a chunk from ``start`` up to ``stop``, as a view of its samples.

    ``start`` and ``stop`` are positions on the timeline, inside the chunk. What stands before the
    chunk's first frame (gaps, overflows) is told by the part that begins with it.
    """
    if start == chunk.frame and stop == chunk.end:
        return chunk
    offset = start - chunk.frame
    return replace(
        chunk,
        data=chunk.data[offset : stop - chunk.frame],
        frame=start,
        time=chunk.time + offset / chunk.sample_rate,
        gaps=() if offset else chunk.gaps,
        overflows=0 if offset else chunk.overflows,
        _peaks=None,
        _squares=None,
    )


def gaps_from(chunk: AudioChunk, start: int) -> AudioChunk:
    """Return the chunk with only those parts of its gaps that lie at ``start`` or later."""
    if all(gap.frame >= start for gap in chunk.gaps):
        return chunk
    kept = []
    for gap in chunk.gaps:
        if gap.end > start:
            lead = max(0, start - gap.frame)
            time = gap.time + lead / chunk.sample_rate
            kept.append(replace(gap, frame=gap.frame + lead, frames=gap.frames - lead, time=time))
    return replace(chunk, gaps=tuple(kept))


class UntoldGaps:
    """Gaps that the next chunk of their source has to tell."""

    def __init__(self) -> None:
        self._gaps: dict[str, list[Gap]] = {}

    def __bool__(self) -> bool:
        return bool(self._gaps)

    def add(self, gaps: Iterable[Gap]) -> None:
        """Keep gaps, in order; one that continues the last is joined to it."""
        for gap in gaps:
            mine = self._gaps.setdefault(gap.source, [])
            if mine and mine[-1].end == gap.frame and mine[-1].cause == gap.cause:
                mine[-1] = replace(mine[-1], frames=mine[-1].frames + gap.frames)
            else:
                mine.append(gap)

    def tell(self, chunk: AudioChunk) -> AudioChunk:
        """Return the chunk with what it has to tell before its own gaps."""
        told = self._gaps.pop(chunk.source, None) if self._gaps else None
        return replace(chunk, gaps=(*told, *chunk.gaps)) if told else chunk
