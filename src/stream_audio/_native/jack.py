"""A client of a JACK server. Calls that may hang with the server have a thread and a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from stream_audio._locks import Latch
from stream_audio._native import check_process, ffi, lib
from stream_audio._native.capture import Capture
from stream_audio._native.portaudio import log_host_messages
from stream_audio._native.round_trip import RoundTrip
from stream_audio._native.warm import Warmable
from stream_audio._record import Record
from stream_audio.errors import BackendError, DeviceError, HostUnresponsiveError

INPUT: int = lib.SA_JACK_INPUT
OUTPUT: int = lib.SA_JACK_OUTPUT
PHYSICAL: int = lib.SA_JACK_PHYSICAL

CALL_SECONDS = 5.0
"""After which a call of a stream is given up, and its client is never called again."""

DISCARD_SECONDS = 1.0
"""How long the closing of a client is waited for that has nothing to say."""

TURN_SECONDS = 0.1
"""A part of such a time; see :meth:`Call.result`."""

T = TypeVar("T")


_running: set[JackClient] = set()  # those with a stream


def stream_runs() -> bool:
    """Whether a client of this process has a stream, to which xruns would be a harm."""
    return bool(_running)


def not_answering() -> HostUnresponsiveError:
    """Return the error for a server that hangs."""
    return HostUnresponsiveError(
        "JACK does not answer",
        hint="Its server hangs or has just died; restart it (ALSA's devices work without it)",
    )


class Call(Generic[T]):
    """A call on a thread of its own, which is waited for as long as one likes.

    Parameters
    ----------
    function : callable
        Made at once. What it raises :meth:`result` raises.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._done = Latch()
        self._error: BaseException | None = None
        self._result: T
        self._thread = threading.Thread(target=self._run, name="stream-audio-jack", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # raised where it is waited for
            self._error = error
        self._done.set()

    @property
    def done(self) -> bool:
        """Whether it has come back."""
        return self._done.is_set()

    def result(self, seconds: float) -> T:
        """Return what it returned.

        Raises
        ------
        HostUnresponsiveError
            It has not come back in time. Time in which another thread holds the GIL hardly counts.
        """
        # A wait lasts longer than its turn while the GIL is held. The call may need it several
        # times; that it has not come back then says nothing about the server.
        turns = max(1, round(seconds / TURN_SECONDS))
        turn = seconds / turns
        if not any(self._done.wait(turn) for _ in range(turns)):
            raise not_answering()
        self._thread.join()  # it is on its last line
        if self._error is not None:
            raise self._error
        return self._result


class Port(Record):
    """An audio port of some client.

    Attributes
    ----------
    client, name : str
        Whose it is, and what it is called there.
    is_physical : bool
        It stands for a connector of the sound card.
    latency : int
        Frames: of capture for an output, of playback for an input.
    """

    client: str
    name: str
    is_physical: bool
    latency: int

    @property
    def full_name(self) -> str:
        """What JACK knows it by."""
        return f"{self.client}:{self.name}"


class JackClient(Warmable):
    """A client, which lists; once prepared and started it has a stream.

    Parameters
    ----------
    name : str
        What it is called; the server appends a number if there is one of that name.

    Raises
    ------
    BackendError
        The server refuses it. ``host_text`` has the reasons.
    HostUnresponsiveError
        The server stands still. Without any ``seconds`` a frozen one may hang for good, so this
        is for a :class:`Call`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.asked_name = name
        """What it was to be called."""
        check_process()
        made = ffi.new("sa_jack_client **")
        reason = _reason()
        status = lib.sa_jack_client_open(name.encode(), made, reason)
        messages = log_host_messages()
        self.absent = status == lib.SA_JACK_ABSENT
        """There is no server, or no libjack; nothing else of this object may be used then."""
        if self.absent:
            return
        if status == lib.SA_JACK_STANDS:
            raise not_answering()
        if status != lib.SA_JACK_OPEN:
            raise BackendError(
                "JACK refuses a client",
                host_text="; ".join([_text(reason), *messages[-3:]]),
                hint="Check whether another user runs it, or it has too many clients",
            )
        self._native: Any = made[0]
        self.name = _text(lib.sa_jack_client_name(self._native))
        self._lent: Any = None

    @property
    def gone(self) -> bool:
        """Whether the server has gone, or has given the client up."""
        return bool(lib.sa_jack_client_gone(self._native))

    @property
    def sample_rate(self) -> int:
        """The server's, in Hz; 0 when it has gone."""
        return int(lib.sa_jack_client_sample_rate(self._native))

    @property
    def period(self) -> int:
        """The server's, in frames; 0 when it has gone."""
        return int(lib.sa_jack_client_period(self._native))

    def server_runs(self) -> bool:
        """Whether the server counts on; takes a period, or a third of a second if it does not."""
        return bool(lib.sa_jack_client_server_runs(self._native))

    def server_ran(self) -> bool:
        """Whether the server counted within the last periods, as far as can be told at once."""
        return bool(lib.sa_jack_client_server_ran(self._native))

    def ports(self, flags: int) -> list[Port]:
        """Return the audio ports with these flags; none when the server has gone."""
        room, rows = 0, ffi.NULL
        count = lib.sa_jack_client_ports(self._native, flags, rows, room)
        while count > room:
            room = count
            rows = ffi.new("sa_jack_port[]", room)
            count = lib.sa_jack_client_ports(self._native, flags, rows, room)
        return [_port(rows[i]) for i in range(count)]

    def ring_at_changes(self, bell: int) -> bool:
        """Ring an eventfd whenever ports come or go; ``-1``: no longer.

        Return whether it will. It asks the server, so it is for a :class:`Call`; ``-1`` is not.
        """
        return bool(lib.sa_jack_client_ring_at_changes(self._native, bell))

    def prepare(
        self,
        to: Capture | RoundTrip,
        sources: Sequence[str] | int,
        targets: Sequence[str] | int = 0,
    ) -> None:
        """Make ports, one for each name or so many, whose frames go to ``to``.

        Those with names are connected at the start, and ``sources`` of a capture then kept so.

        Raises
        ------
        DeviceError
            The server refuses them.
        """
        in_names = None if isinstance(sources, int) else _names(sources)
        out_names = None if isinstance(targets, int) else _names(targets)
        is_capture = isinstance(to, Capture)
        plan = {
            "capture": to.native if is_capture else ffi.NULL,
            "trip": ffi.NULL if is_capture else to.native,
            "inputs": sources if isinstance(sources, int) else len(sources),
            "outputs": targets if isinstance(targets, int) else len(targets),
            "sources": ffi.NULL if in_names is None else in_names[0],
            "targets": ffi.NULL if out_names is None else out_names[0],
        }
        reason = _reason()
        if not lib.sa_jack_client_prepare(self._native, ffi.new("sa_jack_plan *", plan), reason):
            raise DeviceError("JACK cannot make the ports", host_text=_words(reason))

    def start(self) -> None:
        """Start the callbacks and connect the ports.

        Raises
        ------
        DeviceError
            A port cannot be connected; it may have gone.
        """
        reason = _reason()
        if not lib.sa_jack_client_start(self._native, reason):
            raise DeviceError("JACK cannot connect the ports to record", host_text=_words(reason))
        _running.add(self)

    def look(self) -> str:
        """Mend the connections. Return why that cannot be done: the source is gone; or ``""``."""
        reason = _reason()
        return "" if lib.sa_jack_client_look(self._native, reason) else _text(reason)

    def rest(self) -> bool:
        """End the callbacks and take the ports away; False if it can only be closed."""
        _running.discard(self)
        if not lib.sa_jack_client_rest(self._native):
            return False
        self._lent = None
        return True

    def wake(self) -> bool:
        """Whether its server is still there; raises if that does not count on."""
        if self.gone:
            return False
        if self.server_ran() or self.server_runs():
            return True
        if self.gone:
            return False
        raise not_answering()

    def close(self) -> None:
        """End the callbacks and free the client. Nothing of it may be used any more."""
        _running.discard(self)
        lib.sa_jack_client_close(self._native)
        log_host_messages()

    def discard(self) -> None:
        """Close it on another thread, and wait no longer than a server that is well takes."""
        with suppress(HostUnresponsiveError):
            Call(self.close).result(DISCARD_SECONDS)


def _names(names: Sequence[str]) -> tuple[Any, list[Any]]:
    """Return an array of C strings, and what keeps them alive."""
    texts = [ffi.new("char[]", name.encode()) for name in names]
    return ffi.new("char *[]", texts), texts


def _port(row: Any) -> Port:
    client, _, name = _text(row.name).partition(":")
    return Port(client, name, bool(row.flags & PHYSICAL), row.latency)


def _reason() -> Any:
    return ffi.new("char[]", lib.SA_JACK_REASON_BYTES)


def _words(reason: Any) -> str:
    return "; ".join([_text(reason), *log_host_messages()[-3:]])


def _text(chars: Any) -> str:
    return str(ffi.string(chars).decode("utf-8", "replace"))
