"""The stage that puts a source on the session's timeline, in the place of a resampler.

Frame ``k`` of what comes out is the instant ``k / rate`` after the session's start. So tracks of
several sources are in step, sample by sample, however their clocks drift. One change of rate does
both, the drift and the nominal ratio (``variable_rate.py``), steered by the capture time
(``steering.py``) at frames that do not depend on where chunks end (``waiting/frame_times.py``).
Between them it changes in cells of a fixed length. So the samples are the same, bit for bit,
however long the chunks are.

The stage works on one unbroken run of frames, a *span*. Where the source jumps (a loss, a pause,
an outage, a step of its clock) the next span begins where its capture time says. What lies between
is a gap of exact length.
"""

from __future__ import annotations

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
from stream_audio.convert.steered_rate import SteeredRate
from stream_audio.convert.steering import Heading, Steering
from stream_audio.convert.variable_rate import VariableRate
from stream_audio.reports.ledger import AlignmentAccount
from stream_audio.waiting.frame_times import FrameTimes, Stamp
from stream_audio.waiting.session_time import SessionTime

_PAUSE_TOLD_LATE = 0.002
"""Seconds by which the end of a pause may come earlier than its last chunk promises: jitter."""

_OWN_TIMELINE = Stamp(0, 0, 0.0, 0.0)
"""Stands for the stamps of a source that counts its own frames."""

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
        self._steered_at = 0  # frame of the source
        self._held: deque[tuple[AudioChunk, bool]] = deque()  # whether it is passed over
        self._stream: SteeredRate | None = None  # None: between two spans
        self._source = ""
        self._begin = max(0, round(settings.session.now() * self._out))
        self._came_at = 0.0  # seconds; only of a source that no clock paces
        self._fed_to: int | None = None  # the source's next frame; None: nothing has come
        self._first = 0  # frame of the span, on the session's timeline
        self._first_fed = 0  # the same on the source's
        self.end = self._begin
        """The frame up to which chunks and gaps have come out."""
        self._paused_to = 0  # up to which frame a pause is known, beyond the end
        self._marks: deque[_Mark] = deque()
        self._gaps: tuple[Gap, ...] = ()  # for the next chunk
        self._last_time = -np.inf
        self._epoch: float | None = None
        if settings.times is not None:
            settings.times.wanted = True
        free_in_child(self)

    # ---- a stage ----

    def convert(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Take the source's next chunk and return those that are finished.

        The first ones of a take wait for the first packets to tell when they were captured.
        """
        self._held.append((chunk, False))
        return self._release()

    def skip(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Pass over a chunk that a pause left out; returns what is finished, and the gap so far.

        So whoever waits for the track knows at once that nothing will come.
        """
        self._held.append((chunk, True))
        return self._release()

    def flush(self) -> list[AudioChunk]:
        """Return the span's tail."""
        made = self._release(at_once=True)
        made += self._end_span()
        if self._paused_to > self.end:
            self._gaps += (self._gap(self.end, self._paused_to, GapCause.PAUSED),)
            self.end = self._paused_to
        return made

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
        """Lose what is left of the span, and the chunks that were being converted."""
        lost = self._lose_span()
        for held, is_paused in self._held:
            start = max(held.frame, self._fed_to or 0)
            if not is_paused and start < held.end and self._begins(held, start, held.end):
                self.account.feed(held.end - self._first_fed, 1.0)
                self._fed_to = held.end
                lost += self._lose_span()
        self._held.clear()
        return lost

    def scaled(self, gap: Gap) -> Gap:
        """Gaps of a source have no fixed place on the session's timeline until they are over."""
        return gap

    def abandon(self) -> None:
        """Free the stream; nothing may be converted any more."""
        self._stream = None

    # ---- spans ----

    def _release(self, *, at_once: bool = False) -> list[AudioChunk]:
        """Go on with those chunks of which it is known when they were captured."""
        made: list[AudioChunk] = []
        while self._held:
            chunk, is_paused = self._held[0]
            if not (at_once or self._stamp(chunk.frame)):
                break
            made += self._skipped(chunk) if is_paused else self._converted(chunk)
            self._held.popleft()
        return made

    def _converted(self, chunk: AudioChunk) -> list[AudioChunk]:
        made: list[AudioChunk] = []
        if self._stream is not None and chunk.frame != self._fed_to:
            made = self._end_span()
        if self._stream is not None:
            self._note(chunk, chunk.overflows)
        samples = finite_samples(chunk)
        times, start = self._settings.times, chunk.frame
        for stamp in times.within(start, chunk.end) if times is not None else ():
            self._feed(chunk, samples, start, stamp.since)
            start = stamp.since
            made += self._steer(stamp)
        self._feed(chunk, samples, start, chunk.end)
        return made + self._finished(chunk.frames)

    def _skipped(self, chunk: AudioChunk) -> list[AudioChunk]:
        made = self._end_span()
        self._source = self._source or chunk.source
        begin = self._place(chunk, chunk.frame)
        self._open_gap(chunk, chunk.frame, max(begin, self.end))
        self._fed_to = chunk.end
        # By its last frame, which is the same however the pause is cut into chunks.
        seconds = self._seconds(chunk, chunk.end - 1) + 1 / self._in
        ends_at = self._settings.session.ends_at
        if ends_at is not None and seconds > ends_at - _PAUSE_TOLD_LATE:
            seconds = ends_at
        self._paused_to = round(seconds * self._out)
        end = round((seconds - _PAUSE_TOLD_LATE) * self._out)
        if end > self.end:
            self._gaps += (self._gap(self.end, end, GapCause.PAUSED),)
            self.end = end
        return [*made, *self._told()]

    def _steer(self, stamp: Stamp) -> list[AudioChunk]:
        """Take note of when the next frame was captured; ends the span if its clock stepped."""
        stream, settings = self._stream, self._settings
        seconds = (stamp.since - self._steered_at) / self._in
        if stream is None or seconds <= 0:
            return []
        stream.end_cell()
        is_at = self._first + self.account.span + stream.offset
        assert settings.times is not None
        time = settings.times.time_of(stamp.since, stamp)
        captured = settings.session.seconds(time, stamp.epoch) - settings.delay
        self._steered_at = stamp.since
        heading = self._steering.steer(captured - is_at / self._out, seconds)
        if heading is Heading.STEPPED:
            self.account.steps += 1
            return self._end_span()
        stream.glide_to(self._steering.correction)
        return []

    def _begins(self, chunk: AudioChunk, start: int, end: int) -> bool:
        """Begin a span with a chunk's frames, or with those for which the timeline has a place.

        False: it has none for any of them.
        """
        self._source = self.account.source = chunk.source
        first = self._place(chunk, start)
        early = self.end - first
        late = 0
        if early > 0:  # the timeline is past that already
            late = min(-(-early * self._in // self._out), end - start)
            self.account.overlapping += late
            first = self.end
        self._open_gap(chunk, start, first)
        self._fed_to = self._first_fed = start + late
        if self._fed_to == end:
            return False
        self._paused_to = 0
        self._first = first
        self.account.spans += 1
        self._steering.begin_span()
        self._steered_at = self._fed_to
        return True

    def _place(self, chunk: AudioChunk, start: int) -> int:
        """Return where a frame of a chunk belongs that begins a span."""
        if self._settings.times is None and self._fed_to is None and chunk.frame == 0:
            self._came_at = self._begin / self._out  # to a session that ran already
        offset = _offset(self._in, self._out)
        first = round(self._seconds(chunk, start) * self._out - offset)
        if self._fed_to is None and 0 < first < self._begin:
            # A track that others than its listener heard before begins with what comes next.
            self._begin = self.end = first
        if self._fed_to is None and first == self.end + 1:
            return self.end  # no late start: rounding, which is steered out
        if self._fed_to == start and not self._paused_to and abs(first - self.end) <= _HAIR:
            return self.end
        return first

    def _note(self, chunk: AudioChunk, overflows: int) -> None:
        """Note what a chunk tells of itself, and where on the session's timeline it begins."""
        assert self._stream is not None
        position = self._first + self._stream.span
        self._marks.append(_Mark(position, chunk.arrival, overflows, chunk._origin[1]))

    def _feed(self, chunk: AudioChunk, samples: NDArray[np.float32], start: int, end: int) -> None:
        """Take some frames of a chunk."""
        if start >= end:
            return
        if self._stream is None:
            stream = SteeredRate(self._settings.channels, self.account)
            if not self._begins(chunk, start, end):
                return
            assert self._fed_to is not None
            stream.begin_at(self._steering.correction)
            self._stream = stream
            self._note(chunk, chunk.overflows if start == chunk.frame else 0)
            start = self._fed_to
        before = self._stream.taken
        try:
            self._stream.feed(samples[start - chunk.frame : end - chunk.frame])
        finally:
            self._fed_to = start + self._stream.taken - before

    def _finished(self, frames: int) -> list[AudioChunk]:
        """Return what can be cut of that which was made, after so many frames of the source."""
        made: list[AudioChunk] = []
        usual, stream = self._settings.chunk_frames, self._stream
        if stream is None or stream.left < usual - self.end % usual:
            return made
        pending = stream.take()
        joined = frames * self._out / self._in > 1.5 * usual
        at, left = 0, len(pending)
        while left > 0:
            count = usual - self.end % usual
            if joined:
                count += max(0, (left - count) // usual * usual)
            if count > left:
                break
            made.append(self._chunk(pending[at : at + count]))
            at += count
            left -= count
        stream.let_go(at)
        return made

    def _end_span(self) -> list[AudioChunk]:
        stream = self._stream
        if stream is None:
            return []
        stream.end_cell()
        due = self._first + round(self.account.span) - self.end
        if (ends_at := self._settings.session.ends_at) is not None:
            beyond = self.end + due - round(ends_at * self._out)
            if beyond >= -_HAIR:
                self.account.beyond += beyond
                due -= beyond
        stream.finish(due)
        pending = stream.take()[: max(0, due)]
        made = []
        at, usual = 0, self._settings.chunk_frames
        while at < len(pending):
            count = min(usual - self.end % usual, len(pending) - at)
            made.append(self._chunk(pending[at : at + count]))
            at += count
        self._close_span()
        return made

    def _lose_span(self) -> list[Gap]:
        if self._stream is not None:
            self._stream.lose_cell()
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

    def _open_gap(self, chunk: AudioChunk, at: int, first: int) -> None:
        """Note why there is nothing from the end up to ``first``, where its frame ``at`` is."""
        self._epoch = chunk._origin[1]
        if self._fed_to is None:
            missing = [(at, GapCause.LATE_START)]
        else:
            missing = list(_missing(chunk, self._fed_to, at))
        start, end = self.end, first
        came_from = self._fed_to or 0
        frames = at - came_from
        for missing_to, cause in missing:
            part = (missing_to - came_from) / frames if frames > 0 else 1.0
            to = end if missing_to == at else start + round((end - start) * part)
            if to > self.end or self._fed_to is not None:
                self._gaps += (self._gap(self.end, max(self.end, to), cause),)
                self.end = max(self.end, to)
        if end > self.end:
            cause = GapCause.PAUSED if self._paused_to else GapCause.CLOCK_STEP
            self._gaps += (self._gap(self.end, end, cause),)
            self.end = end

    def _gap(self, start: int, end: int, cause: GapCause) -> Gap:
        return Gap(self._source, start, end - start, cause, self._time(start))

    # ---- time ----

    def _stamp(self, frame: int) -> Stamp | None:
        """Return what tells when a frame was captured; ``None`` if nothing does yet."""
        times = self._settings.times
        return _OWN_TIMELINE if times is None else times.before(frame)

    def _seconds(self, chunk: AudioChunk, frame: int) -> float:
        """Return when a frame of a chunk was captured, on the session's timeline."""
        settings, within = self._settings, (frame - chunk.frame) / self._in
        if settings.times is None:
            return self._came_at + chunk.timestamp + within - settings.delay
        stamp = self._stamp(frame)
        if stamp is None:  # all is over before a packet has told
            time, epoch = chunk.time + within, chunk._origin[1]
        else:
            time, epoch = settings.times.time_of(frame, stamp), stamp.epoch
        return settings.session.seconds(time, epoch) - settings.delay

    def _time(self, frame: int) -> float:
        """Return when a frame was captured."""
        seconds = frame / self._out + self._settings.delay
        return self._settings.session.time(seconds, self._epoch)


def _offset(rate_in: int, rate_out: int) -> float:
    return VariableRate(rate_in, rate_out, 1).offset


def _missing(chunk: AudioChunk, came_to: int, at: int) -> Iterator[tuple[int, GapCause]]:
    """Yield why frames are missing before ``at``, each cause with the frame after its last.

    What no gap tells of was left out by a pause.
    """
    for gap in chunk.gaps:
        if gap.end <= came_to:
            continue
        if gap.frame > came_to:
            yield gap.frame, GapCause.PAUSED
        came_to = gap.end
        yield came_to, gap.cause
    if at > came_to:
        yield at, GapCause.PAUSED


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
    times : FrameTimes, optional
        When the source's frames were captured; ``None``: no clock paces it. Then its own timeline
        begins with the session's, and never drifts.
    """

    rate_in: int
    rate_out: int
    channels: int
    chunk_frames: int
    session: SessionTime
    delay: float = 0.0
    times: FrameTimes | None = None

    def make(self) -> Aligner:
        """Return a new stage."""
        return Aligner(self)
