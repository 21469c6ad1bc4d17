"""A sink that streams to a WebSocket server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from stream_audio._checks import one_of, real_number
from stream_audio._public import public
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import SampleType
from stream_audio.backlog.retry import Retry
from stream_audio.contracts.sink import SinkInfo
from stream_audio.errors import ConfigError, ConfigTypeError, SinkError, in_words
from stream_audio.network.network_sink import RETRY, NetworkSink, check_tls

if TYPE_CHECKING:
    import ssl

    from stream_audio.network.replies import Replies
    from stream_audio.network.websocket_link import WebSocketLink

_SILENCE_AT_ONCE = 1.0
"""Seconds in one message."""

_SAMPLES: dict[str, SampleType] = {"pcm16": "int16", "float32": "float32"}

Message = str | bytes
Encode = Literal["pcm16", "float32"] | Callable[[AudioChunk], Message | None]
Headers = Mapping[str, str]
Messages = Message | Iterable[Message] | None


@public
class WebSocketSink(NetworkSink):
    """A sink that sends audio to a WebSocket server as it is captured.

    It needs ``pip install stream-audio[websocket]``. Without a connection, audio waits in the
    session's backlog, on disk if need be, and arrives in order. A new connection begins with what
    may have been lost: all that is not confirmed, or without ``confirm`` the last ``replay``
    seconds. The events ``SinkDisconnected`` and ``SinkReconnected`` tell of that.

    An answer that another try cannot change (a certificate that is not valid, HTTP 401, a message
    that is too large) fails the sink with a clear error. So do a reply over 1 MiB and 1,000
    replies that wait for ``on_message``. A handshake may take 10 s. Redirects are not followed.

    Parameters
    ----------
    url : str
        ``wss://host/path`` or ``ws://host:port/path``. Errors, events and the representation show
        scheme, host and port alone.
    encode : "pcm16", "float32" or callable
        What a binary message holds: interleaved little-endian samples of one source, with silence
        for what is missing; or ``encode(chunk)``, bytes or a string or ``None`` for nothing.
    confirm : callable, optional
        ``confirm(message)`` reads each reply. It returns up to which frame the server has all, a
        pair of source and frame if there are several sources, or ``None``.
    replay : float
        Seconds, 0 to 60, that are sent again on a new connection if nothing is confirmed.
    headers : mapping or callable, optional
        HTTP headers, such as ``{"Authorization": "Bearer …"}``; or a function that returns them
        for each connection anew.
    on_open : callable, optional
        ``on_open(chunk)`` returns what is to be sent first on each connection: a message, several,
        or ``None``. ``chunk`` is the first that follows, and has the rate and the position.
    on_message : callable, optional
        ``on_message(message)`` gets each reply, a string or bytes, on a thread of its own. An
        error that it raises is logged.
    finish : str or bytes, optional
        What is sent after the last audio. The sink then waits for the server to close the
        connection, at most four fifths of the stop timeout. Without it the sink closes at once,
        and a server may not get its last replies through.
    tls : ssl.SSLContext, optional
        For an authority of your own; by default the server is verified as a browser does.
    keepalive : float
        Seconds between pings, 0.1 to 3600. A server that takes in nothing for twice that long is
        gone; other systems than Linux wait six times that long for an answer to a ping.
    plain_text : bool
        Whether credentials may cross a network without encryption.
    retry : Retry
        When to connect again: at the latest every 5 s, for as long as it takes.

    Raises
    ------
    ConfigError, ConfigTypeError
        A setting that cannot work, or ``websockets`` is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        encode: Encode = "pcm16",
        confirm: Callable[[Message], int | tuple[str, int] | None] | None = None,
        replay: float = 5.0,
        headers: Headers | Callable[[], Headers] | None = None,
        on_open: Callable[[AudioChunk], Messages] | None = None,
        on_message: Callable[[Message], object] | None = None,
        finish: Message | None = None,
        tls: ssl.SSLContext | None = None,
        keepalive: float = 20.0,
        plain_text: bool = False,
        retry: Retry = RETRY,
    ) -> None:
        _check_installed()
        from stream_audio.network.endpoint import Endpoint

        endpoint = Endpoint(url, {"wss": True, "ws": False})
        _check_functions(confirm=confirm, on_open=on_open, on_message=on_message)
        if not callable(encode):
            one_of("encode", encode, tuple(_SAMPLES))
        if finish is not None and not isinstance(finish, (str, bytes)):
            raise ConfigTypeError(f"finish must be a string or bytes, not {type(finish).__name__}")
        check_tls(tls, endpoint)
        if not isinstance(retry, Retry):
            raise ConfigTypeError(f"retry must be a Retry, not {retry!r}")
        super().__init__(endpoint, confirms=confirm is not None, retry=retry)
        self._headers: Callable[[], Headers] = headers if callable(headers) else lambda: fixed
        fixed = {} if headers is None or callable(headers) else dict(headers)
        endpoint.has_credentials |= callable(headers)
        self._checked_headers(fixed)
        endpoint.refuse_plain_credentials(asked_for=plain_text)
        self._encode = encode
        self._confirm = confirm
        self._replay = real_number("replay", replay, 0, 60)
        self._on_open = on_open
        self._on_message = on_message
        self._finish = finish
        self._tls = tls
        self._keepalive = real_number("keepalive", keepalive, 0.1, 3600)
        self._link: WebSocketLink | None = None
        self._replies: Replies | None = None
        self._recent: deque[tuple[AudioChunk, Message | None]] = deque()
        self._recent_seconds = 0.0
        self._next_frame: int | None = None  # on this connection

    def _checked_headers(self, headers: Headers) -> Headers:
        from stream_audio.network.endpoint import is_credential

        if not all(type(each) is str for pair in headers.items() for each in pair):
            raise ConfigTypeError("headers must be strings")
        for name, value in headers.items():
            if is_credential(name):
                self.endpoint.has_credentials = True
            self.endpoint.add_secrets((value, *value.split()[1:]))
        return headers

    @property
    def preferred_dtype(self) -> SampleType:
        """Type of the samples that are sent."""
        return "float32" if callable(self._encode) else _SAMPLES[self._encode]

    @property
    def memory_bytes(self) -> int:
        """Bytes of samples that are kept to be sent again."""
        return sum(chunk.data.nbytes for chunk, _ in tuple(self._recent))

    def start(self, info: SinkInfo) -> None:
        """Take note of the session; called by it."""
        if len(info.sources) != 1 and not callable(self._encode):
            names = ", ".join(source.id for source in info.sources)
            raise ConfigError(
                f"samples alone do not tell {names} apart",
                hint='Choose one: add_sink(sink, sources="…"), or pass a function as encode',
            )
        super().start(info)
        if self._confirm is not None or self._on_message is not None:
            from stream_audio.network.replies import Replies

            confirm = None if self._confirm is None else self._read_confirmation
            self._replies = Replies(confirm, self._on_message, self._could_not_confirm)

    def prepare(self, chunk: AudioChunk) -> Message | None:
        """Encode a chunk, if that is the user's."""
        if not callable(self._encode):
            return None
        try:
            return self._encode(chunk)
        except Exception as error:
            raise self._users_own("encode", error) from error

    def transmitted(self, chunk: AudioChunk, prepared: Message | None) -> None:
        """Keep the last seconds, if nobody confirms them."""
        if self.confirms or not self._replay:
            return
        self._recent.append((chunk, prepared))
        wanted = self._replay * len(self.info.sources)
        self._recent_seconds += chunk.duration
        while self._recent_seconds - self._recent[0][0].duration >= wanted - 1e-9:
            self._recent_seconds -= self._recent.popleft()[0].duration

    def _users_own(self, what: str, error: BaseException) -> SinkError:
        return SinkError(
            f"{what} raised",
            retryable=False,
            host_text=self.endpoint.without_secrets(in_words(error)),
        )

    def send(self, message: Message) -> None:
        """Send a message of your own, text or bytes, between two chunks; any thread but the loop.

        Raises
        ------
        SinkError
            There is no connection.
        """
        if self._link is None:
            raise SinkError(f"there is no connection to {self.endpoint.shown}")
        self._on_loop(self._send(message))

    def stop(self) -> None:
        """Flush and close; called by the session."""
        import time

        until = time.monotonic() + self.info.stop_timeout * 0.9
        try:
            super().stop()
        finally:
            if self._replies is not None:
                self._replies.close(until - time.monotonic())

    # ---- on the loop ----

    async def open(self) -> None:
        """Connect."""
        from stream_audio.network.websocket_link import connect

        self.let_go()
        headers = self._checked_headers(self._headers())
        self._link = await connect(
            self.endpoint, headers, self._tls, self._keepalive, self._heard, self._ended
        )
        self._next_frame = None

    def let_go(self) -> None:
        """Drop the connection."""
        link, self._link = self._link, None
        if link is not None:
            link.abort()

    def is_up(self) -> bool:
        """Whether the connection is open."""
        return self._link is not None and self._link.is_up

    async def greet(self, chunk: AudioChunk, *, again: bool) -> int:
        """Send what comes first, and what may have been lost."""
        recent = list(self._recent) if again else []
        if self._on_open is not None:
            try:
                first = self._on_open(recent[0][0] if recent else chunk)
            except Exception as error:
                raise self._users_own("on_open", error) from error
            messages = [first] if isinstance(first, (str, bytes)) else first or ()
            for message in messages:
                await self._send(message)
        for each, prepared in recent:
            await self.transmit(each, prepared)
        return sum(each.frames for each, _ in recent)

    async def transmit(self, chunk: AudioChunk, prepared: Message | None) -> None:
        """Send a chunk."""
        if callable(self._encode):
            if prepared is not None:
                await self._send(prepared)
            return
        dtype = _SAMPLES[self._encode]
        if self._next_frame is not None:  # else nothing is missing that this server knows of
            missing = max(0, chunk.frame - self._next_frame)
            at_once = round(_SILENCE_AT_ONCE * chunk.sample_rate)
            frame_bytes = chunk.channels * (2 if dtype == "int16" else 4)
            for begin in range(0, missing, at_once):
                await self._send(bytes(min(at_once, missing - begin) * frame_bytes))
        await self._send(chunk.to_bytes(dtype))
        self._next_frame = chunk.end

    async def _send(self, message: Message) -> None:
        if self._link is None:
            raise ConnectionError("there is no connection")
        await self._link.send(message)

    async def finish(self, seconds: float) -> None:
        """Say that this is the end, wait for the server to say so too, and close."""
        if self._link is not None:
            await self._link.finish(self._finish, seconds)

    # ---- what it hears ----

    def _heard(self, message: Message) -> bool:
        """Take a reply; False if it is one too many."""
        if self._replies is None:
            return True
        if not self._replies.put(message):
            self.fail(
                f"{self._replies.most} replies of {self.endpoint.shown} wait to be handled",
                hint="on_message is too slow: hand them on to a thread of your own",
            )
            return False
        return True

    def _ended(self, error: Exception) -> None:
        described = self.describe(error)
        if not described.retryable:
            self._final = self._final or described
        self.lost(described)

    def _read_confirmation(self, message: Message) -> None:
        assert self._confirm is not None
        confirmed = self._confirm(message)
        if confirmed is None:
            return
        if isinstance(confirmed, tuple):
            source, frame = confirmed
        elif len(self.info.sources) == 1:
            source, frame = self.info.sources[0].id, confirmed
        else:
            raise ConfigError("confirm must return source and frame: there are several sources")
        self.confirm(source, frame)

    def _could_not_confirm(self, error: BaseException) -> None:
        described = self._users_own("confirm", error)
        self.fail(described.message, host_text=described.host_text)

    def describe(self, error: BaseException) -> SinkError:
        """Return an error that says what happened, with none of the secrets in it."""
        from stream_audio.network import websocket_errors

        return websocket_errors.describe(error, self.endpoint)

    def __repr__(self) -> str:
        encode = self._encode if isinstance(self._encode, str) else "…"
        return f"WebSocketSink({self.endpoint.shown!r}, encode={encode!r})"


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("websockets") is None:
        raise ConfigError(
            "WebSocketSink needs the package websockets",
            hint='Install it: pip install "stream-audio[websocket]"',
        )


def _check_functions(**functions: object) -> None:
    import inspect

    for name, function in functions.items():
        if function is not None and not callable(function):
            raise ConfigTypeError(f"{name} must be a function, not {function!r}")
        if inspect.iscoroutinefunction(function):
            raise ConfigTypeError(
                f"{name} runs on a thread, and cannot be async",
                hint="Use asyncio.run_coroutine_threadsafe in it",
            )
