"""The sinks of a session, as they come and go."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import partial
from operator import itemgetter

from stream_audio._locks import Latch
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import GapCause
from stream_audio.engine.delivery import Delivery
from stream_audio.engine.merges import Merges
from stream_audio.engine.routing import Route
from stream_audio.engine.sink_setup import SinkSetup
from stream_audio.engine.stop_limit import StopLimit
from stream_audio.engine.track import Track
from stream_audio.engine.tracks import Tracks
from stream_audio.engine.worker_delivery import GRACE
from stream_audio.errors import session_ended
from stream_audio.reports.ledger import Ledger
from stream_audio.reports.report import SinkReport
from stream_audio.waiting.clock import Clock, deadline_ns

REMOVED_KEPT = 100
"""How many sinks that were removed stay in the report: the last ones."""


def in_order_of_time(
    replays: Iterable[tuple[Route, Iterable[AudioChunk]]],
) -> list[tuple[Route, AudioChunk]]:
    """Return the chunks of several sources by their times, those of each in their own order.

    A later chunk may have an earlier time than a part of the one before it, where the source is
    faster than real time.
    """
    timed: list[tuple[float, Route, AudioChunk]] = []
    for route, chunks in replays:
        latest = -math.inf
        for chunk in chunks:
            latest = max(latest, chunk.time)
            timed.append((latest, route, chunk))
    return [(route, chunk) for _, route, chunk in sorted(timed, key=itemgetter(0))]


class RosterState(Enum):
    """What a sink finds that comes."""

    EARLY = auto()
    """The session has not begun."""
    OPEN = auto()
    """It has: the sink is told so before its first chunk."""
    CLOSED = auto()
    """Nothing will be captured any more: no sink is taken in."""


class Leaving:
    """A sink that was taken out of a running session, until its backlog is dealt with."""

    def __init__(self, delivery: Delivery, give_up_at: float, *, drain: bool) -> None:
        self.delivery = delivery
        self.drain = drain
        self.give_up_at = give_up_at
        self.gone = Latch()


class Roster:
    """Connects sinks and sees them off; on the router's thread, or before it runs.

    Parameters
    ----------
    setup : SinkSetup
        Opens sinks before they come.
    tracks : Tracks
        The session's.
    merges : Merges
        The session's.
    ledger : Ledger
        Where the account of a sink is forgotten in the end.
    clock : Clock
        The session's.
    sleep : callable
        Waits on the router's thread, for so many seconds at most.

    Attributes
    ----------
    deliveries : dict of str to Delivery
        Those that are connected, and those that are on their way out; replaced, never changed.
    leaving : list of Leaving
        Those that are on their way out.
    changed : callable
        Called after a sink has come or gone.
    """

    def __init__(
        self,
        setup: SinkSetup,
        tracks: Tracks,
        merges: Merges,
        ledger: Ledger,
        clock: Clock,
        sleep: Callable[[float], object],
    ) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self.leaving: list[Leaving] = []
        self.changed: Callable[[], object] = lambda: None
        self._setup = setup
        self._tracks = tracks
        self._merges = merges
        self._ledger = ledger
        self._clock = clock
        self._sleep = sleep
        self._state = RosterState.EARLY
        self._removed: dict[str, SinkReport] = {}
        self._old_problems: list[str] = []

    # ---- coming and going ----

    def begin(self) -> None:
        """Say that the session has begun: each sink is told, later ones as they come."""
        self._state = RosterState.OPEN
        for delivery in self.deliveries.values():
            delivery.begin()

    def connect(self, delivery: Delivery, replay: float = 0.0) -> None:
        """Route its sources' chunks to an opened sink, ``replay`` seconds of history first.

        Between two turns: what is replayed and what comes then join exactly.
        """
        if self._state is RosterState.CLOSED:
            raise session_ended()
        self._setup.forget_removed(delivery)
        if self._state is RosterState.OPEN:
            # Here, and not where it was added: no handler of signals runs here, and `Thread.start`
            # does not stand one that raises.
            delivery.start()
        replays: list[tuple[Route, list[AudioChunk]]] = []
        conversions = self._setup.conversions[delivery.name]
        try:
            for name, each in conversions.items():
                replays.append(self._setup.head(name).connect(each.stages, delivery, replay))
        except BaseException:
            for name in conversions:
                self._setup.head(name).routing.remove(delivery)
            raise
        if self._state is RosterState.OPEN:
            delivery.begin()
        for route, chunk in in_order_of_time(replays):
            route.offer(chunk)
        self.deliveries = {**self.deliveries, delivery.name: delivery}
        self.changed()

    def take_source(self, delivery: Delivery, track: Track) -> None:
        """Route a source that comes to a sink, unless it is on its way out."""
        if self.is_connected(delivery):
            track.connect(self._setup.convert(delivery, track).stages, delivery, replay=0.0)

    def drop_source(self, track: Track, give_up_at: float) -> list[Leaving]:
        """Take a source that has ended from its sinks; returns those that then have none.

        They get what waits for them until ``give_up_at``.
        """
        left = []
        for delivery in self.deliveries.values():
            if track.name not in delivery.sources:
                continue
            track.routing.remove(delivery)
            self._setup.conversions.get(delivery.name, {}).pop(track.name, None)
            delivery.sources = tuple(each for each in delivery.sources if each != track.name)
            if not delivery.sources and self._state is not RosterState.CLOSED:
                left.append(Leaving(delivery, give_up_at, drain=True))
        for leaving in left:
            self.disconnect(leaving)
        return left

    def discard(self, delivery: Delivery, *, wait: bool) -> None:
        """Undo what was done for a sink, unless it was connected; on the thread that did it."""
        if self.deliveries.get(delivery.name) is not delivery:
            self._setup.discard(delivery, wait=wait)

    def disconnect(self, leaving: Leaving) -> None:
        """Take a sink out: it gets nothing more, and what waits for it within its time."""
        delivery = leaving.delivery
        if not self.is_connected(delivery):
            leaving.gone.set()
            return
        sources = self._setup.conversions.pop(delivery.name)
        for name in () if self._state is RosterState.CLOSED else sources:
            self._setup.head(name).routing.remove(delivery)
        self._merges.release(sources)
        delivery.close(GapCause.REMOVED, drain=leaving.drain)
        self.leaving.append(leaving)
        self.see_off()

    def is_connected(self, delivery: Delivery) -> bool:
        """Whether chunks are routed to it; on any thread."""
        return self.deliveries.get(delivery.name) is delivery and not self._is_leaving(delivery)

    def _is_leaving(self, delivery: Delivery) -> bool:
        return any(leaving.delivery is delivery for leaving in self.leaving)

    @property
    def next_end(self) -> float:
        """When the time of a sink on its way out is up; by the session's clock."""
        return min((each.give_up_at for each in self.leaving), default=math.inf)

    def see_off(self, *, everyone: bool = False) -> None:
        """Finish with the sinks that were taken out, when they are done or out of time."""
        for leaving in list(self.leaving):
            delivery = leaving.delivery
            # As exactly as the wait is: else a turn could find it a hair too early for ever.
            time_is_up = deadline_ns(self._clock.now()) >= deadline_ns(leaving.give_up_at)
            out_of_time = everyone or time_is_up
            if not delivery.done and not out_of_time:
                continue
            if not delivery.done and not everyone and delivery.expire():
                leaving.give_up_at = self._clock.now() + GRACE
                continue
            delivery.wait(lambda: 0.0, self._sleep)  # drops what is left
            self.leaving.remove(leaving)
            self._setup.let_go(delivery)  # first: what is let go can no more be discarded
            self.deliveries = {
                name: each for name, each in self.deliveries.items() if each is not delivery
            }
            self._removed[delivery.name] = delivery.report()
            self._forget_removed()
            self.changed()
            leaving.gone.set()

    def _forget_removed(self) -> None:
        """Keep the report short, and the names free, where sinks come and go for weeks."""
        while len(self._removed) > REMOVED_KEPT:
            name = next(iter(self._removed))
            del self._removed[name]
            self._old_problems += self._ledger.sinks.pop(name).problems(name)

    def refuse(self) -> None:
        """Take no sink in any more: nothing will be captured."""
        self._state = RosterState.CLOSED

    def close(self, limit: StopLimit, sleep: Callable[[float], object]) -> None:
        """Close every sink, and wait as long as ``limit`` allows; ``sleep`` waits meanwhile."""
        limit.begin()
        for delivery in self.deliveries.values():
            if not self._is_leaving(delivery):
                delivery.close()
        for delivery in self.deliveries.values():
            delivery.wait(partial(self._time_left, delivery, limit), sleep)
        self.see_off(everyone=True)

    def _time_left(self, delivery: Delivery, limit: StopLimit) -> float:
        """Return for how many seconds the end waits for a sink; that may change meanwhile."""
        if self.deliveries.get(delivery.name) is not delivery:
            return 0.0  # it was taken out meanwhile
        removed = [each.give_up_at for each in self.leaving if each.delivery is delivery]
        now = self._clock.now()
        return min([limit.left(delivery), *(give_up_at - now for give_up_at in removed)])

    def let_go(self) -> None:
        """Let go whoever waits for a sink to be gone: after a crash, or at the very last."""
        for leaving in self.leaving:
            leaving.gone.set()

    # ---- what the others ask ----

    def held(self) -> set[str]:
        """Return the sources that have to wait for a backlog."""
        held = self._merges.held()
        for delivery in self.deliveries.values():
            if delivery.full:
                held.update(delivery.sources)
        return held

    def gather(self) -> None:
        """Let each source's chunks gather as long as all its sinks can wait for them."""
        for name, track in self._tracks.items():
            takers = [each for each in self.deliveries.values() if name in each.sources]
            hurry = not takers or track.history is not None or self._merges.takes(name)
            gather = 0.0 if hurry else min(each.sink.gather for each in takers)
            track.gather(gather, min((each.longest_chunk for each in takers), default=0.0))

    def have_all_failed(self) -> bool:
        """Whether nothing that is captured can reach anybody any more.

        Whoever has removed a sink, keeps a history, or is about to add a sink has other plans.
        """
        return (
            bool(self.deliveries)
            and all(each.detached for each in self.deliveries.values())
            and not (self._removed or self.leaving)
            and all(track.history is None for track in self._tracks.values())
            and not self._setup.is_adding(self.deliveries)
        )

    def reports(self) -> dict[str, SinkReport]:
        """Return the report of each sink, those that were removed too; on any thread."""
        deliveries = self.deliveries
        return dict(self._removed) | {name: each.report() for name, each in deliveries.items()}

    def problems(self) -> list[str]:
        """Return which sums are wrong of sinks whose accounts are forgotten."""
        return list(self._old_problems)
