"""How often, and when, a sink that raised gets the same chunk again."""

from __future__ import annotations

from stream_audio._checks import real_number, whole_number
from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.errors import ConfigError

SHORTEST = 0.001


@public
class Retry(Record):
    """How often, and when, a sink that raised gets the same chunk again.

    Set it for one sink (``add_sink(sink, retry=…)``) or for all sinks of a session
    (``StreamConfig(retry=…)``); the sink's own setting comes first. While a sink is stopped or
    removed, its next try comes at once, and further ones every ``first`` seconds.

    Parameters
    ----------
    tries : int, optional
        How many tries follow the first one, 0 to 1,000,000; ``None``: as many as it takes.
    first : float
        Seconds before the first of them, 0.001 to 3600; each further wait is twice as long.
    longest : float
        The longest wait in seconds, ``first`` to 3600.
    jitter : float
        Part of each wait, 0 to 1, that chance may take away: so that the many clients of a service
        that restarts do not come back all at once.

    Raises
    ------
    ConfigError, ConfigTypeError
        A value is out of range or of the wrong type.

    Examples
    --------
    >>> from stream_audio import Retry
    >>> Retry(tries=None)  # a service that may be away for hours
    Retry(tries=None, first=0.1, longest=5.0, jitter=0.0)
    """

    tries: int | None = 3
    first: float = 0.1
    longest: float = 5.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.tries is not None:
            vars(self)["tries"] = whole_number("tries", self.tries, 0, 1_000_000)
        vars(self)["first"] = real_number("first", self.first, SHORTEST, 3600)
        vars(self)["jitter"] = real_number("jitter", self.jitter, 0, 1)
        vars(self)["longest"] = real_number("longest", self.longest, SHORTEST, 3600)
        if self.longest < self.first:
            raise ConfigError(
                f"longest must be at least first, {self.first:g} s, not {self.longest:g}",
                hint="Retry(first=10.0, longest=60.0)",
            )

    def allows(self, tries: int) -> bool:
        """Return whether one more try may follow after this many."""
        return self.tries is None or tries < self.tries

    def wait_before(self, number: int) -> float:
        """Return how many seconds to wait before this try; 1 is the first retry."""
        # Not beyond 2**60 times: by then it is the longest anyway.
        seconds = min(self.longest, self.first * 2.0 ** min(number - 1, 60))
        if self.jitter:
            import random

            seconds *= 1 - self.jitter * random.random()
        return seconds
