"""A clock whose time jumps to the next deadline as soon as nobody works."""

from __future__ import annotations

from typing import Any

from stream_audio._checks import real_number
from stream_audio._native import check_process, lib, owned
from stream_audio.waiting.clock import NANOSECONDS, Signal, Sleeper, deadline_ns, own_signal

START = 1000.0
"""What ``now()`` says at first, in seconds; not 0, which would hide mistakes."""


class VirtualClock:
    """A deterministic clock for tests.

    The threads of a session (device, router, sink workers) take seats at the clock. While any of
    them works, time stands still. Once all sleep, the clock jumps to the earliest deadline and
    wakes that one thread. Threads without a seat, such as the test's own, do not hold it up.

    Parameters
    ----------
    auto : bool
        True: time runs whenever all seated threads sleep. False: time stands still until
        :meth:`advance` lets it run.
    """

    def __init__(self, *, auto: bool = True) -> None:
        check_process()
        start = deadline_ns(START)
        self._auto = auto
        native = lib.sa_virtual_clock_create(start, lib.SA_NEVER if auto else start)
        self._native = owned(native, lib.sa_virtual_clock_destroy)

    @property
    def native(self) -> Any:
        """Pointer to the ``sa_clock`` that the C side uses."""
        return self._native

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return float(lib.sa_clock_now(self._native)) / NANOSECONDS

    def signal(self) -> Signal:
        """Make a signal, which takes a seat at the clock."""
        return Sleeper(self)

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass, on a thread of a session or on any other."""
        own = own_signal()
        signal = self.signal() if own is None else own
        until = self.now() + seconds
        woken = False
        while (left := until - self.now()) > 0:
            woken |= signal.wait(left)
        if woken:
            signal.set()  # it was meant for what the thread does when it is back
        if own is None:
            signal.close()

    def advance(self, seconds: float, *, timeout: float = 60.0) -> None:
        """Let ``seconds`` of virtual time pass, and return when all seated threads sleep again.

        On a clock that runs by itself this is :meth:`sleep`.

        Raises
        ------
        TimeoutError
            A seated thread was busy outside the clock for ``timeout`` seconds of real time.
        """
        seconds = real_number("seconds", seconds, 0, 1e9)
        if self._auto:
            self.sleep(seconds)
            return
        limit = lib.sa_clock_now(self._native) + deadline_ns(seconds)
        if not lib.sa_virtual_clock_run_until(self._native, limit, deadline_ns(timeout)):
            raise TimeoutError(f"virtual time stood still for {timeout:g} s: a thread is stuck")

    def suspend(self, seconds: float) -> None:
        """Put the virtual machine to sleep: ``now()`` stands still while its boot time runs.

        A session then misses the frames of that time, with the cause ``GapCause.SUSPENDED``.
        """
        span = deadline_ns(real_number("seconds", seconds, 0, 1e9))
        lib.sa_virtual_clock_suspend(self._native, span)

    def __repr__(self) -> str:
        return f"<VirtualClock at {self.now():.6f} s>"
