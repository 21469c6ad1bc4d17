"""The events of a trigger: from spans of frames that trigger to what their sinks get."""

from __future__ import annotations

import math
from collections.abc import Callable

from stream_audio._record import Record
from stream_audio.adapter.answers import refuse_coroutine
from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import with_gaps_before
from stream_audio.contracts.sink import SinkInfo
from stream_audio.errors import SinkError, in_words, shown
from stream_audio.reports.events import GapDetected, TriggerEnded, TriggerStarted
from stream_audio.sinks.pre_roll import PreRoll
from stream_audio.sinks.trigger_spans import HandedOn, Span, TriggerSpans
from stream_audio.waiting.event_loop import loop_of_caller


class Rolls(Record):
    """How many frames belong to an event: before and after what triggers, and at most.

    ``late``: by so many frames a trigger may come late.
    """

    pre: int
    post: int
    late: int
    longest: int | None


class _Event:
    """The event under way."""

    def __init__(self, begin: int, span: Span, rolls: Rolls) -> None:
        self.begin = begin
        self.last = span
        """The span in it that ends last."""
        self._post = rolls.post
        self.limit = math.inf if rolls.longest is None else begin + rolls.longest
        self.untold: tuple[Gap, ...] = ()
        """For its next chunk."""

    @property
    def until(self) -> float:
        """Where it ends, as far as is known; infinity while it is held by hand."""
        return self.last.last + self._post


class EventWriter:
    """Writes events to one sink, or each to a sink of its own; on one thread.

    Attributes
    ----------
    kept : PreRoll
        What came, as far back as an event may need it.
    spans : TriggerSpans
        What triggers and is not dealt with yet.
    inner : SinkAdapter or None
        The sink under way.
    number : int
        How many events have begun.
    """

    def __init__(
        self, sink: SinkAdapter | Callable[[TriggerStarted], object], info: SinkInfo, rolls: Rolls
    ) -> None:
        self.kept = PreRoll(rolls.pre + rolls.late)
        self.spans = TriggerSpans()
        self.number = 0
        self.inner: SinkAdapter | None = None
        self._info = info
        self._source = info.sources[0].id
        self._rolls = rolls
        self._loop = loop_of_caller()  # sinks that are made later know of none
        self._event: _Event | None = None
        self._had = HandedOn()  # by the events before
        self._place = -(2**62)  # up to this frame all is handed on that belongs to an event
        self._make: Callable[[TriggerStarted], object] | None = None
        if isinstance(sink, SinkAdapter):
            sink.bind(self._loop)
            sink.start(info)
            self.inner = sink
        else:
            self._make = sink

    @property
    def is_open(self) -> bool:
        """Whether an event is under way."""
        return self._event is not None

    def begun(self) -> None:
        """Tell the sink under way that the session has begun."""
        if self.inner is not None:
            self.inner.begun()

    def caught_up(self) -> None:
        """Tell the sink under way that all that was there is written."""
        if self.inner is not None:
            self.inner.caught_up()

    def stop(self) -> object:
        """Stop the sink under way; returns what it returns."""
        inner, self.inner = self.inner, None
        return None if inner is None else inner.stop()

    def discard(self) -> None:
        """Have the sink under way undo its start."""
        inner, self.inner = self.inner, None
        if inner is not None:
            inner.discard()

    def hand_on(self, decided: int) -> None:
        """Write what belongs to events; after one that raises, the next call goes on from there.

        Parameters
        ----------
        decided : int
            Before this frame it is known what triggers, unless that is told late.
        """
        self._hand_on(decided)
        self.kept.trim(decided)

    def finish(self) -> None:
        """Write what is left: nothing follows."""
        self._hand_on(math.inf)

    def _hand_on(self, decided: float) -> None:
        while (event := self._event or self._open()) is not None:
            while (span := self.spans.next) and span.first <= min(event.until, event.limit):
                self._tell_missing(span, event.begin)
                event.last = max(event.last, span, key=lambda each: each.last)
                self.spans.pop()
            end = min(event.until, event.limit)
            for piece in self.kept.pieces(self._place, end):
                self._write(event, piece)
                self._place = piece.end
            if decided <= end and decided != math.inf:
                break  # what comes next may extend it
            self._close(event, end)

    def _open(self) -> _Event | None:
        """Begin the next event, if there is one."""
        kept, info = self.kept, self._info
        begin = end = 0.0
        while (span := self.spans.next) is not None:
            begin = max(span.first - self._rolls.pre, kept.first, self._place)
            end = span.last + self._rolls.post
            if begin < end:
                break
            self._tell_missing(span, self._place)  # all of it lies before what was handed on
            self.spans.pop()
        if span is None or begin >= kept.end:
            return None
        event = _Event(int(begin), span, self._rolls)
        started = TriggerStarted(
            time=info.now(),
            sink=info.name,
            number=self.number + 1,
            source=self._source,
            frame=event.begin,
            started=kept.wall_time_of(event.begin, info.epoch),
        )
        if self._make is not None:
            inner = SinkAdapter(self._make(started))
            inner.bind(self._loop)
            inner.start(info)
            try:
                inner.begun()  # the session has, long since
            except BaseException:
                inner.discard()
                raise
            self.inner = inner
        self.spans.pop()
        self.number += 1
        self._place = event.begin
        self._event = event
        info.send(started)
        self._tell_missing(span, event.begin)
        gone = int(min(kept.kept_from, end)) - event.begin
        if gone > 0:
            event.untold = (self._tell(event.begin, gone),)
        return event

    def _tell_missing(self, span: Span, before: int) -> None:
        """Tell what of a span cannot be handed on any more, as later frames have been."""
        if span.told:
            return
        span.told = True
        begin = max(span.first - self._rolls.pre, self.kept.first)
        for first, last in self._had.missing(begin, min(span.last + self._rolls.post, before)):
            self._tell(first, last - first)

    def _tell(self, frame: int, frames: int) -> Gap:
        time = self.kept.time_of(frame)
        gap = Gap(self._source, frame, frames, GapCause.DECIDED_LATE, time)
        self._info.send(GapDetected(self._info.now(), gap, self._info.name))
        return gap

    def _write(self, event: _Event, piece: AudioChunk) -> None:
        told = with_gaps_before(piece, event.untold) if event.untold else piece
        if self.inner is not None:
            refuse_coroutine(self.inner.write(told))
        event.untold = ()

    def _close(self, event: _Event, end: float) -> None:
        self._event = None
        # A release that is told late takes nothing back.
        self._place = int(max(min(end, self.kept.end), self._place))
        self._had.add(event.begin, self._place)
        if self._place < min(event.until, self.kept.end):
            self.spans.add(event.last)  # it was the longest that it may be, and goes on
        if self._make is not None:
            name = shown(self.inner)
            try:
                self.stop()
            except Exception as error:
                # Another try would find it stopped, and the failure would go unseen.
                raise SinkError(
                    f"{name} could not be completed", retryable=False, host_text=in_words(error)
                ) from error
        info = self._info
        info.send(TriggerEnded(info.now(), info.name, self.number, self._source, self._place))
