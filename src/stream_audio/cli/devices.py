"""``stream-audio devices``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import stream_audio
from stream_audio import DefaultChanged, DeviceAdded, DeviceRemoved, InputDevice
from stream_audio.cli.options import AsJson
from stream_audio.cli.outcome import errors_as_messages, out, print_json, show
from stream_audio.cli.stopping import Stopping

LOOK = 0.2
"""Seconds between two looks whether the command is to end."""


def devices(
    watch: Annotated[
        bool, typer.Option("--watch", help="Then tell what comes and goes, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the input devices."""
    if watch:
        _watch(as_json=as_json)
        return
    with errors_as_messages():
        found = stream_audio.list_input_devices()
    if as_json:
        print_json([asdict(device) for device in found])
    else:
        _print(found)


def _print(found: list[InputDevice]) -> None:
    if not found:
        out.print("There is no input device.")
        return
    table = Table("", "name", "host API", "channels", "rate", "latency", "id", box=None)
    for device in found:
        table.add_row(
            "*" if device.is_default else "",
            escape(device.name),
            escape(device.host_api),
            str(device.channels),
            f"{device.sample_rate} Hz",
            f"{device.low_latency * 1000:.0f}–{device.high_latency * 1000:.0f} ms",
            escape(device.id),
        )
    out.print(table)
    out.print("* the default", style="dim")


def _watch(*, as_json: bool) -> None:
    with errors_as_messages(), Stopping() as stopping, stream_audio.watch_devices() as watcher:
        if as_json:
            print_json({"event": "devices", "devices": [asdict(each) for each in watcher.devices]})
        else:
            _print(watcher.devices)
        out.file.flush()
        while not stopping.told.is_set():
            event = watcher.get(LOOK)
            if event is None:
                continue
            if as_json:
                print_json(_as_json(event))
            else:
                show(_as_text(event))
            out.file.flush()


def _as_json(event: DeviceAdded | DeviceRemoved | DefaultChanged) -> dict[str, Any]:
    if isinstance(event, DefaultChanged):
        return {"event": "default", "old": event.old, "new": event.new}
    kind = "added" if isinstance(event, DeviceAdded) else "removed"
    return {"event": kind, "device": asdict(event.device)}


def _as_text(event: DeviceAdded | DeviceRemoved | DefaultChanged) -> str:
    if isinstance(event, DefaultChanged):
        return f"* {event.new or 'no device'} is the default"
    sign = "+" if isinstance(event, DeviceAdded) else "-"
    device = event.device
    return f"{sign} {device.name}, {device.host_api} ({device.id})"
