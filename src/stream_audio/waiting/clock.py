"""The clock seam on Python's side: every wait and every timeout goes through it.

A clock gives each thread of a session a :class:`Signal` to sleep on. On the real clock that is a
lock of Python's (so that Ctrl-C gets through); on a virtual one it is a seat at the virtual clock
of ``csrc/clock.h``, where time stands still while any seated thread works.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Protocol, runtime_checkable

from stream_audio._native import check_process, ffi, lib, owned
from stream_audio.waiting.signals import LockSignal

NANOSECONDS = 1_000_000_000


class Signal(Protocol):
    """What one thread sleeps on and others wake; a wake is kept until it is taken."""

    def set(self) -> None:
        """Wake the sleeper, or its next sleep."""

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until set or ``timeout`` seconds have passed; True if it was set."""
        ...

    def close(self) -> None:
        """Give the seat up; called by the thread that slept on it, when it ends."""


@runtime_checkable
class Clock(Protocol):
    """What a session takes its time from."""

    @property
    def native(self) -> Any:
        """The ``sa_clock`` that the C side uses."""

    def now(self) -> float:
        """Seconds, on the scale of ``time.monotonic()`` for the real clock."""
        ...

    def signal(self) -> Signal:
        """Make a signal for a thread that is about to start, or for the calling thread."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass; in a sink, for example, that is slow on purpose."""


class MonotonicClock:
    """The real clock."""

    @property
    def native(self) -> Any:
        """The process's real ``sa_clock``."""
        return lib.sa_clock_real()

    now = staticmethod(time.monotonic)
    """``time.monotonic()``."""

    def signal(self) -> Signal:
        """Make a signal on a Python lock."""
        return LockSignal()

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)

    def __repr__(self) -> str:
        return "MonotonicClock()"


_stand_in: Clock | None = None


def stand_in(clock: Clock | None) -> None:
    """Take ``clock`` for the default of sessions from now on; ``None``: the real one again."""
    global _stand_in
    _stand_in = clock


def default_clock() -> Clock:
    """Return the clock of a session that names none."""
    return MonotonicClock() if _stand_in is None else _stand_in


def ask_for_precise_timers() -> None:
    """Have the calling thread's sleeps in native code end as punctually as the system can."""
    lib.sa_ask_for_precise_timers()


class Sleeper:
    """A seat at a clock of either kind, for a thread that sleeps in native code."""

    def __init__(self, clock: Clock) -> None:
        check_process()
        self._clock = clock  # keeps the native clock alive
        native = lib.sa_sleeper_create(clock.native)
        if native == ffi.NULL:
            raise MemoryError("no memory for a sleeper")
        self.native = owned(native, lib.sa_sleeper_destroy)

    def set(self) -> None:  # noqa: D102 - see Signal
        lib.sa_sleeper_wake(self.native)

    def wait(self, timeout: float | None = None) -> bool:  # noqa: D102
        deadline = lib.SA_NEVER
        if timeout is not None:
            # Upwards: a loop that waits for what is left of a time must get there.
            deadline = lib.sa_clock_now(self._clock.native) + math.ceil(timeout * NANOSECONDS)
        return bool(lib.sa_sleeper_sleep(self.native, deadline))

    def close(self) -> None:  # noqa: D102
        lib.sa_sleeper_retire(self.native)


_own = threading.local()


def sit_on(signal: Signal) -> None:
    """Say which signal the calling thread sleeps on; called as the thread begins."""
    _own.signal = signal


def own_signal() -> Signal | None:
    """Return the signal that the calling thread sleeps on, if it belongs to a session."""
    return getattr(_own, "signal", None)


def epoch(clock: Clock) -> float:
    """Return what ``time.time()`` was at the clock's 0.

    The two are read one after the other, a few times, and the closest pair counts: a thread may
    be interrupted between them.
    """
    closest = math.inf
    found = 0.0
    for _ in range(5):
        before, wall, after = clock.now(), time.time(), clock.now()
        if after - before < closest:
            closest = after - before
            found = wall - (before + after) / 2
    return found


SHORTEST_SLEEP = 0.01
"""Seconds. The clocks are not read in one moment; no machine sleeps for less."""


class WallClock:
    """A session's wall clock: read once, then by the session's clock and the machine's sleep.

    So it runs on while the machine sleeps, when a monotonic clock stands, and does not jump when
    somebody sets the time.

    Attributes
    ----------
    epoch : float
        What ``time.time()`` was at the clock's 0, by the readings at the start.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asleep_ns = asleep_ns(clock)
        self.epoch = epoch(clock)

    def epoch_after(self, asleep_ns: int) -> float:
        """Return the epoch for times at which the machine had slept for so long.

        A sleep moves it by its length, as the clock stands meanwhile.
        """
        slept = (asleep_ns - self._asleep_ns) / NANOSECONDS
        return self.epoch + (slept if slept >= SHORTEST_SLEEP else 0.0)

    def epoch_now(self) -> float:
        """Return the epoch for times from now on."""
        return self.epoch_after(asleep_ns(self._clock))

    def now(self) -> float:
        """Return the time, ``time.time()`` seconds."""
        return self.epoch_now() + self._clock.now()


def asleep_ns(clock: Clock) -> int:
    """Return for how long the machine has slept since it was started, in nanoseconds."""
    return int(lib.sa_clock_suspended(clock.native))


def deadline_ns(seconds: float) -> int:
    """Return a time in seconds as the native clock's nanoseconds."""
    return round(seconds * NANOSECONDS)
