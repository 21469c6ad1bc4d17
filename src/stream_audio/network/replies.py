"""What a server says, handed on to the user's functions on a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from stream_audio.errors import in_words, log_raised

_log = logging.getLogger("stream_audio")

Message = str | bytes


class Replies:
    """A queue of messages and the thread that hands them on; made anew for each session.

    Parameters
    ----------
    confirm : callable or None
        Gets each message first; what it raises goes to ``failed``.
    handle : callable or None
        Gets each message; what it raises is logged.
    failed : callable
        Gets the error of ``confirm``.
    """

    most = 1000
    """How many may wait: a handler that is slower than the server for so long stays so."""

    def __init__(
        self,
        confirm: Callable[[Message], object] | None,
        handle: Callable[[Message], object] | None,
        failed: Callable[[BaseException], object],
    ) -> None:
        self._confirm = confirm
        self._handle = handle
        self._failed = failed
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="stream-audio-replies", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> bool:
        """Take one; False if so many wait that it is too many."""
        if self._queue.qsize() >= self.most:
            return False
        self._queue.put(message)
        return True

    def close(self, seconds: float) -> None:
        """Take no more, and wait until those that came are handed on."""
        self._queue.put(None)
        self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            if self._confirm is not None:
                try:
                    self._confirm(message)
                except BaseException as error:
                    self._failed(error)
                    return
            if self._handle is not None:
                try:
                    self._handle(message)
                except BaseException as error:  # SystemExit and its like, too: more may come
                    log_raised(_log, error, "on_message raised: %s", in_words(error))
