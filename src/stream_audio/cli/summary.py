"""What is told after a recording: sums that add up, each loss once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stream_audio import FileClosed, Gap, SessionReport, SourceReport
from stream_audio.cli.outcome import FAILED, FRAMES_MISSING, show
from stream_audio.cli.outputs import Output

MOST_GAPS = 5
"""Losses that are told one by one."""


def exit_code(report: SessionReport, files: Iterable[str]) -> int:
    """Judge by the sinks that write files: what became of a display is nobody's loss."""
    sinks = [report.sinks[name] for name in files]
    if any(sink.error for sink in sinks) or not report.balanced:
        return FAILED
    sources = report.sources.values()
    missing = any(source.lost or source.error for source in sources)
    return FRAMES_MISSING if missing or any(sink.dropped for sink in sinks) else 0


def print_summary(
    report: SessionReport, outputs: list[Output], files: list[FileClosed], *, on_stderr: bool
) -> None:
    """Tell what each device delivered, and what of it is in each file."""
    several = len(report.sources) > 1 or len(outputs) > 1
    for id, source in report.sources.items():
        if several:
            show(f"source {id}", on_stderr=on_stderr)
        _print_rows(_of_source(source), on_stderr)
    for output in outputs:
        if several:
            show(f"file {output.file}", on_stderr=on_stderr)
        closed = [file for file in files if file.sink == output.name]
        _print_rows(_of_file(report, output, closed), on_stderr)
    for problem in report.problems:
        show(f"the sums are wrong: {problem}", on_stderr=on_stderr)


def _print_rows(rows: list[tuple[str, str]], on_stderr: bool) -> None:
    for label, value in rows:
        if value:
            show(f"{label:>10}  {value}", on_stderr=on_stderr)


def _of_source(source: SourceReport) -> list[tuple[str, str]]:
    rate = source.measured_rate
    return [
        ("captured", f"{source.captured} frames at {source.sample_rate} Hz"),
        ("idle", f"{source.idle} frames of silence while the output slept" if source.idle else ""),
        ("lost", f"{source.lost} frames"),
        *_gaps(source.gaps, source.sample_rate),
        ("ended", f"ended early: {source.error}" if source.error else ""),
        ("unclear", source.unclear),
        (
            "rate",
            f"the device says {source.sample_rate} Hz, and delivers {rate:.0f}"
            if source.rate_is_wrong and rate
            else "",
        ),
    ]


def _of_file(
    report: SessionReport, output: Output, closed: list[FileClosed]
) -> list[tuple[str, str]]:
    sink = report.sinks[output.name]
    sources = [report.sources[id] for id in output.sources]
    made = [each for each in report.merges.values() if tuple(each.inputs) == output.sources]
    rate = output.rate or (made[0] if made else sources[0]).sample_rate
    counts = [source.channels for source in sources]
    channels = output.channels or (sum(counts) if output.merge == "channels" else max(counts))
    frames = sum(file.frames for file in closed) if closed else sink.delivered
    silence = frames - sink.delivered
    fewer = [f"{some} of the {all_} of {id}" for id, some, all_ in sink.fewer_channels]
    paths = [str(Path(file.path).resolve()) for file in closed] or [output.described_path]
    return [
        ("merged", f"{output.merge} of {' + '.join(output.sources)}" if output.merge else ""),
        ("delivered", f"{sink.delivered} frames at {rate} Hz"),
        ("dropped", f"{sink.dropped} frames" if sink.dropped else ""),
        *_gaps(sink.gaps, rate),
        ("silence", f"{silence} frames for what is missing" if silence > 0 else ""),
        ("clipped", f"{sink.clipped} samples" if sink.clipped else ""),
        ("channels", ", ".join(fewer)),
        ("length", f"{frames / rate:.3f} s at {rate} Hz, {channels} channels, {frames} frames"),
        ("error", sink.error),
        ("path", ", ".join(paths)),
    ]


def _gaps(gaps: tuple[Gap, ...], rate: int) -> list[tuple[str, str]]:
    told = [
        ("", f"at {gap.frame / rate:.3f} s: {gap.frames} frames, {gap.cause}")
        for gap in gaps[:MOST_GAPS]
    ]
    further = len(gaps) - MOST_GAPS
    return [*told, ("", f"and {further} further times")] if further > 0 else told
