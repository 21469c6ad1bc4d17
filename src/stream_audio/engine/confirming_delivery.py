"""The delivery to a sink that confirms what has arrived: frames are pending until then."""

from __future__ import annotations

from typing import Any, cast

from stream_audio._checks import whole_number
from stream_audio.adapter.answers import may_be_tried_again
from stream_audio.audio.gap import GapCause
from stream_audio.backlog.confirming_queue import ConfirmingQueue
from stream_audio.backlog.queues import ChunkQueue
from stream_audio.engine.delivery import SinkState
from stream_audio.engine.worker_delivery import Work, WorkerDelivery
from stream_audio.errors import ConfigError, ConfigTypeError, shown

_MOST = 2**63 - 1


class ConfirmingDelivery(WorkerDelivery):
    """A queue and a worker; after a failure all that is not confirmed is written again."""

    def __init__(self, *settings: Any, backlog: ConfirmingQueue, **more: Any) -> None:
        super().__init__(*settings, backlog=cast(ChunkQueue, backlog), **more)
        self._queue = backlog
        self._tries = 0  # since something was written for the first time, or confirmed
        self._expired = False
        self._lost_by: BaseException | None = None

    # ---- any thread ----

    def confirm(self, source: str, frame: int) -> None:  # noqa: D102 - see Delivery
        if source not in self.sources:
            raise ConfigError(f"sink {self.name} has no source {shown(source)}")
        try:
            if self._queue.confirm(source, whole_number("frame", frame, 0, _MOST)):
                self.moved_at = self._clock.now()
                self._arrived.set()
        except ValueError as error:
            raise ConfigError(f"sink {self.name} cannot confirm: {error}") from None

    def resend(self, error: BaseException) -> None:  # noqa: D102 - see Delivery
        if not issubclass(type(error), BaseException):
            raise ConfigTypeError(f"resend takes an error, not {shown(error)}")
        self._lost_by = error
        self._arrived.set()

    @property
    def only_unconfirmed(self) -> bool:  # noqa: D102 - see Delivery
        return self._queue.frames == self._queue.unconfirmed > 0

    # ---- the router's side ----

    def expire(self) -> bool:  # noqa: D102 - see Delivery
        expired, self._expired = self._expired, True
        if expired or self.done or not self._queue.unconfirmed:
            return False
        with self._hand_over:
            self._drop(self._queue.drop_unconfirmed(self._late, held=False))
            self._enter_confirmed(self._queue.newly_confirmed())
        self._arrived.set()
        return True

    def _drop_all(self, cause: GapCause, *, held: bool = True) -> None:
        super()._drop_all(cause, held=held)
        self._drop(self._queue.lost())
        self._enter_confirmed(self._queue.newly_confirmed())

    def _enter_confirmed(self, frames: int) -> None:
        with self._entering:  # the router and the worker both do
            self.account.delivered += frames

    # ---- the worker's side ----

    def _is_through(self) -> bool:
        return self._queue.frames == 0

    def _take_one(self) -> bool:
        self._settle()
        lost_by, self._lost_by = self._lost_by, None
        if lost_by is not None and self._queue.unconfirmed:
            self._failed(lost_by)
            return True
        chunk = self._queue.hold()
        if chunk is None:
            return False
        if self._untold.by_source:
            chunk = self._untold.give_earlier_to(chunk)
        error = self._try_to_write(chunk)
        if error is not None:
            self._failed(error)
            return True
        if not self._queue.holds_again:
            self._tries = 0
            self.moved_at = self._wrote_at
        self._wrote = True
        with self._hand_over:
            self._queue.keep()
        self._settle()
        return True

    def _settle(self) -> None:
        """Enter what was confirmed, and what of the rest no longer fits the backlog."""
        self._queue.settle()
        with self._hand_over:
            if self._work is not Work.UNDER_WAY:
                return  # the router has entered all
            frames = self._queue.newly_confirmed()
            self._enter_confirmed(frames)
            self._drop(self._queue.lost())
        if frames:
            self._tries = 0

    def _failed(self, error: BaseException) -> None:
        """Begin anew with what is not confirmed, or give the chunk up that is held."""
        if may_be_tried_again(error) and self._retry.allows(self._tries):
            self._tries += 1
            self._queue.rewind()
            self._pause_before(self._tries, error)
            self._lost_by = None  # it comes again in any case
            self._retried += 1
            return
        self._tries = 0
        with self._hand_over:
            if self._work is Work.ABANDONED:
                return
            rest = self._queue.give_up()
            self._enter_confirmed(self._queue.newly_confirmed())
            if rest is None:
                self._fail(error)
            else:
                self._give_up(rest, error)
            if self.detached:
                self._drop_all(GapCause.SINK_FAILED)
        self._queue.rewind()

    def _could_not_tell(self, error: BaseException) -> None:
        if self._queue.unconfirmed and self.state is not SinkState.DETACHED:
            self._failed(error)
        else:
            super()._could_not_tell(error)
