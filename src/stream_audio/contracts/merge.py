"""How several sources become one track."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stream_audio._checks import name_text, one_of, real_number
from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.errors import ConfigError, ConfigTypeError

Timeline = Literal["source", "session"]
"""What the frames of a sink's chunks count: the source's own frames, or time in the session."""

LEAST_WINDOW, MOST_WINDOW = 0.005, 10.0


@public
class Merge(Record):
    """How a sink gets several sources as one.

    Drift between their clocks is taken out, so they stay in step for as long as you like. Silence
    stands for what a source lacks, and ``chunk.absent`` says where and why.

    Parameters
    ----------
    mode : "mix" or "channels"
        "mix": the sum of all sources, in the channels of the sink's format. Nothing limits it: a
        sum beyond full scale is clipped where it becomes integers, which the report counts.
        "channels": the channels of each source side by side, in the order of the sources. A format
        preset then sets nothing but the rate.
    gains : mapping of str to float, optional
        Decibels by source id, from -120 to 60; 0 dB for those that are not in it.
    window : float
        Seconds of a chunk of the merge, 0.005 to 10. It waits until each source has filled it.
    timeout : float
        Seconds, 0 to 60, that a source may be late beyond its usual interval of delivery. Then the
        merge goes on without it, and sends :class:`~stream_audio.MergeIncomplete`.
    id : str, optional
        What ``chunk.source`` is, and the report calls the merge; ``None``: "merge", or "merge-2"
        and so on. Sinks with equal merges of equal sources share one.

    Raises
    ------
    ConfigError, ConfigTypeError
        A value is out of range or of the wrong type.
    """

    mode: Literal["mix", "channels"] = "mix"
    gains: Mapping[str, float] | None = None
    window: float = 0.1
    timeout: float = 0.2
    id: str | None = None

    def __post_init__(self) -> None:
        one_of("mode", self.mode, ("mix", "channels"))
        vars(self)["window"] = real_number("window", self.window, LEAST_WINDOW, MOST_WINDOW)
        vars(self)["timeout"] = real_number("timeout", self.timeout, 0, 60)
        if self.id is not None:
            name_text("the merge's id", self.id)
        if self.gains is None:
            return
        if not isinstance(self.gains, Mapping):
            raise ConfigTypeError(
                f"gains takes a mapping from source ids to decibels, not {self.gains!r}",
                hint='Merge(gains={"mic": 0.0, "speaker": -6.0})',
            )
        gains = {
            name: real_number(f"the gain of {name!r}", gain, -120, 60)
            for name, gain in self.gains.items()
        }
        object.__setattr__(self, "gains", gains)

    def gain(self, source: str) -> float:
        """Return the factor for a source's samples."""
        decibels = (self.gains or {}).get(source, 0.0)
        return float(10 ** (decibels / 20))

    def check_gains(self, sources: tuple[str, ...]) -> None:
        """Refuse gains of what is not merged."""
        for name in self.gains or ():
            if name not in sources:
                raise ConfigError(
                    f"the merge has a gain for {name!r}, which is none of its sources",
                    hint=f"Its sources are {', '.join(sources)}",
                )

    def __hash__(self) -> int:
        gains = frozenset((self.gains or {}).items())
        return hash((self.mode, gains, self.window, self.timeout, self.id))


def merge_wanted(value: object) -> Merge | None:
    """Return the merge that a user asked for; ``True`` is a mix, ``None`` and ``False`` none."""
    if value is None or value is False:
        return None
    if value is True:
        return Merge()
    if not isinstance(value, Merge):
        raise ConfigTypeError(f"merge takes a Merge or True, not {value!r}", hint='Merge("mix")')
    return value
