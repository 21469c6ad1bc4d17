"""The commands.

Exit codes: 0 all went well (also when Ctrl-C, SIGTERM or SIGHUP ended the recording); 1 it failed;
2 the command was used wrongly, or with a value that cannot work; 3 the recording is there, but
frames are missing from it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import stream_audio
import stream_audio.latency
from stream_audio import (
    AudioFormat,
    AudioSource,
    ConfigError,
    ConfigTypeError,
    DeviceNotFoundError,
    DigitalSilence,
    FileClosed,
    FileSink,
    Session,
    SinkFailed,
    StreamAudioError,
    StreamEvent,
)
from stream_audio.cli.meter import LevelMeter, make_progress
from stream_audio.cli.stopping import STOP_TIMEOUT, Stopping
from stream_audio.contracts.source import Source
from stream_audio.reports.report import SessionReport, SinkReport

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

METER = "meter"
"""The name of the sink that only shows the level."""

REFRESH = 0.05
"""Seconds between two looks at the meter."""

app = typer.Typer(
    help="Record audio without losing a frame unnoticed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 success, 1 failure, 2 wrong usage, 3 recorded, but frames are missing.",
)
_out = Console()
_err = Console(stderr=True)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        _out.print(stream_audio.__version__)
        raise typer.Exit


@contextmanager
def _errors_as_messages() -> Iterator[None]:
    try:
        yield
    except StreamAudioError as error:
        text = str(error)
        for words, instead in IN_OPTIONS.items():
            text = text.replace(words, instead)
        _err.print("[bold red]error:[/]", escape(text), highlight=False, soft_wrap=True)
        wrong = isinstance(error, (ConfigError, ConfigTypeError))
        raise typer.Exit(USED_WRONGLY if wrong else FAILED) from None


@app.command()
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the input devices."""
    with _errors_as_messages():
        found = stream_audio.list_input_devices()
    if as_json:
        print(json.dumps([asdict(device) for device in found]))
        return
    if not found:
        _out.print("There is no input device.")
        return
    table = Table("", "name", "host API", "channels", "rate", "latency", "id", box=None)
    for device in found:
        table.add_row(
            "*" if device.is_default else "",
            escape(device.name),
            escape(device.host_api),
            str(device.channels),
            f"{device.sample_rate} Hz",
            f"{device.low_latency * 1000:.0f}–{device.high_latency * 1000:.0f} ms",
            escape(device.id),
        )
    _out.print(table)
    _out.print("* the default", style="dim")


@app.command(
    add_help_option=False,  # it has its own, and knows its options
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def latency(context: typer.Context) -> None:
    """Measure how late captured audio is, from the callback to each consumer."""
    raise typer.Exit(stream_audio.latency.main(context.args, "stream-audio latency"))


@app.command()
def record(
    out: Annotated[Path, typer.Argument(help="The file to write; its ending decides the format.")],
    duration: Annotated[
        float | None, typer.Option("-d", "--duration", help="Seconds; without it, until Ctrl-C.")
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option("-r", "--rate", help="Sample rate of the file in Hz; default: the device's."),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            "-c", "--channels", help="Channels of the file; default: all of the device's."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Name or id of the input device; with --system, of the output."),
    ] = None,
    system: Annotated[
        bool, typer.Option("--system", help="Record what the computer plays, not an input.")
    ] = False,
    application: Annotated[
        str | None,
        typer.Option(help="Record what this program plays: its name or process id."),
    ] = None,
    subtype: Annotated[
        str | None, typer.Option(help="PCM_16, PCM_24, FLOAT …; see `stream-audio formats`.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    fallback_virtual: Annotated[
        bool,
        typer.Option(help="If there is no default input, record a virtual tone."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Record to a file, and report where every frame went."""
    meter = LevelMeter()
    files: list[FileClosed] = []
    with _errors_as_messages(), Stopping() as stopping:
        source = _source(device, system, application, fallback_virtual=fallback_virtual)
        builder = (
            stream_audio.StreamAudio.builder()
            .add_source("input", source)
            .format(AudioFormat(rate, channels))
            .add_sink(FileSink(out, subtype=subtype, overwrite=overwrite))
            .on_event(partial(_react, stopping.told, files))
            .config(stream_audio.StreamConfig(raise_on_sink_failure=False))  # the report tells
        )
        if _err.is_terminal:  # else nobody would see it, and the file alone lets audio gather
            builder.add_sink(meter, name=METER)
        if duration is not None:
            builder.duration(duration)
        with builder.start() as session:
            stopping.session = session
            _watch(session, meter, duration, stopping.told)
            if stopping.in_a_hurry:
                session.stop(timeout=STOP_TIMEOUT)
    report = session.report()
    if as_json:
        made = [{"path": str(file.path.resolve()), "frames": file.frames} for file in files]
        print(json.dumps({"path": str(out.resolve()), "files": made, **report.to_dict()}))
    else:
        _print_report(files, out, report, AudioFormat(rate, channels))
    code = _exit_code(report)
    if code:
        raise typer.Exit(code)


@app.command()
def formats(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the formats of sound files that can be written and read."""
    found = stream_audio.formats()
    if as_json:
        print(json.dumps([asdict(form) for form in found]))
        return
    table = Table("name", "endings", "subtypes", "killed", "description", box=None)
    for form in found:
        table.add_row(
            form.name,
            " ".join(form.extensions),
            " ".join(form.subtypes) or "only read",
            form.after_kill if form.written else "",
            escape(form.description),
        )
    _out.print(table)
    _out.print("killed: what a reader finds if the writer was killed", style="dim")


@app.command()
def repair(
    file: Annotated[Path, typer.Argument(help="A sound file that was cut off.")],
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Mend the file itself instead of writing a copy.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the copy is written.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Mend a sound file that its writer left incomplete; leave an intact one alone."""
    with _errors_as_messages():
        report = stream_audio.repair(file, in_place=in_place, output=output)
    if as_json:
        print(json.dumps(report.to_dict()))
    else:
        _out.print(str(report), highlight=False, soft_wrap=True, markup=False)


def _react(told_to_stop: threading.Event, files: list[FileClosed], event: StreamEvent) -> None:
    """Tell what a user can mend while the recording runs, and end it if nothing is left of it."""
    if isinstance(event, FileClosed):
        files.append(event)
    if isinstance(event, SinkFailed) and event.detached and event.sink != METER:
        told_to_stop.set()  # the report says why
    if isinstance(event, DigitalSilence):
        _err.print(
            f"nothing but exact silence for {event.seconds:.0f} s. {event.hint}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _source(
    device: str | None, system: bool, application: str | None, *, fallback_virtual: bool
) -> Source:
    if application is not None:
        if system or device is not None:
            raise ConfigError("--application goes with neither --system nor --device")
        return AudioSource.application(
            int(application) if application.isdecimal() else application
        )
    if system:
        return AudioSource.system(device)
    if device is not None:
        return AudioSource.device(device)
    if fallback_virtual:
        try:
            stream_audio.default_input_device()
        except (DeviceNotFoundError, stream_audio.BackendError) as error:
            message = f"{error.message}: recording a tone from the virtual device"
            _err.print(message, style="yellow", markup=False)
            return AudioSource.virtual("sine")
    return AudioSource.default_device()


def _watch(
    session: Session, meter: LevelMeter, duration: float | None, told_to_stop: threading.Event
) -> None:
    """Show progress, on a terminal only, until the session ends or is told to."""
    with make_progress(meter, _err) as progress:
        progress.disable = not _err.is_terminal
        task = progress.add_task("recording", total=duration)
        while not told_to_stop.is_set() and not session.wait(REFRESH):
            progress.update(task, completed=meter.seconds)


def _file_sink(report: SessionReport) -> SinkReport:
    [sink] = [each for name, each in report.sinks.items() if name != METER]
    return sink


def _exit_code(report: SessionReport) -> int:
    """Judge by the file: what became of the meter is nobody's loss."""
    source, sink = report.sources["input"], _file_sink(report)
    if sink.error or not report.balanced:
        return FAILED
    return FRAMES_MISSING if source.lost or source.error or sink.dropped else 0


def _print_report(
    files: list[FileClosed], out: Path, report: SessionReport, wanted: AudioFormat
) -> None:
    """Tell what the device delivered, and what of it is in the file: each adds up by itself."""
    source, sink = report.sources["input"], _file_sink(report)
    rate = wanted.sample_rate or source.sample_rate
    other_rate = rate != source.sample_rate
    frames = sum(file.frames for file in files)
    silence = frames - sink.delivered
    rows = {
        "captured": f"{source.captured} frames"
        + (f" at {source.sample_rate} Hz" if other_rate else ""),
        "idle": f"{source.idle} frames of silence while the output slept" if source.idle else "",
        "lost": f"{source.lost} frames",
        "delivered": f"{sink.delivered} frames" + (f" at {rate} Hz" if other_rate else ""),
        "dropped": f"{sink.dropped} frames" if sink.dropped else "",
        "silence": f"{silence} frames for what is missing" if silence > 0 else "",
        "length": f"{frames / rate:.3f} s at {rate} Hz, "
        f"{wanted.channels or source.channels} channels, {frames} frames",
        "path": ", ".join(str(file.path.resolve()) for file in files) or str(out.resolve()),
    }
    for label, value in rows.items():
        if value:
            _out.print(f"{label:>10}  {value}", highlight=False, soft_wrap=True, markup=False)
    if _exit_code(report) or source.rate_is_wrong:
        _out.print(str(report), highlight=False, soft_wrap=True, markup=False)
