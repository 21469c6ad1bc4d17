"""The sources of a PulseAudio server, or of PipeWire in its place, as candidates."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from stream_audio._native.pulse import PulseConnection, PulseProgram, PulseSource
from stream_audio._record import Record
from stream_audio.devices.candidate import Candidate, Way
from stream_audio.devices.input_device import InputDevice
from stream_audio.errors import DeviceFormatError, DeviceNotFoundError

SOURCE_VARIABLE = "PULSE_SOURCE"
"""Environment variable with the name of the source that libpulse takes for the default."""

_ROLES = ("default", "pulse", "pipewire")
"""ALSA's plug-ins that lead to whatever is a server's default."""

_PURE_ROLES = ("pulse", "pipewire")
"""Those of them that no configuration makes anything else."""

LOW_LATENCY = 0.01
"""Seconds between packets for interactive use."""

HIGH_LATENCY = 0.1
"""Seconds between packets where few wake-ups count for more."""


class PulseInput(Record):
    """A source, with the connection to its server; of a monitor perhaps one program alone."""

    connection: PulseConnection
    source: PulseSource
    program: PulseProgram | None = None


def pulse_inputs(connection: PulseConnection) -> list[Candidate]:
    """Return the sources of the server, in its order."""
    default = default_name(connection)
    return [
        _candidate(PulseInput(connection, source), is_default=source.name == default)
        for source in connection.sources
    ]


def default_name(connection: PulseConnection) -> str:
    """Return the name of the source that is the default now; ``PULSE_SOURCE`` goes first."""
    return os.environ.get(SOURCE_VARIABLE) or connection.default_source


def check_default_source(connection: PulseConnection) -> None:
    """Raise if ``PULSE_SOURCE`` names none: a server might record its own default instead."""
    name = os.environ.get(SOURCE_VARIABLE)
    if name and all(name != source.name for source in connection.sources):
        names = "; ".join(source.name for source in connection.sources)
        raise DeviceNotFoundError(
            f"the environment variable {SOURCE_VARIABLE} names no source: {name!r}",
            hint=f"There are: {names or 'none'}",
        )


def pulse_id(name: str) -> str:
    """Return the id of the device that a server calls so."""
    return f"pulse:{name}"


def host_api(connection: PulseConnection) -> str:
    """Return what stands behind the connection."""
    return "PipeWire" if "PipeWire" in connection.server else "PulseAudio"


def other_ways(candidates: Iterable[Candidate], of_server: Iterable[Candidate]) -> list[Candidate]:
    """Return ALSA's plug-ins as the other ways that they are to the server's default source.

    Those that are nothing else are opened as that source, which no plug-in could hold on to.
    """
    of_server = list(of_server)
    default = next((each for each in of_server if each.device.is_default), None)
    sources = {each.native.source.name: each for each in of_server}
    found = []
    for each in candidates:
        behind = sources.get(each.server_source) if each.server_source else None
        if behind is not None:
            each = replace(each, source=behind.source)
        elif default is not None and each.way is Way.PLUGIN and each.name in _ROLES:
            native = default.native if each.name in _PURE_ROLES else each.native
            each = replace(each, source=default.source, native=native)
        found.append(each)
    return found


ALSA_MAPS = {
    1: ("mono",),
    2: ("front-left", "front-right"),
    4: ("front-left", "front-right", "rear-left", "rear-right"),
    5: ("front-left", "front-right", "rear-left", "rear-right", "front-center"),
    6: ("front-left", "front-right", "rear-left", "rear-right", "front-center", "lfe"),
}
"""What ALSA's plug-in asks the server for, by the number of channels."""


def check_not_mixed(plugin: Candidate, of_server: Iterable[Candidate]) -> int | None:
    """Return how many channels ALSA's plug-in must be opened with, so that none is mixed.

    ``None``: what is behind it is not known.

    Raises
    ------
    DeviceFormatError
        The server would mix them, whatever number it is.
    DeviceNotFoundError
        The server has no such source, and might record its default instead.
    """
    sources = {
        each.native.source.name: each
        for each in of_server
        if isinstance(each.native, PulseInput) and each.way is Way.SERVER
    }
    if not sources:
        return None
    connection = next(iter(sources.values())).native.connection
    name = plugin.server_source or ""
    if name[:1] in ("", "$"):  # an argument that nobody gives
        check_default_source(connection)
        name = default_name(connection)
    behind = sources.get(name)
    if behind is None:
        is_plain = name[:1] not in ("", "@") and not name.isdigit()  # no role or index
        if is_plain and host_api(connection) == "PipeWire":
            raise DeviceNotFoundError(
                f"{plugin.name!r} is ALSA's way to {name!r}, which PipeWire does not have",
                hint=f"There are: {'; '.join(sources)}",
            )
        return None
    channels = behind.device.channels
    if ALSA_MAPS.get(channels) != behind.device.channel_map:
        raise DeviceFormatError(
            f"{plugin.name!r} is ALSA's way to {behind.name!r}, and mixes its {channels} channels "
            f"({', '.join(behind.device.channel_map)})",
            hint=f"Record the source itself: AudioSource.device({behind.id!r})",
        )
    return channels


def _candidate(found: PulseInput, *, is_default: bool) -> Candidate:
    source = found.source
    identity = pulse_id(source.name)
    return Candidate(
        device=InputDevice(
            name=source.description,
            host_api=host_api(found.connection),
            channels=source.channels,
            sample_rate=source.sample_rate,
            low_latency=LOW_LATENCY,
            high_latency=HIGH_LATENCY,
            is_default=is_default,
            id=identity,
            channel_map=source.channel_map,
            is_monitor=source.is_monitor,
            latency=source.latency,
        ),
        source="alsa:{},{}".format(*source.alsa) if source.alsa else identity,
        way=Way.SERVER,
        native=found,
    )
