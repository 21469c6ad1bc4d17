"""Which channels of a source a format is made of, and in what proportion: the tables, stated once.

Six channels are taken to be 5.1 in the order of WAVE files: L R C LFE Ls Rs. Its down-mixing is
that of Recommendation ITU-R BS.775-3 (2012), table 2: a channel that two loudspeakers replace, or
that moves from the side to the front, goes there at equal power, which is a gain of √½; LFE is
left out. The recommendation's sums can exceed full scale, so each of its rows is divided by its
own sum: what does not clip before does not clip after. Any other number of channels is a number
of inputs, of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from stream_audio.errors import ConfigError

Matrix = tuple[tuple[float, ...], ...]
"""Gains: a row for each channel that comes out, a column for each that goes in."""

_H = sqrt(0.5)

#            L     R    C  LFE  Ls   Rs
_5_1_TO_2 = (
    (1.0, 0.0, _H, 0.0, _H, 0.0),
    (0.0, 1.0, _H, 0.0, 0.0, _H),
)
_5_1_TO_1 = ((_H, _H, 1.0, 0.0, 0.5, 0.5),)
_CENTRE = 2


def identity(channels: int) -> Matrix:
    """Return the gains that change nothing."""
    return picking(channels, range(channels))


def picking(inputs: int, channels: Sequence[int]) -> Matrix:
    """Return the gains that let some channels through, in the order given."""
    return tuple(tuple(float(i == chosen) for i in range(inputs)) for chosen in channels)


def mixing(inputs: int, outputs: int) -> Matrix:
    """Return the gains from ``inputs`` to ``outputs`` channels.

    =========  ==========  ======================================================================
    from       to          each channel that comes out
    =========  ==========  ======================================================================
    n          n           the same
    6 (5.1)    2           ITU-R BS.775: L + √½ C + √½ Ls, R + √½ C + √½ Rs, each over 1 + 2√½
    6 (5.1)    1           ITU-R BS.775: √½ L + √½ R + C + ½ Ls + ½ Rs, over 2 + 2√½
    n          1           the mean, 1/n of each; so half of each channel of stereo
    1          6 (5.1)     C is the one channel, the others are silent
    1          n           a copy at the same level
    n          m > n       the first n the same, the others silent
    n          m < n       the first m
    =========  ==========  ======================================================================

    Going from 6 to 2 to 1 gives the same as going from 6 to 1; from 1 to 2 to 1 changes nothing.
    """
    if (inputs, outputs) == (6, 2):
        return _without_clipping(_5_1_TO_2)
    if (inputs, outputs) == (6, 1):
        return _without_clipping(_5_1_TO_1)
    if outputs == 1:
        return ((1.0 / inputs,) * inputs,)
    if (inputs, outputs) == (1, 6):
        return tuple((float(o == _CENTRE),) for o in range(outputs))
    if inputs == 1:
        return ((1.0,),) * outputs
    return tuple(tuple(float(i == o) for i in range(inputs)) for o in range(outputs))


def _without_clipping(rows: Matrix) -> Matrix:
    return tuple(tuple(gain / sum(row) for gain in row) for row in rows)


def matrix(
    source: str, inputs: int, own: Sequence[int], wanted: int | tuple[int, ...] | None
) -> Matrix:
    """Return the gains from what a source delivers to what a format asks for.

    Parameters
    ----------
    source : str
        Its id, for the error.
    inputs : int
        How many channels it delivers.
    own : sequence of int
        Those of them that are the source, as its user chose.
    wanted : int, tuple of int or None
        As in ``AudioFormat(channels=…)``.

    Raises
    ------
    ConfigError
        The source does not deliver a channel that is wanted.
    """
    if wanted is None:
        return picking(inputs, own)
    if isinstance(wanted, tuple):
        if max(wanted) >= inputs:
            raise ConfigError(
                f"there is no channel {max(wanted)} in source {source!r}, which has {inputs}",
                hint="They are counted from 0",
            )
        return picking(inputs, wanted)
    rows = mixing(len(own), wanted)
    column = {channel: i for i, channel in enumerate(own)}
    return tuple(
        tuple(row[column[i]] if i in column else 0.0 for i in range(inputs)) for row in rows
    )


def picked(rows: Matrix) -> NDArray[np.uint32] | None:
    """Return the channels that the rows pick; ``None`` if some row is none or a mixture."""
    if all(sorted(row)[:-1] == [0.0] * (len(row) - 1) and max(row) == 1.0 for row in rows):
        return np.array([row.index(1.0) for row in rows], np.uint32)
    return None
