"""``stream-audio devices``."""

from __future__ import annotations

from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

import stream_audio
from stream_audio.cli.options import AsJson
from stream_audio.cli.outcome import errors_as_messages, out, print_json


def devices(as_json: AsJson = False) -> None:
    """List the input devices."""
    with errors_as_messages():
        found = stream_audio.list_input_devices()
    if as_json:
        print_json([asdict(device) for device in found])
        return
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
