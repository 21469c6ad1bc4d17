"""What holds for every test: each session that it ran has accounted for every frame."""

import logging
import signal
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stream_audio.engine.engine import Engine

# A runner may have them ignored (nohup, a shell's background), which the programs under test would
# inherit and honour.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


class _Ear(logging.Handler):
    """Hears the engine say that the report of a session, which may be gone, does not balance."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if "does not balance" in record.getMessage():
            self._found.append(record.getMessage())


@contextmanager
def _hearing_of_unbalanced_reports(found: list[str]) -> Iterator[None]:
    log, ear = logging.getLogger("stream_audio"), _Ear(found)
    log.addHandler(ear)
    try:
        yield
    finally:
        log.removeHandler(ear)


@pytest.fixture(autouse=True)
def _every_report_balances(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test whose report does not balance, unless it is marked ``unbalanced``."""
    init = Engine.__init__
    # Not kept alive: some tests look whether a session is gone.
    engines: weakref.WeakSet[Engine] = weakref.WeakSet()
    found: list[str] = []

    def look(engine: Engine) -> None:
        if not engine.running and not engine.report().balanced:
            found.append(str(engine.report()))

    def remember(engine: Engine, *args: Any, **kwargs: Any) -> None:
        init(engine, *args, **kwargs)
        engines.add(engine)

    monkeypatch.setattr(Engine, "__init__", remember)
    with _hearing_of_unbalanced_reports(found):
        yield
    if request.node.get_closest_marker("unbalanced") is None:
        for engine in engines:  # its thread may still be on its way out
            look(engine)
        assert not found, "\n\n".join(found)
