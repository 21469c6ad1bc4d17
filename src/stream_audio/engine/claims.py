"""Which sink objects are in use: one belongs to one session at a time."""

from __future__ import annotations

from stream_audio._locks import InterruptibleLock
from stream_audio.errors import SessionStateError, shown

# By their identity, and held on to: that of an object that is gone is used again.
_in_use: dict[int, object] = {}
_lock = InterruptibleLock()


class Claims:
    """The sinks that one session has claimed."""

    def __init__(self) -> None:
        self._own: set[int] = set()

    def take(self, sink: object) -> None:
        """Claim a sink."""
        with _lock:
            if id(sink) in self._own:
                raise SessionStateError(
                    f"{shown(sink)} is in this session already", hint="Add one sink object once"
                )
            if id(sink) in _in_use:
                raise SessionStateError(
                    f"{shown(sink)} is in use in another session",
                    hint="Make a new sink for each session",
                )
            _in_use[id(sink)] = sink
            self._own.add(id(sink))

    def give_back(self, sink: object) -> None:
        """Let go of one sink; does nothing if it is not claimed."""
        with _lock:
            if id(sink) in self._own:
                self._own.remove(id(sink))
                del _in_use[id(sink)]

    def give_all_back(self) -> None:
        """Let go of every sink."""
        with _lock:
            for each in self._own:
                del _in_use[each]
            self._own.clear()
