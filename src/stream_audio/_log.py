"""The logger of what describes a session: it loads ``logging`` when it first says something.

Describing is to cost little. The engine has ``logging`` from the start: a finalizer that runs as
the interpreter ends can load nothing any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class _Log:
    """Has what ``logging.getLogger(name)`` has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        import logging

        return getattr(logging.getLogger(self._name), attribute)


if TYPE_CHECKING:
    import logging

    log = logging.getLogger("stream_audio")
    host_log = logging.getLogger("stream_audio.host")
else:
    log = _Log("stream_audio")
    host_log = _Log("stream_audio.host")
