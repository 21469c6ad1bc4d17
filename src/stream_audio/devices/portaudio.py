"""PortAudio's devices as candidates: ALSA's, Core Audio's, WASAPI's."""

from __future__ import annotations

import os
import re

from stream_audio._native.portaudio import Generation, NativeDevice
from stream_audio._record import Record
from stream_audio.devices.alsa_cards import hardware_id, last_listing
from stream_audio.devices.candidate import Candidate, Way
from stream_audio.devices.input_device import InputDevice

ALSA = 8
"""paALSA, a PaHostApiTypeId."""

_HARDWARE = re.compile(r"\(hw:(\d+),(\d+)\)$")
"""How PortAudio ends the name of a card's device."""


class PortAudioInput(Record):
    """A device, with the generation in whose list it stands."""

    generation: Generation
    device: NativeDevice


def portaudio_inputs(generation: Generation) -> list[Candidate]:
    """Return those that record, in PortAudio's order."""
    default = default_input(generation.devices)
    found = [
        _candidate(PortAudioInput(generation, device), device is default)
        for device in inputs(generation.devices)
    ]
    last_listing.remember([each for each in found if each.host_api == "ALSA"])
    return found


def inputs(devices: list[NativeDevice]) -> list[NativeDevice]:
    """Those that record."""
    return [device for device in devices if device.max_input_channels > 0]


def outputs(devices: list[NativeDevice]) -> list[NativeDevice]:
    """Those that play."""
    return [device for device in devices if device.max_output_channels > 0]


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


def is_monitor(device: NativeDevice) -> bool:
    """Whether a device records what programs play, so that silence says nothing about it."""
    names = [device.name]
    if device.name in ("pulse", "default"):
        names.append(os.environ.get("PULSE_SOURCE", ""))
    return any(
        name.endswith(".monitor") or name.lower().startswith("monitor of ") for name in names
    )


def _candidate(found: PortAudioInput, is_default: bool) -> Candidate:
    device = found.device
    hardware = _HARDWARE.search(device.name) if device.host_api_type == ALSA else None
    if hardware:
        card, number = hardware.groups()
        identity = hardware_id(card, number)
        source, way = f"alsa:{card},{number}", Way.HARDWARE
    elif device.host_api_type == ALSA:
        source = identity = f"alsa:{device.name}"
        way = Way.PLUGIN
    else:
        source = identity = f"{device.host_api}:{device.name}"
        way = Way.HARDWARE
    return Candidate(
        device=InputDevice(
            name=device.name,
            host_api=device.host_api,
            channels=device.max_input_channels,
            sample_rate=round(device.default_sample_rate),
            low_latency=device.low_latency,
            high_latency=device.high_latency,
            is_default=is_default,
            id=identity,
            is_monitor=is_monitor(device),
        ),
        source=source,
        way=way,
        native=found,
        takes_any_number=device.takes_any_number,
        server_source=device.server_source,
    )
