"""One connection to a WebSocket server, on an event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from stream_audio.network.endpoint import Endpoint
from stream_audio.network.websocket_errors import HANDSHAKE, LARGEST_REPLY

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

Message = str | bytes

_SEND_BUFFER = 1 << 17
"""Bytes that the system takes ahead of the network: what is in it may get lost."""

_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Linux: for how long nothing need be acknowledged before the connection is over."""

_log = logging.getLogger("stream_audio")

# Its debug messages have all headers in them, tokens too.
_quiet = logging.Logger("stream_audio.websocket", logging.CRITICAL + 1)


class WebSocketLink:
    """A connection that is open, or was.

    Parameters
    ----------
    connection : ClientConnection
        From websockets.
    endpoint : Endpoint
        Where it leads.
    heard : callable
        Gets each message; the connection is dropped if it returns False.
    lost : callable
        Gets the error with which the connection ended.
    """

    def __init__(
        self,
        connection: ClientConnection,
        endpoint: Endpoint,
        heard: Callable[[Message], bool],
        lost: Callable[[Exception], object],
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._heard = heard
        self._lost = lost
        self._reader = asyncio.create_task(self._read())

    @property
    def is_up(self) -> bool:
        """Whether it is open, as far as is known."""
        return self._connection.close_code is None and not self._reader.done()

    async def send(self, message: Message) -> None:
        """Send a message; waits while the network takes no more."""
        await self._connection.send(message)

    async def _read(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while self._heard(await self._connection.recv()):
                pass
            self.abort()
        except ConnectionClosed as closed:
            self._lost(closed)

    async def finish(self, last: Message | None, seconds: float) -> None:
        """Say that this is the end, wait for the server to say so too, and close."""
        try:
            async with asyncio.timeout(seconds):
                if last is not None:
                    await self._connection.send(last)
                    await self._connection.wait_closed()
                await self._connection.close()
        except TimeoutError:
            _log.warning("%s did not close the connection in time", self._endpoint.shown)
            self.abort()
        await asyncio.wait([self._reader], timeout=1.0)

    def abort(self) -> None:
        """Drop it at once."""
        self._connection.transport.abort()


async def connect(
    endpoint: Endpoint,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None,
    keepalive: float,
    heard: Callable[[Message], bool],
    lost: Callable[[Exception], object],
) -> WebSocketLink:
    """Connect to a server, verify it, and begin to listen."""
    from websockets.asyncio.client import connect as connect_anywhere

    class ConnectHere(connect_anywhere):
        """Follows no redirect: headers may be for this server alone."""

        def process_redirect(self, exc: Exception) -> Exception:
            return exc

    settings: dict[str, Any] = {"proxy": None} if endpoint.is_loopback else {}
    if endpoint.encrypted:
        settings["ssl"] = tls or ssl.create_default_context()
    connection = await ConnectHere(
        endpoint.url,
        additional_headers=headers,
        open_timeout=HANDSHAKE,
        ping_interval=keepalive,
        # Where the system watches, no pong is waited for: behind a slow reader it comes late.
        ping_timeout=None if _USER_TIMEOUT is not None else 6 * keepalive,
        max_size=LARGEST_REPLY,
        compression=None,
        logger=_quiet,
        **settings,
    )
    _shape(connection.transport.get_extra_info("socket"), keepalive)
    return WebSocketLink(connection, endpoint, heard, lost)


def _shape(sock: socket.socket | None, keepalive: float) -> None:
    """Keep little on the way, and have the system notice a network that takes nothing."""
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if _USER_TIMEOUT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(2000 * keepalive))
