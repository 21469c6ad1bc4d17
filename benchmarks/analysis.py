"""From what a contender saw, and the log of JACK's cycles, to figures."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np
from cycles import COUNTER_FRAMES, PERIOD, CycleLog
from numpy.typing import ArrayLike, NDArray

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


def latency_figures(result: dict[str, Any], log: CycleLog) -> dict[str, Any]:
    """Return latencies in ms and frames lost, in the measured time of one run.

    A block's latency runs from the start of the cycle that made its last frame to the moment the
    consumer had it. Frames are lost if the server played them in a cycle of the measured time and
    no block held them; cycles that the server itself skipped were never played.
    """
    if "due_ns" in result:
        due = np.array(result["due_ns"])
        times = np.array(result["times_ns"])
        return {**_percentiles((times - due)[_within(result, due)]), "lost_frames": 0}
    counts = _Counts(log)
    # A frame that came twice came the first time.
    last, first_seen = np.unique(counts.since_start(result["last_frames"]), return_index=True)
    origin = counts.origin_ns(last)
    times = np.array(result["times_ns"])[first_seen]
    measured = _within(result, origin)
    figures: dict[str, Any] = _percentiles((times - origin)[measured])
    figures |= _loss(result, log, counts)
    if "arrival_ns" in result:
        arrival = np.array(result["arrival_ns"])[first_seen]
        figures["to_callback"] = _percentiles((arrival - origin)[measured])
        figures["from_callback"] = _percentiles((times - arrival)[measured])
        for key in ("reported_lost", "causes", "stale", "unexplained"):
            figures[key] = result[key]
    return figures


class _Counts:
    """Frame counts of both sides on one scale: since the log's first frame."""

    def __init__(self, log: CycleLog) -> None:
        self._first = int(log.frame[0])
        self._entry_ns = log.entry_ns
        self.starts = self.since_start(log.frame)

    def since_start(self, frames: ArrayLike) -> NDArray[np.int64]:
        # JACK's count wraps at 2**32 and the samples' at 2**23, which divides it.
        return (np.asarray(frames, np.int64) - self._first) % COUNTER_FRAMES

    def origin_ns(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when the cycles began that made these frames."""
        cycle = np.searchsorted(self.starts, frames, "right") - 1
        return self._entry_ns[np.maximum(cycle, 0)]


def _loss(result: dict[str, Any], log: CycleLog, counts: _Counts) -> dict[str, Any]:
    seen = np.zeros(int(counts.starts[-1]) + 2 * PERIOD, np.bool_)
    for first, length in result["runs"]:
        start = int(counts.since_start(first))
        seen[start : start + length] = True
    part = log.part(result["start_ns"], result["end_ns"])
    played = counts.since_start(part.frame)
    skipped = np.diff(played) - PERIOD
    lost = sum(PERIOD - int(seen[start : start + PERIOD].sum()) for start in played)
    return {
        "played_frames": len(played) * PERIOD,
        "lost_frames": lost,
        "skipped_by_jack": int(skipped[skipped > 0].sum()),
    }


def _within(result: dict[str, Any], times_ns: NDArray[np.int64]) -> slice:
    start, end = np.searchsorted(times_ns, [result["start_ns"], result["end_ns"]])
    return slice(int(start), int(end))


def _percentiles(latencies_ns: NDArray[np.int64]) -> dict[str, Any]:
    if not len(latencies_ns):
        return dict.fromkeys(PERCENTILES) | {"blocks": 0}
    values = np.percentile(latencies_ns * 1e-6, list(PERCENTILES.values()))
    return dict(zip(PERCENTILES, values.round(4).tolist(), strict=True)) | {
        "blocks": len(latencies_ns)
    }


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure over rounds; frames and blocks are added up instead."""
    figures: dict[str, Any] = {"rounds": len(runs)}
    for key, value in runs[0].items():
        values = [run[key] for run in runs if run[key] is not None]
        if isinstance(value, dict):
            figures[key] = medians(values)
        elif key == "causes":
            figures[key] = sorted({cause for causes in values for cause in causes})
        elif key.endswith("_frames") or key in _ADDED_UP:
            figures[key] = sum(values)
        else:
            figures[key] = round(median(values), 4) if values else None
    return figures


_ADDED_UP = {"blocks", "skipped_by_jack", "reported_lost", "stale", "unexplained"}
