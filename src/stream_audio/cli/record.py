"""``stream-audio record``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated, cast

import typer
from rich.live import Live

import stream_audio
from stream_audio import (
    DigitalSilence,
    FileClosed,
    FormatPreset,
    Session,
    SinkFailed,
    StreamAudioBuilder,
    StreamConfig,
    StreamEvent,
)
from stream_audio.cli.choice import chosen_sources
from stream_audio.cli.levels import Display
from stream_audio.cli.options import (
    Application,
    AsJson,
    Channels,
    Device,
    Duration,
    FallbackVirtual,
    OnLost,
    Rate,
    Sources,
    System,
    Virtual,
)
from stream_audio.cli.outcome import err, errors_as_messages, print_json, say
from stream_audio.cli.outputs import MergeMode, Output, outputs_of, settings_of
from stream_audio.cli.stopping import STOP_TIMEOUT, Stopping
from stream_audio.cli.summary import exit_code, print_summary
from stream_audio.contracts.source import OnLost as OnLostWish
from stream_audio.files.libsndfile.limits import NotHeldError
from stream_audio.sources.losing import when_lost

LEVELS = "levels"
"""The name of the sink that only shows levels."""

REFRESH = 0.05
"""Seconds between two looks at the levels."""


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
    rate: Rate = None,
    channels: Channels = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="WAV, FLAC, RAW …, whatever the ending says."),
    ] = None,
    subtype: Annotated[
        str | None, typer.Option(help="PCM_16, PCM_24, FLOAT …; see `stream-audio formats`.")
    ] = None,
    quality: Annotated[
        float | None, typer.Option(help="Ogg and MP3: 0 (smallest) to 1 (best).")
    ] = None,
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
    files: list[FileClosed] = []
    with errors_as_messages(), Stopping() as stopping:
        sources = chosen_sources(
            source,
            device=device,
            system=system,
            application=application,
            virtual=virtual,
            fallback_virtual=fallback_virtual,
            tell=not as_json,  # that is read by a program, and has the device
        )
        lost = cast("OnLostWish | None", on_lost)  # when_lost refuses what it is not
        sources = {id: when_lost(each, lost) for id, each in sources.items()}
        outputs = outputs_of(
            file,
            out,
            sources,
            rate=rate,
            channels=channels,
            merge=merge,
            settings=settings_of(
                format=format,
                subtype=subtype,
                quality=quality,
                rotate=rotate,
                align=align,
                keep=keep,
                ledger=ledger,
                overwrite=overwrite,
            ),
        )
        display = Display(list(sources), duration)
        is_shown = err.is_terminal and not quiet

        def react(event: StreamEvent) -> None:
            display.react(event)
            _react(event, stopping.told, files)

        def describe() -> StreamAudioBuilder:
            builder = stream_audio.StreamAudio.builder().on_event(react)
            builder.config(StreamConfig(raise_on_sink_failure=False))  # the summary tells
            for id, each in sources.items():
                builder.add_source(id, each)
            for output in outputs:
                output.add_to(builder)
            if is_shown:  # without it the files let audio gather
                builder.add_sink(display.sink, name=LEVELS, format=FormatPreset.NATIVE)
            return builder if duration is None else builder.duration(duration)

        with _start(describe, outputs) as session:
            stopping.session = session
            watch(session, display, stopping.told, is_shown=is_shown)
            if stopping.in_a_hurry:
                session.stop(timeout=STOP_TIMEOUT)
    report = session.report()
    on_stderr = any(output.is_stdout for output in outputs)
    code = exit_code(report, outputs)
    if as_json:
        made = [{"path": str(each.path.resolve()), "frames": each.frames} for each in files]
        first = outputs[0].described_path
        print_json({"path": first, "files": made, **report.to_dict()}, on_stderr=on_stderr)
    elif code or not quiet:
        print_summary(report, outputs, files, on_stderr=on_stderr)
    if code:
        raise typer.Exit(code)


def _start(describe: Callable[[], StreamAudioBuilder], outputs: list[Output]) -> Session:
    """Start a session; where a format has not the device's rate, with one that it has."""
    while True:
        try:
            return describe().start()
        except NotHeldError as error:
            if not any([output.convert_for(error) for output in outputs]):
                raise


def watch(
    session: Session, display: Display, told_to_stop: threading.Event, *, is_shown: bool
) -> None:
    """Show levels, on a terminal only, until the session ends or is told to."""
    if not is_shown:
        while not told_to_stop.is_set() and not session.wait(REFRESH):
            pass
        return
    with Live(display, console=err, transient=True, auto_refresh=False) as live:
        while not told_to_stop.is_set() and not session.wait(REFRESH):
            display.look()
            live.refresh()


def _react(event: StreamEvent, told_to_stop: threading.Event, files: list[FileClosed]) -> None:
    """Tell what a user can mend while the recording runs, and end it if nothing is left of it."""
    if isinstance(event, FileClosed):
        files.append(event)
    if isinstance(event, SinkFailed) and event.detached and event.sink != LEVELS:
        told_to_stop.set()  # the summary says why
    if isinstance(event, DigitalSilence):
        say(f"nothing but exact silence for {event.seconds:.0f} s. {event.hint}", "yellow")
