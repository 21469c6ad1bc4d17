"""One device: by its name or id, a pattern, or whatever a function says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from stream_audio.devices.candidate import Candidate
from stream_audio.devices.input_device import InputDevice, no_input_device
from stream_audio.devices.pulse import pulse_id
from stream_audio.devices.wanted import DeviceId, Wanted
from stream_audio.errors import AmbiguousDeviceError, DeviceNotFoundError

if TYPE_CHECKING:
    from stream_audio.devices.list import Listing


class Named(Protocol):
    """What is found by its name."""

    @property
    def name(self) -> str:
        """What its host calls it."""
        ...

    @property
    def host_api(self) -> str:
        """Which host that is."""
        ...

    @property
    def id(self) -> str:
        """What no other has."""
        ...


D = TypeVar("D", bound=Named)


def find_input(wanted: Wanted, listing: Listing) -> Candidate:
    """Return the one input device that is wanted.

    A name is tried in turn as the id; as what PulseAudio itself calls a source; as the whole
    name; as the name with its host API, as in ``"system, JACK Audio Connection Kit"``; as both
    without regard to case; as a part of them.
    An id or whole name also finds a way to a source that is listed by a better one.

    Raises
    ------
    DeviceNotFoundError
        None fits; the error lists near matches, and names a host that did not answer.
    AmbiguousDeviceError
        Several fit; the error lists them.
    """
    if not listing.every:
        raise no_input_device()
    try:
        if isinstance(wanted, str):
            return find_named(wanted, listing.candidates, "input", others=listing.every)
        return _find_other(wanted, listing)
    except DeviceNotFoundError as error:
        unheard = "; ".join(failure.message for failure in listing.failures)
        if not unheard:
            raise
        raise DeviceNotFoundError(error.message, host_text=unheard, hint=error.hint) from None


def _find_other(
    wanted: DeviceId | InputDevice | re.Pattern[str] | Callable[[InputDevice], object],
    listing: Listing,
) -> Candidate:
    if isinstance(wanted, DeviceId):
        same = [each for each in listing.every if each.id == wanted.id]
        return _only(same[:1], wanted.id, listing.candidates, "input")
    if isinstance(wanted, InputDevice):
        if wanted.id:
            found = [each for each in listing.every if each.id == wanted.id]
        else:
            found = [each for each in listing.every if full_name(each) == full_name(wanted)]
        return _only(found, full_name(wanted), listing.candidates, "input")
    if isinstance(wanted, re.Pattern):
        for text in (lambda each: each.name, full_name, lambda each: each.id):
            found = [each for each in listing.candidates if wanted.search(text(each))]
            if found:
                break
        return _only(found, wanted.pattern, listing.candidates, "input")
    found = [each for each in listing.candidates if wanted(each.device)]
    words = getattr(wanted, "__name__", "") or repr(wanted)
    return _only(found, words, listing.candidates, "input")


def find_named(name: str, devices: Sequence[D], kind: str, *, others: Iterable[D] = ()) -> D:
    """Return the one device that ``name`` means; of ``others`` only by its whole name or id."""
    exactly: tuple[Callable[[D], bool], ...] = (
        lambda device: device.id == name,
        lambda device: device.id == pulse_id(name),
        lambda device: device.name == name,
        lambda device: full_name(device) == name,
    )
    folded = name.casefold()
    nearly: tuple[Callable[[D], bool], ...] = (
        lambda device: device.name.casefold() == folded,
        lambda device: full_name(device).casefold() == folded,
        lambda device: folded in full_name(device).casefold(),
    )
    for within, tests in ((devices, exactly), (tuple(others), exactly), (devices, nearly)):
        for fits in tests:
            found = [device for device in within if fits(device)]
            if found:
                return _only(found, name, devices, kind)
    raise _none_found(name, devices, kind)


def _only(found: Sequence[D], wanted: str, devices: Sequence[D], kind: str) -> D:
    if not found:
        raise _none_found(wanted, devices, kind)
    if len(found) > 1:
        raise AmbiguousDeviceError(
            f"{len(found)} {kind} devices fit {wanted!r}",
            hint=f"Give one of these: {_told(found)}",
        )
    return found[0]


def _none_found(wanted: str, devices: Sequence[Named], kind: str) -> DeviceNotFoundError:
    return DeviceNotFoundError(
        f"no {kind} device is called {wanted!r}", hint=_near_names(wanted.casefold(), devices)
    )


def _near_names(wanted: str, devices: Sequence[Named]) -> str:
    names_of: dict[str, list[str]] = {}
    for device in devices:
        for name in (device.name.casefold(), full_name(device).casefold()):
            names_of.setdefault(name, []).append(full_name(device))

    import difflib

    matches = difflib.get_close_matches(wanted, names_of, 3, 0.5)
    near = dict.fromkeys(name for match in matches for name in names_of[match])
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"There are: {_told(devices)}"


def _told(devices: Sequence[Named]) -> str:
    """Return what tells them apart: their names, or their ids."""
    names = [full_name(device) for device in devices]
    return "; ".join(names if len(set(names)) == len(names) else [each.id for each in devices])


def full_name(device: Named) -> str:
    """Return the name with its host API, which is unique more often."""
    return f"{device.name}, {device.host_api}"
