"""One source of a merge: what came of it, up to where, and how long to wait for more."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.reports.ledger import MergeInputAccount

PACKETS_KNOWN = 16
"""Of how many of its last packets the slowest says how long to wait for the next."""

FIRST_DELIVERY = 2.5
"""Seconds that the first delivery may take: sound servers hand over up to 2 s at once, and no host
says so before."""

MOST_LATE = 10.0
"""Seconds by which a source may be late as a rule; more is an outage."""


class InputState(Enum):
    """What a merge expects of a source."""

    WAITING = auto()
    """Nothing has come yet, and it is waited for."""
    RUNNING = auto()
    """It delivers, and is waited for."""
    ABSENT = auto()
    """Nothing came in time: no timeout is granted until it delivers again."""
    ENDED = auto()
    """Nothing follows."""


class MergeInput:
    """One source of a merge. Used on the router's thread alone.

    Parameters
    ----------
    source : str
        Its id.
    channels : int
        Of its chunks, all of which are in the merge.
    begin : int
        Frame at which the merge begins.
    interval : float
        Seconds that may pass between two deliveries, as far as is known beforehand: its period,
        and the latency that it reports.
    paced : bool
        Whether a clock paces it; if not, it is waited for as long as it takes.

    Attributes
    ----------
    known_to : int
        The frame up to which chunks and gaps say what there is.
    """

    def __init__(
        self, source: str, channels: int, begin: int, interval: float, *, paced: bool = True
    ) -> None:
        self.source = source
        self.channels = channels
        self.state = InputState.WAITING
        self.account = MergeInputAccount(source)
        self.known_to = self._merged_to = self._begin = begin
        self._interval = interval
        self._paced = paced
        self._pieces: deque[AudioChunk | Gap] = deque()
        self._lags: deque[float] = deque(maxlen=PACKETS_KNOWN)
        self._last_arrival = -math.inf
        self._delivered = False  # ever
        self.is_lost = False
        """Whether its device is gone, and has not delivered since."""

    # ---- what comes ----

    def take(self, chunk: AudioChunk, now: float) -> None:
        """Take its next aligned chunk at a moment of the session."""
        for gap in chunk.gaps:
            self._append(gap)
        if chunk.frame < self._begin:  # what a merge that began later does not have
            chunk = chunk[self._begin - chunk.frame :]
        if chunk.frames:
            self.account.offered += chunk.frames
            self.account.late += max(0, min(chunk.end, self._merged_to) - chunk.frame)
            self._append(chunk)
            self._delivered = True
            self.is_lost = False
        if self.state is not InputState.ENDED:
            self.state = InputState.RUNNING
        lag = min(now - chunk.frame / chunk.sample_rate, MOST_LATE)
        if chunk.arrival == self._last_arrival and self._lags:
            self._lags[-1] = max(self._lags[-1], lag)  # the same packet brought it
        else:
            self._lags.append(lag)
        self._last_arrival = chunk.arrival

    def lose(self, gap: Gap) -> None:
        """Take what could not be converted."""
        self._append(gap)

    def end(self) -> None:
        """Say that nothing follows."""
        self.state = InputState.ENDED

    def _append(self, piece: AudioChunk | Gap) -> None:
        if piece.end <= self.known_to:
            return  # told before: what could not be converted comes by itself, and with a chunk
        if piece.end > self._merged_to:
            self._pieces.append(piece)
        self.known_to = piece.end

    # ---- how long to wait ----

    @property
    def interval(self) -> float:
        """Seconds that a frame takes until it is delivered, as a rule."""
        return max(self._interval, *self._lags, 0.0)

    def late_at(self, frame: int, rate: int, timeout: float) -> float:
        """Return from when on it is late, if what precedes a frame has not come.

        One that is absent is given its usual interval all the same, so that nothing is missing of
        what it delivers when it is back.
        """
        if not self._paced:
            return math.inf
        patience = 0.0 if self.state is InputState.ABSENT else timeout
        late_at = frame / rate + self.interval + patience
        if self.state is InputState.WAITING:
            return max(late_at, self._begin / rate + FIRST_DELIVERY)
        return late_at

    def miss(self) -> bool:
        """Go on without it, until it delivers again; True if it was expected."""
        if self.state is InputState.ABSENT:
            return False
        self.state = InputState.ABSENT
        self.account.timeouts += 1
        return True

    # ---- what is merged ----

    def next_audio(self) -> float:
        """Return the first frame that is there, or that may still come."""
        for piece in self._pieces:
            if isinstance(piece, AudioChunk) and piece.end > self._merged_to:
                return max(piece.frame, self._merged_to)
        return math.inf if self.state is not InputState.RUNNING else self.known_to

    def fill(
        self, start: int, end: int, out: NDArray[np.float32] | None, time: float, rate: int
    ) -> list[Gap]:
        """Write what there is from ``start`` to ``end`` into samples that are silent.

        Returns where it stays silent; ``time`` is the capture time of ``start``.
        """
        absent: list[Gap] = []
        for at, to, what in self._pieces_in(start, end):
            if isinstance(what, AudioChunk):
                assert out is not None
                out[at - start : to - start] = what.data[at - what.frame : to - what.frame]
                self.account.placed += to - at
                continue
            self.account.silent[what] += to - at
            gap = Gap(self.source, at, to - at, what, time + (at - start) / rate)
            joined = absent[-1].joined(gap) if absent else None
            if joined is not None:
                absent[-1] = joined
            else:
                absent.append(gap)
        return absent

    def _pieces_in(self, start: int, end: int) -> Iterator[tuple[int, int, AudioChunk | GapCause]]:
        """Yield what there is from ``start`` to ``end``, without a hole, and let go of it."""
        at = start
        while at < end:
            while self._pieces and self._pieces[0].end <= at:
                self._pieces.popleft()
            piece = self._pieces[0] if self._pieces else None
            if piece is None or piece.frame > at:
                to = end if piece is None else min(end, piece.frame)
                yield at, to, self._why_absent()
            else:
                to = min(end, piece.end)
                yield at, to, piece if isinstance(piece, AudioChunk) else piece.cause
            at = to
        self._merged_to = end

    def _why_absent(self) -> GapCause:
        if self.state is InputState.ENDED:
            return GapCause.SOURCE_ENDED
        if self.is_lost:
            return GapCause.DEVICE_LOST
        return GapCause.MERGE_TIMEOUT if self._delivered else GapCause.LATE_START

    def count_waiting(self) -> None:
        """Enter how many frames are still to be placed."""
        self.account.waiting = sum(
            piece.end - max(piece.frame, self._merged_to)
            for piece in list(self._pieces)
            if isinstance(piece, AudioChunk) and piece.end > self._merged_to
        )
