"""What happens to a session besides audio. Given to ``on_event``, on a thread of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.audio.chunk import wall_epoch
from stream_audio.audio.gap import Gap

if TYPE_CHECKING:
    from pathlib import Path

    from stream_audio.devices.input_device import InputDevice


@public
class StreamEvent(Record):
    """The base of all events.

    Attributes
    ----------
    time : float
        When the event was noticed, ``time.monotonic()`` seconds.
    """

    time: float

    @property
    def wall_time(self) -> float:
        """When the event was noticed on the wall clock, ``time.time()`` seconds.

        The session computes it in the same way as ``chunk.wall_time``, so the two compare.
        """
        return self.time + (vars(self).get("_epoch") or wall_epoch())

    def dated(self, epoch: float | None) -> Self:
        """Note, before anybody has the event, what ``time.time()`` was at 0 of its clock."""
        vars(self)["_epoch"] = epoch
        return self


@public
class SessionStarted(StreamEvent):
    """Every source runs and every sink is ready."""


@public
class SessionStopped(StreamEvent):
    """The session has stopped: every frame is delivered or counted. The last event.

    Attributes
    ----------
    balanced : bool
        Whether every frame is accounted for; see ``session.report()``.
    """

    balanced: bool


@public
class GapDetected(StreamEvent):
    """Frames are missing.

    At most ten a second are sent for each source, sink and cause; one later event stands for those
    that come sooner. A channel that nobody reads sends one as it begins to lose frames, and one
    for all the rest when it stops losing them. ``chunk.gaps`` and the report have every gap by
    itself.

    Attributes
    ----------
    gap : Gap
        The missing frames and the cause; the first gap if there are several.
    sink : str
        The one sink that misses them; empty if the source lost them, for all sinks.
    count : int
        How many gaps this event stands for.
    further_frames : int
        Missing frames in the gaps after the first.
    """

    gap: Gap
    sink: str = ""
    count: int = 1
    further_frames: int = 0

    @property
    def frames(self) -> int:
        """All the missing frames that this event stands for."""
        return self.gap.frames + self.further_frames

    def merged_with(self, later: GapDetected) -> GapDetected:
        """Return one event for both; ``later`` is of the same source, sink and cause."""
        joined = self.gap.joined(later.gap) if self.count == 1 else None
        if joined is not None:
            both = replace(
                self, gap=joined, count=later.count, further_frames=later.further_frames
            )
        else:
            further_frames = self.further_frames + later.frames
            both = replace(self, count=self.count + later.count, further_frames=further_frames)
        return both.dated(vars(self).get("_epoch"))


@public
class SpillFailed(StreamEvent):
    """Chunks that wait for a slow sink can no longer go to disk; the oldest are dropped instead.

    That lasts until the sink has caught up. The sink still gets what is already on disk.

    Attributes
    ----------
    sink : str
        The sink's name.
    error : BaseException
        The error that the disk raised.
    """

    sink: str
    error: BaseException


@public
class SourceEnded(StreamEvent):
    """A source delivered its last frame.

    Attributes
    ----------
    source : str
        The source's id.
    """

    source: str


@public
class SourceStalled(StreamEvent):
    """A source that claims to run has not delivered for a while.

    Attributes
    ----------
    source : str
        The source's id.
    seconds : float
        Seconds since the last callback.
    """

    source: str
    seconds: float


@public
class WrongSampleRate(StreamEvent):
    """A device runs at a different sample rate than it claims: its files play too fast or slow.

    Sent once for each source that is off by 0.2 % or more, after ten seconds at the earliest. A
    crystal is right to 0.01 %.

    Attributes
    ----------
    source : str
        The source's id.
    sample_rate : int
        The rate that the device claims, in Hz.
    measured_rate : float
        Frames a second by the computer's clock.
    """

    source: str
    sample_rate: int
    measured_rate: float


@public
class SourceSuspended(StreamEvent):
    """A device's host has put it to sleep because somebody told it to; no audio comes for now.

    The event comes within a second. The time until the device resumes is a gap with the cause
    ``suspended``.

    Attributes
    ----------
    source : str
        The source's id.
    """

    source: str


@public
class SourceResumed(StreamEvent):
    """A device that was suspended is awake again.

    Attributes
    ----------
    source : str
        The source's id.
    seconds : float
        Seconds between the two events; the gap itself is exact.
    """

    source: str
    seconds: float


@public
class DeviceAdded(StreamEvent):
    """An input device has come, or has another rate or other channels; see ``watch_devices``.

    Attributes
    ----------
    device : InputDevice
        The device.
    """

    device: InputDevice


@public
class DeviceRemoved(StreamEvent):
    """An input device has gone, or has another rate or other channels; see ``watch_devices``.

    Attributes
    ----------
    device : InputDevice
        The device, as it was.
    """

    device: InputDevice


@public
class DefaultChanged(StreamEvent):
    """Another device is now the machine's default.

    Sent for ``AudioSource.default_device()`` and ``system()`` on PulseAudio and PipeWire, within a
    second. The source continues to record the device that it started with, unless it has
    ``follow=True``: then :class:`SourceSwitched` follows.

    Attributes
    ----------
    source : str
        The source's id; empty from :func:`stream_audio.watch_devices`.
    old : str
        The id of the device that was the default, as in :class:`~stream_audio.InputDevice`.
    new : str
        The id of the device that is the default now.
    """

    source: str
    old: str
    new: str


@public
class SourceLost(StreamEvent):
    """A device or its server is gone.

    If the source waits, :class:`SourceRecovered` or :class:`SourceEnded` follows; else it ends.

    Attributes
    ----------
    source : str
        The source's id.
    reason : str
        The reason, as far as the host reports it.
    waiting : bool
        Whether the source waits for the device to come back, or for another one.
    """

    source: str
    reason: str
    waiting: bool = False


@public
class SourceRecovered(StreamEvent):
    """A source that was lost delivers again, on the same timeline.

    Attributes
    ----------
    source : str
        The source's id.
    outage : float
        Seconds of audio that are missing: the length of the gap with the cause ``device_lost``.
    device : str
        The device that delivers now.
    """

    source: str
    outage: float
    device: str


@public
class MergeIncomplete(StreamEvent):
    """A merge goes on without one of its sources, which delivered nothing in time.

    Silence stands in its place, which ``chunk.absent`` tells, until the source delivers again.

    Attributes
    ----------
    merge : str
        The merge's id.
    source : str
        The source's id.
    frame : int
        The first frame of the merge that lacks the source.
    """

    merge: str
    source: str
    frame: int


@public
class SourceSwitched(StreamEvent):
    """A source with ``follow=True`` went over to the device that is the default now.

    The time between the two devices is a gap with the cause ``device_lost``.

    Attributes
    ----------
    source : str
        The source's id.
    old : str
        The id of the device that was left, as in :class:`~stream_audio.InputDevice`.
    new : str
        The id of the device that delivers now.
    device : str
        The name of that device.
    """

    source: str
    old: str
    new: str
    device: str


@public
class DigitalSilence(StreamEvent):
    """A source has delivered nothing but exact zeros for three seconds.

    No microphone does that: it is muted, not permitted, or the wrong device. What the computer
    plays may well be silent, so its monitor sends this event once, after a minute, and no
    ``SilenceEnded``.

    Attributes
    ----------
    source : str
        The source's id.
    seconds : float
        How long it has been silent, on its own timeline.
    hint : str
        What to check on this platform.
    """

    source: str
    seconds: float
    hint: str


@public
class SilenceEnded(StreamEvent):
    """A source that was reported silent delivers sound again.

    Attributes
    ----------
    source : str
        The source's id.
    seconds : float
        How long it had been silent.
    """

    source: str
    seconds: float


@public
class Clipping(StreamEvent):
    """A source delivers samples at full scale: its level is too high. At most one a second.

    Attributes
    ----------
    source : str
        The source's id.
    channels : tuple of int
        The device's channels that reached full scale since the last such event, counted from 0.
    """

    source: str
    channels: tuple[int, ...]


@public
class SinkFailed(StreamEvent):
    """A sink could not take a chunk after all tries.

    Attributes
    ----------
    sink : str
        The sink's name.
    error : BaseException
        The last error that the sink raised.
    detached : bool
        True if it gets no further chunks; False if only this chunk was skipped.
    count : int
        How many failures this event stands for. A sink that continues sends at most ten events a
        second; ``error`` is the last one.
    """

    sink: str
    error: BaseException
    detached: bool
    count: int = 1

    def merged_with(self, later: SinkFailed) -> SinkFailed:
        """Return one event for both; neither is the sink's end."""
        return replace(later, time=self.time, count=self.count + later.count)


@public
class SinkDisconnected(StreamEvent):
    """A sink has lost its connection, or could make none; it goes on trying, and audio waits.

    Attributes
    ----------
    sink : str
        The sink's name.
    error : BaseException
        What happened.
    """

    sink: str
    error: BaseException


@public
class SinkReconnected(StreamEvent):
    """A sink that had no connection has one again.

    Attributes
    ----------
    sink : str
        The sink's name.
    replayed : int
        Frames that are sent again, because they may have been lost on the way.
    seconds : float
        How long there was no connection.
    """

    sink: str
    replayed: int
    seconds: float


@public
class SinkStalled(StreamEvent):
    """A full sink has taken nothing for a while, and its sources wait for it (``"block"``).

    Sent once until the sink takes something again.

    Attributes
    ----------
    sink : str
        The sink's name.
    seconds : float
        Seconds since the sink last took something.
    """

    sink: str
    seconds: float


@public
class TriggerStarted(StreamEvent):
    """A :class:`TriggerSink` begins to hand chunks on.

    Attributes
    ----------
    sink : str
        The sink's name.
    number : int
        The number of the event, counted from 1 for each sink.
    source : str
        The source's id.
    frame : int
        Position of the first frame that is handed on, pre-roll included.
    started : float
        When that frame was captured, ``time.time()`` seconds.
    """

    sink: str
    number: int
    source: str
    frame: int
    started: float


@public
class TriggerEnded(StreamEvent):
    """A :class:`TriggerSink` has handed on the last frame of an event.

    Attributes
    ----------
    sink : str
        The sink's name.
    number : int
        The number of the event, as in :class:`TriggerStarted`.
    source : str
        The source's id.
    frame : int
        Position of the first frame that is not handed on, post-roll included.
    """

    sink: str
    number: int
    source: str
    frame: int


@public
class FileClosed(StreamEvent):
    """A file sink completed a file: its only one, or a part of a recording.

    Attributes
    ----------
    sink : str
        The sink's name.
    path : Path
        The file.
    frames : int
        Frames in it, silence for gaps included.
    gaps : tuple of Gap
        The gaps in the file, including one just before its first frame. A gap that is silence
        across two files is one gap in each.
    """

    sink: str
    path: Path
    frames: int
    gaps: tuple[Gap, ...]


@public
class FileMoved(StreamEvent):
    """The file that a sink is writing got another name; the sink continues to write it there.

    Attributes
    ----------
    sink : str
        The sink's name.
    path : Path
        The file's old path.
    new_path : Path or None
        The file's new path, if the system reports it.
    """

    sink: str
    path: Path
    new_path: Path | None


@public
class DiskLow(StreamEvent):
    """A file sink's disk has room for ten minutes or less; sent again when half of it is left.

    Attributes
    ----------
    sink : str
        The sink's name.
    path : Path
        The file it is writing.
    free_bytes : int
        Bytes left on the disk.
    minutes : float
        How long that lasts at this sink's rate, if nothing else writes to the disk.
    """

    sink: str
    path: Path
    free_bytes: int
    minutes: float


@public
class FallbackUsed(StreamEvent):
    """A file sink could not write its file and continues in its fallback; nothing is missing.

    Attributes
    ----------
    sink : str
        The sink's name.
    path : Path
        The file that could not be written any more.
    frames : int
        Frames in that file.
    fallback : Path
        The file that contains the next frame.
    error : OSError
        The reason, in the system's words.
    """

    sink: str
    path: Path
    frames: int
    fallback: Path
    error: OSError
