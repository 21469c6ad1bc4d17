"""The merges of a session: each is a track without a device, whose input are other tracks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import MAX_CHANNELS
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.config import StreamConfig
from stream_audio.contracts.merge import Merge
from stream_audio.convert.plan import merge_input
from stream_audio.convert.stage import Settings
from stream_audio.engine.delivery import Delivery
from stream_audio.engine.merge_input import MergeInput
from stream_audio.engine.merger import Merger
from stream_audio.engine.routing import Route, Routing
from stream_audio.engine.track import Track, TrackState
from stream_audio.engine.track_shape import TrackShape
from stream_audio.errors import ConfigError
from stream_audio.reports.events import StreamEvent
from stream_audio.reports.ledger import Ledger
from stream_audio.waiting.session_time import SessionTime

END_AS_SET = 0.005
"""Seconds by which a track may miss the end that the session's duration sets: rounding."""

SLACK = 0.3
"""Seconds beyond what is known of a source's intervals, for the first packets of a take, too."""


class _Inflow:
    """Where a source's way into a merge ends."""

    def __init__(self, head: MergeHead, source: MergeInput) -> None:
        self.delivery = head
        self._source = source

    def offer(self, chunk: AudioChunk) -> None:
        self.delivery.merger.take(self._source, chunk)

    def lose(self, gap: Gap) -> None:
        self._source.lose(gap)

    def end(self) -> None:
        self._source.end()

    def close(self) -> None:
        """Do nothing: the merge itself is finished after its sources."""


class MergeHead:
    """A merge, and the sinks that get it. On the router's thread, once it is connected.

    Attributes
    ----------
    name : str
        The merge's id.
    shape : TrackShape
        What its sinks see: the channels of all sources, side by side.
    merge : Merge
        What the user asked for.
    channels : dict of str to int
        How many each source has, in their order.
    routing : Routing
        The ways to its sinks.
    is_connected : bool
        Whether it gets its sources' chunks: once the first sink is connected.
    users : int
        How many sinks have claimed it.
    """

    def __init__(
        self,
        name: str,
        merge: Merge,
        tracks: Mapping[str, Track],
        config: StreamConfig,
        ledger: Ledger,
        session: SessionTime,
        send: Callable[[StreamEvent], None],
    ) -> None:
        self.name = name
        self.merge = merge
        self.channels = {each.name: len(each.shape.own_channels) for each in tracks.values()}
        total = sum(self.channels.values())
        if total > MAX_CHANNELS:
            raise ConfigError(
                f"the sources of the merge {name!r} have {total} channels, and {MAX_CHANNELS} are "
                "the most",
                hint="Choose some of them: AudioSource.device(…, channels=[0])",
            )
        rate = max(track.shape.sample_rate for track in tracks.values())
        self.shape = TrackShape(
            rate,
            total,
            tuple(range(total)),
            silence_is_normal=True,
            freewheel=all(track.shape.freewheel for track in tracks.values()),
        )
        self.routing = Routing(name, ledger)
        self.is_connected = False
        self.users = 0
        self._tracks = tracks
        self._config = config
        self._ledger = ledger
        self._session = session
        self._send = send
        self.merger = self._make_merger()

    @property
    def sources(self) -> tuple[str, ...]:
        """Their ids, in order."""
        return tuple(self._tracks)

    def _make_merger(self) -> Merger:
        rate, session = self.shape.sample_rate, self._session
        begin = max(0, round(session.now() * rate))
        inputs = [
            MergeInput(name, self.channels[name], begin, self._interval(track), paced=paced)
            for name, track in self._tracks.items()
            for paced in [not track.shape.freewheel]
        ]
        merge = self.merge
        return Merger(
            self.name, inputs, rate, begin, merge.window, merge.timeout, session, self._send
        )

    def _interval(self, track: Track) -> float:
        """Return how long a delivery may take, as far as is known before the first one."""
        known = SLACK + self._config.chunk_duration
        if track.take is not None:
            capture = track.take.source.capture
            known += capture.period / capture.sample_rate + (track.take.source.latency or 0.0)
        return known

    def connect(
        self, stages: Iterable[Settings], delivery: Delivery, replay: float
    ) -> tuple[Route, list[AudioChunk]]:
        """Route what is merged from now on to a sink; a merge has no history to replay."""
        if not self.is_connected:
            self._connect_sources()
        return self.routing.add(stages, delivery)

    def _connect_sources(self) -> None:
        self.merger = self._make_merger()  # from now on
        rate = self.shape.sample_rate
        window = max(1, round(self.merge.window * rate))
        try:
            for source in self.merger.inputs:
                track = self._tracks[source.source]
                stages = merge_input(track.shape, rate, window, self._session)
                track.routing.add_route(stages, _Inflow(self, source))
                if track.state is TrackState.ENDED:
                    source.end()
        except BaseException:
            self.disconnect()
            raise
        self.is_connected = True
        self._ledger.open_merge(self.name, self.merger.account)

    def disconnect(self) -> None:
        """Take nothing from the sources any more: the last sink is gone."""
        self.is_connected = False
        for track in self._tracks.values():
            track.routing.remove(self)
        for source in self.merger.inputs:
            source.count_waiting()

    def collect(self) -> None:
        """Move what is merged by now to the sinks."""
        for source in self.merger.inputs:
            if self._tracks[source.source].state is TrackState.LOST:
                source.is_lost = True
        for chunk in self.merger.collect():
            self.routing.take(chunk)

    def finish(self, seconds: float) -> None:
        """End with the session; the merge lasts up to that second of it."""
        for chunk in self.merger.finish(round(seconds * self.shape.sample_rate)):
            self.routing.take(chunk)
        for source in self.merger.inputs:
            source.count_waiting()
        self.routing.finish()
        self.routing.close(seconds, GapCause.SOURCE_ENDED)

    def held(self) -> list[str]:
        """Return the sources that have to wait, for the merge has enough of them."""
        return [
            each.source
            for each in self.merger.inputs
            if self._tracks[each.source].shape.freewheel and self.merger.is_ahead(each)
        ]


class Merges(Mapping[str, MergeHead]):
    """The merges that have sinks, by id; replaced, never changed.

    Parameters
    ----------
    config, tracks, ledger, session, send
        Of the session.

    Attributes
    ----------
    heads : dict of str to MergeHead
        The same; a turn that finds none asks for nothing more.
    """

    def __init__(
        self,
        config: StreamConfig,
        tracks: Mapping[str, Track],
        ledger: Ledger,
        session: SessionTime,
        send: Callable[[StreamEvent], None],
    ) -> None:
        self.heads: dict[str, MergeHead] = {}
        self._changing = InterruptibleLock()
        self._config = config
        self._tracks = tracks
        self._ledger = ledger
        self._session = session
        self._send = send

    def claim(self, merge: Merge, sources: tuple[str, ...]) -> MergeHead:
        """Return the merge that a sink asks for: one that there is, if it is equal, or a new one.

        Raises
        ------
        ConfigError
            Its id is that of a source, or of another merge.
        """
        merge.check_gains(sources)
        with self._changing:
            head = self._find(merge, sources) or self._make(merge, sources)
            head.users += 1
            return head

    def _find(self, merge: Merge, sources: tuple[str, ...]) -> MergeHead | None:
        for head in self.heads.values():
            if (head.merge, head.sources) == (merge, sources):
                return head
        return None

    def _make(self, merge: Merge, sources: tuple[str, ...]) -> MergeHead:
        name = merge.id or self._free_name()
        if name in self.heads or name in self._tracks:
            what = "merge" if name in self.heads else "source"
            raise ConfigError(
                f"there is already a {what} {name!r}",
                hint="Give the merge another id; sinks share one with equal settings and sources",
            )
        tracks = {source: self._tracks[source] for source in sources}
        head = MergeHead(
            name, merge, tracks, self._config, self._ledger, self._session, self._send
        )
        self.heads = {**self.heads, name: head}
        return head

    def _free_name(self) -> str:
        name, number = "merge", 1
        while name in self.heads or name in self._tracks:
            number += 1
            name = f"merge-{number}"
        return name

    def release(self, names: Iterable[str]) -> None:
        """Let go of what a sink has claimed; names of sources are passed over."""
        with self._changing:
            for name in names:
                if (head := self.heads.get(name)) is not None:
                    head.users -= 1
            self._forget()

    def _forget(self) -> None:
        """Forget those that nobody has, and that are not connected any more."""
        self.heads = {
            name: head for name, head in self.heads.items() if head.users > 0 or head.is_connected
        }

    def takes(self, source: str) -> bool:
        """Whether a merge waits for a source's chunks."""
        return any(source in head.sources for head in self.heads.values())

    def collect(self) -> None:
        """Move what is merged by now, and let go of the sources of merges that nobody has."""
        for head in self.heads.values():
            if head.is_connected:
                head.collect()
                if head.routing.is_empty:
                    head.disconnect()
                    with self._changing:
                        self._forget()

    @property
    def due(self) -> float:
        """When one of them goes on without a source; by the session's clock."""
        dues = [head.merger.due for head in self.heads.values() if head.is_connected]
        due = min(dues, default=math.inf)
        return due if due == math.inf else self._session.on_clock(due)

    def held(self) -> set[str]:
        """Return the sources that have to wait for a merge."""
        return {source for head in self.heads.values() for source in head.held()}

    def finish(self) -> None:
        """End with the session: aligned tracks and merges all last up to the same second."""
        session = self._session
        tracks = self._tracks.values()
        heads = [head for head in self.heads.values() if head.is_connected]
        ends = [track.routing.aligned_to() for track in tracks]
        ends += [head.merger.position / head.shape.sample_rate for head in heads]
        if any(track.was_lost for track in tracks):
            ends.append(session.now())
        end = max(ends, default=0.0)
        if session.ends_at is not None and end > session.ends_at - END_AS_SET:
            end = session.ends_at
        for track in tracks:
            gone = track.was_lost or (track.take is not None and track.take.error)
            track.routing.close(end, GapCause.DEVICE_LOST if gone else GapCause.SOURCE_ENDED)
        for head in heads:
            head.finish(end)

    def __getitem__(self, name: str) -> MergeHead:
        return self.heads[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.heads)
