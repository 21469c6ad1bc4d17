"""The command ``stream-audio``; needs the extra ``[cli]``.

A command is a module: a function whose docstring and annotations are its help. ``app.py`` lists
them; ``options.py`` has the options that several share, ``outcome.py`` how a command ends, and
``stopping.py`` what Ctrl-C and the other signals do.
"""

from __future__ import annotations

import sys

from stream_audio import _terminal


def main() -> None:
    """Run the command line."""
    try:
        from stream_audio.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("The command line needs two more packages: pip install 'stream-audio[cli]'")
    _terminal.run(lambda: app(prog_name="stream-audio"))


__all__ = ["main"]
