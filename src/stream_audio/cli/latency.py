"""``stream-audio latency``."""

from __future__ import annotations

import typer

import stream_audio.latency


def latency(context: typer.Context) -> None:
    """Measure how late captured audio is, from the callback to each consumer."""
    raise typer.Exit(stream_audio.latency.main(context.args, "stream-audio latency"))
