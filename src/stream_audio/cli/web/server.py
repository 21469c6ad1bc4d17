"""A small server for browsers: the page, its figures, and audio to listen to."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from stream_audio import (
    Backlog,
    ChannelSink,
    ConfigError,
    FormatPreset,
    Session,
    StreamAudioBuilder,
    StreamAudioError,
    StreamEvent,
)
from stream_audio.cli.web.access import page_headers, refusal
from stream_audio.cli.web.listener import Listener
from stream_audio.cli.web.status import Status

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

SINK = "web page"
"""The name of the sink that feeds the page."""
TICK = 0.1
"""Seconds between two looks at the figures."""
MOST_CONNECTIONS = 64
"""At once: each takes a file descriptor, and a recording needs some."""
_SEND_BUFFER = 1 << 17
"""Bytes that the system takes ahead of a browser: what is in it is late."""
GOODBYE = 1.0
"""Seconds that browsers have to take the last figures, and to close."""

_log = logging.getLogger("stream_audio")

# Requests have the token in them.
_quiet = logging.Logger("stream_audio.web", logging.CRITICAL + 1)


class WebServer:
    """Shows a session in browsers, on a thread and an event loop of its own.

    What browsers do never reaches the session: it fills one channel, which drops the oldest
    chunks if this thread is slow, and the thread drops what one browser is too slow for.

    Parameters
    ----------
    host : str
        The address to listen on.
    port : int
        The port; 0: any that is free.
    token : str or None
        What each request must bring. ``None``: on the loopback nothing, elsewhere a new one.
    not_shown : tuple of str
        Sinks that only show something.

    Raises
    ------
    StreamAudioError
        Nobody can listen there.
    """

    def __init__(
        self, host: str, port: int, token: str | None, *, not_shown: tuple[str, ...] = ()
    ) -> None:
        _check_installed()
        self._socket = _listening(host, port)
        address, self.port = self._socket.getsockname()[:2]
        bound = ipaddress.ip_address(address)
        made = None if token or bound.is_loopback else secrets.token_urlsafe(16)
        self._token = token or made
        name = socket.gethostname() if bound.is_unspecified else host
        shown = f"[{name}]" if ":" in name else name
        self.url = f"http://{shown}:{self.port}/" + (f"?token={made}" if made else "")
        """The address to open; with the token, unless the user has it."""
        self._page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
        self._page_headers = page_headers(self._page)
        self._channel = ChannelSink()
        self._status = Status()
        self._not_shown = (SINK, *not_shown)
        self._listeners: set[Listener] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._watchers = 0
        self._figures = ""
        self._number = 0
        self._next = asyncio.Event()
        self._is_over = False
        self._dropped = 0

    # ---- the session's side ----

    def add_to(self, builder: StreamAudioBuilder) -> None:
        """Add the sink that feeds the page; a session that did not start may be tried again."""
        self._channel = ChannelSink(backlog=Backlog("2 s", "drop_oldest"))
        builder.add_sink(self._channel, name=SINK, format=FormatPreset.NATIVE)

    def react(self, event: StreamEvent) -> None:
        """Note an event; on any thread."""
        self._status.react(event)

    @contextmanager
    def of(self, session: Session) -> Iterator[None]:
        """Show a session in a ``with`` block; browsers get the last figures at its end."""
        self._status.begin(session, self._not_shown)
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()
        thread = threading.Thread(
            target=self._run, args=(loop, stop), name="stream-audio-web", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(stop.set)
            thread.join(3 * GOODBYE)

    def close(self) -> None:
        """Let go of the port."""
        self._socket.close()

    # ---- the server's thread ----

    def _run(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._serve(stop))
        except Exception:
            _log.exception("the page has ended; the session goes on")

    async def _serve(self, stop: asyncio.Event) -> None:
        from websockets.asyncio.server import serve

        reader = asyncio.create_task(self._read())
        connections: set[ServerConnection] = set()
        server = await serve(
            self._handle,
            sock=self._socket,
            process_request=self._answer,
            create_connection=_connection_class(connections),
            server_header=None,
            compression=None,
            max_size=1024,  # nobody has anything to say
            close_timeout=GOODBYE,
            logger=_quiet,
        )
        while not stop.is_set():
            self._publish()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TICK)
        await asyncio.wait((reader,), timeout=GOODBYE)
        self._is_over = True
        self._publish()
        if self._sending:
            await asyncio.wait(self._sending, timeout=GOODBYE)
        server.close()
        for connection in connections:
            connection.transport.abort()
        await server.wait_closed()

    async def _read(self) -> None:
        async for chunk in self._channel:
            self._status.sources[chunk.source].add(chunk)
            for listener in self._listeners:
                if listener.source == chunk.source:
                    listener.put(chunk)
        for listener in self._listeners:
            listener.end()

    def _publish(self) -> None:
        """Make the figures of the moment, if anybody watches."""
        self._status.catch_up()
        if not self._watchers:
            return
        self._number += 1
        self._figures = self._status.look(
            number=self._number,
            listeners=len(self._listeners),
            dropped=self._dropped + sum(each.dropped for each in self._listeners),
        )
        self._next.set()
        self._next = asyncio.Event()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a request, or return the page; None: a WebSocket is to be opened."""
        refused = refusal(self._token, request.path, request.headers)
        if refused is not None:
            status, reason = refused
            return connection.respond(status, f"{reason}\n")
        path = urlsplit(request.path).path
        if path in ("/live", "/listen"):
            return None
        if path != "/":
            return connection.respond(HTTPStatus.NOT_FOUND, "there is only /\n")
        response = connection.respond(HTTPStatus.OK, self._page)
        del response.headers["Content-Type"]
        for name, value in self._page_headers.items():
            response.headers[name] = value
        return response

    async def _handle(self, connection: ServerConnection) -> None:
        """Send until there is no more, or until the browser has gone."""
        from websockets.exceptions import ConnectionClosed

        assert connection.request is not None
        parts = urlsplit(connection.request.path)
        if parts.path == "/live":
            work = self._send_figures(connection)
        else:
            work = self._send_audio(connection, parse_qs(parts.query))
        sending = asyncio.create_task(work)
        closed = asyncio.create_task(connection.wait_closed())
        self._sending.add(sending)
        try:
            await asyncio.wait((sending, closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            closed.cancel()
            self._sending.discard(sending)
        try:
            await sending
        except (asyncio.CancelledError, ConnectionClosed):
            pass
        except Exception:
            _log.exception("a browser got an error in place of an answer")

    async def _send_figures(self, connection: ServerConnection) -> None:
        """Send the newest figures; a browser that is slow gets fewer of them."""
        self._watchers += 1
        try:
            while not self._is_over:
                await self._next.wait()
                await connection.send(self._figures)
        finally:
            self._watchers -= 1

    async def _send_audio(self, connection: ServerConnection, query: dict[str, list[str]]) -> None:
        source, channel = query.get("source", [""])[0], query.get("channel", [""])[0]
        known = self._status.sources.get(source)
        if known is None or (channel and not channel.isdecimal()):
            await connection.close(1008, "there is no such source")
            return
        if channel and int(channel) >= known.channels:
            await connection.close(1008, "there is no such channel")
            return
        listener = Listener(source, int(channel) if channel else None)
        self._listeners.add(listener)
        try:
            while (message := await listener.message()) is not None:
                await connection.send(message)
        finally:
            self._listeners.discard(listener)
            self._dropped += listener.dropped


def _connection_class(connections: set[ServerConnection]) -> type[ServerConnection]:
    """Return connections that note themselves; one too many is dropped at once."""
    from websockets.asyncio.server import ServerConnection

    class Counted(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            connections.add(self)
            if len(connections) > MOST_CONNECTIONS:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            connections.discard(self)
            super().connection_lost(exc)

    return Counted


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        return listening
    except (OSError, OverflowError) as error:
        raise StreamAudioError(
            f"cannot listen on {host}, port {port}",
            host_text=str(error),
            hint="Choose another --port, or 0 for one that is free",
        ) from error


def _check_installed() -> None:
    try:
        import websockets.asyncio.server  # noqa: F401 - before anything is recorded
    except ModuleNotFoundError as error:
        raise ConfigError(
            "stream-audio serve needs the package websockets",
            hint="Install it: pip install 'stream-audio[cli,web]'",
        ) from error
