"""The latency script: ``python -m stream_audio.latency``, or ``stream-audio latency``.

It measures how late captured audio is: from the callback to the ring, to the router, and to each
kind of consumer; beside other libraries; and, as a round trip, out of the machine and in again.
It needs nothing but this library; plots need matplotlib (``pip install 'stream-audio[plot]'``).
``docs/latency.md`` tells how to read the report.

Exit codes: 0 all went well, also when Ctrl-C ended it early; 1 it failed, or a limit that the
user set was exceeded; 2 wrong usage.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

MODULE = "python -m stream_audio.latency"
FAILED = 1


def main(arguments: Sequence[str] | None = None, prog: str = MODULE) -> int:
    """Run the script and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``None``: those of the command line.
    prog : str
        What the help calls it.

    Raises
    ------
    SystemExit
        With 0 after ``--help``, with 2 if it was used wrongly.
    """
    from stream_audio import StreamAudioError
    from stream_audio._terminal import OutputError
    from stream_audio.latency import plot, report
    from stream_audio.latency.options import parse
    from stream_audio.latency.run import Script

    options = parse(arguments, prog)
    try:
        if options.plot is not None:
            plot.check()
        with _stopping_on_signals() as told_to_stop:
            script = Script(options, told_to_stop.is_set)
            script.run()
        document = script.document
        document["exceeded"] = report.exceeded(document, options.max_p99, options.max_lost)
        print(json.dumps(document) if options.json else report.text(document))
        if options.plot is not None:
            plot.save(document, options.plot)
    except OutputError:
        raise
    except (StreamAudioError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return FAILED if document["exceeded"] else 0


@contextmanager
def _stopping_on_signals() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into an event; a second one is as it was."""
    told = threading.Event()
    before: dict[int, Any] = {}

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()
        signal.signal(number, before[number])

    numbers = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:  # as under nohup
        numbers.append(hang_up)
    for number in numbers:
        before[number] = signal.signal(number, tell)
    try:
        yield told
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
