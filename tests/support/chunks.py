"""Chunks made by hand, whose samples tell their place: sample = frame number."""

import numpy as np

from stream_audio import AudioChunk, Gap, GapCause

RATE = 48_000
START_TIME = 1000.0


def time_of(frame: int) -> float:
    """When a frame was captured."""
    return START_TIME + frame / RATE


def make_chunk(
    frame: int, frames: int, *, missing: int = 0, source: str = "mic", channels: int = 1
) -> AudioChunk:
    """Return a chunk; ``missing``: so many frames before it are lost."""
    column = np.arange(frame, frame + frames, dtype=np.float32)
    data = np.repeat(column[:, None], channels, axis=1)
    data.flags.writeable = False
    gaps = (make_gap(frame - missing, missing, source=source),) if missing else ()
    return AudioChunk(source, data, RATE, frame, time_of(frame), time_of(frame + frames), gaps)


def make_gap(
    frame: int, frames: int, cause: GapCause = GapCause.HOST_OVERFLOW, *, source: str = "mic"
) -> Gap:
    """Return a gap."""
    return Gap(source, frame, frames, cause, time_of(frame))


def positions(chunk: AudioChunk) -> list[int]:
    """Return the frame number that each sample tells."""
    return [int(value) for value in chunk.data[:, 0]]
