"""The figures as pictures: one PNG, or one HTML page that needs nothing beside it."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stream_audio import StreamAudioError
from stream_audio.latency.report import duration, text

DOTS_PER_INCH = 110
PANEL = (4.0, 2.8)
"""Inches of a panel on a page, which scales it; of text it is some 40 characters wide."""

COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f",
    "#bcbd22", "#17becf",
)  # fmt: skip
"""Those of matplotlib, in order; on a page each has a twin for dark screens."""
_ON_LIGHT = (
    "#1f6fb2", "#b85c00", "#23803f", "#c62828", "#7d4fb0", "#7a4a3f", "#b83b95", "#616161",
    "#757500", "#007c8a",
)  # fmt: skip
_ON_DARK = (
    "#6cb4f0", "#ffa64d", "#63cf7d", "#ff7f7a", "#c09ae8", "#cf9d8e", "#f2a0dc", "#b5b5b5",
    "#d6d64a", "#4fd3e2",
)  # fmt: skip
_BY_THEME = {
    "#000000": "currentColor",
    "#ffffff": "none",
    "#b0b0b0": "var(--line)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(COLOURS)},
}
"""What stands on a page for the colours that matplotlib draws with."""

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Latency of captured audio</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --back: #fff; --ink: #1b1b1f; --line: #c4c4cc; {light} }}
@media (prefers-color-scheme: dark) {{
  :root {{ --back: #151518; --ink: #ececf0; --line: #4a4a54; {dark} }}
}}
body {{ font-family: system-ui, sans-serif; max-width: 80rem; margin: 1rem auto; padding: 0 1rem;
  background: var(--back); color: var(--ink) }}
section div {{ display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)) }}
figure {{ margin: 0 }}
svg {{ display: block; width: 100%; height: auto }}
svg text {{ fill: currentColor }}
h2 {{ margin: 2rem 0 0.5rem; font-size: 1.2rem }}
ul {{ display: flex; flex-wrap: wrap; gap: 0.3rem 1.5rem; padding: 0; list-style: none }}
li i {{ display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em }}
pre {{ overflow-x: auto; font-size: 0.8rem; line-height: 1.3 }}
</style>
<h1>Latency of captured audio</h1>
<p>From the entry of the callback that brought a chunk's last frame until a consumer had the chunk.
Every chunk counts from its own callback, however long it waited.</p>
{sections}
<pre>{report}</pre>
</html>
"""


def check() -> None:
    """Raise before anything is measured if nothing can be drawn.

    Raises
    ------
    StreamAudioError
        matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401 - is it there?
    except ModuleNotFoundError as error:
        raise StreamAudioError(
            "plots need matplotlib", hint="pip install 'stream-audio[plot]'"
        ) from error


def save(document: dict[str, Any], path: Path) -> None:
    """Write the page or the picture, by the ending of ``path``.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if path.suffix.lower() == ".png":
        path.write_bytes(_picture(document))
        return
    sections = "\n".join(_section(title, series) for title, series in _groups(document))
    page = _PAGE.format(
        light=_variables(_ON_LIGHT),
        dark=_variables(_ON_DARK),
        sections=sections,
        report=html.escape(text(document)),
    )
    path.write_text(page, encoding="utf-8")


def _variables(colours: tuple[str, ...]) -> str:
    return "; ".join(f"--c{number}: {colour}" for number, colour in enumerate(colours))


def _groups(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Yield what is drawn on axes of its own: a title, and figures by their names."""
    for run in document["runs"]:
        title = f"load {run['load']}, period {run['period']}, chunk {run['chunk']}"
        yield f"Latency: {title}", {f"→ {kind}": each for kind, each in run["callback_to"].items()}
        clocks = {"period jitter": run["period_jitter"], "loop's time error": run["dll_error"]}
        yield (
            f"The device's clock: {title}",
            {name: each for name, each in clocks.items() if each is not None},
        )
    if "round_trip" in document:
        yield "Round trip", {"round trip": document["round_trip"]["delay"]}
    if "compare" in document:
        for load, contenders in document["compare"]["loads"].items():
            lateness = {name: figures["lateness"] for name, figures in contenders.items()}
            yield f"Later than the quickest hand-over: load {load}", lateness


def _measured(series: dict[str, dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return name, colour and figures of all that has any."""
    measured = [(name, figures) for name, figures in series.items() if figures["count"]]
    return [
        (name, COLOURS[number % len(COLOURS)], figures)
        for number, (name, figures) in enumerate(measured)
    ]


def _section(title: str, series: dict[str, dict[str, Any]]) -> str:
    """Return the panels of a group, and below them what each colour is."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    measured = _measured(series)
    if not measured:
        return ""
    panels = []
    for caption, draw in _PANELS:
        figure = Figure(figsize=PANEL)
        _draw(figure.add_axes((0.18, 0.11, 0.73, 0.85)), draw, measured)
        output = io.StringIO()
        with rc_context({"svg.fonttype": "none"}):
            figure.savefig(output, format="svg")
        drawing = _on_page(output.getvalue(), caption)
        panels.append(f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>")
    keys = [
        f'<li><i style="background: {_BY_THEME[colour]}"></i>{html.escape(_label(name, figures))}'
        for name, colour, figures in measured
    ]
    return (
        f"<section><h2>{html.escape(title)}</h2><div>{''.join(panels)}</div>"
        f"<ul>{''.join(keys)}</ul></section>"
    )


def _on_page(drawing: str, caption: str) -> str:
    """Return a drawing for a page: it scales, has the page's colours, and is named."""
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawing)
    drawing = re.sub(r' id="[\w.]+_\d+"', "", drawing)  # the same in each drawing
    drawing = re.sub(
        r'(<svg [^>]*?)width="[^"]*"', rf'\1role="img" aria-label="{caption}"', drawing
    )
    drawing = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", drawing)
    colours = re.compile("|".join(_BY_THEME))
    return colours.sub(lambda found: _BY_THEME[found[0]], drawing)


def _picture(document: dict[str, Any]) -> bytes:
    from matplotlib.figure import Figure

    groups = [
        (title, found) for title, series in _groups(document) if (found := _measured(series))
    ]
    figure = Figure(figsize=(17, 3.8 * max(1, len(groups))), layout="constrained")
    rows = figure.subplots(max(1, len(groups)), len(_PANELS), squeeze=False)
    for (title, measured), row in zip(groups, rows, strict=False):
        for axes, (caption, draw) in zip(row, _PANELS, strict=True):
            _draw(axes, draw, measured)
            axes.set_title(caption)
        row[0].set_title(f"{title}\n{row[0].get_title()}")
        row[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=DOTS_PER_INCH)
    return output.getvalue()


def _draw(axes: Any, draw: Any, measured: list[tuple[str, str, dict[str, Any]]]) -> None:
    for name, colour, figures in measured:
        draw(axes, colour, figures, _label(name, figures))
    axes.grid(alpha=0.5)


def _label(name: str, figures: dict[str, Any]) -> str:
    return f"{name}: p50 {duration(figures['p50'])}, p99 {duration(figures['p99'])}"


def _buckets(figures: dict[str, Any]) -> tuple[Any, Any]:
    """Return lower edges in seconds, and each bucket's share of all."""
    histogram = figures["histogram"]
    edges = np.maximum(histogram["seconds"], 1e-9)
    return edges, np.array(histogram["counts"]) / figures["count"]


def _draw_histogram(axes: Any, colour: str, figures: dict[str, Any], label: str) -> None:
    edges, shares = _buckets(figures)
    # Buckets of one width on the picture, whatever the figures were counted in.
    per_decade = 10
    places = np.floor(np.log10(edges) * per_decade).astype(int)
    first = places.min() - 1
    bars = np.bincount(places - first, shares, places.max() - first + 2)
    lower = 10.0 ** (np.arange(first, first + len(bars)) / per_decade)
    axes.step(lower, bars, where="post", color=colour, label=label)
    axes.fill_between(lower, bars, step="post", color=colour, alpha=0.15)
    axes.set_xscale("log")
    _in_seconds(axes.xaxis)


def _draw_tail(axes: Any, colour: str, figures: dict[str, Any], label: str) -> None:
    edges, shares = _buckets(figures)
    longer = 1 - np.cumsum(shares)
    # On a logarithmic scale the end, where none is longer, cannot be drawn.
    longer[-1] = shares[-1]
    axes.step(edges, longer, where="post", color=colour, label=label)
    axes.set(xscale="log", yscale="log")
    _in_seconds(axes.xaxis)


def _draw_timeline(axes: Any, colour: str, figures: dict[str, Any], label: str) -> None:
    line = figures.get("timeline", {"seconds": [], "p50": [], "max": []})
    axes.plot(line["seconds"], line["p50"], color=colour, label=label)
    axes.plot(line["seconds"], line["max"], ".", ms=3, color=colour)
    axes.set_yscale("log")
    _in_seconds(axes.yaxis)


def _in_seconds(axis: Any) -> None:
    """Have a logarithmic axis say 10 µs and 1 ms, and so few of them that each can be read."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(EngFormatter(unit="s"))
    axis.set_minor_formatter(NullFormatter())


_PANELS = (
    ("Share, by how long it was", _draw_histogram),
    ("Share that was longer", _draw_tail),
    ("Median and longest (dots), by seconds", _draw_timeline),
)
