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
    from stream_audio.engine.engine import Engine


@public
class SinkHandle:
    """A sink that was added to a running session; made by :meth:`Session.add_sink`.

    All methods may be called from any thread.

    Attributes
    ----------
    name : str
        The sink's name in events and in the report.
    sink : Sink
        The object that was added.
    """

    def __init__(self, engine: Engine, delivery: Delivery) -> None:
        self._engine = engine
        self._delivery = delivery
        self.name = delivery.name
        self.sink: Any = delivery.sink.given

    @property
    def attached(self) -> bool:
        """Whether the sink still gets chunks; false once removed, given up or stopped."""
        return not self._delivery.detached and self._engine.is_connected(self._delivery)

    def remove(self, drain: bool = True, timeout: float = 5.0) -> SinkReport:
        """Take the sink out of the session and stop it; the other sinks notice nothing.

        Does nothing if the sink was removed before, or the session has stopped. If the sink itself
        calls it, it returns at once, and the sink is stopped when its method returns.

        Parameters
        ----------
        drain : bool
            Whether the sink first gets the chunks that wait for it; otherwise they are dropped and
            counted.
        timeout : float
            Seconds of the session's clock; chunks that are not delivered by then are dropped and
            counted.

        Returns
        -------
        SinkReport
            Where the sink's frames went; also part of ``session.report()``.

        Raises
        ------
        SessionStateError
            The sink is asynchronous, and this is the thread of its event loop.
        """
        check_process()
        timeout = real_number("timeout", timeout, 0, 1e6)
        refuse_to_wait_for((self._delivery.sink,), "await handle.aremove()")
        self._engine.remove_sink(self._delivery, timeout, drain=drain)
        return self.report()

    async def aremove(self, drain: bool = True, timeout: float = 5.0) -> SinkReport:
        """Remove the sink as :meth:`remove` does, while the event loop keeps running.

        A task that is cancelled here still waits until the sink is out, at most ``timeout``
        seconds. If the sink's own coroutine calls it, it returns before the sink is stopped.
        """
        check_process()
        timeout = real_number("timeout", timeout, 0, 1e6)
        engine, delivery = self._engine, self._delivery
        wait = not called_by_one_of((delivery.sink,))
        await in_thread(lambda: engine.remove_sink(delivery, timeout, drain=drain, wait=wait))
        return self.report()

    def report(self) -> SinkReport:
        """Return where the sink's frames went so far."""
        return self._delivery.report()

    def __repr__(self) -> str:
        return f"<SinkHandle {self.name!r}: {'attached' if self.attached else 'removed'}>"
