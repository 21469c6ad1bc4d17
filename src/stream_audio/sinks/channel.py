"""A sink that is read: by a loop, by an ``async`` loop, or through a queue of the user's own."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from stream_audio._checks import real_number
from stream_audio._locks import InterruptibleLock
from stream_audio._public import public
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import UntoldGaps
from stream_audio.backlog.policy import Backlog, as_backlog
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.errors import (
    ConfigError,
    ForkedProcessError,
    SessionStateError,
)
from stream_audio.sinks.blocks import Blocks, Reblocker
from stream_audio.sinks.channel_reading import Reading
from stream_audio.sinks.loop_waiter import MONOPOLY, LoopWaiter, let_others_run
from stream_audio.sinks.queue_target import QueueTarget, ThreadQueue, queue_target
from stream_audio.waiting.event_loop import running_loop
from stream_audio.waiting.hubs import hub_sleep, wait_in_turn
from stream_audio.waiting.signals import LockSignal

if TYPE_CHECKING:
    import asyncio
    import queue

    from stream_audio.contracts.sink import SinkInfo, SourceInfo
    from stream_audio.contracts.turn_runner import TurnRunner


@public
class ChannelSink:
    """A sink that one consumer reads: ``for chunk in channel``, or ``async for chunk in channel``.

    The channel itself holds the backlog: up to 32 MiB of chunks (a minute and a half of 48 kHz
    stereo), or what ``backlog`` says. When it is full, sources that can wait do so. Otherwise the
    channel drops the oldest chunk. The report counts the loss, and the next chunk has it in
    ``chunk.gap``.

    Iteration ends when the session has stopped and the last chunk has been read. A channel has one
    consumer: a second iterator raises while the first is in use. After a loop was left, or its
    task was cancelled, another loop may continue with the next chunk.

    Parameters
    ----------
    target : queue.Queue or asyncio.Queue, optional
        A queue to put the chunks into instead. A full queue loses its oldest chunk; the report
        counts the loss, and the next chunk has it. ``None`` follows the last chunk. A full
        ``queue.Queue`` gets it at once, in place of the oldest chunk; an ``asyncio.Queue`` gets it
        as soon as it has room. You cannot read such a channel itself. An ``asyncio.Queue`` is
        filled on the event loop that starts the session.
    backlog : Backlog or str, optional
        How much may wait, and what happens beyond that; ``None``: the setting of ``add_sink`` or
        of the session's ``StreamConfig``. A ``queue.Queue`` has its own limit instead. For an
        ``asyncio.Queue`` this limits the chunks that wait for its loop.
    """

    blocking = False
    """It is written to on the router's thread; see :class:`Sink`."""

    def __init__(
        self,
        target: queue.Queue[AudioChunk | None] | asyncio.Queue[AudioChunk | None] | None = None,
        *,
        backlog: Backlog | str | None = None,
    ) -> None:
        if backlog is not None:
            backlog = as_backlog(backlog)
        # Until the session brings a queue that suits its sources.
        limit = (backlog or Backlog()).limit_bytes(0)
        self._target: QueueTarget | None = None
        if target is not None:
            self._target = queue_target(target, limit)
            if backlog is not None and isinstance(self._target, ThreadQueue):
                raise ConfigError("a queue.Queue has its own limit and takes no backlog")
        self.backlog: Backlog | None = backlog
        """As it was given; ``None``: that of the session."""
        self._queue = ChunkQueue(limit)
        self.handed: AudioChunk | None = None
        """A chunk before all that is in the queue, from a turn that was run in :meth:`get`."""
        self._taking = InterruptibleLock()
        self._arrived = LockSignal()
        self._resumed_at = -math.inf  # when other greenlets of a hub had their turn
        self._waiter: LoopWaiter | None = None
        self._putting = False  # what is counted as waiting may not be there yet
        self._closed = False
        self._consumer: weakref.ref[Reading] | None = None
        self._frames_passed_over = 0
        self._passed_over = UntoldGaps()
        self._process: int | None = None  # that of the session
        self._baton: TurnRunner | None = None  # the session's, if its turns may be run here

    @property
    def unread(self) -> int:
        """Frames that wait to be read."""
        if self._target is not None:
            return self._target.unread
        handed = self.handed
        return self._queue.frames + (0 if handed is None else len(handed.data))

    @property
    def passed_over(self) -> int:
        """Frames that :meth:`latest` has passed over; they count as delivered."""
        return self._frames_passed_over

    # ---- the session's side ----

    def use_queue(self, queue: ChunkQueue) -> bool:
        """Keep what is not read yet in ``queue``, if it is kept here; called before the start."""
        if self._target is not None:
            return self._target.use_queue(queue)
        self._queue = queue
        return True

    def lend_baton(self, baton: TurnRunner | None) -> None:
        """Let whoever waits in :meth:`get` run the session's turns, or no longer."""
        self._baton = baton if self._target is None else None

    def start(self, info: SinkInfo) -> None:
        """Refuse a second session; called by the session."""
        if self._closed:
            raise SessionStateError(
                "this channel has ended with an earlier session",
                hint="Make a new ChannelSink for each session",
            )
        if self._target is not None:
            self._target.start()
        self._process = os.getpid()

    def source_added(self, info: SourceInfo) -> None:
        """Take a source that comes while the session runs; its chunks say whose they are."""

    def write(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Take a chunk; called by the router. Never blocks."""
        if self._target is not None:
            return self._target.put(chunk)
        self._putting = True
        dropped = self._queue.put(chunk)
        self._putting = False
        self._wake()
        return dropped

    @property
    def can_be_handed(self) -> bool:
        """Whether :attr:`handed` may be set in place of a call of :meth:`write`."""
        return (
            self.handed is None
            and type(self).write is ChannelSink.write  # else it is to be called
            and self._queue.may_be_passed_by
        )

    def discard(self) -> None:
        """Undo the start; called by a session that could not start after all."""
        self._process = None

    def stop(self) -> tuple[Gap, ...]:
        """End the iteration once all chunks are read; called by the session."""
        self._closed = True
        self._baton = None
        if self._target is not None:
            return self._target.close()
        self._wake()
        return ()

    def _wake(self) -> None:
        self._arrived.set()
        waiter = self._waiter
        if waiter is not None and waiter.future is not None:
            waiter.waker.wake(waiter)

    # ---- reading, on any thread ----

    def get(self, timeout: float | None = None) -> AudioChunk | None:
        """Return the next chunk, or ``None`` after the last one of a stopped session.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; ``None``: as long as it takes. 0 does not wait at all.

        Raises
        ------
        TimeoutError
            No chunk came in time.
        """
        self._check_readable()
        if timeout is not None:
            timeout = real_number("timeout", timeout, 0, 1e9)
        until = math.inf if timeout is None else time.monotonic() + timeout
        sleep = hub_sleep()
        if sleep is not None and time.monotonic() - self._resumed_at > MONOPOLY:
            sleep(0.0)
            self._resumed_at = time.monotonic()
        while True:
            # Asked before taking: what was put before the close is then still seen.
            closed = self._closed
            chunk = self._take()
            if chunk is not None:
                return chunk
            if closed:
                self._arrived.set()  # for another get
                return None
            self._check_that_more_can_come()
            # Whoever waits may as well do the work; a greenlet keeps others waiting then.
            baton = self._baton if time.monotonic() < until and sleep is None else None
            if baton is not None and baton.run_turns(self._has_news, until):
                continue
            if not self._wait_for_router(until):
                raise TimeoutError(f"no chunk came within {timeout:g} s")

    def _wait_for_router(self, until: float) -> bool:
        left = until - time.monotonic()
        if left <= 0:
            return False
        self._leave_turns_to_router()
        return wait_in_turn(self._arrived.wait, None if until == math.inf else left)

    def _leave_turns_to_router(self) -> None:
        baton = self._baton
        if baton is not None:
            baton.stay_away()

    def _has_news(self) -> bool:
        return self.handed is not None or self._closed or self._queue.has_any

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until :meth:`get` need not wait, and take nothing; False if that was not in time.

        Use it in a thread that waits on behalf of a task that may be cancelled, as trio and anyio
        run them: an abandoned wait loses no chunk.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; ``None``: as long as it takes.
        """
        self._check_readable()
        if timeout is not None:
            timeout = real_number("timeout", timeout, 0, 1e9)
        while not self._closed and (self._putting or not self.unread):
            self._check_that_more_can_come()
            self._leave_turns_to_router()
            if not wait_in_turn(self._arrived.wait, timeout):
                return False
        self._arrived.set()  # it was not for us alone
        return True

    def latest(self, timeout: float | None = None) -> AudioChunk | None:
        """Return the newest chunk and pass over all chunks that waited before it.

        Use it for displays and the like, which need only the newest audio. :attr:`passed_over`
        counts the frames that were passed over. The next chunk of the same source has them as gaps
        with the cause ``passed_over``.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most, as for :meth:`get`.

        Raises
        ------
        TimeoutError
            No chunk came in time.
        """
        chunk = self.get(timeout)
        return None if chunk is None else self._newest(chunk)

    def _newest(self, chunk: AudioChunk) -> AudioChunk:
        while (newer := self._queue.pop()) is not None:
            self._frames_passed_over += chunk.frames
            self._passed_over.add_chunk(chunk, GapCause.PASSED_OVER)
            chunk = newer
        return self._passed_over.give_to(chunk)

    def _take(self) -> AudioChunk | None:
        chunk = None
        if self.handed is not None:
            with self._taking:  # several threads may poll; no call in here: see ChunkQueue.pop
                chunk, self.handed = self.handed, None
        if chunk is None:
            chunk = self._queue.pop()
        if chunk is None or not self._passed_over.by_source:
            return chunk
        return self._passed_over.give_to(chunk)

    def chunks(self, frames: int, overlap: int = 0, *, pad: bool = False) -> Blocks:
        """Read blocks of exactly ``frames`` frames, in a loop or an ``async`` loop.

        Each block is an :class:`AudioChunk` that begins ``frames - overlap`` frames after the one
        before it. It is a view if it lies within one chunk of the session, otherwise a copy. No
        block spans a gap: blocks begin anew with the first frame after it. Before the gap, and at
        the end, frames may be left that are too few for a block.

        Parameters
        ----------
        frames : int
            Frames of each block, 1 to 2**24.
        overlap : int
            Frames that a block shares with the one before, 0 to ``frames - 1``.
        pad : bool
            What happens to frames that are too few for a block. False: they are left out, and the
            next block has them as a gap with the cause ``passed_over``. True: they become a block
            of their own, filled up with silence.

        Returns
        -------
        Blocks
            An iterator, to be used once. It keeps chunks of several sources apart.
        """
        return Blocks(self._reading(), Reblocker(frames, overlap, pad=pad))

    def __iter__(self) -> Iterator[AudioChunk]:
        return self._reading()

    # ---- reading, on an event loop ----

    async def aget(self) -> AudioChunk | None:
        """Return what :meth:`get` does, for ``async`` code on any asyncio event loop.

        Only one task at a time may wait. A chunk is taken in the same step in which it is
        returned, so a task that is cancelled while it waits loses none. Limit the wait with
        ``asyncio.timeout``.
        """
        self._check_readable()
        waiter = self._waiter_here()
        if waiter.is_due():
            await let_others_run()
            waiter.resumed()
        while (chunk := self._take()) is None:
            # Before the next look, so that what comes after it sets the future.
            future = waiter.arm()
            try:
                closed = self._closed
                chunk = self._take()
                if chunk is not None or closed:
                    break
                self._check_that_more_can_come()
                self._leave_turns_to_router()
                await future
            finally:
                waiter.disarm()
            waiter.resumed()
        return chunk

    async def alatest(self) -> AudioChunk | None:
        """Return what :meth:`latest` does, for ``async`` code; see :meth:`aget`."""
        chunk = await self.aget()
        return None if chunk is None else self._newest(chunk)

    def __aiter__(self) -> AsyncIterator[AudioChunk]:
        return self._reading()

    def _waiter_here(self) -> LoopWaiter:
        loop = running_loop()
        if loop is None:
            raise SessionStateError(
                "no asyncio event loop runs here",
                hint="With trio, run channel.wait in a thread, then call channel.get(timeout=0)",
            )
        waiter = self._waiter
        if waiter is not None and waiter.is_waiting():
            raise _second_consumer()
        if waiter is None or waiter.loop is not loop:  # a new one, or the loop was replaced
            waiter = self._waiter = LoopWaiter(loop)
        return waiter

    # ---- the one consumer ----

    def _reading(self) -> Reading:
        self._check_readable()
        before = self._consumer() if self._consumer is not None else None
        if before is not None and not before.ended:
            raise _second_consumer()
        reading = Reading(self)
        self._consumer = weakref.ref(reading)
        return reading

    def _check_readable(self) -> None:
        if self._target is not None:
            raise SessionStateError("this channel fills a queue", hint="Read from that queue")

    def _check_that_more_can_come(self) -> None:
        if self._process not in (None, os.getpid()):
            raise ForkedProcessError(
                "the session that fills this channel does not run in a forked child process",
                hint='Read it in the parent, or start processes with the "spawn" method',
            )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<ChannelSink {state}, {self.unread} frames unread>"


def _second_consumer() -> SessionStateError:
    return SessionStateError(
        "this channel already has a consumer",
        hint="Add another ChannelSink to the session for another consumer",
    )
