"""The delivery to a sink that may block: a backlog, and a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import GapCause
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.config import StreamConfig
from stream_audio.contracts.sink import OnFailure
from stream_audio.engine.delivery import Delivery
from stream_audio.errors import SinkError
from stream_audio.reports.events import StreamEvent
from stream_audio.reports.ledger import SinkAccount
from stream_audio.sinks.loop_sink import LoopSink
from stream_audio.waiting.clock import sit_on

_log = logging.getLogger("stream_audio")


class WorkerDelivery(Delivery):
    """A queue, and a worker thread that writes what is in it."""

    def __init__(
        self,
        name: str,
        sink: Any,
        account: SinkAccount,
        config: StreamConfig,
        on_failure: OnFailure,
        send: Callable[[StreamEvent], None],
        sources: tuple[str, ...],
        bytes_per_second: float,
        backlog: ChunkQueue,
        when_done: Callable[[], None],
    ) -> None:
        super().__init__(
            name, sink, account, config, on_failure, send, sources, bytes_per_second, backlog
        )
        self.backlog: ChunkQueue = backlog
        self._arrived = self._clock.signal()
        self._done = False
        self._has_begun = threading.Event()  # the session; until the sink has been told
        self._wrote = False  # since the sink was last told that it has caught up
        self._when_done = when_done
        # Guards the step from "held" to "delivered" against being abandoned meanwhile.
        self._hand_over = threading.Lock()
        self._abandoned = False
        self._late = GapCause.STOP_TIMEOUT
        self._begun = False
        self._cancelled = False
        self._thread = threading.Thread(
            target=self._run, name=f"stream-audio-sink-{self.name}", daemon=True
        )

    def start(self) -> None:  # noqa: D102 - see Delivery
        self._thread.start()

    def discard(self, *, stop_sink: bool, wait: bool = True) -> None:  # noqa: D102
        with self._hand_over:
            # A Ctrl-C in start() may have left a thread that is still on its way.
            self._cancelled = not self._begun
        if self._cancelled:
            super().discard(stop_sink=stop_sink)
            self._arrived.close()
        else:
            self._discarded = True
            self.close()  # the worker stops the sink itself
            if wait:
                self._thread.join()

    def begin(self) -> None:  # noqa: D102 - see Delivery
        self._has_begun.set()
        self._arrived.set()

    def is_thread(self, thread: threading.Thread) -> bool:  # noqa: D102
        return thread is self._thread

    @property
    def done(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._done

    @property
    def pending(self) -> int:
        """Frames in the queue, with the chunk that the worker holds."""
        return self.backlog.frames

    @property
    def _account_is_closed(self) -> bool:
        return self._abandoned

    # ---- the router's side ----

    def offer(self, chunk: AudioChunk) -> None:  # noqa: D102 - see Delivery
        self.account.offered += len(chunk.data)
        dropped = self.backlog.put(chunk)
        if dropped:
            self._drop(dropped)
        self._arrived.set()

    def close(self, late: GapCause = GapCause.STOP_TIMEOUT, *, drain: bool = True) -> None:  # noqa: D102
        if not self.closed or late is GapCause.REMOVED:
            self._late = late
        if not drain:
            self._drop(self.backlog.drop_all(late, held=False))
        self.closed = True
        self._arrived.set()

    def wait(self, left: Callable[[], float], sleep: Callable[[float], object]) -> None:  # noqa: D102
        while not self._done and (seconds := left()) > 0:
            sleep(seconds)
        with self._hand_over:
            if not self._done and not self._abandoned:
                self._abandon()
            # The router may have put one more while the worker was giving the sink up.
            self._drop(self.backlog.drop_all(GapCause.SINK_FAILED))
            self._drop(self.backlog.dropped())
        self.account.stopped = True

    def _abandon(self) -> None:
        """Leave the worker to its fate: what it holds, and what waits for it, is dropped."""
        self._abandoned = True
        self._arrived.set()  # should it sleep between two tries
        if isinstance(self.sink, LoopSink):
            self.sink.abandon()
        self._drop(self.backlog.drop_all(self._late))
        if self.error is None:
            self._on_failure = "detach"
            self._fail(SinkError(f"sink {self.name} did not finish in time", retryable=False))

    # ---- the worker's side ----

    def _run(self) -> None:
        with self._hand_over:
            if self._cancelled:
                return
            self._begun = True
        sit_on(self._arrived)
        try:
            while not self.detached and not self._abandoned:
                closing = self.closed  # asked before taking: what was put before is then seen
                if self._has_begun.is_set():
                    self._has_begun.clear()
                    self._tell("begun")
                    continue
                if self._take_one():
                    continue
                if closing or self._abandoned:
                    break
                if self._wrote:
                    self._wrote = False
                    self._tell("caught_up")
                if not self.detached:
                    self._arrived.wait()
            if not self._abandoned:
                self._stop_sink()
        finally:
            with self._hand_over:
                self._done = not self._abandoned
            # First, while this thread still holds virtual time up: nobody waits for it in vain.
            self._when_done()
            self._arrived.close()

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
                self._wrote = True
                return True
            self._give_up(chunk, error)
            if self.detached:
                self._drop(self.backlog.drop_all(GapCause.SINK_FAILED))
        return True

    def _tell(self, what: str) -> None:
        method = getattr(self.sink, what, None)
        if method is None:
            return
        try:
            method()
        except BaseException as error:
            with self._hand_over:
                if self._abandoned:
                    return
                self._fail(error)
                if self.detached:
                    self._drop(self.backlog.drop_all(GapCause.SINK_FAILED))

    def _write(self, chunk: AudioChunk) -> BaseException | None:
        """Write one chunk, with retries; returns the last error if none succeeded."""
        delay = self._config.retry_delay
        for tries_left in range(self._config.retries, -1, -1):
            error = self._try_to_write(chunk)
            if error is None:
                return None
            # SystemExit and its like are not meant for this thread: they are failures too.
            final = not isinstance(error, Exception)
            final |= isinstance(error, SinkError) and not error.retryable
            if final or tries_left == 0 or self._abandoned:
                return error
            _log.info("sink %s raised, trying again in %.1f s: %s", self.name, delay, error)
            self._pause(delay)
            if self._abandoned:
                return error
            self._retried += 1
            delay *= 2
        return None

    def _try_to_write(self, chunk: AudioChunk) -> BaseException | None:
        began = self._clock.now()
        try:
            self.sink.write(chunk)
        except BaseException as error:
            return error
        self._write_times.record(self._clock.now() - began)
        return None

    def _pause(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        while (left := until - self._clock.now()) > 0 and not self._abandoned:
            self._arrived.wait(left)
