"""The account of every frame, as one pure class.

Everything that moves frames reports here; nothing here moves any. Each figure has one writer
thread, so there is no lock; a report made while a session runs is a snapshot that may be a chunk
out of step with itself, one made after it stopped is exact.

Source, in device frames::

    captured + lost + paused + synthetic + idle == position

Conversion, a change of sample rate, summed over the contiguous spans that went into it::

    made + lost == sum(floor(end * out / in) - floor(start * out / in))

Alignment, summed over the spans without a jump, with the ratio of each chunk that was fed::

    made + lost + beyond == sum(round(sum(fed * ratio)))

Merge, for each of its inputs, in frames of the merge; ``silent`` is split by cause::

    placed + silent == span,   and offered == placed + late + waiting

Route, in its own frames, summed over the contiguous spans that were routed::

    offered == sum(end - start)

Sink::

    offered == delivered + dropped + pending,   and pending == 0 once stopped
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_audio.audio.gap import Gap, GapCause
from stream_audio.reports.report import Pause
from stream_audio.reports.spans import Spans


@dataclass
class SourceAccount:
    """What became of one source's frames."""

    captured: int = 0
    lost: int = 0
    paused: int = 0
    synthetic: int = 0
    idle: int = 0
    """Silence of an output that slept: in the ring, but captured by nobody."""
    position: int = 0
    """As the timeline has it; found apart from the figures above."""
    stored: int | None = None
    """Frames that went into the ring, as the audio thread counted them; known after the end."""
    nonfinite: int = 0
    """Samples that were infinite or not a number."""
    gaps: list[Gap] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)

    def lose(self, gap: Gap) -> None:
        """Enter a loss."""
        self.lost += gap.frames
        self.gaps.append(gap)

    def problems(self, name: str) -> list[str]:
        """Equations that do not hold."""
        found = []
        accounted = self.captured + self.lost + self.paused + self.synthetic + self.idle
        if accounted != self.position:
            found.append(
                f"source {name}: captured {self.captured} + lost {self.lost} + paused "
                f"{self.paused} + synthetic {self.synthetic} + idle {self.idle} = {accounted}, "
                f"but its position is {self.position}"
            )
        came_out = self.captured + self.paused + self.synthetic + self.idle
        if self.stored is not None and self.stored != came_out:
            found.append(
                f"source {name}: {self.stored} frames went into the ring, {came_out} came out"
            )
        in_pauses = sum(pause.frames for pause in self.pauses)
        if in_pauses != self.paused + self.synthetic:
            found.append(
                f"source {name}: paused {self.paused} + synthetic {self.synthetic}, but the "
                f"pauses come to {in_pauses}"
            )
        found += _gap_problems(f"source {name}", self.lost, self.gaps)
        return found


@dataclass
class RouteAccount:
    """The spans of one source's timeline that were routed to one sink."""

    rate_in: int
    rate_out: int
    source: str = ""
    start: int = 0
    end: int = 0
    begins: float | None = None
    """Where the first routed frame is on the session's timeline, in seconds."""
    _before: int = 0
    _first: int = 0
    _holes: Spans = field(default_factory=Spans, repr=False)  # between the spans

    def extend(self, frame: int, frames: int) -> None:
        """Enter the next routed frames, in the source's frames; a jump starts a new span."""
        if frame != self.end:
            self._before = self.offered
            if self._before:
                self._holes.add(self.end, frame)
            else:
                self._first = frame
            self.start = frame
        self.end = frame + frames

    def has_all_of(self, gap: Gap) -> bool:
        """Whether all the frames of a gap were routed, where frames in and out are the same."""
        inside = self._first <= gap.frame and gap.end <= self.end
        return inside and not self._holes.overlaps(gap.frame, gap.end)

    @property
    def offered(self) -> int:
        """Sink frames that all the spans come to."""
        span = (
            self.end * self.rate_out // self.rate_in - self.start * self.rate_out // self.rate_in
        )
        return self._before + span


@dataclass
class ConversionAccount(RouteAccount):
    """The spans that went into a change of sample rate, and what came out."""

    made: int = 0
    lost: int = 0
    """What could not be made, because of an error."""

    def problems(self, name: str) -> list[str]:
        """Equations that do not hold."""
        if self.made + self.lost == self.offered:
            return []
        return [
            f"{name}, {self.rate_in} to {self.rate_out} Hz: made {self.made} + lost {self.lost}, "
            f"but the spans that were converted come to {self.offered}"
        ]


@dataclass
class AlignmentAccount:
    """What became of the frames of a source that were put on the session's timeline."""

    source: str
    rate_in: int
    rate_out: int
    fed: int = 0
    """Frames of the source that went in."""
    made: int = 0
    """Frames that came out."""
    lost: int = 0
    """Frames that could not be made, because of an error."""
    beyond: int = 0
    """Frames after the end of the session, which its duration has set. That is rounding, so it
    may also be a frame or two that were added: then it is negative."""
    overlapping: int = 0
    """Frames of the source for which the timeline had no place: it was past them already."""
    spans: int = 0
    steps: int = 0
    """Spans that began because the clock had stepped."""
    correction: float = 0.0
    """The newest one: by what part more frames come out than nominally."""
    _due: int = 0  # of the spans that have ended
    _open: float = 0.0  # of the one under way

    def feed(self, frames: int, factor: float) -> None:
        """Enter frames that go in, at ``factor`` times the nominal ratio."""
        self.fed += frames
        self.correction = factor - 1
        self._open += frames * self.rate_out * factor / self.rate_in

    @property
    def span(self) -> float:
        """Frames that the span under way comes to so far."""
        return self._open

    def end_span(self) -> None:
        """Nothing more goes into the span under way."""
        self._due += round(self._open)
        self._open = 0.0

    def problems(self, name: str) -> list[str]:
        """Equations that do not hold."""
        due = self._due + round(self._open)
        if self.made + self.lost + self.beyond == due:
            return []
        return [
            f"{name}, aligned at {self.rate_out} Hz: made {self.made} + lost {self.lost} + beyond "
            f"{self.beyond}, but {self.fed} frames come to {due}"
        ]


@dataclass
class MergeInputAccount:
    """What a merge has of one of its sources, in frames of the merge."""

    source: str
    offered: int = 0
    """Frames that came, aligned."""
    placed: int = 0
    """Frames of them that are in the merge."""
    late: int = 0
    """Frames of them for which it was too late."""
    waiting: int = 0
    """Frames of them that are still to be placed; found apart from the figures above."""
    silent: Counter[GapCause] = field(default_factory=Counter)
    """Frames for which silence stands in the merge, by cause."""
    timeouts: int = 0
    """How often the merge went on without the source."""

    def problems(self, name: str, span: int) -> list[str]:
        """Equations that do not hold; ``span``: how many frames the merge is long."""
        found = []
        silent = sum(self.silent.values())
        if self.placed + silent != span:
            found.append(
                f"{name}: of {self.source} placed {self.placed} + silent {silent}, but it spans "
                f"{span}"
            )
        if self.offered != self.placed + self.late + self.waiting:
            found.append(
                f"{name}: {self.source} offered {self.offered}, but placed {self.placed} + late "
                f"{self.late} + waiting {self.waiting}"
            )
        return found


@dataclass
class MergeAccount:
    """What a merge has of its sources."""

    sample_rate: int
    inputs: dict[str, MergeInputAccount]
    span: int = 0
    """Frames from its beginning on, gaps of its own included."""
    made: int = 0
    """Frames of them that came out."""
    gaps: list[Gap] = field(default_factory=list)
    """Where none of its sources had anything."""

    def problems(self, name: str) -> list[str]:
        """Equations that do not hold."""
        found = []
        missing = sum(gap.frames for gap in self.gaps)
        if self.made + missing != self.span:
            found.append(f"{name}: made {self.made} + gaps {missing}, but it spans {self.span}")
        for account in self.inputs.values():
            found += account.problems(name, self.span)
        return found


@dataclass
class SinkAccount:
    """What became of the frames that one sink was offered."""

    offered: int = 0
    delivered: int = 0
    dropped: int = 0
    pending: int = 0
    """As the backlog has it; found apart from the figures above."""
    clipped: int = 0
    gaps: list[Gap] = field(default_factory=list)
    routes: list[RouteAccount] = field(default_factory=list)
    stopped: bool = False
    fewer_channels: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How many channels of each source the sink gets, and of how many, if not all."""
    _last_gap: dict[str, int] = field(default_factory=dict, repr=False)  # of each source
    _dropped: dict[str, Spans] = field(default_factory=dict, repr=False)  # likewise

    def begins(self) -> tuple[tuple[str, float], ...]:
        """Where the first frame of each source is on the session's timeline, in seconds."""
        return tuple(
            (route.source, route.begins) for route in self.routes if route.begins is not None
        )

    def take_back(self, gaps: Sequence[Gap]) -> None:
        """Enter as dropped what counts as delivered until now.

        Raises
        ------
        ValueError
            One of the gaps is not of frames that were delivered; nothing is entered then.
        """
        if sum(gap.frames for gap in gaps) > self.delivered:
            raise ValueError("more frames than were delivered to it")
        claimed: dict[str, Spans] = {}
        for gap in gaps:
            if not any(
                route.source == gap.source and route.has_all_of(gap) for route in self.routes
            ):
                raise ValueError(f"frames that it never got: {gap}")
            new, old = claimed.setdefault(gap.source, Spans()), self._dropped.get(gap.source)
            if new.overlaps(gap.frame, gap.end) or (old and old.overlaps(gap.frame, gap.end)):
                raise ValueError(f"frames that are dropped already: {gap}")
            new.add(gap.frame, gap.end)
        for gap in gaps:
            self.delivered -= gap.frames
            self.drop(gap)

    def drop(self, gap: Gap) -> None:
        """Enter a loss that is this sink's own; what goes on from the last one joins it."""
        self.dropped += gap.frames
        self._dropped.setdefault(gap.source, Spans()).add(gap.frame, gap.end)
        last = self._last_gap.get(gap.source, -1)
        joined = self.gaps[last].joined(gap) if last >= 0 else None
        if joined is not None:
            self.gaps[last] = joined
        else:
            self._last_gap[gap.source] = len(self.gaps)
            self.gaps.append(gap)

    def problems(self, name: str) -> list[str]:
        """Equations that do not hold."""
        found = []
        if self.offered != self.delivered + self.dropped + self.pending:
            found.append(
                f"sink {name}: offered {self.offered}, but delivered {self.delivered} + dropped "
                f"{self.dropped} + pending {self.pending} = "
                f"{self.delivered + self.dropped + self.pending}"
            )
        routed = sum(route.offered for route in self.routes)
        if self.offered != routed:
            found.append(f"sink {name}: offered {self.offered}, but its routes come to {routed}")
        if self.stopped and self.pending:
            found.append(f"sink {name}: stopped with {self.pending} frames pending")
        found += _gap_problems(f"sink {name}", self.dropped, self.gaps)
        return found


def _gap_problems(name: str, lost: int, gaps: list[Gap]) -> list[str]:
    in_gaps = sum(gap.frames for gap in gaps)
    if in_gaps == lost:
        return []
    return [f"{name}: {lost} frames are missing, but the gaps come to {in_gaps}"]


class Ledger:
    """The accounts of one session."""

    def __init__(self) -> None:
        self.sources: dict[str, SourceAccount] = {}
        self.sinks: dict[str, SinkAccount] = {}
        self._conversions: list[tuple[str, ConversionAccount | AlignmentAccount]] = []
        self._closed_conversions: list[str] = []
        self.merges: dict[str, MergeAccount] = {}

    def open_source(self, name: str) -> SourceAccount:
        """Open a source's account; its name must be new."""
        return self.sources.setdefault(name, SourceAccount())

    def open_sink(self, name: str) -> SinkAccount:
        """Open a sink's account; its name must be new."""
        return self.sinks.setdefault(name, SinkAccount())

    def open_conversion(self, source: str, account: ConversionAccount | AlignmentAccount) -> None:
        """Take in the account of a change of sample rate, or of an alignment."""
        account.source = source
        self._conversions.append((f"conversion of {source}", account))

    def open_merge(self, name: str, account: MergeAccount) -> None:
        """Take in the account of a merge; it takes the place of one that has ended."""
        if name in self.merges:
            self._closed_conversions += self.merges[name].problems(f"merge {name}")
        self.merges[name] = account

    @property
    def alignments(self) -> list[AlignmentAccount]:
        """The accounts of the tracks on the session's timeline."""
        return [each for _, each in list(self._conversions) if isinstance(each, AlignmentAccount)]

    def close_conversion(self, account: ConversionAccount | AlignmentAccount) -> None:
        """Forget a conversion that has ended, but not what was wrong with it."""
        for entry in self._conversions:
            if entry[1] is account:
                self._conversions.remove(entry)
                self._closed_conversions += account.problems(entry[0])
                return

    def problems(self) -> list[str]:
        """Every equation that does not hold; empty if all frames are accounted for."""
        found = list(self._closed_conversions)
        # Copies: another thread may be adding a sink.
        for name, source in list(self.sources.items()):
            found += source.problems(name)
        for name, sink in list(self.sinks.items()):
            found += sink.problems(name)
        for name, conversion in list(self._conversions):
            found += conversion.problems(name)
        for name, merge in list(self.merges.items()):
            found += merge.problems(f"merge {name}")
        return found
