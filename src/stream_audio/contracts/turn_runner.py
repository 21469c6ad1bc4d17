"""What a sink needs of whoever lends it a session's turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class TurnRunner(Protocol):
    """Lets the consumer of a sink run the session's turns while it waits."""

    def run_turns(self, ready: Callable[[], object], until: float) -> bool:
        """Run turns until ``ready()``, and return True; False: somebody else runs them.

        False, too, at the time ``until`` (``time.monotonic()``).
        """
        ...

    def stay_away(self) -> None:
        """Say that the consumer, which has run turns, will wait in another way."""
