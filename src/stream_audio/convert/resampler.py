"""The stage that changes the sample rate, with soxr.

Positions are rounded on absolute numbers: frame ``k`` of what comes out is the instant
``k / rate`` of the source's own timeline, before and after any gap. Of the source's frames
``start`` to ``end`` without a gap come exactly ``floor(end * out / in) - floor(start * out / in)``
frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream_audio._native.samples import levels
from stream_audio._record import Record
from stream_audio.audio.chunk import AudioChunk, Origin
from stream_audio.audio.cutting import cut
from stream_audio.audio.format import Quality
from stream_audio.audio.gap import Gap, GapCause, gaps_within
from stream_audio.audio.samples import sealed
from stream_audio.convert.soxr_streams import free_in_child
from stream_audio.convert.stage import finite_samples
from stream_audio.reports.ledger import ConversionAccount

if TYPE_CHECKING:
    import soxr

_ZEROS_AT_A_TIME = 4096


@dataclass
class _Mark:
    """Where and when a chunk of the source began."""

    frame: int
    time: float
    arrival: float
    overflows: int
    origin: Origin


class Resampler:
    """Takes chunks at one rate and makes chunks of a fixed length at another.

    The resampler works on one unbroken run of frames, a *span*. Where the source jumps (a gap, a
    pause) the span's tail is flushed, and the next span begins with silence before it: neither
    side of the jump bends the other. It is as much silence as has passed since the last instant
    that both rates share, so samples stand where they would have stood without the jump.

    What comes out is cut to a fixed length, which delays it by one chunk at most: soxr's own
    portions vary by tens of milliseconds.

    Parameters
    ----------
    rate_in, rate_out : int
        Hz.
    channels : int
        Of what comes in and what goes out.
    quality : "LQ", "MQ", "HQ" or "VHQ"
        In soxr's terms.
    chunk_frames : int
        Frames of each chunk that comes out; the last one of a span may be shorter. Of chunks that
        were joined come such that are as well.
    """

    def __init__(
        self, rate_in: int, rate_out: int, channels: int, quality: Quality, chunk_frames: int
    ) -> None:
        import soxr  # with the first session that needs it, not with the library

        self.account = ConversionAccount(rate_in, rate_out)
        self._new_stream: Callable[[], soxr.ResampleStream] = partial(
            soxr.ResampleStream, rate_in, rate_out, channels, dtype="float32", quality=quality
        )
        self._in, self._out = rate_in, rate_out
        self._channels = channels
        self._quality: Quality = quality
        self._chunk_frames = chunk_frames
        self._stream: soxr.ResampleStream | None = None  # None: between two spans
        self._end = 0  # of the span, in the source's frames
        self._position = 0  # of the next chunk that comes out
        self._surplus = 0  # frames still to come out of the stream that precede the span
        self._source = ""
        self._marks: deque[_Mark] = deque()  # of the chunks that are not wholly behind yet
        self._overflows = 0  # of those that are behind, not told yet
        self._last_time = -np.inf
        self._gaps: tuple[Gap, ...] = ()  # for the next chunk that comes out
        self._absent: list[Gap] = []  # of a merge: what is not wholly behind yet
        self._open = np.empty((0, channels), np.float32)  # the chunk that is being filled,
        self._filled = 0  # so far
        self._joined = 1  # how many chunks the one that is being converted was
        self._finished: list[AudioChunk] = []
        free_in_child(self)

    def convert(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Take the source's next chunk and return those that are finished."""
        if self._stream is not None and chunk.frame != self._end:
            self._end_span(self._stream)
        stream = self._begin_span(chunk) if self._stream is None else self._stream
        usual = self._chunk_frames * self._in / self._out
        self._joined = max(1, round(len(chunk.data) / usual))
        self._take(chunk)
        self._fill(stream.resample_chunk(finite_samples(chunk)))
        return self._hand_over()

    def flush(self) -> list[AudioChunk]:
        """Return the span's tail."""
        if self._stream is not None:
            self._end_span(self._stream)
        return self._hand_over()

    def replay(self, chunks: list[AudioChunk]) -> list[AudioChunk]:
        """Make them again, up to the frame from which the next chunk comes out."""
        again = Resampler(self._in, self._out, self._channels, self._quality, self._chunk_frames)
        made = [each for chunk in chunks for each in again.convert(chunk)] + again.flush()
        if self._stream is None:
            return made
        end = self._position
        return [cut(each, each.frame, min(each.end, end)) for each in made if each.frame < end]

    def give_up(self, chunk: AudioChunk | None = None) -> list[Gap]:
        """Lose what is left of the span, and the chunk that was being converted."""
        lost = []
        if self._marks:
            lost.append(self._lost_from(self._position))
        if chunk is not None and not (self._marks and self._end == chunk.end):  # not taken yet
            self._gaps += tuple(lost)
            self._position = self._scaled(chunk.frame)
            self._gaps += tuple(map(self.scaled, chunk.gaps))
            self._take(chunk)
            lost.append(self._lost_from(self._position))
            self._gaps += (lost[-1],)
        else:
            self._gaps += tuple(lost)
        self.account.lost += sum(gap.frames for gap in lost)
        self._close_span()
        return lost

    def scaled(self, gap: Gap) -> Gap:
        """Return a gap of the source as it stands in what comes out."""
        first = self._scaled(gap.frame)
        return replace(gap, frame=first, frames=self._scaled(gap.end) - first)

    def abandon(self) -> None:
        """Free the stream; nothing may be converted any more."""
        self._stream = None

    def _hand_over(self) -> list[AudioChunk]:
        finished, self._finished = self._finished, []
        return finished

    # ---- spans ----

    def _begin_span(self, chunk: AudioChunk) -> soxr.ResampleStream:
        """Begin at the chunk, on the grid of the rate that comes out.

        The stream's own first frame must be an instant of both rates, so as much silence goes in
        first as has passed since the last such instant; what comes out for it is surplus.
        """
        stream = self._new_stream()
        silence = chunk.frame % (self._in // gcd(self._in, self._out))
        surplus = self._scaled(chunk.frame) - self._scaled(chunk.frame - silence)
        zeros = np.zeros((min(silence, _ZEROS_AT_A_TIME), self._channels), np.float32)
        while silence:
            surplus -= len(stream.resample_chunk(zeros[:silence]))
            silence -= min(silence, _ZEROS_AT_A_TIME)
        self._source = chunk.source
        self._gaps += tuple(map(self.scaled, chunk.gaps))
        self._position = self._scaled(chunk.frame)
        self._surplus = surplus
        self._stream = stream
        return stream

    def _take(self, chunk: AudioChunk) -> None:
        """Enter a chunk that belongs to the span."""
        self._marks.append(
            _Mark(chunk.frame, chunk.time, chunk.arrival, chunk.overflows, chunk._origin)
        )
        self._end = chunk.end
        self._absent += map(self.scaled, chunk.absent)
        self.account.extend(chunk.frame, chunk.frames)

    def _end_span(self, stream: soxr.ResampleStream) -> None:
        due = self._scaled(self._end) - self._position - self._filled
        tail = stream.resample_chunk(np.empty((0, self._channels), np.float32), last=True)
        self._fill(tail[: self._surplus + due])
        if self._filled:
            self._finish()
        self._close_span()

    def _close_span(self) -> None:
        self._stream = None
        self._filled = 0
        self._marks.clear()

    # ---- chunks ----

    def _fill(self, samples: NDArray[np.float32]) -> None:
        """Append samples to the open chunk; begin others as they are full."""
        dropped = min(self._surplus, len(samples))
        self._surplus -= dropped
        while dropped < len(samples):
            left = len(samples) - dropped
            if not self._filled:
                # Whole ones: what is not full waits for more, be it as short as it can.
                chunks = max(1, min(self._joined, left // self._chunk_frames))
                self._open = np.empty((chunks * self._chunk_frames, self._channels), np.float32)
            count = min(len(self._open) - self._filled, left)
            self._open[self._filled : self._filled + count] = samples[dropped : dropped + count]
            self._filled += count
            dropped += count
            if self._filled == len(self._open):
                self._finish()

    def _finish(self) -> None:
        data = self._open[: self._filled]
        peaks, squares = levels(data)
        first, end = self._position, self._position + self._filled
        time = max(self._last_time, self._time_of(first))
        origin = self._marks[0].origin
        arrival, overflows = self._pass((end - 1) * self._in // self._out)
        chunk = AudioChunk(
            self._source,
            sealed(data),
            self._out,
            first,
            time,
            arrival,
            self._gaps,
            overflows,
            peaks,
            squares,
            source_rate=self._in,
            _origin=origin,
            absent=gaps_within(self._absent, first, end, self._out),
        )
        self._absent = [gap for gap in self._absent if gap.end > end]
        self._finished.append(chunk)
        self._position, self._filled = end, 0
        self._gaps, self._last_time = (), time
        self.account.made += chunk.frames

    def _time_of(self, position: int) -> float:
        """Return when a frame that comes out was captured; no earlier one can be asked for."""
        while len(self._marks) > 1 and self._marks[1].frame * self._out <= position * self._in:
            self._overflows += self._marks.popleft().overflows
        mark = self._marks[0]
        offset = position * self._in - mark.frame * self._out
        return mark.time + offset / (self._in * self._out)

    def _pass(self, source_frame: int) -> tuple[float, int]:
        """Return the arrival of that frame, and the overflows up to it that were not told yet."""
        arrival, overflows = self._marks[0].arrival, self._overflows
        self._overflows = 0
        for mark in self._marks:
            if mark.frame > source_frame and mark is not self._marks[0]:
                break
            arrival = mark.arrival
            overflows += mark.overflows
            mark.overflows = 0
        return arrival, overflows

    # ---- positions ----

    def _scaled(self, frame: int) -> int:
        return frame * self._out // self._in

    def _lost_from(self, position: int) -> Gap:
        """Return the gap that the rest of the span leaves."""
        frames = self._scaled(self._end) - position
        time = self._time_of(position)
        return Gap(self._source, position, frames, GapCause.CONVERSION_FAILED, time)


class Resample(Record):
    """The settings of a :class:`Resampler`."""

    rate_in: int
    rate_out: int
    channels: int
    quality: Quality
    chunk_frames: int

    def make(self) -> Resampler:
        """Return a new stage."""
        return Resampler(
            self.rate_in, self.rate_out, self.channels, self.quality, self.chunk_frames
        )
