"""What Ctrl-C, SIGTERM and SIGHUP do: they end what runs as it should end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from stream_audio import Session

STOP_TIMEOUT = 10.0
"""Seconds in all that a recording has left when the system, or an impatient user, ends it."""


def _of_system() -> list[signal.Signals]:
    """Return the signals by which a system ends a program; an ignored SIGHUP stays ignored."""
    numbers = [signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        numbers.append(hang_up)
    return numbers


@contextmanager
def unwinding() -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and SIGHUP raise, once, so that nothing half done is left."""
    numbers = [signal.SIGINT, *_of_system()]

    def end(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second one would end the clearing up
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stopping:
    """A ``with`` block in which Ctrl-C, SIGTERM and SIGHUP end the recording as it should end.

    After the first Ctrl-C everything that was captured is written, as long as there is progress.
    SIGTERM and SIGHUP come from a system that will not wait, and a second Ctrl-C from a user who
    does not: the end then takes :data:`STOP_TIMEOUT` at most. An ignored SIGHUP (``nohup``)
    stays ignored.

    Attributes
    ----------
    told : threading.Event
        Set when the recording is to end.
    in_a_hurry : bool
        Whether the end must not take long.
    session : Session or None
        The one that runs, for a signal that comes while it stops.
    """

    def __init__(self) -> None:
        self.told = threading.Event()
        self.in_a_hurry = False
        self.session: Session | None = None
        self._received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._tell) for number in (signal.SIGINT, *_of_system())
        }
        return self

    def __exit__(self, *raised: object) -> None:
        if not self._received:  # else the process is on its way out, and more change nothing
            for number, handler in self._before.items():
                signal.signal(number, handler)

    @contextmanager
    def ending(self, session: Session) -> Iterator[None]:
        """Stop a session at the end of a ``with`` block, as quickly as the signal asks for."""
        with session:
            self.session = session
            yield
            if self.in_a_hurry:
                session.stop(timeout=STOP_TIMEOUT)

    def is_over(self, session: Session, seconds: float) -> bool:
        """Wait so long; True once a session has ended, or is to end."""
        return self.told.is_set() or session.wait(seconds)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        hurry = number != signal.SIGINT or self._received
        stops_already = self._received
        self._received = True
        self.in_a_hurry = self.in_a_hurry or hurry
        self.told.set()
        session = self.session
        if stops_already and session is not None:
            # The main thread may be waiting in that session's stop: another one shortens it.
            threading.Thread(target=session.stop, args=(STOP_TIMEOUT,), daemon=True).start()
