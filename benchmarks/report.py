"""From figures to tables, and to a verdict on what was aimed at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analysis import PERCENTILES
from recorders import BARE

from stream_audio.latency.loads import LOADS

Medians = dict[str, dict[str, Any]]
"""By load, by contender."""

MOST_OVER_PYAUDIO = 1.1
BESIDE_P99_MS = 1.0
MOST_OVER_FLOOR = 1.1
MOST_OVER_LONE = 1.2
SWITCHED_P99_MS = 40.0
CPU_MS = 2.5


def tables(results: dict[str, Any]) -> str:
    """Return the figures as tables, for a terminal and for Markdown alike."""
    medians: Medians = results["medians"]
    parts = []
    for load, contenders in medians.items():
        if load in LOADS:
            parts.append(f"### {load}: {LOADS[load].description}\n\n{_latency_table(contenders)}")
    if own := _own_table(medians):
        parts.append(f"### stream_audio: inside, and its own report\n\n{own}")
    if recording := medians.get("recording"):
        parts.append(
            f"### recording: CPU time of a 16-bit WAV file\n\n{_recording_table(recording)}"
        )
    if verdicts := list(_verdicts(medians)):
        parts.append("### Aims\n\n" + "\n".join(verdicts))
    if results["failures"]:
        parts.append("### Failures\n\n" + "\n".join(f"- {line}" for line in results["failures"]))
    return "\n\n".join(parts)


def document(results: dict[str, Any]) -> str:
    """Return the section that is kept beside the benchmark."""
    return "\n\n".join(
        [
            "Written by `scripts/bench --keep`; how it measures stands at the top of "
            "`capture.py`.",
            _machine(results["machine"], results["repeated"]),
            "Latencies in ms, from the start of the JACK cycle that made a block's last frame to "
            "the consumer, blocks of 256 frames at 48 kHz (5.3 ms); each figure is the median "
            "over the rounds. They cover blocks that arrived: where most were lost, those left "
            "look quick. Lost frames are summed over the rounds. `floor` has no audio in it: a "
            "thread that wakes once a period and hands on to the consumer, which is what the "
            "interpreter charges anyone for that. `-switch`: `sys.setswitchinterval(0.0005)`. "
            "`-asyncio`: an `async for` on an event loop; with sounddevice, from an "
            "`asyncio.Queue` that its callback fills through `call_soon_threadsafe`. "
            "`floor-asyncio`: the floor's thread rings an eventfd, and the loop sets a future. "
            "`-file`: the channel is read while a file beside it records everything.",
            tables(results),
        ]
    )


# ---- tables ----


def _latency_table(contenders: dict[str, Any]) -> str:
    head = ["", *PERCENTILES, "lost"]
    rows = []
    for name, figures in contenders.items():
        values = [_number(figures[key]) for key in PERCENTILES]
        rows.append([name, *values, _loss(figures)])
    return table(head, rows)


def _own_table(medians: Medians) -> str:
    head = [
        "load",
        "JACK's step p50",
        "p99",
        "callback to consumer p50",
        "p99",
        "lost, it says",
        "because of",
        "stale",
        "unexplained",
    ]
    rows = []
    for load, name, figures in _own_runs(medians):
        rows.append(
            [
                load if name == "stream_audio" else f"{load}, {name.partition('-')[2]}",
                _number(figures["to_callback"]["p50"]),
                _number(figures["to_callback"]["p99"]),
                _number(figures["from_callback"]["p50"]),
                _number(figures["from_callback"]["p99"]),
                str(figures["reported_lost"]),
                ", ".join(figures["causes"]) or "–",
                str(figures["stale"]),
                str(figures["unexplained"]),
            ]
        )
    return table(head, rows) if rows else ""


def _recording_table(recorders: dict[str, Any]) -> str:
    bare = recorders.get(BARE, {}).get("cpu_ms")
    rows = []
    for name, figures in recorders.items():
        beyond = None if bare is None else figures["cpu_ms"] - bare
        rows.append([name, _number(figures["cpu_ms"]), _number(beyond)])
    return table(["", "CPU ms a second of audio", f"beyond {BARE}"], rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown that a terminal shows as well."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in [head, rule, *rows]:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _loss(figures: dict[str, Any]) -> str:
    if "played_frames" not in figures:
        return "–"
    lost, played = figures["lost_frames"], figures["played_frames"]
    return f"{lost} ({100 * lost / played:.2f} %)" if lost else "0"


def _machine(machine: dict[str, Any], repeated: int) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['date']}; {machine['rounds']} rounds of {machine['seconds']:g} s, "
        f"{machine['minutes']} minutes in all",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, "
        f"Python {machine['python']}",
        f"{versions}; {machine['jack']}; {machine['portaudio']}",
        f"other processes took {machine['cores_used_by_others']} cores on average, the "
        f"hypervisor {machine['cores_stolen_by_the_host']}",
        f"{repeated} runs were repeated because the sound server died",
    ]
    return "\n".join(f"- {line}" for line in lines)


# ---- verdicts ----


def _own_runs(medians: Medians) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for load, contenders in medians.items():
        for name, figures in contenders.items():
            if "unexplained" in figures:
                yield load, name, figures


def _verdicts(medians: Medians) -> Iterator[str]:
    own = list(_own_runs(medians))
    if own:
        unexplained = sum(figures["unexplained"] for _, _, figures in own)
        yield _verdict(
            unexplained == 0,
            "every frame that is missing is in stream_audio's own report",
            f"{unexplained} unexplained",
        )
        causes = {cause for _, _, figures in own for cause in figures["causes"]}
        yield _verdict(
            causes <= {"host_overflow"},
            "no loss that stream_audio reports is its own doing",
            f"causes of loss: {', '.join(sorted(causes)) or 'none'}",
        )
    idle = medians.get("none", {})
    peers = [name for name in idle if not name.startswith(("stream_audio", "floor"))]
    peers = [name for name in peers if not name.endswith("-asyncio")]
    if "stream_audio" in idle and peers:
        for key in ("p50", "p90", "p99"):
            best = min(peers, key=lambda name: float(idle[name][key]))
            ours, theirs = idle["stream_audio"][key], idle[best][key]
            yield _verdict(
                ours <= theirs,
                f"idle: {key} of stream_audio at most that of the best peer, {best}",
                f"{ours:.3f} / {theirs:.3f} ms = {ours / theirs:.2f}",
            )
    beside = medians.get("other-processes", {})
    if {"stream_audio", "pyaudio-read"} <= beside.keys():
        for key in ("p50", "p90"):
            ours, theirs = beside["stream_audio"][key], beside["pyaudio-read"][key]
            yield _verdict(
                ours <= MOST_OVER_PYAUDIO * theirs,
                f"beside other processes: {key} at most {MOST_OVER_PYAUDIO} x PyAudio's",
                f"{ours:.3f} / {theirs:.3f} ms = {ours / theirs:.2f}",
            )
        p99 = beside["stream_audio"]["p99"]
        yield _verdict(
            p99 <= BESIDE_P99_MS,
            f"beside other processes: p99 at most {BESIDE_P99_MS:g} ms",
            f"{p99:.3f} ms",
        )
    if {"stream_audio-asyncio", "sounddevice-asyncio"} <= idle.keys():
        for key in ("p50", "p99"):
            ours, theirs = (
                idle[f"{name}-asyncio"][key] for name in ("stream_audio", "sounddevice")
            )
            yield _verdict(
                ours <= theirs,
                f"asyncio, idle: {key} of stream_audio at most that of sounddevice",
                f"{ours:.2f} / {theirs:.2f} ms = {ours / theirs:.2f}",
            )
    yield from _ratio_verdicts(
        idle, "stream_audio-file", "stream_audio", "idle, beside a file", MOST_OVER_LONE
    )
    yield from _ratio_verdicts(
        idle, "stream_audio-asyncio", "floor-asyncio", "asyncio, idle", MOST_OVER_LONE
    )
    spinning = medians.get("gil-python", {})
    for ours, floor in (("stream_audio", "floor"), ("stream_audio-switch", "floor-switch")):
        yield from _ratio_verdicts(
            spinning, ours, floor, "four threads spinning", MOST_OVER_FLOOR, "p99"
        )
    if switched := spinning.get("stream_audio-switch"):
        yield _verdict(
            switched["p99"] <= SWITCHED_P99_MS,
            f"four threads spinning, switch interval 0.5 ms: p99 at most {SWITCHED_P99_MS:g} ms",
            f"{switched['p99']:.1f} ms",
        )
    if recording := medians.get("recording", {}).get("stream_audio"):
        yield _verdict(
            recording["cpu_ms"] <= CPU_MS,
            f"recording to WAV takes at most {CPU_MS:g} ms of CPU a second",
            f"{recording['cpu_ms']:.2f} ms",
        )


def _ratio_verdicts(
    contenders: dict[str, Any], ours: str, other: str, when: str, most: float, high: str = "p90"
) -> Iterator[str]:
    if ours not in contenders or other not in contenders:
        return
    for key in ("p50", high):
        above, below = contenders[ours][key], contenders[other][key]
        yield _verdict(
            above <= most * below,
            f"{when}: {key} of {ours} at most {most} x {other}",
            f"{above:.3f} / {below:.3f} ms = {above / below:.2f}",
        )


def _verdict(met: bool, aim: str, measured: str) -> str:
    return f"- {'met' if met else 'NOT MET'}: {aim} ({measured})"
