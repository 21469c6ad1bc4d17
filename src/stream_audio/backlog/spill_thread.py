"""The one thread of a session that writes to disk what slow sinks leave behind."""

from __future__ import annotations

import os
import threading
from collections import deque

from stream_audio._locks import InterruptibleLock
from stream_audio.backlog.spill_directory import spill_directory
from stream_audio.backlog.spill_file import Storage, TemporaryStorage
from stream_audio.backlog.spilling_queue import SpillingQueue
from stream_audio.waiting.clock import Clock, Signal, sit_on


class SpillThread:
    """Does the queues' spill steps in turn; there is no thread until the first asks for one.

    Parameters
    ----------
    clock : Clock
        The session's.
    directory : str or os.PathLike, optional
        Where the temporary files go; ``None``: see
        :func:`~stream_audio.backlog.spill_directory.spill_directory`.
    """

    def __init__(self, clock: Clock, directory: str | os.PathLike[str] | None = None) -> None:
        self._clock = clock
        self._wanted = directory
        self._directory: str | None = None
        self._asking: deque[SpillingQueue] = deque()  # each once
        self._changing = InterruptibleLock()
        self._signal: Signal | None = None
        self._closing = False

    def check(self) -> None:
        """Raise ``ConfigError`` if a directory was given that will not do."""
        if self._wanted is not None:
            spill_directory(self._wanted)

    def ask(self, queue: SpillingQueue) -> None:
        """Let a step of the queue be done, if none is asked for yet; on any thread."""
        with self._changing:
            if queue in self._asking:
                return
            self._asking.append(queue)
            error = None if self._signal is not None else self._start()
        if error is not None:
            queue.stop_spilling(error)
        elif self._signal is not None:
            self._signal.set()

    def _start(self) -> RuntimeError | None:
        """Start the thread; return the error if the system has none left."""
        self._signal = self._clock.signal()
        thread = threading.Thread(target=self._run, name="stream-audio-spill", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._signal.close()
            self._signal = None
            self._asking.clear()
            return error
        return None

    def open_storage(self) -> Storage:
        """Make a temporary file; called on this thread."""
        if self._directory is None:
            self._directory = spill_directory(self._wanted)
        return TemporaryStorage(self._directory)

    def close(self) -> None:
        """End once what was asked for is done; returns at once."""
        self._closing = True
        if self._signal is not None:
            self._signal.set()

    def _run(self) -> None:
        signal = self._signal
        assert signal is not None
        sit_on(signal)
        try:
            while True:
                closing = self._closing  # asked first: what was asked for before is then seen
                if self._asking:  # taken out first: what comes up meanwhile asks again
                    self._asking.popleft().spill_step()
                elif closing:
                    break
                else:
                    signal.wait()
        finally:
            signal.close()
