"""The last seconds of a source, kept so that they can be had after the fact."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.cutting import cut, gaps_from
from stream_audio.audio.samples import sealed


class History:
    """Chunks of one source, at least of its last ``seconds``; a little more in memory.

    The router adds; any thread may ask.

    Parameters
    ----------
    seconds : float
        How much is kept. Memory: ``(seconds + 1) * sample_rate * channels * 4`` bytes.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._chunks: deque[AudioChunk] = deque()

    @property
    def bytes(self) -> int:
        """Bytes of the samples that are kept."""
        return sum(chunk.data.nbytes for chunk in self._chunks.copy())

    def add(self, chunk: AudioChunk) -> None:
        """Append the source's next chunk, and forget what is too old; never waits."""
        chunks = self._chunks
        chunks.append(chunk)
        oldest = chunk.end - round(self.seconds * chunk.sample_rate)
        while chunks[0].end <= oldest:
            chunks.popleft()

    def replay(self, seconds: float) -> list[AudioChunk]:
        """Return the last ``seconds``, exact to the frame, or what there is of them.

        The first chunk is cut to measure; of the gaps before it only what lies in that time is
        told.
        """
        # One step, whatever the router adds meanwhile; to walk through it would be many.
        chunks = list(self._chunks.copy())
        if not chunks:
            return []
        last = chunks[-1]
        start = last.end - round(min(seconds, self.seconds) * last.sample_rate)
        chunks = [chunk for chunk in chunks if chunk.end > start]
        if chunks:
            first = chunks[0]
            first = cut(first, max(start, first.frame), first.end)
            chunks[0] = gaps_from(first, start)
        return chunks

    def last(self, seconds: float) -> AudioChunk | None:
        """Return the last ``seconds`` as one chunk, with silence where frames are missing.

        Its ``gaps`` are those within it, not before it. ``None`` if nothing was captured yet.
        """
        chunks = self.replay(seconds)
        if not chunks:
            return None
        first, last = chunks[0], chunks[-1]
        gaps = tuple(gap for chunk in chunks for gap in chunk.gaps)
        frame = min([first.frame, *(gap.frame for gap in first.gaps)])
        data = np.zeros((last.end - frame, last.channels), last.data.dtype)
        for chunk in chunks:
            data[chunk.frame - frame : chunk.end - frame] = chunk.data
        return replace(
            first,
            data=sealed(data),
            frame=frame,
            time=first.time - (first.frame - frame) / first.sample_rate,
            arrival=last.arrival,
            gaps=gaps,
            overflows=sum(chunk.overflows for chunk in chunks),
            _peaks=None,
            _squares=None,
        )
