"""The latency script: ``stream-audio latency``.

It measures how late captured audio is: from the callback to the ring, to the router, and to each
kind of consumer; beside other libraries; and, as a round trip, out of the machine and in again.
Plots need matplotlib (``pip install 'stream-audio[plot]'``).
``docs/latency.md`` tells how to read the report.

Exit codes: 0 all went well, also when Ctrl-C ended it early; 1 it failed, or a limit that the
user set was exceeded; 2 wrong usage.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from stream_audio.errors import FileError
from stream_audio.latency.options import Options

FAILED = 1


def main(options: Options) -> int:
    """Measure, print the report, and return the exit code.

    Parameters
    ----------
    options : Options
        What to measure.

    Raises
    ------
    StreamAudioError
        It could not be measured.
    """
    from stream_audio.latency import plot, report
    from stream_audio.latency.run import Script

    if options.plot is not None:
        plot.check()
    with _stopping_on_signals() as told_to_stop:
        script = Script(options, told_to_stop.is_set)
        script.run()
    document = script.document
    document["exceeded"] = report.exceeded(document, options.max_p99, options.max_lost)
    print(json.dumps(document) if options.json else report.text(document))
    if options.plot is not None:
        try:
            plot.save(document, options.plot)
        except OSError as error:
            raise FileError(
                f"cannot write {options.plot}", host_text=error.strerror or str(error)
            ) from error
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
