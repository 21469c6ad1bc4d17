"""What holds for every test: each session that it ran has accounted for every frame."""

import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from stream_audio.engine.router import Router


@pytest.fixture(autouse=True)
def _every_report_balances(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test whose report does not balance, unless it is marked ``unbalanced``."""
    init, run = Router.__init__, Router._run
    # Not kept alive: some tests look whether a session is gone.
    routers: weakref.WeakSet[Router] = weakref.WeakSet()
    found: list[str] = []

    def look(router: Router) -> None:
        if router.done.is_set() and not router.report().balanced:
            found.append(str(router.report()))

    def remember(router: Router, *args: Any, **kwargs: Any) -> None:
        init(router, *args, **kwargs)
        routers.add(router)

    def run_and_look(router: Router) -> None:
        run(router)
        look(router)

    monkeypatch.setattr(Router, "__init__", remember)
    monkeypatch.setattr(Router, "_run", run_and_look)
    yield
    if request.node.get_closest_marker("unbalanced") is None:
        for router in routers:  # its thread may still be on its way out
            look(router)
        assert not found, "\n\n".join(found)
