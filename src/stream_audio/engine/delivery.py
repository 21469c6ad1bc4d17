"""One sink's delivery: its backlog, its worker, its tries and its account.

A blocking sink has a worker thread and a bounded queue before it, so that however slow, stuck or
broken it is, the router only ever appends to that queue. A sink that promises not to block is
written to directly.
"""

from __future__ import annotations

import abc
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

from stream_audio._native.durations import Durations
from stream_audio.chunk import AudioChunk
from stream_audio.chunk_queue import ChunkQueue, missing
from stream_audio.config import StreamConfig
from stream_audio.engine.clock import sit_on
from stream_audio.engine.ledger import SinkAccount
from stream_audio.errors import SinkError
from stream_audio.events import GapDetected, SinkFailed, StreamEvent
from stream_audio.gap import Gap, GapCause
from stream_audio.report import SinkReport
from stream_audio.stats import SinkStats

_log = logging.getLogger("stream_audio")

OnFailure = Literal["detach", "skip"]


class Delivery(abc.ABC):
    """The part that both kinds of delivery share: the account, failures, the report."""

    def __init__(
        self,
        name: str,
        sink: Any,
        account: SinkAccount,
        config: StreamConfig,
        on_failure: OnFailure,
        send: Callable[[StreamEvent], None],
    ) -> None:
        self.name = name
        self.sink = sink
        self.account = account
        self.error: BaseException | None = None
        self._config = config
        self._clock = config.clock
        self._on_failure = on_failure
        self._send = send
        self.detached = False
        self._write_times = Durations()
        self._retried = 0
        self._rate = 1  # that of the last chunk
        self._discarded = False
        # Gaps of chunks that were skipped, for the next chunk of each source.
        self._skipped: dict[str, tuple[Gap, ...]] = {}

    @abc.abstractmethod
    def start(self) -> None:
        """Begin; the sink has been started."""

    def discard(self, *, stop_sink: bool) -> None:
        """End what was begun for a session that never ran; ``stop_sink``: the sink was started."""
        self._discarded = True
        if stop_sink:
            self._stop_sink()

    @abc.abstractmethod
    def offer(self, chunk: AudioChunk) -> None:
        """Take a chunk from the router; never blocks, never raises."""

    def lose(self, gap: Gap) -> None:
        """Enter frames that were to be offered and could not be made; on the router's thread."""
        self.account.offered += gap.frames
        self._drop((gap,))

    @abc.abstractmethod
    def close(self, late: GapCause = GapCause.STOP_TIMEOUT) -> None:
        """Say that no chunk will follow; ``late``: why that is dropped which is not in time."""

    @abc.abstractmethod
    def wait(self, left: Callable[[], float], sleep: Callable[[float], object]) -> None:
        """Wait until everything is delivered; what is not when no time is ``left`` is dropped."""

    @property
    def done(self) -> bool:
        """Whether, once closed, nothing waits any more and the sink is stopped."""
        return True

    @property
    def pending(self) -> int:
        """Frames offered, and neither delivered nor dropped yet."""
        return 0

    def is_thread(self, thread: threading.Thread) -> bool:
        """Whether that is the delivery's worker."""
        return False

    def _drop(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            self.account.drop(gap)
            self._send(GapDetected(self._clock.now(), gap, self.name))

    def _with_skipped(self, chunk: AudioChunk) -> AudioChunk:
        """Tell the chunk of those before it that this sink did not get."""
        skipped = self._skipped.pop(chunk.source, ())
        return replace(chunk, gaps=(*skipped, *chunk.gaps)) if skipped else chunk

    def _give_up(self, chunk: AudioChunk, error: BaseException) -> None:
        """Enter a chunk that could not be written."""
        gap = missing(chunk, GapCause.SINK_FAILED)
        self._skipped[chunk.source] = (*chunk.gaps, gap)
        self._drop((gap,))
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self.detached = self._on_failure == "detach"
        _log.error("sink %s failed: %s", self.name, error)
        self._send(SinkFailed(self._clock.now(), self.name, error, self.detached))

    def _stop_sink(self) -> None:
        stop = getattr(self.sink, "stop", None)
        if self._discarded:
            stop = getattr(self.sink, "discard", stop)
        if stop is None:
            return
        try:
            dropped = stop()
        except BaseException as error:
            if self._account_is_closed:
                return
            if self.error is None:
                self._fail(error)
            else:
                _log.exception("sink %s could not stop either", self.name)
        else:
            if not self._account_is_closed:
                self._taken_back(dropped)

    @property
    def _account_is_closed(self) -> bool:
        """Whether the sink was left to itself, so that what it does no longer counts."""
        return False

    def _taken_back(self, dropped: object) -> None:
        """Enter what a sink that does not block had taken before, and has now dropped."""
        if isinstance(dropped, tuple) and dropped and all(isinstance(g, Gap) for g in dropped):
            self.account.delivered -= sum(gap.frames for gap in dropped)
            self._drop(dropped)

    def stats(self) -> SinkStats:
        """Return how it stands; on any thread."""
        backlog = self.backlog
        return SinkStats(
            offered=self.account.offered,
            delivered=self.account.delivered,
            dropped=self.account.dropped,
            pending=self.pending,
            backlog_seconds=0.0 if backlog is None else backlog.frames / self._rate,
            backlog_highest_seconds=0.0 if backlog is None else backlog.highest / self._rate,
            backlog_bytes=0 if backlog is None else backlog.bytes,
            spilled_bytes=0,
            write_times=self._write_times.snapshot(),
            retries=self._retried,
        )

    @property
    def backlog(self) -> ChunkQueue | None:
        """What waits for the sink; ``None`` if the sink keeps that to itself."""
        backlog = getattr(self.sink, "backlog", None)
        return backlog if isinstance(backlog, ChunkQueue) else None

    def _timed_write(self, chunk: AudioChunk) -> object:
        """Write a chunk, and note how long that took."""
        began = self._clock.now()
        returned = self.sink.write(chunk)
        self._write_times.record(self._clock.now() - began)
        return returned

    def report(self) -> SinkReport:
        """Return its part of the session's report."""
        self.account.pending = self.pending
        return SinkReport(
            offered=self.account.offered,
            delivered=self.account.delivered,
            dropped=self.account.dropped,
            pending=self.account.pending,
            unread=getattr(self.sink, "unread", 0),
            gaps=tuple(self.account.gaps),
            error="" if self.error is None else str(self.error) or repr(self.error),
            clipped=self.account.clipped,
        )


class DirectDelivery(Delivery):
    """For a sink that promises not to block: it is written to on the router's thread."""

    def start(self) -> None:  # noqa: D102 - see Delivery
        pass

    def offer(self, chunk: AudioChunk) -> None:  # noqa: D102 - see Delivery
        self.account.offered += chunk.frames
        self._rate = chunk.sample_rate
        chunk = self._with_skipped(chunk)
        try:
            dropped = self._timed_write(chunk)
        except BaseException as error:
            self._give_up(chunk, error)
        else:
            self.account.delivered += chunk.frames
            self._taken_back(dropped)

    def close(self, late: GapCause = GapCause.STOP_TIMEOUT) -> None:  # noqa: D102
        self._stop_sink()
        self.account.stopped = True

    def wait(self, left: Callable[[], float], sleep: Callable[[float], object]) -> None:  # noqa: D102
        pass


class WorkerDelivery(Delivery):
    """For a sink that may block: a queue and a worker thread of its own."""

    def __init__(
        self,
        name: str,
        sink: Any,
        account: SinkAccount,
        config: StreamConfig,
        on_failure: OnFailure,
        send: Callable[[StreamEvent], None],
        when_done: Callable[[], None],
    ) -> None:
        super().__init__(name, sink, account, config, on_failure, send)
        self._queue = ChunkQueue(self._config.backlog_bytes)
        self._arrived = self._clock.signal()
        self._closing = False
        self._done = False
        self._when_done = when_done
        self._in_hand: AudioChunk | None = None
        # Guards the step from "in hand" to "delivered" against being abandoned meanwhile.
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

    def discard(self, *, stop_sink: bool) -> None:  # noqa: D102
        with self._hand_over:
            # A Ctrl-C in start() may have left a thread that is still on its way.
            self._cancelled = not self._begun
        if self._cancelled:
            super().discard(stop_sink=stop_sink)
            self._arrived.close()
        else:
            self._discarded = True
            self.close()  # the worker stops the sink itself
            self._thread.join()

    def is_thread(self, thread: threading.Thread) -> bool:  # noqa: D102
        return thread is self._thread

    @property
    def done(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._done

    @property
    def pending(self) -> int:
        """Frames in the queue and in the worker's hand."""
        in_hand = self._in_hand
        return self._queue.frames + (in_hand.frames if in_hand is not None else 0)

    @property
    def _account_is_closed(self) -> bool:
        return self._abandoned

    @property
    def backlog(self) -> ChunkQueue:
        """The queue before the worker."""
        return self._queue

    # ---- the router's side ----

    def offer(self, chunk: AudioChunk) -> None:  # noqa: D102 - see Delivery
        self.account.offered += chunk.frames
        self._rate = chunk.sample_rate
        self._drop(self._queue.put(chunk))
        self._arrived.set()

    def close(self, late: GapCause = GapCause.STOP_TIMEOUT) -> None:  # noqa: D102
        if not self._closing:
            self._late = late
        self._closing = True
        self._arrived.set()

    def wait(self, left: Callable[[], float], sleep: Callable[[float], object]) -> None:  # noqa: D102
        while not self._done and (seconds := left()) > 0:
            sleep(seconds)
        with self._hand_over:
            if not self._done:
                self._abandon()
            # The router may have put one more while the worker was giving the sink up.
            self._drop_the_rest()
        self.account.stopped = True

    def _abandon(self) -> None:
        """Leave the worker to its fate: what it holds, and what waits for it, is dropped."""
        self._abandoned = True
        self._arrived.set()  # should it sleep between two tries
        _log.warning("sink %s did not finish in time; it is abandoned", self.name)
        chunks = [self._in_hand] if self._in_hand is not None else []
        self._in_hand = None
        while (chunk := self._queue.take()) is not None:
            chunks.append(chunk)
        self._drop(missing(chunk, self._late) for chunk in chunks)
        if self.error is None:
            self.error = SinkError(f"sink {self.name} did not finish in time", retryable=False)

    # ---- the worker's side ----

    def _run(self) -> None:
        with self._hand_over:
            if self._cancelled:
                return
            self._begun = True
        sit_on(self._arrived)
        try:
            while not self.detached and not self._abandoned:
                closing = self._closing  # asked before taking: what was put before is then seen
                if self._take_one():
                    continue
                if closing or self._abandoned:
                    break
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
        with self._hand_over:
            chunk = None if self._abandoned else self._queue.take()
            self._in_hand = chunk
        if chunk is None:
            return False
        chunk = self._with_skipped(chunk)
        error = self._write(chunk)
        with self._hand_over:
            if self._abandoned:
                return False
            self._in_hand = None
            if error is None:
                self.account.delivered += chunk.frames
                return True
            self._give_up(chunk, error)
            if self.detached:
                self._drop_the_rest()
        return True

    def _write(self, chunk: AudioChunk) -> BaseException | None:
        """Write one chunk, with retries; returns the last error if none succeeded."""
        delay = self._config.retry_delay
        for tries_left in range(self._config.retries, -1, -1):
            try:
                self._timed_write(chunk)
            except BaseException as error:
                # SystemExit and its like are not meant for this thread: they are failures too.
                final = not isinstance(error, Exception)
                final |= isinstance(error, SinkError) and not error.retryable
                if final or tries_left == 0 or self._abandoned:
                    return error
                _log.info("sink %s raised, trying again in %.1f s: %s", self.name, delay, error)
                self._retried += 1
                self._pause(delay)
                delay *= 2
                if self._abandoned:
                    return error
            else:
                return None
        return None

    def _pause(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        while (left := until - self._clock.now()) > 0 and not self._abandoned:
            self._arrived.wait(left)

    def _drop_the_rest(self) -> None:
        while (chunk := self._queue.take()) is not None:
            self._drop((missing(chunk, GapCause.SINK_FAILED),))


def make_delivery(
    name: str,
    sink: Any,
    account: SinkAccount,
    config: StreamConfig,
    on_failure: OnFailure,
    send: Callable[[StreamEvent], None],
    when_done: Callable[[], None],
) -> Delivery:
    """Return the kind of delivery that suits the sink; ``when_done`` is called as it ends."""
    if getattr(sink, "blocking", True):
        return WorkerDelivery(name, sink, account, config, on_failure, send, when_done)
    return DirectDelivery(name, sink, account, config, on_failure, send)
