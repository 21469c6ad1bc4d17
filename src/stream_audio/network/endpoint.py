"""Where a connection leads, without the secrets that its address may hold."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from stream_audio.errors import ConfigError, ConfigTypeError

_CREDENTIAL = re.compile(
    r"auth|cookie|token|key|secret|pass|pwd|sig|cred|session|jwt|bearer|ticket", re.IGNORECASE
)
"""In the name of a header, or of a parameter of a URL."""

_SHORTEST_SECRET = 3


class Endpoint:
    """A server's address.

    Parameters
    ----------
    url : str
        With a scheme and a host.
    schemes : mapping of str to bool
        The schemes that may be, and whether each is encrypted.

    Raises
    ------
    ConfigError, ConfigTypeError
        It is no such URL. The error does not show it.
    """

    def __init__(self, url: object, schemes: Mapping[str, bool]) -> None:
        if not isinstance(url, str):
            raise ConfigTypeError(f"url must be a string, not {type(url).__name__}")
        forms = " or ".join(f"{scheme}://host" for scheme in schemes)
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise ConfigError("url cannot be read", hint=f"Write {forms}") from None
        if parts.scheme not in schemes or not host or re.search(r"[\s\x00-\x1f]", url):
            raise ConfigError(f"url must be {forms}", hint="The port follows the host: host:8000")
        self.url = url
        self.host = host
        self.encrypted = schemes[parts.scheme]
        shown = f"[{host}]" if ":" in host else host
        self.shown = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
        """Scheme, host and port: a path too may be a secret."""
        self.has_credentials = parts.username is not None or parts.password is not None
        self.secrets: set[str] = set()
        for each in (parts.username, parts.password):
            self.add_secrets((each or "", unquote(each or "")))
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            self.add_secrets((value,))
            self.has_credentials |= is_credential(name)
        self.add_secrets((parts.query, *parts.path.split("/")))

    def add_secrets(self, secrets: Iterable[str]) -> None:
        """Have these left out, too, wherever a server's words are told."""
        self.secrets |= {each for each in secrets if len(each) >= _SHORTEST_SECRET}

    def refuse_plain_credentials(self, *, asked_for: bool) -> None:
        """Raise if credentials would cross a network for everybody to read."""
        if self.has_credentials and not (self.encrypted or self.is_loopback or asked_for):
            raise ConfigError(
                f"credentials for {self.shown} would be sent in plain text",
                hint="Use an encrypted connection, or say plain_text=True",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine."""
        return is_loopback(self.host)

    def without_secrets(self, text: str) -> str:
        """Return a text with none of the secrets in it."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        return text


def is_loopback(host: str) -> bool:
    """Whether a host, by its name or address, is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_credential(name: str) -> bool:
    """Whether a header or parameter of that name may hold a secret."""
    return _CREDENTIAL.search(name) is not None
