"""What the clients of a JACK server offer to record from, as candidates.

One client of ours lists for the whole process, and stays open: opening one costs other clients
xruns, listing with one that is there does not. It has no ports, so nobody sees it.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence

from stream_audio._locks import InterruptibleLock
from stream_audio._native.jack import INPUT, OUTPUT, Call, JackClient, Port, not_answering
from stream_audio._record import Record
from stream_audio.devices.candidate import Candidate, Way
from stream_audio.devices.input_device import InputDevice

HOST_API = "JACK Audio Connection Kit"

ANSWER_SECONDS = 1.5
"""How long a listing waits for a server; a healthy one answers within hundredths."""


class JackDevice(Record):
    """A client with ports of one direction.

    Attributes
    ----------
    name : str
        The client's.
    ports : tuple of Port
        In the server's order; each is a channel.
    sample_rate, period : int
        The server's, in Hz and frames.
    """

    name: str
    ports: tuple[Port, ...]
    sample_rate: int
    period: int

    @property
    def host_api(self) -> str:
        """JACK's name, as PortAudio has it."""
        return HOST_API

    @property
    def id(self) -> str:
        """What no other device has."""
        return f"jack:{self.name}"

    @property
    def is_default_output(self) -> bool:
        """Whether programs play to it unless they are told otherwise."""
        return self.is_physical

    @property
    def is_physical(self) -> bool:
        """Whether it is the sound card, and no program."""
        return self.ports[0].is_physical

    @property
    def latency(self) -> float:
        """Seconds, as the first port tells."""
        return self.ports[0].latency / self.sample_rate


class _Lister:
    """The client that lists."""

    def __init__(self) -> None:
        self._lock = InterruptibleLock()
        self._client: JackClient | None = None
        self._opening: Call[JackClient] | None = None
        self._bell = -1
        self._rings: JackClient | None = None  # the client that was given the bell

    def ring_at_changes(self, bell: int) -> None:
        """Ring an eventfd from now on whenever ports come or go, also of a later server.

        Raises
        ------
        HostUnresponsiveError, BackendError
            As for :meth:`devices`.
        """
        with self._lock:
            self._bell = bell
            self._rings = None
            self._connected()

    def ring_no_more(self, bell: int) -> None:
        """Never ring it again; another one that was given meanwhile stays."""
        with self._lock:
            if self._bell == bell:
                self._bell = -1
                self._silence()

    def _silence(self) -> None:
        if self._rings is not None:
            self._rings.ring_at_changes(-1)
            self._rings = None

    def devices(self, flags: int, *, to_open: bool = False) -> list[JackDevice]:
        """Return the clients that have ports with these flags; none without a server.

        To open one, a server that ran just now will do: each call to come has its time.

        Raises
        ------
        HostUnresponsiveError
            The server hangs. It is asked for no longer than a second and a half, and not at all
            as long as an earlier question is open.
        BackendError
            It refuses a client.
        """
        with self._lock:
            client = self._connected(to_open=to_open)
            if client is None:
                return []
            ports_of: dict[str, list[Port]] = {}
            rate, period = client.sample_rate, client.period
            for port in client.ports(flags):
                ports_of.setdefault(port.client, []).append(port)
            if not rate or not period:
                return []  # the server has gone just now
            return [
                JackDevice(name, tuple(ports), rate, period) for name, ports in ports_of.items()
            ]

    def let_go(self) -> None:
        """Close the client that lists, unless it watches; the next list opens another one."""
        with self._lock:
            if self._bell >= 0:
                return
            client, self._client = self._client, None
        if client is not None:
            client.discard()

    def _connected(self, *, to_open: bool = False) -> JackClient | None:
        client = self._running(to_open)
        bell = self._bell
        if client is not None and bell >= 0 and self._rings is None:
            self._rings = client
            Call(lambda: client.ring_at_changes(bell)).result(ANSWER_SECONDS)
        return client

    def _running(self, to_open: bool) -> JackClient | None:
        client = self._client
        if client is not None and not client.gone:
            if (to_open and client.server_ran()) or client.server_runs():
                return client
            if not client.gone:
                raise not_answering()
        if client is not None:
            self._silence()
            self._client = None
            Call(client.close)  # of a server that is gone
        if self._opening is None:
            self._opening = Call(lambda: JackClient(f"stream-audio-list-{os.getpid()}"))
            seconds = ANSWER_SECONDS
        else:
            seconds = 0.0  # it has had its time
        opening = self._opening
        try:
            client = opening.result(seconds)
        finally:
            if opening.done:
                self._opening = None
        if client.absent:
            return None
        self._client = client
        return client


_lister = _Lister()


def ring_at_changes(bell: int) -> None:
    """Ring an eventfd from now on whenever a client of JACK has other ports.

    Raises
    ------
    HostUnresponsiveError, BackendError
        The server hangs, or refuses a client.
    """
    _lister.ring_at_changes(bell)


def ring_no_more(bell: int) -> None:
    """Never ring that eventfd again."""
    _lister.ring_no_more(bell)


def let_go() -> None:
    """Close the client that lists: before a fork, whose child must not have it, and at exit."""
    _lister.let_go()


def forget_after_fork() -> None:
    """In a child: what was opened between the two is the parent's."""
    global _lister
    _lister = _Lister()


atexit.register(let_go)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=let_go, after_in_child=forget_after_fork)


def jack_sources(*, to_open: bool = False) -> list[JackDevice]:
    """Return the clients that can be recorded from, the sound card first."""
    found = _lister.devices(OUTPUT, to_open=to_open)
    return sorted(found, key=lambda device: not device.is_physical)


def jack_targets() -> list[JackDevice]:
    """Return the clients that can be played to, the sound card first."""
    return sorted(_lister.devices(INPUT), key=lambda device: not device.is_physical)


def jack_inputs(*, to_open: bool = False) -> Sequence[Candidate]:
    """Return the clients that can be recorded from, as candidates."""
    sources = jack_sources(to_open=to_open)
    return [_candidate(device, index == 0) for index, device in enumerate(sources)]


def _candidate(device: JackDevice, is_default: bool) -> Candidate:
    return Candidate(
        device=InputDevice(
            name=device.name,
            host_api=HOST_API,
            channels=len(device.ports),
            sample_rate=device.sample_rate,
            low_latency=device.latency,
            high_latency=device.latency,
            is_default=is_default,
            id=device.id,
            channel_map=tuple(port.name for port in device.ports),
            is_monitor=not device.is_physical,
            latency=device.latency,
        ),
        source=device.id,
        way=Way.SERVER,
        native=device,
    )
