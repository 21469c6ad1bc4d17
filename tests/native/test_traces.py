"""Recorded packet traces, replayed: no false alarm, and exactly the loss that there was.

They are from JACK's dummy driver and a PulseAudio null sink; `tests/fixtures/record_traces.py`
has recorded them. The JACK source counts its frames in its samples, so those tell the truth.
"""

import numpy as np
import pytest

from stream_audio._native.capture import FRAME, FRAMES
from support.line import PERIOD, RATE, a_line, counted
from support.traces import COUNTER_SPAN, Trace

JACK = ["jack_prompt", "jack_loaded", "jack_xruns", "jack_stopped"]
PULSE = ["pulse_idle", "pulse_loaded", "pulse_period_256", "pulse_stalled", "pulse_stopped"]


def replay(trace, **settings):
    counts = len(trace.host_frame) > 0
    return a_line(counted_by_host=counts, ring_frames=30 * RATE, chunk_frames=PERIOD, **settings)


@pytest.mark.parametrize("name", JACK)
def test_of_a_host_that_counts_each_frame_arrives_once_or_is_in_a_gap(name):
    """Where it is placed may be a period too late, if it was late itself and a loss followed."""
    trace = Trace.load(name)
    with replay(trace) as line:
        line.play(trace)
        line.finish()
        arrived = np.concatenate([counted(data[:, 0]) for data in line.data])
        places = np.concatenate(
            [frame + np.arange(frames) for frame, frames in line.rows[:, [FRAME, FRAMES]].tolist()]
        )
    steps = np.diff(arrived) % COUNTER_SPAN
    assert np.all((steps > 0) & (steps < COUNTER_SPAN // 2))  # in order, and none twice
    ahead = (places - arrived - (places[0] - arrived[0])) % COUNTER_SPAN
    assert set(np.unique(ahead)) <= {0, PERIOD}
    assert np.mean(ahead != 0) < 0.01


def test_the_loaded_trace_shows_what_it_is_kept_for():
    trace = Trace.load("jack_loaded")
    same_cycle = np.diff(trace.host_frame) == 0
    overwritten = np.flatnonzero(same_cycle & (np.diff(trace.first) == 0))
    assert len(overwritten) > 0
    assert same_cycle.sum() > len(overwritten)
    with replay(trace) as line:
        line.play(trace)
        assert line.finish().overwritten == len(overwritten) * PERIOD


@pytest.mark.parametrize("name", PULSE)
def test_a_host_that_delivers_all_in_bursts_gives_no_false_alarm(name):
    trace = Trace.load(name)
    with replay(trace) as line:
        line.play(trace)
        progress = line.finish()
        assert (progress.host_lost, progress.suspended, progress.unexplained) == (0, 0, 0)


def test_a_prompt_host_gives_no_false_alarm_by_its_times():
    trace = Trace.load("jack_prompt").uncounted()
    with replay(trace) as line:
        line.play(trace)
        progress = line.finish()
        assert (progress.host_lost, progress.unexplained) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("packets", [1, 3, 40, 400])
def test_what_is_taken_out_of_a_prompt_hosts_trace_is_found_exactly(packets, seed):
    whole = Trace.load("jack_prompt").uncounted()
    at = int(np.random.default_rng(seed).integers(200, len(whole.frames) - 1000))
    trace = whole.without(slice(at, at + packets))
    with replay(trace) as line:
        line.play(trace)
        progress = line.finish()
        assert progress.host_lost + progress.suspended == packets * PERIOD
        assert line.gaps == [(at * PERIOD, packets * PERIOD)]
        assert progress.unexplained == 0


@pytest.mark.parametrize("name", ["pulse_idle", "pulse_loaded", "pulse_period_256"])
@pytest.mark.parametrize("seconds", [0.2, 2.0])
def test_what_is_taken_out_of_a_trace_with_bursts_is_right_to_a_period(name, seconds):
    whole = Trace.load(name)
    at = int(np.searchsorted(whole.entry_ns, 6_000_000_000))
    until = int(np.searchsorted(whole.entry_ns, (6 + seconds) * 1e9))
    trace = whole.without(slice(at, until))
    lost = whole.frames[at:until].sum()
    with replay(trace) as line:
        line.play(trace)
        progress = line.finish()
        found = progress.host_lost + progress.suspended
        assert found == pytest.approx(lost, abs=max(PERIOD, RATE // 200))
        assert line.gaps[0][0] == pytest.approx(whole.frames[:at].sum(), abs=PERIOD)


def test_ten_seconds_of_standing_still_are_suspended_right_to_a_period():
    trace = Trace.load("jack_stopped")
    with replay(trace) as line:
        line.play(trace)
        assert line.finish().suspended == pytest.approx(10 * RATE, abs=PERIOD)
