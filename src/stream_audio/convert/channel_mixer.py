"""The stage that picks or mixes channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stream_audio._native.samples import levels, mix, pick
from stream_audio._record import Record
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap
from stream_audio.audio.samples import sealed
from stream_audio.convert.channel_matrix import Matrix, picked
from stream_audio.convert.stage import Stateless, finite_samples


class ChannelMixer(Stateless):
    """Makes each channel a sum of others; frames, times and gaps stay.

    Channels that are only picked stay what they are, bit for bit. In a sum, a sample that is no
    finite number counts as 0.
    """

    def __init__(self, rows: Matrix) -> None:
        super().__init__()
        self._picked = picked(rows)
        self._gains = np.array(rows, np.float32)

    def made(self, chunk: AudioChunk, gaps: tuple[Gap, ...]) -> AudioChunk:
        """Return a chunk with the other channels and their levels."""
        if self._picked is not None:
            data = pick(np.ascontiguousarray(chunk.data), self._picked)
        else:
            data = mix(finite_samples(chunk), self._gains)
        peaks, squares = levels(data)
        return replace(chunk, data=sealed(data), gaps=gaps, _peaks=peaks, _squares=squares)


class MixChannels(Record):
    """The settings of a :class:`ChannelMixer`."""

    rows: Matrix

    def make(self) -> ChannelMixer:
        """Return a new stage."""
        return ChannelMixer(self.rows)
