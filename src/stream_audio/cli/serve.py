"""``stream-audio serve``."""

from __future__ import annotations

import inspect
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from stream_audio import ConfigError
from stream_audio.cli.outcome import errors_as_messages
from stream_audio.cli.record import record
from stream_audio.cli.recording import LEVELS, run

PORT = 8420


def serve(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where browsers may come from: `127.0.0.1` is this machine alone, `0.0.0.0` any "
            "network. Elsewhere than here they need the token that is printed.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="The port; 0 is any free one.")
    ] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file with the token to ask for. Usually a new one is made at each start.",
        ),
    ] = None,
    **recording: Any,
) -> None:
    """Record, and show levels, losses and files in a browser, which may listen, too.

    Without a FILE nothing is recorded. All options of `stream-audio record` work here.
    """
    from stream_audio.cli.web.server import WebServer

    with errors_as_messages():
        token = None if token_file is None else token_in(token_file)
        server = WebServer(host, port, token, not_shown=(LEVELS,))
    with closing(server):
        run(recording, server)


def token_in(file: Path) -> str:
    """Return the token that a file holds, or raise ConfigError."""
    from stream_audio.cli.web.access import checked_token

    try:
        return checked_token(file.read_text(encoding="ascii"))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read the token in {file}", host_text=str(error)) from error


def _with_options_of_record() -> None:
    """Have :func:`serve` take what :func:`record` takes: typer reads signatures."""
    own = [
        each
        for each in inspect.signature(serve, eval_str=True).parameters.values()
        if each.kind is not each.VAR_KEYWORD
    ]
    taken = list(inspect.signature(record, eval_str=True).parameters.values())
    both = [*taken[:-2], *own, *taken[-2:]]
    serve.__signature__ = inspect.Signature(both)  # type: ignore[attr-defined]
    serve.__annotations__ = {each.name: each.annotation for each in both}


_with_options_of_record()
