"""When devices may have come or gone: told by what changes, and never by looking again and again.

Three things tell: PulseAudio or PipeWire by its subscription, JACK of the ports of its clients,
and the kernel by inotify of ``/dev/snd``, where sound cards are, and of the folders where the
sockets of JACK and PulseAudio appear. One thread waits for all of them, for all who want to know;
there is none while nobody does.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from stream_audio._locks import InterruptibleLock
from stream_audio._log import log
from stream_audio._native.pulse import PulseConnection
from stream_audio.devices.jack import ring_at_changes, ring_no_more
from stream_audio.errors import BackendError, StreamAudioError

SETTLE_SECONDS = 0.1
"""What follows a change within this time is one with it: a card has several devices, and the
system gives the permission to open them a moment later."""

RETRY_SECONDS = 0.5
"""A server's socket is there before the server answers."""

RETRIES = 6

_CREATED, _DELETED, _MOVED, _ATTRIBUTES = 0x100, 0x200, 0xC0, 0x4  # of inotify
_EVENT = struct.Struct("iIII")


class Subscription(Protocol):
    """Somebody who is told of changes, until it is closed."""

    def close(self) -> None:
        """Tell no more."""


class StandIn(Protocol):
    """What stands in for the machine's devices; see ``devices.list.stand_in``."""

    def watch(self, changed: Callable[[], object]) -> Subscription:
        """Call ``changed`` whenever devices have come or gone, on a thread of its own."""
        ...


class _Inotify:
    """The folders in which something tells of devices."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            init, self._add = libc.inotify_init1, libc.inotify_add_watch
        except AttributeError:
            raise BackendError(
                "this system does not tell when devices come and go",
                hint="Call list_input_devices() now and then",
            ) from None
        self.fd = int(init(os.O_NONBLOCK | os.O_CLOEXEC))
        if self.fd < 0:
            number = ctypes.get_errno()
            raise BackendError("devices cannot be watched", host_text=os.strerror(number))
        self._tells: dict[int, Callable[[str], bool]] = {}
        self.look()

    def look(self) -> None:
        """Watch the folders that are there by now."""
        mask = _CREATED | _DELETED | _MOVED
        if not self._watch("/dev/snd", mask | _ATTRIBUTES, lambda name: True):
            self._watch("/dev", mask, lambda name: name == "snd")
        self._watch("/dev/shm", mask, lambda name: name.startswith("jack"))
        folder = pulse_folder()
        if not self._watch(folder, mask, lambda name: True):
            parent, own = os.path.split(folder)
            self._watch(parent, mask, lambda name: name == own)

    def _watch(self, folder: str, mask: int, tells: Callable[[str], bool]) -> bool:
        number = self._add(self.fd, os.fsencode(folder), mask)
        if number >= 0:
            self._tells[number] = tells
        return bool(number >= 0)

    def read(self) -> bool:
        """Return whether what has happened may be a change of devices."""
        try:
            data = os.read(self.fd, 65_536)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return False
        found = any([self._tells.get(number, bool)(name) for number, name in _events(data)])
        if found:
            self.look()
        return found

    def close(self) -> None:
        os.close(self.fd)


def _events(data: bytes) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(data):
        number, _, _, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield number, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length


def pulse_folder() -> str:
    """Return the folder where PulseAudio, or PipeWire in its place, has its socket."""
    server = os.environ.get("PULSE_SERVER", "")
    if server.startswith(("unix:", "/")):
        return os.path.dirname(server.removeprefix("unix:"))
    if path := os.environ.get("PULSE_RUNTIME_PATH"):
        return path
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.path.join(runtime, "pulse")


class _Watching:
    """The thread, and those whom it tells."""

    def __init__(self) -> None:
        self.lock = InterruptibleLock()
        self.listeners: list[_Listener] = []
        self._bell = -1
        self._thread: threading.Thread | None = None

    def add(self, listener: _Listener) -> None:
        with self.lock:
            if not self.listeners:
                files = _Inotify()  # raises here, where somebody can hear it
                self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                self._thread = threading.Thread(
                    target=self._run,
                    args=(files, self._bell),
                    name="stream-audio-watch",
                    daemon=True,
                )
                self.listeners = [listener]
                self._thread.start()
            else:
                self.listeners = [*self.listeners, listener]

    def remove(self, listener: _Listener) -> None:
        with self.lock:
            if listener not in self.listeners:
                return
            self.listeners = [each for each in self.listeners if each is not listener]
            if self.listeners:
                return
            thread, self._thread = self._thread, None
            os.eventfd_write(self._bell, 1)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, files: _Inotify, bell: int) -> None:
        connection = None
        poll = select.poll()
        poll.register(files.fd, select.POLLIN)
        poll.register(bell, select.POLLIN)
        retries = 0
        try:
            connection = _connect(bell)
            _listen_to_jack(bell)
            self._tell()  # of what has changed until now, when nobody had told
            while self._is_wanted(bell):
                timeout = RETRY_SECONDS * 1000 if connection is None and retries else None
                ready = dict(poll.poll(timeout))
                changed = files.read() if files.fd in ready else False
                changed |= _drain(bell) if bell in ready else False
                if changed:
                    retries = RETRIES
                    self._settle(poll, files, bell)
                if not self._is_wanted(bell):
                    break
                if connection is not None and connection.changes < 0:
                    connection.release()
                    connection = None
                if connection is None and retries:
                    retries -= 1
                    connection = _connect(bell)
                    changed |= connection is not None
                if changed:
                    _listen_to_jack(bell)
                    self._tell()
        finally:
            ring_no_more(bell)
            if connection is not None:
                connection.ring_at_changes(-1)
                connection.release()
            files.close()
            os.close(bell)

    def _is_wanted(self, bell: int) -> bool:
        with self.lock:
            return self._bell == bell and bool(self.listeners)

    def _settle(self, poll: select.poll, files: _Inotify, bell: int) -> None:
        """Wait until nothing more has changed for a while; not for ever."""
        for _ in range(10):
            ready = dict(poll.poll(SETTLE_SECONDS * 1000))
            more = files.read() if files.fd in ready else False
            more |= _drain(bell) if bell in ready else False
            if not more:
                return

    def _tell(self) -> None:
        for listener in self.listeners:
            try:
                listener.changed()
            except Exception:
                log.exception("telling of a change of devices")


def _connect(bell: int) -> PulseConnection | None:
    try:
        connection = PulseConnection()
    except StreamAudioError:
        return None  # none runs, or it hangs: its socket tells when another one starts
    connection.ring_at_changes(bell)
    return connection


def _listen_to_jack(bell: int) -> None:
    with contextlib.suppress(StreamAudioError):  # as above
        ring_at_changes(bell)


def _drain(bell: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(bell)
        return True
    return False


class _Listener:
    """One who is told by the thread."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self.changed = changed
        self._watching = _watching
        self._watching.add(self)

    def close(self) -> None:
        """Tell no more; the last one ends the thread."""
        self._watching.remove(self)


_watching = _Watching()


def _forget() -> None:
    """In a forked child: the thread is the parent's."""
    global _watching
    _watching = _Watching()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


_stand_in: StandIn | None = None


def stand_in(devices: StandIn | None) -> None:
    """Have ``devices`` tell in place of the machine; ``None``: no longer."""
    global _stand_in
    _stand_in = devices


def subscribe(changed: Callable[[], object]) -> Subscription:
    """Have ``changed`` called, on another thread, whenever devices may have come or gone.

    Raises
    ------
    BackendError
        This system tells nothing.
    """
    if _stand_in is not None:
        return _stand_in.watch(changed)
    return _Listener(changed)
