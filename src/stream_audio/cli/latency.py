"""``stream-audio latency``; the work is in :mod:`stream_audio.latency`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

import stream_audio.latency
from stream_audio.cli.options import AsJson, device_names, seconds
from stream_audio.cli.outcome import errors_as_messages
from stream_audio.latency.consumers import available_kinds
from stream_audio.latency.loads import LOADS
from stream_audio.latency.options import SWEEP_CHUNKS, SWEEP_PERIODS, Options

PLOT_FORMATS = (".html", ".png")
WHAT = "What to measure"
WAYS = "Other ways to measure"
OUTPUT = "Output"

_KINDS = available_kinds()


def _whole_numbers(lowest: int, highest: int) -> Callable[[str], list[int]]:
    def parsed(text: str) -> list[int]:
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no whole number, or a list: 64,256") from None
        for number in numbers:
            if not lowest <= number <= highest:
                raise typer.BadParameter(f"{number} is not from {lowest} to {highest}")
        return numbers

    return parsed


def _names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def parsed(text: str) -> list[str]:
        names = [part.strip() for part in text.split(",")]
        for name in names:
            if name not in (*known, "all"):
                raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}, all")
        return list(known) if "all" in names else list(dict.fromkeys(names))

    return parsed


def _flat(lists: Iterable[list[Any]] | None) -> list[Any]:
    """Return what a repeated option gave, each time a list."""
    return [each for one in lists or () for each in one]


def _latency(text: str) -> str | float:
    if text in ("low", "high"):
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither low nor high nor seconds") from None


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in PLOT_FORMATS:
        raise typer.BadParameter(f"{text!r} does not end in {' or '.join(PLOT_FORMATS)}")
    return path


def _what(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=WHAT, **settings)


def _ways(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=WAYS, **settings)


def _output(*names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=OUTPUT, **settings)


_SWEEP = (
    f"Periods of {', '.join(map(str, SWEEP_PERIODS))} frames, and chunks of one period, "
    f"{', '.join(map(str, SWEEP_CHUNKS[1:]))} frames, unless --period or --chunk say others."
)


def latency(
    device: Annotated[
        str | None,
        _what(
            metavar="NAME",
            autocompletion=device_names,
            help='An input device, or "default". Usually the virtual device.',
        ),
    ] = None,
    rate: Annotated[int | None, _what("-r", "--rate", metavar="HZ", min=1000, max=768_000)] = None,
    channels: Annotated[int | None, _what("-c", "--channels", metavar="N", min=1, max=64)] = None,
    period: Annotated[
        list[int] | None,
        _what(
            parser=_whole_numbers(1, 65_536),
            metavar="FRAMES",
            help="Frames of each callback, or a list: 64,256. Usually the host's, and 256 for the "
            "virtual device; JACK has its own.",
        ),
    ] = None,
    latency: Annotated[
        str,
        _what(
            parser=_latency,
            metavar="LATENCY",
            help="Latency to ask the device for: low, high, or seconds.",
        ),
    ] = "low",
    chunk: Annotated[
        list[int] | None,
        _what(
            parser=_whole_numbers(0, 10_000_000),
            metavar="FRAMES",
            help="Frames of each chunk, or a list. 0 is one period, which is usual.",
        ),
    ] = None,
    consumers: Annotated[
        list[str] | None,
        _what(
            parser=_names(_KINDS),
            metavar="KINDS",
            help=f"Any of {', '.join(_KINDS)}. Usually all, each in its own session.",
        ),
    ] = None,
    load: Annotated[
        list[str] | None,
        _what(
            parser=_names(tuple(LOADS)),
            metavar="LOADS",
            help=f"{', '.join(LOADS)}, or all of them one after the other. Usually none.",
        ),
    ] = None,
    switch_interval: Annotated[
        float | None,
        _what(
            metavar="SECONDS", min=1e-6, max=10, help="sys.setswitchinterval while a session runs."
        ),
    ] = None,
    duration: Annotated[
        float | None,
        _what(
            "-d",
            "--duration",
            parser=seconds,
            metavar="TIME",
            help="Length of each measurement. Usually 5 s; 2 s in a sweep, 10 s for a round trip.",
        ),
    ] = None,
    sweep: Annotated[bool, _ways("--sweep", help=_SWEEP)] = False,
    soak: Annotated[
        float | None,
        _ways(
            parser=seconds,
            metavar="TIME",
            help="Run one session with all consumers for this long.",
        ),
    ] = None,
    compare: Annotated[
        bool,
        _ways("--compare", help="Measure other installed libraries, too, on the same --device."),
    ] = False,
    rounds: Annotated[int, _ways(metavar="N", min=1, max=1000, help="Rounds of --compare.")] = 3,
    round_trip: Annotated[
        bool,
        _ways("--round-trip", help="Play a signal to --output and find it again in --device."),
    ] = False,
    output: Annotated[
        str | None, _ways(metavar="NAME", help="The output device for --round-trip.")
    ] = None,
    level: Annotated[
        float, _ways(metavar="DBFS", min=-60, max=0, help="Level of the played signal.")
    ] = -20.0,
    delay: Annotated[
        float,
        _ways(
            metavar="MS",
            min=0,
            max=10_000,
            help="Let each consumer sleep this long before a chunk counts, as a check.",
        ),
    ] = 0.0,
    as_json: AsJson = False,
    plot: Annotated[
        Path | None,
        _output(
            parser=_picture,
            metavar="FILE",
            help="Write one .html page or .png picture; needs matplotlib.",
        ),
    ] = None,
    max_p99: Annotated[
        float | None, _output(metavar="MS", min=0, help="Fail if a p99 exceeds this.")
    ] = None,
    max_lost: Annotated[
        int | None, _output(metavar="FRAMES", min=0, help="Fail if more frames are lost.")
    ] = None,
) -> None:
    """Measure how late captured audio is, from the callback to each consumer.

    Latency is the time from the entry of the callback that brought a chunk's last frame until a
    consumer has the chunk; the time to fill the chunk comes before. Every chunk counts, from its
    own callback, however long it waited. Percentiles are exact. The exit code is 1 also if
    --max-p99 or --max-lost was exceeded.
    """
    given = dict(locals())
    given["json"] = given.pop("as_json")
    for name in ("period", "chunk", "consumers", "load"):
        given[name] = _flat(given[name])
    given["load"] = given["load"] or ["none"]
    with errors_as_messages():
        raise typer.Exit(stream_audio.latency.main(Options(**given)))
