"""What sinks see of a source, whichever device brings its frames."""

from __future__ import annotations

from stream_audio._record import Record
from stream_audio.contracts.source import OpenSource
from stream_audio.waiting.frame_times import FrameTimes


class TrackShape(Record):
    """What sinks see of a source: the same whichever take is under way.

    Attributes
    ----------
    sample_rate, channels : int
        Of its chunks.
    own_channels : tuple of int
        The channels that the user means by the source, in order; formats may pick others.
    silence_is_normal : bool
        Exact zeros are no sign of trouble.
    freewheel : bool
        It is not paced by the clock, and waits for its sinks.
    device : str
        What was found, if it is a device of the machine.
    is_monitor : bool
        It records what an output plays.
    delay : float
        Seconds by which its audio is older than its times say, as the user knows.
    times : FrameTimes, optional
        When its frames were captured, if a clock paces it.
    """

    sample_rate: int
    channels: int
    own_channels: tuple[int, ...]
    silence_is_normal: bool = False
    freewheel: bool = False
    device: str = ""
    is_monitor: bool = False
    delay: float = 0.0
    times: FrameTimes | None = None

    @classmethod
    def of(cls, source: OpenSource, *, delay: float = 0.0) -> TrackShape:
        """Return that of an opened source."""
        return cls(
            source.sample_rate,
            source.channels,
            tuple(source.own_channels),
            source.silence_is_normal,
            source.freewheel,
            source.description if source.device_id else "",
            source.is_monitor,
            delay,
            None if source.freewheel else FrameTimes(source.sample_rate),
        )

    def is_delivered_by(self, source: OpenSource) -> bool:
        """Whether a source's chunks need no adapting to be those of the track."""
        delivered = source.sample_rate, source.channels, tuple(source.own_channels)
        return delivered == (self.sample_rate, self.channels, self.own_channels)
