"""Blocks of a fixed size, with overlap, out of chunks of any size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_audio._checks import whole_number
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause, gaps_within
from stream_audio.audio.samples import sealed
from stream_audio.audio.untold_gaps import UntoldGaps

MAX_FRAMES = 2**24


class Reblocker:
    """Cuts the chunks of any number of sources into blocks; see ``ChannelSink.chunks``.

    Parameters
    ----------
    frames : int
        Frames of each block, 1 to 2**24.
    overlap : int
        Frames that a block has in common with the one before, 0 to ``frames - 1``.
    pad : bool
        Whether a rest that is too short for a block is filled up with silence, or left out.
    """

    def __init__(self, frames: int, overlap: int = 0, *, pad: bool = False) -> None:
        self.frames = whole_number("frames", frames, 1, MAX_FRAMES)
        self._hop = self.frames - whole_number("overlap", overlap, 0, self.frames - 1)
        self._pad = pad
        self._spans: dict[str, _Span] = {}
        self._carried = UntoldGaps()

    def push(self, chunk: AudioChunk) -> Iterator[AudioChunk]:
        """Take a chunk, and return the blocks that it completes."""
        span = self._spans.get(chunk.source)
        if span is None or not span.continues_with(chunk):
            if span is not None:
                yield from self._end(span)
            span = self._spans[chunk.source] = _Span(chunk.frame)
        self._carried.add(chunk.gaps)
        span.append(chunk)
        while span.end - span.start >= self.frames:
            yield self._carried.give_to(span.block(self.frames))
            span.advance(self._hop)

    def waiting(self, source: str) -> int:
        """Frames of a source that no block has yet, at the end of what was pushed."""
        span = self._spans.get(source)
        return 0 if span is None else span.end - span.used

    def finish(self) -> Iterator[AudioChunk]:
        """Say that nothing follows, and return what is padded to a block."""
        for span in self._spans.values():
            yield from self._end(span)
        self._spans.clear()

    def _end(self, span: _Span) -> Iterator[AudioChunk]:
        """Deal with what is too short for a block."""
        if span.used == span.end:
            return
        if self._pad:
            yield self._carried.give_to(span.block(self.frames))
        else:
            self._carried.add((span.rest(),))


class _Span:
    """Chunks without a gap between them, and how far they have been used."""

    def __init__(self, frame: int) -> None:
        self._parts: deque[AudioChunk] = deque()
        self.start = frame  # of the next block
        self.used = frame  # the end of the last block
        self.end = frame

    def continues_with(self, chunk: AudioChunk) -> bool:
        last = self._parts[-1]
        return (
            not chunk.gaps
            and chunk.frame == self.end
            and chunk.sample_rate == last.sample_rate
            and chunk.channels == last.channels
        )

    def append(self, chunk: AudioChunk) -> None:
        self._parts.append(chunk)
        self.end = chunk.end

    def advance(self, frames: int) -> None:
        self.start += frames
        while len(self._parts) > 1 and self._parts[0].end <= self.start:
            self._parts.popleft()

    def block(self, frames: int) -> AudioChunk:
        """Return the block that begins at ``start``; silence stands for what is not there."""
        stop = min(self.start + frames, self.end)
        parts = [part for part in self._parts if self.start < part.end and part.frame < stop]
        first = parts[0]
        offset = self.start - first.frame
        slices = [part.data[max(0, self.start - part.frame) : stop - part.frame] for part in parts]
        if stop - self.start < frames:
            shape = (frames - (stop - self.start), first.channels)
            slices.append(np.zeros(shape, first.data.dtype))
        block = replace(
            first,
            data=slices[0] if len(slices) == 1 else _joined(slices),
            frame=self.start,
            time=first.time + offset / first.sample_rate,
            arrival=parts[-1].arrival,
            gaps=(),
            overflows=sum(part.overflows for part in parts if part.frame >= self.used),
            clipped=sum(part.clipped for part in parts if part.frame >= self.used),
            _peaks=None,
            _squares=None,
            absent=tuple(gap for part in parts for gap in self._absent(part, stop)),
        )
        self.used = stop
        return block

    def _absent(self, part: AudioChunk, stop: int) -> tuple[Gap, ...]:
        return gaps_within(part.absent, self.start, stop, part.sample_rate)

    def rest(self) -> Gap:
        """Return what no block has."""
        first = self._parts[0]
        time = first.time + (self.used - first.frame) / first.sample_rate
        return Gap(first.source, self.used, self.end - self.used, GapCause.PASSED_OVER, time)


def _joined(slices: list[NDArray[Any]]) -> NDArray[Any]:
    return sealed(np.concatenate(slices))


class _Reading(Protocol):
    """An iterator over chunks, in a loop and in an ``async`` loop."""

    def __next__(self) -> AudioChunk: ...

    async def __anext__(self) -> AudioChunk: ...


class Blocks:
    """An iterator over blocks of a channel, plain or ``async``; ``ChannelSink.chunks`` makes it.

    You may leave it and take it up again; it continues with the next block.
    """

    def __init__(self, chunks: _Reading, reblocker: Reblocker) -> None:
        self._chunks = chunks
        self._reblocker = reblocker
        self._ready: deque[AudioChunk] = deque()
        self._ended = False

    def __iter__(self) -> Blocks:
        return self

    def __next__(self) -> AudioChunk:
        while not self._ready:
            if self._ended:
                raise StopIteration
            try:
                self._ready.extend(self._reblocker.push(next(self._chunks)))
            except StopIteration:
                self._finish()
        return self._ready.popleft()

    def __aiter__(self) -> Blocks:
        return self

    async def __anext__(self) -> AudioChunk:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            try:
                self._ready.extend(self._reblocker.push(await anext(self._chunks)))
            except StopAsyncIteration:
                self._finish()
        return self._ready.popleft()

    def _finish(self) -> None:
        self._ended = True
        self._ready.extend(self._reblocker.finish())

    def __repr__(self) -> str:
        return f"<Blocks of {self._reblocker.frames} frames>"
