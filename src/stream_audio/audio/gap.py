"""A loss: which frames are missing, where, and why."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from stream_audio._public import public
from stream_audio._record import Record


@public
class GapCause(StrEnum):
    """Why frames are missing."""

    RING_FULL = "ring_full"
    """The router did not drain the ring in time."""
    HOST_OVERFLOW = "host_overflow"
    """The host lost them before they reached this library. JACK's own frame count tells, and
    PulseAudio of some by itself, and the times that a program gives with a feed; elsewhere it is
    that the packets come later from then on."""
    SUSPENDED = "suspended"
    """The machine slept, or this process was stopped, so that nobody could take them; or a sound
    server had suspended the device, so that it took none."""
    DEVICE_LOST = "device_lost"
    """The device was lost, and another run of it, or of another one, went on later."""
    BACKLOG_FULL = "backlog_full"
    """One sink was too slow, and its backlog was full. Other sinks have these frames."""
    SINK_FAILED = "sink_failed"
    """One sink raised until it was given up. Other sinks have these frames."""
    STOP_TIMEOUT = "stop_timeout"
    """One sink did not finish in time when the session stopped."""
    UNCONFIRMED = "unconfirmed"
    """One sink sent them, and nothing confirmed that they arrived before its time was up."""
    CONVERSION_FAILED = "conversion_failed"
    """They could not be converted to one format, for want of memory for example."""
    REMOVED = "removed"
    """One sink was removed while these frames waited for it."""
    PASSED_OVER = "passed_over"
    """One consumer asked to leave them out: ``ChannelSink.latest`` and ``chunks``."""
    NOT_RECEIVED = "not_received"
    """A reader of a stream (``stream_audio.nats.Reader``) did not find them there."""
    DECIDED_LATE = "decided_late"
    """A :class:`TriggerSink` was triggered when it no longer had them; see ``decide_within``."""
    LATE_START = "late_start"
    """On the session's timeline: the source had not begun to deliver."""
    PAUSED = "paused"
    """On the session's timeline: the source was paused. Nothing is lost."""
    CLOCK_STEP = "clock_step"
    """On the session's timeline: the source's clock and the session's no longer agreed. Frames
    that nobody counted are missing, or a clock was set."""
    SOURCE_ENDED = "source_ended"
    """On the session's timeline: the source had ended, and others went on."""
    MERGE_TIMEOUT = "merge_timeout"
    """In a merge: the source delivered nothing in time. See ``Merge(timeout=…)``."""


@public
class Gap(Record):
    """A run of missing frames.

    Attributes
    ----------
    source : str
        The id of the source.
    frame : int
        Position of the first missing frame on the chunks' timeline.
    frames : int
        How many are missing. A gap of less than one frame after a change of the sample rate has 0.
    cause : GapCause
        Why.
    time : float
        Capture time of the first missing frame, ``time.monotonic()`` seconds.
    """

    source: str
    frame: int
    frames: int
    cause: GapCause
    time: float

    @property
    def end(self) -> int:
        """Position of the first frame after the gap."""
        return self.frame + self.frames

    def joined(self, later: Gap) -> Gap | None:
        """Return both as one if ``later`` continues where this gap ends, with the same cause."""
        if (later.frame, later.source, later.cause) != (self.end, self.source, self.cause):
            return None
        return Gap(self.source, self.frame, self.frames + later.frames, self.cause, self.time)


def gaps_within(gaps: Iterable[Gap], start: int, stop: int, sample_rate: int) -> tuple[Gap, ...]:
    """Return the parts of gaps that lie from frame ``start`` up to ``stop``."""
    found = []
    for gap in gaps:
        low, high = max(gap.frame, start), min(gap.end, stop)
        if low < high:
            began = gap.time + (low - gap.frame) / sample_rate
            found.append(Gap(gap.source, low, high - low, gap.cause, began))
    return tuple(found)
