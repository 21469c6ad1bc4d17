"""Devices that hear one sound of the world, each by a clock of its own; and how well they agree.

The times of their chunks are those that the C core finds for packets that come early and late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from stream_audio import AudioChunk, Gap, GapCause
from stream_audio.testing import VirtualClock
from stream_audio.waiting.clock import WallClock
from stream_audio.waiting.session_time import SessionTime
from support.timeline import RATE, START_NS, Device, Timeline, symmetric

START = START_NS / 1e9
Sound = Callable[[np.ndarray], np.ndarray]


def session_time() -> SessionTime:
    """The timeline of a session that started when the devices' frame 0 was captured."""
    clock = VirtualClock()
    session = SessionTime(clock, WallClock(clock))
    session.started_at = START
    return session


def chirp(seconds: np.ndarray, low: float = 200.0, high: float = 4000.0) -> np.ndarray:
    """A sweep up and down, once in 4 s: each moment of it tells when it is."""
    period = 4.0
    turn = 2 * np.pi / period
    middle, reach = (low + high) / 2, (high - low) / 2
    phase = 2 * np.pi * (middle * seconds - reach / turn * np.sin(turn * seconds))
    return 0.5 * np.sin(phase)


def tone(frequency: float = 997.0) -> Sound:
    """A sine of the world."""
    return lambda seconds: 0.5 * np.sin(2 * np.pi * frequency * seconds)


def heard(
    sound: Sound,
    seconds: float,
    *,
    drift_ppm: float = 0.0,
    jitter: float = 0.0,
    start: float = 0.0,
    seed: int = 0,
    chunk_frames: int = 4800,
    source: str = "mic",
    period: int = 480,
) -> Iterator[AudioChunk]:
    """The chunks of a device at 48 kHz that hears a sound, from ``start`` on."""
    device = Device(
        seconds,
        drift_ppm=drift_ppm,
        lateness=symmetric(jitter) if jitter else None,
        period=period,
        seed=seed,
    )
    timeline = Timeline()
    entries = np.maximum.accumulate(device.handed_over + start * 1e9)
    position = 0
    for first, entry in zip(device.positions.tolist(), entries.tolist(), strict=True):
        timeline.packet(first, period, START_NS + round(entry))
        while first + period >= position + chunk_frames:
            time = timeline.time_of(position) / 1e9
            frames = np.arange(position, position + chunk_frames)
            samples = sound(start + frames * device.frame_ns / 1e9).astype(np.float32)[:, None]
            samples.flags.writeable = False
            arrival = (START_NS + entry) / 1e9
            yield AudioChunk(source, samples, RATE, position, time, arrival, _origin=(start, None))
            position += chunk_frames


def offsets(samples: np.ndarray, sound: Sound, frame: int = 0, rate: int = RATE) -> np.ndarray:
    """By how many seconds the first 20 ms of each tenth of a second are early against the sound.

    ``frame`` is the place of the first sample on the session's timeline. The sound may be loud or
    silent, but not flat: where it is, its own slope tells how far it is off.
    """
    samples = samples.ravel()
    count = rate // 50
    found = []
    for start in range(0, len(samples) - count + 1, rate // 10):
        seconds = (frame + start + np.arange(count)) / rate
        piece = samples[start : start + count].astype(np.float64)
        early = 0.0
        for _ in range(3):
            ideal = sound(seconds + early)
            slope = (sound(seconds + early + 1e-6) - sound(seconds + early - 1e-6)) / 2e-6
            early += ((piece - ideal) * slope).sum() / (slope * slope).sum()
        found.append(early)
    return np.array(found)


def thd_n(samples: np.ndarray, frequency: float = 997.0, rate: int = RATE) -> np.ndarray:
    """Total harmonic distortion and noise of a tone in dB, for each second.

    All but 20 Hz on either side of the tone counts, as an analyser's notch leaves it.
    """
    turns = 2 * np.pi * np.arange(rate) / rate
    terms = (0.35875, -0.48829, 0.14128, -0.01168)  # Blackman-Harris
    window = sum(term * np.cos(k * turns) for k, term in enumerate(terms))
    hertz = np.fft.rfftfreq(rate, 1 / rate)
    near = np.abs(hertz - frequency) <= 20
    found = []
    for start in range(0, len(samples) - rate + 1, rate):
        power = np.abs(np.fft.rfft(samples[start : start + rate] * window)) ** 2
        found.append(10 * np.log10(power[~near & (hertz > 5)].sum() / power[near].sum()))
    return np.array(found)


def moved(
    chunk: AudioChunk,
    frames: int = 0,
    *,
    seconds: float | None = None,
    lost: bool = False,
    gap: int = 0,
    epoch: float | None = None,
) -> AudioChunk:
    """The chunk so many frames and seconds later.

    ``lost``: these frames are a gap before it; ``gap``: so many of them are.
    """
    missing = frames if lost else gap
    at = chunk.frame + frames
    gaps = chunk.gaps
    if missing:
        gaps += (Gap(chunk.source, at - missing, missing, GapCause.HOST_OVERFLOW, chunk.time),)
    if seconds is None:
        seconds = 0.0 if epoch is not None else frames / RATE
    origin = chunk._origin if epoch is None else (chunk._origin[0], epoch)
    return replace(chunk, frame=at, time=chunk.time + seconds, gaps=gaps, _origin=origin)
