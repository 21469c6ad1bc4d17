"""Levels, losses and the state of each source while a session runs."""

from __future__ import annotations

import math
import time
from collections import deque

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from stream_audio import (
    AudioChunk,
    Session,
    SourceEnded,
    SourceLost,
    SourceStalled,
    SourceSuspended,
    StreamEvent,
)
from stream_audio.cli.options import clock
from stream_audio.cli.stopping import Stopping

FLOOR = -60.0
"""Where the bar begins, dBFS."""
HOLD = 2.0
"""Seconds for which the highest peak and a clip stay in sight."""
MOST_CHANNELS = 8
"""Lines for each source; the levels of further channels are not shown."""
WIDEST_BAR = 40
REFRESH = 0.05
"""Seconds between two looks."""
_STATES: dict[type[StreamEvent], str] = {
    SourceStalled: "delivers nothing",
    SourceSuspended: "suspended",
    SourceLost: "device lost",
    SourceEnded: "ended",
}


class Levels:
    """A sink that takes the levels of each chunk along for whoever shows them."""

    blocking = False

    def __init__(self) -> None:
        self._arrived: deque[AudioChunk] = deque(maxlen=4096)

    def write(self, chunk: AudioChunk) -> None:
        """Take a chunk; quick, as it runs on the router's thread."""
        self._arrived.append(chunk)

    def taken(self) -> list[AudioChunk]:
        """Return what has come since the last call."""
        return [self._arrived.popleft() for _ in range(len(self._arrived))]


class SourceLevels:
    """What is shown of one source.

    Attributes
    ----------
    position : float
        Seconds of its timeline so far.
    lost : int
        Frames that were lost so far.
    peaks, held, highest : list of float
        By channel, dBFS: of the newest chunks, of the last seconds, of all.
    clipped : list of int
        By channel: chunks with a sample at full scale.
    state : str
        What is wrong with the device; empty while it delivers.
    """

    def __init__(self) -> None:
        self.position = 0.0
        self.lost = 0
        self.peaks: list[float] = []
        self.held: list[float] = []
        self.highest: list[float] = []
        self.clipped: list[int] = []
        self.state = ""
        self._held_at: list[float] = []
        self._clipped_at: list[float] = []

    def add(self, chunk: AudioChunk, now: float) -> None:
        """Take a further chunk of the same look."""
        self.position = chunk.end / chunk.sample_rate
        self.lost += sum(gap.frames for gap in chunk.gaps)
        self.state = ""
        peaks = chunk.peak.tolist()
        if len(self.highest) != len(peaks):
            self.held = [-math.inf] * len(peaks)
            self.highest = list(self.held)
            self.clipped = [0] * len(peaks)
            self._held_at = [now] * len(peaks)
            self._clipped_at = [-math.inf] * len(peaks)
        self.peaks = peaks if not self.peaks else [*map(max, self.peaks, peaks)]
        for channel, peak in enumerate(peaks):
            self.highest[channel] = max(peak, self.highest[channel])
            if peak >= self.held[channel] or now - self._held_at[channel] > HOLD:
                self.held[channel], self._held_at[channel] = peak, now
            if peak >= 0:
                self.clipped[channel] += 1
                self._clipped_at[channel] = now

    def clips(self, channel: int, now: float) -> bool:
        """Whether a channel has clipped in the last seconds."""
        return now - self._clipped_at[channel] <= HOLD


def state_after(event: StreamEvent) -> str:
    """Return what is wrong with a device after an event, if anything."""
    return _STATES.get(type(event), "")


class Display:
    """The levels of all sources, for a terminal of any width from 40 columns on.

    Parameters
    ----------
    sources : iterable of str
        The ids, in the order in which they are shown.
    duration : float, optional
        Seconds that the session is to last.
    """

    def __init__(self, sources: list[str], duration: float | None = None) -> None:
        self.sink = Levels()
        self.sources = {id: SourceLevels() for id in sources}
        self._duration = duration

    def react(self, event: StreamEvent) -> None:
        """Note the state of a device; on the session's thread for events."""
        state = state_after(event)
        source = self.sources.get(getattr(event, "source", ""))
        if state and source is not None:
            source.state = state

    def look(self) -> None:
        """Take what has come since the last look."""
        now = time.monotonic()
        chunks = self.sink.taken()
        for source in {chunk.source for chunk in chunks}:
            self.sources[source].peaks = []
        for chunk in chunks:
            self.sources[chunk.source].add(chunk, now)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = time.monotonic()
        for id, source in self.sources.items():
            yield self._head(id, source, options.max_width)
            for channel in range(min(len(source.peaks), MOST_CHANNELS)):
                yield _channel(source, channel, now, options.max_width)
            if (more := len(source.peaks) - MOST_CHANNELS) > 0:
                yield Text(f"   and {more} more channels", style="dim")

    def _head(self, id: str, source: SourceLevels, width: int) -> Text:
        at = clock(source.position)
        if self._duration is not None:
            at += f" of {clock(self._duration)}"
        lost = f"lost {source.lost} frames" if source.lost else "nothing lost"
        head = Text(f"{id[: max(4, width - 40)]}  {at}  ", style="bold", no_wrap=True)
        head.append(lost, style="red" if source.lost else "dim")
        if source.state:
            head.append(f"  {source.state}", style="yellow")
        head.truncate(width)
        return head


def watch(session: Session, display: Display, stopping: Stopping, console: Console | None) -> None:
    """Wait until a session ends, or is to end; show levels on a terminal, if one is given."""
    if console is None:
        while not stopping.is_over(session, REFRESH):
            pass
        return
    with Live(display, console=console, transient=True, auto_refresh=False) as live:
        while not stopping.is_over(session, REFRESH):
            display.look()
            live.refresh()


def _channel(source: SourceLevels, channel: int, now: float, width: int) -> Text:
    peak, held = source.peaks[channel], source.held[channel]
    room = max(4, min(WIDEST_BAR, width - 32))
    lit = round(room * min(1.0, max(0.0, 1 - peak / FLOOR)))
    colour = "red" if peak > -3 else "yellow" if peak > -12 else "green"
    line = Text(f"{channel + 1:>3} ", style="dim", no_wrap=True)
    line.append("▮" * lit, style=colour)
    line.append("▯" * (room - lit), style="dim")
    line.append(f" {decibels(peak)} dBFS")
    line.append(f" max {decibels(held)}", style="dim")
    if source.clips(channel, now):
        line.append(" CLIP", style="bold red")
    return line


def decibels(level: float) -> str:
    """Return a level in six characters."""
    return f"{level:6.1f}" if math.isfinite(level) else "silent"
