"""``stream-audio repair``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import stream_audio
from stream_audio.cli.options import AsJson
from stream_audio.cli.outcome import errors_as_messages, print_json, show
from stream_audio.cli.stopping import unwinding


def repair(
    file: Annotated[Path, typer.Argument(help="A sound file that was cut off.")],
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Mend the file itself instead of writing a copy.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Name of the copy. Usually FILE.repaired.wav."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Mend a sound file that its writer left incomplete; leave an intact one alone."""
    with errors_as_messages(), unwinding():
        report = stream_audio.repair(file, in_place=in_place, output=output)
    if as_json:
        print_json(report.to_dict())
    else:
        show(str(report))
