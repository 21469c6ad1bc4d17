"""An input device as users see it, and the errors for when there is none."""

from __future__ import annotations

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.errors import DeviceNotFoundError


@public
class InputDevice(Record):
    """An input device of this machine, as its host describes it.

    Attributes
    ----------
    name : str
        The name that the host uses and a desktop shows.
    host_api : str
        ``"ALSA"``, ``"JACK Audio Connection Kit"``, ``"Core Audio"``, …
    channels : int
        The device's number of channels; for an ALSA plug-in that makes them up, the largest
        number.
    sample_rate : int
        The device's default rate in Hz.
    low_latency, high_latency : float
        Input latencies that the host suggests for interactive and for robust use, in seconds.
    is_default : bool
        Whether :func:`default_input_device` would choose it.
    id : str
        A name that stays the same across restarts, and across re-plugging where the operating
        system has a name that does. Ids are unique within a listing.
    channel_map : tuple of str
        The host's name of each channel, in order, for example ``("front-left", "front-right")`` or
        JACK's port names; empty if the host has no names for them.
    is_monitor : bool
        Whether the device records what programs play, so silence is no sign of a fault.
    latency : float or None
        Seconds of input latency that the host reports now; ``None`` if it reports none before the
        device is open.
    """

    name: str
    host_api: str
    channels: int
    sample_rate: int
    low_latency: float
    high_latency: float
    is_default: bool
    id: str = ""
    channel_map: tuple[str, ...] = ()
    is_monitor: bool = False
    latency: float | None = None


def no_input_device() -> DeviceNotFoundError:
    """Return the error for a machine without any input device."""
    return DeviceNotFoundError(
        "there is no input device",
        hint="Connect a microphone, start a sound server, or use AudioSource.virtual()",
    )


def no_output_device() -> DeviceNotFoundError:
    """Return the error for a machine without any output device."""
    return DeviceNotFoundError(
        "there is no output device", hint="Connect one, or start a sound server"
    )
