"""Who runs a session's turns: its router, or the one consumer that waits for what they bring.

Two hand-overs of a thread stand between a callback and a consumer: the router has to wake up, and
then the consumer. A consumer that runs the turn itself has one, which halves its latency, and more
than that when other threads compete for the GIL. So while the consumer of a lone channel waits, it
has the baton. The router takes it back when the consumer stays away, and when there is something
that only the router does: any other chunk than the fast path's, commands, the end of a source, the
end of the session.

An exception from outside (Ctrl-C, or one that another thread sets) ends the consumer's read and
nothing else: in a consumer's turn all is done by then, or nothing (fast_path.py). That is why
conversions and sinks are left to the router, at the price of its hand-over. A handler of signals
that is not Python's own may wait for the session: then the router runs the turns.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import Enum, auto

from stream_audio._locks import InterruptibleLock
from stream_audio.waiting.interrupts import none_but_ctrl_c
from stream_audio.waiting.signals import LockSignal

AWAY = 0.1
"""Seconds after which a consumer that has not come back for more has lost the baton."""

INTERRUPTIBLE = 0.1
"""Seconds for which a consumer waits in one go, as Ctrl-C gets through in between only."""


class Consumer(Enum):
    """Where the consumer is; only its own thread says so."""

    ELSEWHERE = auto()
    """It does something with what it got, or waits in another way."""
    AT_IT = auto()
    """It runs the turns, or is about to."""


class Baton:
    """Passed between the router and at most one consumer; on real time.

    Parameters
    ----------
    run_turn : callable
        Runs one turn of a consumer's, which sleeps until the given time (``time.monotonic()``) at
        most; true if the consumer need not ask whether there is something for it.
    wake : callable
        Ends the sleep of the turn that is under way.
    meanwhile : callable
        Called by the router now and then, while a consumer runs the turns.
    """

    def __init__(
        self,
        run_turn: Callable[[float], object],
        wake: Callable[[], object],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self._run_turn = run_turn
        self._wake = wake
        self._meanwhile = meanwhile
        self._turns = InterruptibleLock()  # held by whoever runs them
        self._back = LockSignal()  # what the router sleeps on while a consumer runs them
        self._consumer = Consumer.ELSEWHERE
        self._consumer_left = -math.inf
        self._recalled = False
        self._may_be_lent = False

    # ---- the router's side ----

    def open(self) -> None:
        """Let consumers have it from now on."""
        self._may_be_lent = True

    def close(self) -> None:
        """From now on the router alone runs turns; waits for the end of one that is under way."""
        self._may_be_lent = False
        self._wake()
        with self._turns:
            pass

    def take(self) -> None:
        """Wait until no consumer runs turns, or will soon again."""
        while self._may_be_lent and not self._recalled and (left := self._consumer_stays()) > 0:
            self._back.wait(left)
            self._meanwhile()
        self._turns.acquire()
        self._consumer_left = -math.inf  # it has to ask for it again
        # What it was recalled for is looked at next; what comes up from now on recalls it again.
        self._recalled = False

    def drop(self) -> None:
        """Let a consumer have it that asks for it."""
        self._turns.release()

    def _consumer_stays(self) -> float:
        """Return for how many seconds there is no need to look whether the consumer is here."""
        return (
            AWAY
            if self._consumer is Consumer.AT_IT
            else self._consumer_left + AWAY - time.monotonic()
        )

    # ---- any thread ----

    @property
    def is_held_here(self) -> bool:
        """Whether the calling thread is a consumer's, in the middle of a turn."""
        return self._turns._is_owned()

    def recall(self) -> None:
        """Have the router run the next turn, at once."""
        self._recalled = True
        self._wake()
        self._back.set()

    # ---- the consumer's side ----

    def run_turns(self, ready: Callable[[], object], until: float) -> bool:
        """Run turns until ``ready()``, and return True; False: the router runs them.

        False, too, at the time ``until``.
        """
        if not self._may_be_lent or self._recalled or self._consumer is Consumer.AT_IT:
            return False
        if not none_but_ctrl_c():
            return False
        # One function, without others around what takes long: see fast_path.py.
        try:
            self._consumer = Consumer.AT_IT
            if not self._get(until):
                return False
            while not ready():
                now = time.monotonic()
                if not self._may_be_lent or self._recalled or now >= until:
                    return False
                if self._run_turn(min(until, now + INTERRUPTIBLE)):
                    break
        finally:
            self._consumer = Consumer.ELSEWHERE
            try:  # noqa: SIM105 - a context manager takes longer, and may be interrupted itself
                self._turns.release()
            except RuntimeError:
                pass  # it never had them
            self._consumer_left = time.monotonic()
        return True

    def stay_away(self) -> None:
        """Say that the consumer, which has run turns, will wait in another way."""
        if self._consumer_left != -math.inf and self._consumer is Consumer.ELSEWHERE:
            self._consumer_left = -math.inf
            self._back.set()

    def _get(self, until: float) -> bool:
        if not self._turns.acquire(blocking=False):
            # The router gives it up at the end of its turn, unless it has more to do first.
            self._wake()
            left = max(0.0, min(until - time.monotonic(), INTERRUPTIBLE))
            return self._turns.acquire(timeout=left)
        return True
