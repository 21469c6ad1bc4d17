"""An iterator over a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_audio.audio.chunk import AudioChunk
    from stream_audio.sinks.channel import ChannelSink


class Reading:
    """An iterator over a channel, in a loop or an ``async`` loop."""

    def __init__(self, channel: ChannelSink) -> None:
        self._channel = channel
        self.ended = False

    def __iter__(self) -> Reading:
        return self

    def __next__(self) -> AudioChunk:
        chunk = self._channel.get()
        if chunk is None:
            self.ended = True
            raise StopIteration
        return chunk

    def __aiter__(self) -> Reading:
        return self

    async def __anext__(self) -> AudioChunk:
        chunk = await self._channel.aget()
        if chunk is None:
            self.ended = True
            raise StopAsyncIteration
        return chunk
