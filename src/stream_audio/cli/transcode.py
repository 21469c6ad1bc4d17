"""``stream-audio transcode``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

import stream_audio
from stream_audio import AudioFormat, StreamAudioError
from stream_audio.cli.options import AsJson, Channels, Quality, Rate, Subtype
from stream_audio.cli.outcome import err, errors_as_messages, print_json, show
from stream_audio.cli.stopping import Stopping


def transcode(
    source: Annotated[Path, typer.Argument(help="The sound file to read.")],
    destination: Annotated[
        Path, typer.Argument(help="The file to write; its ending decides the format.")
    ],
    rate: Rate = None,
    channels: Channels = None,
    subtype: Subtype = None,
    quality: Quality = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Convert a sound file to another format, rate or number of channels.

    The destination is there whole or not at all, also after Ctrl-C.
    """
    given: dict[str, Any] = {"subtype": subtype, "quality": quality, "overwrite": overwrite}
    options = {name: value for name, value in given.items() if value is not None}
    stopping = Stopping()
    with (
        errors_as_messages(),
        stopping,
        Progress(console=err, transient=True, disable=quiet or not err.is_terminal) as progress,
    ):
        task = progress.add_task("converting", total=None)

        def look(done: int, total: int | None) -> None:
            if stopping.told.is_set() and done != total:  # else it is there already
                raise StreamAudioError("stopped: nothing was written")
            progress.update(task, completed=done, total=total)

        report = stream_audio.transcode(
            source,
            destination,
            format=AudioFormat(rate, channels),
            progress=look,
            **options,
        )
    [read] = report.sources.values()
    if as_json:
        print_json({"path": str(destination.resolve()), **report.to_dict()})
    elif not quiet:
        show(f"{read.position / read.sample_rate:.3f} s in {destination.resolve()}")
        if read.unclear:
            show(f"unclear: {read.unclear}")
