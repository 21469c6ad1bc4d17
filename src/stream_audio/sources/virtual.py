"""A source that is scripted: a device like any other, without hardware."""

from __future__ import annotations

import os
from typing import Any, Literal

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._native import ffi, in_own_process, lib
from stream_audio._native.capture import Capture
from stream_audio._record import Record
from stream_audio.audio.format import MAX_CHANNELS, MAX_SAMPLE_RATE
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OnLost, OpenSource, Source, UntoldDevice
from stream_audio.errors import ConfigError, ConfigTypeError, DeviceError
from stream_audio.sources.losing import check_losing
from stream_audio.waiting.clock import Clock, deadline_ns

SIGNALS = ("sine", "noise", "silence", "counter", "chirp", "room")  # in the order of sa_signal

# sa_fault_kind
_STALL, _LOSE, _LOSE_FLAGGED, _DIE, _HANG, _ADC_OFF, _ADC_ZERO, _ADC_BACKWARDS = range(8)


class Fault(Record):
    """A fault of a virtual device that happens once, at a given frame.

    The class methods make faults. ``at`` is a frame of the device's own count. The fault happens
    just before the callback that would bring this frame.
    """

    at: int
    kind: int
    amount: int

    @classmethod
    def stall(cls, at: int, seconds: float) -> Fault:
        """Send no callback for a while, then all at once: nothing is lost."""
        span = deadline_ns(real_number("seconds", seconds, 0, 1e6))
        return cls(whole_number("at", at, 0, 2**62), _STALL, span)

    @classmethod
    def lose(cls, at: int, periods: int = 1, *, flagged: bool = False) -> Fault:
        """Lose periods before the callback; ``flagged``: the host reports an input overflow."""
        whole_number("periods", periods, 1, 2**24)
        kind = _LOSE_FLAGGED if flagged else _LOSE
        return cls(whole_number("at", at, 0, 2**62), kind, periods)

    @classmethod
    def die(cls, at: int) -> Fault:
        """Send no callback ever again; the device says that it is gone, as if unplugged."""
        return cls(whole_number("at", at, 0, 2**62), _DIE, 0)

    @classmethod
    def hang(cls, at: int) -> Fault:
        """Send no callback ever again, while the device claims that it runs."""
        return cls(whole_number("at", at, 0, 2**62), _HANG, 0)

    @classmethod
    def adc(cls, at: int, error: float | Literal["zero", "backwards"]) -> Fault:
        """Make the ADC times wrong from here on; see ``latency`` of the virtual source.

        They are too late by ``error`` seconds (too early if it is negative, right again if it is
        0.0), are zero, or run backwards.
        """
        whole_number("at", at, 0, 2**62)
        if isinstance(error, str):
            one_of("error", error, ("zero", "backwards"))
            return cls(at, _ADC_ZERO if error == "zero" else _ADC_BACKWARDS, 0)
        return cls(at, _ADC_OFF, deadline_ns(real_number("error", error, -1e6, 1e6)))


class VirtualSource(Record, kw_only=True):
    """See :meth:`AudioSource.virtual`."""

    signal: str
    sample_rate: int
    channels: int
    period: int
    frames: int | None
    frequency: float
    level: float
    drift_ppm: float
    jitter: float
    latency: float | None
    pace: Literal["real_time", "freewheel"]
    faults: tuple[Fault, ...]
    seed: int
    on_lost: OnLost | None = "stop"
    lost_timeout: float | None = None

    def __post_init__(self) -> None:
        check_losing(self.on_lost, self.lost_timeout)
        one_of("signal", self.signal, SIGNALS)
        whole_number("sample_rate", self.sample_rate, 1000, MAX_SAMPLE_RATE)
        whole_number("channels", self.channels, 1, MAX_CHANNELS)
        whole_number("period", self.period, 1, 65_536)
        if self.frames is not None:
            whole_number("frames", self.frames, 1, 2**62)
        real_number("frequency", self.frequency, 0, self.sample_rate / 2)
        real_number("level", self.level, -300, 0)
        real_number("drift_ppm", self.drift_ppm, -250_000, 250_000)
        real_number("jitter", self.jitter, 0, 10)
        if self.latency is not None:
            real_number("latency", self.latency, 0, 10)
        one_of("pace", self.pace, ("real_time", "freewheel"))
        whole_number("seed", self.seed, 0, 2**64 - 1)
        for fault in self.faults:
            if not isinstance(fault, Fault):
                raise ConfigTypeError(f"faults must be Fault objects, not {fault!r}")

    def again(self, lost: OpenSource) -> tuple[Source, ...]:
        """Return the like, whose faults begin anew."""
        return (self,)

    def open(self, opening: Opening) -> OpenSource:
        """Make the device; nothing of the system is touched."""
        freewheel = self.pace == "freewheel"
        capture = opening.capture(self.sample_rate, self.channels, self.period, waits=freewheel)
        if freewheel and capture.frames < self.period:
            capture.close()
            raise ConfigError(
                f"a period of {self.period} frames does not fit a ring of {capture.frames}",
                hint="Use a longer StreamConfig(ring_duration=…)",
            )
        return OpenVirtual(self, capture, opening.clock)


class Stay(Record):
    """How long a device is there after it was opened, in the world's time in nanoseconds.

    That is the clock's, with the time counted in for which the machine has slept.
    """

    leaves_ns: int = lib.SA_NEVER
    leaving: int = 0
    """A sa_leaving."""
    suspensions: tuple[tuple[int, int], ...] = ()
    """Spans in which its host has put it to sleep."""


class OpenVirtual(UntoldDevice):
    """A virtual device and its capture."""

    silence_is_normal = False

    def __init__(
        self, source: VirtualSource, capture: Capture, clock: Clock, stay: Stay | None = None
    ) -> None:
        stay = stay or Stay()
        self.capture = capture
        self.sample_rate = source.sample_rate
        self.channels = source.channels
        self.own_channels = tuple(range(source.channels))
        self.latency = source.latency
        self.freewheel = source.pace == "freewheel"
        self.description = f"virtual {source.signal}"
        self._clock = clock  # keeps the native clock alive
        faults = sorted(source.faults, key=lambda fault: fault.at)
        self._native: Any = lib.sa_virtual_device_create(
            clock.native,
            capture.native,
            {
                "sample_rate": source.sample_rate,
                "drift_ppm": source.drift_ppm,
                "frequency": source.frequency,
                "amplitude": 10 ** (source.level / 20),
                "frames": source.frames or 0,
                "jitter_ns": deadline_ns(source.jitter),
                "latency_ns": (
                    lib.SA_NO_LATENCY if source.latency is None else deadline_ns(source.latency)
                ),
                "seed": source.seed,
                "channels": source.channels,
                "period": source.period,
                "signal": SIGNALS.index(source.signal),
                "leaves_ns": stay.leaves_ns,
                "leaving": stay.leaving,
                "freewheel": self.freewheel,
            },
            ffi.new(
                "sa_fault[]",
                [{"at_frame": f.at, "amount": f.amount, "kind": f.kind} for f in faults],
            ),
            len(faults),
            ffi.new("sa_span[]", stay.suspensions),
            len(stay.suspensions),
        )
        if self._native == ffi.NULL:
            raise MemoryError("no memory for a virtual device")

    def start(self) -> None:
        """Start its thread."""
        error = lib.sa_virtual_device_start(self._native)
        if error:
            raise DeviceError("cannot start a virtual device", host_text=os.strerror(error))

    def stop(self) -> None:
        """Stop its thread."""
        lib.sa_virtual_device_stop(self._native)

    def is_active(self) -> bool:
        """Whether it has neither died nor ended."""
        return bool(lib.sa_virtual_device_active(self._native))

    def is_suspended(self) -> bool:
        """Whether its host has put it to sleep."""
        return bool(lib.sa_virtual_device_suspended(self._native))

    def lost(self) -> None:
        """Do nothing: a dead virtual device still answers."""

    def close(self) -> None:
        """Free the device and the capture."""
        if in_own_process():
            lib.sa_virtual_device_destroy(self._native)
            self.capture.close()
