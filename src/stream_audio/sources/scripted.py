"""A device that outlives its openings: its script says when it is there, and how it opens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._native import lib
from stream_audio._record import Record
from stream_audio.audio.format import MAX_CHANNELS, MAX_SAMPLE_RATE
from stream_audio.devices.candidate import Candidate, Way
from stream_audio.devices.input_device import InputDevice
from stream_audio.errors import (
    ConfigError,
    DeviceError,
    DeviceFormatError,
    DeviceNotFoundError,
)
from stream_audio.sources.channels import channels_to_open
from stream_audio.sources.virtual import OpenVirtual, Stay, VirtualSource
from stream_audio.waiting.clock import deadline_ns

if TYPE_CHECKING:
    from stream_audio._native.capture import Capture
    from stream_audio.contracts.opening import Opening
    from stream_audio.contracts.source import OpenSource
    from stream_audio.waiting.clock import Clock

HOST_API = "virtual"

LEAVING = ("dead", "told", "silent")  # in the order of sa_leaving


class _Kind(Enum):
    ABSENT = "is unplugged"
    CHANGED = "has another format"
    MOVED = "is replaced by the server, which moves the stream to another device"
    REFUSING = "is busy"
    HANGING = "hangs"
    SUSPENDED = "is suspended"


_ENDS = (_Kind.ABSENT, _Kind.CHANGED, _Kind.MOVED)


class Incident(Record):
    """What happens to a device of :class:`VirtualDevices`, and when.

    The class methods make incidents. ``at`` is in seconds since the ``VirtualDevices`` were made,
    by their clock; time for which the machine slept counts. ``seconds`` is how long it lasts;
    ``None``: for good.
    """

    kind: _Kind
    at_ns: int
    until_ns: int
    leaving: int = 1
    sample_rate: int | None = None
    channels: int | None = None

    @classmethod
    def absent(
        cls,
        at: float,
        seconds: float | None = None,
        *,
        leaves: Literal["dead", "told", "silent"] = "told",
    ) -> Incident:
        """Unplug the device, and plug it in again after ``seconds``.

        ``leaves`` says how an open device goes: the host tells at once ("told", as sound servers
        do), it says so only when it is asked ("dead"), or it claims to run on ("silent").
        """
        one_of("leaves", leaves, LEAVING)
        return cls(_Kind.ABSENT, *_span(at, seconds), LEAVING.index(leaves))

    @classmethod
    def changed(
        cls, at: float, *, sample_rate: int | None = None, channels: int | None = None
    ) -> Incident:
        """Give the device another rate or number of channels; an open stream ends."""
        if sample_rate is None and channels is None:
            raise ConfigError("nothing is changed", hint="Give a sample_rate or channels")
        if sample_rate is not None:
            whole_number("sample_rate", sample_rate, 1000, MAX_SAMPLE_RATE)
        if channels is not None:
            whole_number("channels", channels, 1, MAX_CHANNELS)
        span = _span(at, None)
        return cls(_Kind.CHANGED, *span, sample_rate=sample_rate, channels=channels)

    @classmethod
    def moved(cls, at: float) -> Incident:
        """Have the server move the stream to another device, which ends it; the device stays."""
        return cls(_Kind.MOVED, *_span(at, None))

    @classmethod
    def refusing(cls, at: float, seconds: float | None = None) -> Incident:
        """Refuse every opening meanwhile, as a device does that another program has open."""
        return cls(_Kind.REFUSING, *_span(at, seconds))

    @classmethod
    def hanging(cls, at: float, seconds: float | None = None) -> Incident:
        """Let every opening hang until the end of that time, as a wedged driver does.

        Virtual time stands still while a session starts: a start hangs until the end of the
        ``with`` block.
        """
        return cls(_Kind.HANGING, *_span(at, seconds))

    @classmethod
    def suspended(cls, at: float, seconds: float | None = None) -> Incident:
        """Put the device to sleep, as a sound server does when it is told to."""
        return cls(_Kind.SUSPENDED, *_span(at, seconds))


def _span(at: float, seconds: float | None) -> tuple[int, int]:
    start = deadline_ns(real_number("at", at, 0, 1e8))
    if seconds is None:
        return start, int(lib.SA_NEVER)
    return start, start + deadline_ns(real_number("seconds", seconds, 0, 1e8))


class World(Protocol):
    """Where the device is. Times are nanoseconds since its script began, as incidents count."""

    @property
    def zero_ns(self) -> int:
        """When that was: by the clock, with the machine's sleep counted in."""
        ...

    def now_ns(self) -> int:
        """Return the time."""
        ...

    def hang(self, until_ns: int) -> None:
        """Return at that time, or when the world ends."""

    def default_id(self) -> str:
        """Return the id of the device that is the default now; empty: there is none."""
        ...


class ScriptedDevice:
    """A device of a world, which lists it while it is there.

    Parameters
    ----------
    world : World
        Has the clock.
    name : str
        The device's name; its id is that after ``"virtual:"``.
    voice : VirtualSource
        What it delivers and how, as long as its script leaves it alone.
    is_monitor : bool
        As for :class:`InputDevice`.
    script : iterable of Incident
        What happens to it.
    """

    def __init__(
        self,
        world: World,
        name: str,
        voice: VirtualSource,
        *,
        is_monitor: bool,
        script: Iterable[Incident],
    ) -> None:
        self.name = name
        self.id = f"virtual:{name}"
        self._is_monitor = is_monitor
        self._world = world
        self._voice = voice
        self._script = sorted(script, key=lambda incident: incident.at_ns)

    def is_there(self) -> bool:
        """Whether it is plugged in now."""
        return self._now(_Kind.ABSENT) is None

    def changes_ns(self) -> list[int]:
        """Return when it comes, goes or becomes another one, in order."""
        changes = [each for each in self._script if each.kind in (_Kind.ABSENT, _Kind.CHANGED)]
        times = {at for each in changes for at in (each.at_ns, each.until_ns)}
        return sorted(at for at in times if at != lib.SA_NEVER)

    def candidate(self, *, is_default: bool) -> Candidate:
        """Return what a listing shows of it now."""
        voice = self._voice_now()
        latency = voice.latency or voice.period / voice.sample_rate
        return Candidate(
            device=InputDevice(
                name=self.name,
                host_api=HOST_API,
                channels=voice.channels,
                sample_rate=voice.sample_rate,
                low_latency=latency,
                high_latency=latency,
                is_default=is_default,
                id=self.id,
                is_monitor=self._is_monitor,
                latency=voice.latency,
            ),
            source=self.id,
            way=Way.SERVER,
            native=self,
        )

    def open(
        self,
        sample_rate: int | None,
        channels: int | tuple[int, ...] | None,
        opening: Opening,
        *,
        is_role: bool,
    ) -> OpenSource:
        """Open it as its script has it now; may hang.

        Raises
        ------
        DeviceNotFoundError, DeviceFormatError, DeviceError
            It has gone meanwhile, has another rate, or refuses.
        """
        while hanging := self._now(_Kind.HANGING):
            self._world.hang(hanging.until_ns)
        if not self.is_there():
            raise DeviceNotFoundError(f"{self.name!r} is gone")
        if self._now(_Kind.REFUSING):
            raise DeviceError(
                f"cannot open {self.name!r}",
                host_text="Device or resource busy",
                hint="Another program may have it open",
            )
        voice = self._voice_now()
        if sample_rate not in (None, voice.sample_rate):
            raise DeviceFormatError(
                f"{self.name!r} does not record at {sample_rate} Hz",
                hint=f"Its own rate is {voice.sample_rate} Hz",
            )
        _, own = channels_to_open(channels, self.name, voice.channels, opening.formats)
        capture = opening.capture(voice.sample_rate, voice.channels, voice.period)
        return _OpenScripted(self, voice, capture, opening.clock, own, is_role=is_role)

    def stay(self) -> tuple[Stay, str]:
        """Return how long a stream of it lives that starts now, and why it will end."""
        now = self._world.now_ns()
        zero = self._world.zero_ns
        ends = next((e for e in self._script if e.kind in _ENDS and e.at_ns > now), None)
        suspended = [
            (zero + each.at_ns, min(zero + each.until_ns, lib.SA_NEVER))
            for each in self._script
            if each.kind is _Kind.SUSPENDED and each.until_ns > now
        ]
        if ends is None:
            return Stay(suspensions=tuple(suspended)), ""
        return Stay(zero + ends.at_ns, ends.leaving, tuple(suspended)), ends.kind.value

    def role_taken_by(self) -> str:
        """Return the id of another device that is the default now."""
        default = self._world.default_id()
        return "" if default == self.id else default

    def _now(self, kind: _Kind) -> Incident | None:
        now = self._world.now_ns()
        there = [each for each in self._script if each.kind is kind]
        return next((each for each in there if each.at_ns <= now < each.until_ns), None)

    def _voice_now(self) -> VirtualSource:
        now = self._world.now_ns()
        voice = self._voice
        for each in self._script:
            if each.kind is _Kind.CHANGED and each.at_ns <= now:
                voice = replace(
                    voice,
                    sample_rate=each.sample_rate or voice.sample_rate,
                    channels=each.channels or voice.channels,
                )
        return voice


class _OpenScripted(OpenVirtual):
    """A stream of a scripted device."""

    def __init__(
        self,
        device: ScriptedDevice,
        voice: VirtualSource,
        capture: Capture,
        clock: Clock,
        own_channels: tuple[int, ...],
        *,
        is_role: bool,
    ) -> None:
        stay, self._why = device.stay()
        self._is_told = stay.leaving == LEAVING.index("told")
        super().__init__(voice, capture, clock, stay)
        self.own_channels = own_channels
        self.description = f"{device.name}, {HOST_API}"
        self.device_id = device.id
        self._device = device
        self._is_role = is_role

    def end_reason(self) -> str:
        """Return why it ended, if its host has told."""
        if self.is_active() or not self._is_told:
            return ""
        return f"{self.description} {self._why}"

    def role_taken_by(self) -> str:
        """Return the id of the device that is the default now, if this one was and is not."""
        return self._device.role_taken_by() if self._is_role else ""
