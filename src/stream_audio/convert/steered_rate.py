"""A change of the rate of one span, steered: in cells of a fixed length, each with one ratio.

Cells begin with the span and wherever it is steered, not where chunks do. So what comes out is the
same, bit for bit, however the frames came.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_audio.convert.variable_rate import VariableRate
from stream_audio.reports.ledger import AlignmentAccount

CELL = 0.0125
"""Seconds of a cell."""

GLIDES = 4
"""A change of the ratio is spread over so many cells: a jump is heard as noise."""


class SteeredRate:
    """One unbroken run of frames on its way to another rate, which is steered.

    Parameters
    ----------
    channels : int
        Of both sides.
    account : AlignmentAccount
        What goes in is entered there.

    Attributes
    ----------
    offset : float
        As for :class:`VariableRate`.
    taken : int
        Frames that went in, after an error too.
    left : int
        Frames that were made and not taken yet.
    """

    def __init__(self, channels: int, account: AlignmentAccount) -> None:
        self._stream = VariableRate(account.rate_in, account.rate_out, channels)
        self._account = account
        self.offset = self._stream.offset
        self.taken = 0
        self.left = 0
        self._made: list[NDArray[np.float32]] = []
        self._before = self._wanted = 0.0  # corrections: the ratio glides from one to the other
        self._cells = 0  # since it began to
        self._whole = max(1, round(CELL * account.rate_in))
        self._cell: list[NDArray[np.float32]] = []
        self._in_cell = 0

    def begin_at(self, correction: float) -> None:
        """Have as many more frames come out than nominally, from now on."""
        self._before = self._wanted = correction

    def glide_to(self, correction: float) -> None:
        """Have it change to that, from the frame on that comes next; the cell has ended."""
        self._before, self._wanted = self._correction, correction
        self._cells = 0

    @property
    def _correction(self) -> float:
        part = min(self._cells, GLIDES) / GLIDES
        return self._before + (self._wanted - self._before) * part

    @property
    def span(self) -> float:
        """How many frames come out of those that went in, those of the cell under way too."""
        account = self._account
        return account.span + self._in_cell * account.rate_out / account.rate_in

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Take frames in."""
        at = 0
        while at < len(samples):
            piece = samples[at : at + self._whole - self._in_cell]
            self._cell.append(piece)
            self._in_cell += len(piece)
            self.taken += len(piece)
            at += len(piece)
            if self._in_cell == self._whole:
                self.end_cell()

    def end_cell(self) -> None:
        """Convert what there is of the cell under way."""
        if self._in_cell:
            cell = self._cell[0] if len(self._cell) == 1 else np.concatenate(self._cell)
            self.lose_cell()
            self._add(self._stream.feed(cell, 1 + self._correction))

    def lose_cell(self) -> None:
        """Enter the cell under way, of which nothing comes."""
        if self._in_cell:
            self._cells += 1
            self._account.feed(self._in_cell, 1 + self._correction)
            self._cell.clear()
            self._in_cell = 0

    def _add(self, made: NDArray[np.float32]) -> None:
        self._made.append(made)
        self.left += len(made)

    def finish(self, frames: int) -> None:
        """Make the last frames, so that so many are left; nothing may follow."""
        self._add(self._stream.finish(max(0, frames - self.left)))

    def take(self) -> NDArray[np.float32]:
        """Return what is left, and keep it until :meth:`let_go`."""
        self._made = [np.concatenate(self._made)] if self._made else []
        return self._made[0]

    def let_go(self, frames: int) -> None:
        """Forget the first frames of what was taken."""
        self._made = [self._made[0][frames:]]
        self.left -= frames
