"""Which delivery and which backlog a sink gets."""

from __future__ import annotations

from collections.abc import Callable

from stream_audio._record import Record
from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.backlog.confirming_queue import Ask, ConfirmingQueue
from stream_audio.backlog.policy import Backlog, WhenFull, as_backlog
from stream_audio.backlog.queues import BlockingQueue, ChunkQueue, DropNewestQueue
from stream_audio.backlog.retry import Retry
from stream_audio.backlog.spill_thread import SpillThread
from stream_audio.backlog.spilling_queue import SpillingQueue
from stream_audio.config import StreamConfig
from stream_audio.contracts.sink import OnFailure
from stream_audio.engine.confirming_delivery import ConfirmingDelivery
from stream_audio.engine.delivery import Delivery, DirectDelivery
from stream_audio.engine.worker_delivery import WorkerDelivery
from stream_audio.errors import ConfigError
from stream_audio.reports.events import SpillFailed, StreamEvent
from stream_audio.reports.ledger import SinkAccount


class Inflow(Record):
    """What the sources of one sink bring, all together.

    Attributes
    ----------
    sources : tuple of str
        Their ids.
    cannot_wait : tuple of str
        Those of them that go on whatever happens: devices.
    bytes_per_second : float
        Of samples, as the sink gets them.
    """

    sources: tuple[str, ...]
    cannot_wait: tuple[str, ...]
    bytes_per_second: float


def make_delivery(
    name: str,
    sink: SinkAdapter,
    account: SinkAccount,
    config: StreamConfig,
    on_failure: OnFailure,
    send: Callable[[StreamEvent], None],
    wake: Callable[[], None],
    *,
    backlog: Backlog | None,
    retry: Retry,
    inflow: Inflow,
    spill: SpillThread,
) -> Delivery:
    """Return the kind of delivery that suits the sink.

    ``wake`` is called as it ends, and when a backlog that held the sources up has room again.

    Raises
    ------
    ConfigError
        The backlog does not suit the sink or its sources.
    """
    rate = inflow.bytes_per_second
    settings = (name, sink, account, config, on_failure, retry, send, inflow.sources, rate)

    def spilling(given: Backlog, ask: Ask) -> SpillingQueue:
        spill.check()
        return SpillingQueue(
            given.limit_bytes(rate),
            given.spill_limit_bytes(rate),
            spill.open_storage,
            ask,
            lambda error: send(SpillFailed(config.clock.now(), name, error)),
        )

    def queue(given: Backlog, default: WhenFull) -> ChunkQueue:
        policy = given.when_full or (default if inflow.cannot_wait else "block")
        limit = given.limit_bytes(rate)
        if policy == "block":
            check_that_they_can_wait(name, inflow.cannot_wait)
            return BlockingQueue(limit, wake)
        if policy == "spill":
            return spilling(given, spill.ask)
        return DropNewestQueue(limit) if policy == "drop_newest" else ChunkQueue(limit)

    if sink.blocking:
        given = backlog or as_backlog(config.backlog)
        own_queue = queue(given, "spill")
        if sink.confirms:

            def queue_of_sent(ask: Ask) -> ChunkQueue:
                """Return one that spills, unless the policy is to drop rather than spill."""
                if not isinstance(own_queue, (SpillingQueue, BlockingQueue)):
                    return ChunkQueue(own_queue.limit)
                return spilling(given, ask)

            confirming = ConfirmingQueue(own_queue, queue_of_sent)
            return ConfirmingDelivery(*settings, backlog=confirming, when_done=wake)
        return WorkerDelivery(*settings, backlog=own_queue, when_done=wake)

    # A channel keeps what its consumer has not read yet in a queue of ours.
    use_queue, own = sink.use_queue, sink.own_backlog
    if own is not None and backlog is not None:
        raise ConfigError(f"sink {name} has a backlog of its own already", hint="Set it only once")
    if use_queue is not None:
        channel_queue = queue(own or backlog or as_backlog(config.backlog), "drop_oldest")
        if use_queue(channel_queue):
            return DirectDelivery(*settings, backlog=channel_queue)
    if backlog is not None:
        raise ConfigError(
            f"no chunk ever waits in the session for sink {name}", hint="Leave the backlog out"
        )
    return DirectDelivery(*settings, backlog=None)


def check_that_they_can_wait(name: str, cannot_wait: tuple[str, ...]) -> None:
    """Refuse sources that go on whatever happens, for a sink whose sources wait for it."""
    if cannot_wait:
        raise ConfigError(
            f"sink {name} has a backlog with when_full='block', "
            f"but {', '.join(cannot_wait)} cannot wait",
            hint="Files, and virtual sources with pace='freewheel', can; devices need 'spill'",
        )
