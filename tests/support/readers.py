"""Sound files as programs other than ours read them, from their first to their last frame."""

import shutil
import subprocess
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

GIVE_UP = 60.0

KNOWN = (
    "in output file",  # it is a pipe
    "missing extended part of fmt chunk",  # said of extensible floats, whoever wrote them
)
"""What sox complains of that has nothing to do with the file."""

Samples = NDArray[np.int64]
"""Shape (frames, channels), in steps of 1 / 2**15 of full scale, rounded down."""


def by_soundfile(path: Path) -> tuple[Samples, int]:
    """Read with libsndfile."""
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return np.floor(samples * 2**15).astype(np.int64), rate


def by_wave(path: Path) -> tuple[Samples, int]:
    """Read 16 bits with Python's ``wave``."""
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert len(samples) == file.getnframes() * file.getnchannels()
        return samples.reshape(-1, file.getnchannels()).astype(np.int64), file.getframerate()


def by_sox(path: Path) -> tuple[Samples, int]:
    """Read with sox, which must have nothing to complain of."""
    if shutil.which("sox") is None:
        pytest.skip("sox is not installed")
    decoded = subprocess.run(
        ["sox", path, "-t", "au", "-e", "signed-integer", "-b", "32", "-"],
        capture_output=True,
        timeout=GIVE_UP,
        check=True,
    )
    complaints = decoded.stderr.decode().splitlines()
    assert [line for line in complaints if not any(known in line for known in KNOWN)] == []
    # Sun's header, of 32-bit numbers: magic, where the samples begin, size, type, rate, channels.
    header = np.frombuffer(decoded.stdout[:24], ">u4")
    samples = np.frombuffer(decoded.stdout[header[1] :], ">i4").reshape(-1, header[5])
    return samples.astype(np.int64) >> 16, int(header[4])


def seconds_by_ffmpeg(path: Path) -> float:
    """Return how long what ffmpeg's libraries decode is; Opus it decodes at 48 kHz."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        frames = sum(frame.samples for frame in file.decode(stream))
        return float(frames / stream.codec_context.sample_rate)


def by_ffmpeg(path: Path) -> tuple[Samples, int]:
    """Read with ffmpeg's libraries."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        channels = stream.codec_context.channels
        pieces: list[NDArray[Any]] = [np.zeros(0, np.int16)]
        for frame in file.decode(stream):
            piece = frame.to_ndarray()
            pieces.append((piece.T if frame.format.is_planar else piece).ravel())
        rate = stream.codec_context.sample_rate
    samples = np.concatenate(pieces[1:] or pieces).reshape(-1, channels)
    if samples.dtype.kind == "f":
        return np.floor(samples * 2.0**15).astype(np.int64), rate
    return samples.astype(np.int64) >> (8 * samples.dtype.itemsize - 16), rate
