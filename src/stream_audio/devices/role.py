"""Which device has the role of the default input."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stream_audio.devices.find import find_input
from stream_audio.devices.pulse import check_default_source
from stream_audio.errors import DeviceNotFoundError

if TYPE_CHECKING:
    from stream_audio.devices.candidate import Candidate
    from stream_audio.devices.list import Listing

DEVICE_VARIABLE = "STREAM_AUDIO_DEVICE"
"""Environment variable with the name of the device that is to be the default."""


def role_is_named() -> bool:
    """Whether the environment says which device is the default, whatever the system says."""
    return bool(os.environ.get(DEVICE_VARIABLE))


def default_candidate(listing: Listing) -> Candidate:
    """Return the device that is the default now: the environment's, or else the system's.

    Raises
    ------
    DeviceNotFoundError, AmbiguousDeviceError
        There is no input device, or the environment names none.
    """
    name = os.environ.get(DEVICE_VARIABLE)
    if not name:
        if listing.pulse is not None:
            check_default_source(listing.pulse)
        return listing.default
    try:
        return find_input(name, listing)
    except DeviceNotFoundError as error:
        raise DeviceNotFoundError(
            f"the environment variable {DEVICE_VARIABLE} names no device: {error.message}",
            host_text=error.host_text,
            hint=error.hint,
        ) from None
