"""What the programs of this package write to: terminals, pipes and files of any kind.

A terminal need not be UTF-8, nor be there any more, and a disk may be full.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

FAILED = 1

_PLAIN = {
    "–": "-",
    "…": "...",
    "→": "->",
    "µ": "u",
    "█": "#",
    "░": ".",
    "▮": "#",
    "▯": ".",
} | dict(zip("▁▂▃▄▅▆▇", "_.,-=+*", strict=True))
"""In place of what an encoding has not; any other character is escaped."""


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    escaped = (each.encode("ascii", "backslashreplace").decode() for each in missing)
    text = (_PLAIN.get(each, other) for each, other in zip(missing, escaped, strict=True))
    return "".join(text), error.end


codecs.register_error("stream_audio.plain", _in_plain)


class OutputError(OSError):
    """What was to be written to standard output did not get there."""


class _Output(io.FileIO):
    """Standard output: what does not arrive is told apart from any other error."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from None


class _Messages(io.FileIO):
    """Takes what it is given, though nobody may get it: the terminal is gone, the disk full."""

    def write(self, data: Any, /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(memoryview(data))


def run(program: Callable[[], Any]) -> None:
    """Run a program and end the process with the exit code that it returns or raises.

    What it writes to standard output must arrive, or it has failed. Its messages need not: the
    terminal of a recording may go before the recording ends.
    """
    output = sys.stdout = _written_to(sys.stdout, _Output)
    sys.stderr = _written_to(sys.stderr, _Messages)
    try:
        try:
            code = program()
        finally:
            # Not sys.stdout: click puts one in its place that hides a reader's having had enough.
            if output is not None:
                output.flush()
    except OutputError as error:
        _let_go_of_output()
        if error.errno != errno.EPIPE:  # the reader had enough
            text = f"error: cannot write to the standard output: {error.strerror}"
            print(text, file=sys.stderr)
        code = FAILED
    sys.exit(code)


def _written_to(stream: Any, way: type[io.FileIO]) -> Any:
    """Return the same stream, written in that way, with a character for each that it has not."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # there is none, or it is a test's
    raw = way(stream.fileno(), "wb", closefd=False)
    by_line = stream.line_buffering or stream.write_through
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, "stream_audio.plain", line_buffering=by_line
    )


def _let_go_of_output() -> None:
    """Keep the interpreter from failing once more as it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
