"""The instrument itself: delays that are known are found, on a clock that does not jitter."""

import numpy as np
import pytest

from stream_audio import AudioSource, CallbackSink
from stream_audio.latency.consumers import KINDS, Consumer, Kind, available_kinds
from stream_audio.latency.figures import COLUMNS, PERCENTILES
from stream_audio.latency.measure import Format, Setup, look_at, measure, summary
from stream_audio.testing import Fault, VirtualClock
from stream_audio.waiting.clock import MonotonicClock

RATE = 48_000
PERIOD = 480
PERIOD_SECONDS = 0.01
WITHIN = 0.05

WITHOUT_THE_FIRST = 0.005
"""Warm-up: the router knows only after the first callback when to expect one."""

ON_THREADS_OF_THE_SESSION = ("router", "callback", "file")
"""Kinds that a virtual clock waits for."""


def until_it_ends(passed):
    return True


def measured(
    kinds, *, chunks=400, delay=0.0, warm_up=WITHOUT_THE_FIRST, chunk=PERIOD, clock=None, **source
):
    source = AudioSource.virtual("silence", period=PERIOD, frames=chunks * chunk, **source)
    setup = Setup(
        source=source,
        format=Format(RATE, 2, PERIOD),
        chunk=chunk,
        delay=delay,
        clock=clock or VirtualClock(),
        warm_up=warm_up,
    )
    return summary([measure(setup, kinds, 1e6, until_it_ends)])


def assert_found(figures, durations):
    """Every figure lies within 5 % of that of the known durations, or 20 µs: a router's look."""
    assert figures["count"] == len(durations)
    percentiles = np.percentile(durations, list(PERCENTILES.values()), method="inverted_cdf")
    known = [min(durations), *percentiles, max(durations)]
    for column, expected in zip(COLUMNS, known, strict=True):
        assert figures[column] == pytest.approx(expected, rel=WITHIN, abs=20e-6), column


@pytest.mark.parametrize("kind", ON_THREADS_OF_THE_SESSION)
@pytest.mark.parametrize("delay", [0.001, 0.0075])
def test_a_known_delay_is_found(kind, delay):
    found = measured([kind], delay=delay)
    assert_found(found["callback_to"][kind], [delay] * 399)
    assert found["lost_frames"] == 0
    assert found["balanced"]


def test_kinds_that_run_together_are_each_measured():
    found = measured(["router", "callback"], chunks=100)
    assert found["callback_to"]["router"]["count"] == 99
    assert found["callback_to"]["callback"]["count"] == 99


@pytest.mark.parametrize("kind", sorted({"channel", "async"} & set(available_kinds())))
def test_a_known_delay_is_found_on_a_thread_of_the_users_own(kind):
    # Real time, so that only the quickest of them is known; it may be late as any thread may.
    found = measured([kind], chunks=20, chunk=4800, delay=0.08, clock=MonotonicClock())
    assert found["callback_to"][kind]["count"] == 19
    assert 0.08 <= found["callback_to"][kind]["min"] <= 0.08 * (1 + WITHIN)


def test_a_consumer_that_is_always_too_slow_falls_behind_chunk_by_chunk():
    delay = 0.012
    found = measured(["callback"], chunks=100, delay=delay)
    # The first chunk came to the router a little late, and all others had to wait for it.
    first = found["callback_to"]["callback"]["min"] - (2 * delay - PERIOD_SECONDS)
    assert 0 <= first < 0.0026
    behind = [first + delay + number * (delay - PERIOD_SECONDS) for number in range(1, 100)]
    assert_found(found["callback_to"]["callback"], behind)


def stalling(seconds, at):
    """Return a kind of consumer that stands still once."""

    def make(notes, clock, folder):
        def consume(chunk):
            if chunk.frame == at * PERIOD:
                clock.sleep(seconds)
            notes.note(chunk)

        return Consumer(notes, CallbackSink(consume))

    return Kind(make, "stands still once")


def test_what_waits_for_a_stalled_consumer_counts_chunk_by_chunk(monkeypatch):
    """Coordinated omission would leave one late chunk of 400, and a p99 of nothing."""
    monkeypatch.setitem(KINDS, "stalling", stalling(1.0, at=50))
    found = measured(["stalling"])
    late = [max(0.0, 1.0 - number * PERIOD_SECONDS) for number in range(350)]
    assert_found(found["callback_to"]["stalling"], [0.0] * 49 + late)
    assert found["callback_to"]["stalling"]["p90"] > 0.5


def test_the_warm_up_does_not_count():
    found = measured(["router"], chunks=100, warm_up=0.305)
    assert found["callback_to"]["router"]["count"] == 69


def test_known_jitter_of_a_device_is_found():
    """Callbacks off by up to ±3 ms, evenly: two of them differ as a triangle does."""
    found = measured(["router"], chunks=8000, jitter=0.003, warm_up=10.0)
    jitter, error = found["period_jitter"], found["dll_error"]
    assert jitter["p50"] == pytest.approx(0.006 * (1 - 0.5**0.5), rel=WITHIN)
    assert jitter["p99"] == pytest.approx(0.006 * (1 - 0.01**0.5), rel=WITHIN)
    assert error["p50"] == pytest.approx(0.0015, rel=WITHIN)
    assert error["p90"] == pytest.approx(0.0027, rel=WITHIN)


def test_jitter_of_a_device_hardly_delays_its_chunks():
    """The router looks from when the quickest callbacks come, not from when they should."""
    found = measured(["router"], chunks=8000, jitter=0.003, warm_up=10.0)
    assert found["callback_to"]["router"]["p50"] < 0.0003
    assert found["callback_to"]["router"]["p90"] < 0.001


def test_a_device_that_stalls_shows_in_the_period_not_in_the_latency():
    found = measured(["router"], faults=[Fault.stall(at=100 * PERIOD, seconds=0.5)])
    assert found["period_jitter"]["max"] == pytest.approx(0.5, rel=WITHIN)
    assert found["callback_to"]["router"]["max"] < 0.01


def test_frames_that_the_device_loses_are_counted_by_their_cause():
    found = measured(["router"], faults=[Fault.lose(at=100 * PERIOD, periods=3)])
    assert found["lost"] == {"host_overflow": 3 * PERIOD}
    assert found["lost_frames"] == 3 * PERIOD
    assert found["callback_to"]["router"]["count"] == 396


def test_evenness_is_told_only_where_chunks_end_with_callbacks():
    uneven = measured(["router"], chunks=100, chunk=PERIOD + 1)
    assert uneven["period_jitter"] is None
    assert uneven["dll_error"] is None
    assert uneven["callback_to"]["router"]["count"] == 99


def test_a_longer_chunk_counts_from_the_callback_that_completed_it():
    chunk = 10 * PERIOD
    # A look at a long chunk may be late by 1/256 of its length; the callback comes 80 us into it.
    look = chunk / RATE / 256 - 80e-6
    found = measured(["router"], chunks=50, chunk=chunk, delay=0.004)
    assert_found(found["callback_to"]["router"], [0.004 + look] * 49)


def test_what_a_source_delivers_is_found_by_looking_at_it():
    source = AudioSource.virtual("noise", sample_rate=44_100, channels=3, period=441)
    assert look_at(source, VirtualClock()) == Format(44_100, 3, 441)


def test_periods_that_are_lost_do_not_make_the_others_longer():
    faults = [Fault.lose(at=n * PERIOD, periods=2) for n in (4, 8, 12)]
    source = AudioSource.virtual("noise", period=PERIOD, faults=faults)
    assert look_at(source, VirtualClock()) == Format(RATE, 2, PERIOD)


def test_the_user_may_end_a_measurement_early():
    source = AudioSource.virtual("silence", period=PERIOD)
    setup = Setup(
        source=source, format=Format(RATE, 2, PERIOD), chunk=PERIOD, clock=MonotonicClock()
    )
    part = measure(setup, ["router"], 3600, lambda passed: passed < 0.6)
    assert part.report.balanced
    assert not part.report.running
