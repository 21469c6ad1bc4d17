"""``stream-audio formats``."""

from __future__ import annotations

from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

import stream_audio
from stream_audio.cli.options import AsJson
from stream_audio.cli.outcome import out, print_json


def formats(as_json: AsJson = False) -> None:
    """List the formats of sound files that can be written and read."""
    found = stream_audio.formats()
    if as_json:
        print_json([asdict(form) for form in found])
        return
    table = Table("name", "endings", "subtypes", "killed", "description", box=None)
    for form in found:
        table.add_row(
            form.name,
            " ".join(form.extensions),
            " ".join(form.subtypes) or "only read",
            form.after_kill if form.written else "",
            escape(form.description),
        )
    out.print(table)
    out.print("killed: what a reader finds if the writer was killed", style="dim")
