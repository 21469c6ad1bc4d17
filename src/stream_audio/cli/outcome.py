"""How a command ends: its exit code, and an error as a message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from stream_audio import ConfigError, ConfigTypeError, StreamAudioError

FAILED = 1
USED_WRONGLY = 2
FRAMES_MISSING = 3

IN_OPTIONS = {
    "Pass overwrite=True to replace it, or unique=True for another name": "Pass --overwrite to "
    "replace it",
    "use AudioSource.virtual()": "pass --fallback-virtual",
    "Name another file with output=": "Name another file with --output",
}
"""Parts of hints that speak of arguments in Python, in terms of the command line."""

out = Console()
"""Standard output: what was asked for."""
err = Console(stderr=True)
"""Messages and live displays."""


def print_json(value: Any, *, on_stderr: bool = False) -> None:
    """Print a value as one line."""
    (err if on_stderr else out).file.write(json.dumps(value) + "\n")


def say(text: str, style: str = "") -> None:
    """Tell something beside what was asked for."""
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def show(text: str, *, on_stderr: bool = False) -> None:
    """Print a line of what was asked for, word for word."""
    console = err if on_stderr else out
    console.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Tell an error of the library, and exit with its code."""
    try:
        yield
    except StreamAudioError as error:
        text = str(error)
        for words, instead in IN_OPTIONS.items():
            text = text.replace(words, instead)
        err.print("[bold red]error:[/]", escape(text), highlight=False, soft_wrap=True)
        wrong = isinstance(error, (ConfigError, ConfigTypeError))
        raise typer.Exit(USED_WRONGLY if wrong else FAILED) from None
