"""Who may see the page, and what browsers are told about it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from stream_audio import ConfigError
from stream_audio.network.endpoint import is_loopback

if TYPE_CHECKING:
    from websockets.datastructures import Headers

SHORTEST_TOKEN = 16
_TOKEN = re.compile(rf"[\w.~-]{{{SHORTEST_TOKEN},}}", re.ASCII)


def checked_token(text: str) -> str:
    """Return a token that a user chose, or raise ConfigError, which does not show it."""
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"a token has at least {SHORTEST_TOKEN} letters, digits, or any of . ~ _ -",
            hint="Make one: openssl rand -hex 16 > FILE",
        )
    return token


def refusal(token: str | None, path: str, headers: Headers) -> tuple[HTTPStatus, str] | None:
    """Return why a request is refused, or None.

    With a token nothing is served without it. Without one, the server is on the loopback, and a
    request must name the loopback as its host: a page elsewhere whose name was made to lead here
    ("DNS rebinding") names itself. A page that a browser has from elsewhere may not connect.
    """
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    if len(hosts) != 1 or len(origins) > 1:
        return HTTPStatus.BAD_REQUEST, "one Host, and one Origin at the most"
    host = hosts[0].lower()
    if origins and urlsplit(origins[0].lower()).netloc != host:
        return HTTPStatus.FORBIDDEN, "a page from elsewhere may not connect"
    if token is None:
        if not is_loopback(_without_port(host)):
            return HTTPStatus.FORBIDDEN, "open it as http://localhost"
        return None
    given = parse_qs(urlsplit(path).query).get("token", [""])[0]
    if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        return HTTPStatus.FORBIDDEN, "the address needs ?token= and the token behind it"
    return None


def _without_port(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def page_headers(page: str) -> dict[str, str]:
    """Return what keeps the page to itself: it runs its own script, and asks this server only."""
    hashes = {
        tag: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for tag, text in re.findall(r"<(script|style)>(.*?)</\1>", page, re.DOTALL)
    }
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src data:; "
        f"script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
