"""A track: one source's timeline in a session, from its start to its end.

A chunk goes through it in one direction: it is collected from the take that is under way, cleaned
of samples that are no numbers, cut where the source was paused, routed to every sink, remembered,
and noted for a look at its signal. A track goes on with another take when a device comes back; its
timeline, account, formats and history know nothing of that. The outage in between is a gap.

A track without a take is fed by others, through :meth:`Track.feed`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Protocol

from stream_audio._locks import Latch
from stream_audio._native.capture import (
    ARRIVAL_NS,
    ASLEEP_NS,
    FRAME,
    FRAMES,
    HOST_LOST,
    IDLE,
    MARKS,
    NONFINITE,
    OFFSET,
    OVERFLOWS,
    RING_LOST,
    SUSPENDED,
    TIME_NS,
)
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.chunk_maker import engine_chunk
from stream_audio.audio.cutting import cut
from stream_audio.config import StreamConfig
from stream_audio.contracts.source import OpenSource
from stream_audio.convert.stage import Settings
from stream_audio.engine.delivery import Delivery
from stream_audio.engine.device_watch import DeviceWatch
from stream_audio.engine.history import History
from stream_audio.engine.pauses import Pauses
from stream_audio.engine.routing import Route, Routing
from stream_audio.engine.signal_watch import SignalWatch
from stream_audio.engine.take import Take, TakeFigures
from stream_audio.engine.take_conversion import TakeConversion, placed
from stream_audio.engine.track_end import TrackEnd
from stream_audio.engine.track_losses import LOST, TrackLosses
from stream_audio.engine.track_shape import TrackShape
from stream_audio.engine.track_times import TrackTimes
from stream_audio.reports.events import GapDetected, SourceEnded, StreamEvent
from stream_audio.reports.ledger import Ledger
from stream_audio.waiting.clock import WallClock, asleep_ns
from stream_audio.waiting.session_time import SessionTime

FURTHER_BACK = 5.0
"""Seconds: the oldest chunk of a history may begin so much earlier than the history."""

TIME_IS_UP_EARLY = 1e-6
"""Seconds: a time in seconds falls between two nanoseconds of the clock."""


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


class Successor(Protocol):
    """Who finds a track its next take; see :attr:`Track.successor`."""

    def take_ended(self, track: Track, take: Take) -> bool:
        """Say whether a track goes on after a take that was not stopped by the session.

        True: the track waits for :meth:`Track.go_on`, and this object closes the take, on a thread
        of its own. Called on the router's thread; must not block. ``take.error`` says what became
        of the device.
        """
        ...

    @property
    def given_up(self) -> int:
        """How many attempts to open a device hung and were given up; any thread."""
        ...

    def track_ended(self) -> None:
        """Take note that no take is wanted any more. Called likewise, and more than once."""
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
    session : SessionTime
        The session's timeline.
    duration : float, optional
        It ends after so many seconds of its own timeline; of the session's, if that has an end.
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
    over : Latch
        Set when it has ended.
    was_lost : bool
        Whether it waited for a device when it was stopped.
    """

    def __init__(
        self,
        name: str,
        shape: TrackShape,
        config: StreamConfig,
        ledger: Ledger,
        wall: WallClock,
        send: Callable[[StreamEvent], None],
        session: SessionTime,
        *,
        duration: float | None = None,
        history: float | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.state = TrackState.FED
        self.take: Take | None = None
        self.successor: Successor | None = None
        self._left: Take | None = None  # to the successor, which closes it
        self.account = ledger.open_source(name)
        self.times = TrackTimes(wall, paced=not shape.freewheel)
        if shape.times is not None and history is not None:
            shape.times.kept = max(shape.times.kept, history + FURTHER_BACK)
        self.pauses = Pauses(self.account, shape.times)
        self.routing = Routing(name, ledger)
        self.history = None if history is None else History(history)
        self.device = DeviceWatch(name, send)
        self.signal = SignalWatch(
            name,
            self.account,
            shape.channels,
            shape.own_channels,
            silence_is_normal=shape.silence_is_normal,
            is_monitor=shape.is_monitor,
            zero=config.nonfinite == "zero",
        )
        self.newest: AudioChunk | None = None
        self.over = Latch()
        self.was_lost = False
        self._config = config
        self._ledger = ledger
        self._send = send
        rate = shape.sample_rate
        self._end = TrackEnd(shape, session, duration, config.chunk_duration)
        self._losses = TrackLosses(name, rate, self._end, self.account, self.times)
        self._gathers = (0.0, 0.0)  # for how long, and of what length they are then handed on
        self._join = 0  # frames of the longest chunk that those that gathered become
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

        Chunks of another rate or number of channels are made into what the track consists of.

        Raises
        ------
        ValueError
            One is paced by a clock and the other is not.
        """
        if self.state is not TrackState.LOST:
            return False
        if source.freewheel != self.shape.freewheel:
            raise ValueError(f"{source.description} is not paced as {self.name} is")
        assert self.take is not None
        self._use(source, self.account.position, self.take.figures())
        return True

    def _use(self, source: OpenSource, position: int, before: TakeFigures | None = None) -> None:
        # It begins where the last one ended, or later: its first chunk tells.
        limit = self._end.limit - position if self._end.is_known else None
        chunk_duration = self._config.chunk_duration
        conversion = None
        if before is not None and not self.shape.is_delivered_by(source):
            conversion = TakeConversion(
                self.name, source, self.shape, chunk_duration, self._ledger
            )
            limit = None if limit is None else conversion.frames_in(limit)
        self.take = Take(source, chunk_duration, limit, before)
        self.take.conversion = conversion
        self.state = TrackState.RUNNING
        self.device.begin_take()
        self.gather(*self._gathers)

    def start(self) -> None:
        """Let its device deliver."""
        if self.take is not None:
            self.take.source.start()

    def stop(self) -> None:
        """Stop its device; what was delivered stays to be read. Does nothing twice.

        A track that waits for a take ends; one that others feed goes on as long as they do.
        """
        if self.state is TrackState.LOST:
            self.was_lost = True
            self.end()
        elif self.state is TrackState.RUNNING:
            assert self.take is not None
            self.state = TrackState.STOPPING
            self.take.stop()

    def withdraw(self) -> Take | None:
        """Let it end as :meth:`stop` does, but for its device, which may take its time to stop.

        Returns the take that another thread is to stop, if there is one.
        """
        if self.state is TrackState.RUNNING:
            self.state = TrackState.STOPPING
            return self.take
        if self.state is not TrackState.STOPPING:
            self.end()
        return None

    def end_take(self) -> None:
        """Finish with a take of which all was read: the track ends, or waits for another one."""
        take, now = self.take, self._now()
        assert take is not None
        self.look(now)
        self.device.look_at_rate(take, now)
        if reason := take.source.end_reason():
            self.device.tell_lost(take, reason, now)
        take.stop()
        if take.conversion is not None:
            self._feed_converted(take, take.conversion.flush(), 0)
        self._settle(take)
        take.let_go()
        may_go_on = self.state is TrackState.RUNNING and self.account.position < self._end.limit
        if may_go_on and self.successor is not None and self.successor.take_ended(self, take):
            self.state, self._left = TrackState.LOST, take
            self.routing.pass_on()
        else:
            self.end()

    def _settle(self, take: Take) -> None:
        """Enter what no chunk of a take follows, and the audio thread's own count."""
        progress = take.reader.progress
        begins = self.account.position if take.begins is None else take.begins
        lost: tuple[int, ...] = (
            progress.trailing_ring_lost,
            progress.trailing_host_lost,
            progress.trailing_suspended,
        )
        position, stored = progress.position, take.stored
        if take.conversion is not None:
            position = take.conversion.frames_out(position)
            lost = take.conversion.losses_out(progress.position, lost)
            # What the device's own count says of its frames holds for what was made of them.
            stored += take.conversion.made - take.conversion.fed
        end = min(begins + position, self._end.limit)
        self._losses.lose_to(end, progress.last_entry_ns * 1e-9, lost, self.newest)
        self._stored += stored

    def end(self) -> None:
        """Say that nothing follows. Does nothing twice."""
        if self.state is TrackState.ENDED:
            return
        if self.take is not None:
            self.account.stored = self._stored
        self.state = TrackState.ENDED
        if self.successor is not None:
            self.successor.track_ended()
        self.routing.finish()
        for gap in self._losses.untold:
            self._send(GapDetected(self._now(), gap))
        self._send(SourceEnded(self._now(), self.name))
        self.over.set()

    def close(self) -> None:
        """Free the device. Does nothing twice."""
        if self.take is not None and self.take is not self._left:
            self.take.close()

    def connect(
        self, stages: Iterable[Settings], delivery: Delivery, replay: float
    ) -> tuple[Route, list[AudioChunk]]:
        """Route what comes from now on to a sink, through these stages.

        Returns what ``replay`` seconds of history come to, to be offered to the route first.
        """
        past = [] if self.history is None or replay <= 0 else self.history.replay(replay)
        return self.routing.add(stages, delivery, past)

    # ---- the way of a chunk ----

    def move(self) -> bool:
        """Take all that the last read finished to the sinks; True if the take is over."""
        take = self.take
        assert take is not None
        if take.conversion is not None:
            return self._move_converted(take, take.conversion)
        reader = take.reader
        # Pauses are measured from the beginning of a chunk: theirs are of the usual length.
        block, first, rows = reader.take(self._join if self.pauses.idle else 0)
        times, account, rate = self.times, self.account, self.shape.sample_rate
        losses = self._losses
        if rows and take.begins is None:
            row = rows[0]
            self._place(take, row[TIME_NS] * 1e-9 - row[FRAME] / rate, row[ASLEEP_NS])
        if (known := self.shape.times) and known.wanted:
            self._end.take_stamps(take, account.position, times)
        for index, row in enumerate(rows, first):
            assert take.begins is not None
            time = row[TIME_NS] * 1e-9
            frame, frames, offset = row[FRAME] + take.begins, row[FRAMES], row[OFFSET]
            end = frame + frames
            origin = times.origin
            if row[ASLEEP_NS] != times.asleep_ns or origin is None:
                origin = times.moved(time - frame / rate, time, row[ASLEEP_NS])
            if self._end.is_of_session and self._end.foresee(frame, time, origin[1]):
                take.limit_to(self._end.limit - take.begins)
            if end > self._end.limit and frame >= self._end.limit:
                lost = [row[column] for column in LOST]
                losses.lose_to(self._end.limit, time, lost, self.newest)
                self._leave_out(take, frames)
                continue
            gaps = losses.untold
            if gaps:
                losses.untold = ()
            if row[RING_LOST] or row[HOST_LOST] or row[SUSPENDED]:
                lost = [row[column] for column in LOST]
                gaps += losses.before(frame, time, lost, self.newest)
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
            if end > self._end.limit:
                self._leave_out(take, end - self._end.limit)
                end = self._end.limit
                chunk, frames = cut(chunk, frame, end), end - frame
            if row[MARKS] & IDLE:
                account.idle += frames
            else:
                account.captured += frames
            account.position = end
            self.newest = chunk
            self._hand_on(chunk, row[MARKS])
        return bool(reader.progress.finished)

    def _place(self, take: Take, began: float, asleep: int) -> None:
        """Note where a take begins whose frame 0 was captured then."""
        lost = 0
        if self.newest is not None:
            lost = self._losses.lose_outage(began, asleep, self.newest)
        take.begins = self.account.position
        self._end.begin_take(take, take.begins)
        if self._left is not None:
            outage = lost / self.shape.sample_rate
            self.device.went_on(self._left, take, outage, self._now())

    def _move_converted(self, take: Take, conversion: TakeConversion) -> bool:
        """Do as :meth:`move` with a take of another rate or number of channels."""
        rows = list(conversion.rows(take.reader))
        if rows and take.begins is None:
            row = rows[0]
            self._place(take, row.time - row.frame / take.source.sample_rate, row.asleep_ns)
        if (known := self.shape.times) and known.wanted:
            self._end.take_stamps(take, self.account.position, self.times)
        for row in rows:
            origin = self.times.origin
            if row.asleep_ns != self.times.asleep_ns or origin is None:
                began = row.time - row.frame / take.source.sample_rate
                origin = self.times.moved(began, row.time, row.asleep_ns)
            self._feed_converted(take, conversion.convert(row, origin, self.newest), row.marks)
        return bool(take.reader.progress.finished)

    def _feed_converted(self, take: Take, chunks: Iterable[AudioChunk], marks: int) -> None:
        assert take.begins is not None or not chunks
        for chunk in placed(chunks, take.begins or 0):
            self._end.foresee(chunk.frame, chunk.time, chunk._origin[1])
            if chunk.end > self._end.limit:
                self._leave_out(take, chunk.end - max(chunk.frame, self._end.limit))
                if chunk.frame >= self._end.limit:
                    continue
                chunk = cut(chunk, chunk.frame, self._end.limit)
            self._enter(chunk, idle=bool(marks & IDLE))
            self._hand_on(self._losses.told_with(chunk), marks)

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
        self._enter(chunk)
        self._hand_on(chunk, marks)

    def _enter(self, chunk: AudioChunk, *, idle: bool = False) -> None:
        for gap in chunk.gaps:
            self.account.lose(gap)
        if idle:
            self.account.idle += chunk.frames
        else:
            self.account.captured += chunk.frames
        self.account.position = chunk.end
        self.newest = chunk

    def _hand_on(self, chunk: AudioChunk, marks: int) -> None:
        """Clean a chunk that was entered, cut it where it was paused, route and remember it."""
        if marks & NONFINITE:
            chunk = self.signal.clean(chunk)
        for gap in chunk.gaps:
            self._send(GapDetected(self._now(), gap))
        if self.pauses.idle:
            self.routing.take(chunk)
            if self.history is not None:
                self.history.add(chunk)
        else:
            idle = bool(marks & IDLE)
            for part in self.pauses.apply(chunk, idle=idle, skip=self.routing.skip):
                self.routing.take(part)
                if self.history is not None:
                    self.history.add(part)
        if self.signal.would_be_news(marks):
            self.signal.unseen.append(chunk)

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
        elif self.state is TrackState.LOST and now >= self.time_is_up_at - TIME_IS_UP_EARLY:
            if self.newest is not None:
                asleep = asleep_ns(self._config.clock)
                self._losses.lose_outage(self.time_is_up_at, asleep, self.newest)
            self.end()

    @property
    def time_is_up_at(self) -> float:
        """When its timeline is over if no device comes back; seconds on the session's clock."""
        if self.state is not TrackState.LOST:
            return math.inf
        if not self._end.is_known:
            return self._end.on_clock
        return self._losses.time_is_up_at(asleep_ns(self._config.clock), self.newest)

    @property
    def is_read(self) -> bool:
        """Whether a turn is to read its take."""
        return self.state in (TrackState.RUNNING, TrackState.STOPPING)

    @property
    def is_live(self) -> bool:
        """Whether the session goes on for its sake."""
        return self.is_read or self.state is TrackState.LOST

    @property
    def take_is_over(self) -> bool:
        """Whether all that the take will ever bring was read."""
        return self.is_read and self.take is not None and self.take.reader.progress.finished

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
        return TakeFigures.of_none() if self.take is None else self.take.figures()

    def _now(self) -> float:
        return self._config.clock.now()
