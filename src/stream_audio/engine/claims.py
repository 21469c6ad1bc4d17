"""Which sink objects are in use: one belongs to one session at a time."""

from __future__ import annotations

import threading

from stream_audio.errors import SessionStateError

_in_use: set[int] = set()
_lock = threading.Lock()


class Claims:
    """The sinks that one session has claimed."""

    def __init__(self) -> None:
        self._own: set[int] = set()

    def take(self, sink: object) -> None:
        """Claim a sink, which the session must then hold on to."""
        with _lock:
            if id(sink) in self._own:
                raise SessionStateError(
                    f"{sink!r} is in this session already", hint="Add one sink object once"
                )
            if id(sink) in _in_use:
                raise SessionStateError(
                    f"{sink!r} is in use in another session",
                    hint="Make a sink of its own for each session",
                )
            _in_use.add(id(sink))
            self._own.add(id(sink))

    def give_back(self, sink: object) -> None:
        """Let go of one sink; does nothing if it is not claimed."""
        with _lock:
            if id(sink) in self._own:
                self._own.remove(id(sink))
                _in_use.remove(id(sink))

    def give_all_back(self) -> None:
        """Let go of every sink."""
        with _lock:
            _in_use.difference_update(self._own)
            self._own.clear()
