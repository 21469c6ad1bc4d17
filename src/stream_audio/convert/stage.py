"""What a conversion is made of: stages, each of which turns chunks into chunks."""

from __future__ import annotations

import abc
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.untold_gaps import missing
from stream_audio.reports.ledger import AlignmentAccount, ConversionAccount

LARGEST = 1e30
"""Far beyond any sample that means a sound, and 10**8 times less than float32 can hold."""


Account = ConversionAccount | AlignmentAccount


class Stage(Protocol):
    """One step from a source's chunks to those of a format. No session, clock or thread in it."""

    @property
    def account(self) -> Account | None:
        """What became of the frames that went in; ``None`` if as many come out."""

    def convert(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Take the source's next chunk and return those that are finished."""
        ...

    def flush(self) -> list[AudioChunk]:
        """Return what is still inside; the end of the source, or a jump in it, follows."""
        ...

    def replay(self, chunks: list[AudioChunk]) -> list[AudioChunk]:
        """Return what is made of chunks it has taken before, up to what it will return next."""
        ...

    def give_up(self, chunk: AudioChunk | None = None) -> list[Gap]:
        """After an error: return what could not be made, and begin afresh with the next chunk.

        ``chunk`` is the one that was being converted, if any. The first chunk that comes out
        afterwards has these gaps too, in their place.
        """
        ...

    def scaled(self, gap: Gap) -> Gap:
        """Return a gap of what goes in as it stands in what comes out."""
        ...


class Settings(Protocol):
    """What a stage is made from. Equal settings are one stage, which several formats share."""

    def make(self) -> Stage:
        """Return a new stage."""
        ...

    def __hash__(self) -> int: ...


class Stateless(abc.ABC):
    """A stage that makes one chunk of each and keeps nothing of it."""

    account: Account | None = None

    def __init__(self) -> None:
        self._untold: tuple[Gap, ...] = ()

    @abc.abstractmethod
    def made(self, chunk: AudioChunk, gaps: tuple[Gap, ...]) -> AudioChunk:
        """Return what is made of the chunk, with these gaps."""

    def convert(self, chunk: AudioChunk) -> list[AudioChunk]:
        """Return one chunk."""
        made = self.made(chunk, (*self._untold, *chunk.gaps))
        self._untold = ()
        return [made]

    def flush(self) -> list[AudioChunk]:
        """Nothing is inside."""
        return []

    def replay(self, chunks: list[AudioChunk]) -> list[AudioChunk]:
        """Make them again."""
        return [self.made(chunk, chunk.gaps) for chunk in chunks]

    def give_up(self, chunk: AudioChunk | None = None) -> list[Gap]:
        """No more than the chunk itself is lost."""
        if chunk is None:
            return []
        gap = missing(chunk, GapCause.CONVERSION_FAILED)
        self._untold += (*chunk.gaps, gap)
        return [gap]

    def scaled(self, gap: Gap) -> Gap:
        """Frames stay what they are."""
        return gap


def finite_samples(chunk: AudioChunk) -> NDArray[np.float32]:
    """Return a chunk's samples for arithmetic: contiguous, with 0 for what is no finite number.

    What is beyond :data:`LARGEST` is cut to it, lest a sum of a few becomes infinite, and their
    difference no number, which a resampler would never get rid of.
    """
    data = np.ascontiguousarray(chunk.data)
    assert chunk._squares is not None
    if sum(chunk._squares.tolist()) < LARGEST**2:  # false of what is no number, too
        return data
    return np.clip(np.where(np.isfinite(data), data, np.float32(0)), -LARGEST, LARGEST)
