"""A session's figures, gathered from its tracks and sinks; on any thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from stream_audio.engine.delivery import Delivery
from stream_audio.engine.track import Track, TrackState
from stream_audio.reports.ledger import AlignmentAccount, MergeAccount
from stream_audio.reports.merge_report import AlignmentReport, MergeInputReport, MergeReport
from stream_audio.reports.report import SourceReport
from stream_audio.reports.stats import MemoryUse, SessionStats, SourceStats

_STATES: dict[TrackState, Literal["lost", "ended"]] = {
    TrackState.LOST: "lost",
    TrackState.ENDED: "ended",
}


def session_stats(
    now: float, tracks: Mapping[str, Track], deliveries: Mapping[str, Delivery]
) -> SessionStats:
    """Return how a session stands."""
    return SessionStats(
        now,
        {name: source_stats(track) for name, track in tracks.items()},
        {name: delivery.stats() for name, delivery in deliveries.items()},
    )


def source_report(track: Track) -> SourceReport:
    """Return a track's part of the session's report."""
    account, figures, take = track.account, track.figures(), track.take
    drift_ppm, drift_error_ppm = figures.drift
    return SourceReport(
        captured=account.captured,
        lost=account.lost,
        paused=account.paused,
        synthetic=account.synthetic,
        idle=account.idle,
        position=account.position,
        sample_rate=track.shape.sample_rate,
        channels=track.shape.channels,
        gaps=tuple(account.gaps),
        overflows=figures.overflows,
        ring_highest=figures.ring_highest,
        longest_callback=figures.longest_callback,
        error="" if take is None else take.error,
        unclear="" if take is None else take.unclear,
        drift_ppm=drift_ppm,
        drift_error_ppm=drift_error_ppm,
        latency=figures.latency,
        time_quality="adc" if figures.from_adc else "callback",
        pauses=tuple(account.pauses),
        nonfinite=account.nonfinite,
        unexplained_frames=figures.unexplained,
        started=track.times.started,
        device=_device(track),
    )


def merge_report(account: MergeAccount) -> MergeReport:
    """Return a merge's part of the session's report."""
    return MergeReport(
        account.sample_rate,
        account.span,
        account.made,
        tuple(account.gaps),
        {
            name: MergeInputReport(
                each.placed,
                {str(cause): frames for cause, frames in dict(each.silent).items()},
                each.late,
                each.timeouts,
            )
            for name, each in account.inputs.items()
        },
    )


def alignment_report(account: AlignmentAccount) -> AlignmentReport:
    """Return the report of a source on the session's timeline."""
    return AlignmentReport(
        account.source,
        account.rate_out,
        account.fed,
        account.made,
        account.lost,
        account.overlapping,
        account.spans,
        account.steps,
        account.correction * 1e6,
    )


def _device(track: Track) -> str:
    """Return which device of the machine delivers, or did last; empty if none does."""
    source = None if track.take is None else track.take.source
    if source is None or not source.device_id:
        return track.shape.device
    return source.description


def source_stats(track: Track) -> SourceStats:
    """Return how a track stands."""
    account, figures = track.account, track.figures()
    rate = track.shape.sample_rate
    newest = track.newest
    return SourceStats(
        captured=account.captured,
        lost=account.lost,
        paused=account.paused,
        synthetic=account.synthetic,
        idle=account.idle,
        position=account.position,
        sample_rate=rate,
        ring_seconds=figures.waiting / rate,
        ring_highest_seconds=figures.ring_highest / rate,
        ring_capacity_seconds=figures.ring_seconds,
        xruns=figures.overflows,
        callbacks=figures.packets,
        callback_durations=figures.callbacks,
        peak=() if newest is None else tuple(newest.peak.tolist()),
        rms=() if newest is None else tuple(newest.rms.tolist()),
        state=_STATES.get(track.state, "running"),
        openings_given_up=0 if track.successor is None else track.successor.given_up,
    )


def memory_use(tracks: Collection[Track], deliveries: Collection[Delivery]) -> MemoryUse:
    """Return how much memory a session's audio takes."""
    takes = [track.take for track in tracks if track.take is not None]
    sinks = [delivery.stats() for delivery in deliveries]
    return MemoryUse(
        rings=sum(take.ring_bytes for take in takes),
        blocks=sum(take.block_bytes for take in takes),
        backlogs=sum(sink.backlog_bytes for sink in sinks),
        backlogs_at_most=sum(
            each.backlog.most_memory_bytes for each in deliveries if each.backlog is not None
        ),
        histories=sum(track.history.bytes for track in tracks if track.history is not None),
        sinks=sum(each.sink.memory_bytes for each in deliveries),
        spilled=sum(sink.spilled_bytes for sink in sinks),
    )
