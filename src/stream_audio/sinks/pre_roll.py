"""The newest chunks of a source, for as long as an event may still need them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from stream_audio.audio.chunk import AudioChunk, wall_time_after
from stream_audio.audio.cutting import cut, gaps_from


class PreRoll:
    """Keeps so many frames before the place up to which is known what triggers.

    Parameters
    ----------
    frames : int
        How many; whole chunks are kept, the newest in any case.

    Attributes
    ----------
    first : int
        Where the source began, with the gaps before its first chunk.
    kept_from : int
        Everything that came from this frame on is still here.
    end : int
        The end of what came.
    bytes : int
        Of samples that are kept.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._chunks: deque[AudioChunk] = deque()
        self.first: int = 2**62
        self.kept_from = self.end = 0
        self.bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._chunks

    def add(self, chunk: AudioChunk) -> None:
        """Take the next chunk."""
        if not self._chunks:
            self.kept_from = chunk.gaps[0].frame if chunk.gaps else chunk.frame
            self.first = min(self.first, self.kept_from)
        self._chunks.append(chunk)
        self.bytes += chunk.data.nbytes
        self.end = chunk.end

    def remove(self, chunk: AudioChunk) -> None:
        """Be as if the newest chunk had never come."""
        self._chunks.remove(chunk)
        self.bytes -= chunk.data.nbytes
        self.end = self._chunks[-1].end if self._chunks else self.kept_from

    def trim(self, decided: int) -> None:
        """Let go of what no event can need any more; before ``decided`` it is known."""
        needed = decided - self._frames
        while len(self._chunks) > 1 and self._chunks[0].end <= needed:
            chunk = self._chunks.popleft()
            self.bytes -= chunk.data.nbytes
            self.kept_from = chunk.end

    def pieces(self, begin: int, end: float) -> Iterator[AudioChunk]:
        """Yield what is kept of these frames; gaps before ``begin`` are left out."""
        for chunk in self._chunks:
            first, stop = max(chunk.frame, begin), min(chunk.end, end)
            if first < stop:
                yield gaps_from(cut(chunk, first, int(stop)), begin)
                begin = chunk.end

    def frame_at(self, moment: float) -> int:
        """Return the frame that was captured at a moment, by the times of its own chunk."""
        near = self._chunks[0]
        for chunk in reversed(self._chunks):
            if chunk.time <= moment:
                near = chunk
                break
        return near.frame + round((moment - near.time) * near.sample_rate)

    def time_of(self, frame: int) -> float:
        """Return when a frame was captured, or would have been."""
        near = self._near(frame)
        return near.time + (frame - near.frame) / near.sample_rate

    def wall_time_of(self, frame: int, epoch: float) -> float:
        """Return that on the wall clock; ``epoch`` is the sink's."""
        near = self._near(frame)
        return wall_time_after(near, epoch) + (frame - near.frame) / near.sample_rate

    def _near(self, frame: int) -> AudioChunk:
        return next((each for each in self._chunks if each.end > frame), self._chunks[-1])
