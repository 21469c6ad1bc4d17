"""A connection to NATS servers, on an event loop; for the sink and for the reader."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stream_audio._checks import name_text
from stream_audio.errors import ConfigError, ConfigTypeError, SinkError, in_words
from stream_audio.network.endpoint import Endpoint
from stream_audio.network.network_sink import check_tls

if TYPE_CHECKING:
    from nats.aio.client import Client

HANDSHAKE = 10.0
"""Seconds for connecting to one of the servers."""

_SCHEMES = {"tls": True, "nats": False}


class NatsServers:
    """The servers of one cluster, and how to be let in.

    Parameters
    ----------
    servers : str or sequence of str
        ``nats://host:4222`` or ``tls://host:4222``, one or several.
    user, password, token : str, optional
        Credentials; they may stand in the URLs instead.
    credentials : str or path, optional
        A file with a token and a key, as ``nsc`` writes it.
    tls : ssl.SSLContext, optional
        For an authority of your own.
    plain_text : bool
        Whether credentials may cross a network without encryption.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        user: str | None,
        password: str | None,
        token: str | None,
        credentials: str | os.PathLike[str] | None,
        tls: ssl.SSLContext | None,
        plain_text: bool,
    ) -> None:
        from importlib.util import find_spec

        if find_spec("nats") is None:
            raise ConfigError(
                "NATS needs the package nats-py",
                hint='Install it: pip install "stream-audio[nats]"',
            )
        urls = [servers] if isinstance(servers, str) else list(servers)
        if not urls:
            raise ConfigError("servers must not be empty", hint='"nats://localhost:4222"')
        self.endpoints = [Endpoint(url, _SCHEMES) for url in urls]
        self.shown = ", ".join(endpoint.shown for endpoint in self.endpoints)
        texts = {"user": user, "password": password, "token": token}
        for name, value in texts.items():
            if value is not None and not isinstance(value, str):
                raise ConfigTypeError(f"{name} must be a string, not {type(value).__name__}")
        given = [value for value in texts.values() if value is not None]
        for endpoint in self.endpoints:
            endpoint.add_secrets(given)
            endpoint.has_credentials |= bool(given) or credentials is not None
            endpoint.refuse_plain_credentials(asked_for=plain_text)
        check_tls(tls, self.endpoints[0])
        self._settings: dict[str, Any] = {name: value for name, value in texts.items() if value}
        if credentials is not None:
            self._settings["user_credentials"] = os.fspath(credentials)
        self._tls = tls

    async def connect(self, lost: Callable[[Exception], object]) -> Client:
        """Connect to the first that answers; ``lost`` is told once, when that ends."""
        from nats.aio.client import Client

        client = Client()
        errors: list[Exception] = []

        async def note(error: Exception) -> None:
            errors.append(error)  # nats-py would log it, with its address

        async def closed() -> None:
            lost(errors[-1] if errors else ConnectionError("the connection was closed"))

        settings = dict(self._settings)
        if any(endpoint.encrypted for endpoint in self.endpoints):
            settings["tls"] = self._tls or ssl.create_default_context()
        try:
            async with asyncio.timeout(HANDSHAKE):
                await client.connect(
                    [endpoint.url for endpoint in self.endpoints],
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=round(HANDSHAKE),
                    ping_interval=10,
                    max_outstanding_pings=2,
                    error_cb=note,
                    closed_cb=closed,
                    **settings,
                )
        except BaseException as error:
            drop(client)
            if isinstance(error, Exception):
                raise _best(errors, error) from None
            raise
        return client

    def without_secrets(self, text: str) -> str:
        """Return a text with none of the secrets in it."""
        for endpoint in self.endpoints:
            text = endpoint.without_secrets(text)
        return text

    def describe(self, error: BaseException) -> SinkError:
        """Return an error that says what happened, with none of the secrets in it."""
        from nats.js import errors as of_stream

        from nats import errors

        if isinstance(error, SinkError):
            return error
        words, hint, again = self.without_secrets(in_words(error)), "", True
        message = f"cannot send to {self.shown}"
        if isinstance(error, ssl.SSLCertVerificationError):
            message, again = f"the certificate of {self.shown} is not valid", False
            words = error.verify_message
            hint = "For an authority of your own, pass tls=ssl.create_default_context(cafile=…)"
        elif isinstance(error, errors.AuthorizationError) or "authorization" in words.lower():
            message, again = f"{self.shown} refuses the connection", False
            hint = "Look at the credentials"
        elif isinstance(error, of_stream.NotFoundError):
            message, again = f"no stream of {self.shown} takes that subject", False
            hint = "Create one: nats stream add AUDIO --subjects 'audio.>'"
        elif isinstance(error, of_stream.APIError):
            words = f"{error.code} {error.description}"
            again = (error.code or 500) >= 500
        elif isinstance(error, of_stream.NoStreamResponseError):
            words = "no stream answers"
        elif isinstance(error, TimeoutError | asyncio.TimeoutError):
            message, words = f"{self.shown} did not answer in time", ""
        elif isinstance(error, ConnectionRefusedError):
            message, words = f"cannot connect to {self.shown}", os.strerror(error.errno or 111)
        elif isinstance(error, OSError | errors.Error):
            message = f"the connection to {self.shown} was lost"
        return SinkError(
            message, retryable=again, host_text=self.without_secrets(words), hint=hint
        )


def drop(client: Client | None) -> None:
    """Close a connection in whatever state it is, at once."""
    transport = getattr(client, "_transport", None)
    if transport is not None:
        transport.close()


def _best(errors: list[Exception], last: Exception) -> Exception:
    """Return the error that says most: that a pool is empty says nothing."""
    from nats.errors import NoServersError

    if isinstance(last, NoServersError | TimeoutError) and errors:
        return errors[-1]
    return last


def check_subject(subject: object) -> str:
    """Return what subjects begin with, or raise."""
    text = name_text("subject", subject)
    if any(each in text for each in " \t\r\n*>") or "" in text.split("."):
        raise ConfigError(
            "subject must be words with dots between, and no wildcards", hint='"audio"'
        )
    return text
