"""Devices that come and go, as events: for a loop, for an async loop, or for a function."""

from __future__ import annotations

import time
from _queue import Empty, SimpleQueue  # what `queue` has, without what that loads
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Self

from stream_audio._locks import InterruptibleLock
from stream_audio._log import log
from stream_audio._public import public
from stream_audio.devices import changes
from stream_audio.devices.input_device import InputDevice
from stream_audio.devices.list import list_input_devices
from stream_audio.errors import (
    BackendError,
    ConfigTypeError,
    HostUnresponsiveError,
    log_raised,
)
from stream_audio.reports.events import DefaultChanged, DeviceAdded, DeviceRemoved
from stream_audio.waiting.in_thread import in_thread

DeviceEvent = DeviceAdded | DeviceRemoved | DefaultChanged

_CLOSED = object()


@public
class DeviceWatcher:
    """What :func:`watch_devices` returns: an iterator of events, also for ``async for``.

    It watches from when it is made until :meth:`close`, or the end of a ``with`` block. Events
    that nobody has taken yet wait.

    Attributes
    ----------
    devices : list of InputDevice
        The devices as of the last event.
    """

    def __init__(self, callback: Callable[[DeviceEvent], object] | None) -> None:
        self.devices: list[InputDevice] = []
        self._callback = callback
        # Events, and objects that let somebody go who waits: of the close, or of a cancelled wait.
        self._told: SimpleQueue[object] = SimpleQueue()
        self._looking = InterruptibleLock()
        self._is_closed = False
        # Before the first list, so that no change is missed between the two.
        self._subscription = changes.subscribe(self._look)
        try:
            with self._looking:
                self.devices = _listed([])
        except BaseException:
            self._subscription.close()
            raise

    def __iter__(self) -> Iterator[DeviceEvent]:
        """Return itself."""
        return self

    def __next__(self) -> DeviceEvent:
        """Wait for the next event; the iteration ends with :meth:`close`."""
        event = self.get()
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> AsyncIterator[DeviceEvent]:
        """Return itself."""
        return self

    async def __anext__(self) -> DeviceEvent:
        """Wait for the next event without blocking the event loop; a cancellation loses none."""
        enough = object()
        event = await in_thread(
            lambda: self._next(None, enough),
            undo=self._put_back,
            when_cancelled=lambda: self._told.put(enough),
        )
        if event is None:
            raise StopAsyncIteration
        return event

    def get(self, timeout: float | None = None) -> DeviceEvent | None:
        """Return the next event; ``None`` after ``timeout`` seconds, or once it is closed."""
        return self._next(timeout, self)

    def close(self) -> None:
        """Watch no more; whoever waits for an event is let go. Does nothing twice."""
        self._is_closed = True
        self._told.put(_CLOSED)
        self._subscription.close()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "watching"
        return f"<DeviceWatcher {state}: {', '.join(each.name for each in self.devices)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _put_back(self, event: DeviceEvent | None) -> None:
        """Have what a cancelled wait had taken come first."""
        if event is None:
            return
        later = [event, *self._taken()]
        for each in later:
            self._told.put(each)

    def _taken(self) -> list[object]:
        taken: list[object] = []
        while True:
            try:
                taken.append(self._told.get_nowait())
            except Empty:
                return taken

    def _next(self, timeout: float | None, enough: object) -> DeviceEvent | None:
        """Return the next event; ``None`` at the end, or at what is ``enough``."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                told = self._told.get(timeout=left) if left != 0.0 else self._told.get_nowait()
            except Empty:
                return None
            if isinstance(told, DeviceEvent):
                return told
            if told is _CLOSED:
                self._told.put(_CLOSED)  # for the others, too
            if told in (_CLOSED, enough):
                return None
            self._told.put(told)  # another one's
            time.sleep(0.001)

    def _look(self) -> None:
        """List the devices, and tell what is other than before; on the thread that noticed."""
        with self._looking:
            before, self.devices = self.devices, _listed(self.devices)
            events = list(differences(before, self.devices, time.monotonic()))
        for event in events:
            if self._is_closed:
                return
            if self._callback is None:
                self._told.put(event)
                continue
            try:
                self._callback(event)
            except BaseException as error:  # SystemExit and its like, too: more may come
                log_raised(log, error, "the callback of watch_devices raised")


@public
def watch_devices(callback: Callable[[DeviceEvent], object] | None = None) -> DeviceWatcher:
    """Watch which input devices come and go, and which is the default.

    Nothing is listed while nothing changes: the sound server and the kernel tell. The events are
    :class:`DeviceAdded`, :class:`DeviceRemoved` and :class:`DefaultChanged`; a device that
    changes its rate or channels is removed and added.

    Parameters
    ----------
    callback : callable, optional
        Called with each event, on a thread of its own; the log has what it raises. Without it,
        iterate over what is returned, with ``for`` or ``async for``.

    Returns
    -------
    DeviceWatcher
        It watches until it is closed.

    Raises
    ------
    BackendError
        This system does not tell when devices come and go.
    """
    if callback is not None and not callable(callback):
        raise ConfigTypeError(f"callback must be a function, not {callback!r}")
    return DeviceWatcher(callback)


def _listed(before: list[InputDevice]) -> list[InputDevice]:
    try:
        return list_input_devices()
    except HostUnresponsiveError as error:
        log.warning("devices cannot be listed: %s", error)
        return before  # nobody knows
    except BackendError:
        return []


def differences(
    before: list[InputDevice], after: list[InputDevice], now: float
) -> Iterator[DeviceEvent]:
    """Yield what leads from one list to the other."""
    old = {device.id: device for device in before}
    new = {device.id: device for device in after}
    for id, device in old.items():
        if id not in new or _essence(new[id]) != _essence(device):
            yield DeviceRemoved(now, device)
    for id, device in new.items():
        if id not in old or _essence(old[id]) != _essence(device):
            yield DeviceAdded(now, device)
    was, default = (
        next((device.id for device in devices if device.is_default), "")
        for devices in (before, after)
    )
    if was != default:
        yield DefaultChanged(now, "", was, default)


def _essence(device: InputDevice) -> InputDevice:
    """Return a device without what changes while it is the same."""
    return replace(device, is_default=False, latency=None, low_latency=0.0, high_latency=0.0)
