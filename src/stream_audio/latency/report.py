"""The figures as text, and whether they are within what the user allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from stream_audio.latency.consumers import KINDS
from stream_audio.latency.figures import COLUMNS, PERCENTILES
from stream_audio.latency.loads import LOADS
from stream_audio.latency.peers import OURS

Document = dict[str, Any]

_BARS = " ▁▂▃▄▅▆▇█"
BAR_DECADES = (-7, 1)
"""Powers of ten, in seconds, between which text shows a distribution."""
BAR_WIDTH = 24


def text(document: Document) -> str:
    """Return the report for people."""
    parts = ["\n".join(_context(document))]
    parts += ["\n".join(_run(run)) for run in document["runs"]]
    if "compare" in document:
        parts.append("\n".join(_compare(document["compare"])))
    if "round_trip" in document:
        parts.append("\n".join(_round_trip(document["round_trip"])))
    if document["interrupted"]:
        parts.append("Interrupted: this is what there was so far.")
    if exceeded := document.get("exceeded"):
        parts.append("\n".join(f"EXCEEDED: {line}" for line in exceeded))
    return "\n\n".join(parts)


def exceeded(document: Document, max_p99_ms: float | None, max_lost: int | None) -> list[str]:
    """Return which of the user's limits the figures exceed; figures of others do not count."""
    found = []
    if max_p99_ms is not None:
        for name, figures in _latencies(document):
            p99 = figures["p99"]
            if p99 is None:
                found.append(f"{name}: nothing was measured")
            elif p99 * 1000 > max_p99_ms:
                found.append(f"{name}: p99 {duration(p99)} is above {max_p99_ms:g} ms")
    if max_lost is not None:
        lost = sum(run["lost_frames"] for run in document["runs"])
        if lost > max_lost:
            found.append(f"{lost} frames were lost, more than {max_lost}")
    return found


def _latencies(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for run in document["runs"]:
        for kind, figures in run["callback_to"].items():
            yield f"{_condition(run)}, callback to {kind}", figures
    if "round_trip" in document:
        yield "round trip", document["round_trip"]["delay"]


def duration(seconds: float | None) -> str:
    """Return a duration with three digits and the unit that suits it."""
    if seconds is None:
        return "–"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _three(number: float) -> str:
    return f"{number:.{2 if abs(number) < 10 else 1 if abs(number) < 100 else 0}f}"


def _context(document: Document) -> Iterator[str]:
    machine = document["machine"]
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, governor {machine['governor']}; "
        f"{machine['kernel']}; Python {machine['python']}, "
        f"switch interval {duration(machine['switch_interval'])}"
    )
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield f"{versions}; {machine['date']}"
    if device := document.get("device"):
        yield f"device {device['name']}, host API {device['host_api']}"


def _condition(run: dict[str, Any]) -> str:
    return f"load {run['load']}, period {run['period']}, chunk {run['chunk']}"


def _run(run: dict[str, Any]) -> Iterator[str]:
    rate = run["sample_rate"]
    load = LOADS[run["load"]].description
    yield (
        f"Periods of {run['period']} frames ({duration(run['period'] / rate)}), chunks of "
        f"{run['chunk']}, {rate} Hz, {run['channels']} channels; {load}"
    )
    low, high = (duration(10.0**power) for power in BAR_DECADES)
    scale = f"{low} {'.' * (BAR_WIDTH - len(low) - len(high) - 2)} {high}"
    head = ["callback to", *COLUMNS, "chunks", scale]
    rows = [_row(kind, figures) for kind, figures in run["callback_to"].items()]
    rows += [
        _row(label, run[key])
        for key, label in (("period_jitter", "period jitter"), ("dll_error", "loop's time error"))
        if run[key] is not None
    ]
    yield from table(head, rows)
    for kind in run["callback_to"]:
        if kind in KINDS:
            yield f"  {kind}: {KINDS[kind].description}"
    lost = ", ".join(f"{frames} {cause}" for cause, frames in run["lost"].items())
    yield f"lost: {run['lost_frames']} frames{f' ({lost})' if lost else ''}"
    cpu = ", ".join(f"{kind} {1000 * used:.1f}" for kind, used in run["cpu"].items())
    yield f"CPU, ms a second: {cpu}"
    yield f"most that waited in the ring: {duration(run['ring_highest'] / rate)}"
    threads = ", ".join(f"{count} {name}" for name, count in run["threads"].items())
    yield f"threads: {threads or 'not known'}"
    if not run["balanced"]:
        yield "A REPORT DOES NOT BALANCE (please report this as a bug)"


def _row(label: str, figures: dict[str, Any]) -> list[str]:
    durations = [duration(figures[column]) for column in COLUMNS]
    return [label, *durations, str(figures["count"]), sparkline(figures)]


def sparkline(figures: dict[str, Any]) -> str:
    """Return the histogram as a line of bars, over :data:`BAR_DECADES`."""
    histogram = figures.get("histogram")
    if histogram is None:
        return ""
    low, high = BAR_DECADES
    bars = [0] * BAR_WIDTH
    for seconds, count in zip(histogram["seconds"], histogram["counts"], strict=True):
        place = (math.log10(max(seconds, 1e-12)) - low) / (high - low) * BAR_WIDTH
        bars[min(BAR_WIDTH - 1, max(0, int(place)))] += count
    most = max(bars)
    # One that is not empty is never shown as if it were.
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in bars)


def _compare(compare: dict[str, Any]) -> Iterator[str]:
    yield (
        "Beside other libraries, in turn on the same device: how much later the consumer had a "
        "block than the contender's own quickest hand-over, and what it never had. "
        f"xN: its p99 over that of {OURS}."
    )
    for load, contenders in compare["loads"].items():
        yield f"load {load}: {LOADS[load].description}"
        head = ["", *PERCENTILES, "max", "xN", "lost", "CPU ms/s"]
        rows = []
        for name, figures in contenders.items():
            late = figures["lateness"]
            durations = [duration(late[column]) for column in (*PERCENTILES, "max")]
            rows.append(
                [
                    name,
                    *durations,
                    _ratio(late["p99"], contenders.get(OURS, {}).get("lateness", {}).get("p99")),
                    f"{100 * figures['lost_frames'] / max(1, figures['frames']):.2f} %",
                    f"{1000 * figures['cpu']:.1f}",
                ]
            )
        yield from table(head, rows)
    for failure in compare["failures"].values():
        yield f"failed: {failure}"


def _ratio(value: float | None, ours: float | None) -> str:
    return "–" if value is None or not ours else f"{value / ours:.2f}"


def _round_trip(trip: dict[str, Any]) -> Iterator[str]:
    rate = trip["sample_rate"]
    delay = trip["delay"]
    yield (
        f"Round trip {trip['output']} → {trip['input']} ({trip['host_api']}), {rate} Hz, "
        f"channel {trip['channel'] + 1}"
    )
    head = ["", "min", "p50", "p90", "p99", "max", "times"]
    columns = head[1:-1]
    frames = [f"{delay[column] * rate:.2f}" for column in columns]
    yield from table(
        head,
        [
            ["time", *(duration(delay[column]) for column in columns), str(delay["count"])],
            ["frames", *frames, ""],
        ],
    )
    says = {
        side: "nothing" if seconds is None else duration(seconds)
        for side, seconds in trip["host_says"].items()
    }
    yield (
        f"the host says: {says['input']} in, {says['output']} out; "
        f"gain {trip['gain_db']:.1f} dB{', inverted' if trip['inverted'] else ''}; "
        f"peak {trip['clarity']:.0f} times above the rest"
    )
    yield (
        f"repetitions without the signal: {trip['silent_repetitions']}; overflows "
        f"{trip['overflows']}, underflows {trip['underflows']}; a way longer than "
        f"{duration(trip['longest_measurable'])} would appear shorter by that"
    )


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Yield the lines of a table; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        first, *others = (
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *others]).rstrip()
