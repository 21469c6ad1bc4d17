"""The short way of a chunk from its source to a consumer that runs the turn.

After a wait for the next packet little of Python is left in the processor's caches: each function
on the way to the consumer takes microseconds, though it has next to nothing to do. So for a chunk
like the one before (whole, with nothing lost before it), on its way from a lone source to a lone
channel as it is, all that can be is made ready before the wait, and what is left is done here,
past the layers in between. Any other chunk takes the usual way, and a test holds the two against
each other.

Tried and not kept: an empty turn just before the packet is due, to warm the caches. It wins the
GIL twice a packet, and where the machine is slow it comes too late itself.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from stream_audio._native import lib
from stream_audio._native.capture import ARRIVAL_NS, FRAME, GIL_KEPT_NS, MARKS, TIME_NS
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.chunk_maker import unfinished_chunk
from stream_audio.engine.delivery import SinkState
from stream_audio.engine.routing import Route
from stream_audio.engine.track import Track


class Waiting(Protocol):
    """A sink whose consumer runs the turns while it waits."""

    handed: AudioChunk | None
    """What comes before all that was written."""

    @property
    def can_be_handed(self) -> bool:
        """Whether ``handed`` may be set in place of a write."""
        ...


class FastPath:
    """From the only source, along its only route, to a channel. For whoever has the baton."""

    __slots__ = (
        "_account",
        "_begins",
        "_channel",
        "_chunk",
        "_delivery",
        "_frames",
        "_reader",
        "_route",
        "_row",
        "_sleeper",
        "_take",
        "handed_over",
        "track",
    )

    def __init__(self, track: Track, route: Route, channel: Waiting, sleeper: Any) -> None:
        assert track.take is not None
        self.track = track
        self._take = track.take
        self._begins = 0
        self._reader = track.take.reader.native
        self._frames = track.take.reader.chunk_frames
        self._delivery = route.delivery
        self._account = route.delivery.account
        self._route = route.account
        self._channel = channel
        self._sleeper = sleeper
        self._chunk: Any = None
        self._row: Any = None
        self.handed_over: tuple[AudioChunk, int] | None = None
        """The last one with its marks, until somebody has looked at it."""

    def prepare(self) -> bool:
        """Make ready what can be; False: the next chunk has to take the usual way."""
        track, begins = self.track, self._take.begins
        origin, reader = track.times.origin, self._take.reader
        if (
            begins is None  # the first chunk of a take tells
            or origin is None
            or not track.pauses.idle
            or self._delivery.state is SinkState.DETACHED
            or self._delivery.is_losing
            or reader.has_untaken
            or not self._channel.can_be_handed
        ):
            return False
        reader.make_room()
        self._begins = begins
        index, first, self._row = reader.next_place()
        block = reader.block
        self._chunk = unfinished_chunk(
            track.name,
            block.samples[first : first + self._frames],
            track.shape.sample_rate,
            block.peaks[index],
            block.squares[index],
            origin,
        )
        return True

    def run_turn(self, deadline_ns: int) -> bool:
        """Wait for the chunk that was prepared, and hand it over; False: what came is for others.

        What a consumer waits for is in one function, which calls as few others as can be.
        """
        looked_ns = lib.sa_wait_for_chunk(self._reader, self._sleeper, deadline_ns)
        track = self.track
        if (
            looked_ns < 0
            or time.monotonic_ns() - looked_ns > GIL_KEPT_NS
            or not track.pauses.idle  # any more
        ):
            return False
        # No call from here on: an exception that another thread has set comes after calls only,
        # and so finds all of it done or nothing.
        row = self._row
        frame = row[FRAME] + self._begins
        if self._route.end != frame:
            return False
        frames = self._frames
        end = frame + frames

        chunk = self._chunk
        chunk.frame = frame
        chunk.time = row[TIME_NS] * 1e-9
        chunk.arrival = row[ARRIVAL_NS] * 1e-9
        chunk.__class__ = AudioChunk

        self._take.reader.taken += 1
        track.newest = chunk
        source = track.account
        source.captured += frames
        source.position = end
        self._route.end = end
        sink = self._account
        sink.offered += frames
        sink.delivered += frames
        self.handed_over = chunk, row[MARKS]
        self._channel.handed = chunk
        return True
