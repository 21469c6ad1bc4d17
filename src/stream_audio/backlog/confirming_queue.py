"""A backlog whose chunks stay in it until the sink confirms that they have arrived.

Its order is that of its parts: what was sent and is not confirmed, what was sent before a failure
and is to be sent again, what waits to be sent for the first time. The last is a queue of whatever
policy; the others are queues of their own, which may spill too, so that memory stays bounded
however long nothing is confirmed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.cutting import cut
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.backlog.spilling_queue import SpillingQueue

Ask = Callable[[SpillingQueue], object]

_NOT_IN_TIME = (GapCause.STOP_TIMEOUT, GapCause.REMOVED)


class _Sent:
    """Chunks that were sent, oldest first; the oldest can be looked at."""

    def __init__(self, queue: ChunkQueue) -> None:
        self.queue = queue
        self._oldest: AudioChunk | None = None

    def oldest(self) -> AudioChunk | None:
        """Return the oldest chunk, which may have to be read from disk."""
        if self._oldest is None:
            self._oldest = self.queue.hold()
        return self._oldest

    def release(self) -> bool:
        """Count the oldest chunk out; False if it was dropped meanwhile."""
        self._oldest = None
        return self.queue.release()


class ConfirmingQueue:
    """A queue of chunks between one putting and one sending thread; any thread may confirm.

    Parameters
    ----------
    waiting : ChunkQueue
        What was not sent yet; its policy says what happens when it is full.
    make_queue : callable
        Makes a queue for what was sent. It gets a function that such a queue calls to have a
        ``spill_step`` done: here the sending thread does it, which may touch the disk.
    """

    def __init__(self, waiting: ChunkQueue, make_queue: Callable[[Ask], ChunkQueue]) -> None:
        self.limit = waiting.limit
        self._waiting = waiting
        self._to_spill: deque[SpillingQueue] = deque()
        self._sent = _Sent(make_queue(self._to_spill.append))
        self._again = _Sent(make_queue(self._to_spill.append))
        self._held: AudioChunk | None = None
        self._held_again = False  # it was sent before
        # Guards each move of a chunk from one part to another against being dropped meanwhile.
        self._moving = InterruptibleLock()
        self._rates: dict[str, int] = {}
        self._written: dict[str, int] = {}  # up to which frame, or being written
        self._confirmed: dict[str, int] = {}
        self._newly_confirmed = 0
        self._lost: list[Gap] = []

    # ---- figures, on any thread ----

    @property
    def _parts(self) -> tuple[ChunkQueue, ChunkQueue, ChunkQueue]:
        return self._sent.queue, self._again.queue, self._waiting

    @property
    def full(self) -> bool:
        """Whether the sources should wait."""
        return self._waiting.full

    @property
    def frames(self) -> int:
        """Frames that were put, and neither dropped nor confirmed yet."""
        return sum(part.frames for part in self._parts)

    @property
    def unconfirmed(self) -> int:
        """Those of them that were sent."""
        return self._sent.queue.frames + self._again.queue.frames

    @property
    def bytes(self) -> int:
        """Bytes of samples that wait, for being sent or for being confirmed."""
        return sum(part.bytes for part in self._parts)

    @property
    def bytes_out(self) -> int:
        """Bytes of samples that waited to be sent, and do not any more."""
        return self._waiting.bytes_out

    @property
    def highest_bytes(self) -> int:
        """The most that ever waited, of each part."""
        return sum(part.highest_bytes for part in self._parts)

    @property
    def memory_bytes(self) -> int:
        """Bytes of samples in memory."""
        return sum(part.memory_bytes for part in self._parts)

    @property
    def disk_bytes(self) -> int:
        """Bytes of samples on disk."""
        return sum(part.disk_bytes for part in self._parts)

    @property
    def most_memory_bytes(self) -> int:
        """What may wait in memory, if chunks are small."""
        return sum(part.most_memory_bytes for part in self._parts)

    # ---- the putting side ----

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Append a chunk; returns the gaps of what was dropped since the last put."""
        return self._waiting.put(chunk)

    def dropped(self) -> tuple[Gap, ...]:
        """Return the gaps of what was dropped since the last put, on whatever thread."""
        return self._waiting.dropped()

    # ---- any thread ----

    def confirm(self, source: str, frame: int) -> bool:
        """Take all of a source before ``frame`` as arrived; False if it was already.

        Raises
        ------
        ValueError
            So much of it was never written.
        """
        with self._moving:
            if frame > self._written.get(source, 0):
                raise ValueError(f"frames of {source} before {frame} were not written yet")
            if frame <= self._confirmed.get(source, 0):
                return False
            self._confirmed[source] = frame
            return True

    # ---- the sending side ----

    def hold(self) -> AudioChunk | None:
        """Return the next chunk to be sent, or what is left of it; it stays pending.

        It is the same one until :meth:`keep`, :meth:`give_up` or :meth:`rewind`.
        """
        while True:
            self._spill()
            chunk = self._again.oldest()
            again = chunk is not None
            if chunk is None:
                chunk = self._waiting.hold()
            if chunk is None:
                return None
            with self._moving:
                rest = self._rest_of(chunk)
                if rest is None:  # confirmed, though late
                    self._count_out(self._again if again else self._waiting, chunk)
                    continue
                self._held, self._held_again = chunk, again
                self._rates[chunk.source] = chunk.sample_rate
                written = max(self._written.get(chunk.source, 0), chunk.end)
                self._written[chunk.source] = written
            return rest

    @property
    def holds_again(self) -> bool:
        """Whether the chunk that is held was sent before."""
        return self._held_again

    def keep(self) -> None:
        """Say that the held chunk was sent; now it is to be confirmed."""
        with self._moving:
            held, self._held = self._held, None
            if held is not None and self._part_of_held().release():
                self._put_sent(held)
        self._spill()

    def give_up(self) -> AudioChunk | None:
        """Count the held chunk out; returns what is not confirmed of it.

        ``None``: nothing of it, or it was dropped meanwhile.
        """
        with self._moving:
            held, self._held = self._held, None
            if held is None or not self._part_of_held().release():
                return None
            rest = self._rest_of(held)
            self._newly_confirmed += held.frames - (0 if rest is None else rest.frames)
            return rest

    def rewind(self) -> None:
        """Have all that is not confirmed sent again, in order, before what was never sent."""
        self.keep()
        if not self._sent.queue.frames:
            return
        # What is still to be sent again comes after what was just sent.
        while (chunk := self._again.oldest()) is not None:
            with self._moving:
                if self._again.release():
                    self._put_sent(chunk)
            self._spill()
        with self._moving:
            self._sent, self._again = self._again, self._sent

    def settle(self) -> None:
        """Count out what was confirmed; :meth:`newly_confirmed` tells how much that is."""
        while (chunk := self._sent.oldest()) is not None:
            with self._moving:
                if self._rest_of(chunk) is not None:
                    break
                self._count_out(self._sent, chunk)

    # ---- any thread ----

    def newly_confirmed(self) -> int:
        """Return how many confirmed frames were counted out since the last call."""
        with self._moving:
            frames, self._newly_confirmed = self._newly_confirmed, 0
        return frames

    def lost(self) -> tuple[Gap, ...]:
        """Return the gaps of what was dropped after it was sent, since the last call."""
        with self._moving:
            gaps, self._lost = self._lost, []
            for part in (self._sent, self._again):
                gaps += self._unconfirmed_of(part.queue.dropped())
        return tuple(gaps)

    def drop_all(self, cause: GapCause, *, held: bool = True) -> tuple[Gap, ...]:
        """Drop all that is pending, or all but what is held; returns its gaps. Touches no disk.

        What was sent and is not in time to be confirmed has a cause of its own.
        """
        gaps = self.drop_unconfirmed(cause, held=held)
        with self._moving:
            return gaps + self._unconfirmed_of(self._waiting.drop_all(cause, held=held))

    def drop_unconfirmed(self, cause: GapCause, *, held: bool = True) -> tuple[Gap, ...]:
        """Drop what was sent and is not confirmed, or all but what of it is held."""
        own = GapCause.UNCONFIRMED if cause in _NOT_IN_TIME else cause
        with self._moving:
            keeps = not held and self._held is not None and self._held_again
            gaps = self._sent.queue.drop_all(own)
            gaps += self._again.queue.drop_all(own, held=not keeps)
            return self._unconfirmed_of(gaps)

    # ---- within; the lock is held ----

    def _part_of_held(self) -> _Sent | ChunkQueue:
        return self._again if self._held_again else self._waiting

    def _rest_of(self, chunk: AudioChunk) -> AudioChunk | None:
        """Return what of a chunk is not confirmed; ``None`` if all of it is."""
        begin = max(chunk.frame, self._confirmed.get(chunk.source, 0))
        return cut(chunk, begin, chunk.end) if begin < chunk.end else None

    def _put_sent(self, chunk: AudioChunk) -> None:
        """Append a chunk to what was sent; what is confirmed of it counts at once."""
        rest = self._rest_of(chunk)
        self._newly_confirmed += chunk.frames - (0 if rest is None else rest.frames)
        if rest is not None:
            self._lost += self._unconfirmed_of(self._sent.queue.put(rest))

    def _count_out(self, part: _Sent | ChunkQueue, chunk: AudioChunk) -> None:
        if part.release():
            self._newly_confirmed += chunk.frames

    def _unconfirmed_of(self, gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
        """Return what of these gaps is not confirmed; the rest of them counts as arrived."""
        kept = []
        for gap in gaps:
            begin = max(gap.frame, min(self._confirmed.get(gap.source, 0), gap.end))
            arrived = begin - gap.frame
            self._newly_confirmed += arrived
            if arrived:
                time = gap.time + arrived / self._rates[gap.source]
                gap = replace(gap, frame=begin, frames=gap.frames - arrived, time=time)
            if gap.frames:
                kept.append(gap)
        return tuple(kept)

    # ---- within ----

    def _spill(self) -> None:
        while self._to_spill:
            self._to_spill.popleft().spill_step()
