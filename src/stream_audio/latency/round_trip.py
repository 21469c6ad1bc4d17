"""How long a signal takes out of the machine and in again.

A maximum-length sequence is played on and on through one duplex stream. Its circular
autocorrelation is a single peak, so the cross-correlation of one repetition of what came back with
what was played peaks at the delay, however the loop colours the sound, and far below the noise:
65535 frames gain 48 dB. The peak is placed between frames by band-limited interpolation, as
evaluating the inverse Fourier transform there does.

Sequences: S. W. Golomb, "Shift Register Sequences", 1967. Measuring with them: D. D. Rife and
J. Vanderkooy, "Transfer-Function Measurement with Maximum-Length Sequences", J. Audio Eng. Soc. 37
(6), 1989.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream_audio import DeviceError
from stream_audio.devices.duplex import Heard, play_and_listen
from stream_audio.latency.figures import figures

LEVEL_DBFS = -20.0
LONGEST = 1.0
"""Seconds; the sequence is at least that long, and a longer way round appears shorter by it."""

LEAST_PEAK = 8.0
"""A peak counts that stands so many times above the rest's root mean square. Of 65535 values of
noise the highest stands 4.5 times above it."""

REACH = 1
"""Frames around the highest value among which the true peak is looked for."""

STEPS = 16
"""Places looked at between two frames, before a parabola goes through the highest three."""

_TAPS = {
    10: (10, 7),
    11: (11, 9),
    12: (12, 11, 10, 4),
    13: (13, 12, 11, 8),
    14: (14, 13, 12, 2),
    15: (15, 14),
    16: (16, 15, 13, 4),
    17: (17, 14),
    18: (18, 11),
}
"""Primitive polynomials over GF(2), by their order."""


@dataclass(frozen=True)
class Echo:
    """What one repetition of the signal brought back.

    Attributes
    ----------
    delay : float
        Frames, between those that were played and those that came back.
    gain : float
        dB, from what was played to what came back.
    inverted : bool
        Whether the loop turns the signal's sign.
    clarity : float
        How many times the peak stands above the root mean square of everything else.
    """

    delay: float
    gain: float
    inverted: bool
    clarity: float


def maximum_length_sequence(order: int) -> NDArray[np.float32]:
    """Return a sequence of ``2**order - 1`` values of ±1 whose spectrum is flat.

    Parameters
    ----------
    order : int
        10 to 18.
    """
    taps = [order - tap for tap in _TAPS[order]]
    state = [1] * order
    length = 2**order - 1
    bits = np.empty(length, np.float32)
    for start in range(length):  # of the register, which runs through a list that grows
        bits[start] = state[start]
        state.append(sum(state[start + tap] for tap in taps) & 1)
    return 1 - 2 * bits


def sequence_for(sample_rate: int) -> NDArray[np.float32]:
    """Return the shortest sequence that lasts :data:`LONGEST` seconds, as far as there is one."""
    order = math.ceil(math.log2(LONGEST * sample_rate + 1))
    return maximum_length_sequence(min(max(order, min(_TAPS)), max(_TAPS)))


def find_echo(heard: NDArray[np.float32], signal: NDArray[np.float32]) -> Echo | None:
    """Return the signal's way through one repetition of it, or ``None`` if it is not there.

    Parameters
    ----------
    heard : ndarray of float32, shape (frames,)
        As long as the signal, and begun together with a repetition of it.
    signal : ndarray of float32, shape (frames,)
        A maximum-length sequence, as it was played.
    """
    frames = len(signal)
    played = np.fft.rfft(signal)
    energy = float(np.square(signal, dtype=np.float64).sum())
    spectrum = np.fft.rfft(heard) * np.conj(played) / energy
    correlation = np.fft.irfft(spectrum, frames)
    highest = int(np.argmax(np.abs(correlation)))
    peak = abs(float(correlation[highest]))
    around = (np.arange(highest - 32, highest + 33)) % frames
    rest = np.delete(correlation, around)
    noise = float(np.sqrt(np.square(rest).mean()))
    # A perfect loop leaves nothing but the sequence's own -1/frames.
    clarity = peak / max(noise, 1 / frames)
    if peak == 0 or clarity < LEAST_PEAK:
        return None
    delay, value = _between(spectrum, frames, highest)
    return Echo(
        delay=delay if delay < frames - 0.5 else delay - frames,  # noise about 0
        gain=20 * math.log10(abs(value)),
        inverted=value < 0,
        clarity=clarity,
    )


def _between(spectrum: NDArray[np.complex128], frames: int, highest: int) -> tuple[float, float]:
    """Return place and value of the peak of the band-limited correlation near a frame."""
    places = highest + np.arange(-REACH * STEPS, REACH * STEPS + 1) / STEPS
    turns = np.exp(2j * np.pi / frames * np.outer(places, np.arange(len(spectrum))))
    weights = np.full(len(spectrum), 2.0)
    weights[0] = 1.0  # an odd length has no frequency of its own at the other end
    values = (turns @ (spectrum * weights)).real / frames
    best = int(np.argmax(np.abs(values)))
    best = min(max(best, 1), len(values) - 2)
    before, at, after = values[best - 1 : best + 2]
    bend = before - 2 * at + after
    shift = 0.0 if bend == 0 else 0.5 * (before - after) / bend
    return float(places[best] + shift / STEPS), float(at - 0.25 * (before - after) * shift)


def echoes(heard: Heard, signal: NDArray[np.float32]) -> tuple[int, list[Echo | None]]:
    """Return the channel that the signal came back on, and each repetition's echo.

    The first repetition is left out: its beginning had not come back yet. Without an echo on any
    channel, the channel is the first.
    """
    count = len(heard.samples) // len(signal)
    by_channel: list[list[Echo | None]] = []
    for samples in heard.samples.T:
        parts = [samples[n * len(signal) : (n + 1) * len(signal)] for n in range(1, count)]
        by_channel.append([find_echo(part, signal) for part in parts])

    def clarity(channel: int) -> float:
        return sum(echo.clarity for echo in by_channel[channel] if echo)

    best = max(range(len(by_channel)), key=clarity)
    return best, by_channel[best]


def measure_round_trip(
    seconds: float,
    *,
    input: str | None,
    output: str | None,
    sample_rate: int | None,
    period: int,
    latency: Literal["low", "high"] | float = "low",
    level: float = LEVEL_DBFS,
    go_on: Callable[[float], bool],
) -> dict[str, Any]:
    """Play and listen, and return the figures, ready for ``json.dumps``.

    Raises
    ------
    DeviceError
        Nothing that was played came back, or a device does not work.
    """
    unit = sequence_for(sample_rate or 48_000)
    signal = (unit * 10 ** (level / 20)).astype(np.float32)
    heard = play_and_listen(
        signal,
        seconds,
        input=input,
        output=output,
        sample_rate=sample_rate,
        period=period,
        latency=latency,
        go_on=go_on,
    )
    return round_trip_figures(heard, signal)


def round_trip_figures(heard: Heard, signal: NDArray[np.float32]) -> dict[str, Any]:
    """Return the figures of what came back.

    Raises
    ------
    DeviceError
        Nothing did.
    """
    channel, found = echoes(heard, signal)
    there = [echo for echo in found if echo is not None]
    if not there:
        raise DeviceError(
            f"nothing that was played to {heard.output!r} came back from {heard.input!r}"
            + ("" if found else f" within {len(heard.samples) / heard.sample_rate:.1f} s"),
            hint="Connect the output to the input (cable, loopback, JACK, a monitor), turn the "
            f"volume up, and measure for at least {3 * len(signal) / heard.sample_rate:.0f} s",
        )
    delays = np.array([echo.delay for echo in there])
    times = np.array([n for n, echo in enumerate(found, 1) if echo]) * len(signal)
    rate = heard.sample_rate
    return {
        "input": heard.input,
        "output": heard.output,
        "host_api": heard.host_api,
        "sample_rate": rate,
        "channel": channel,
        "frames": delays.round(3).tolist(),
        "delay": figures(delays / rate, times / rate),
        "host_says": {"input": heard.input_latency, "output": heard.output_latency},
        "gain_db": round(float(np.median([echo.gain for echo in there])), 2),
        "inverted": there[-1].inverted,
        "clarity": round(float(np.median([echo.clarity for echo in there])), 1),
        "silent_repetitions": len(found) - len(there),
        "longest_measurable": len(signal) / rate,
        "overflows": heard.overflows,
        "underflows": heard.underflows,
    }
