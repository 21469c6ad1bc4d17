"""A running session, as the user holds it."""

from __future__ import annotations

import atexit
import time
import warnings
import weakref
from types import TracebackType

from stream_audio._checks import real_number
from stream_audio._native import check_process, in_loading_process
from stream_audio.engine.router import Router
from stream_audio.errors import StreamAudioError
from stream_audio.report import SessionReport

STOP_TIMEOUT = 10.0
EXIT_TIMEOUT = 10.0
EVENT_TIMEOUT = 1.0

_running: weakref.WeakSet[Router] = weakref.WeakSet()


class Session:
    """A capture that runs. Made by ``StreamAudio.builder()…start()``, not by hand.

    Use it in a ``with`` block, which stops it at the end, also on an exception or Ctrl-C. It also
    ends by itself when every source has ended. One that is dropped without being stopped stops
    itself, with a ``ResourceWarning``.

    All methods may be called from any thread.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        _running.add(router)
        self._finalizer = weakref.finalize(self, _dropped, router)
        self._finalizer.atexit = False  # stop_all sees to the exit of the interpreter

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._router.done.is_set()

    def stop(self, timeout: float = STOP_TIMEOUT) -> SessionReport:
        """Stop the devices, deliver everything that was captured, stop the sinks.

        Returns the report; a second call returns it again. What a sink has not taken within
        ``timeout`` seconds is dropped and counted.

        Raises
        ------
        StreamAudioError
            The session ended because of a fault of this library.
        """
        check_process()
        real_number("timeout", timeout, 0, 1e6)
        self._finalizer.detach()
        self._router.request_stop(timeout)
        if not self._router.is_own_thread:
            self._router.done.wait()
            if self._router.events is not None:
                self._router.events.join(EVENT_TIMEOUT)
        if self._router.crashed is not None:
            raise StreamAudioError(
                "the session ended because of a fault in stream_audio"
            ) from self._router.crashed
        return self.report()

    close = stop

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the session has ended by itself; True if it has.

        Parameters
        ----------
        timeout : float, optional
            Seconds at most; ``None``: as long as it takes.
        """
        check_process()
        if timeout is not None:
            real_number("timeout", timeout, 0, 1e9)
        return self._router.done.wait(timeout)

    def report(self) -> SessionReport:
        """Where every frame went; while the session runs, where it stands."""
        check_process()
        return self._router.report()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if in_loading_process():  # in a forked child there is nothing to stop
            self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        router = self._router
        return f"<Session {state}: {', '.join(router.inlets)} → {', '.join(router.deliveries)}>"


def _dropped(router: Router) -> None:
    """Stop a session that nobody holds any more; runs wherever the garbage collector does."""
    if not router.done.is_set() and in_loading_process():
        router.request_stop()
        warnings.warn(
            "a stream_audio session was dropped while it ran; it is being stopped. "
            "Call stop(), or use a with block",
            ResourceWarning,
            stacklevel=2,
        )


@atexit.register
def _stop_all() -> None:
    """Let running sessions finish their files before the interpreter goes."""
    if not in_loading_process():
        return
    routers = [router for router in _running if not router.done.is_set()]
    for router in routers:
        router.request_stop()
    until = time.monotonic() + EXIT_TIMEOUT
    for router in routers:
        router.done.wait(max(0.0, until - time.monotonic()))
