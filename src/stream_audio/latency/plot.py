"""The figures as pictures: one PNG, or one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np

from stream_audio import StreamAudioError
from stream_audio.latency.report import text

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
    figure = Figure(figsize=(13, 3.6 * max(1, len(rows))), layout="constrained")
    axes = figure.subplots(max(1, len(rows)), 2, squeeze=False)
    for (title, series), (left, right) in zip(rows, axes, strict=False):
        _draw_histograms(left, title, series)
        _draw_timelines(right, series)
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=DOTS_PER_INCH)
    return output.getvalue()


def _series(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    named = {f"→ {kind}": figures for kind, figures in run["callback_to"].items()}
    for key, label in (("period_jitter", "period jitter"), ("dll_error", "loop's time error")):
        if run[key] is not None:
            named[label] = run[key]
    return {name: figures for name, figures in named.items() if figures["count"]}


def _draw_histograms(axes: Any, title: str, series: dict[str, dict[str, Any]]) -> None:
    for name, figures in series.items():
        if not figures["count"]:
            continue
        histogram = figures["histogram"]
        edges = np.maximum(histogram["seconds"], 1e-9)
        share = np.array(histogram["counts"]) / figures["count"]
        label = f"{name}: p50 {figures['p50'] * 1e3:.3g}, p99 {figures['p99'] * 1e3:.3g} ms"
        # How much is longer: tails that a histogram's bars would hide are seen at a glance.
        longer = np.append(1 - np.cumsum(share)[:-1], share[-1])
        axes.step(edges * 1e3, np.maximum(longer, 1e-6), where="post", label=label)
    axes.set(xscale="log", yscale="log", xlabel="ms", ylabel="share that is longer", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_timelines(axes: Any, series: dict[str, dict[str, Any]]) -> None:
    for name, figures in series.items():
        line = figures.get("timeline")
        if line is None:
            continue
        (drawn,) = axes.plot(line["seconds"], np.array(line["p50"]) * 1e3, label=name)
        axes.plot(line["seconds"], np.array(line["max"]) * 1e3, ".", ms=3, color=drawn.get_color())
    axes.set(yscale="log", xlabel="s", ylabel="ms", title="median (line) and longest (dots)")
    axes.grid(alpha=0.3)
