"""What other threads want done by whoever runs a session's turns, in between two of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class _Command:
    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self.over = threading.Event()
        self.done = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do it; what it raises is for the thread that waits."""
        try:
            self._action()
        except BaseException as error:
            self.error = error
        self.done = True
        self.over.set()


class Commands:
    """A queue of actions, each of which somebody waits for.

    Parameters
    ----------
    call : callable
        Has :meth:`run` called soon.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._queue: deque[_Command] = deque()
        self._adding = threading.Lock()
        self._refused = False

    # ---- any thread ----

    def do(self, action: Callable[[], object], *, at_once: bool) -> bool:
        """Have ``action`` run, and wait until it has; False if none are run any more.

        ``at_once``: the caller is, or is called by, the thread that would run it.
        """
        command = _Command(action)
        with self._adding:
            if self._refused:
                return False
            self._queue.append(command)
        if at_once:
            self.run()
        else:
            self._call()
            command.over.wait()
        if command.error is not None:
            raise command.error
        return command.done

    # ---- the thread that runs them ----

    @property
    def waiting(self) -> bool:
        """Whether there are any."""
        return bool(self._queue)

    def run(self) -> None:
        """Run all there are."""
        while self._queue:
            self._queue.popleft().run()

    def refuse(self) -> None:
        """Take no more."""
        with self._adding:
            self._refused = True

    def give_up(self) -> None:
        """Take no more, and let those go that wait for one: after a crash some may be left."""
        self.refuse()
        for command in self._queue:
            command.over.set()
