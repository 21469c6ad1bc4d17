"""A recording as its options describe it: what ``record`` and ``serve`` share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import typer

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
from stream_audio.cli.levels import Display, watch
from stream_audio.cli.outcome import err, errors_as_messages, print_json, say
from stream_audio.cli.outputs import Output, outputs_of, settings_of
from stream_audio.cli.stopping import Stopping
from stream_audio.cli.summary import exit_code, print_summary
from stream_audio.files.libsndfile.limits import NotHeldError
from stream_audio.sources.losing import when_lost

if TYPE_CHECKING:
    from stream_audio.cli.web.server import WebServer

LEVELS = "levels"
"""The name of the sink that only shows levels."""

_OF_FILES = (
    "format",
    "subtype",
    "quality",
    "rotate",
    "align",
    "keep",
    "ledger",
    "overwrite",
)


def run(given: dict[str, Any], server: WebServer | None = None) -> None:
    """Record, tell what became of it, and exit.

    Parameters
    ----------
    given : dict of str to object
        The options of ``stream-audio record`` by their names in Python.
    server : WebServer, optional
        Shows the recording in browsers. There may then be no file to write.
    """
    duration, quiet, as_json = given["duration"], given["quiet"], given["as_json"]
    files: list[FileClosed] = []
    with errors_as_messages(), Stopping() as stopping:
        # JSON is read by a program, and has the device.
        sources = chosen_sources(given, tell=not as_json)
        lost = given["on_lost"], given["lost_timeout"]
        sources = {id: when_lost(each, *lost) for id, each in sources.items()}
        outputs = outputs_of(
            given["file"],
            given["out"],
            sources,
            rate=given["rate"],
            channels=given["channels"],
            merge=given["merge"],
            settings=settings_of(**{name: given[name] for name in _OF_FILES}),
            may_be_none=server is not None,
        )
        on_stderr = any(output.is_stdout for output in outputs)
        display = Display(list(sources), duration)
        is_shown = err.is_terminal and not quiet

        def react(event: StreamEvent) -> None:
            display.react(event)
            if server is not None:
                server.react(event)
            if isinstance(event, FileClosed):
                files.append(event)
            if isinstance(event, SinkFailed) and event.detached and event.sink in names:
                stopping.told.set()  # nothing is left of it; the summary says why
            if isinstance(event, DigitalSilence):
                _tell_silence(event)

        def describe() -> StreamAudioBuilder:
            builder = stream_audio.StreamAudio.builder().on_event(react)
            builder.config(StreamConfig(raise_on_sink_failure=False))  # the summary tells
            for id, each in sources.items():
                builder.add_source(id, each)
            for output in outputs:
                output.add_to(builder)
            if is_shown:  # without it the files let audio gather
                builder.add_sink(display.sink, name=LEVELS, format=FormatPreset.NATIVE)
            if server is not None:
                server.add_to(builder)
            return builder if duration is None else builder.duration(duration)

        names = {output.name for output in outputs}
        session = _start(describe, outputs)
        # Browsers may watch the session end.
        with nullcontext() if server is None else server.of(session), stopping.ending(session):
            if server is not None:
                _tell_address(server, as_json=as_json, on_stderr=on_stderr)
            watch(session, display, stopping, err if is_shown else None)
    report = session.report()
    code = exit_code(report, names)
    if as_json:
        made = [{"path": str(each.path.resolve()), "frames": each.frames} for each in files]
        path = outputs[0].described_path if outputs else None
        print_json({"path": path, "files": made, **report.to_dict()}, on_stderr=on_stderr)
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


def _tell_silence(event: DigitalSilence) -> None:
    """Tell what a user can mend while the recording runs."""
    say(f"nothing but exact silence for {event.seconds:.0f} s. {event.hint}", "yellow")


def _tell_address(server: WebServer, *, as_json: bool, on_stderr: bool) -> None:
    if as_json:
        print_json({"url": server.url}, on_stderr=on_stderr)
    else:
        say(server.url)
