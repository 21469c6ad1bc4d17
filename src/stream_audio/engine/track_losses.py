"""What is missing on a track: entered in its account, and told by the next chunk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stream_audio._native.capture import HOST_LOST, RING_LOST, SUSPENDED
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.engine.track_end import TrackEnd
from stream_audio.engine.track_times import TrackTimes
from stream_audio.reports.ledger import SourceAccount

CAUSES = (GapCause.RING_FULL, GapCause.HOST_OVERFLOW, GapCause.SUSPENDED)
"""Why a source loses frames, in the order in which they are missing before a chunk."""

LOST = (RING_LOST, HOST_LOST, SUSPENDED)
"""The columns of a row that tell how many, likewise."""


class TrackLosses:
    """The frames that one source never delivered.

    Parameters
    ----------
    source : str
        The source's id.
    sample_rate : int
        Hz.
    end : TrackEnd
        Where the track ends, whatever follows.
    account : SourceAccount
        Where losses are entered.
    times : TrackTimes
        The track's.

    Attributes
    ----------
    untold : tuple of Gap
        What the next chunk tells: frames that are missing at the end of the last take, or after
        it.
    """

    def __init__(
        self,
        source: str,
        sample_rate: int,
        end: TrackEnd,
        account: SourceAccount,
        times: TrackTimes,
    ) -> None:
        self.untold: tuple[Gap, ...] = ()
        self._source = source
        self._rate = sample_rate
        self._end = end
        self._account = account
        self._times = times

    def before(
        self, end: int, time: float, lost: Sequence[int], newest: AudioChunk | None
    ) -> tuple[Gap, ...]:
        """Enter and return what is missing before the frame ``end``, captured at ``time``.

        ``lost`` has a number of frames for each of ``CAUSES``; ``newest`` is the last chunk.
        """
        gaps = tuple(missing(self._source, end, time, lost, newest, self._rate))
        for gap in gaps:
            self._account.lose(gap)
        return gaps

    def outage(self, until: float, asleep_ns: int, newest: AudioChunk) -> int:
        """Return for how many frames nothing was captured, by a clock that no sleep stops.

        ``until`` is a time of the session's clock, by which the machine had slept so long.
        """
        passed = until - newest.time + (asleep_ns - self._times.asleep_ns) * 1e-9
        return round(passed * self._rate) - (self._account.position - newest.frame)

    def lose_outage(self, until: float, asleep_ns: int, newest: AudioChunk) -> int:
        """Enter what was not captured between the last take and that moment; how many frames."""
        position = self._account.position
        frames = min(self.outage(until, asleep_ns, newest), self._end.limit - position)
        if frames > 0:
            began = newest.time + (position - newest.frame) / self._rate
            gap = Gap(self._source, position, frames, GapCause.DEVICE_LOST, began)
            self._account.lose(gap)
            self._account.position = gap.end
            self.untold += (gap,)
        return max(frames, 0)

    def told_with(self, chunk: AudioChunk) -> AudioChunk:
        """Return a chunk that tells what was untold; it is entered."""
        told, self.untold = self.untold, ()
        return replace(chunk, gaps=(*told, *chunk.gaps)) if told else chunk

    def lose_to(
        self, end: int, time: float, lost: Sequence[int], newest: AudioChunk | None
    ) -> None:
        """Enter what no chunk follows, and that the track goes on to ``end``.

        Of ``lost`` as much counts as there is room for: where the session ends may be found out
        later than what was lost.
        """
        room = max(0, end - self._account.position)
        fitting = []
        for frames in lost:
            fitting.append(min(frames, room))
            room -= fitting[-1]
        if any(fitting):
            self.untold += self.before(end, time, fitting, newest)
        self._account.position = max(end, self._account.position)

    def time_is_up_at(self, asleep_ns: int, newest: AudioChunk | None) -> float:
        """Return when the track ends if nothing comes any more, by the session's clock.

        The machine has slept for so long by now.
        """
        if newest is None:
            return self._times.session_start + self._end.limit / self._rate
        left = (self._end.limit - newest.frame) / self._rate
        return newest.time + left - (asleep_ns - self._times.asleep_ns) * 1e-9


def missing(
    source: str,
    end: int,
    time: float,
    lost: Sequence[int],
    newest: AudioChunk | None,
    rate: int,
) -> Iterator[Gap]:
    """Yield the gaps before the frame ``end``, as for :meth:`TrackLosses.before`."""
    start = end - sum(lost)
    last_end = -math.inf if newest is None else newest.time + newest.duration
    for frames, cause in zip(lost, CAUSES, strict=True):
        if frames:
            # While a machine sleeps, frames pass and its clock stands.
            began = max(time - (end - start) / rate, last_end)
            yield Gap(source, start, frames, cause, began)
            start += frames
