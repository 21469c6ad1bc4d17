"""A queue whose oldest chunks move to disk when memory does not suffice, and come back in order.

Its order is that of its parts: what was read back, what is on disk, what is being written, what
is in memory. The putting side appends to the last and touches no disk; the taking side takes from
the first that holds anything, and reads a batch back when that is the disk. Nobody waits for a
write: what is being written can be taken meanwhile, and the write then counts for nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import UntoldGaps, missing
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.backlog.spill_file import Batch, Place, SpillFile, Storage, batch_of, encode

BATCH_BYTES = 1024 * 1024
"""Of samples; smaller limits make smaller batches."""


class SpillingQueue(ChunkQueue):
    """When it holds more than its limit, the oldest goes to disk; if it cannot, it is dropped.

    Memory holds up to twice the limit while the disk is slow. After a failure of the disk nothing
    more is written until the queue has run empty; what is on disk already keeps its place.

    Parameters
    ----------
    limit_bytes : int
        Bytes of samples above which the oldest moves to disk.
    spill_limit : int
        Bytes on disk above which the oldest is dropped.
    open_storage : callable
        Makes a new, empty temporary file.
    ask : callable
        Asks for a :meth:`spill_step` of the queue, which is its argument; on any thread, again and
        again.
    when_spill_failed : callable
        Gets the error; called once until the queue has run empty, on the thread that met it.
    """

    def __init__(
        self,
        limit_bytes: int,
        spill_limit: int,
        open_storage: Callable[[], Storage],
        ask: Callable[[SpillingQueue], object],
        when_spill_failed: Callable[[BaseException], object],
    ) -> None:
        super().__init__(limit_bytes)
        self._batch_bytes = min(BATCH_BYTES, limit_bytes // 4, spill_limit // 4)
        self._ask = ask
        self._when_spill_failed = when_spill_failed
        self._failed = False
        # All that follows is changed with the lock held.
        self._front: deque[AudioChunk] = deque()
        self._reading: Place | None = None
        self._file = SpillFile(spill_limit, open_storage)
        self._writing: list[AudioChunk] = []
        self._on_disk = 0
        # What was lost before the front, and between the front and what comes after it.
        self._before_front = UntoldGaps()
        self._after_front = UntoldGaps()
        self._untold: deque[Gap] = deque()  # to the putting side
        self._discarded: list[Place] = []

    @property
    def memory_bytes(self) -> int:  # noqa: D102 - see ChunkQueue
        return self._bytes_in - self._bytes_out - self._on_disk

    @property
    def disk_bytes(self) -> int:  # noqa: D102
        return self._on_disk

    @property
    def most_memory_bytes(self) -> int:  # noqa: D102
        return 2 * (self.limit + self._batch_bytes)

    @property
    def has_any(self) -> bool:  # noqa: D102
        # One after the other, as chunks move: none is passed over.
        in_memory = self._chunks or self._writing
        return bool(in_memory or self._on_disk or self._reading or self._front or self._writing)

    @property
    def may_be_passed_by(self) -> bool:  # noqa: D102
        carried = self._before_front.by_source or self._after_front.by_source
        left_over = self.has_any or self._untold or self._discarded
        return super().may_be_passed_by and not (carried or left_over)

    # ---- the putting side ----

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:  # noqa: D102 - see ChunkQueue
        size = chunk.data.nbytes
        in_memory = self.memory_bytes + size
        bound = self.limit if self._failed else 2 * self.limit
        if in_memory > bound:
            self._trim(bound - size)
        self._append(chunk, size)
        if in_memory > self.limit or self._discarded:
            self._ask_if_needed()
        return self.dropped() if self._untold else ()

    def dropped(self) -> tuple[Gap, ...]:  # noqa: D102
        gaps = []
        while self._untold:
            gaps.append(self._untold.popleft())
        return tuple(gaps)

    def _trim(self, bound: int) -> None:
        """Drop the oldest in memory until no more than so many bytes are there."""
        if not self._left.acquire(blocking=False):
            return  # see _make_room
        try:
            while self._chunks and self.memory_bytes > bound:
                self._untold.append(self._push_out())
        finally:
            self._left.release()

    def _ask_if_needed(self) -> None:
        spill = self.memory_bytes > self.limit and not self._failed
        if spill or self._discarded:
            self._ask(self)

    # ---- the taking side ----

    def pop(self) -> AudioChunk | None:  # noqa: D102
        released = False
        try:
            chunk = self.hold()
        finally:  # an interrupted consumer has lost it; then it counts as taken
            released = self.release()
        return chunk if released else None

    def hold(self) -> AudioChunk | None:  # noqa: D102
        while True:
            with self._left:
                elsewhere = self._on_disk or self._reading or self._writing
                lost = self._after_front.by_source
                place = self._next_place() if (elsewhere or lost) and not self._front else None
                if place is None:
                    return self._hold_oldest()
            self._read_back(place)
            del place  # may close a file: not with the lock held

    def _next_place(self) -> Place | None:
        """Begin to read what follows the empty front, or make what is being written the front."""
        self._before_front.take_over(self._after_front)
        if self._reading is None:  # else reading it was interrupted, and is begun anew
            self._reading = self._file.pop()
        if self._reading is None:
            self._front, self._writing = deque(self._writing), []
        return self._reading

    def _hold_oldest(self) -> AudioChunk | None:
        chunks = self._front or self._chunks
        if not chunks:
            self._failed = False  # the next time the disk may be well again
            return None
        # No call until the sums are right: see ChunkQueue.pop.
        chunk = chunks[0]
        del chunks[0]
        self._held = chunk
        self._bytes_out += chunk.data.nbytes
        if chunks is self._chunks and self._pushed_out.by_source:
            self._held = chunk = self._pushed_out.give_to(chunk)
        if self._before_front.by_source:
            self._held = chunk = self._before_front.give_to(chunk)
        return chunk

    def _read_back(self, place: Place) -> None:
        """Make a batch on disk the front; reads without the lock."""
        failure: Exception | None = None
        chunks: list[AudioChunk] = []
        try:
            chunks = place.read()
        except Exception as error:  # of the disk, or of what it made of the data
            failure = error
        with self._left:
            if self._reading is not place:
                return  # dropped meanwhile
            self._reading = None
            self._on_disk -= place.batch.bytes
            self._front.extend(chunks)
            if failure is not None:
                self._lose(place.batch)
                self._before_front.add(place.batch.told)
        if failure is not None:
            self.stop_spilling(failure)

    def _lose(self, batch: Batch) -> None:
        """Count a batch out that will not come back."""
        self._bytes_out += batch.bytes
        self._frames_out += batch.frames
        self._untold.extend(batch.missing)

    # ---- the thread that spills ----

    def spill_step(self) -> None:
        """Move a batch to disk, and ask for another step if that was not enough."""
        with self._left:
            discarded, self._discarded = self._discarded, []
            chunks = self._begin_to_write()
        del discarded  # closes files
        if not chunks:
            return
        try:
            batch = batch_of(chunks)
            data = encode(chunks)
            if self._make_room_on_disk(len(data)):
                self._enter(chunks, self._file.write(batch, data))
            else:
                self._drop_writing(chunks, batch)
        except Exception as error:
            self.stop_spilling(error)
        self._ask_if_needed()

    def _begin_to_write(self) -> list[AudioChunk]:
        chunks: list[AudioChunk] = []
        if self._failed or self.memory_bytes <= self.limit:
            return chunks
        size = 0
        while self._chunks and (not chunks or size < self._batch_bytes):
            chunk = self._chunks.popleft()
            size += chunk.data.nbytes
            chunks.append(self._pushed_out.give_to(chunk))
        self._writing = chunks
        return chunks

    def _make_room_on_disk(self, size: int) -> bool:
        """Drop the oldest on disk; False if there is not so much room on an empty one."""
        while not self._file.has_room(size):
            with self._left:
                place = self._file.pop()
                if place is None:
                    return self._file.has_room(size)
                self._on_disk -= place.batch.bytes
                self._lose(place.batch)
                self._after_front.add(place.batch.told)
            del place  # may close a file
        return True

    def _enter(self, chunks: list[AudioChunk], place: Place) -> None:
        with self._left:
            if self._writing is chunks:  # neither taken nor dropped meanwhile
                self._writing = []
                self._file.enter(place)
                self._on_disk += place.batch.bytes

    def _drop_writing(self, chunks: list[AudioChunk], batch: Batch) -> None:
        """Drop what is larger than all that may be on disk."""
        with self._left:
            if self._writing is chunks:
                self._writing = []
                self._lose(batch)
                self._after_front.add(batch.told)

    def stop_spilling(self, error: BaseException) -> None:
        """Write no more until the queue has run empty: the disk failed. Any thread.

        What was to be written stays where it is, ahead of what is in memory.
        """
        # Its traceback would keep the temporary file for as long as the error is kept.
        error.__traceback__ = None
        first, self._failed = not self._failed, True
        if first:
            self._when_spill_failed(error)

    # ---- any thread ----

    def drop_all(self, cause: GapCause, *, held: bool = True) -> tuple[Gap, ...]:  # noqa: D102
        gaps = super().drop_all(cause, held=held)
        self._ask_if_needed()
        return gaps

    def _drop_waiting(self, cause: GapCause) -> list[Gap]:
        gaps = [missing(chunk, cause) for chunk in self._front]
        places = [] if self._reading is None else [self._reading]
        self._reading = None
        while (place := self._file.pop()) is not None:
            places.append(place)
        for place in places:
            gaps += [replace(gap, cause=cause) for gap in place.batch.missing]
            self._bytes_out += place.batch.bytes
            self._on_disk -= place.batch.bytes
        gaps += [missing(chunk, cause) for chunk in self._writing]
        self._bytes_out += sum(c.data.nbytes for c in (*self._front, *self._writing))
        self._front.clear()
        self._writing = []
        self._discarded += places  # the caller may be the router, which touches no disk
        return gaps + super()._drop_waiting(cause)
