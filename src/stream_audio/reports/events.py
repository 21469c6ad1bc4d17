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


@public
class StreamEvent(Record):
    """The base of all events.

    Attributes
    ----------
    time : float
        When it was noticed, ``time.monotonic()`` seconds.
    """

    time: float

    @property
    def wall_time(self) -> float:
        """When it was noticed on the wall clock, ``time.time()`` seconds.

        Reckoned as that of a chunk is, so that the two compare.
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
    """Everything is delivered, dropped or counted. The last event.

    Attributes
    ----------
    balanced : bool
        Whether every frame is accounted for; see ``session.report()``.
    """

    balanced: bool


@public
class GapDetected(StreamEvent):
    """Frames are missing.

    Ten a second at most for each source, sink and cause: what comes sooner is told by one event
    later. A channel that nobody reads sends one as it begins to lose, and one for all the rest
    when it loses no more. ``chunk.gaps`` and the report have every gap by itself.

    Attributes
    ----------
    gap : Gap
        Which, and why; the first one if there are several.
    sink : str
        The one sink that misses them; empty if the source lost them, for all sinks.
    count : int
        How many gaps this event tells of.
    further_frames : int
        Frames that are missing in those after the first.
    """

    gap: Gap
    sink: str = ""
    count: int = 1
    further_frames: int = 0

    @property
    def frames(self) -> int:
        """All the frames that this event tells of."""
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
    """What waits for a slow sink cannot go to disk any more; the oldest is dropped instead.

    Until the sink has caught up; what is on disk already it still gets.

    Attributes
    ----------
    sink : str
        Its name.
    error : BaseException
        What the disk said.
    """

    sink: str
    error: BaseException


@public
class SourceEnded(StreamEvent):
    """A source delivered its last frame.

    Attributes
    ----------
    source : str
        Its id.
    """

    source: str


@public
class SourceStalled(StreamEvent):
    """A source that still claims to run has not delivered for a while.

    Attributes
    ----------
    source : str
        Its id.
    seconds : float
        Since the last callback.
    """

    source: str
    seconds: float


@public
class WrongSampleRate(StreamEvent):
    """A device runs at another sample rate than it says: files of it play too fast or too slow.

    Sent once for each source that is off by 0.2 % or more, after ten seconds at the earliest. A
    crystal is right to 0.01 %.

    Attributes
    ----------
    source : str
        Its id.
    sample_rate : int
        What it says, Hz.
    measured_rate : float
        Frames a second by the computer's clock.
    """

    source: str
    sample_rate: int
    measured_rate: float


@public
class SourceSuspended(StreamEvent):
    """A device's host has put it to sleep, on somebody's order; nothing comes for now.

    Told within a second. What is missing then is a gap of cause ``suspended``.

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
        Between the two events; the gap is exact.
    """

    source: str
    seconds: float


@public
class DefaultChanged(StreamEvent):
    """The machine's default device is another one now.

    Sent for sources of ``AudioSource.default_device()`` on PulseAudio and PipeWire, within a
    second. The source goes on recording the device that it was started with.

    Attributes
    ----------
    source : str
        The source's id.
    old : str
        The id of the device that was the default, as in :class:`~stream_audio.InputDevice`.
    new : str
        The id of the one that is now.
    """

    source: str
    old: str
    new: str


@public
class SourceLost(StreamEvent):
    """A device or its server is gone; the source has ended.

    Attributes
    ----------
    source : str
        Its id.
    reason : str
        As far as the host tells.
    """

    source: str
    reason: str


@public
class DigitalSilence(StreamEvent):
    """A source has delivered nothing but exact zeros for three seconds.

    No microphone does that; something is muted, not permitted, or the wrong device. A monitor of
    what the computer plays may well be silent: for such a source this is not sent.

    Attributes
    ----------
    source : str
        Its id.
    seconds : float
        How long it has been silent, on its own timeline.
    hint : str
        What to look at on this platform.
    """

    source: str
    seconds: float
    hint: str


@public
class SilenceEnded(StreamEvent):
    """A source that was reported silent delivers other samples than zeros again.

    Attributes
    ----------
    source : str
        Its id.
    seconds : float
        How long it had been silent.
    """

    source: str
    seconds: float


@public
class Clipping(StreamEvent):
    """A source delivers samples at full scale: its level is too high. Once a second at most.

    Attributes
    ----------
    source : str
        Its id.
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
        Its name.
    error : BaseException
        What it raised last.
    detached : bool
        True if it gets no further chunks; False if only this chunk was skipped.
    count : int
        How many failures this event tells of: of a sink that goes on, ten events a second are
        sent at most, and ``error`` is the last one.
    """

    sink: str
    error: BaseException
    detached: bool
    count: int = 1

    def merged_with(self, later: SinkFailed) -> SinkFailed:
        """Return one event for both; neither is the sink's end."""
        return replace(later, time=self.time, count=self.count + later.count)


@public
class SinkStalled(StreamEvent):
    """A full sink has taken nothing for a while, and its sources wait for it (``"block"``).

    Told once until it takes something again.

    Attributes
    ----------
    sink : str
        Its name.
    seconds : float
        Since it last took something.
    """

    sink: str
    seconds: float


@public
class TriggerStarted(StreamEvent):
    """A :class:`TriggerSink` begins to hand on.

    Attributes
    ----------
    sink : str
        Its name.
    number : int
        Counts from 1 with each event of this sink.
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
    """What :class:`TriggerStarted` began is complete.

    Attributes
    ----------
    sink : str
        Its name.
    number : int
        As in :class:`TriggerStarted`.
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
        Its name.
    path : Path
        The file.
    frames : int
        Frames in it, silence for gaps included.
    gaps : tuple of Gap
        What is missing from it; what is missing just before its first frame counts too. A gap
        that is silence across two files is one gap in each.
    """

    sink: str
    path: Path
    frames: int
    gaps: tuple[Gap, ...]


@public
class FileMoved(StreamEvent):
    """The file that a sink is writing got another name; the sink goes on writing it there.

    Attributes
    ----------
    sink : str
        Its name.
    path : Path
        What the file was called.
    new_path : Path or None
        What it is called now, if the system tells.
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
    """A file sink could not go on with its file, and goes on in its fallback; nothing is missing.

    Attributes
    ----------
    sink : str
        Its name.
    path : Path
        The file that it could not go on with.
    frames : int
        Frames in it.
    fallback : Path
        The file in which the next frame is.
    error : OSError
        Why, in the system's words.
    """

    sink: str
    path: Path
    frames: int
    fallback: Path
    error: OSError
