"""Signals as chunks of a source, and chunks as a signal, for tests of what lies between."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from stream_audio import AudioChunk, Gap
from stream_audio.convert.stage import Stage

START = 1000.0
"""Capture time of a source's frame 0, in seconds."""


def chunk(
    samples: np.ndarray, frame: int = 0, sample_rate: int = 48_000, gaps: Sequence[Gap] = ()
) -> AudioChunk:
    """A chunk of the source "mic" as the engine makes it: float32, contiguous, read-only."""
    data = np.array(samples, np.float32, ndmin=2)
    data.flags.writeable = False
    time = START + frame / sample_rate
    arrival = time + len(data) / sample_rate
    return AudioChunk("mic", data, sample_rate, frame, time, arrival, tuple(gaps))


def cut(
    samples: np.ndarray, lengths: int | Iterable[int], sample_rate: int = 48_000, frame: int = 0
) -> Iterator[AudioChunk]:
    """The signal in chunks of these lengths, which are repeated as needed."""
    sizes = itertools.cycle([lengths] if isinstance(lengths, int) else list(lengths))
    first = 0
    while first < len(samples):
        piece = samples[first : first + next(sizes)]
        yield chunk(piece, frame + first, sample_rate)
        first += len(piece)


def through(stages: Stage | Sequence[Stage], chunks: Iterable[AudioChunk]) -> list[AudioChunk]:
    """What comes out of one stage or several in a row, to the last frame."""
    for stage in stages if isinstance(stages, Sequence) else [stages]:
        chunks = [made for each in chunks for made in stage.convert(each)] + stage.flush()
    return list(chunks)


def joined(chunks: Iterable[AudioChunk]) -> np.ndarray:
    """The samples of chunks in one array."""
    return np.concatenate([each.data for each in chunks])


def tone(
    frequency: float,
    seconds: float,
    sample_rate: int,
    amplitude: float = 0.5,
    channels: int = 1,
    first: int = 0,
) -> np.ndarray:
    """A sine, in float64, whose phase is 0 at frame 0; from frame ``first`` on."""
    frames = first + np.arange(round(seconds * sample_rate))
    wave = amplitude * np.sin(2 * np.pi * frequency * frames / sample_rate)
    return np.repeat(wave[:, None], channels, axis=1)


def noise(frames: int, channels: int = 1, seed: int = 0, amplitude: float = 0.1) -> np.ndarray:
    """White noise as float32."""
    made = np.random.default_rng(seed).standard_normal((frames, channels)) * amplitude
    return made.astype(np.float32)


def decibels(ratio: float) -> float:
    """An amplitude ratio in dB."""
    return float(20 * np.log10(max(ratio, 1e-20)))


def rms(samples: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
