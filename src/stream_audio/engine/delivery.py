"""One sink's delivery: its backlog, its tries and its account.

A sink that may block has a worker thread and a bounded queue before it, so that however slow,
stuck or broken it is, the router only ever appends to that queue (``worker_delivery.py``). A sink
that promises not to block is written to directly.
"""

from __future__ import annotations

import abc
import logging
import math
import threading
from collections.abc import Callable, Collection
from enum import Enum, auto

from stream_audio._locks import InterruptibleLock
from stream_audio.adapter.answers import dropped_in, frames_taken, lost_with
from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.cutting import cut
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import UntoldGaps
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.backlog.retry import Retry
from stream_audio.config import StreamConfig
from stream_audio.contracts.sink import OnFailure
from stream_audio.engine.loss_spell import LossSpells
from stream_audio.errors import (
    SinkError,
    StreamAudioError,
    in_words,
    is_ctrl_c,
    log_raised,
)
from stream_audio.reports.durations import Durations
from stream_audio.reports.events import GapDetected, SinkFailed, StreamEvent
from stream_audio.reports.ledger import SinkAccount
from stream_audio.reports.report import SinkReport
from stream_audio.reports.stats import SinkStats

_log = logging.getLogger("stream_audio")

PARTS_OF_BACKLOG = 8
"""Chunks that a full backlog holds, at least: when one is dropped, most is still there."""


LOG_INTERVAL = 0.1
"""Seconds between two lines of the log about chunks that one sink could not take."""


class SinkState(Enum):
    """Where a sink stands, as the router sees it."""

    OPEN = auto()
    """It is offered what comes."""
    CLOSED = auto()
    """Nothing will follow; it still gets what waits."""
    DETACHED = auto()
    """It was given up, and is offered nothing more."""


class Delivery(abc.ABC):
    """The part that both kinds of delivery share: the account, failures, figures, the report.

    Attributes
    ----------
    error : BaseException or None
        What the sink raised last when it failed.
    state : SinkState
        Where it stands.
    moved_at : float
        When a frame was delivered, or sent for the first time, by the session's clock.
    sources : tuple of str
        The ids of those whose chunks it gets; replaced on the router's thread.
    bytes_per_second : float
        What they bring, all together.
    backlog : ChunkQueue or None
        What waits for the sink; ``None`` if the sink keeps that to itself.
    longest_chunk : float
        Seconds of the longest chunk that suits it; 0: it wants them of the usual length.
    losses : LossSpells
        Losses of what the sink had taken, of which the end may still be to be told.
    """

    def __init__(
        self,
        name: str,
        sink: SinkAdapter,
        account: SinkAccount,
        config: StreamConfig,
        on_failure: OnFailure,
        retry: Retry,
        send: Callable[[StreamEvent], None],
        sources: tuple[str, ...],
        bytes_per_second: float,
        *,
        backlog: ChunkQueue | None,
    ) -> None:
        self.name = name
        self.sink = sink
        self.account = account
        self.error: BaseException | None = None
        self.state = SinkState.OPEN
        self.moved_at = -math.inf
        self._error_text = ""
        self._retry = retry
        self._clock = config.clock
        self._on_failure = on_failure
        self._send = send
        self.sources = sources
        self.backlog = backlog
        self.bytes_per_second = bytes_per_second
        self.longest_chunk = 0.0
        if sink.takes_batches and backlog is None:
            self.longest_chunk = math.inf
        elif sink.takes_batches and backlog is not None:
            self.longest_chunk = backlog.limit / PARTS_OF_BACKLOG / max(bytes_per_second, 1.0)
        self._write_times = Durations()
        self._retried = 0
        self._end_sink: Callable[[], None] = self._stop_sink
        self._untold = UntoldGaps()
        self.losses = LossSpells(name)
        self._logged_at = -math.inf
        self._unlogged = 0
        # The router and the worker both enter what is dropped.
        self._entering = InterruptibleLock()

    @property
    def detached(self) -> bool:
        """Whether it was given up."""
        return self.state is SinkState.DETACHED

    @property
    def full(self) -> bool:
        """Whether its sources have to wait."""
        is_full = self.backlog is not None and self.backlog.full
        return is_full and self.state is SinkState.OPEN

    @abc.abstractmethod
    def start(self) -> None:
        """Begin; the sink has been started."""

    def begin(self) -> None:
        """Say that the session has begun, before the first chunk; on the router's thread."""
        self._tell(self.sink.begun)

    def _tell(self, method: Callable[[], object]) -> None:
        """Tell the sink something, on the thread that writes to it."""
        try:
            method()
        except BaseException as error:
            self._fail(error)

    def discard(self, *, stop_sink: bool, wait: bool = True) -> None:
        """End what was begun for a session that never ran; ``stop_sink``: the sink was started."""
        if stop_sink:
            self._undo_start()

    def _undo_start(self) -> None:
        """Have the sink undo its start; the start's own error is what is told, so this is not."""
        try:
            self.sink.discard()
        except BaseException as error:
            _log.info("sink %s could not undo its start: %s", self.name, in_words(error))
            if is_ctrl_c(error):
                raise

    @abc.abstractmethod
    def offer(self, chunk: AudioChunk) -> None:
        """Take a chunk from the router; never blocks, never raises."""

    def lose(self, gap: Gap) -> None:
        """Enter frames that were to be offered and could not be made; on the router's thread."""
        self.account.offered += gap.frames
        self._drop((gap,))

    @abc.abstractmethod
    def close(self, late: GapCause = GapCause.STOP_TIMEOUT, *, drain: bool = True) -> None:
        """Say that no chunk will follow; on the router's thread.

        What is not delivered in time is dropped with the cause ``late``; without ``drain``, what
        waits is dropped at once. What a channel holds is delivered.
        """

    @abc.abstractmethod
    def wait(self, left: Callable[[], float], sleep: Callable[[float], object]) -> None:
        """Wait until everything is delivered; what is not when no time is ``left`` is dropped."""

    def confirm(self, source: str, frame: int) -> None:
        """Take all of a source before ``frame`` as arrived; any thread.

        Does nothing for a sink that does not confirm.
        """
        return

    def resend(self, error: BaseException) -> None:
        """Write again what is not confirmed: it was lost on the way; any thread.

        Does nothing for a sink that does not confirm.
        """
        return

    @property
    def only_unconfirmed(self) -> bool:
        """Whether all that is pending was sent, and waits to be confirmed."""
        return False

    def expire(self) -> bool:
        """Drop what only waits to be confirmed: time is up; True if the sink may now finish."""
        return False

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

    def _drop(self, gaps: Collection[Gap]) -> None:
        with self._entering:
            for gap in gaps:
                self.account.drop(gap)
        for gap in gaps:
            self._send(GapDetected(self._clock.now(), gap, self.name))

    def _give_up(self, chunk: AudioChunk, error: BaseException) -> None:
        """Enter a chunk that could not be written, or not all of it."""
        taken, odd = frames_taken(error, chunk.frames)
        self.account.delivered += taken
        if taken < chunk.frames:
            rest = cut(chunk, chunk.frame + taken, chunk.end)
            self._drop((self._untold.add_chunk(rest, GapCause.SINK_FAILED),))
        self._fail(error, odd)

    def _fail(self, error: BaseException, remark: str = "") -> None:
        """Take note that the sink failed; it is given up unless it asked to go on."""
        remark += self._enter_lost(error)
        self.error = error
        self._error_text = in_words(error) + remark
        gives_up = self._on_failure == "detach"
        # First the event: a session whose sinks are all gone ends once it has been told.
        self._send(SinkFailed(self._clock.now(), self.name, error, gives_up))
        if gives_up:
            self.state = SinkState.DETACHED
        self._log_failure(error)

    def _enter_lost(self, error: BaseException) -> str:
        """Enter what had been taken, and is lost with an error; returns what is odd about it."""
        gaps, odd = lost_with(error)
        try:
            self._take_back(gaps)
        except ValueError as lie:
            return f" (it says to be lost {lie}; it counts as nothing)"
        return odd

    def _log_failure(self, error: BaseException) -> None:
        now = self._clock.now()
        if not self.detached and now - self._logged_at < LOG_INTERVAL:
            self._unlogged += 1
            return
        before = f" ({self._unlogged} more times before)" if self._unlogged else ""
        self._logged_at, self._unlogged = now, 0
        # Of an error that this library did not expect, its place is what one wants to know.
        unexpected = None if issubclass(type(error), StreamAudioError) else error
        log_raised(_log, unexpected, "sink %s failed%s: %s", self.name, before, self._error_text)

    def _stop_sink(self) -> None:
        """Stop the sink; on the thread that wrote."""
        try:
            dropped = self.sink.stop()
        except BaseException as error:
            if self._account_is_closed:
                return
            if self.error is None:
                self._fail(error)
            else:
                self._enter_lost(error)
                text = "sink %s could not stop either: %s"
                log_raised(_log, None, text, self.name, in_words(error))
        else:
            if not self._account_is_closed:
                self._taken_back(dropped)

    @property
    def _account_is_closed(self) -> bool:
        """Whether the sink was left to itself, so that what it does no longer counts."""
        return False

    def _taken_back(self, returned: object) -> None:
        """Enter what a sink had taken before, and says to have dropped."""
        try:
            self._take_back(dropped_in(returned))
        except SinkError as error:
            self._fail(error)
        except ValueError as error:
            self._fail(SinkError(f"it reported as dropped {error}", retryable=False))

    def _take_back(self, gaps: tuple[Gap, ...]) -> None:
        with self._entering:
            self.account.take_back(gaps)
        for event in self.losses.lose(gaps, self._clock.now()):
            self._send(event)

    def stats(self) -> SinkStats:
        """Return how it stands; on any thread."""
        backlog = self.backlog
        rate = self.bytes_per_second or math.inf
        return SinkStats(
            offered=self.account.offered,
            delivered=self.account.delivered,
            dropped=self.account.dropped,
            pending=self.pending,
            backlog_seconds=0.0 if backlog is None else backlog.bytes / rate,
            backlog_highest_seconds=0.0 if backlog is None else backlog.highest_bytes / rate,
            backlog_bytes=0 if backlog is None else backlog.memory_bytes,
            spilled_bytes=0 if backlog is None else backlog.disk_bytes,
            write_times=self._write_times.snapshot(),
            retries=self._retried,
        )

    def report(self) -> SinkReport:
        """Return its part of the session's report."""
        return SinkReport(
            offered=self.account.offered,
            delivered=self.account.delivered,
            dropped=self.account.dropped,
            pending=self.pending,
            sent=self.account.delivered if self.sink.confirms is False else 0,
            unread=min(self.sink.unread, self.account.delivered),
            gaps=tuple(self.account.gaps),
            error=self._error_text,
            clipped=self.account.clipped,
            fewer_channels=tuple(
                (source, *counts) for source, counts in dict(self.account.fewer_channels).items()
            ),
            begins=self.account.begins(),
        )


class DirectDelivery(Delivery):
    """For a sink that promises not to block: it is written to on the router's thread."""

    def start(self) -> None:  # noqa: D102 - see Delivery
        pass

    def offer(self, chunk: AudioChunk) -> None:  # noqa: D102 - see Delivery
        account, frames = self.account, len(chunk.data)
        account.offered += frames
        if self._untold.by_source:
            chunk = self._untold.give_to(chunk)
        try:
            returned = self.sink.write(chunk)
        except BaseException as error:
            self._give_up(chunk, error)
        else:
            account.delivered += frames
            if returned is not None and (type(returned) is not tuple or returned):
                self._taken_back(returned)
            elif self.losses.untold:
                for event in self.losses.pass_on(self._clock.now()):
                    self._send(event)

    def close(self, late: GapCause = GapCause.STOP_TIMEOUT, *, drain: bool = True) -> None:  # noqa: D102
        if self.account.stopped:
            return  # removed while the session ends
        if self.state is SinkState.OPEN:
            self.state = SinkState.CLOSED
        self._stop_sink()
        if self.backlog is not None:
            self._taken_back(self.backlog.dropped())
        for event in self.losses.end(self._clock.now()):
            self._send(event)
        self.account.pending = self.pending
        self.account.stopped = True

    def wait(self, left: Callable[[], float], sleep: Callable[[float], object]) -> None:  # noqa: D102
        pass
