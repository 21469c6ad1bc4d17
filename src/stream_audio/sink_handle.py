"""A sink of a running session, as the user holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stream_audio._checks import real_number
from stream_audio._native import check_process
from stream_audio._public import public
from stream_audio.adapter.sink_adapter import called_by_one_of, refuse_to_wait_for
from stream_audio.reports.report import SinkReport
from stream_audio.waiting.in_thread import in_thread

if TYPE_CHECKING:
    from stream_audio.engine.delivery import Delivery
    from stream_audio.engine.router import Router


@public
class SinkHandle:
    """A sink that was added to a running session; made by :meth:`Session.add_sink`.

    All methods may be called from any thread.

    Attributes
    ----------
    name : str
        Its name in events and in the report.
    sink : Sink
        The object that was added.
    """

    def __init__(self, router: Router, delivery: Delivery) -> None:
        self._router = router
        self._delivery = delivery
        self.name = delivery.name
        self.sink: Any = delivery.sink.given

    @property
    def attached(self) -> bool:
        """Whether it gets chunks: neither removed, nor given up, nor the session stopped."""
        return not self._delivery.detached and self._router.is_connected(self._delivery)

    def remove(self, drain: bool = True, timeout: float = 5.0) -> SinkReport:
        """Take the sink out of the session and stop it; the other sinks notice nothing.

        Does nothing to a sink that was removed before, or whose
        session has stopped. Called by the sink itself it returns at once, and the sink is stopped
        when it comes back.

        Parameters
        ----------
        drain : bool
            Whether it gets what waits for it first; otherwise that is dropped and counted.
        timeout : float
            Seconds of the session's clock until what is not delivered is dropped and counted.

        Returns
        -------
        SinkReport
            What became of its frames; also part of ``session.report()``.

        Raises
        ------
        SessionStateError
            It is asynchronous, and this is the thread of its event loop.
        """
        check_process()
        real_number("timeout", timeout, 0, 1e6)
        refuse_to_wait_for((self._delivery.sink,), "await handle.aremove()")
        self._router.remove_sink(self._delivery, timeout, drain=drain)
        return self.report()

    async def aremove(self, drain: bool = True, timeout: float = 5.0) -> SinkReport:
        """:meth:`remove` for ``async`` code: the event loop goes on meanwhile.

        A task that is cancelled here still waits until the sink is out, ``timeout`` at most.
        Called by the sink's own coroutine it returns before the sink is stopped.
        """
        check_process()
        real_number("timeout", timeout, 0, 1e6)
        router, delivery = self._router, self._delivery
        wait = not called_by_one_of((delivery.sink,))
        await in_thread(lambda: router.remove_sink(delivery, timeout, drain=drain, wait=wait))
        return self.report()

    def report(self) -> SinkReport:
        """Where its frames went so far."""
        return self._delivery.report()

    def __repr__(self) -> str:
        return f"<SinkHandle {self.name!r}: {'attached' if self.attached else 'removed'}>"
