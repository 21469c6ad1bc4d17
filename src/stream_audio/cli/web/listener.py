"""A browser that listens: what waits for it, and what it was too slow for."""

from __future__ import annotations

import asyncio
import struct
from collections import deque

from stream_audio import AudioChunk
from stream_audio.audio.samples import sample_bytes

MOST_WAITING = 2.0
"""Seconds of audio that wait for a browser; then the oldest are dropped."""
AT_ONCE = 0.05
"""Seconds that are sent at least, in a message."""


class Listener:
    """What one browser gets of one source, as messages: the number of a frame, and 16-bit samples.

    Parameters
    ----------
    source : str
        The id of the source.
    channel : int or None
        The only channel to send; ``None``: all.

    Attributes
    ----------
    dropped : int
        Frames that the browser was too slow for.
    """

    def __init__(self, source: str, channel: int | None) -> None:
        self.source = source
        self.dropped = 0
        self._channel = channel
        self._waiting: deque[AudioChunk] = deque()
        self._frames = 0
        self._may_go_on = asyncio.Event()
        self._ended = False

    def put(self, chunk: AudioChunk) -> None:
        """Let a chunk wait; drops the oldest ones if too many wait."""
        self._waiting.append(chunk)
        self._frames += chunk.frames
        while self._frames > MOST_WAITING * chunk.sample_rate and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._frames -= oldest.frames
            self.dropped += oldest.frames
        if self._frames >= AT_ONCE * chunk.sample_rate:
            self._may_go_on.set()

    def end(self) -> None:
        """Say that nothing follows."""
        self._ended = True
        self._may_go_on.set()

    async def message(self) -> bytes | None:
        """Return what comes next, without a hole in it; None at the end."""
        await self._may_go_on.wait()
        if not self._waiting:
            return None
        first = self._waiting[0].frame
        pieces = [struct.pack("<d", first)]
        next_frame = first
        while self._waiting and self._waiting[0].frame == next_frame:
            chunk = self._waiting.popleft()
            self._frames -= chunk.frames
            next_frame = chunk.end
            pieces.append(self._samples(chunk))
        if not self._waiting and not self._ended:
            self._may_go_on.clear()
        return b"".join(pieces)

    def _samples(self, chunk: AudioChunk) -> bytes:
        if self._channel is None:
            return chunk.to_pcm16()
        return sample_bytes(chunk.data[:, self._channel], "int16")
