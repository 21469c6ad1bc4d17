"""The short way of a chunk from its source to a consumer that runs the turn.

After a wait for the next packet little of Python is left in the processor's caches: each function
on the way to the consumer takes microseconds, though it has next to nothing to do. So for a chunk
like the one before (whole, with nothing lost before it), on its way from a lone source to a
channel as it is, all that can be is made ready before the wait, and what is left is done here,
past the layers in between. Any other chunk takes the usual way, and a test holds the two against
each other.

Sinks beside the channel that let audio gather, as files do, get theirs from the router, a tenth of
a second later (:meth:`Routing.catch_up`). So a file costs the channel's consumer nothing.

It runs on the consumer's thread, where an exception may come from outside: Ctrl-C, or one that
another thread sets. Python raises those after calls. So what takes calls is done first and changes
nothing, and then all is entered without a call.

That is why it is a second way, and not the only one: conversions, backlogs, histories and users'
sinks are calls, which only the router's thread may make. The usual way has as few of them as could
be had.

An ``async for`` gains nothing by it: most of its time is the event loop's own. Where a thread does
no more than ring the loop, and the loop sets a future, a task has the news later than a consumer
has a chunk by the fast path (``floor-asyncio`` in benchmarks/capture.py).

Tried and not kept: an empty turn just before the packet is due, to warm the caches. It wins the
GIL twice a packet, and where the machine is slow it comes too late itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from stream_audio._native.capture import (
    ARRIVAL_NS,
    FRAME,
    MARKS,
    TIME_NS,
    ReaderArray,
    is_regular,
)
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.chunk_maker import expected_chunk
from stream_audio.engine.delivery import Delivery, SinkState
from stream_audio.engine.routing import Route
from stream_audio.engine.take import Take
from stream_audio.engine.track import Track
from stream_audio.waiting.clock import Clock, MonotonicClock

LENDING_RING = 1.0
"""Seconds of audio that a ring must hold for a consumer to run the turns: it may stay away."""

PATIENCE = 0.25
"""Seconds that chunks may gather for a sink that can wait until the router comes round."""


class Waiting(Protocol):
    """A sink whose consumer runs the turns while it waits."""

    handed: AudioChunk | None
    """What comes before all that was written."""

    @property
    def can_be_handed(self) -> bool:
        """Whether ``handed`` may be set in place of a write."""
        ...


def find_fast_path(
    tracks: Mapping[str, Track], deliveries: Mapping[str, Delivery], clock: Clock, sleeper: Any
) -> FastPath | None:
    """Return the way from the only source to the only sink in a hurry, if there is such a way.

    All that has to be so for as long as neither changes is asked here: the sink's consumer may be
    handed chunks, and gets them as they are; whatever else is done with them can wait; and the
    consumer may stay away for a while. What may change with each chunk is asked in
    :meth:`FastPath.prepare` before a wait, and in :meth:`FastPath.run_turn` after it.
    """
    in_hurry = [each for each in deliveries.values() if each.sink.gather < PATIENCE]
    if len(tracks) != 1 or len(in_hurry) != 1 or not isinstance(clock, MonotonicClock):
        return None
    [track], [delivery] = tracks.values(), in_hurry
    route, channel, take = track.routing.plain_route(delivery), delivery.sink.waiting, track.take
    if (
        route is None
        or channel is None
        or track.history is not None
        or take is None
        or not track.is_read
        or take.conversion is not None
        or take.source.freewheel
        or take.ring_seconds < LENDING_RING
    ):
        return None
    return FastPath(track, take, route, channel, sleeper)


class FastPath:
    """From the only source, along one of its routes, to a channel. For whoever has the baton."""

    __slots__ = (
        "_account",
        "_begins",
        "_channel",
        "_chunk",
        "_delivery",
        "_frames",
        "_has_others",
        "_is_news",
        "_readers",
        "_route",
        "_row",
        "_served",
        "_take",
        "_track",
    )

    def __init__(
        self, track: Track, take: Take, route: Route, channel: Waiting, sleeper: Any
    ) -> None:
        self._track = track
        self._take = take
        self._readers = ReaderArray([take.reader], sleeper)
        self._frames = take.reader.chunk_frames
        self._delivery = route.delivery
        self._account = route.delivery.account
        self._served = route
        self._route = route.account
        self._channel = channel
        self._has_others = not track.routing.is_lone(route)
        self._begins = 0
        # Of the next chunk: all but its times, where C writes those, and whether it may be news.
        self._chunk: Any = None
        self._row: Any = None
        self._is_news = False

    def prepare(self) -> bool:
        """Make ready what can be; False: the next chunk has to take the usual way."""
        track, begins = self._track, self._take.begins
        origin, reader = track.times.origin, self._take.reader
        if (
            begins is None  # the first chunk of a take tells
            or origin is None
            or not track.pauses.idle
            or self._delivery.state is SinkState.DETACHED
            or self._delivery.losses.untold
            or reader.at_end
            or not self._channel.can_be_handed
        ):
            return False
        reader.make_room()
        index, first, self._row = reader.next_place()
        block = reader.block
        data = block.samples[first : first + self._frames]
        self._begins = begins
        self._is_news = track.signal.would_be_news(0)
        self._chunk = expected_chunk(
            track.name,
            data,
            track.shape.sample_rate,
            self._route.end,
            block.peaks[index],
            block.squares[index],
            origin,
        )
        return True

    def run_turn(self, deadline_ns: int) -> bool:
        """Wait for the chunk that was prepared, and hand it over; False: what came is for others.

        What a consumer waits for is in one function, which calls as few others as can be.
        """
        track, reader = self._track, self._take.reader
        progress, index = reader.progress, reader.taken
        if progress.rows == index:  # none is left of those that came together
            self._readers.wait_and_read(deadline_ns)
        row, chunk = self._row, self._chunk
        frame = row[FRAME] + self._begins
        is_news = self._is_news or row[MARKS] != 0
        if (
            progress.rows == index
            or not is_regular(reader.address, index)
            or not track.pauses.idle  # any more
            or self._route.end != frame
            or (is_news and self._has_others)  # the last line below can be but one
        ):
            return False
        # No call from here on, but for the last line.
        chunk.time = row[TIME_NS] * 1e-9
        chunk.arrival = row[ARRIVAL_NS] * 1e-9
        chunk.__class__ = AudioChunk
        reader.taken = index + 1
        track.newest = chunk
        frames = self._frames
        end = frame + frames
        source = track.account
        source.captured += frames
        source.position = end
        self._route.end = end
        sink = self._account
        sink.offered += frames
        sink.delivered += frames
        self._channel.handed = chunk
        if is_news:
            track.signal.unseen.append(chunk)
        elif self._has_others:
            track.routing.left.append((chunk, self._served))
        return True

    @property
    def has_come(self) -> bool:
        """Whether something is there that takes the usual way."""
        reader = self._take.reader
        return reader.has_untaken or reader.at_end
