"""A sink that is iterated over, or that fills a ``queue.Queue``."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING

from stream_audio._checks import real_number, whole_number
from stream_audio.chunk import AudioChunk
from stream_audio.chunk_queue import ChunkQueue, missing
from stream_audio.errors import ConfigTypeError, ForkedProcessError, SessionStateError
from stream_audio.gap import Gap, GapCause
from stream_audio.wakeup import LockSignal

if TYPE_CHECKING:
    from stream_audio.sinks.base import SinkInfo

DEFAULT_LIMIT = 32 * 1024 * 1024


class ChannelSink:
    """Chunks for one consumer: ``for chunk in channel``.

    The channel is the backlog: up to ``limit_bytes`` of chunks wait in it (with 48 kHz stereo the
    default is a minute and a half). When it is full the oldest chunk makes room, which is counted
    and told as ``chunk.gap`` of the next one. Iteration ends when the session has stopped and
    the last chunk has been read. One consumer: a second iterator raises.

    Parameters
    ----------
    target : queue.Queue, optional
        Put the chunks there instead; a full queue loses its oldest chunk, likewise counted. After
        the last chunk ``None`` is put, also into a full queue. Such a channel cannot be iterated.
    limit_bytes : int
        Bytes of samples that may wait; not used with ``target``, which has its own bound.
    """

    blocking = False

    def __init__(
        self,
        target: queue.Queue[AudioChunk | None] | None = None,
        *,
        limit_bytes: int = DEFAULT_LIMIT,
    ) -> None:
        if target is not None and not isinstance(target, queue.Queue):
            raise ConfigTypeError(f"ChannelSink takes a queue.Queue, not {target!r}")
        whole_number("limit_bytes", limit_bytes, 1, 2**40)
        self._target = target
        self._queue = ChunkQueue(limit_bytes)
        self._arrived = LockSignal()
        self._closed = False
        self._iterated = False
        self._process: int | None = None  # that of the session

    @property
    def unread(self) -> int:
        """Frames that wait to be read."""
        if self._target is not None:
            with self._target.mutex:
                waiting = list(self._target.queue)
            return sum(chunk.frames for chunk in waiting if isinstance(chunk, AudioChunk))
        return self._queue.frames

    def start(self, info: SinkInfo) -> None:
        """Refuse a second session; called by the session."""
        if self._closed:
            raise SessionStateError(
                "this channel has ended with an earlier session",
                hint="Make a new ChannelSink for each session",
            )
        self._process = os.getpid()

    def write(self, chunk: AudioChunk) -> tuple[Gap, ...]:
        """Take a chunk; called by the router. Never blocks."""
        if self._target is not None:
            return _put_dropping_oldest(self._target, chunk)
        dropped = self._queue.put(chunk)
        self._arrived.set()
        return dropped

    def stop(self) -> tuple[Gap, ...]:
        """End the iteration once all chunks are read; called by the session."""
        self._closed = True
        self._arrived.set()
        return () if self._target is None else _put_dropping_oldest(self._target, None)

    def get(self, timeout: float | None = None) -> AudioChunk | None:
        """Return the next chunk, or ``None`` after the last one of a stopped session.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; ``None``: as long as it takes.

        Raises
        ------
        TimeoutError
            No chunk came in time.
        """
        if self._target is not None:
            raise SessionStateError("this channel fills a queue", hint="Read from that queue")
        if timeout is not None:
            real_number("timeout", timeout, 0, 1e9)
        while True:
            # Asked before taking: what was put before the close is then still seen.
            closed = self._closed
            chunk = self._queue.take()
            if chunk is not None:
                return chunk
            if closed:
                self._arrived.set()  # for another get
                return None
            self._check_that_more_can_come()
            if not self._arrived.wait(timeout):
                raise TimeoutError(f"no chunk came within {timeout:g} s")

    def _check_that_more_can_come(self) -> None:
        if self._process not in (None, os.getpid()):
            raise ForkedProcessError(
                "the session that fills this channel does not run in a forked child process",
                hint='Read it in the parent, or start processes with the "spawn" method',
            )

    def __iter__(self) -> Iterator[AudioChunk]:
        if self._iterated:
            raise SessionStateError(
                "this channel already has a consumer",
                hint="Add another ChannelSink to the session for another consumer",
            )
        self._iterated = True
        return iter(self.get, None)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<ChannelSink {state}, {self.unread} frames unread>"


def _put_dropping_oldest(
    target: queue.Queue[AudioChunk | None], item: AudioChunk | None
) -> tuple[Gap, ...]:
    dropped = []
    while True:
        try:
            target.put_nowait(item)
        except queue.Full:
            try:
                oldest = target.get_nowait()
            except queue.Empty:
                continue  # the consumer took it meanwhile
            target.task_done()  # nobody else will say so
            if isinstance(oldest, AudioChunk):
                dropped.append(missing(oldest, GapCause.BACKLOG_FULL))
        else:
            return tuple(dropped)
