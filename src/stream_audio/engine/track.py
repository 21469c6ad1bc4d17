"""A track: one source's timeline in a session, from its start to its end.

A chunk goes through it in one direction: it is collected from the take that is under way, cleaned
of samples that are no numbers, cut where the source was paused, routed to every sink, remembered,
and noted for a look at its signal. A track goes on with another take when a device comes back; its
timeline, account, formats and history know nothing of that. The outage in between is a gap.

A track without a take is fed by others, through :meth:`Track.feed`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Protocol

from stream_audio._native.capture import (
    ARRIVAL_NS,
    ASLEEP_NS,
    FRAME,
    FRAMES,
    HOST_LOST,
    MARKS,
    NONFINITE,
    OFFSET,
    OVERFLOWS,
    RING_LOST,
    SUSPENDED,
    TIME_NS,
)
from stream_audio._record import Record
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.chunk_maker import engine_chunk
from stream_audio.audio.cutting import cut
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import OpenSource
from stream_audio.engine.device_watch import DeviceWatch
from stream_audio.engine.history import History
from stream_audio.engine.pauses import Pauses
from stream_audio.engine.routing import Routing
from stream_audio.engine.signal_watch import SignalWatch
from stream_audio.engine.take import Take, TakeFigures
from stream_audio.engine.track_times import TrackTimes
from stream_audio.reports.events import GapDetected, SourceEnded, StreamEvent
from stream_audio.reports.ledger import Ledger
from stream_audio.waiting.clock import WallClock, asleep_ns

CAUSES = (GapCause.RING_FULL, GapCause.HOST_OVERFLOW, GapCause.SUSPENDED)
"""Why a source loses frames, in the order in which they are missing before a chunk."""

LOST = (RING_LOST, HOST_LOST, SUSPENDED)
"""The columns of a row that tell how many, likewise."""

LENDING_RING = 1.0
"""Seconds of audio that a ring must hold for a consumer to run the turns: it may stay away."""


class TrackState(Enum):
    """Where its frames come from."""

    RUNNING = auto()
    """From a take."""
    STOPPING = auto()
    """From a take whose device was stopped: what it delivered is still read."""
    LOST = auto()
    """From nowhere: its device is lost, and another take may follow."""
    FED = auto()
    """From other tracks; it never had a device."""
    ENDED = auto()
    """Nothing follows."""


class TrackShape(Record):
    """What sinks see of a source: the same whichever take is under way.

    Attributes
    ----------
    sample_rate, channels : int
        Of its chunks.
    own_channels : tuple of int
        The channels that the user means by the source, in order; formats may pick others.
    silence_is_normal : bool
        Exact zeros are no sign of trouble.
    freewheel : bool
        It is not paced by the clock, and waits for its sinks.
    device : str
        What was found, if it is a device of the machine.
    """

    sample_rate: int
    channels: int
    own_channels: tuple[int, ...]
    silence_is_normal: bool = False
    freewheel: bool = False
    device: str = ""

    @classmethod
    def of(cls, source: OpenSource) -> TrackShape:
        """Return that of an opened source."""
        return cls(
            source.sample_rate,
            source.channels,
            tuple(source.own_channels),
            source.silence_is_normal,
            source.freewheel,
            source.description if source.device_id else "",
        )

    def is_delivered_by(self, source: OpenSource) -> bool:
        """Whether a source's chunks need no adapting to be those of the track."""
        delivered = source.sample_rate, source.channels, tuple(source.own_channels)
        same = delivered == (self.sample_rate, self.channels, self.own_channels)
        return same and source.freewheel == self.freewheel


class Successor(Protocol):
    """Who finds a track its next take; see :attr:`Track.successor`."""

    def take_ended(self, track: Track, take: Take) -> bool:
        """Say whether a track goes on after a take that was not stopped by the session.

        True: the track waits for :meth:`Track.go_on`, and this object closes the take, on a thread
        of its own. Called on the router's thread; must not block. ``take.error`` says what became
        of the device.
        """
        ...


class Track:
    """One source of a session; only the router's thread touches it, unless a method says more.

    Parameters
    ----------
    name : str
        The source's id.
    shape : TrackShape
        What its sinks see of it.
    config : StreamConfig
        Of the session.
    ledger : Ledger
        Where an account is opened for it.
    wall : WallClock
        The session's.
    send : callable
        Takes events.
    duration : float, optional
        It ends after so many seconds of its own timeline.
    history : float, optional
        Seconds of it to remember.

    Attributes
    ----------
    take : Take or None
        The one under way, or the last one.
    successor : Successor or None
        Asked for another take when one has ended; without it, the track ends, too.
    times : TrackTimes
        Where its timeline begins.
    newest : AudioChunk or None
        The last one that was collected, pauses included.
    """

    def __init__(
        self,
        name: str,
        shape: TrackShape,
        config: StreamConfig,
        ledger: Ledger,
        wall: WallClock,
        send: Callable[[StreamEvent], None],
        *,
        duration: float | None = None,
        history: float | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.state = TrackState.FED
        self.take: Take | None = None
        self.successor: Successor | None = None
        self.account = ledger.open_source(name)
        self.times = TrackTimes(wall, paced=not shape.freewheel)
        self.pauses = Pauses(self.account)
        self.routing = Routing(name, ledger)
        self.history = None if history is None else History(history)
        self.device = DeviceWatch(name, send)
        self.signal = SignalWatch(
            name,
            self.account,
            shape.channels,
            shape.own_channels,
            silence_is_normal=shape.silence_is_normal,
            zero=config.nonfinite == "zero",
        )
        self.newest: AudioChunk | None = None
        self._config = config
        self._send = send
        rate = shape.sample_rate
        self._limit = sys.maxsize if duration is None else max(1, round(duration * rate))
        self._gathers = (0.0, 0.0)  # for how long, and of what length they are then handed on
        self._join = 0  # frames of the longest chunk that those that gathered become
        self._untold: tuple[Gap, ...] = ()  # what is missing after the last take
        self._stored = 0  # of the takes before this one

    # ---- its takes ----

    def begin(self, source: OpenSource) -> None:
        """Have an opened device bring its frames: the first take."""
        self._use(source, 0)

    def go_on(self, source: OpenSource) -> bool:
        """Go on with another opened device; False if the track does not wait for one any more.

        What it has captured since it was started is not lost. Its place on the timeline is as late
        after the last frame as its first frame was captured after that one, by a clock that runs
        on while the machine sleeps. Between two turns of the router.

        Raises
        ------
        ValueError
            Its chunks are not of the track's rate and channels. What adapts them belongs in
            between: a source that converts as it is opened.
        """
        if self.state is not TrackState.LOST:
            return False
        if not self.shape.is_delivered_by(source):
            raise ValueError(f"{source.description} does not deliver what {self.name} consists of")
        assert self.take is not None
        self._use(source, self.account.position, self.take.figures())
        return True

    def _use(self, source: OpenSource, position: int, before: TakeFigures | None = None) -> None:
        # It begins where the last one ended, or later: its first chunk tells.
        limit = None if self._limit == sys.maxsize else self._limit - position
        self.take = Take(source, self._config.chunk_duration, limit, before)
        self.state = TrackState.RUNNING
        self.device.begin_take()
        self.gather(*self._gathers)

    def stop(self) -> None:
        """Stop its device; what was delivered stays to be read. Does nothing twice.

        A track that waits for a take ends; one that others feed goes on as long as they do.
        """
        if self.state is TrackState.LOST:
            self.end()
        elif self.state is TrackState.RUNNING:
            assert self.take is not None
            self.state = TrackState.STOPPING
            self.take.stop()

    def end_take(self) -> None:
        """Finish with a take of which all was read: the track ends, or waits for another one."""
        take, now = self.take, self._now()
        assert take is not None
        self.device.look_at_rate(take, now)
        if reason := take.source.end_reason():
            self.device.tell_lost(take, reason, now)
        take.stop()
        self._untold += self._settle(take)
        take.let_go()
        may_go_on = self.state is TrackState.RUNNING and self.account.position < self._limit
        if may_go_on and self.successor is not None and self.successor.take_ended(self, take):
            self.state = TrackState.LOST
        else:
            self.end()

    def _settle(self, take: Take) -> tuple[Gap, ...]:
        """Enter what no chunk of a take follows, and the audio thread's own count."""
        progress = take.reader.progress
        begins = self.account.position if take.begins is None else take.begins
        lost = (
            progress.trailing_ring_lost,
            progress.trailing_host_lost,
            progress.trailing_suspended,
        )
        end = min(begins + progress.position, self._limit)
        gaps = self._gaps(end, progress.last_entry_ns * 1e-9, lost) if any(lost) else ()
        self.account.position = end
        self._stored += take.stored
        return gaps

    def end(self) -> None:
        """Say that nothing follows. Does nothing twice."""
        if self.state is TrackState.ENDED:
            return
        if self.take is not None:
            self.account.stored = self._stored
        self.state = TrackState.ENDED
        self.routing.finish()
        for gap in self._untold:
            self._send(GapDetected(self._now(), gap))
        self._send(SourceEnded(self._now(), self.name))

    def close(self) -> None:
        """Free the device. Does nothing twice."""
        if self.take is not None:
            self.take.close()

    # ---- the way of a chunk ----

    def move(self) -> bool:
        """Take all that the last read finished to the sinks; True if the take is over."""
        take = self.take
        assert take is not None
        reader = take.reader
        # Pauses are measured from the beginning of a chunk: theirs are of the usual length.
        block, first, rows = reader.take(self._join if self.pauses.idle else 0)
        times, account, rate = self.times, self.account, self.shape.sample_rate
        for index, row in enumerate(rows, first):
            time = row[TIME_NS] * 1e-9
            if take.begins is None:
                take.begins = self._place(row[FRAME], time, row[ASLEEP_NS])
                take.limit_to(self._limit - take.begins)
            frame, frames, offset = row[FRAME] + take.begins, row[FRAMES], row[OFFSET]
            end = frame + frames
            if end > self._limit and frame >= self._limit:
                self._leave_out(take, frames)
                continue
            origin = times.origin
            if row[ASLEEP_NS] != times.asleep_ns or origin is None:
                origin = times.moved(time - frame / rate, time, row[ASLEEP_NS])
            gaps = self._untold
            if gaps:
                self._untold = ()
            if row[RING_LOST] or row[HOST_LOST] or row[SUSPENDED]:
                gaps += self._gaps(frame, time, [row[column] for column in LOST])
            chunk = engine_chunk(
                self.name,
                block.samples[offset : offset + frames],
                rate,
                frame,
                time,
                row[ARRIVAL_NS] * 1e-9,
                gaps,
                row[OVERFLOWS],
                block.peaks[index],
                block.squares[index],
                origin,
            )
            if end > self._limit:
                self._leave_out(take, end - self._limit)
                end = self._limit
                chunk, frames = cut(chunk, frame, end), end - frame
            account.captured += frames
            account.position = end
            self.newest = chunk
            self._hand_on(chunk, row[MARKS])
        return bool(reader.progress.finished)

    def _leave_out(self, take: Take, frames: int) -> None:
        """End a take that has brought so many frames too many.

        The first read of one that is not the first may: nobody knew yet where it begins.
        """
        self._stored -= frames
        take.stop()

    def feed(self, chunk: AudioChunk, marks: int = 0) -> None:
        """Take the next chunk of a track that has no device; its gaps are frames that it lacks.

        ``marks`` are those of a row (csrc/reader.h), for the look at its signal.
        """
        for gap in chunk.gaps:
            self.account.lose(gap)
        self.account.captured += chunk.frames
        self.account.position = chunk.end
        self.newest = chunk
        self._hand_on(chunk, marks)

    def _hand_on(self, chunk: AudioChunk, marks: int) -> None:
        """Clean a chunk that was entered, cut it where it was paused, route and remember it."""
        if marks & NONFINITE:
            chunk = self.signal.clean(chunk)
        if chunk.gaps:
            for gap in chunk.gaps:
                self._send(GapDetected(self._now(), gap))
        if self.pauses.idle:
            self.routing.take(chunk)
            if self.history is not None:
                self.history.add(chunk)
        else:
            for part in self.pauses.apply(chunk):
                self.routing.take(part)
                if self.history is not None:
                    self.history.add(part)
        self.signal.note(chunk, marks)

    def _place(self, first: int, time: float, asleep: int) -> int:
        """Return where a take begins, whose frame ``first`` was captured at ``time``."""
        if self.newest is not None:
            self._lose_outage(time - first / self.shape.sample_rate, asleep)
        return self.account.position

    def _lose_outage(self, until: float, asleep: int) -> None:
        """Enter what was not captured between the last take and a moment of the clock."""
        position, rate = self.account.position, self.shape.sample_rate
        frames = min(self._outage(until, asleep), self._limit - position)
        if frames > 0:
            assert self.newest is not None
            began = self.newest.time + (position - self.newest.frame) / rate
            gap = Gap(self.name, position, frames, GapCause.DEVICE_LOST, began)
            self.account.lose(gap)
            self.account.position = gap.end
            self._untold += (gap,)

    def _outage(self, until: float, asleep: int) -> int:
        """Return for how many frames nothing was captured, by a clock that no sleep stops."""
        newest, rate = self.newest, self.shape.sample_rate
        assert newest is not None
        passed = until - newest.time + (asleep - self.times.asleep_ns) * 1e-9
        return round(passed * rate) - (self.account.position - newest.frame)

    def _gaps(self, end: int, time: float, lost: Sequence[int]) -> tuple[Gap, ...]:
        """Enter and return what is missing before the frame ``end``, captured at ``time``.

        ``lost`` has a number of frames for each of ``CAUSES``.
        """
        start = end - sum(lost)
        newest = self.newest
        last_end = -math.inf if newest is None else newest.time + newest.duration
        gaps = []
        for frames, cause in zip(lost, CAUSES, strict=True):
            if frames:
                # While a machine sleeps, frames pass and its clock stands.
                began = max(time - (end - start) / self.shape.sample_rate, last_end)
                gaps.append(Gap(self.name, start, frames, cause, began))
                self.account.lose(gaps[-1])
                start += frames
        return tuple(gaps)

    # ---- what nobody waits for ----

    def look(self, now: float) -> None:
        """Look at the signal of what was handed on."""
        unseen = self.signal.unseen
        while unseen:  # each stays there until it was seen: a consumer's thread may add others
            for event in self.signal.look(unseen[0], now):
                self._send(event)
            unseen.popleft()

    def look_at_device(self, now: float) -> None:
        """Look whether its device delivers, or time is up without one."""
        if self.state is TrackState.RUNNING:
            assert self.take is not None
            self.device.look(self.take, now)
        elif self.state is TrackState.LOST and self.newest is not None:
            asleep = asleep_ns(self._config.clock)
            if self._outage(now, asleep) >= self._limit - self.account.position:
                self._lose_outage(now, asleep)
                self.end()

    @property
    def is_read(self) -> bool:
        """Whether a turn is to read its take."""
        return self.state in (TrackState.RUNNING, TrackState.STOPPING)

    @property
    def is_live(self) -> bool:
        """Whether the session goes on for its sake."""
        return self.is_read or self.state is TrackState.LOST

    @property
    def can_bear_absence(self) -> bool:
        """Whether whoever reads it may stay away for a while, and nothing waits meanwhile."""
        if not self.is_read or self.take is None:
            return self.state is not TrackState.LOST
        return not self.shape.freewheel and self.take.ring_seconds >= LENDING_RING

    @property
    def gather_seconds(self) -> float:
        """Seconds for which its first chunk waits for later ones, as a rule."""
        return self.take.gather_seconds if self.is_read and self.take is not None else 0.0

    def gather(self, seconds: float, longest: float) -> None:
        """Let chunks gather for so long, at most to a quarter of the ring.

        What gathered is handed on as chunks of up to ``longest`` seconds.
        """
        self._gathers = seconds, longest
        if self.is_read:
            assert self.take is not None
            frames = self.take.gather(seconds)
            self._join = int(min(frames, longest * self.shape.sample_rate))

    # ---- any thread ----

    def figures(self) -> TakeFigures:
        """Return what its takes come to."""
        take = self.take
        return TakeFigures.of_none() if take is None else take.figures()

    def _now(self) -> float:
        return self._config.clock.now()
