"""The stage that puts a source on the session's timeline, in the place of a resampler.

Frame ``k`` of what comes out is the instant ``k / rate`` after the session's start. So tracks of
several sources are in step, sample by sample, however their clocks drift. One change of rate does
both, the drift and the nominal ratio (``variable_rate.py``), steered by the capture time
(``steering.py``).

The stage works on one unbroken run of frames, a *span*. Where the source jumps (a loss, a pause,
an outage, a step of its clock) the next span begins where its capture time says. What lies between
is a gap of exact length.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_audio._native.samples import levels
from stream_audio._record import Record
from stream_audio.audio.chunk import AudioChunk, Origin
from stream_audio.audio.chunk_maker import engine_chunk
from stream_audio.audio.cutting import cut
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.samples import sealed
from stream_audio.convert.soxr_streams import free_in_child
from stream_audio.convert.stage import finite_samples
from stream_audio.convert.steering import Heading, Steering
from stream_audio.convert.variable_rate import VariableRate
from stream_audio.reports.ledger import AlignmentAccount
from stream_audio.waiting.session_time import SessionTime

STEER_EVERY = 0.05
"""Seconds between two corrections, at least: shorter chunks tell no more, and cost the same."""

LEAST_GLIDE = 1e-6
"""A change of the ratio by more than this is spread over a chunk: a jump is heard as noise."""

_GLIDES = 16
"""In so many pieces at most."""

_HAIR = 2
"""Frames by which a span may miss the end of the one before without a jump: rounding."""


@dataclass
class _Mark:
    """Where on the session's timeline a chunk of the source began, and what it told."""

    position: float
    arrival: float
    overflows: int
    epoch: float | None


class Aligner:
    """Takes a source's chunks and makes chunks whose frames count from the session's start.

    They are cut at whole multiples of ``chunk_frames``, so those of several sources have the same
    bounds. A chunk without frames tells of gaps that no audio has followed yet.
    """

    def __init__(self, settings: Align) -> None:
        self._settings = settings
        self._in, self._out = settings.rate_in, settings.rate_out
        self.account = AlignmentAccount("", self._in, self._out)
        self.rate = self._out
        """Frames a second of what comes out."""
        self._steering = Steering()
        self._since_steered = 0.0  # seconds
        self._correction = 0.0  # of the ratio, by the end of the last chunk
        self._stream: VariableRate | None = None  # None: between two spans
        self._source = ""
        self._begin = max(0, round(settings.session.now() * self._out))
        self._came_at = 0.0  # seconds; only of a source that no clock paces
        self._fed_to: int | None = None  # the source's next frame; None: nothing has come
        self._first = 0  # frame of the span, on the session's timeline
        self.end = self._begin
        """The frame up to which chunks and gaps have come out."""
        self._pending: NDArray[np.float32] = np.empty((0, settings.channels), np.float32)
        self._marks: deque[_Mark] = deque()
        self._gaps: tuple[Gap, ...] = ()  # for the next chunk
        self._last_time = -np.inf
        self._epoch: float | None = None
        free_in_child(self)

    # ---- a stage ----

    def convert(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Take the source's next chunk and return those that are finished."""
        made = self._end_span() if self._jumps_to(chunk) else []
        if self._stream is None:
            fitting = self._begin_span(chunk)
            if fitting is None:
                return made
            chunk = fitting
        stream = self._stream
        assert stream is not None
        samples = finite_samples(chunk)
        pieces = [self._pending]
        at = 0
        for count, factor in self._take(chunk):
            pieces.append(stream.feed(samples[at : at + count], factor))
            at += count
        pending = np.concatenate(pieces)
        usual = self._settings.chunk_frames
        joined = chunk.frames * self._out / self._in > 1.5 * usual
        at = 0
        while (left := len(pending) - at) > 0:
            count = usual - self.end % usual
            if joined:
                count += max(0, (left - count) // usual * usual)
            if count > left:
                break
            made.append(self._chunk(pending[at : at + count]))
            at += count
        self._pending = pending[at:]
        return made

    def skip(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Pass over a chunk that a pause left out; returns what is finished, and the gap so far.

        So whoever waits for the track knows at once that nothing will come.
        """
        made = self._end_span()
        self._source = self._source or chunk.source
        begin = self._place(chunk)
        self._open_gap(chunk, max(begin, self.end))
        self._fed_to = chunk.end
        end = round((self._seconds(chunk) + chunk.duration) * self._out)
        if end > self.end:
            self._gaps += (self._gap(self.end, end, GapCause.PAUSED),)
            self.end = end
        return [*made, *self._told()]

    def flush(self) -> list[AudioChunk]:
        """Return the span's tail."""
        return self._end_span()

    def close(self, end: int, cause: GapCause) -> list[AudioChunk]:
        """Let the track last up to the frame ``end``, by a gap; the span has ended."""
        if end > self.end:
            self._gaps += (self._gap(self.end, end, cause),)
            self.end = end
        return self._told()

    def replay(self, chunks: list[AudioChunk]) -> list[AudioChunk]:
        """Make them again, up to the frame from which the next chunk comes out."""
        again = Aligner(self._settings)
        again._begin = again.end = self.end
        made = [each for chunk in chunks for each in again.convert(chunk)] + again.flush()
        return [
            cut(each, each.frame, min(each.end, self.end))
            for each in made
            if each.frame < self.end
        ]

    def give_up(self, chunk: AudioChunk | None = None) -> list[Gap]:
        """Lose what is left of the span, and the chunk that was being converted."""
        lost = self._lose_span()
        if chunk is not None and self._fed_to != chunk.end:  # it was not taken yet
            fitting = self._place_span(chunk)
            if fitting is not None:
                self._take(fitting)
            lost += self._lose_span()
        return lost

    def scaled(self, gap: Gap) -> Gap:
        """Gaps of a source have no fixed place on the session's timeline until they are over."""
        return gap

    def abandon(self) -> None:
        """Free the stream; nothing may be converted any more."""
        self._stream = None

    # ---- spans ----

    def _jumps_to(self, chunk: AudioChunk) -> bool:
        """Whether a new span begins with the chunk; else steers by its time."""
        if self._stream is None or chunk.frame != self._fed_to:
            return self._stream is not None
        if self._settings.freewheel or self._since_steered < STEER_EVERY:
            return False
        is_at = self._first + self.account.span + self._stream.offset
        error = self._seconds(chunk) - is_at / self._out
        since, self._since_steered = self._since_steered, 0.0
        if self._steering.steer(error, since) is Heading.KEPT:
            return False
        self.account.steps += 1
        return True

    def _begin_span(self, chunk: AudioChunk) -> AudioChunk | None:
        """Begin at the chunk, or at that part of it for which the timeline has a place."""
        stream = VariableRate(self._in, self._out, self._settings.channels)
        fitting = self._place_span(chunk)
        if fitting is not None:
            self._stream = stream
        return fitting

    def _place_span(self, chunk: AudioChunk) -> AudioChunk | None:
        self._source = self.account.source = chunk.source
        first = self._place(chunk)
        early = self.end - first
        late = 0
        if early > 0:  # the timeline is past that already
            late = -(-early * self._in // self._out)
            self.account.overlapping += min(late, chunk.frames)
            first = self.end
        self._open_gap(chunk, first)
        if late >= chunk.frames:
            self._fed_to = chunk.end
            return None
        chunk = chunk[late:]
        self._first = first
        self.account.spans += 1
        self._steering.begin_span()
        self._correction = self._steering.correction
        self._since_steered = 0.0
        return chunk

    def _place(self, chunk: AudioChunk) -> int:
        """Return where a chunk belongs that begins a span."""
        if self._settings.freewheel and self._fed_to is None and chunk.frame == 0:
            self._came_at = self._begin / self._out  # to a session that ran already
        offset = _offset(self._in, self._out)
        first = round(self._seconds(chunk) * self._out - offset)
        if self._fed_to is None and 0 < first < self._begin:
            # A track that others than its listener heard before begins with what comes next.
            self._begin = self.end = first
        if self._fed_to == chunk.frame and abs(first - self.end) <= _HAIR:
            return self.end
        return first

    def _take(self, chunk: AudioChunk) -> list[tuple[int, float]]:
        """Enter a chunk that belongs to the span; returns how many frames to feed at which ratio.

        The ratio is told as a factor of the nominal one.
        """
        position = self._first + self.account.span
        epoch = chunk._origin[1]
        self._marks.append(_Mark(position, chunk.arrival, chunk.overflows, epoch))
        self._fed_to = chunk.end
        self._since_steered += chunk.duration
        before, self._correction = self._correction, self._steering.correction
        change = self._correction - before
        pieces = min(_GLIDES, math.ceil(abs(change) / LEAST_GLIDE)) or 1
        feeds = []
        for piece in range(pieces):
            count = chunk.frames * (piece + 1) // pieces - chunk.frames * piece // pieces
            feeds.append((count, 1 + before + change * (piece + 1) / pieces))
            self.account.feed(*feeds[-1])
        return feeds

    def _end_span(self) -> list[AudioChunk]:
        if self._stream is None:
            return []
        due = self._first + round(self.account.span) - self.end
        if (ends_at := self._settings.session.ends_at) is not None:
            beyond = self.end + due - round(ends_at * self._out)
            if beyond >= -_HAIR:
                self.account.beyond += beyond
                due -= beyond
        samples = self._stream.finish(max(0, due - len(self._pending)))
        pending = np.concatenate([self._pending, samples])[:due]
        made = []
        at, usual = 0, self._settings.chunk_frames
        while at < len(pending):
            count = min(usual - self.end % usual, len(pending) - at)
            made.append(self._chunk(pending[at : at + count]))
            at += count
        self._close_span()
        return made

    def _lose_span(self) -> list[Gap]:
        due = self._first + round(self.account.span)
        self._close_span()
        if due <= self.end:
            return []
        lost = self._gap(self.end, due, GapCause.CONVERSION_FAILED)
        self._gaps += (lost,)
        self.account.lost += lost.frames
        self.end = due
        return [lost]

    def _close_span(self) -> None:
        self._stream = None
        self._pending = self._pending[:0]
        self._marks.clear()
        self.account.end_span()

    # ---- what comes out ----

    def _chunk(self, samples: NDArray[np.float32]) -> AudioChunk:
        frame, end = self.end, self.end + len(samples)
        while len(self._marks) > 1 and self._marks[1].position <= frame:
            self._marks[1].overflows += self._marks.popleft().overflows
        epoch = self._epoch = self._marks[0].epoch
        arrival, overflows = self._marks[0].arrival, 0
        for mark in self._marks:
            if mark.position >= end and mark is not self._marks[0]:
                break
            arrival = mark.arrival
            overflows, mark.overflows = overflows + mark.overflows, 0
        data = np.ascontiguousarray(samples)
        peaks, squares = levels(data)
        gaps, self._gaps = self._gaps, ()
        self._last_time = max(self._last_time, self._time(frame))
        self.end = end
        self.account.made += len(data)
        return engine_chunk(
            self._source,
            sealed(data),
            self._out,
            frame,
            self._last_time,
            arrival,
            gaps,
            overflows,
            peaks,
            squares,
            (0.0, epoch),
            source_rate=None if self._in == self._out else self._in,
        )

    def _told(self) -> list[AudioChunk]:
        """Return the gaps that no audio has followed yet, in a chunk without frames."""
        if not self._gaps:
            return []
        gaps, self._gaps = self._gaps, ()
        data = np.empty((0, self._settings.channels), np.float32)
        time = self._time(self.end)
        origin: Origin = (0.0, self._epoch)
        return [
            AudioChunk(
                self._source, sealed(data), self._out, self.end, time, time, gaps, _origin=origin
            )
        ]

    # ---- gaps ----

    def _open_gap(self, chunk: AudioChunk, first: int) -> None:
        """Note why there is nothing from the end up to ``first``, where the chunk begins."""
        self._epoch = chunk._origin[1]
        if self._fed_to is None:
            missing = [(chunk.frame, GapCause.LATE_START)]
        else:
            missing = list(_missing(chunk, self._fed_to))
        start, end = self.end, first
        came_from = self._fed_to or 0
        frames = chunk.frame - came_from
        for missing_to, cause in missing:
            part = (missing_to - came_from) / frames if frames > 0 else 1.0
            to = end if missing_to == chunk.frame else start + round((end - start) * part)
            if to > self.end or self._fed_to is not None:
                self._gaps += (self._gap(self.end, max(self.end, to), cause),)
                self.end = max(self.end, to)
        if end > self.end:
            self._gaps += (self._gap(self.end, end, GapCause.CLOCK_STEP),)
            self.end = end

    def _gap(self, start: int, end: int, cause: GapCause) -> Gap:
        return Gap(self._source, start, end - start, cause, self._time(start))

    # ---- time ----

    def _seconds(self, chunk: AudioChunk) -> float:
        """Return when a chunk began, on the session's timeline."""
        settings = self._settings
        if settings.freewheel:
            return self._came_at + chunk.timestamp - settings.delay
        return settings.session.seconds(chunk.time, chunk._origin[1]) - settings.delay

    def _time(self, frame: int) -> float:
        """Return when a frame was captured."""
        seconds = frame / self._out + self._settings.delay
        return self._settings.session.time(seconds, self._epoch)


def _offset(rate_in: int, rate_out: int) -> float:
    return VariableRate(rate_in, rate_out, 1).offset


def _missing(chunk: AudioChunk, came_to: int) -> Iterator[tuple[int, GapCause]]:
    """Yield why frames are missing before a chunk, each cause with the frame after its last.

    What no gap tells of was left out by a pause.
    """
    for gap in chunk.gaps:
        if gap.end <= came_to:
            continue
        if gap.frame > came_to:
            yield gap.frame, GapCause.PAUSED
        came_to = gap.end
        yield came_to, gap.cause
    if chunk.frame > came_to:
        yield chunk.frame, GapCause.PAUSED


class Align(Record):
    """The settings of an :class:`Aligner`.

    Attributes
    ----------
    rate_in, rate_out : int
        Hz.
    channels : int
        Of what comes in and what goes out.
    chunk_frames : int
        Frames of a chunk that comes out.
    session : SessionTime
        The timeline.
    delay : float
        Seconds by which the source's audio is older than its times say.
    freewheel : bool
        No clock paces the source: its own timeline begins with the session's, and never drifts.
    """

    rate_in: int
    rate_out: int
    channels: int
    chunk_frames: int
    session: SessionTime
    delay: float = 0.0
    freewheel: bool = False

    def make(self) -> Aligner:
        """Return a new stage."""
        return Aligner(self)
