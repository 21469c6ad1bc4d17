"""What turning 48 kHz stereo into 16 kHz mono costs, and what it does to the sound.

Every contender gets chunks of 100 ms, one after another, and makes of each the mono chunk and the
levels (peak and RMS, of what goes in and of what comes out). CPU time is this thread's, medians
over the rounds, in each of which another contender begins. The quality is that of tones which went
the same way: what is left beside a tone of 997 Hz, also from 44.1 kHz, the level of a tone of
6.5 kHz, and what comes out of one of 11 kHz, which 16 kHz cannot hold and which would come back as
one of 5 kHz.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from math import gcd
from typing import Any

import compiled
import machine
import numpy as np
import soxr
from numpy.typing import NDArray
from report import table
from scipy.signal import resample_poly

from stream_audio import AudioChunk, AudioFormat
from stream_audio._native.samples import levels
from stream_audio.convert.plan import conversion

RATE_IN, RATE_OUT = 48_000, 16_000
OTHER_RATE_IN = 44_100
SECONDS = 20
AIM_MS = 2.0
AIM_ALIAS = -100.0

Signal = NDArray[np.float32]
Contender = Callable[[Iterable[Signal], int], Iterator[Signal]]
"""Takes chunks and their rate."""


@dataclass
class Stereo:
    """A source, as far as a conversion asks for it."""

    sample_rate: int
    channels: int = 2
    own_channels: tuple[int, ...] = (0, 1)
    silence_is_normal: bool = False


def stream_audio(quality: str) -> Contender:
    wanted = AudioFormat(RATE_OUT, 1, quality=quality)

    def convert(chunks: Iterable[Signal], rate: int) -> Iterator[Signal]:
        stages = [each.make() for each in conversion("mic", Stereo(rate), wanted, 0.1).stages]
        frame = 0
        for samples in chunks:
            found = levels(samples)  # as the router's native read finds them
            made = [AudioChunk("mic", samples, rate, frame, 0.0, 0.0, (), 0, *found)]
            frame += len(samples)
            for stage in stages:
                made = [each for chunk in made for each in stage.convert(chunk)]
            yield from (chunk.data for chunk in made)
        yield from (chunk.data for chunk in stages[-1].flush())

    return convert


def numpy_levels(samples: Signal) -> tuple[Any, Any]:
    return np.abs(samples).max(axis=0), np.sqrt(np.square(samples).mean(axis=0))


def stateless(resample: Callable[[Signal, int], Signal]) -> Contender:
    """Each chunk for itself, as if nothing had come before it."""

    def convert(chunks: Iterable[Signal], rate: int) -> Iterator[Signal]:
        for samples in chunks:
            numpy_levels(samples)
            made = resample(samples.mean(axis=1), rate)
            numpy_levels(made)
            yield made[:, None]

    return convert


def linear(samples: Signal, rate: int) -> Signal:
    """The seed's way."""
    places = np.arange(len(samples) * RATE_OUT // rate) * (rate / RATE_OUT)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)


def polyphase(samples: Signal, rate: int) -> Signal:
    divisor = gcd(rate, RATE_OUT)
    return resample_poly(samples, RATE_OUT // divisor, rate // divisor)


def soxr_alone(samples: Signal, rate: int) -> Signal:
    return soxr.resample(samples, rate, RATE_OUT)


def in_one_go(chunks: Iterable[Signal], rate: int) -> Iterator[Signal]:
    """For comparison: it is no stream that waits for its end."""
    samples = np.concatenate(list(chunks))
    numpy_levels(samples)
    made = polyphase(samples.mean(axis=1), rate)
    numpy_levels(made)
    yield made[:, None]


OURS = "stream_audio (HQ)"
CONTENDERS: dict[str, Contender] = {
    OURS: stream_audio("HQ"),
    "stream_audio (VHQ)": stream_audio("VHQ"),
    "linear, each chunk for itself (the seed)": stateless(linear),
    "soxr.resample, each chunk for itself": stateless(soxr_alone),
    "scipy resample_poly, each chunk for itself": stateless(polyphase),
    "scipy resample_poly, all in one go": in_one_go,
}


def chunks_of(wave: Signal, rate: int) -> list[Signal]:
    stereo = np.repeat(wave.astype(np.float32)[:, None], 2, axis=1)
    return [stereo[first : first + rate // 10] for first in range(0, len(stereo), rate // 10)]


def heard(contender: Contender, frequency: float, rate: int = RATE_IN) -> Signal:
    """Two seconds from the middle of what comes out for a tone."""
    tone = 0.5 * np.sin(2 * np.pi * frequency * np.arange(4 * rate) / rate)
    made = np.concatenate(list(contender(chunks_of(tone, rate), rate)))[:, 0]
    return made[RATE_OUT : 3 * RATE_OUT].astype(np.float64)


def decibels(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-12)))


def rms(samples: Signal) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def tone_in(wave: Signal, frequency: float) -> Signal:
    """The tone of that frequency that is in a signal, whatever its level and phase."""
    turns = 2 * np.pi * frequency * np.arange(len(wave)) / RATE_OUT
    both = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    return both @ np.linalg.lstsq(both, wave)[0]


def noise_ratio(contender: Contender, rate: int) -> float:
    wave = heard(contender, 997.0, rate)
    clean = tone_in(wave, 997.0)
    return decibels(rms(clean) / rms(wave - clean))


def quality(contender: Contender) -> dict[str, float]:
    full = 0.5 / np.sqrt(2)
    high = heard(contender, 6500.0)
    return {
        "snr": noise_ratio(contender, RATE_IN),
        "snr_from_44100": noise_ratio(contender, OTHER_RATE_IN),
        "gain": decibels(rms(tone_in(high, 6500.0)) / full),
        "alias": decibels(rms(heard(contender, 11_000.0)) / full),
    }


def cpu_ms(contender: Contender, chunks: list[Signal]) -> float:
    """CPU time a second of audio."""
    began = time.thread_time()
    for _ in contender(chunks, RATE_IN):
        pass
    return (time.thread_time() - began) / SECONDS * 1000


def main() -> None:
    wanted = compiled.options(__doc__, rounds=9)
    bystanders = machine.Bystanders()
    noise = np.random.default_rng(0).standard_normal(SECONDS * RATE_IN) * 0.1
    chunks = chunks_of(noise, RATE_IN)
    names = list(CONTENDERS)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(wanted.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            times[name].append(cpu_ms(CONTENDERS[name], chunks))
    figures: dict[str, dict[str, Any]] = {
        name: {
            "cpu_ms": statistics.median(times[name]),
            "rounds": times[name],
            **quality(contender),
        }
        for name, contender in CONTENDERS.items()
    }
    ours = figures[OURS]
    rows = [
        [
            name,
            f"{each['cpu_ms']:.2f} x{each['cpu_ms'] / ours['cpu_ms']:.2f}",
            f"{each['snr']:.1f}",
            f"{each['snr_from_44100']:.1f}",
            f"{each['gain']:+.2f}",
            f"{each['alias']:.1f}",
        ]
        for name, each in figures.items()
    ]
    paragraphs = [
        "48 kHz stereo to 16 kHz mono with the levels of both, in chunks of 100 ms: CPU time a "
        "second of audio, the median of the rounds and its ratio to the first; the ratio of "
        "signal to noise of a tone of 997 Hz, and of one that comes at 44.1 kHz; the level of a "
        "tone of 6.5 kHz; and what is left of one of 11 kHz, which folds to 5 kHz. (From 48 to 16 "
        "the linear way takes every third sample: a low tone alone does not mind.) With "
        + ", ".join(f"{name} {version(name)}" for name in ("soxr", "scipy", "numpy"))
        + ".",
        table(["", "CPU ms/s", "SNR dB", "from 44.1", "6.5 kHz dB", "alias dB"], rows),
        "\n".join(
            [
                verdict(ours["cpu_ms"] <= AIM_MS, f"at most {AIM_MS:.0f} ms of CPU a second"),
                verdict(ours["alias"] <= AIM_ALIAS, f"alias at most {AIM_ALIAS:.0f} dB"),
            ]
        ),
    ]
    compiled.tell(wanted, "convert", "Conversion", paragraphs, {"figures": figures}, bystanders)


def verdict(met: bool, aim: str) -> str:
    return f"- {'met' if met else 'NOT MET'}: {aim}"


if __name__ == "__main__":
    main()
