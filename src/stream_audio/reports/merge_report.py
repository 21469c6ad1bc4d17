"""What a session tells of merges, and of sources on its own timeline."""

from __future__ import annotations

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.audio.gap import Gap


@public
class MergeInputReport(Record):
    """What a merge has of one of its sources, in frames of the merge.

    ``placed + sum(silent.values())`` is the length of the merge.

    Attributes
    ----------
    placed : int
        Frames of the source that are in the merge.
    silent : dict of str to int
        Frames for which silence stands, by cause: "late_start", "paused", "merge_timeout",
        "source_ended", or the cause of a loss.
    late : int
        Frames of the source that came when the merge had gone on without them.
    timeouts : int
        How often the merge went on without the source.
    """

    placed: int
    silent: dict[str, int]
    late: int
    timeouts: int


@public
class MergeReport(Record):
    """A merge: what it is made of.

    Attributes
    ----------
    sample_rate : int
        Frames a second.
    span : int
        Frames from its beginning to its end.
    made : int
        Frames that came out; the others are in ``gaps``.
    gaps : tuple of Gap
        Where none of its sources had anything.
    inputs : dict of str to MergeInputReport
        By source id, in the order of the channels.
    """

    sample_rate: int
    span: int
    made: int
    gaps: tuple[Gap, ...]
    inputs: dict[str, MergeInputReport]


@public
class AlignmentReport(Record):
    """A source on the session's timeline, in one sample rate.

    Attributes
    ----------
    source : str
        The source's id.
    sample_rate : int
        Frames a second of what came out.
    fed : int
        Frames of the source that went in.
    made : int
        Frames that came out.
    lost : int
        Frames that could not be made, because of an error.
    overlapping : int
        Frames of the source for which there was no place, because the timeline was past them: its
        clock stepped back, or they are older than the session.
    spans : int
        Runs of frames without a jump.
    steps : int
        How often the clock of the source and that of the session stopped agreeing.
    correction_ppm : float
        By how much the source was slowed down or sped up in the end, in parts per million;
        negative: its clock runs fast.
    """

    source: str
    sample_rate: int
    fed: int
    made: int
    lost: int
    overlapping: int
    spans: int
    steps: int
    correction_ppm: float
