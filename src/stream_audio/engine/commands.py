"""What other threads want done by whoever runs a session's turns, in between two of them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from stream_audio._locks import InterruptibleLock, Latch

_log = logging.getLogger("stream_audio")


class _Command:
    def __init__(
        self, action: Callable[[], object], undo: Callable[[], object], *, awaited: bool
    ) -> None:
        self._action = action
        self._undo = undo
        self._awaited = awaited
        self.over = Latch()
        self.done = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do it; what it raises is for the thread that waits, if one does."""
        try:
            self._action()
        except BaseException as error:
            self.error = error
            if not self._awaited:
                _log.exception("what a sink asked for within a turn failed")
                self._undo()
        self.done = True
        self.over.set()

    def give_up(self) -> None:
        """Never do it."""
        self.over.set()
        if not self._awaited:
            self._undo()


class Commands:
    """A queue of actions; whoever asks for one waits for it, unless that is within a turn.

    Parameters
    ----------
    call : callable
        Has :meth:`run` called soon.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.waiting: deque[_Command] = deque()
        """Those that are to be run."""
        self._adding = InterruptibleLock()
        self._refused = False

    # ---- any thread ----

    def do(
        self, action: Callable[[], object], undo: Callable[[], object], *, within: bool
    ) -> bool:
        """Have ``action`` run, and wait until it has; False if none are run any more.

        ``within``: the caller is in the middle of a turn, which walks the routes that the action
        may change. It is run right after that turn, and is not waited for; if it cannot be done
        then, ``undo`` is called there.
        """
        command = _Command(action, undo, awaited=not within)
        with self._adding:
            if self._refused:
                return False
            self.waiting.append(command)
        self._call()
        if within:
            return True
        command.over.wait()
        if command.error is not None:
            raise command.error
        return command.done

    # ---- the thread that runs them ----

    def run(self) -> None:
        """Run all there are."""
        while self.waiting:
            self.waiting.popleft().run()

    def refuse(self) -> None:
        """Take no more."""
        with self._adding:
            self._refused = True

    def give_up(self) -> None:
        """Take no more, and let those go that wait for one: after a crash some may be left."""
        self.refuse()
        for command in self.waiting:
            command.give_up()
