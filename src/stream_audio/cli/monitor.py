"""``stream-audio monitor``."""

from __future__ import annotations

import math
import time
from typing import Annotated

import typer

import stream_audio
from stream_audio import FormatPreset, Session
from stream_audio.cli.choice import chosen_sources
from stream_audio.cli.levels import REFRESH, Display, SourceLevels, decibels, watch
from stream_audio.cli.options import (
    Application,
    AsJson,
    Device,
    Duration,
    FallbackVirtual,
    Sources,
    System,
    Virtual,
    clock,
)
from stream_audio.cli.outcome import (
    FRAMES_MISSING,
    errors_as_messages,
    out,
    print_json,
    show,
)
from stream_audio.cli.stopping import Stopping


def monitor(
    source: Sources = None,
    duration: Duration = None,
    device: Device = None,
    system: System = False,
    application: Application = None,
    virtual: Virtual = False,
    fallback_virtual: FallbackVirtual = False,
    interval: Annotated[
        float,
        typer.Option(min=0.05, metavar="SECONDS", help="Time between two lines in a pipe."),
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show levels, clipping and losses without recording anything.

    On a terminal the display is live. In a pipe, or with --json, each source gets a line a second.
    """
    given = dict(locals())
    with errors_as_messages(), Stopping() as stopping:
        sources = chosen_sources(given, tell=not as_json)
        display = Display(list(sources), duration)
        builder = stream_audio.StreamAudio.builder().format(FormatPreset.NATIVE)
        builder.add_sink(display.sink, name="levels").on_event(display.react)
        for id, each in sources.items():
            builder.add_source(id, each)
        session = (builder if duration is None else builder.duration(duration)).start()
        with stopping.ending(session):
            if out.is_terminal and not as_json:
                watch(session, display, stopping, out)
            else:
                _print_lines(session, display, stopping, interval, as_json=as_json)
    display.look()
    report = session.report()
    if not as_json:
        for id, each_level in display.sources.items():
            show(_summary(id, each_level, report.sources[id].lost))
    if any(each.lost or each.error for each in report.sources.values()):
        raise typer.Exit(FRAMES_MISSING)


def _print_lines(
    session: Session, display: Display, stopping: Stopping, interval: float, *, as_json: bool
) -> None:
    due = time.monotonic() + interval
    while True:
        ended = stopping.is_over(session, min(REFRESH, interval))
        if time.monotonic() < due and not ended:
            continue
        due += interval
        display.look()
        for id, levels in display.sources.items():
            if as_json:
                print_json(_values(id, levels))
            else:
                show(_line(id, levels))
        out.file.flush()
        if ended:
            return


def _line(id: str, levels: SourceLevels) -> str:
    peaks = " ".join(decibels(peak) for peak in levels.peaks)
    state = f"  {levels.state}" if levels.state else ""
    clipped = f"  clipped {sum(levels.clipped)}" if any(levels.clipped) else ""
    return f"{clock(levels.position)}  {id}  {peaks} dBFS{clipped}  lost {levels.lost}{state}"


def _values(id: str, levels: SourceLevels) -> dict[str, object]:
    return {
        "source": id,
        "seconds": round(levels.position, 6),
        "peak": [peak if math.isfinite(peak) else None for peak in levels.peaks],
        "held": [peak if math.isfinite(peak) else None for peak in levels.held],
        "clipped": levels.clipped,
        "lost": levels.lost,
        "state": levels.state,
    }


def _summary(id: str, levels: SourceLevels, lost: int) -> str:
    highest = ", ".join(decibels(peak).strip() for peak in levels.highest)
    clipped = f", clipped {sum(levels.clipped)} times" if any(levels.clipped) else ""
    return f"{id}: {clock(levels.position)}, highest {highest} dBFS{clipped}, {lost} frames lost"
