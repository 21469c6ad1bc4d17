"""``stream-audio meeting``."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_audio import (
    AudioSource,
    FileClosed,
    FormatPreset,
    SessionReport,
    SinkFailed,
    StreamConfig,
    StreamEvent,
)
from stream_audio.cli.levels import Display, watch
from stream_audio.cli.options import AsJson, Duration, clock, device_names
from stream_audio.cli.outcome import err, errors_as_messages, print_json, show
from stream_audio.cli.recording import LEVELS
from stream_audio.cli.stopping import Stopping
from stream_audio.cli.summary import exit_code
from stream_audio.shortcuts.meeting import (
    FILES,
    MICROPHONE,
    OTHERS,
    SAMPLE_RATE,
    MeetingFolder,
    meeting_builder,
)


def meeting(
    folder: Annotated[
        str, typer.Argument(help="Where the files go; made for you alone if it does not exist.")
    ],
    duration: Duration = None,
    microphone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=device_names,
            help="The microphone: its name, a part of it, or its id from `stream-audio devices`. "
            "Usually the system's default.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The output to record. Usually the system's default."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Show no levels, and no summary if all is well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Record what you say and what the computer plays: a file for each side, and both mixed."""
    files: list[FileClosed] = []
    failed: set[str] = set()
    with errors_as_messages(), Stopping() as stopping:
        display = Display([MICROPHONE, OTHERS], duration)
        is_shown = err.is_terminal and not quiet

        def react(event: StreamEvent) -> None:
            display.react(event)
            if isinstance(event, FileClosed):
                files.append(event)
            if isinstance(event, SinkFailed) and event.detached and event.sink != LEVELS:
                failed.add(event.sink)
                if len(failed) == len(FILES):
                    stopping.told.set()  # nothing is left of it; the summary says why

        made = MeetingFolder(folder)
        try:
            builder = meeting_builder(
                made,
                None if microphone is None else AudioSource.device(microphone),
                None if output is None else AudioSource.system(output),
            )
            builder.on_event(react).config(StreamConfig(raise_on_sink_failure=False))
            if is_shown:  # without it the files let audio gather
                builder.add_sink(display.sink, name=LEVELS, format=FormatPreset.NATIVE)
            session = (builder if duration is None else builder.duration(duration)).start()
        except BaseException:
            made.undo()
            raise
        with stopping.ending(session):
            watch(session, display, stopping, err if is_shown else None)
    report = session.report()
    code = exit_code(report, FILES)
    if as_json:
        paths = [{"path": str(each.path.resolve()), "frames": each.frames} for each in files]
        print_json({"files": paths, **report.to_dict()}, on_stderr=False)
    elif code or not quiet:
        _print_summary(report, files)
    if code:
        raise typer.Exit(code)


def _print_summary(report: SessionReport, files: list[FileClosed]) -> None:
    for file in files:
        show(f"{clock(file.frames / SAMPLE_RATE)}  {file.path.resolve()}", on_stderr=False)
    show(str(report), on_stderr=False)
