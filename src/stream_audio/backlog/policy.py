"""How much may wait for a slow sink, and what happens when that is not enough."""

from __future__ import annotations

import re
from numbers import Integral
from typing import Literal, NamedTuple

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.errors import ConfigError, ConfigTypeError

WhenFull = Literal["spill", "drop_oldest", "drop_newest", "block"]
POLICIES = ("spill", "drop_oldest", "drop_newest", "block")

_KIB = 1024
_BYTES = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": _KIB,
    "mib": _KIB**2,
    "gib": _KIB**3,
}
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]+)\s*")

_HINT = "Write bytes as 33_554_432 or '32 MiB', seconds as '10 s'"


class Amount(NamedTuple):
    """An amount of audio: bytes, or seconds of all the sources of a sink."""

    value: float
    in_seconds: bool

    def to_bytes(self, bytes_per_second: float) -> int:
        """Return it in bytes of samples, at least 1."""
        return max(1, round(self.value * bytes_per_second if self.in_seconds else self.value))


@public
class Backlog(Record):
    """How much may wait for a sink, and what happens beyond that.

    Pass it to ``add_sink(sink, backlog=…)``, to ``ChannelSink(backlog=…)``, or to
    ``StreamConfig(backlog=…)`` for all sinks of a session. In all of these a string stands for a
    backlog of that limit: ``backlog="10 s"``.

    Parameters
    ----------
    limit : int or str
        How much may wait in memory: bytes of samples (``33_554_432`` or ``"32 MiB"``, up to 1 TiB)
        or a time (``"10 s"``, ``"500 ms"``, 1 ms to 1,000 h). A time stands for the bytes that so
        much audio of all the sink's sources takes. At least one chunk always fits.
    when_full : str, optional
        What happens when a chunk comes that does not fit:

        ``"spill"``
            The oldest waiting audio moves to a temporary file and comes back in order. Beyond
            ``spill_limit``, or when the disk fails, the oldest is dropped.
        ``"drop_oldest"``
            The oldest chunk is dropped.
        ``"drop_newest"``
            The new chunk is dropped.
        ``"block"``
            The sources wait, and nothing is lost. Only for sources that can wait: a file, or a
            virtual source with ``pace="freewheel"``. A stuck sink holds them up.
        ``None``
            ``"block"`` if all the sink's sources can wait; otherwise ``"spill"``, or
            ``"drop_oldest"`` for a channel.
    spill_limit : int or str
        How much may wait on disk, like ``limit``; only ``"spill"`` uses it.

    Raises
    ------
    ConfigError, ConfigTypeError
        An amount is out of range or cannot be read, or there is no such policy.

    Notes
    -----
    The report counts what is dropped, a ``GapDetected`` event reports it, and the chunk that
    follows has it in ``chunk.gaps``.

    Examples
    --------
    >>> from stream_audio import Backlog
    >>> Backlog("10 s", "drop_oldest")
    Backlog(limit='10 s', when_full='drop_oldest', spill_limit='2 GiB')
    """

    limit: int | str = "32 MiB"
    when_full: WhenFull | None = None
    spill_limit: int | str = "2 GiB"

    def __post_init__(self) -> None:
        _amount("limit", self.limit)
        _amount("spill_limit", self.spill_limit)
        if self.when_full is not None:
            one_of("when_full", self.when_full, POLICIES)

    def limit_bytes(self, bytes_per_second: float) -> int:
        """Return ``limit`` in bytes, for sources that together bring this many bytes a second."""
        return _amount("limit", self.limit).to_bytes(bytes_per_second)

    def spill_limit_bytes(self, bytes_per_second: float) -> int:
        """Return ``spill_limit`` in bytes, as :meth:`limit_bytes` does."""
        return _amount("spill_limit", self.spill_limit).to_bytes(bytes_per_second)


def as_backlog(value: object) -> Backlog:
    """Return what a user said of a backlog: one, or its limit as a string."""
    if isinstance(value, str):
        return Backlog(value)
    if not isinstance(value, Backlog):
        raise ConfigTypeError(
            f"backlog must be a Backlog or a string, not {value!r}",
            hint="backlog='10 s', or Backlog('32 MiB', 'drop_oldest')",
        )
    return value


def _amount(name: str, value: object) -> Amount:
    if isinstance(value, str):
        match = _AMOUNT.fullmatch(value)
        unit = match[2].lower() if match else ""
        if match and unit in _SECONDS:
            seconds = real_number(name, float(match[1]) * _SECONDS[unit], 0.001, 3_600_000)
            return Amount(seconds, True)
        if match and unit in _BYTES:
            size = whole_number(name, round(float(match[1]) * _BYTES[unit]), 1, 2**40)
            return Amount(size, False)
        raise ConfigError(f"{name} cannot be read: {value!r}", hint=_HINT)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigTypeError(f"{name} must be bytes or a string, not {value!r}", hint=_HINT)
    return Amount(whole_number(name, value, 1, 2**40), False)
