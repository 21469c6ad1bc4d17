"""What holds for every test: each session that it ran has accounted for every frame."""

import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from stream_audio.engine.engine import Engine


@pytest.fixture(autouse=True)
def _every_report_balances(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test whose report does not balance, unless it is marked ``unbalanced``."""
    init, tell_the_end = Engine.__init__, Engine._tell_the_end
    # Not kept alive: some tests look whether a session is gone.
    engines: weakref.WeakSet[Engine] = weakref.WeakSet()
    found: list[str] = []

    def look(engine: Engine) -> None:
        if not engine.running and not engine.report().balanced:
            found.append(str(engine.report()))

    def remember(engine: Engine, *args: Any, **kwargs: Any) -> None:
        init(engine, *args, **kwargs)
        engines.add(engine)

    def tell_and_look(engine: Engine) -> None:
        tell_the_end(engine)
        look(engine)

    monkeypatch.setattr(Engine, "__init__", remember)
    monkeypatch.setattr(Engine, "_tell_the_end", tell_and_look)
    yield
    if request.node.get_closest_marker("unbalanced") is None:
        for engine in engines:  # its thread may still be on its way out
            look(engine)
        assert not found, "\n\n".join(found)
