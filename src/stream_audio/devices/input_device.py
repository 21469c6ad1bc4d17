"""An input device as users see it, and the errors for when there is none."""

from __future__ import annotations

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.errors import DeviceNotFoundError


@public
class InputDevice(Record):
    """A device that can be recorded from.

    Attributes
    ----------
    name : str
        What its host calls it, and a desktop shows.
    host_api : str
        ``"ALSA"``, ``"JACK Audio Connection Kit"``, ``"Core Audio"``, …
    channels : int
        How many it has; of an ALSA plug-in that makes them up, the most that it does.
    sample_rate : int
        Its default, in Hz.
    low_latency, high_latency : float
        Input latencies that the host suggests for interactive and for robust use, in seconds.
    is_default : bool
        Whether :func:`default_input_device` would choose it.
    id : str
        A name that stays the same across restarts, and across re-plugging where the operating
        system has one that does. Only one device of a listing has it.
    channel_map : tuple of str
        What the host calls each channel, in order, for example ``("front-left", "front-right")``
        or JACK's names of ports; empty if it has no names for them.
    is_monitor : bool
        Whether it records what programs play, so that silence says nothing about it.
    latency : float or None
        Seconds of input latency that the host tells now; ``None``: it tells none before the
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
