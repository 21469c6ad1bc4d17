"""How a sink comes into a session, up to where it is connected, and how that is undone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from stream_audio.adapter.answers import event_of_sink
from stream_audio.audio.format import FormatPreset
from stream_audio.backlog.queues import BlockingQueue
from stream_audio.backlog.spill_thread import SpillThread
from stream_audio.config import StreamConfig
from stream_audio.contracts.sink import SinkInfo, SourceInfo
from stream_audio.convert.plan import Conversion, conversion, merged_rows
from stream_audio.engine.claims import Claims
from stream_audio.engine.delivery import Delivery
from stream_audio.engine.make_delivery import Inflow, check_that_they_can_wait, make_delivery
from stream_audio.engine.merges import MergeHead, Merges
from stream_audio.engine.track import Track
from stream_audio.errors import ConfigError, say_whose
from stream_audio.reports.events import StreamEvent
from stream_audio.reports.ledger import Ledger, SinkAccount
from stream_audio.waiting.clock import WallClock
from stream_audio.waiting.event_loop import loop_of_caller
from stream_audio.waiting.session_time import SessionTime

if TYPE_CHECKING:
    from stream_audio.audio.format import AudioFormat
    from stream_audio.sink_spec import SinkSpec

_log = logging.getLogger("stream_audio")


class SinkSetup:
    """Starts the sinks of one session: claims each, then begins it; both may be interrupted.

    Parameters
    ----------
    config, audio_format
        Of the session.
    tracks : mapping
        The sources that there are.
    merges : Merges
        The merges that there are.
    session : SessionTime
        The session's timeline.
    ledger : Ledger
        Where accounts are opened.
    wall : WallClock
        The session's.
    send : callable
        Takes events.
    wake : callable
        Wakes the router.

    Attributes
    ----------
    conversions : dict
        What each sink that is not taken out gets its sources' chunks through, by source.
    """

    def __init__(
        self,
        config: StreamConfig,
        audio_format: AudioFormat,
        tracks: Mapping[str, Track],
        merges: Merges,
        session: SessionTime,
        ledger: Ledger,
        wall: WallClock,
        send: Callable[[StreamEvent], None],
        wake: Callable[[], None],
    ) -> None:
        self.conversions: dict[str, dict[str, Conversion]] = {}
        self._config = config
        self._format = audio_format
        self._tracks = tracks
        self.merges = merges
        self._session = session
        self._ledger = ledger
        self._wall = wall
        self._send = send
        self._wake = wake
        self._loop = loop_of_caller()  # where asynchronous sinks run
        self._spill = SpillThread(config.clock, config.spill_dir)
        self._claims = Claims()
        self._opened: dict[str, Delivery] = {}
        self._specs: dict[str, SinkSpec] = {}  # of those
        self._begun: set[str] = set()

    def open(self, spec: SinkSpec) -> Delivery:
        """Claim a sink and start it; whatever interrupts this, :meth:`discard` undoes it."""
        delivery = self.claim(spec)
        self.begin(delivery)
        return delivery

    def claim(self, spec: SinkSpec) -> Delivery:
        """Open a sink's account and make its delivery: nobody else gets it, or its name."""
        self._claims.take(spec.sink)
        try:
            self._opened[spec.name] = self._make_delivery(spec)
            self._specs[spec.name] = spec
        except BaseException:
            self._claims.give_back(spec.sink)
            self._ledger.sinks.pop(spec.name, None)
            raise
        return self._opened[spec.name]

    def begin(self, delivery: Delivery) -> None:
        """Start a sink that was claimed; it may take its time, and raise."""
        name = delivery.name
        sources = self._as_seen(self.conversions[name])
        wall = self._wall
        info = SinkInfo(
            name,
            sources,
            self._take_event,
            wall.epoch,
            self._config.clock.now,
            files_read=self._files_read(),
            wall_now=wall.now,
            confirm=delivery.confirm,
            resend=delivery.resend,
            stop_timeout=self._config.stop_timeout,
        )
        self._begun.add(name)  # one that was interrupted is undone, too
        try:
            delivery.sink.start(info)
        except Exception as error:
            self._begun.discard(name)
            say_whose(error, f"It was raised by the sink {name} as it started.")
            raise

    def _files_read(self) -> frozenset[tuple[int, int]]:
        """Return device and inode of the files that are sources."""
        takes = [track.take for track in self._tracks.values() if track.take is not None]
        found = (getattr(take.source, "file_read", None) for take in takes)
        return frozenset(each for each in found if each is not None)

    def _take_event(self, event: StreamEvent) -> None:
        """Send an event of a sink's; anything else is an error of the sink."""
        self._send(event_of_sink(event))

    def head(self, name: str) -> Track | MergeHead:
        """Return the merge or the source of that id."""
        return self.merges[name] if name in self.merges else self._tracks[name]

    def forget_removed(self, delivery: Delivery) -> None:
        """Leave out the sources of a sink that were removed since it was claimed.

        Raises
        ------
        ConfigError
            None is left.
        """
        conversions = self.conversions[delivery.name]
        gone = [
            each for each in conversions if each not in self.merges and each not in self._tracks
        ]
        for name in gone:
            del conversions[name]
        delivery.sources = tuple(each for each in delivery.sources if each not in gone)
        if not conversions:
            raise _removed_meanwhile(gone)

    def is_adding(self, connected: Collection[str]) -> bool:
        """Whether a sink is on its way in, beside those that are connected."""
        return len(self._opened) > len(connected)

    def _make_delivery(self, spec: SinkSpec) -> Delivery:
        spec.adapter.bind(self._loop)
        account = self._ledger.open_sink(spec.name)
        tracks = list(self._tracks.values())
        if spec.sources is not None:
            found = [self._tracks.get(name) for name in spec.sources]
            tracks = [track for track in found if track is not None]
            if len(tracks) < len(spec.sources):
                raise _removed_meanwhile(spec.sources)
        conversions = self._conversions(spec, tracks)
        try:
            delivery = self._delivery(spec, account, tracks, conversions)
        except BaseException:
            self.merges.release(conversions)
            raise
        self.conversions[spec.name] = conversions
        return delivery

    def _conversions(self, spec: SinkSpec, tracks: Sequence[Track]) -> dict[str, Conversion]:
        if spec.merge is None:
            return {track.name: self._conversion(spec, track) for track in tracks}
        wanted, dtype = self.format_of(spec), spec.adapter.dtype
        head = self.merges.claim(spec.merge, tuple(track.name for track in tracks))
        try:
            is_preset = any(wanted is preset.value for preset in FormatPreset)
            rows = merged_rows(spec.merge, head.channels, wanted, is_preset=is_preset)
            made = conversion(head.name, head.shape, wanted, spec.merge.window, dtype, rows=rows)
        except BaseException:
            self.merges.release([head.name])
            raise
        return {head.name: made}

    def _delivery(
        self,
        spec: SinkSpec,
        account: SinkAccount,
        tracks: Sequence[Track],
        conversions: Mapping[str, Conversion],
    ) -> Delivery:
        if spec.merge is None:
            self._note_fewer_channels(spec, conversions, account)
        return make_delivery(
            spec.name,
            spec.adapter,
            account,
            self._config,
            spec.on_failure,
            self._send,
            self._wake,
            backlog=spec.backlog,
            retry=spec.retry or spec.adapter.own_retry or self._config.retry,
            inflow=Inflow(
                tuple(track.name for track in tracks),
                tuple(track.name for track in tracks if not track.shape.freewheel),
                sum(source.bytes_per_second for source in self._as_seen(conversions)),
            ),
            spill=self._spill,
        )

    def _conversion(self, spec: SinkSpec, track: Track) -> Conversion:
        return conversion(
            track.name,
            track.shape,
            self.format_of(spec),
            self._config.chunk_duration,
            spec.adapter.dtype,
            session=self._session if spec.timeline == "session" else None,
        )

    # ---- sources that come while it runs ----

    def format_of(self, spec: SinkSpec) -> AudioFormat:
        """Return the format that a sink is to get."""
        return spec.format or self._format

    def formats_of(self, deliveries: Iterable[Delivery]) -> tuple[AudioFormat, ...]:
        """Return the formats that connected sinks get."""
        return tuple(self.format_of(self._specs[each.name]) for each in deliveries)

    def takes_sources(self, delivery: Delivery) -> bool:
        """Whether a connected sink takes a source that comes: it was added for all, and can."""
        spec = self._specs.get(delivery.name)
        if spec is None or spec.sources is not None or spec.merge is not None:
            return False  # a merge has the sources of the moment in which it was asked for
        return delivery.sink.takes_sources

    def tell_of(self, delivery: Delivery, track: Track) -> None:
        """Tell a connected sink of a source that comes; it may take its time, and raise."""
        name, spec = delivery.name, self._specs[delivery.name]
        if isinstance(delivery.backlog, BlockingQueue) and not track.shape.freewheel:
            check_that_they_can_wait(name, (track.name,))
        [info] = self._as_seen({track.name: self._conversion(spec, track)})
        try:
            delivery.sink.source_added(info)
        except Exception as error:
            say_whose(error, f"It was raised by the sink {name}, for the source {track.name}.")
            raise

    def convert(self, delivery: Delivery, track: Track) -> Conversion:
        """Enter that a connected sink gets a source; returns through what."""
        name, spec = delivery.name, self._specs[delivery.name]
        made = self._conversion(spec, track)
        self._note_fewer_channels(spec, {track.name: made}, delivery.account)
        self.conversions[name] = {**self.conversions[name], track.name: made}
        [info] = self._as_seen({track.name: made})
        delivery.sources = (*delivery.sources, track.name)
        delivery.bytes_per_second += info.bytes_per_second
        return made

    # ---- the end ----

    def _note_fewer_channels(
        self, spec: SinkSpec, conversions: Mapping[str, Conversion], account: SinkAccount
    ) -> None:
        """Enter what a sink does not get of a source; a number, unlike a list, may not mean it."""
        is_number = isinstance(self.format_of(spec).channels, int)
        for source, conversion_ in conversions.items():
            if conversion_.fewer is None:
                continue
            account.fewer_channels[source] = conversion_.fewer
            if is_number:
                _log.warning(
                    "sink %s gets %d of the %d channels of %s; AudioFormat(channels=[…]) says "
                    "which, AudioFormat() takes all",
                    spec.name,
                    *conversion_.fewer,
                    source,
                )

    def discard(self, delivery: Delivery, *, wait: bool = True) -> None:
        """Undo what was done for a sink that was never connected; does nothing twice.

        ``wait``: until its worker has stopped it, which may take as long as it likes.
        """
        name = delivery.name
        if self._opened.get(name) is not delivery:
            return  # its name may be another sink's by now
        del self._opened[name]
        delivery.discard(stop_sink=name in self._begun, wait=wait)
        self._claims.give_back(delivery.sink.given)
        self._specs.pop(name, None)
        self._begun.discard(name)
        self.merges.release(self.conversions.pop(name, {}))
        self._ledger.sinks.pop(name, None)

    def discard_all(self) -> None:
        """Undo all, for a session that never ran."""
        for delivery in list(self._opened.values()):
            self.discard(delivery)
        self._claims.give_all_back()

    def let_go(self, delivery: Delivery) -> None:
        """Let others have a sink that was taken out, and is done."""
        self._opened.pop(delivery.name)
        self._specs.pop(delivery.name, None)
        self._begun.discard(delivery.name)
        self._claims.give_back(delivery.sink.given)

    def close(self) -> None:
        """Let others have all that is left, at the end of the session."""
        self._spill.close()
        self._claims.give_all_back()

    def _as_seen(self, conversions: Mapping[str, Conversion]) -> tuple[SourceInfo, ...]:
        """Return the sources as the sink will see them."""
        return tuple(
            SourceInfo(name, *each.result, "" if head is None else head.shape.device)
            for name, each in conversions.items()
            for head in [self.merges.get(name) or self._tracks.get(name)]
        )


def _removed_meanwhile(names: Collection[str]) -> ConfigError:
    return ConfigError(f"removed while the sink was added: {', '.join(names)}")
