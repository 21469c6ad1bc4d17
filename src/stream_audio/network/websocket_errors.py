"""What can go wrong between a WebSocket client and its server, in words, without secrets."""

from __future__ import annotations

import os
import socket
import ssl

from stream_audio.errors import SinkError, in_words
from stream_audio.network.endpoint import Endpoint

HANDSHAKE = 10.0
"""Seconds for connecting, TLS and the opening handshake together."""

LARGEST_REPLY = 2**20
"""Bytes."""

_TRY_LATER = (408, 425, 429)
"""HTTP codes below 500 that may be others soon."""

_FINAL_CODES = (1002, 1003, 1007, 1008, 1009, 1010)
"""Of RFC 6455, section 7.4.1: what a server closes with that would do so again."""

_OUR_AUTHORITY = "For an authority of your own, pass tls=ssl.create_default_context(cafile=…)"


def describe(error: BaseException, endpoint: Endpoint) -> SinkError:
    """Return the error that the session is told."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    if isinstance(error, SinkError):
        return error
    where, words, hint, again = endpoint.shown, endpoint.without_secrets(in_words(error)), "", True
    if isinstance(error, ssl.SSLCertVerificationError):
        message, words = f"the certificate of {where} is not valid", error.verify_message
        hint, again = _OUR_AUTHORITY, False
    elif isinstance(error, ssl.SSLError):
        message = f"no encrypted connection to {where}"
        words, again = error.reason or words, error.reason != "WRONG_VERSION_NUMBER"
    elif isinstance(error, InvalidStatus):
        code = error.response.status_code
        message, words = f"{where} refuses the connection", f"HTTP {code}"
        again = code >= 500 or code in _TRY_LATER
        if code in (401, 403):
            hint = "Look at the credentials in headers"
        elif 300 <= code < 400:
            hint = "It names another address; use that"
    elif isinstance(error, ConnectionClosed):
        return _closed(error, endpoint)
    elif isinstance(error, TimeoutError):
        message, words = f"{where} did not answer within {HANDSHAKE:g} s", ""
    elif isinstance(error, OSError):
        lost = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
        message = f"the connection to {where} was lost" if lost else f"cannot connect to {where}"
        if isinstance(error, socket.gaierror):
            words = error.strerror or words
        elif error.errno:
            words = os.strerror(error.errno)
    else:
        message = f"cannot send to {where}"
    return SinkError(message, retryable=again, host_text=words, hint=hint)


def _closed(error: BaseException, endpoint: Endpoint) -> SinkError:
    received, sent = getattr(error, "rcvd", None), getattr(error, "sent", None)
    where = endpoint.shown
    if received is None and sent is not None and sent.code == 1009:
        return SinkError(f"a reply of {where} is over {LARGEST_REPLY} bytes", retryable=False)
    if received is None:
        silent = sent is not None and sent.code == 1011
        words = "it answers no ping" if silent else ""
        return SinkError(f"the connection to {where} was lost", host_text=words)
    reason = endpoint.without_secrets(received.reason)
    message = f"{where} closed the connection"
    if received.code == 1009:
        message = f"{where} takes no message of that size"
    return SinkError(
        message,
        retryable=received.code not in _FINAL_CODES,
        host_text=f"{received.code} {reason}".strip(),
    )
