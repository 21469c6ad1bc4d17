"""What docs/how-to/command-line.md shows of the terminal is what the commands show.

``python tests/cli/test_screenshots.py`` writes it anew.
"""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stream_audio import AudioChunk, Gap, GapCause, SourceStalled
from stream_audio.cli.levels import Display

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "command-line.md"
RATE = 48_000


def chunk(source, peaks, frame, *gaps):
    """A tenth of a second with these peaks, one a channel."""
    data = np.zeros((4800, len(peaks)), np.float32)
    data[0] = peaks
    return AudioChunk(source, data, RATE, frame, frame / RATE, frame / RATE, gaps)


def shown(display, columns):
    """Return the display as text, as wide as a terminal of so many columns."""
    display.look()
    text = io.StringIO()
    Console(file=text, width=columns, force_terminal=False).print(display)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def of_record(columns):
    display = Display(["input"], duration=5400)
    display.sink.write(chunk("input", [0.5, 0.09], 61 * RATE))
    display.look()
    display.sink.write(chunk("input", [0.2, 0.03], 61 * RATE + 4800))
    return shown(display, columns)


def of_monitor(columns):
    display = Display(["me", "others"])
    display.sink.write(chunk("me", [1.0], 12 * RATE))
    display.look()
    gap = Gap("me", 12 * RATE + 4800, 256, GapCause.HOST_OVERFLOW, 12.1)
    display.sink.write(chunk("me", [0.4], 12 * RATE + 5056, gap))
    display.sink.write(chunk("others", [0.0, 0.0], 12 * RATE))
    display.look()
    display.react(SourceStalled(12.5, "others", 3.0))
    return shown(display, columns)


SCREENSHOTS = {"record": (of_record, 72), "monitor": (of_monitor, 50)}


def block(name):
    return re.compile(rf"(<!-- {name} -->\n```text\n)(.*?)(```)", re.DOTALL)


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_the_page_shows_what_the_command_shows(name):
    make, columns = SCREENSHOTS[name]
    found = block(name).search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[2] == make(columns)
    assert max(map(len, found[2].splitlines())) <= columns


@pytest.mark.parametrize("columns", [40, 50, 80, 120, 300])
@pytest.mark.parametrize("channels", [1, 2, 8, 64])
def test_the_display_fits_every_terminal(columns, channels):
    display = Display(["a source with a long name, longer than any terminal is wide" * 5], 1e6)
    [name] = display.sources
    display.sink.write(chunk(name, [1.0] * channels, 10**9))
    text = shown(display, columns)
    assert max(map(len, text.splitlines())) <= columns
    assert len(text.splitlines()) == 1 + min(channels, 8) + (channels > 8)


def test_the_peak_is_held_and_a_clip_is_marked():
    text = of_monitor(50)
    assert " -8.0 dBFS max    0.0 CLIP" in text
    assert "lost 256 frames" in text
    assert "delivers nothing" in text
    assert "silent dBFS" in text


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for name, (make, columns) in SCREENSHOTS.items():
        before, *_, after = block(name).split(page)
        page = f"{before}<!-- {name} -->\n```text\n{make(columns)}```{after}"
    PAGE.write_text(page, encoding="utf-8")
