"""What the sinks that send over a connection share: it is made, lost, and made again.

The session's own tries are the only ones: a write that finds no connection makes one, or raises.
So whatever is captured meanwhile waits in the session's backlog, on disk too.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Coroutine
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from stream_audio._locks import InterruptibleLock
from stream_audio.audio.chunk import AudioChunk
from stream_audio.backlog.retry import Retry
from stream_audio.contracts.sink import SinkInfo
from stream_audio.errors import ConfigError, ConfigTypeError, SinkError, in_words
from stream_audio.network.in_flight import InFlight
from stream_audio.reports.events import SinkDisconnected, SinkReconnected

if TYPE_CHECKING:
    from stream_audio.network.endpoint import Endpoint
    from stream_audio.network.loop_thread import LoopThread

T = TypeVar("T")

FOR_CLOSING = 0.8
"""The part of the stop timeout that an orderly end may take."""

RETRY = Retry(tries=None, longest=5.0, jitter=0.5)
"""A service may be away for hours; it is to be found again within seconds."""


class LinkState(Enum):
    """Where a connection stands."""

    NEW = auto()
    """There was none yet."""
    UP = auto()
    """It is there."""
    DOWN = auto()
    """It was lost, or could not be made, and that was told."""
    CLOSING = auto()
    """The sink ends: what is lost now is nobody's news."""


class NetworkSink(abc.ABC):
    """A sink with one connection, on an event loop of its own.

    Parameters
    ----------
    endpoint : Endpoint
        Where it leads.
    confirms : bool
        Whether the other side says what has arrived.
    retry : Retry
        When to try again.
    """

    def __init__(self, endpoint: Endpoint, *, confirms: bool, retry: Retry) -> None:
        self.confirms = confirms
        self.retry = retry
        self.endpoint = endpoint
        self.in_flight = InFlight()
        self.info = SinkInfo("", ())
        self._loop: LoopThread | None = None
        self._state = LinkState.NEW
        self._changing = InterruptibleLock()
        self._abandoned = False
        self._lost_at = 0.0
        self._up_at = 0.0  # since then; once anything was confirmed on it, for ever
        self._useless = 0  # connections in a row that were soon lost
        self._not_before = 0.0
        self._last: AudioChunk | None = None
        self._is_rewound = True  # what was lost on the way comes again, oldest first
        self._final: SinkError | None = None

    # ---- what a kind of connection does; each coroutine runs on the loop ----

    @abc.abstractmethod
    async def open(self) -> None:
        """Connect; raises whatever it likes."""

    @abc.abstractmethod
    async def transmit(self, chunk: AudioChunk, prepared: Any) -> None:
        """Send a chunk; raises whatever it likes."""

    def prepare(self, chunk: AudioChunk) -> Any:
        """Return what is made of a chunk before it is sent; on the worker thread."""
        return None

    @abc.abstractmethod
    def describe(self, error: BaseException) -> SinkError:
        """Return an error that says what happened, with none of the secrets in it."""

    def transmitted(self, chunk: AudioChunk, prepared: Any) -> None:  # noqa: B027 - most need not
        """Take note of a chunk that was sent; on the worker thread."""

    async def greet(self, chunk: AudioChunk, *, again: bool) -> int:
        """Begin on a new connection, of which a chunk is the first; returns frames replayed."""
        return 0

    @abc.abstractmethod
    async def finish(self, seconds: float) -> None:
        """Flush and close the connection, within so many seconds."""

    @abc.abstractmethod
    def let_go(self) -> None:
        """Drop the connection, in whatever state it is; on the loop, and at once."""

    @abc.abstractmethod
    def is_up(self) -> bool:
        """Whether the connection is there, as far as is known."""

    # ---- the session's side ----

    def start(self, info: SinkInfo) -> None:
        """Take note of the session; called by it."""
        self.info = info

    def write(self, chunk: AudioChunk) -> None:
        """Send a chunk; called by the session, on the sink's worker thread."""
        self._raise_final()
        prepared = self.prepare(chunk)
        if self._state is LinkState.UP and not self.is_up():
            self.lost(ConnectionError("the connection is closed"))
        if self._state is not LinkState.UP:
            if not self._is_rewound:
                self._is_rewound = True
                if not self.in_flight.begins_with(chunk):
                    raise SinkError(f"the connection to {self.endpoint.shown} was lost")
            self._connect(chunk)
        if self.confirms:
            self.in_flight.add(chunk)  # first: it may be confirmed before this goes on
        self._on_loop(self.transmit(chunk, prepared))
        self._last = chunk
        self.transmitted(chunk, prepared)
        self._raise_final()

    def _connect(self, chunk: AudioChunk, within: float | None = None) -> None:
        """Make a connection, of which a chunk is the first; ``within`` so many seconds."""
        if within is None and self.info.now() < self._not_before:
            raise SinkError(f"{self.endpoint.shown} closes each connection soon")
        again = self._state is LinkState.DOWN
        replayed = self.in_flight.frames if self.confirms else 0
        self._on_loop(self.open(), within)
        replayed += self._on_loop(self.greet(chunk, again=again), within)
        self.in_flight.clear()
        with self._changing:
            self._state = LinkState.UP
            self._up_at = self.info.now()
        if again:
            now = self.info.now()
            away = max(0.0, now - self._lost_at)
            self.info.send(SinkReconnected(now, self.info.name, replayed, away))
        if not self.is_up():
            self.lost(ConnectionError("the connection was closed at once"))

    def stop(self) -> None:
        """Flush and close; called by the session."""
        seconds = self.info.stop_timeout * FOR_CLOSING
        try:
            if self._state is LinkState.DOWN and self._last is not None and self._final is None:
                self._connect(self._last, seconds / 2)  # for what may be lost, and the end
            with self._changing:
                up = self._state is LinkState.UP and self.is_up()
                self._state = LinkState.CLOSING
            if up:
                self._on_loop(self.finish(seconds / 2))
        finally:
            self._state = LinkState.CLOSING
            if self._loop is not None:
                self._loop.close()
        self._raise_final()

    def abandon(self) -> None:
        """End what is under way; called by a session that waits for it no longer."""
        self._abandoned = True
        if self._loop is not None:
            self._loop.end()

    def _on_loop(self, coroutine: Coroutine[Any, Any, T], within: float | None = None) -> T:
        if self._loop is None:
            from stream_audio.network.loop_thread import LoopThread

            self._loop = LoopThread(self.let_go)
            if self._abandoned:
                self._loop.end()
        try:
            return self._loop.call(coroutine, within)
        except SinkError as error:
            self.lost(error)
            raise
        except Exception as error:
            described = self.describe(error)
            self.lost(described)
            raise described from None

    def _raise_final(self) -> None:
        if self._final is not None:
            raise self._final

    # ---- on any thread ----

    def lost(self, error: BaseException) -> None:
        """Take note that there is no connection, and tell so once."""
        told = error if isinstance(error, SinkError) else self.describe(error)
        with self._changing:
            if self._state in (LinkState.DOWN, LinkState.CLOSING):
                return
            was_up = self._state is LinkState.UP
            self._state = LinkState.DOWN
            self._lost_at = self.info.now()
            self._is_rewound = not (was_up and self.confirms)
            if was_up:
                useless = self._lost_at - self._up_at < self.retry.longest
                self._useless = self._useless + 1 if useless else 0
                wait = self.retry.wait_before(self._useless) if useless else 0.0
                self._not_before = self._lost_at + wait
        self.info.send(SinkDisconnected(self._lost_at, self.info.name, told))
        if self.confirms:
            self.info.resend(told)

    def fail(self, message: str, *, host_text: str = "", hint: str = "") -> SinkError:
        """End the sink with an error that no other try can mend; on any thread."""
        error = SinkError(message, retryable=False, host_text=host_text, hint=hint)
        if self._final is None:
            self._final = error
        self.lost(self._final)
        return self._final

    def confirm(self, source: str, frame: int) -> None:
        """Take all of a source before ``frame`` as arrived."""
        self.info.confirm(source, frame)
        self._up_at = -math.inf
        self.in_flight.confirm(source, frame)

    def words(self, error: BaseException) -> str:
        """Return what an error says, with none of the secrets in it."""
        return self.endpoint.without_secrets(in_words(error))


def check_tls(tls: object, endpoint: Endpoint) -> None:
    """Raise if that is no TLS context, or of no use."""
    if tls is None:
        return
    import ssl

    if not isinstance(tls, ssl.SSLContext):
        raise ConfigTypeError(f"tls must be an ssl.SSLContext, not {tls!r}")
    if not endpoint.encrypted:
        raise ConfigError("tls is for encrypted connections", hint="Change the scheme of the URL")
