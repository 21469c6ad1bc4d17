"""How the engine makes chunks: past the constructor, which is slow for what consumers wait for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.chunk import AudioChunk, Origin
from stream_audio.audio.gap import Gap


class UnfinishedChunk:
    """A chunk that can still be written to: of the same layout, so that it can become one."""

    __slots__ = AudioChunk.__slots__


def engine_chunk(
    source: str,
    data: NDArray[Any],
    sample_rate: int,
    frame: int,
    time: float,
    arrival: float,
    gaps: tuple[Gap, ...],
    overflows: int,
    peaks: NDArray[np.float32] | None,
    squares: NDArray[np.float64] | None,
    origin: Origin,
    clipped: int = 0,
    source_rate: int | None = None,
    absent: tuple[Gap, ...] = (),
) -> AudioChunk:
    """Make a chunk whose levels are known.

    ``AudioChunk(...)`` takes six times as long, and ``dataclasses.replace`` thirteen times, as a
    frozen dataclass sets each field through ``object.__setattr__``; and consumers wait for it.
    """
    made: Any = UnfinishedChunk()
    made.source = source
    made.data = data
    made.sample_rate = sample_rate
    made.frame = frame
    made.time = time
    made.arrival = arrival
    made.gaps = gaps
    made.overflows = overflows
    made._peaks = peaks
    made._squares = squares
    made.clipped = clipped
    made.source_rate = source_rate
    made._origin = origin
    made.absent = absent
    made.__class__ = AudioChunk
    chunk: AudioChunk = made
    return chunk


def expected_chunk(
    source: str,
    data: NDArray[Any],
    sample_rate: int,
    frame: int,
    peaks: NDArray[np.float32],
    squares: NDArray[np.float64],
    origin: Origin,
) -> Any:
    """Make one that is complete but for ``time`` and ``arrival``, and with nothing to tell.

    Set those two, then its ``__class__`` to that of a chunk.
    """
    made: Any = UnfinishedChunk()
    made.source = source
    made.data = data
    made.sample_rate = sample_rate
    made.frame = frame
    made.gaps = ()
    made.overflows = 0
    made._peaks = peaks
    made._squares = squares
    made.clipped = 0
    made.source_rate = None
    made._origin = origin
    made.absent = ()
    return made


def encoded_chunk(
    chunk: AudioChunk, data: NDArray[Any], gaps: tuple[Gap, ...], clipped: int
) -> AudioChunk:
    """Make the chunk with its samples as integers; levels stay what they were before."""
    return engine_chunk(
        chunk.source,
        data,
        chunk.sample_rate,
        chunk.frame,
        chunk.time,
        chunk.arrival,
        gaps,
        chunk.overflows,
        chunk._peaks,
        chunk._squares,
        chunk._origin,
        clipped,
        chunk.source_rate,
        chunk.absent,
    )
