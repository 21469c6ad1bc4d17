"""The commands, in the order of the help, each with an example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

import stream_audio
from stream_audio.cli.devices import devices
from stream_audio.cli.doctor import doctor
from stream_audio.cli.formats import formats
from stream_audio.cli.latency import latency
from stream_audio.cli.meeting import meeting
from stream_audio.cli.monitor import monitor
from stream_audio.cli.outcome import out
from stream_audio.cli.record import record
from stream_audio.cli.repair import repair
from stream_audio.cli.serve import serve
from stream_audio.cli.transcode import transcode

EXIT_CODES = "Exit codes: 0 success, 1 failure, 2 wrong usage, 3 recorded, but frames are missing."

app = typer.Typer(
    help="Record audio without losing a frame unnoticed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and exit.")
    ] = False,
) -> None:
    if version:
        out.print(stream_audio.__version__)
        raise typer.Exit


def _add(command: Callable[..., Any], *examples: str) -> None:
    # Blank lines keep each example on a line of its own.
    lines = ["Examples:" if len(examples) > 1 else "Example:", *examples]
    app.command(epilog="\n\n".join(lines), no_args_is_help=False)(command)


_add(
    record,
    "stream-audio record talk.flac --duration 1h30m",
    "stream-audio record -s me=USB -s others=system -o me.wav:me -o others.wav:others",
    "stream-audio record - --format RAW | program",
)
_add(meeting, "stream-audio meeting standup", "stream-audio meeting talk --duration 1h")
_add(monitor, "stream-audio monitor --device USB")
_add(
    serve,
    "stream-audio serve talk.flac",
    "stream-audio serve -s mic=USB --out day.flac --rotate 1h --host 0.0.0.0",
)
_add(devices, "stream-audio devices --json", "stream-audio devices --watch")
_add(doctor, "stream-audio doctor")
_add(transcode, "stream-audio transcode talk.wav talk.opus --rate 16000 --channels 1")
_add(repair, "stream-audio repair talk.wav --output whole.wav")
_add(formats, "stream-audio formats")
_add(latency, "stream-audio latency --device USB --load gil-python")
