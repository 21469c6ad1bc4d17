"""When a recording goes on in another file."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from stream_audio._checks import real_number, whole_number
from stream_audio._record import Record
from stream_audio.errors import ConfigError, ConfigTypeError

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")
_UNITS = {unit.lower(): unit for unit in (*_SECONDS, *_BYTES)}

SMALLEST = 10_000
"""Bytes; more than any header."""


class Rotation(Record):
    """How long a file gets.

    Attributes
    ----------
    seconds : float, optional
        Of audio, gaps included as far as they are in the file.
    size : int, optional
        Bytes, the header included.
    align : bool
        Whether files begin at whole multiples of ``seconds`` of the local time of day.
        A file then ends where the capture time of a frame passes the boundary, so that drift does
        not add up; other files are counted in frames.
    """

    seconds: float | None = None
    size: int | None = None
    align: bool = False

    def boundary_after(self, time: float) -> float:
        """Return when, after ``time``, the next file begins; both ``time.time()`` seconds."""
        assert self.seconds is not None
        # Midnight is a multiple for periods that divide a day; longer ones count from 1970.
        offset = _utc_offset(time)
        boundary = (math.floor((time + offset) / self.seconds) + 1) * self.seconds - offset
        # Clocks may be put forward or back in between; whole hours are then still whole hours.
        moved = _utc_offset(boundary) - offset
        if moved % self.seconds == 0 or boundary - moved <= time:
            return boundary
        return boundary - moved


def _utc_offset(time: float) -> float:
    offset = datetime.fromtimestamp(time).astimezone().utcoffset()
    assert offset is not None
    return offset.total_seconds()


def parse_rotation(rotate: object, align: bool) -> Rotation | None:
    """Read what the user said, or raise.

    Parameters
    ----------
    rotate : str, float, timedelta or None
        ``"1h"``, ``"90 s"``, ``"500 MB"``; a number is in seconds.
    align : bool
        Only with a time.

    Raises
    ------
    ConfigError, ConfigTypeError
        It cannot be understood, or is too small.
    """
    rotation = _parse(rotate)
    if not align:
        return rotation
    if rotation is None or rotation.seconds is None:
        raise ConfigError("align=True needs a time to align to", hint='For example rotate="1h"')
    return Rotation(seconds=rotation.seconds, align=True)


def seconds_said(name: str, text: str) -> float:
    """Return a time such as ``"7d"`` in seconds; raises ConfigError."""
    found = _AMOUNT.fullmatch(text)
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit not in _SECONDS:
        raise ConfigError(
            f"{name}={text!r} is not a time",
            hint=f'Write a number and one of {", ".join(_SECONDS)}, as in "7d"',
        )
    return float(found[1]) * _SECONDS[unit]


def _parse(rotate: object) -> Rotation | None:
    if rotate is None:
        return None
    if isinstance(rotate, timedelta):
        rotate = rotate.total_seconds()
    if not isinstance(rotate, str):
        if isinstance(rotate, bool) or not isinstance(rotate, (int, float)):
            raise ConfigTypeError(f'rotate takes "1h", "500 MB" or seconds, not {rotate!r}')
        return Rotation(seconds=real_number("rotate", rotate, 0.1, 1e9))
    found = _AMOUNT.fullmatch(rotate)
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ConfigError(
            f"rotate={rotate!r} is neither a time nor a size",
            hint=f'Write a number and one of {", ".join(_UNITS.values())}, as in "1h" or "500 MB"',
        )
    if unit in _SECONDS:
        return Rotation(seconds=real_number("rotate", float(found[1]) * _SECONDS[unit], 0.1, 1e9))
    size = round(float(found[1]) * _BYTES[unit])
    return Rotation(size=whole_number("rotate", size, SMALLEST, 2**62))
