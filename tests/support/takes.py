"""Devices that take one another's place in the middle of a session, as takes of one track."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from stream_audio import Session, StreamConfig
from stream_audio.contracts.opening import Opening
from stream_audio.waiting.clock import sit_on

GIVE_UP = 30.0


class Replacements:
    """Opens the next device each time that one ends, ``after`` seconds later.

    Parameters
    ----------
    session : Session
        It runs.
    source : str
        The id of the source.
    devices : sequence of Source
        One take each; after the last one the track ends.
    after : float
        Seconds of the session's clock between the notice of an end and the next start.
    held : float
        Seconds that a device runs before the track gets it.

    Attributes
    ----------
    started : list of float
        When each device was started.
    errors : list of str
        What became of the takes before.
    """

    def __init__(
        self,
        session: Session,
        source: str,
        devices: Sequence[Any],
        config: StreamConfig,
        *,
        after: float = 1.0,
        held: float = 0.0,
    ) -> None:
        self.started: list[float] = []
        self.errors: list[str] = []
        self.went_on: list[bool] = []
        self._engine = session._engine
        self._track = self._engine.sources[source]
        self._devices = list(devices)
        self._config = config
        self._after, self._held = after, held
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._signal = config.clock.signal()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._track.successor = self

    def take_ended(self, track: Any, take: Any) -> bool:
        """Called by the router."""
        self.errors.append(take.error)
        if not self._devices:
            return False
        self._ended.put(take)
        self._signal.set()
        return True

    given_up = 0

    def track_ended(self) -> None:
        """Called by the router."""

    def _run(self) -> None:
        sit_on(self._signal)
        while self._devices:
            self._signal.wait()
            if self._ended.empty():
                break
            self._ended.get().close()
            clock = self._config.clock
            clock.sleep(self._after)
            opened = self._devices.pop(0).open(Opening(clock, self._config.ring_duration))
            self.started.append(clock.now())
            opened.start()
            if self._held:
                clock.sleep(self._held)
            self.went_on.append(self._engine.go_on(self._track, opened))
            if not self.went_on[-1]:
                opened.close()
        self._signal.close()

    def close(self) -> None:
        """Wait for the thread."""
        self._signal.set()
        self._thread.join(GIVE_UP)
        assert not self._thread.is_alive()


def replaced(session: Session, *args: Any, **kwargs: Any) -> Callable[[], None]:
    """Make replacements, and return what ends them."""
    return Replacements(session, *args, **kwargs).close
