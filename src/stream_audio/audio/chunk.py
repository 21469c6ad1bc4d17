"""A chunk: contiguous frames of one source, with their place, their time and their levels."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._native.samples import levels
from stream_audio._public import public
from stream_audio.audio.format import SampleType, check_sample_type
from stream_audio.audio.gap import Gap, gaps_within
from stream_audio.audio.samples import sample_bytes, sealed, to_float32
from stream_audio.audio.wav_bytes import wav_bytes
from stream_audio.errors import ConfigError, ConfigTypeError

Origin = tuple[float, float | None]
"""What a source's times count from: when its frame 0 was captured, in seconds since the session's
start; and what ``time.time()`` was at 0 of the clock of ``chunk.time``, on whose scale the machine
has not slept since (``None`` for chunks that were made by hand: nobody has looked)."""


@public
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AudioChunk:
    """Contiguous frames of one source; immutable, and yours to keep as long as you like.

    ``len(chunk)`` is its number of frames. ``chunk[start:stop]`` is a chunk of those frames alone,
    with its own position, time, levels and gaps. ``np.asarray(chunk)`` gives the samples. Every
    chunk is true, even an empty one.

    A chunk lasts ``StreamConfig.chunk_duration``, in every format. A chunk before a gap and the
    last one may be shorter. A chunk for sinks that take batches (see :class:`~stream_audio.Sink`)
    holds all that had gathered. Arrays may be views into blocks of about a second of audio.

    Attributes
    ----------
    source : str
        The id of the source.
    data : ndarray, shape (frames, channels)
        Samples. Consumers share them, so they are read-only and cannot be made writeable. They are
        float32 of full scale ±1.0, unless the sink's format asks for "int16" (full scale 2**15),
        "int24" or "int32" (both int32 of full scale 2**31).
    sample_rate : int
        Frames a second.
    frame : int
        Position of the first frame on the source's timeline, in frames of this chunk's own
        ``sample_rate``. Lost frames count, so ``frame / sample_rate`` never slides against real
        time.
    time : float
        Capture time of the first frame, ``time.monotonic()`` seconds, with the jitter of the
        callbacks filtered out. If ``time_quality`` in the source's report is "adc", it is the time
        at the converter. Otherwise it still includes the latency of the hardware.
    arrival : float
        When the callback that brought the last frame was entered, ``time.monotonic()`` seconds.
    gaps : tuple of Gap
        Frames that are missing just before this chunk, in order; empty if none are.
    overflows : int
        Callbacks in this chunk with the host's overflow flag. It is only a hint: some hosts never
        set it, others set it without a loss.
    clipped : int
        Samples in this chunk beyond full scale that were cut when they became integers.
    source_rate : int, optional
        The source's own sample rate, if this chunk has a different one.
    absent : tuple of Gap
        In a merge: where silence stands for a source, and why. These gaps lie within the chunk,
        and their ``source`` is the id of that source. Not to be confused with ``gaps``, which are
        frames that this chunk's own timeline lacks.
    """

    source: str
    data: NDArray[Any]
    sample_rate: int
    frame: int
    time: float
    arrival: float
    gaps: tuple[Gap, ...] = ()
    overflows: int = 0
    _peaks: NDArray[np.float32] | None = None
    _squares: NDArray[np.float64] | None = None
    clipped: int = 0
    source_rate: int | None = None
    _origin: Origin = (0.0, None)
    absent: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        if self._peaks is None or self._squares is None:  # not from a capture: made by hand
            peaks, squares = levels(np.ascontiguousarray(to_float32(self.data)))
            object.__setattr__(self, "_peaks", peaks)
            object.__setattr__(self, "_squares", squares)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return True  # or `while chunk := channel.get()` would end at an empty one

    def __getitem__(self, frames: slice) -> AudioChunk:
        if not isinstance(frames, slice):
            raise ConfigTypeError(
                f"a chunk takes a slice, not {frames!r}",
                hint="chunk[0:480] is a chunk of its first 480 frames; chunk.data has the samples",
            )
        start, stop, step = frames.indices(len(self.data))
        if step != 1:
            raise ConfigError(
                f"a chunk is contiguous: its slice cannot have steps of {step}",
                hint=f"chunk.data[::{step}] are samples without a position on the timeline",
            )
        return _part(self, start, max(start, stop))

    __iter__ = None  # it would go through single frames, which are no chunks

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        data = self.data
        if dtype is not None and np.dtype(dtype) != data.dtype:
            if copy is False:
                raise ValueError(f"samples of type {data.dtype} as {dtype} need a copy")
            return data.astype(dtype)
        return data.copy() if copy else data

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.data)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.data.shape[1])

    @property
    def end(self) -> int:
        """Position of the first frame after this chunk."""
        return self.frame + len(self.data)

    @property
    def source_frame(self) -> int:
        """The source's own count at the first frame; ``frame`` unless the rate was changed."""
        if self.source_rate is None:
            return self.frame
        return self.frame * self.source_rate // self.sample_rate

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.data) / self.sample_rate

    @property
    def timestamp(self) -> float:
        """When the first frame was captured, in seconds since the session's start.

        The device's clock counts it: ``frame / sample_rate`` plus the start of the source, which
        the first chunk sets once and for all. So it is as even as the frames are. It drifts
        against ``time`` as the device's clock drifts against the computer's.
        """
        return self._origin[0] + self.frame / self.sample_rate

    @property
    def wall_time(self) -> float:
        """When the first frame was captured on the wall clock, ``time.time()`` seconds.

        The session reads the wall clock once, as it begins, and adds ``time`` and the time that
        the machine has slept since. A later change of the wall clock does not count.
        """
        epoch = self._origin[1]
        return self.time + (wall_epoch() if epoch is None else epoch)

    @property
    def gap(self) -> Gap | None:
        """The gap just before this chunk: all of ``gaps`` as one, with the cause of the first."""
        if len(self.gaps) <= 1:
            return self.gaps[0] if self.gaps else None
        first = self.gaps[0]
        frames = sum(gap.frames for gap in self.gaps)
        return Gap(first.source, first.frame, frames, first.cause, first.time)

    @property
    def peak(self) -> NDArray[np.float64]:
        """Largest absolute sample of each channel in dBFS, shape (channels,); silence is ``-inf``.

        It is measured in the chunk's own channels and rate, before any rounding to integers.
        """
        assert self._peaks is not None
        with np.errstate(divide="ignore"):
            return 20.0 * np.log10(self._peaks.astype(np.float64))

    @property
    def rms(self) -> NDArray[np.float64]:
        """Root mean square of each channel in dBFS, shape (channels,); ``-inf`` for silence.

        0 dBFS is the level of a full-scale square wave; a full-scale sine has -3.01 dBFS.
        """
        assert self._squares is not None
        with np.errstate(divide="ignore"):
            return 10.0 * np.log10(self._squares / max(1, len(self.data)))

    @property
    def is_silent(self) -> bool:
        """Whether every sample is exactly zero, as from a muted or blocked device."""
        assert self._squares is not None
        return not self._squares.any()

    @property
    def is_finite(self) -> bool:
        """Whether no sample is infinite or not a number."""
        assert self._squares is not None
        return math.isfinite(sum(self._squares.tolist()))

    def to_bytes(self, dtype: SampleType = "int16") -> bytes:
        """Return the samples, interleaved and little-endian.

        Parameters
        ----------
        dtype : "int16", "int24", "int32" or "float32"
            "int24" takes three bytes a sample. Integers are rounded without dither, and clipped.
        """
        return sample_bytes(self.data, check_sample_type(dtype))

    def to_pcm16(self) -> bytes:
        """Return :meth:`to_bytes` with 16-bit integers."""
        return sample_bytes(self.data, "int16")

    def to_wav(self, dtype: SampleType = "int16") -> bytes:
        """Return the samples as a complete WAV file, as web services and ``wave`` accept it.

        Parameters
        ----------
        dtype : "int16", "int24", "int32" or "float32"
            As in :meth:`to_bytes`.
        """
        samples = sample_bytes(self.data, check_sample_type(dtype))
        return wav_bytes(samples, self.sample_rate, self.channels, dtype)

    def __repr__(self) -> str:
        gap = f", after a gap of {self.gap.frames}" if self.gap else ""
        return (
            f"<AudioChunk {self.source!r} frame {self.frame}: {self.frames} frames, "
            f"{self.channels} channels, {self.sample_rate} Hz{gap}>"
        )


def wall_epoch() -> float:
    """Return what ``time.time()`` was at 0 of ``time.monotonic()``, if the machine never slept."""
    return time.time() - time.monotonic()


def wall_time_after(chunk: AudioChunk, epoch: float) -> float:
    """Return :attr:`AudioChunk.wall_time`; of one that was made by hand, by a sink's ``epoch``."""
    return chunk.wall_time if chunk._origin[1] is not None else epoch + chunk.time


def _set_state(chunk: AudioChunk, state: list[Any]) -> None:
    for field, value in zip(fields(chunk), state, strict=True):
        object.__setattr__(chunk, field.name, value)
    if chunk.data.flags.writeable:  # as it comes out of some pickles
        object.__setattr__(chunk, "data", sealed(chunk.data))


# Not in the class: dataclass(slots=True) of Python 3.11.2, Debian's, puts its own in its place.
AudioChunk.__setstate__ = _set_state  # type: ignore[attr-defined]


def _part(chunk: AudioChunk, first: int, last: int) -> AudioChunk:
    """Return the frames from index ``first`` up to ``last``, as a view of the samples."""
    if (first, last) == (0, len(chunk.data)):
        return chunk
    frame, rate = chunk.frame + first, chunk.sample_rate
    gaps = []
    for gap in chunk.gaps:
        if gap.end <= chunk.frame:  # before the chunk, and so before its first frame
            gaps += [gap] if first == 0 else []
        else:  # silence within it
            gaps += gaps_within((gap,), frame, chunk.frame + last, rate)
    return replace(
        chunk,
        data=chunk.data[first:last],
        frame=frame,
        time=chunk.time + first / rate,
        gaps=tuple(gaps),
        overflows=0 if first else chunk.overflows,
        clipped=0 if first else chunk.clipped,
        _peaks=None,
        _squares=None,
        absent=gaps_within(chunk.absent, frame, chunk.frame + last, rate),
    )
