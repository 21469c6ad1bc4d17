"""One device by its name."""

from __future__ import annotations

import difflib

from stream_audio._native.portaudio import Generation, NativeDevice
from stream_audio.devices.list import (
    InputDevice,
    default_input,
    inputs,
    no_input_device,
    no_output_device,
    outputs,
    public,
)
from stream_audio.errors import AmbiguousDeviceError, DeviceNotFoundError


def input_device(name: str | None) -> InputDevice:
    """Return the device that ``AudioSource.device(name)`` would open now; ``None``: the default.

    Raises
    ------
    DeviceNotFoundError, AmbiguousDeviceError, BackendError
        As for :func:`find_input`; or PortAudio is missing.
    """
    generation = Generation()
    try:
        default = default_input(generation.devices)
        device = default if name is None else find_input(name, generation.devices)
        if device is None:
            raise no_input_device()
        return public(device, is_default=device is default)
    finally:
        generation.release()


def find_input(name: str, devices: list[NativeDevice]) -> NativeDevice:
    """Return the one input device that ``name`` means.

    Tried in turn: the whole name; the name with its host API, as in
    ``"system, JACK Audio Connection Kit"``; both without regard to case; a part of it.

    Raises
    ------
    DeviceNotFoundError
        None fits; the error lists near matches.
    AmbiguousDeviceError
        Several fit; the error lists them.
    """
    recording = inputs(devices)
    if not recording:
        raise no_input_device()
    return _find(name, recording, "input")


def find_output(name: str, devices: list[NativeDevice]) -> NativeDevice:
    """Return the one output device that ``name`` means; as for :func:`find_input`."""
    playing = outputs(devices)
    if not playing:
        raise no_output_device()
    return _find(name, playing, "output")


def _find(name: str, devices: list[NativeDevice], kind: str) -> NativeDevice:
    wanted = name.casefold()
    tests = (
        lambda device: device.name == name,
        lambda device: full_name(device) == name,
        lambda device: device.name.casefold() == wanted,
        lambda device: full_name(device).casefold() == wanted,
        lambda device: wanted in full_name(device).casefold(),
    )
    for fits in tests:
        found = [device for device in devices if fits(device)]
        if len(found) == 1:
            return found[0]
        if found:
            names = "; ".join(full_name(device) for device in found)
            raise AmbiguousDeviceError(
                f"{len(found)} {kind} devices fit {name!r}", hint=f"Give one of these: {names}"
            )
    raise DeviceNotFoundError(
        f"no {kind} device is called {name!r}", hint=_near_names(wanted, devices)
    )


def _near_names(wanted: str, devices: list[NativeDevice]) -> str:
    names_of: dict[str, list[str]] = {}
    for device in devices:
        for name in (device.name.casefold(), full_name(device).casefold()):
            names_of.setdefault(name, []).append(full_name(device))
    matches = difflib.get_close_matches(wanted, names_of, 3, 0.5)
    near = dict.fromkeys(name for match in matches for name in names_of[match])
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"There are: {'; '.join(full_name(device) for device in devices)}"


def full_name(device: NativeDevice) -> str:
    """Return the name with its host API, which is unique more often."""
    return f"{device.name}, {device.host_api}"
