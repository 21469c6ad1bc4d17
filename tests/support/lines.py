"""What another thread may do at any moment, done at each line of a call in turn."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any


@contextmanager
def before_line(
    number: int, modules: tuple[ModuleType, ...], act: Callable[[], object]
) -> Iterator[list[object]]:
    """Call ``act`` before the ``number``-th line of these modules, counted on this thread.

    Yields a list that holds what ``act`` returned, once it has been called: it stays empty if
    there were not so many lines.
    """
    files = {module.__file__ for module in modules}
    lines, acted = 0, []

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            lines += 1
            if lines == number:
                acted.append(act())
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield acted
    finally:
        sys.settrace(before)
