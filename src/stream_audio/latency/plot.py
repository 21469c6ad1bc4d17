"""The figures as pictures: one PNG, or one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np

from stream_audio import StreamAudioError
from stream_audio.latency.report import duration, text

DOTS_PER_INCH = 110

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Latency of captured audio</title>
<style>
body {{ font-family: system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ overflow-x: auto; font-size: 0.8rem; line-height: 1.3 }}
img {{ max-width: 100% }}
</style>
<h1>Latency of captured audio</h1>
<p>From the entry of the callback that brought a chunk's last frame until a consumer had the chunk.
Every chunk counts from its own callback, however long it waited.</p>
<p><img alt="Histograms and time lines of the figures below"
src="data:image/png;base64,{picture}"></p>
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
    picture = _picture(document)
    if path.suffix.lower() == ".png":
        path.write_bytes(picture)
        return
    encoded = base64.b64encode(picture).decode("ascii")
    page = _PAGE.format(picture=encoded, report=html.escape(text(document)))
    path.write_text(page, encoding="utf-8")


def _picture(document: dict[str, Any]) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    rows = [
        (f"load {run['load']}, period {run['period']}, chunk {run['chunk']}", _series(run))
        for run in document["runs"]
    ]
    if "round_trip" in document:
        rows.append(("round trip", {"round trip": document["round_trip"]["delay"]}))
    if "compare" in document:
        rows += [
            (
                f"load {load}: later than the quickest hand-over",
                {name: figures["lateness"] for name, figures in contenders.items()},
            )
            for load, contenders in document["compare"]["loads"].items()
        ]
    figure = Figure(figsize=(17, 3.8 * max(1, len(rows))), layout="constrained")
    axes = figure.subplots(max(1, len(rows)), 3, squeeze=False)
    for (title, series), (left, middle, right) in zip(rows, axes, strict=False):
        measured = {name: figures for name, figures in series.items() if figures["count"]}
        for number, (name, figures) in enumerate(measured.items()):
            colour = f"C{number}"
            _draw_histogram(left, colour, figures)
            _draw_tail(middle, colour, figures)
            _draw_timeline(right, colour, figures, _label(name, figures))
        left.set(xscale="log", ylabel="share", title=title)
        middle.set(xscale="log", yscale="log", ylabel="share that is longer")
        right.set(yscale="log", xlabel="s since the start", title="median, and the longest (dots)")
        for one, axis in ((left, left.xaxis), (middle, middle.xaxis), (right, right.yaxis)):
            axis.set_major_formatter(EngFormatter(unit="s"))
            one.grid(alpha=0.3)
        right.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=DOTS_PER_INCH)
    return output.getvalue()


def _series(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    named = {f"→ {kind}": figures for kind, figures in run["callback_to"].items()}
    for key, label in (("period_jitter", "period jitter"), ("dll_error", "loop's time error")):
        if run[key] is not None:
            named[label] = run[key]
    return named


def _label(name: str, figures: dict[str, Any]) -> str:
    return f"{name}\np50 {duration(figures['p50'])}, p99 {duration(figures['p99'])}"


def _buckets(figures: dict[str, Any]) -> tuple[Any, Any]:
    """Return lower edges in seconds, and each bucket's share of all."""
    histogram = figures["histogram"]
    edges = np.maximum(histogram["seconds"], 1e-9)
    return edges, np.array(histogram["counts"]) / figures["count"]


def _draw_histogram(axes: Any, colour: str, figures: dict[str, Any]) -> None:
    edges, shares = _buckets(figures)
    # Buckets of one width on the picture, whatever the figures were counted in.
    per_decade = 10
    places = np.floor(np.log10(edges) * per_decade).astype(int)
    first = places.min() - 1
    bars = np.bincount(places - first, shares, places.max() - first + 2)
    lower = 10.0 ** (np.arange(first, first + len(bars)) / per_decade)
    axes.step(lower, bars, where="post", color=colour)
    axes.fill_between(lower, bars, step="post", color=colour, alpha=0.15)


def _draw_tail(axes: Any, colour: str, figures: dict[str, Any]) -> None:
    edges, shares = _buckets(figures)
    longer = 1 - np.cumsum(shares)
    # On a logarithmic scale the end, where none is longer, cannot be drawn.
    longer[-1] = shares[-1]
    axes.step(edges, longer, where="post", color=colour)


def _draw_timeline(axes: Any, colour: str, figures: dict[str, Any], label: str) -> None:
    line = figures.get("timeline", {"seconds": [], "p50": [], "max": []})
    axes.plot(line["seconds"], line["p50"], color=colour, label=label)
    axes.plot(line["seconds"], line["max"], ".", ms=3, color=colour)
