"""Opens a device again that was lost: tries until one is open, or nobody waits for it any more.

Every call that may hang is made on a thread of its own. An opening that has not come back in time
is given up and counted, and the next try is made without it; if it comes back after all, what it
brings is taken, or closed if it is too late for that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from stream_audio._locks import InterruptibleLock
from stream_audio.contracts.source import OpenSource
from stream_audio.errors import StreamAudioError, in_words
from stream_audio.waiting.clock import Clock, Signal, sit_on

_log = logging.getLogger("stream_audio")

FIRST_PAUSE = 0.25
"""Seconds before the first try, and then twice as many each time, up to:"""

LONGEST_PAUSE = 5.0

OPEN_SECONDS = 12.0
"""After which an opening is given up. A host's own calls have limits of 3 s and 5 s, and an
opening waits until the lost device is closed."""

MOST_STUCK = 3
"""Openings that may hang at the same time: each keeps a thread, and what the driver took."""


class ReopenState(Enum):
    """How far it has come."""

    IDLE = auto()
    """Nothing was lost."""
    PAUSING = auto()
    """Between two tries."""
    OPENING = auto()
    """A try is under way."""
    STUCK = auto()
    """So many openings hang that another one would only hang as well."""
    ENDED = auto()
    """Nobody waits any more."""


class Watch(Protocol):
    """Somebody who notices when devices change."""

    def close(self) -> None:
        """Notice nothing any more."""


class _Opening:
    """One try, on a thread of its own."""

    def __init__(self, reopener: Reopener, number: int) -> None:
        self.is_over = False
        self.opened: OpenSource | None = None
        self._reopener = reopener
        self._signal = reopener.clock.signal()
        self._thread = threading.Thread(
            target=self._run, name=f"stream-audio-reopen-{number}", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        sit_on(self._signal)
        try:
            self.opened = self._reopener.open()
        except Exception as error:  # the next try may succeed
            _log.debug("reopening %s: %s", self._reopener.name, in_words(error))
        finally:
            self._reopener.note(self)
            self._signal.close()


class Reopener:
    """Finds a source its next device, again and again.

    Parameters
    ----------
    name : str
        The source's id, for the log.
    open : callable
        Opens and starts a device, or raises; may hang.
    hand_over : callable
        Takes what was opened; False if nobody waits for it any more.
    give_up : callable
        Called when the time is over; the source then ends.
    clock : Clock
        The session's.
    timeout : float, optional
        Seconds after a loss until it is over; ``None``: never.
    watch : callable, optional
        Has a function called whenever devices may have come or gone, until it is closed.

    Attributes
    ----------
    state : ReopenState
        How far it has come; any thread may look.
    tries : int
        Openings that were begun.
    given_up : int
        Openings that had not come back in time.
    """

    def __init__(
        self,
        name: str,
        open: Callable[[], OpenSource],
        hand_over: Callable[[OpenSource], bool],
        give_up: Callable[[], object],
        clock: Clock,
        *,
        timeout: float | None = None,
        watch: Callable[[Callable[[], object]], Watch] | None = None,
    ) -> None:
        self.name = name
        self.open = open
        self.clock = clock
        self.state = ReopenState.IDLE
        self.tries = 0
        self.given_up = 0
        self._hand_over = hand_over
        self._give_up = give_up
        self._timeout = timeout
        self._watch = watch
        self._lock = InterruptibleLock()
        self._under_way: list[_Opening] = []
        self._outage = 0  # counts them: what was meant for an earlier one is too late
        self._changed = False
        self._wake: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """Try until :meth:`end`: the device is lost. Does not block; any thread."""
        with self._lock:
            self._outage += 1
            self._changed = False
            self.state = ReopenState.PAUSING
            signal = self.clock.signal()
            self._wake = signal.set
        threading.Thread(
            target=self._run,
            args=(signal, self._outage),
            name="stream-audio-reopener",
            daemon=True,
        ).start()

    def nudge(self) -> None:
        """Try at once: devices have changed. Does not block; any thread."""
        with self._lock:
            self._changed = True
            wake = self._wake
        wake()

    def end(self) -> None:
        """Try no more. Does not block, whatever hangs; any thread, and more than once."""
        with self._lock:
            self.state = ReopenState.ENDED
            wake = self._wake
        wake()

    def note(self, opening: _Opening) -> None:
        """Take note of an opening that has come back; on its thread."""
        with self._lock:
            opening.is_over = True
            wake, ended = self._wake, self.state in (ReopenState.ENDED, ReopenState.IDLE)
            if ended and opening in self._under_way:
                self._under_way.remove(opening)
        if not ended:
            wake()
        elif opening.opened is not None:
            opening.opened.close()

    # ---- the thread of one outage ----

    def _run(self, signal: Signal, outage: int) -> None:
        sit_on(signal)
        watch = self._begin_watch()
        try:
            self._try_until_over(signal, outage)
        except Exception:
            _log.exception("reopening %s", self.name)
            self._give_up()
        finally:
            if watch is not None:
                watch.close()
            for opening in self._those_over():  # meanwhile
                if opening.opened is not None:
                    opening.opened.close()
            signal.close()

    def _begin_watch(self) -> Watch | None:
        try:
            return None if self._watch is None else self._watch(self.nudge)
        except StreamAudioError as error:
            _log.info("source %s: devices cannot be watched: %s", self.name, in_words(error))
            return None  # the pauses alone decide

    def _try_until_over(self, signal: Signal, outage: int) -> None:
        now = self.clock.now()
        limit = None if self._timeout is None else now + self._timeout
        pause = FIRST_PAUSE
        next_try = now + pause
        newest: _Opening | None = None
        newest_until = now
        while self._goes_on(outage):
            now = self.clock.now()
            for opening in self._those_over():
                if opening is newest:
                    newest, next_try = None, now + pause
                if opening.opened is not None and self._took(opening.opened, outage):
                    return
            if limit is not None and now >= limit:
                self.end()
                self._give_up()
                return
            if self._was_changed():
                pause, next_try = FIRST_PAUSE, now
            if newest is not None and now >= newest_until:
                self._count_as_given_up()
                newest, next_try = None, now
            if newest is None and now >= next_try and len(self._under_way) < MOST_STUCK:
                newest, newest_until = self._begin_opening(), now + OPEN_SECONDS
                pause = min(2 * pause, LONGEST_PAUSE)
            self._sleep(signal, newest is not None, newest_until, next_try, limit)

    def _sleep(
        self,
        signal: Signal,
        is_opening: bool,
        newest_until: float,
        next_try: float,
        limit: float | None,
    ) -> None:
        with self._lock:
            if self.state is ReopenState.ENDED:
                return
            stuck = not is_opening and len(self._under_way) >= MOST_STUCK
            if is_opening:
                self.state, wake_at = ReopenState.OPENING, newest_until
            elif stuck:
                self.state, wake_at = ReopenState.STUCK, float("inf")
            else:
                self.state, wake_at = ReopenState.PAUSING, next_try
        wake_at = wake_at if limit is None else min(wake_at, limit)
        signal.wait(None if wake_at == float("inf") else max(0.0, wake_at - self.clock.now()))

    def _goes_on(self, outage: int) -> bool:
        with self._lock:
            return self.state is not ReopenState.ENDED and self._outage == outage

    def _those_over(self) -> list[_Opening]:
        with self._lock:
            over = [each for each in self._under_way if each.is_over]
            self._under_way = [each for each in self._under_way if not each.is_over]
            return over

    def _was_changed(self) -> bool:
        with self._lock:
            changed, self._changed = self._changed, False
            return changed

    def _begin_opening(self) -> _Opening:
        self.tries += 1
        opening = _Opening(self, self.tries)
        with self._lock:
            self._under_way.append(opening)
        return opening

    def _count_as_given_up(self) -> None:
        self.given_up += 1
        _log.warning(
            "source %s: opening its device has not come back within %g s; it is given up (%d so "
            "far)",
            self.name,
            OPEN_SECONDS,
            self.given_up,
        )

    def _took(self, opened: OpenSource, outage: int) -> bool:
        with self._lock:
            wanted = self.state is not ReopenState.ENDED and self._outage == outage
            if wanted:
                self.state = ReopenState.IDLE
        went_on = False
        try:
            went_on = wanted and self._hand_over(opened)
        finally:
            if not went_on:
                opened.close()
        return True
