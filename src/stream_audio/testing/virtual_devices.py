"""Devices in place of the machine's, which come and go by a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Literal, Self

from stream_audio._checks import name_text, real_number
from stream_audio._locks import InterruptibleLock
from stream_audio._native import lib
from stream_audio.devices import changes
from stream_audio.devices import list as listing
from stream_audio.devices.candidate import Candidate
from stream_audio.devices.changes import Subscription
from stream_audio.errors import ConfigError, ConfigTypeError, SessionStateError
from stream_audio.sources.scripted import Incident, ScriptedDevice
from stream_audio.sources.virtual import VirtualSource
from stream_audio.waiting import clock as clocks
from stream_audio.waiting.clock import NANOSECONDS, Clock, Signal, asleep_ns, deadline_ns


class VirtualDevices:
    """Input devices in place of the machine's, for tests: ``with VirtualDevices(clock) as …``.

    Within the ``with`` block every listing and every session in this process finds these devices
    and no others, and ``clock`` is the clock of each session whose ``StreamConfig`` names none.
    So a program is tested as it is: it opens ``AudioSource.default_device()`` or a device by name.

    A device outlives its openings. Its script says when it is there, how it opens, and what else
    becomes of it; see :class:`Incident`. On a virtual clock, the same script gives the same run.

    Parameters
    ----------
    clock : Clock, optional
        A :class:`VirtualClock`; ``None``: the real clock, for a program that runs in real time.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        clock = clocks.MonotonicClock() if clock is None else clock
        if not isinstance(clock, Clock):
            raise ConfigTypeError(f"clock must be a Clock, not {clock!r}")
        self.clock = clock
        self.zero_ns = self._world_ns()
        self._devices: dict[str, ScriptedDevice] = {}
        self._defaults: list[tuple[int, str]] = []
        self._lock = InterruptibleLock()
        self._hanging: list[Signal] = []
        self._is_over = False

    def add(
        self,
        name: str,
        *,
        sample_rate: int = 48_000,
        channels: int = 1,
        signal: Literal["sine", "noise", "silence", "counter", "chirp", "room"] = "room",
        script: Iterable[Incident] = (),
        period: int = 256,
        frequency: float = 440.0,
        level: float = -12.0,
        drift_ppm: float = 0.0,
        jitter: float = 0.0,
        latency: float | None = None,
        is_monitor: bool = False,
        seed: int = 0,
    ) -> None:
        """Add a device; the first one is the default, unless :meth:`make_default` says otherwise.

        Parameters
        ----------
        name : str
            Its name. Its id is the name after ``"virtual:"``.
        signal : str
            What it hears. "chirp" and "room" depend on the clock's time alone, so that devices
            with the same ``seed`` hear the same sound.
        script : iterable of Incident
            What happens to it.
        is_monitor : bool
            Whether it records what programs play.
        sample_rate, channels, period, frequency, level, drift_ppm, jitter, latency, seed
            As for :meth:`stream_audio.AudioSource.virtual`.

        Raises
        ------
        ConfigError, ConfigTypeError
            The name is taken, or a value is wrong.
        """
        name_text("name", name)
        if name in self._devices:
            raise ConfigError(f"there is already a device {name!r}", hint="Give it another name")
        script = tuple(script)
        for incident in script:
            if not isinstance(incident, Incident):
                raise ConfigTypeError(f"a script has Incident objects, not {incident!r}")
        voice = VirtualSource(
            signal=signal,
            sample_rate=sample_rate,
            channels=channels,
            period=period,
            frames=None,
            frequency=frequency,
            level=level,
            drift_ppm=drift_ppm,
            jitter=jitter,
            latency=latency,
            pace="real_time",
            faults=(),
            seed=seed,
        )
        self._devices[name] = ScriptedDevice(
            self, name, voice, is_monitor=is_monitor, script=script
        )

    def make_default(self, name: str, at: float = 0.0) -> None:
        """Make a device the default from ``at`` seconds on; while it is absent, another one is.

        That is the one that was the default before it, or else the first of those that are there.
        """
        if name not in self._devices:
            raise ConfigError(f"there is no device {name!r}")
        self._defaults.append((deadline_ns(real_number("at", at, 0, 1e8)), name))

    @property
    def now(self) -> float:
        """Seconds since these devices were made, as their scripts count."""
        return self.now_ns() / NANOSECONDS

    def __enter__(self) -> Self:
        if listing.has_stand_in():
            raise SessionStateError("other VirtualDevices stand in for the machine's already")
        listing.stand_in(self._candidates)
        changes.stand_in(self)
        clocks.stand_in(self.clock)
        return self

    def __exit__(self, *raised: object) -> None:
        listing.stand_in(None)
        changes.stand_in(None)
        clocks.stand_in(None)
        with self._lock:
            self._is_over = True
            hanging = list(self._hanging)
        for signal in hanging:
            signal.set()

    # ---- what a scripted device asks ----

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""
        return self._world_ns() - self.zero_ns

    def watch(self, changed: Callable[[], object]) -> Subscription:
        """Call ``changed`` whenever a script has a device come, go or change."""
        return _ScriptWatch(self, changed)

    def next_change_ns(self) -> int | None:
        """Return when that is next; ``None``: never again."""
        now = self.now_ns()
        times = [at for device in self._devices.values() for at in device.changes_ns()]
        times += [at for at, _ in self._defaults]
        return min((at for at in times if at > now), default=None)

    def hang(self, until_ns: int) -> None:
        """Return at that time, or at the end of the ``with`` block."""
        own = clocks.own_signal()  # a thread has one seat
        signal = self.clock.signal() if own is None else own
        with self._lock:
            self._hanging.append(signal)
        try:
            while not self._is_over and (left_ns := until_ns - self.now_ns()) > 0:
                signal.wait(None if until_ns == lib.SA_NEVER else left_ns / NANOSECONDS)
        finally:
            with self._lock:
                self._hanging.remove(signal)
            if own is None:
                signal.close()
        if self._is_over:
            raise SessionStateError("the VirtualDevices are gone")

    def default_id(self) -> str:
        """Return the id of the default device; empty if there is none."""
        device = self._default()
        return "" if device is None else device.id

    def _default(self) -> ScriptedDevice | None:
        now = self.now_ns()
        named = [name for at, name in sorted(self._defaults, reverse=True) if at <= now]
        wanted = [*(self._devices[name] for name in named), *self._devices.values()]
        return next((device for device in wanted if device.is_there()), None)

    def _candidates(self) -> list[Candidate]:
        default = self._default()
        return [
            device.candidate(is_default=device is default)
            for device in self._devices.values()
            if device.is_there()
        ]

    def _world_ns(self) -> int:
        return int(lib.sa_clock_now(self.clock.native)) + asleep_ns(self.clock)


class _ScriptWatch:
    """A thread that sleeps on the clock until a script has something happen."""

    def __init__(self, devices: VirtualDevices, changed: Callable[[], object]) -> None:
        self._devices = devices
        self._changed = changed
        self._is_closed = False
        self._signal = devices.clock.signal()
        self._thread = threading.Thread(target=self._run, name="stream-audio-script", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        clocks.sit_on(self._signal)
        try:
            while not self._is_closed:
                at = self._devices.next_change_ns()
                left = None if at is None else (at - self._devices.now_ns()) / NANOSECONDS
                self._signal.wait(left)
                if at is not None and self._devices.now_ns() >= at and not self._is_closed:
                    self._changed()
        finally:
            self._signal.close()

    def close(self) -> None:
        """Call it no more."""
        self._is_closed = True
        self._signal.set()
