"""A bar on a terminal."""

from __future__ import annotations

import sys

WIDTH = 30


class Progress:
    """How much of the time has passed, on standard error, and only if that is a terminal.

    Parameters
    ----------
    total : float
        Seconds.
    """

    def __init__(self, total: float) -> None:
        self._total = max(total, 1e-9)
        self._done = 0.0
        self._shown = sys.stderr.isatty()

    def show(self, label: str, passed: float) -> None:
        """Show the bar for the step under way, ``passed`` seconds into it."""
        if not self._shown:
            return
        share = min(1.0, (self._done + passed) / self._total)
        full = round(share * WIDTH)
        bar = "█" * full + "░" * (WIDTH - full)
        left = max(0.0, self._total - self._done - passed)
        print(f"\r\033[K{bar} {left:4.0f} s  {label}", end="", file=sys.stderr, flush=True)

    def step(self, seconds: float) -> None:
        """Note that a step of so many seconds is over."""
        self._done += seconds

    def clear(self) -> None:
        """Leave an empty line behind."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
