"""Packets for the C timeline, without a capture: any entry times, in any order."""

from collections.abc import Callable

import numpy as np

from stream_audio._native import ffi, lib

SECOND = 1_000_000_000
START_NS = 1000 * SECOND
RATE = 48_000
PERIOD = 256


def symmetric(seconds: float) -> Callable:
    """Callbacks that are early as often as late; no host has them, the virtual device does."""
    return lambda random, count: random.uniform(-seconds, seconds, count)


def only_late(seconds: float) -> Callable:
    return lambda random, count: random.uniform(0, seconds, count)


def mostly_prompt(seconds: float) -> Callable:
    """As a machine does it: short delays, seldom long ones."""
    return lambda random, count: random.exponential(seconds, count)


class Device:
    """When a device's packets are complete, and when they are handed over.

    Attributes are arrays, one element a packet: ``positions`` of the first frames, ``complete``
    and ``handed_over`` in ns after the start. Change them before they are played.
    """

    def __init__(
        self,
        seconds: float,
        *,
        drift_ppm: float = 150.0,
        lateness: Callable | None = None,
        period: int = PERIOD,
        seed: int = 0,
    ) -> None:
        random = np.random.default_rng(seed)
        count = int(seconds * RATE / period)
        self.drift_ppm = drift_ppm
        self.period = period
        self.frame_ns = SECOND / (RATE * (1 + drift_ppm * 1e-6))
        self.positions = np.arange(count) * period
        self.complete = (self.positions + period) * self.frame_ns
        self.handed_over = self.complete.copy()
        if lateness is not None:
            self.handed_over += lateness(random, count) * SECOND

    @property
    def seconds(self) -> np.ndarray:
        """When each packet is complete, in seconds after the start."""
        return self.complete / SECOND

    def delay(self, begin: float, end: float) -> None:
        """Hand over what is due in that span of seconds at its end, all at once."""
        held = (self.seconds > begin) & (self.seconds < end)
        self.handed_over[held] = np.maximum(self.handed_over[held], end * SECOND)

    def leave_out(self, begin: float, end: float, *, counted: bool) -> None:
        """Lose the packets of that span; what is not counted is missing from the positions."""
        kept = (self.seconds < begin) | (self.seconds >= end)
        self.complete, self.handed_over = self.complete[kept], self.handed_over[kept]
        if counted:
            self.positions = self.positions[kept]
        else:
            self.positions = self.positions[: kept.sum()]


class Timeline:
    """A ``sa_timeline`` of its own."""

    def __init__(self, *, latency: float = 0.0) -> None:
        self.native = ffi.new("sa_timeline *")
        lib.sa_timeline_init(self.native, RATE, round(latency * SECOND))
        self._packet = ffi.new("sa_packet *")

    def packet(
        self, position: int, frames: int, entry_ns: int, adc_ns: int = 0, now_ns: int = 0
    ) -> None:
        self._packet.frames = frames
        self._packet.entry_ns = entry_ns
        self._packet.host_adc_ns = adc_ns
        self._packet.host_now_ns = now_ns
        lib.sa_timeline_advance(self.native, self._packet, position)

    def time_of(self, position: int) -> int:
        return int(lib.sa_timeline_time_of(self.native, position))

    @property
    def drift(self) -> tuple[float, float]:
        """Ppm and their standard error."""
        drift = self.native.drift
        return drift.ppm, drift.error_ppm

    @property
    def uses_adc(self) -> bool:
        return bool(self.native.adc.used)

    def play(
        self, device: Device, *, age_ns: Callable[[int, float], float | None] | None = None
    ) -> np.ndarray:
        """Play the device's packets; return how late each one's time was found, in ms.

        ``age_ns(index, lateness_ns)`` is how old the host says a packet's last frame is; ``None``
        says that the ADC time is 0.
        """
        errors = np.empty(len(device.positions))
        entries = np.maximum.accumulate(device.handed_over)
        for index, (position, complete, entry) in enumerate(
            zip(device.positions.tolist(), device.complete.tolist(), entries.tolist(), strict=True)
        ):
            entry_ns = START_NS + round(entry)
            age = None if age_ns is None else age_ns(index, entry - complete)
            if age is None:
                self.packet(position, device.period, entry_ns)
            else:
                adc_ns = entry_ns - round(age + device.period * device.frame_ns)
                self.packet(position, device.period, entry_ns, adc_ns, entry_ns)
            found = self.time_of(position + device.period)
            errors[index] = (found - START_NS - complete) / 1e6
        return errors
