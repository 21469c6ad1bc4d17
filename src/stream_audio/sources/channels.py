"""Which channels of a device are opened, and which of them are the source."""

from __future__ import annotations

from collections.abc import Iterable

from stream_audio.audio.format import MAX_CHANNELS, AudioFormat
from stream_audio.errors import DeviceFormatError

MADE_UP = 2
"""Channels of a device that takes any number, unless more are wanted."""


def channels_to_open(
    chosen: int | tuple[int, ...] | None,
    name: str,
    most: int,
    formats: Iterable[AudioFormat],
    *,
    any_number: bool = False,
) -> tuple[int, tuple[int, ...]]:
    """Return how many channels to open, and which of them the user means by the source.

    All that the device has are opened, and picked from here: a host that is asked for fewer may
    mix them.

    Parameters
    ----------
    chosen : int, tuple of int or None
        What the user said of the source; ``None``: all.
    name : str
        The device's, for the error.
    most : int
        How many the device has.
    formats : iterable of AudioFormat
        What sinks want of the source.
    any_number : bool
        The device makes up as many channels as it is asked for, up to ``most``: it is opened with
        two, or as many as anybody wants.

    Raises
    ------
    DeviceFormatError
        A channel is wanted that the device does not have.
    """
    most = min(most, MAX_CHANNELS)
    if chosen is None:
        own = tuple(range(min(most, MADE_UP) if any_number else most))
    else:
        own = chosen if isinstance(chosen, tuple) else tuple(range(chosen))
    listed = [each.channels for each in formats if isinstance(each.channels, tuple)]
    needed = max(max(each) for each in (own, *listed)) + 1
    if needed > most:
        raise DeviceFormatError(
            f"{name!r} does not record {needed} channels", hint=f"It has {most}"
        )
    return max(needed, min(most, MADE_UP)) if any_number else most, own
