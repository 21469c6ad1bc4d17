"""Queues of the user's own, which a channel fills instead of being read itself."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import UntoldGaps
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.errors import ConfigTypeError, SessionStateError
from stream_audio.waiting.event_loop import loop_of_caller
from stream_audio.waiting.loop_waker import waker_of

if TYPE_CHECKING:
    import asyncio
    import queue


class QueueTarget(Protocol):
    """A queue that loses its oldest chunk when it is full, and gets ``None`` at the end."""

    @property
    def unread(self) -> int:
        """Frames that wait in it."""
        ...

    def use_queue(self, queue: ChunkQueue) -> bool:
        """Stage chunks in ``queue`` if they are staged at all; called before the start."""
        ...

    def start(self) -> None:
        """Get ready; on the thread that starts the session."""

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Take a chunk on the router's thread; returns what has been lost since the last call."""
        ...

    def close(self) -> tuple[Gap, ...]:
        """Put ``None`` after the last chunk; returns what has been lost since the last call."""
        ...


def queue_target(target: object, limit_bytes: int) -> QueueTarget:
    """Return the target for a queue, or raise if it is of no kind that can be filled."""
    given: Any = target
    library = type(target).__module__.partition(".")[0]
    if library in ("gevent", "eventlet"):  # which may have put it in the place of queue.Queue
        raise ConfigTypeError(
            f"ChannelSink cannot fill a queue of {library}, which one thread alone may use",
            hint="Read the channel itself, which lets other greenlets run meanwhile",
        )
    queues = sys.modules.get("queue")  # without it there is no such object
    if queues is not None and isinstance(target, queues.Queue) and isinstance(given.queue, deque):
        return ThreadQueue(given)
    queues = sys.modules.get("asyncio.queues")
    if queues is not None and isinstance(target, queues.Queue):
        first_in_first_out = not isinstance(target, (queues.PriorityQueue, queues.LifoQueue))
        if first_in_first_out:
            return LoopQueue(given, limit_bytes)
    raise ConfigTypeError(
        f"ChannelSink takes a queue.Queue or an asyncio.Queue, not {target!r}",
        hint="Other queues can be filled by a CallbackSink",
    )


class ThreadQueue:
    """A ``queue.Queue``."""

    def __init__(self, target: queue.Queue[AudioChunk | None]) -> None:
        self._target = target
        self._carried = UntoldGaps()

    @property
    def unread(self) -> int:
        """Frames that wait in it."""
        with self._target.mutex:
            waiting = list(self._target.queue)
        return sum(chunk.frames for chunk in waiting if isinstance(chunk, AudioChunk))

    def use_queue(self, queue: ChunkQueue) -> bool:
        """Return False: the target itself is all there is."""
        return False

    def start(self) -> None:
        """Do nothing."""

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Put a chunk, if need be in place of the oldest."""
        return self._put(chunk)

    def close(self) -> tuple[Gap, ...]:
        """Put ``None``, if need be in place of the oldest chunk."""
        return self._put(None)

    def _put(self, item: AudioChunk | None) -> tuple[Gap, ...]:
        import queue  # there is one, so it is loaded

        dropped: list[Gap] = []
        while True:
            # What is lost is told by the chunk after it: in the queue, or else by this one.
            if item is not None:
                item = self._carried.give_to(item)
            try:
                self._target.put_nowait(item)
            except queue.Full:
                dropped += self._drop_oldest()
            else:
                return tuple(dropped)

    def _drop_oldest(self) -> tuple[Gap, ...]:
        target = self._target
        with target.mutex:
            if not target.queue:
                return ()  # the consumer took it meanwhile
            oldest = target.queue.popleft()
            gap = _lost(oldest, self._carried)
            for index, chunk in enumerate(target.queue):
                if gap and isinstance(chunk, AudioChunk) and chunk.source == gap[0].source:
                    target.queue[index] = self._carried.give_to(chunk)
                    break
        target.task_done()  # nobody else will say so
        return gap


class LoopQueue:
    """An ``asyncio.Queue``, which may be touched on its event loop alone.

    Chunks wait in a bounded queue of our own until the loop comes to put them, all in one go.
    """

    def __init__(self, target: asyncio.Queue[AudioChunk | None], limit_bytes: int) -> None:
        self._target = target
        self._loop = loop_of_caller()
        self._staged = ChunkQueue(limit_bytes)
        self._carried = UntoldGaps()
        self._dropped: deque[Gap] = deque()  # by the loop, not entered yet
        self._sizes: deque[int] = deque()  # frames of what was put, the last is the newest
        # Held where the loop drops chunks, so that none is dropped after the last were entered.
        self._dropping = InterruptibleLock()
        self._closed = False
        self._last_put: asyncio.Task[None] | None = None
        self.woken = False

    @property
    def unread(self) -> int:
        """Frames that wait in it, or for it."""
        sizes = list(self._sizes.copy())  # one step, whatever the loop adds meanwhile
        waiting = min(self._target.qsize(), len(sizes))
        return self._staged.frames + sum(sizes[len(sizes) - waiting :])

    def use_queue(self, queue: ChunkQueue) -> bool:
        """Let chunks wait for the loop in ``queue``."""
        self._staged = queue
        return True

    def start(self) -> None:
        """Find the loop whose thread may put."""
        self._loop = loop_of_caller() or self._loop
        if self._loop is None:
            raise SessionStateError(
                "no event loop runs here that could fill this asyncio.Queue",
                hint='Start the session with "async with builder as session"',
            )
        self._waker = waker_of(self._loop)

    def put(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Have the loop put a chunk, if need be in place of the oldest."""
        dropped = self._staged.put(chunk)
        self._waker.wake(self)
        return (*self._entered(), *dropped)

    def close(self) -> tuple[Gap, ...]:
        """Have the loop put what is left and ``None``, as soon as there is room."""
        with self._dropping:
            self._closed = True
        self._waker.wake(self)
        return self._entered()

    def _entered(self) -> tuple[Gap, ...]:
        gaps = []
        while self._dropped:
            gaps.append(self._dropped.popleft())
        return tuple(gaps)

    # ---- on the loop ----

    def on_loop(self) -> None:
        """Move what is ready."""
        self.woken = False
        with self._dropping:
            if not self._closed:
                self._move()
            elif self._last_put is None and self._loop is not None:
                self._last_put = self._loop.create_task(self._put_the_rest())

    def _move(self) -> None:
        fresh = deque(iter(self._staged.pop, None))
        target = self._target
        surplus = target.qsize() + len(fresh) - target.maxsize if target.maxsize > 0 else 0
        if surplus > 0 and not target.empty():
            while surplus > 0 and not target.empty():
                self._drop(target.get_nowait())
                target.task_done()  # nobody else will say so
                surplus -= 1
            self._tell_the_oldest()
        for _ in range(surplus):
            self._drop(fresh.popleft())
        for chunk in fresh:
            target.put_nowait(self._carried.give_to(chunk))
            self._note(chunk)

    def _drop(self, oldest: AudioChunk | None) -> None:
        self._dropped.extend(_lost(oldest, self._carried))

    def _tell_the_oldest(self) -> None:
        """Have the next chunks tell of what is lost; one turn of the queue reaches them."""
        target = self._target
        for _ in range(target.qsize()):
            chunk = target.get_nowait()
            target.put_nowait(
                self._carried.give_to(chunk) if isinstance(chunk, AudioChunk) else chunk
            )
            target.task_done()

    def _note(self, chunk: AudioChunk) -> None:
        self._sizes.append(chunk.frames)
        while len(self._sizes) > self._target.qsize():
            self._sizes.popleft()

    async def _put_the_rest(self) -> None:
        """After the session: nothing more will come, so there is time to wait for room."""
        while (chunk := self._staged.pop()) is not None:
            await self._target.put(self._carried.give_to(chunk))
            self._note(chunk)
        await self._target.put(None)


def _lost(oldest: Any, carried: UntoldGaps) -> tuple[Gap, ...]:
    """Note a chunk that was dropped; ``()`` if it is something else that the user put."""
    if not isinstance(oldest, AudioChunk):
        return ()
    return (carried.add_chunk(oldest, GapCause.BACKLOG_FULL),)
