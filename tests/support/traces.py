"""Recorded packet traces: when each callback came, with how much, and what the host counted.

The files are in `tests/fixtures/traces`; `tests/fixtures/record_traces.py` records them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "fixtures" / "traces"

COUNTER_SPAN = 2**23
"""The sources that count wrap after so many frames (see `servers/jack_counter.c`)."""


@dataclass(frozen=True)
class Trace:
    """The packets of one capture, in order.

    Parameters
    ----------
    rate
        Frames a second.
    entry_ns
        When each callback was entered, from the first one on; whole microseconds.
    frames
        How many frames each brought.
    host_frame
        The host's own count for the first of them, 32 bits; empty if it has none.
    first
        Which frame of the source the first of them was, where the source tells; else empty.
    """

    rate: int
    entry_ns: NDArray[np.int64]
    frames: NDArray[np.int64]
    host_frame: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def load(cls, name: str) -> Self:
        """Read a trace from its file."""
        with np.load(FOLDER / f"{name}.npz") as file:
            return cls(
                int(file["rate"]),
                np.cumsum(file["entry_us"], dtype=np.int64) * 1000,
                file["frames"].astype(np.int64),
                np.cumsum(file["host_frame"], dtype=np.int64) % 2**32,
                np.cumsum(file["first"], dtype=np.int64) % COUNTER_SPAN,
            )

    def save(self, name: str) -> Path:
        """Write a trace to its file: differences, which take little room."""
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(
            path,
            rate=self.rate,
            entry_us=np.diff(self.entry_ns // 1000, prepend=0).astype(np.int32),
            frames=self.frames.astype(np.uint16),
            host_frame=np.diff(self.host_frame, prepend=0).astype(np.int64),
            first=np.diff(self.first, prepend=0).astype(np.int32),
        )
        return path

    def without(self, dropped: slice | NDArray[np.bool_]) -> Self:
        """Return it as it would be if the host had lost these packets."""
        keep = np.ones(len(self.frames), bool)
        keep[dropped] = False
        return type(self)(
            self.rate,
            self.entry_ns[keep],
            self.frames[keep],
            self.host_frame[keep] if len(self.host_frame) else self.host_frame,
            self.first[keep] if len(self.first) else self.first,
        )

    def uncounted(self) -> Self:
        """Return it as it would be if the host did not count frames."""
        nothing = np.empty(0, np.int64)
        return type(self)(self.rate, self.entry_ns, self.frames, nothing, self.first)
