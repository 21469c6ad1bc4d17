#!/usr/bin/env python3
"""Draw the pictures of the site, in colours for light and dark: docs/pictures/*.svg.

scripts/pictures.py          writes those that differ from what is there, and says which

The timeline is drawn from the ledgers of a session on a virtual clock, and the latencies from the
figures of the last kept run of scripts/bench. Two runs draw the same bytes; a test compares them
with what is in docs/pictures.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from stream_audio import AudioChunk, AudioSource, FileSink, Merge, StreamAudio
from stream_audio.testing import Fault, Incident, VirtualClock, VirtualDevices

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
FIGURES = ROOT / "benchmarks" / "results" / "capture.json"

WIDTH = 760
STYLE = """
svg { --ink: #1f2328; --soft: #59636e; --line: #c8ced4; --box: #f3f5f7; --page: #ffffff;
  --one: #1f6f8b; --two: #8a5a00; --three: #6e4aa5; --lost: #c4314b }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --soft: #9da7b1; --line: #4a525b; --box: #22272e; --page: #131416;
    --one: #5bb8d6; --two: #e0a84a; --three: #b79cf0; --lost: #ff7b8d }
}
text { font: 13px system-ui, sans-serif; fill: var(--ink) }
.soft { font-size: 12px; fill: var(--soft) }
.name { font-weight: 600 }
.page { fill: var(--page) }
.box { fill: var(--box); stroke: var(--line) }
.line { stroke: var(--line); fill: none }
.way { stroke: var(--soft); fill: none; stroke-width: 1.5; marker-end: url(#tip) }
.tip { fill: var(--soft) }
.one { fill: var(--one); stroke: var(--one) } .two { fill: var(--two); stroke: var(--two) }
.three { fill: var(--three); stroke: var(--three) } .lost { fill: var(--lost); stroke: none }
.path { fill: none; stroke-width: 2 } .on { fill: var(--page); stroke: none }
"""
TIP = (
    '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    '<path class="tip" d="M0,0 L8,4 L0,8 z"/></marker></defs>'
)


def number(value: float) -> str:
    """Return a coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def element(name: str, content: str = "", *, of: str = "", **attributes: float | str) -> str:
    """Return one element; ``of`` is its class, ``_`` in a name stands for ``-``."""
    told = f' class="{of}"' if of else ""
    for key, value in attributes.items():
        shown = value if isinstance(value, str) else number(value)
        told += f' {key.replace("_", "-")}="{shown}"'
    return f"<{name}{told}>{content}</{name}>" if content else f"<{name}{told}/>"


def text(x: float, y: float, words: str, of: str = "", anchor: str = "start") -> str:
    return element("text", escape(words), of=of, x=x, y=y, text_anchor=anchor)


def rectangle(x: float, y: float, width: float, height: float, of: str, round_: float = 3) -> str:
    return element("rect", of=of, x=x, y=y, width=width, height=height, rx=round_)


def path(points: str, of: str) -> str:
    return element("path", of=of, d=points)


def picture(height: float, title: str, parts: Iterable[str]) -> str:
    """Return a whole picture; the title is what a screen reader says."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {number(height)}" '
        f'width="{WIDTH}" height="{number(height)}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        rectangle(0, 0, WIDTH, height, "page", 0),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


# ---- The data's way ----


def box(x: float, y: float, width: float, name: str, *lines: str) -> str:
    height = 26 + 17 * len(lines)
    said = [text(x + width / 2, y + 18, name, "name", "middle")]
    said += [
        text(x + width / 2, y + 35 + 17 * i, line, "soft", "middle")
        for i, line in enumerate(lines)
    ]
    return rectangle(x, y, width, height, "box") + "".join(said)


def way() -> str:
    """Draw the way of the audio from the host to the sinks, and whose thread each part is on."""
    sinks = [
        ("FileSink", "a.flac, a.flac.json"),
        ("ChannelSink", "for chunk in channel"),
        ("CallbackSink", "function(chunk)"),
        ("Merge", "a track of several"),
    ]
    parts = [
        TIP,
        text(20, 24, "the host's audio thread", "soft"),
        text(318, 24, "one thread a session", "soft"),
        text(560, 24, "a thread and a backlog for each", "soft"),
        path("M300,10 V262 M540,10 V262", "line"),
        box(20, 40, 120, "callback", "C, never waits", "counts what is lost"),
        box(164, 40, 120, "ring", "30 s of frames", "a record a packet"),
        box(322, 40, 200, "router", "cuts chunks, finds gaps"),
        box(322, 107, 200, "formats", "rate, channels, samples", "parts in common made once"),
        box(322, 192, 200, "ledger", "every frame: delivered,", "or lost with place and cause"),
        path("M140,70 H162", "way"),
        path("M284,61 H320", "way"),
        path("M422,83 V105", "way"),
        path("M422,167 V190", "way"),
    ]
    for i, (name, what) in enumerate(sinks):
        y = 40 + 56 * i
        parts += [box(580, y, 160, name, what), path(f"M522,130 H550 V{y + 21} H578", "way")]
    parts += [
        text(20, 130, "A source is a device, a server's monitor,", "soft"),
        text(20, 147, "a file, a pipe, or samples that you feed.", "soft"),
        text(20, 181, "A busy interpreter fills the ring and", "soft"),
        text(20, 198, "loses nothing. A slow sink fills its own", "soft"),
        text(20, 215, "backlog, then the disk, and delays nobody.", "soft"),
    ]
    return picture(272, "From the audio thread through ring and router to the sinks", parts)


# ---- A session's timeline ----

SECONDS = 12
LEFT, RIGHT = 110, 740


class Witness:
    """A sink of the merge that keeps where each source is silent in it."""

    def __init__(self) -> None:
        self.absent: dict[str, list[tuple[float, float]]] = {}

    def write(self, chunk: AudioChunk) -> None:
        """Note what the chunk lacks, in seconds."""
        for gap in chunk.absent:
            span = (gap.frame / chunk.sample_rate, gap.end / chunk.sample_rate)
            self.absent.setdefault(gap.source, []).append(span)


def session() -> tuple[dict[str, list[dict[str, Any]]], Witness]:
    """Record two sources that lose something; return the gaps of their ledgers, and the merge."""
    witness = Witness()
    with tempfile.TemporaryDirectory() as name, VirtualDevices(VirtualClock()) as devices:
        folder = Path(name)
        devices.add("headset", script=[Incident.absent(at=5.0, seconds=2.5)])
        lost = Fault.lose(at=2 * 48_000, periods=90)
        builder = (
            StreamAudio.builder()
            .add_source("desk", AudioSource.virtual("sine", faults=[lost]))
            .add_source("headset", AudioSource.device("headset"))
            .add_sink(witness, merge=Merge("mix"))
            .duration(SECONDS)
        )
        for source in ("desk", "headset"):
            sink = FileSink(folder / f"{source}.wav", ledger=True)
            builder.add_sink(sink, sources=source, timeline="session")
        with builder.start() as running:
            running.wait()
        assert running.report().balanced
        ledgers = {
            source: json.loads((folder / f"{source}.wav.json").read_text())
            for source in ("desk", "headset")
        }
    rates = {source: ledger["sample_rate"] for source, ledger in ledgers.items()}
    gaps = {
        source: [
            {
                "cause": gap["cause"],
                "begins": gap["at"] / rates[source],
                "ends": (gap["at"] + gap["frames"]) / rates[source],
            }
            for gap in ledger["gaps"]
        ]
        for source, ledger in ledgers.items()
    }
    return gaps, witness


def place(seconds: float) -> float:
    return LEFT + (RIGHT - LEFT) * seconds / SECONDS


def joined(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans in order, those that touch as one."""
    found: list[tuple[float, float]] = []
    for begins, ends in sorted(spans):
        if found and begins - found[-1][1] < 1e-3:
            found[-1] = (found[-1][0], ends)
        else:
            found.append((begins, ends))
    return found


def timeline() -> str:
    """Draw two tracks, what each lacks, and what their merge is made of."""
    gaps, witness = session()
    rows = {"desk": (44, "one"), "headset": (104, "two")}
    parts = []
    for second in range(0, SECONDS + 1, 2):
        x = place(second)
        parts += [
            path(f"M{number(x)},30 V222", "line"),
            text(x, 242, f"{second} s", "soft", "middle"),
        ]
    for source, (y, colour) in rows.items():
        parts += [
            text(LEFT - 10, y + 20, source, "name", "end"),
            rectangle(LEFT, y, RIGHT - LEFT, 30, colour),
        ]
        for gap in gaps[source]:
            x, width = place(gap["begins"]), place(gap["ends"]) - place(gap["begins"])
            length = f"{gap['ends'] - gap['begins']:.1f} s"
            parts += [
                rectangle(x, y - 1, width, 32, "on", 0),
                rectangle(x, y + 12, width, 6, "lost", 0),
                text(x + width / 2, y - 6, f"{gap['cause']}, {length}", "soft", "middle"),
            ]
        if gaps[source][0]["cause"] == "device_lost":
            [outage] = gaps[source]
            middles = (outage["begins"] / 2, (outage["ends"] + SECONDS) / 2)
            parts += [
                text(place(middle), y + 20, f"take {i}", "on", "middle")
                for i, middle in enumerate(middles, 1)
            ]
    y = 176
    parts.append(text(LEFT - 10, y + 27, "merge", "name", "end"))
    for i, (source, (_, colour)) in enumerate(rows.items()):
        parts.append(rectangle(LEFT, y + 20 * i, RIGHT - LEFT, 18, colour, 0))
        for begins, ends in joined(witness.absent.get(source, ())):
            x, width = place(begins), place(ends) - place(begins)
            parts += [
                rectangle(x, y + 20 * i - 1, width, 20, "on", 0),
                rectangle(x, y + 20 * i + 7, width, 3, "lost", 0),
            ]
    parts.append(text(LEFT, 18, "From the ledgers of one session on a virtual clock", "soft"))
    return picture(252, "Two tracks with a loss and an outage, and their merge", parts)


# ---- Latencies ----

PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
CONTENDERS = {
    "stream_audio": ("stream-audio", "one"),
    "pyaudio-read": ("PyAudio, read", "two"),
    "sounddevice-callback": ("sounddevice, callback", "three"),
}


def latency() -> str:
    """Draw how late a chunk is by percentile, on an idle machine and beside Python threads."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    panels = [("none", "idle"), ("gil-python", "beside threads that compute in Python")]
    parts = []
    for i, (load, title) in enumerate(panels):
        parts += panel(60 + 350 * i, figures["medians"][load], title)
    for i, (key, (name, colour)) in enumerate(CONTENDERS.items()):
        x, busy = 60 + 230 * i, figures["medians"]["gil-python"][key]
        part = busy["lost_frames"] / busy["played_frames"]
        lost = f"it lost {100 * part:.2f} % beside the threads"
        parts += [
            path(f"M{x},296 h24", f"path {colour}"),
            text(x + 30, 300, name),
            text(x + 30, 317, lost, "soft"),
        ]
    when = figures["machine"]["date"].split()[0]
    parts.append(text(60, 345, f"scripts/bench, JACK, periods of 256 frames, {when}", "soft"))
    parts.append(text(740, 345, "ms until the consumer has a chunk", "soft", "end"))
    return picture(357, "Latency by percentile, idle and beside Python threads", parts)


def panel(left: float, medians: dict[str, Any], title: str) -> list[str]:
    """Draw one diagram; its axis of milliseconds has a line for each power of ten."""
    shown = {name: [medians[name][p] for p in PERCENTILES] for name in CONTENDERS}
    values = [value for line in shown.values() for value in line]
    low, high = (math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))))

    def point(index: int, value: float) -> tuple[float, float]:
        y = 250 - 200 * (math.log10(value) - low) / (high - low)
        return left + 30 + 65 * index, y

    parts = [text(left, 24, title, "name")]
    for power in range(low, high + 1):
        _, y = point(0, 10.0**power)
        told = f"{10.0**power:g}"
        parts += [
            path(f"M{left},{number(y)} h290", "line"),
            text(left - 6, y + 4, told, "soft", "end"),
        ]
    parts += [
        text(point(i, values[0])[0], 270, name, "soft", "middle")
        for i, name in enumerate(PERCENTILES)
    ]
    for name, line in shown.items():
        parts += curve([point(i, value) for i, value in enumerate(line)], CONTENDERS[name][1])
    return parts


def curve(points: Sequence[tuple[float, float]], colour: str) -> list[str]:
    """Draw a line through points, and the points."""
    way_ = "M" + " L".join(f"{number(x)},{number(y)}" for x, y in points)
    dots = [element("circle", of=colour, cx=x, cy=y, r=3.0) for x, y in points]
    return [path(way_, f"path {colour}"), *dots]


PICTURES = {"way": way, "timeline": timeline, "latency": latency}


def main() -> None:
    """Write what differs."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        file, drawn = FOLDER / f"{name}.svg", draw()
        if not file.exists() or file.read_text(encoding="utf-8") != drawn:
            file.write_text(drawn, encoding="utf-8")
            print(file.relative_to(ROOT))


if __name__ == "__main__":
    main()
