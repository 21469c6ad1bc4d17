"""The input devices of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from stream_audio._native.portaudio import Generation, NativeDevice
from stream_audio.errors import DeviceNotFoundError


@dataclass(frozen=True)
class InputDevice:
    """A device that can be recorded from.

    Attributes
    ----------
    name : str
        As the host API calls it.
    host_api : str
        ``"ALSA"``, ``"JACK Audio Connection Kit"``, ``"Core Audio"``, …
    channels : int
        The most it records.
    sample_rate : int
        Its default, in Hz.
    low_latency, high_latency : float
        Input latencies that the host suggests for interactive and for robust use, in seconds.
    is_default : bool
        Whether :func:`default_input_device` would choose it.
    """

    name: str
    host_api: str
    channels: int
    sample_rate: int
    low_latency: float
    high_latency: float
    is_default: bool


def list_input_devices() -> list[InputDevice]:
    """Return the input devices as they are now, in the order of the host.

    Each call makes a new list; running sessions are not touched.

    Raises
    ------
    BackendError
        PortAudio is not installed, or it finds no audio backend.
    """
    generation = Generation()
    try:
        default = default_input(generation.devices)
        return [
            public(device, is_default=device is default) for device in inputs(generation.devices)
        ]
    finally:
        generation.release()


def default_input_device() -> InputDevice:
    """Return the device that ``AudioSource.default_device()`` records from.

    Raises
    ------
    DeviceNotFoundError
        There is no input device.
    BackendError
        PortAudio is not installed, or it finds no audio backend.
    """
    for device in list_input_devices():
        if device.is_default:
            return device
    raise no_input_device()


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


def outputs(devices: list[NativeDevice]) -> list[NativeDevice]:
    """Those that play."""
    return [device for device in devices if device.max_output_channels > 0]


def inputs(devices: list[NativeDevice]) -> list[NativeDevice]:
    """Those that record."""
    return [device for device in devices if device.max_input_channels > 0]


def default_input(devices: list[NativeDevice]) -> NativeDevice | None:
    """Return the system's default; else the first that is its host API's; else ``None``."""
    recording = inputs(devices)
    for device in recording:
        if device.is_default_input:
            return device
    for device in recording:
        if device.is_host_api_default_input:
            return device
    return recording[0] if recording else None


def public(device: NativeDevice, *, is_default: bool) -> InputDevice:
    """Return what users see of a device."""
    return InputDevice(
        name=device.name,
        host_api=device.host_api,
        channels=device.max_input_channels,
        sample_rate=round(device.default_sample_rate),
        low_latency=device.low_latency,
        high_latency=device.high_latency,
        is_default=is_default,
    )
