"""Leaving out what a source captured while it was paused, exact to the frame."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Literal

import numpy as np

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap
from stream_audio.audio.samples import sealed
from stream_audio.reports.ledger import SourceAccount
from stream_audio.reports.report import Pause
from stream_audio.waiting.frame_times import FrameTimes, Stamp

PausePolicy = Literal["discard", "silence"]


class Pauses:
    """The pauses of one source; the router's thread applies what any thread asks for.

    A pause is a span of capture time, so it begins and ends at the frame that was captured at that
    moment, not at a chunk. Nothing that was captured in it is handed on.

    Parameters
    ----------
    account : SourceAccount
        Frames are moved there from ``captured`` or ``idle`` to ``paused`` or ``synthetic``.
    times : FrameTimes, optional
        When its frames were captured, if a clock paces it.
    """

    def __init__(self, account: SourceAccount, times: FrameTimes | None = None) -> None:
        self._account = account
        self._times = times
        self._lock = InterruptibleLock()
        # [from, to) in seconds of the clock, one after the other; the last one may be open.
        self._spans: deque[tuple[float, float, PausePolicy]] = deque()
        self._kept_back: tuple[Gap, ...] = ()
        self.idle = True
        """Whether :meth:`apply` would hand a chunk on as it is."""

    def begin(self, at: float, policy: PausePolicy) -> None:
        """Pause from now on; does nothing in a pause."""
        with self._lock:
            before = self._spans[-1][1] if self._spans else -math.inf
            if before != math.inf:
                self._spans.append((max(before, at), math.inf, policy))
                self.idle = False

    def end(self, at: float) -> None:
        """End the pause; does nothing outside one."""
        with self._lock:
            if self._spans and self._spans[-1][1] == math.inf:
                begin, _, policy = self._spans[-1]
                self._spans[-1] = (begin, max(begin, at), policy)

    def apply(
        self,
        chunk: AudioChunk,
        *,
        idle: bool = False,
        skip: Callable[[AudioChunk], object] = lambda chunk: None,
    ) -> Iterator[AudioChunk]:
        """Yield what is left of a chunk: its parts outside every pause, and made-up silence.

        ``idle``: its frames count as such, and not as captured. ``skip`` is called with each part
        that is left out, in its place.
        """
        if self.idle:
            yield chunk
            return
        with self._lock:
            # A pause that is over will not be needed again. Those that come later may be
            # thousands, if the router is behind.
            while self._spans and _frames_before(chunk, self._spans[0][1], self._times) == 0:
                self._spans.popleft()
            spans = list(takewhile(partial(_begins_in, chunk, self._times), self._spans))
        taken = 0
        for begin, end, policy in spans:
            first = max(taken, _frames_before(chunk, begin, self._times))
            last = max(first, _frames_before(chunk, end, self._times))
            if first == last:
                continue
            if first > taken:
                yield self._part(chunk, taken, first)
            self._enter(chunk.frame + first, last - first, policy, idle=idle)
            if policy == "silence":
                yield self._part(chunk, first, last, silent=True)
            else:
                skip(chunk[first:last])
                if first == 0:
                    self._kept_back += chunk.gaps  # for the next chunk that is handed on
            taken = last
        if taken < chunk.frames:
            yield self._part(chunk, taken, chunk.frames)
        with self._lock:
            self.idle = not self._spans and not self._kept_back

    def _part(
        self, chunk: AudioChunk, first: int, last: int, *, silent: bool = False
    ) -> AudioChunk:
        gaps = chunk.gaps if first == 0 else ()
        gaps, self._kept_back = self._kept_back + gaps, ()
        if first == 0 and last == chunk.frames and not silent:
            return replace(chunk, gaps=gaps)
        data = chunk.data[first:last]
        if silent:
            data = sealed(np.zeros_like(data))
        return replace(
            chunk,
            data=data,
            frame=chunk.frame + first,
            time=chunk.time + first / chunk.sample_rate,
            gaps=gaps,
            _peaks=None,
            _squares=None,
        )

    def _enter(self, frame: int, frames: int, policy: PausePolicy, *, idle: bool) -> None:
        account = self._account
        if idle:
            account.idle -= frames
        else:
            account.captured -= frames
        if policy == "silence":
            account.synthetic += frames
        else:
            account.paused += frames
        last = account.pauses[-1] if account.pauses else None
        if last is not None and last.end == frame and last.policy == policy:
            account.pauses[-1] = Pause(last.frame, last.frames + frames, policy)
        else:
            account.pauses.append(Pause(frame, frames, policy))


def _begins_in(
    chunk: AudioChunk, times: FrameTimes | None, span: tuple[float, float, PausePolicy]
) -> bool:
    """Whether a pause has begun by the end of a chunk."""
    return _frames_before(chunk, span[0], times) < chunk.frames


def _frames_before(chunk: AudioChunk, time: float, times: FrameTimes | None) -> int:
    """How many frames of the chunk were captured before ``time``; 0 to all.

    The same frame is the first after it, however long the chunks are.
    """
    if time == math.inf:
        return chunk.frames
    known = None if times is None else times.before(chunk.frame)
    if times is None or known is None:  # the first packets of a take
        known = Stamp(chunk.frame, chunk.frame, chunk.time, None)
        later: list[Stamp] = []
    else:
        later = times.within(chunk.frame + 1, chunk.end)
    at, ends = chunk.frame, [*(each.since for each in later), chunk.end]
    for stamp, end in zip([known, *later], ends, strict=True):
        # Less a thousandth of a frame, which the seconds of a double do not tell.
        first = math.ceil(stamp.frame + (time - stamp.time) * chunk.sample_rate - 1e-3)
        at = max(at, min(first, end))
        if at < end:
            break
    return at - chunk.frame
