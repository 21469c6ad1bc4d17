"""The command ``stream-audio``; needs the extra ``[cli]``."""

from __future__ import annotations

import sys

from stream_audio import _terminal


def main() -> None:
    """Run the command line."""
    try:
        from stream_audio.cli.commands import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("The command line needs two more packages: pip install 'stream-audio[cli]'")
    _terminal.run(app)


__all__ = ["main"]
