"""A take of another rate or number of channels: made into what its track consists of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from stream_audio._native.capture import (
    ARRIVAL_NS,
    ASLEEP_NS,
    FRAME,
    FRAMES,
    MARKS,
    OFFSET,
    OVERFLOWS,
    TIME_NS,
    Block,
    Reader,
)
from stream_audio.audio.chunk import AudioChunk, Origin
from stream_audio.audio.chunk_maker import engine_chunk
from stream_audio.audio.gap import Gap
from stream_audio.contracts.source import SourceShape
from stream_audio.convert.channel_matrix import Matrix, identity, matrix
from stream_audio.convert.channel_mixer import MixChannels
from stream_audio.convert.resampler import Resample, Resampler
from stream_audio.convert.stage import Stage
from stream_audio.engine.track_losses import LOST, missing
from stream_audio.reports.ledger import Ledger


class Row:
    """A finished chunk of a reader, as csrc/reader.h describes it."""

    def __init__(self, block: Block, index: int, row: list[int]) -> None:
        self.frame = row[FRAME]
        self.time = row[TIME_NS] * 1e-9
        self.arrival = row[ARRIVAL_NS] * 1e-9
        self.asleep_ns = row[ASLEEP_NS]
        self.overflows = row[OVERFLOWS]
        self.marks = row[MARKS]
        self.lost = [row[column] for column in LOST]
        self.samples = block.samples[row[OFFSET] : row[OFFSET] + row[FRAMES]]
        self.peaks = block.peaks[index]
        self.squares = block.squares[index]


class TakeConversion:
    """Converts the chunks of one take, whose frames count from 0 on both sides.

    Parameters
    ----------
    name : str
        The source's id.
    taken : SourceShape
        What the device delivers.
    wanted : SourceShape
        What the track consists of.
    chunk_duration : float
        Seconds.
    ledger : Ledger
        Where the change of the rate is accounted for.

    Attributes
    ----------
    fed, made : int
        Frames that went in and came out so far.
    """

    def __init__(
        self,
        name: str,
        taken: SourceShape,
        wanted: SourceShape,
        chunk_duration: float,
        ledger: Ledger,
    ) -> None:
        self.fed = 0
        self.made = 0
        self._in, self._out = taken.sample_rate, wanted.sample_rate
        self._name = name
        self._ledger = ledger
        self._stages: list[Stage] = []
        rows = _rows(name, taken, wanted)
        if rows != identity(taken.channels):
            self._stages.append(MixChannels(rows).make())
        if self._in != self._out:
            frames = max(1, round(chunk_duration * self._out))
            resampler = Resample(self._in, self._out, len(rows), "HQ", frames).make()
            self._ledger.open_conversion(name, resampler.account)
            self._stages.append(resampler)

    def rows(self, reader: Reader) -> Iterator[Row]:
        """Yield what the last read of the take finished."""
        block, first, rows = reader.take(0)
        for index, row in enumerate(rows, first):
            yield Row(block, index, row)

    def convert(self, row: Row, origin: Origin, newest: AudioChunk | None) -> list[AudioChunk]:
        """Convert what a row stands for and return the chunks that are finished.

        ``newest`` is the track's last chunk.
        """
        gaps: tuple[Gap, ...] = ()
        if any(row.lost):
            gaps = tuple(missing(self._name, row.frame, row.time, row.lost, newest, self._in))
        chunk = engine_chunk(
            self._name,
            row.samples,
            self._in,
            row.frame,
            row.time,
            row.arrival,
            gaps,
            row.overflows,
            row.peaks,
            row.squares,
            origin,
        )
        self.fed += chunk.frames
        return self._through([chunk], self._stages)

    def flush(self) -> list[AudioChunk]:
        """Return what is still inside: the take is over."""
        made: list[AudioChunk] = []
        for index, stage in enumerate(self._stages):
            made += self._through(stage.flush(), self._stages[index + 1 :])
        for stage in self._stages:
            if isinstance(stage, Resampler):
                self._ledger.close_conversion(stage.account)
        return made

    def frames_out(self, frames: int) -> int:
        """Return how many frames of the track so many of the device's come to."""
        return frames * self._out // self._in

    def frames_in(self, frames: int) -> int:
        """Return how many frames of the device it takes for so many of the track's."""
        return -(-frames * self._in // self._out)

    def losses_out(self, end: int, lost: Sequence[int]) -> tuple[int, ...]:
        """Return the frames that are missing before ``end``, one number a cause, likewise."""
        made, start = [], end - sum(lost)
        for frames in lost:
            made.append(self.frames_out(start + frames) - self.frames_out(start))
            start += frames
        return tuple(made)

    def _through(self, chunks: list[AudioChunk], stages: list[Stage]) -> list[AudioChunk]:
        for stage in stages:
            chunks = [made for chunk in chunks for made in stage.convert(chunk)]
        self.made += sum(chunk.frames for chunk in chunks)
        return chunks


def placed(chunks: Iterable[AudioChunk], begins: int) -> Iterator[AudioChunk]:
    """Yield the chunks of a take where they stand on the track."""
    for chunk in chunks:
        gaps = tuple(replace(gap, frame=gap.frame + begins) for gap in chunk.gaps)
        yield replace(chunk, frame=chunk.frame + begins, gaps=gaps, source_rate=None)


def _rows(name: str, taken: SourceShape, wanted: SourceShape) -> Matrix:
    """Return the gains that bring a device's own channels to where the track has its own."""
    mixed = matrix(name, taken.channels, taken.own_channels, len(wanted.own_channels))
    rows = [(0.0,) * taken.channels] * wanted.channels
    for channel, row in zip(wanted.own_channels, mixed, strict=True):
        rows[channel] = row
    return tuple(rows)
