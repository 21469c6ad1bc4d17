"""What the command line says."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from stream_audio.latency.consumers import available_kinds
from stream_audio.latency.loads import LOADS

SWEEP_PERIODS = (64, 128, 256, 512, 1024)
SWEEP_CHUNKS = (0, 1024, 4800)
SWEEP_KINDS = ("router", "channel")
DURATION = 5.0
SWEEP_DURATION = 2.0
ROUND_TRIP_DURATION = 10.0
PLOT_FORMATS = (".html", ".png")

EPILOG = """\
Latency is the time from the entry of the callback that brought a chunk's last frame until a
consumer has the chunk; the time to fill the chunk comes before. Every chunk counts, from its own
callback, however long it waited (no coordinated omission). Percentiles are exact.

exit codes: 0 success, also after Ctrl-C; 1 failure, or --max-p99 or --max-lost was exceeded;
2 wrong usage.
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser."""
    made = argparse.ArgumentParser(
        prog=prog,
        description="Measure how late captured audio is, from the callback to each consumer.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = made.add_argument_group("what to measure")
    what.add_argument(
        "--device",
        metavar="NAME",
        help='an input device, or "default"; without it, the virtual device, which needs none',
    )
    what.add_argument("--rate", type=_whole(1000, 768_000), metavar="HZ")
    what.add_argument("--channels", type=_whole(1, 64), metavar="N")
    what.add_argument(
        "--period",
        type=_list_of(_whole(1, 65_536)),
        metavar="FRAMES",
        help="frames for each callback, or a list: 64,256 (default: 256 for the virtual device, "
        "otherwise the host's; JACK has its own)",
    )
    what.add_argument(
        "--latency",
        type=_latency,
        default="low",
        metavar="LATENCY",
        help='latency to ask the device for: "low" (the default), "high", or seconds',
    )
    what.add_argument(
        "--chunk",
        type=_list_of(_whole(0, 10_000_000)),
        metavar="FRAMES",
        help="frames for each chunk, or a list; 0 (the default) is one period",
    )
    what.add_argument(
        "--consumers",
        type=_list_of(_one_of(available_kinds(), "all")),
        metavar="KINDS",
        help=f"any of {', '.join(available_kinds())}; default: all, each in its own session",
    )
    what.add_argument(
        "--load",
        type=_list_of(_one_of(tuple(LOADS), "all")),
        default=["none"],
        metavar="LOAD",
        help=f"{', '.join(LOADS)}, or all of them one after the other",
    )
    what.add_argument(
        "--switch-interval",
        type=_real(1e-6, 10),
        metavar="SECONDS",
        help="sys.setswitchinterval while a session runs",
    )
    what.add_argument(
        "--duration",
        type=_real(0.1, 86_400),
        metavar="SECONDS",
        help=f"length of each measurement (default: {DURATION:g}; {SWEEP_DURATION:g} in a sweep, "
        f"{ROUND_TRIP_DURATION:g} for a round trip)",
    )

    ways = made.add_argument_group("other ways to measure")
    ways.add_argument(
        "--sweep",
        action="store_true",
        help=f"periods {_text(SWEEP_PERIODS)} and chunks of one period, "
        f"{_text(SWEEP_CHUNKS[1:])} frames, unless --period or --chunk say others",
    )
    ways.add_argument(
        "--soak",
        type=_real(0.01, 100_000),
        metavar="MINUTES",
        help="run one session with all consumers together for this long",
    )
    ways.add_argument(
        "--compare",
        action="store_true",
        help="measure the other installed libraries, too, in turn on the same --device",
    )
    ways.add_argument(
        "--rounds",
        type=_whole(1, 1000),
        default=3,
        metavar="N",
        help="rounds of --compare (default: 3)",
    )
    ways.add_argument(
        "--round-trip",
        action="store_true",
        help="play a signal to --output and find it again in --device: cable, loopback, JACK, "
        "monitor",
    )
    ways.add_argument("--output", metavar="NAME", help="output device for --round-trip")
    ways.add_argument(
        "--level",
        type=_real(-60, 0),
        default=-20.0,
        metavar="DBFS",
        help="level of the played signal",
    )
    ways.add_argument(
        "--delay",
        type=_real(0, 10_000),
        default=0.0,
        metavar="MS",
        help="make each consumer sleep this long before a chunk counts, to check the script",
    )

    out = made.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="all figures as JSON on standard output")
    out.add_argument(
        "--plot",
        type=_plot,
        metavar="FILE",
        help="one .html page or .png picture; needs matplotlib",
    )
    out.add_argument(
        "--max-p99", type=_real(0, 1e9), metavar="MS", help="fail if a p99 exceeds this"
    )
    out.add_argument(
        "--max-lost", type=_whole(0, 2**62), metavar="FRAMES", help="fail if more frames are lost"
    )
    return made


def parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    """Return the options, completed and consistent; exits with 2 if they are not."""
    made = parser(prog)
    options = made.parse_args(arguments)
    if options.compare and options.device is None:
        made.error("--compare needs --device: other libraries cannot record the virtual device")
    if options.round_trip and (options.sweep or options.soak or options.compare):
        made.error("--round-trip takes no --sweep, --soak or --compare")
    if options.soak and options.sweep:
        made.error("--soak and --sweep exclude each other")
    if options.output is not None and not options.round_trip:
        made.error("--output needs --round-trip")
    options.load = _unfolded(options.load, tuple(LOADS))
    options.consumers = _consumers(options)
    options.periods = options.period or list(SWEEP_PERIODS if options.sweep else (0,))
    options.chunks = options.chunk or list(SWEEP_CHUNKS if options.sweep else (0,))
    if options.round_trip and (len(options.periods) > 1 or options.chunk):
        made.error("--round-trip takes one --period and no --chunk")
    if options.duration is None:
        options.duration = _duration(options)
    return options


def _consumers(options: argparse.Namespace) -> list[str]:
    if options.consumers is not None:
        return _unfolded(options.consumers, available_kinds())
    return list(SWEEP_KINDS if options.sweep else available_kinds())


def _duration(options: argparse.Namespace) -> float:
    if options.soak:
        return float(options.soak) * 60
    if options.round_trip:
        return ROUND_TRIP_DURATION
    return SWEEP_DURATION if options.sweep else DURATION


def _unfolded(names: list[str], everything: tuple[str, ...]) -> list[str]:
    return list(everything) if "all" in names else list(dict.fromkeys(names))


def _text(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


# ---- what argparse calls types: they return a value, or say what is wrong with it ----


def _list_of(item: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    return lambda text: [item(part.strip()) for part in text.split(",")]


def _one_of(names: tuple[str, ...], *more: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in (*names, *more):
            _refuse(f"{text!r} is none of {', '.join((*names, *more))}")
        return text

    return check


def _whole(low: int, high: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            _refuse(f"{text!r} is not a whole number")
        if not low <= number <= high:
            _refuse(f"{text} is not from {low} to {high}")
        return number

    return check


def _real(low: float, high: float) -> Callable[[str], float]:
    def check(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            _refuse(f"{text!r} is not a number")
        if not low <= number <= high:  # NaN is not either
            _refuse(f"{text} is not from {low:g} to {high:g}")
        return number

    return check


def _latency(text: str) -> str | float:
    return text if text in ("low", "high") else _real(0, 10)(text)


def _plot(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in PLOT_FORMATS:
        _refuse(f"{text!r} does not end in {' or '.join(PLOT_FORMATS)}")
    return path


def _refuse(why: str) -> NoReturn:
    raise argparse.ArgumentTypeError(why)
