"""``stream-audio record``."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_audio.cli.options import (
    Application,
    AsJson,
    Channels,
    Device,
    Duration,
    FallbackVirtual,
    LostTimeout,
    OnLost,
    Quality,
    Rate,
    Sources,
    Subtype,
    System,
    Virtual,
)
from stream_audio.cli.outputs import MergeMode
from stream_audio.cli.recording import run


def record(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="The file to write; its ending decides the format. `-` is the standard output.",
        ),
    ] = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE[:ID,ID]",
            help="A further file to write; may be given several times. Without ids it gets all "
            "sources, merged.",
        ),
    ] = None,
    source: Sources = None,
    merge: Annotated[
        MergeMode | None,
        typer.Option(
            help="How several sources become one file: their sum (mix, which is usual), or their "
            "channels side by side."
        ),
    ] = None,
    duration: Duration = None,
    device: Device = None,
    system: System = False,
    application: Application = None,
    virtual: Virtual = False,
    fallback_virtual: FallbackVirtual = False,
    on_lost: OnLost = None,
    lost_timeout: LostTimeout = None,
    rate: Rate = None,
    channels: Channels = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="WAV, FLAC, RAW …, whatever the ending says."),
    ] = None,
    subtype: Subtype = None,
    quality: Quality = None,
    rotate: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|SIZE", help="Continue in another file after 1h, 1h30m or 500MB."
        ),
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="With --rotate 1h, begin files at the full hour.")
    ] = False,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="N|TIME", help="With --rotate, keep the last N files, or those of 7d."
        ),
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Write FILE.json: what is missing, and where.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Show no levels, and no summary if all is well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Record to a file, and report where every frame went."""
    run(dict(locals()))
