"""Which frames were sent and are not confirmed: spans, in the order in which they went out."""

from __future__ import annotations

from collections import deque

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk


class InFlight:
    """A row of spans of frames; any thread may use it."""

    def __init__(self) -> None:
        self._spans: deque[tuple[str, int, int]] = deque()
        self._lock = InterruptibleLock()

    @property
    def frames(self) -> int:
        """How many frames that is."""
        with self._lock:
            return sum(end - begin for _, begin, end in self._spans)

    def add(self, chunk: AudioChunk) -> None:
        """Note a chunk that is on its way."""
        with self._lock:
            if self._spans:
                source, begin, end = self._spans[-1]
                if (source, end) == (chunk.source, chunk.frame):
                    self._spans[-1] = (source, begin, chunk.end)
                    return
            self._spans.append((chunk.source, chunk.frame, chunk.end))

    def confirm(self, source: str, frame: int) -> None:
        """Strike out what has arrived."""
        with self._lock:
            kept = []
            for name, begin, end in self._spans:
                if name == source:
                    begin = max(begin, frame)
                if begin < end:
                    kept.append((name, begin, end))
            self._spans = deque(kept)

    def begins_with(self, chunk: AudioChunk) -> bool:
        """Whether a chunk is the oldest of them, or nothing is on its way."""
        with self._lock:
            if not self._spans:
                return True
            source, begin, _ = self._spans[0]
            return source == chunk.source and chunk.frame <= begin

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._spans.clear()
