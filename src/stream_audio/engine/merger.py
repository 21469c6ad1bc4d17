"""Joins aligned tracks by frame number, each one's channels side by side.

The merge is made in windows of a fixed length, at whole multiples of it on the session's timeline.
So it is the same however the inputs were cut. A window is made as soon as every input that is
waited for has told what it has of it. What a sink wants of it, a mix for example, comes after: it
is a stage of a format like any other.

Memory is bounded by how long an input is waited for: its delivery interval and the timeout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.samples import sealed
from stream_audio.engine.merge_input import InputState, MergeInput
from stream_audio.reports.events import MergeIncomplete, StreamEvent
from stream_audio.reports.ledger import MergeAccount
from stream_audio.waiting.session_time import SessionTime

MOST_AHEAD = 2.0
"""Seconds by which an input that no clock paces may be ahead of a merge, before it has to wait."""

A_HAIR = 1e-6
"""Seconds by which a wait may end too early: else a turn could find it so for ever."""

_HARMLESS = (GapCause.LATE_START, GapCause.PAUSED, GapCause.SOURCE_ENDED)


class Merger:
    """What a merge has at each moment. Used on the router's thread alone.

    Parameters
    ----------
    name : str
        The merge's id, which its chunks carry.
    inputs : sequence of MergeInput
        Its sources, in the order of their channels.
    rate : int
        Frames a second of all of them.
    begin : int
        Frame at which it begins.
    window, timeout : float
        Seconds.
    session : SessionTime
        The timeline.
    send : callable
        Takes events.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[MergeInput],
        rate: int,
        begin: int,
        window: float,
        timeout: float,
        session: SessionTime,
        send: Callable[[StreamEvent], None],
    ) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.position = begin
        self.account = MergeAccount(rate, {each.source: each.account for each in inputs})
        self._rate = rate
        self._begin = begin
        self._window = max(1, round(window * rate))
        self._timeout = timeout
        self._session = session
        self._send = send
        self._channels = sum(each.channels for each in inputs)
        self._gaps: tuple[Gap, ...] = ()  # for the next chunk
        self._epoch: float | None = None
        self._arrival = -math.inf

    # ---- what comes ----

    def take(self, source: MergeInput, chunk: AudioChunk) -> None:
        """Take the next aligned chunk of an input."""
        self._epoch = chunk._origin[1]
        self._arrival = max(self._arrival, chunk.arrival)
        source.take(chunk, self._session.now())

    # ---- what comes out ----

    def collect(self) -> Iterator[AudioChunk]:
        """Yield the windows that are ready by now."""
        while True:
            now = self._session.now()
            end = self._next_bound()
            if end <= self.position or not self._is_ready(end, now):
                return
            end = self._after_silence(end, now)
            if chunk := self._make(end):
                yield chunk

    def finish(self, end: int) -> Iterator[AudioChunk]:
        """Say that nothing follows, and yield the rest, up to the frame ``end`` at least."""
        for each in self.inputs:
            each.end()
        yield from self.collect()
        if end > self.position:
            chunk = self._make(end)
            if chunk is not None:
                yield chunk
        if self._gaps:
            yield self._chunk(np.empty((0, self._channels), np.float32), self.position, ())

    @property
    def due(self) -> float:
        """When a window becomes ready without anything having come, on the session's timeline."""
        end = self._next_bound()
        if end <= self.position:
            return math.inf
        late = [each.late_at(end, self._rate, self._timeout) for each in self._awaited(end)]
        return max(late, default=math.inf)

    def is_ahead(self, source: MergeInput) -> bool:
        """Whether an input that can wait has to, for what comes of it would only pile up."""
        return source.known_to - self.position > MOST_AHEAD * self._rate

    def _next_bound(self) -> int:
        bound = (self.position // self._window + 1) * self._window
        if all(each.state is InputState.ENDED for each in self.inputs):
            bound = min(bound, max(each.known_to for each in self.inputs))
        if self._session.ends_at is not None:
            bound = min(bound, round(self._session.ends_at * self._rate))
        return bound

    def _awaited(self, end: int) -> list[MergeInput]:
        return [
            each
            for each in self.inputs
            if each.state is not InputState.ENDED and each.known_to < end
        ]

    def _is_ready(self, end: int, now: float) -> bool:
        awaited = self._awaited(end)
        until = now + A_HAIR
        if any(until < each.late_at(end, self._rate, self._timeout) for each in awaited):
            return False
        for each in awaited:
            if each.miss():
                now_on_clock = self._session.now_on_clock()
                self._send(MergeIncomplete(now_on_clock, self.name, each.source, each.known_to))
        return True

    def _after_silence(self, end: int, now: float) -> int:
        """Return the end of the windows that nobody has anything of, if they are several."""
        first = min(each.next_audio() for each in self.inputs)
        if not end <= first < math.inf:
            return end
        absent = [each for each in self.inputs if each.state is InputState.ABSENT]
        # Nothing is known of those, but that they could have delivered what is older.
        known_to = [(now - each.interval) * self._rate for each in absent]
        return max(end, int(min(first, *known_to, first)) // self._window * self._window)

    def _make(self, end: int) -> AudioChunk | None:
        start, self.position = self.position, end
        self.account.span += end - start
        time = self._session.time(start / self._rate, self._epoch)
        if min(each.next_audio() for each in self.inputs) >= end:
            self._leave_out(start, end, time)
            return None
        data = np.zeros((end - start, self._channels), np.float32)
        absent: list[Gap] = []
        column = 0
        for each in self.inputs:
            columns = data[:, column : column + each.channels]
            absent += each.fill(start, end, columns, time, self._rate)
            column += each.channels
        self.account.made += end - start
        return self._chunk(data, start, tuple(absent))

    def _leave_out(self, start: int, end: int, time: float) -> None:
        """Enter what no input has anything of: a gap of the merge itself."""
        causes: dict[GapCause, int] = {}
        for each in self.inputs:
            for gap in each.fill(start, end, None, time, self._rate):
                causes[gap.cause] = causes.get(gap.cause, 0) + gap.frames
        losses = [cause for cause in causes if cause not in _HARMLESS]
        gap = Gap(self.name, start, end - start, (losses or list(causes))[0], time)
        joined = self._gaps[-1].joined(gap) if self._gaps else None
        if joined is not None:
            self._gaps = (*self._gaps[:-1], joined)
            self.account.gaps[-1] = joined
        else:
            self._gaps += (gap,)
            self.account.gaps.append(gap)

    def _chunk(
        self,
        data: NDArray[np.float32],
        frame: int,
        absent: tuple[Gap, ...],
    ) -> AudioChunk:
        gaps, self._gaps = self._gaps, ()
        time = self._session.time(frame / self._rate, self._epoch)
        return AudioChunk(
            self.name,
            sealed(data),
            self._rate,
            frame,
            time,
            max(time, self._arrival),
            gaps,
            _origin=(0.0, self._epoch),
            absent=absent,
        )
