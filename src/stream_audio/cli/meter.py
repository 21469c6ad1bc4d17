"""Progress and level on the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from stream_audio import AudioChunk

_FLOOR = -60.0
_WIDTH = 24


class LevelMeter:
    """A sink that remembers the newest chunk's place and level."""

    blocking = False

    def __init__(self) -> None:
        self.seconds = 0.0
        self.peak = -math.inf
        """Peak of the loudest channel, dBFS."""

    def write(self, chunk: AudioChunk) -> None:
        """Take a chunk; quick, so that it may run on the router's thread."""
        self.seconds = chunk.end / chunk.sample_rate
        self.peak = float(chunk.peak.max())


class _LevelColumn(ProgressColumn):
    """A bar from -60 to 0 dBFS."""

    def __init__(self, meter: LevelMeter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, task: Task) -> Text:
        peak = self._meter.peak
        lit = round(_WIDTH * min(1.0, max(0.0, 1 - peak / _FLOOR)))
        colour = "red" if peak > -3 else "yellow" if peak > -12 else "green"
        bar = Text("▮" * lit, style=colour)
        bar.append("▯" * (_WIDTH - lit), style="dim")
        bar.append(f" {peak:6.1f} dBFS" if math.isfinite(peak) else "  silence   ")
        return bar


def make_progress(meter: LevelMeter, console: Console) -> Progress:
    """Return a progress display; ``total`` of its task is in seconds, or ``None``."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:7.1f} s"),
        _LevelColumn(meter),
        console=console,
        transient=True,
    )
