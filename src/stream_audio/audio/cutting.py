"""Parts of chunks and of the gaps before them, exact to the frame."""

from __future__ import annotations

from dataclasses import replace

from stream_audio.audio.chunk import AudioChunk


def cut(chunk: AudioChunk, start: int, stop: int) -> AudioChunk:
    """Return the frames of a chunk from ``start`` up to ``stop``, as a view of its samples.

    ``start`` and ``stop`` are positions on the timeline, inside the chunk. What stands before the
    chunk's first frame (gaps, overflows, clipped samples) is told by the part that begins with it.
    """
    return chunk[start - chunk.frame : stop - chunk.frame]


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
