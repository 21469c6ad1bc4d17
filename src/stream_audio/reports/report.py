"""The account of a session: where every frame went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.audio.gap import Gap
from stream_audio.reports.merge_report import AlignmentReport, MergeInputReport, MergeReport
from stream_audio.reports.schema import SCHEMA

GAPS_SHOWN = 5
"""How many of the first gaps, and of the last ones, are shown as text."""

TimeQuality = Literal["adc", "callback"]


@public
class Pause(Record):
    """Frames that a source captured while it was paused.

    Attributes
    ----------
    frame : int
        Position of the first one on the source's timeline.
    frames : int
        Number of frames.
    policy : str
        "discard": no sink got them; "silence": the sinks got silence instead.
    """

    frame: int
    frames: int
    policy: str

    @property
    def end(self) -> int:
        """Position of the first frame after the pause."""
        return self.frame + self.frames


WRONG_RATE_PPM = 2000
"""Drift of a device whose sample rate is wrong; that of a crystal is 100 at most."""


def measured_rate(sample_rate: int, drift_ppm: float | None) -> float | None:
    """Return how many frames a second come by the computer's clock, if it is known."""
    return None if drift_ppm is None else sample_rate * (1 + drift_ppm * 1e-6)


def rate_is_wrong(drift_ppm: float | None, drift_error_ppm: float | None) -> bool:
    """Whether a device surely runs at another rate than it says."""
    if drift_ppm is None or drift_error_ppm is None:
        return False
    return abs(drift_ppm) - 4 * drift_error_ppm >= WRONG_RATE_PPM


@public
class SourceReport(Record):
    """Where one source's frames went, counted in the device's frames.

    ``captured + lost + paused + synthetic + idle == position``

    Attributes
    ----------
    captured : int
        Frames that the session read from the ring.
    lost : int
        Frames that are missing; each is in ``gaps``.
    paused : int
        Frames left out on purpose while paused; each is in ``pauses``.
    synthetic : int
        Frames for which silence was handed on while paused; each is in ``pauses``.
    position : int
        The current end of the source's timeline.
    sample_rate : int
        Frames a second.
    channels : int
        Channels of each frame.
    gaps : tuple of Gap
        Every loss, in order.
    overflows : int
        Callbacks with the host's overflow flag (a hint, not a loss).
    ring_highest : int
        The most frames that ever waited in the ring.
    longest_callback : float
        Seconds that the longest callback took in this library.
    error : str
        Why the source ended before it was stopped; empty if it did not.
    pauses : tuple of Pause
        Every pause that frames fell into, in order.
    nonfinite : int
        Samples that were infinite or not a number; see ``StreamConfig.nonfinite``.
    drift_ppm : float or None
        How much faster the device's clock runs than the computer's, in parts per million, over the
        last ten minutes. ``None`` while too little is known (for at least ten seconds), and for
        sources that no clock paces.
    drift_error_ppm : float or None
        The standard error of ``drift_ppm``.
    latency : float or None
        Input latency in seconds as the host reports it. It is not measured, and hosts differ in
        what they include. ``None``: the host reports none.
    time_quality : "adc" or "callback"
        What ``chunk.time`` means: the time at the converter as the host reports it, or the time of
        the hand-over to the callback less the packet's length.
    unexplained_frames : int
        Frames by which the source is behind its clock although no gap says so: they could not be
        told from jitter. Negative: frames came after they had been counted as lost.
    unclear : str
        Why nobody can tell whether a played file holds all of its audio: its header contradicts
        its contents. The source read all that could be decoded. Empty if it is clear.
    started : float or None
        When the first chunk was captured on the wall clock, ``time.time()`` seconds; ``None``
        without a chunk.
    device : str
        The device that was found and recorded, by the name that a desktop shows and its host;
        empty if the source is not a device of the machine.
    idle : int
        Frames of silence that no packet brought, because the output that is recorded slept.
    """

    captured: int
    lost: int
    paused: int
    synthetic: int
    position: int
    sample_rate: int
    channels: int
    gaps: tuple[Gap, ...]
    overflows: int
    ring_highest: int
    longest_callback: float
    error: str
    pauses: tuple[Pause, ...] = ()
    nonfinite: int = 0
    drift_ppm: float | None = None
    drift_error_ppm: float | None = None
    latency: float | None = None
    time_quality: TimeQuality = "callback"
    unexplained_frames: int = 0
    unclear: str = ""
    started: float | None = None
    device: str = ""
    idle: int = 0

    @property
    def seconds(self) -> float:
        """Duration of the captured audio in seconds."""
        return self.captured / self.sample_rate

    @property
    def measured_rate(self) -> float | None:
        """Frames a second by the computer's clock; ``None`` where ``drift_ppm`` is."""
        return measured_rate(self.sample_rate, self.drift_ppm)

    @property
    def rate_is_wrong(self) -> bool:
        """Whether the device surely runs at a different rate than it claims, by 0.2 % or more."""
        return rate_is_wrong(self.drift_ppm, self.drift_error_ppm)

    def __repr__(self) -> str:
        missing = f", {self.lost} lost in {_counted(len(self.gaps), 'gap')}" if self.gaps else ""
        early = ", ended early" if self.error else ""
        rate = self.sample_rate
        return f"<SourceReport: {self.captured} frames at {rate} Hz{missing}{early}>"


@public
class SinkReport(Record):
    """Where one sink's frames went.

    ``offered == delivered + dropped + pending``, and ``pending == 0`` once stopped.

    Attributes
    ----------
    offered : int
        Frames that were routed to the sink.
    delivered : int
        Frames that the sink has taken; for a channel, those that were put in and not pushed out
        again.
    dropped : int
        Frames that the sink never got; each is in ``gaps``.
    pending : int
        Frames in the sink's backlog.
    unread : int
        For a channel: delivered frames that nobody has read yet.
    gaps : tuple of Gap
        Every loss that is this sink's own, in order.
    error : str
        The last error of the sink, if it was given up or a chunk was left out; otherwise empty.
    clipped : int
        Samples beyond full scale that were cut when they became integers.
    sent : int
        Delivered frames of a sink with ``confirms = False``: nobody can confirm that they arrive.
    begins : tuple of (str, float)
        Where the sink's first frame of each source is on the session's timeline: the source's id,
        and seconds since the session's start.
    fewer_channels : tuple of (str, int, int)
        Each source of which the sink gets only some channels: the source's id, how many the sink
        gets, and how many there are.
    """

    offered: int
    delivered: int
    dropped: int
    pending: int
    unread: int
    gaps: tuple[Gap, ...]
    error: str
    clipped: int = 0
    sent: int = 0
    fewer_channels: tuple[tuple[str, int, int], ...] = ()
    begins: tuple[tuple[str, float], ...] = ()

    def __repr__(self) -> str:
        gaps = _counted(len(self.gaps), "gap")
        missing = f", {self.dropped} dropped in {gaps}" if self.gaps else ""
        failed = ", failed" if self.error else ""
        return f"<SinkReport: {_counted(self.delivered, 'frame')} delivered{missing}{failed}>"


@public
class SessionReport(Record):
    """Where every frame of a session went.

    Attributes
    ----------
    sources : dict of str to SourceReport
        By source id.
    sinks : dict of str to SinkReport
        By sink name.
    problems : tuple of str
        The sums that are wrong; empty if the report balances.
    running : bool
        True if the session had not stopped when the report was made.
    merges : dict of str to MergeReport
        By the merge's id.
    aligned : tuple of AlignmentReport
        The sources that are on the session's timeline, or in a merge.
    """

    sources: dict[str, SourceReport]
    sinks: dict[str, SinkReport]
    problems: tuple[str, ...]
    running: bool
    merges: dict[str, MergeReport]
    aligned: tuple[AlignmentReport, ...]

    @property
    def balanced(self) -> bool:
        """Whether every frame is accounted for: delivered, or counted as missing."""
        return not self.problems

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: no frame was lost or dropped, and no source or sink failed.

        Also false if a source's ``unclear`` says why nobody can tell.
        """
        return not (
            any(source.lost or source.error or source.unclear for source in self.sources.values())
            or any(sink.dropped or sink.error for sink in self.sinks.values())
            or any(each.late for merge in self.merges.values() for each in merge.inputs.values())
            or any(each.lost for each in self.aligned)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings, ready for ``json.dumps``."""
        return {
            "schema": SCHEMA,
            "balanced": self.balanced,
            "complete": self.complete,
            "running": self.running,
            "problems": list(self.problems),
            "sources": {name: asdict(source) for name, source in self.sources.items()},
            "sinks": {name: asdict(sink) for name, sink in self.sinks.items()},
            "merges": {name: asdict(merge) for name, merge in self.merges.items()},
            "aligned": [asdict(each) for each in self.aligned],
        }

    def __repr__(self) -> str:
        sources, sinks = self.sources.values(), self.sinks.values()
        state = "running" if self.running else "complete" if self.complete else "incomplete"
        told = [_counted(len(sources), "source"), _counted(len(sinks), "sink")]
        if lost := sum(source.lost for source in sources):
            told.append(f"{_counted(lost, 'frame')} lost")
        if dropped := sum(sink.dropped for sink in sinks):
            told.append(f"{_counted(dropped, 'frame')} dropped")
        errors = [*(source.error for source in sources), *(sink.error for sink in sinks)]
        if failed := sum(map(bool, errors)):
            told.append(f"{failed} failed")
        if not self.balanced:
            told.append("does not balance")
        return f"<SessionReport {state}: {', '.join(told)}>"

    def __str__(self) -> str:
        lines = []
        for name, source in self.sources.items():
            lines.append(
                f"source {name}: {source.seconds:.3f} s captured "
                f"({source.captured} frames at {source.sample_rate} Hz), {source.lost} lost"
                + (f", {source.paused} paused" if source.paused else "")
                + (f", {source.synthetic} silenced" if source.synthetic else "")
                + (f", {source.idle} idle" if source.idle else "")
                + (f", {source.nonfinite} samples not finite" if source.nonfinite else "")
                + (
                    f", {source.unexplained_frames} unexplained"
                    if source.unexplained_frames
                    else ""
                )
            )
            if source.rate_is_wrong:
                lines.append(
                    f"  its sample rate is wrong: it claims {source.sample_rate} Hz, but "
                    f"{source.measured_rate:.0f} frames a second came"
                )
            if source.device:
                lines.append(f"  recorded from {source.device}")
            if source.error:
                lines.append(f"  ended early: {source.error}")
            if source.unclear:
                lines.append(f"  unclear: {source.unclear}")
            lines += _gap_lines(source.gaps, source.sample_rate)
        for name, sink in self.sinks.items():
            lines.append(
                f"sink {name}: {sink.delivered} frames {'sent' if sink.sent else 'delivered'}, "
                f"{sink.dropped} dropped"
                + (f", {sink.pending} pending" if sink.pending else "")
                + (f", {sink.unread} unread" if sink.unread else "")
                + (f", {sink.clipped} samples clipped" if sink.clipped else "")
            )
            lines += [
                f"  has {some} of the {all_} channels of {source}"
                for source, some, all_ in sink.fewer_channels
            ]
            if sink.error:
                lines.append(f"  failed: {sink.error}")
            lines += _gap_lines(sink.gaps)
        for name, merge in self.merges.items():
            lines.append(f"merge {name}: {merge.made} frames at {merge.sample_rate} Hz")
            lines += [_merged_line(source, each) for source, each in merge.inputs.items()]
        for each in self.aligned:
            if each.steps or each.overlapping:
                lines.append(
                    f"aligned {each.source}: {_counted(each.steps, 'step')} of its clock, "
                    f"{each.overlapping} frames had no place"
                )
        if self.problems:
            lines.append("THE REPORT DOES NOT BALANCE (please report this as a bug):")
            lines += [f"  {problem}" for problem in self.problems]
        elif self.complete:
            lines.append("every frame is accounted for, and none is missing")
        else:
            lines.append(
                "every frame is accounted for; what is missing or unclear is listed above"
            )
        return "\n".join(lines)


def _gap_lines(gaps: Sequence[Gap], sample_rate: int | None = None) -> list[str]:
    """Return a line for each of the first and the last gaps, and one for all between them."""
    if len(gaps) <= 2 * GAPS_SHOWN + 1:
        return [_gap_line(gap, sample_rate) for gap in gaps]
    between = gaps[GAPS_SHOWN:-GAPS_SHOWN]
    frames = sum(gap.frames for gap in between)
    return [
        *(_gap_line(gap, sample_rate) for gap in gaps[:GAPS_SHOWN]),
        f"  … {len(between)} more gaps: {frames} frames …",
        *(_gap_line(gap, sample_rate) for gap in gaps[-GAPS_SHOWN:]),
    ]


def _gap_line(gap: Gap, sample_rate: int | None) -> str:
    where = f"frame {gap.frame}" if sample_rate is None else f"{gap.frame / sample_rate:.3f} s"
    return f"  gap at {where}: {gap.frames} frames ({gap.cause})"


def _merged_line(source: str, merged: MergeInputReport) -> str:
    silent = "".join(f", {frames} {cause}" for cause, frames in merged.silent.items() if frames)
    late = f", {merged.late} came too late" if merged.late else ""
    return f"  has {merged.placed} frames of {source}{silent}{late}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
