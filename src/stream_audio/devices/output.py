"""The outputs of a sound server, each recorded through its monitor."""

from __future__ import annotations

from stream_audio._native.pulse import PulseConnection, PulseOutput
from stream_audio._record import Record
from stream_audio.devices.find import find_named
from stream_audio.devices.input_device import InputDevice
from stream_audio.devices.pulse import PulseInput, host_api, pulse_id
from stream_audio.errors import DeviceNotFoundError


class Output(Record):
    """An output by one of its ids, which :func:`find_named` goes by."""

    name: str
    host_api: str
    id: str
    native: PulseOutput


def find_output(wanted: str | InputDevice | None, connection: PulseConnection) -> PulseInput:
    """Return the monitor of an output; ``None``: of the one that is the default now.

    A name is the output's own, what a desktop shows, the same of its monitor, or a part of these.

    Raises
    ------
    DeviceNotFoundError
        There is no output, or none of that name.
    AmbiguousDeviceError
        Several fit; the error lists them.
    """
    if wanted is None:
        for output in connection.outputs:
            if output.name == connection.default_output:
                return _monitor(output, connection)
        raise DeviceNotFoundError(
            f"{host_api(connection)} has no default output",
            hint="Connect one, or choose one in the settings of the desktop",
        )
    name = (wanted.id or wanted.name) if isinstance(wanted, InputDevice) else wanted
    api = host_api(connection)
    outputs = [
        Output(each.description, api, pulse_id(each.monitor), each) for each in connection.outputs
    ]
    by_own_name = [
        Output(each.name, api, pulse_id(each.name), each) for each in connection.outputs
    ]
    described = {source.name: source.description for source in connection.sources}
    by_monitor = [
        Output(described.get(each.monitor, each.monitor), api, pulse_id(each.monitor), each)
        for each in connection.outputs
    ]
    found = find_named(name, outputs, "output", others=[*by_own_name, *by_monitor])
    return _monitor(found.native, connection)


def default_output_id(connection: PulseConnection) -> str:
    """Return the id of the default output's monitor now; empty if there is none."""
    name = connection.default_output
    return pulse_id(f"{name}.monitor") if name else ""  # both servers name monitors so


def _monitor(output: PulseOutput, connection: PulseConnection) -> PulseInput:
    for source in connection.sources:
        if source.name == output.monitor:
            return PulseInput(connection, source)
    raise DeviceNotFoundError(
        f"{host_api(connection)} has no monitor of {output.description!r} ({output.name})"
    )
