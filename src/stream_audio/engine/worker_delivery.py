"""The delivery to a sink that may block: a backlog, and a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from stream_audio._locks import InterruptibleLock
from stream_audio.adapter.answers import may_be_tried_again, refuse_coroutine
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import GapCause
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.engine.delivery import Delivery, SinkState
from stream_audio.errors import SinkError, in_words
from stream_audio.waiting.clock import sit_on

_log = logging.getLogger("stream_audio")

GRACE = 1.0
"""Seconds that a sink gets to stop once nothing is waited for to be confirmed any more."""

LOGGED_TRIES = 10
"""So many tries with a chunk are logged; a service may be away for days."""


class Work(Enum):
    """Where a worker thread stands; it never goes back."""

    NEW = auto()
    """It has not begun."""
    CANCELLED = auto()
    """It never will: the session did not start."""
    UNDER_WAY = auto()
    """It writes, or waits for something to write."""
    DONE = auto()
    """It has ended by itself, and the sink is stopped."""
    ABANDONED = auto()
    """It was left to its fate; nothing that it does counts any more."""


class WorkerDelivery(Delivery):
    """A queue, and a worker thread that writes what is in it."""

    def __init__(self, *settings: Any, backlog: ChunkQueue, when_done: Callable[[], None]) -> None:
        super().__init__(*settings, backlog=backlog)
        self.backlog: ChunkQueue = backlog
        self._arrived = self._clock.signal()
        self._has_begun = False  # the session; until the sink has been told
        self._wrote_at = -math.inf
        self._wrote = False  # since the sink was last told that it has caught up
        self._when_done = when_done
        # Guards each step of the work, and the one from "held" to "delivered".
        self._hand_over = InterruptibleLock()
        self._work = Work.NEW
        self._late = GapCause.STOP_TIMEOUT
        self._thread = threading.Thread(
            target=self._run, name=f"stream-audio-sink-{self.name}", daemon=True
        )

    def start(self) -> None:  # noqa: D102 - see Delivery
        self._thread.start()

    def discard(self, *, stop_sink: bool, wait: bool = True) -> None:  # noqa: D102
        with self._hand_over:
            # A Ctrl-C in start() may have left a thread that is still on its way.
            if self._work is Work.NEW:
                self._work = Work.CANCELLED
        if self._work is Work.CANCELLED:
            super().discard(stop_sink=stop_sink)
            self._arrived.close()
        else:
            self._end_sink = self._undo_start
            self.close()  # the worker stops the sink itself
            if wait:
                self._thread.join()

    def begin(self) -> None:  # noqa: D102 - see Delivery
        self._has_begun = True
        self._arrived.set()

    def is_thread(self, thread: threading.Thread) -> bool:  # noqa: D102
        return thread is self._thread

    @property
    def done(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._work is Work.DONE

    @property
    def pending(self) -> int:
        """Frames in the queue, with the chunk that the worker holds."""
        return self.backlog.frames

    @property
    def _account_is_closed(self) -> bool:
        return self._work is Work.ABANDONED

    # ---- the router's side ----

    def offer(self, chunk: AudioChunk) -> None:  # noqa: D102 - see Delivery
        self.account.offered += len(chunk.data)
        dropped = self.backlog.put(chunk)
        if dropped:
            self._drop(dropped)
        self._arrived.set()

    def close(self, late: GapCause = GapCause.STOP_TIMEOUT, *, drain: bool = True) -> None:  # noqa: D102
        if self.state is SinkState.OPEN or late is GapCause.REMOVED:
            self._late = late
        if not drain:
            self._drop_all(late, held=False)
        if self.state is SinkState.OPEN:
            self.state = SinkState.CLOSED
        self._arrived.set()

    def wait(self, left: Callable[[], float], sleep: Callable[[float], object]) -> None:  # noqa: D102
        self._wait_until_done(left, sleep)
        if self.expire():
            until = self._clock.now() + GRACE
            self._wait_until_done(lambda: until - self._clock.now(), sleep)
        with self._hand_over:
            if self._work not in (Work.DONE, Work.ABANDONED):
                self._abandon()
            # The router may have put one more while the worker was giving the sink up.
            self._drop_all(GapCause.SINK_FAILED)
            self._drop(self.backlog.dropped())
        self.account.pending = self.pending
        self.account.stopped = True

    def _wait_until_done(
        self, left: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        while not self.done and (seconds := left()) > 0:
            sleep(seconds)

    def _drop_all(self, cause: GapCause, *, held: bool = True) -> None:
        self._drop(self.backlog.drop_all(cause, held=held))

    def _abandon(self) -> None:
        """Leave the worker to its fate: what it holds, and what waits for it, is dropped."""
        self._work = Work.ABANDONED
        self._arrived.set()  # should it sleep between two tries
        self.sink.abandon()
        self._drop_all(self._late)
        if self.error is None:
            self._on_failure = "detach"
            self._fail(SinkError(f"sink {self.name} did not finish in time", retryable=False))

    # ---- the worker's side ----

    def _run(self) -> None:
        with self._hand_over:
            if self._work is not Work.NEW:
                return
            self._work = Work.UNDER_WAY
        sit_on(self._arrived)
        try:
            while self._goes_on:
                # Asked before taking: what was put before is then seen.
                closing = self.state is SinkState.CLOSED
                if self._has_begun:
                    self._has_begun = False
                    self._tell(self.sink.begun)
                    continue
                if self._take_one():
                    continue
                if (closing and self._is_through()) or not self._goes_on:
                    break
                if self._wrote:
                    self._wrote = False
                    self._tell(self.sink.caught_up)
                    continue
                self._arrived.wait()
            if self._work is Work.UNDER_WAY:
                self._end_sink()
        except BaseException as error:  # of a handler of the log, say, or a bug of ours
            self._give_up_all(error)
        finally:
            with self._hand_over:
                if self._work is Work.UNDER_WAY:
                    self._work = Work.DONE
            # First, while this thread still holds virtual time up: nobody waits for it in vain.
            self._when_done()
            self._arrived.close()

    @property
    def _goes_on(self) -> bool:
        return self._work is Work.UNDER_WAY and self.state is not SinkState.DETACHED

    def _give_up_all(self, error: BaseException) -> None:
        """Take an error for the end of the sink, whatever it asked for."""
        with self._hand_over:
            if self._work is Work.ABANDONED:
                return
            self._on_failure = "detach"
            try:
                self._fail(error)
            finally:
                self._drop_all(GapCause.SINK_FAILED)

    def _take_one(self) -> bool:
        chunk = self.backlog.hold()  # which may have to read it from disk
        if chunk is None:
            return False
        if self._untold.by_source:
            chunk = self._untold.give_to(chunk)
        error = self._write(chunk)
        with self._hand_over:
            if not self.backlog.release():
                return False  # dropped meanwhile
            if error is None:
                self.account.delivered += len(chunk.data)
                self.moved_at = self._wrote_at
                self._wrote = True
                return True
            self._give_up(chunk, error)
            if self.detached:
                self._drop_all(GapCause.SINK_FAILED)
        return True

    def _tell(self, method: Callable[[], object]) -> None:
        try:
            method()
        except BaseException as error:
            self._could_not_tell(error)

    def _could_not_tell(self, error: BaseException) -> None:
        with self._hand_over:
            if self._work is Work.ABANDONED:
                return
            self._fail(error)
            if self.detached:
                self._drop_all(GapCause.SINK_FAILED)

    def _is_through(self) -> bool:
        """Whether nothing is left to do for a sink that is closed, once nothing waits for it."""
        return True

    def _write(self, chunk: AudioChunk) -> BaseException | None:
        """Write one chunk, with all its tries; returns the last error if none succeeded."""
        tries = 0
        while True:
            error = self._try_to_write(chunk)
            if error is None:
                return None
            if not (may_be_tried_again(error) and self._retry.allows(tries)):
                return error
            tries += 1
            self._pause_before(tries, error)
            if self._work is Work.ABANDONED:
                return error
            self._retried += 1

    def _try_to_write(self, chunk: AudioChunk) -> BaseException | None:
        began = self._clock.now()
        try:
            returned = self.sink.write(chunk)
            if returned is not None:
                refuse_coroutine(returned)
        except BaseException as error:
            return error
        self._wrote_at = self._clock.now()
        self._write_times.record(self._wrote_at - began)
        return None

    def _pause_before(self, number: int, error: BaseException) -> None:
        """Wait before another try: until the sink is closed at most, then for the first wait."""
        closing = self.state is not SinkState.OPEN
        seconds = self._retry.first if closing else self._retry.wait_before(number)
        if number <= LOGGED_TRIES:
            words = in_words(error)
            _log.info("sink %s raised, next try in %.1f s: %s", self.name, seconds, words)
        until = self._clock.now() + seconds
        while (left := until - self._clock.now()) > 0 and self._work is not Work.ABANDONED:
            if not closing and self.state is not SinkState.OPEN:
                return
            self._arrived.wait(left)
