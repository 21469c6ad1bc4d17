"""What a host lists, and how the lists of several hosts become one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import IntEnum
from itertools import chain
from typing import Any

from stream_audio._record import Record
from stream_audio.devices.input_device import InputDevice


class Way(IntEnum):
    """The ways to a source, the best first."""

    SERVER = 0
    """A client of our own of a sound server that shares the source: JACK, PulseAudio."""
    HARDWARE = 1
    """A device of the operating system."""
    PLUGIN = 2
    """What stands before a device and may convert: ALSA's plug-ins."""


class Candidate(Record):
    """An input device, and what is needed to open it.

    Attributes
    ----------
    device : InputDevice
        What users see.
    source : str
        What it records, told alike by every way to it, for example ``"alsa:0,0"`` for a card and
        a device of it. Two candidates of one source are two ways to it.
    way : Way
        How good a way this is.
    native : object
        What its host calls it; who opens it goes by the type.
    takes_any_number : bool
        Of channels: it makes up as many as it is asked for.
    server_source : str, optional
        What it asks a sound server for, which mixes channels by their map; empty: the default.
    """

    device: InputDevice
    source: str
    way: Way
    native: Any
    takes_any_number: bool = False
    server_source: str | None = None

    @property
    def name(self) -> str:
        """The device's."""
        return self.device.name

    @property
    def host_api(self) -> str:
        """The device's."""
        return self.device.host_api

    @property
    def id(self) -> str:
        """The device's."""
        return self.device.id


def merge(lists: Iterable[Iterable[Candidate]]) -> tuple[list[Candidate], list[Candidate]]:
    """Return each source once, by the best way to it, and then the other ways.

    Both have the best ways first. The default of the first list that has one is the default, by
    its source; no other is.
    """
    listed = [list(each) for each in lists]
    default = next((each.source for each in chain(*listed) if each.device.is_default), None)
    best: dict[str, Candidate] = {}
    others = []
    for candidate in sorted(chain(*listed), key=lambda each: each.way):
        is_best = candidate.source not in best
        device = replace(candidate.device, is_default=is_best and candidate.source == default)
        candidate = replace(candidate, device=device)
        if is_best:
            best[candidate.source] = candidate
        else:
            others.append(candidate)
    return list(best.values()), others
