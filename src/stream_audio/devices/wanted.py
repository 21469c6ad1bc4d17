"""What a user may say to mean one device."""

from __future__ import annotations

import re
from collections.abc import Callable

from stream_audio._checks import name_text
from stream_audio._record import Record
from stream_audio.devices.input_device import InputDevice
from stream_audio.errors import ConfigTypeError


class DeviceId(Record):
    """The device with this id and no other, whatever may have it for a name."""

    id: str


Wanted = str | DeviceId | InputDevice | re.Pattern[str] | Callable[[InputDevice], object]
"""What a user may say to mean one device."""


def device_wanted(value: object) -> Wanted:
    """Return ``value`` if it can mean a device, or raise."""
    if isinstance(value, int):
        raise ConfigTypeError(
            f"a number such as {value!r} does not identify a device: the next listing may have "
            "another device in that place",
            hint=f"Give its name or id, or the object: list_input_devices()[{value!r}]",
        )
    if isinstance(value, str):
        return name_text("name", value)
    if isinstance(value, re.Pattern) and isinstance(value.pattern, bytes):
        raise ConfigTypeError("a pattern for device names must be a str, not bytes")
    if isinstance(value, InputDevice | re.Pattern) or callable(value):
        return value
    raise ConfigTypeError(
        "a device is given by its name or id, as an InputDevice, by a re.Pattern or a function "
        f"that takes an InputDevice, not as {value!r}"
    )
