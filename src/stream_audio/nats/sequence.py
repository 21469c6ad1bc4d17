"""The frames of one source, put in order by their numbers, each once."""

from __future__ import annotations

from dataclasses import replace

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.cutting import cut, gaps_from
from stream_audio.audio.gap import Gap, GapCause

MOST_HELD = 60.0
"""Seconds of audio that are held back at most for what may still come before it."""


class Sequence:
    """Takes chunks as they come, with what came twice or out of order, and gives them in order.

    A broker stores again what it has not acknowledged, perhaps after what follows it. So a chunk
    that leaves a hole that no gap explains waits, until the hole is filled or ``patience`` is
    over.

    Parameters
    ----------
    patience : float
        Seconds.
    start : int, optional
        The first frame that is wanted; ``None``: the first that comes.
    """

    def __init__(self, patience: float, start: int | None = None) -> None:
        self.next = start
        """The frame that is awaited."""
        self._patience = patience
        self._held: list[tuple[float, AudioChunk, int]] = []

    @property
    def oldest_held(self) -> int | None:
        """The number of the first message that is held back."""
        return min((number for _, _, number in self._held), default=None)

    def push(self, chunk: AudioChunk, now: float, number: int = 0) -> list[AudioChunk]:
        """Take a chunk that was stored at ``now``; returns those that are in order by that."""
        if self.next is None:
            self.next = chunk.frame
        self._held.append((now, chunk, number))
        self._held.sort(key=lambda each: each[1].frame)
        return self.due(now)

    def due(self, now: float, *, at_once: bool = False) -> list[AudioChunk]:
        """Return what is in order, or has waited for long enough."""
        given: list[AudioChunk] = []
        while self._held and self.next is not None:
            _, chunk, _ = self._held[0]
            if chunk.end <= self.next:
                self._held.pop(0)  # all of it was there before
                continue
            begins = min((gap.frame for gap in chunk.gaps), default=chunk.frame)
            held = self._held[-1][1].end - chunk.frame
            over = now - self._held[0][0] >= self._patience
            if begins > self.next and not (
                at_once or over or held > MOST_HELD * chunk.sample_rate
            ):
                break
            self._held.pop(0)
            given.append(self._in_order(chunk, begins))
            self.next = chunk.end
        return given

    def _in_order(self, chunk: AudioChunk, begins: int) -> AudioChunk:
        awaited = self.next
        assert awaited is not None
        if chunk.frame < awaited:
            return cut(chunk, awaited, chunk.end)
        chunk = gaps_from(chunk, awaited)
        if begins <= awaited:
            return chunk
        time = chunk.time - (chunk.frame - awaited) / chunk.sample_rate
        cause = GapCause.NOT_RECEIVED
        missing = Gap(chunk.source, awaited, begins - awaited, cause, time)
        return replace(chunk, gaps=(missing, *chunk.gaps))
