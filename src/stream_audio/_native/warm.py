"""What a session opened of a host, kept open for a while for the next one.

Only what nobody uses is kept, and one thing of a kind. It is let go when its time is over, before
a fork, whose child must not have it, and when the interpreter exits.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from stream_audio._locks import InterruptibleLock, Latch
from stream_audio._native import in_own_process
from stream_audio.errors import HostUnresponsiveError


class Warmable:
    """Something open, shared by counting: the last of those who hold it lets it go.

    Attributes
    ----------
    keep_warm : float
        Seconds that it stays open then.
    """

    def __init__(self) -> None:
        self.keep_warm = 0.0
        self._environment = dict(os.environ)  # which says what is opened, and where
        self._holders = 1
        self._lock = InterruptibleLock()

    def hold(self: W) -> W:
        """Keep it open for one more holder."""
        with self._lock:
            self._holders += 1
        return self

    def release(self) -> None:
        """Let go of it; the last one closes it, or leaves it to the next session."""
        with self._lock:
            self._holders -= 1
            if self._holders > 0 or not in_own_process():
                return
        if self.keep_warm > 0 and self.rest():
            _shelf.put(self)
        else:
            self.close()

    def rest(self) -> bool:
        """Get ready to be used again; False if that cannot be."""
        return True

    def wake(self) -> bool:
        """Make sure that it is as if it had just been opened; False if it cannot be used again.

        Raises
        ------
        HostUnresponsiveError
            Its host does not answer, so that not even closing it would be wise.
        """
        return True

    def close(self) -> None:
        """Close it. Nobody uses it any more."""
        raise NotImplementedError

    def discard(self) -> None:
        """Close it, and wait for that within seconds only, whatever its host does."""
        self.close()

    @property
    def environment_is_its_own(self) -> bool:
        """Whether what is opened now would be opened in the same environment."""
        return self._environment == dict(os.environ)


W = TypeVar("W", bound=Warmable)


class Reuse:
    """What one start of a session may use again of those before it, and leaves to the next.

    Parameters
    ----------
    seconds : float
        How long; 0: nothing is used again, and nothing left.
    """

    def __init__(self, seconds: float) -> None:
        self._found: list[Warmable] = []
        self._seconds = seconds
        self._allowed = seconds > 0

    def take(
        self,
        kind: type[W],
        make: Callable[[], W],
        fits: Callable[[W], bool] = lambda kept: True,
    ) -> W:
        """Return one that is still open, or a new one; the caller holds it."""
        kept = _shelf.take(kind, fits) if self._allowed else None
        if kept is not None:
            self._found.append(kept)
        taken = make() if kept is None else kept
        taken.keep_warm = self._seconds
        return taken

    def has_found(self) -> bool:
        """Whether something was still open."""
        return bool(self._found)

    def give_up(self) -> None:
        """Leave nothing to others of what was still open, and find nothing any more."""
        for each in self._found:
            each.keep_warm = 0.0
        self._found = []
        self._allowed = False


class _Shelf:
    """What is kept, each until its time is over; and the thread that sees to that."""

    def __init__(self) -> None:
        self._lock = InterruptibleLock()
        self._kept: dict[type[Warmable], tuple[Warmable, float]] = {}
        self._changed = Latch()
        self._thread: threading.Thread | None = None

    def put(self, warm: Warmable) -> None:
        with self._lock:
            before = self._kept.pop(type(warm), None)
            self._kept[type(warm)] = warm, time.monotonic() + warm.keep_warm
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="stream-audio-warm", daemon=True
                )
                self._thread.start()
            self._changed.set()
        if before is not None:
            before[0].discard()

    def take(self, kind: type[W], fits: Callable[[W], bool]) -> W | None:
        with self._lock:
            found = self._kept.pop(kind, None)
        if found is None:
            return None
        kept = found[0]
        assert isinstance(kept, kind)
        try:
            is_usable = kept.environment_is_its_own and fits(kept) and kept.wake()
        except HostUnresponsiveError:
            self.put(kept)
            raise
        if is_usable:
            return kept.hold()
        kept.discard()
        return None

    def let_go(self, due: float = float("inf")) -> None:
        """Close what is to be kept until ``due`` at most."""
        with self._lock:
            over = [kind for kind, (_, until) in self._kept.items() if until <= due]
            left = [self._kept.pop(kind)[0] for kind in over]
            self._changed.set()
        for each in left:
            each.discard()

    def _run(self) -> None:
        while True:
            self.let_go(time.monotonic())
            with self._lock:
                if not self._kept:
                    self._thread = None
                    return
                wake_at = min(until for _, until in self._kept.values())
                changed = self._changed = Latch()
            changed.wait(wake_at - time.monotonic())


_shelf = _Shelf()


def let_go() -> None:
    """Close all that is kept."""
    _shelf.let_go()


def _forget() -> None:
    """In a forked child: what was put there between the two is the parent's."""
    global _shelf
    _shelf = _Shelf()


atexit.register(let_go)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=let_go, after_in_child=_forget)
