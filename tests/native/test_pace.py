"""When the next packets are due (csrc/pace.h): the quickest of the last few tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_audio._native import ffi, lib

PACKETS = lib.SA_PACE_PACKETS
FRAME_NS = 1e9 / 48_000
PERIOD = 480
PERIOD_NS = 10_000_000


def pace_of(packets):
    pace = ffi.new("sa_pace *")
    for end, came in packets:
        lib.sa_pace_note(pace, end, came)
    return pace


def on_time(count, first=1):
    return [(n * PERIOD, n * PERIOD_NS) for n in range(first, first + count)]


def due(packets, end):
    return lib.sa_pace_due(pace_of(packets), end, FRAME_NS)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**9)), min_size=1),
    st.integers(0, 10**6),
)
def test_it_is_the_earliest_that_one_of_the_last_few_speaks_for(packets, end):
    expected = min(came + (end - known) * FRAME_NS for known, came in packets[-PACKETS:])
    assert due(packets, end) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("count", [1, 3, PACKETS, 5 * PACKETS])
def test_packets_on_time_are_due_on_time(count):
    assert due(on_time(count), (count + 3) * PERIOD) == pytest.approx((count + 3) * PERIOD_NS)


def test_one_late_packet_changes_nothing():
    packets = on_time(20)
    packets[-1] = (packets[-1][0], packets[-1][1] + 5_000_000)
    assert due(packets, 21 * PERIOD) == pytest.approx(21 * PERIOD_NS)


def test_one_early_packet_tells_at_once():
    packets = on_time(20)
    packets[-1] = (packets[-1][0], packets[-1][1] - 5_000_000)
    assert due(packets, 21 * PERIOD) == pytest.approx(21 * PERIOD_NS - 5_000_000)


def test_after_a_standstill_the_new_pace_is_taken_over_soon():
    packets = on_time(20)
    packets += [(end, came + 7_000_000) for end, came in on_time(PACKETS, first=21)]
    end = (20 + PACKETS + 1) * PERIOD
    assert due(packets, end) == pytest.approx((20 + PACKETS + 1) * PERIOD_NS + 7_000_000)


def test_a_gap_in_the_positions_is_no_delay():
    packets = [(end + 4800, came + 100_000_000) for end, came in on_time(3, first=21)]
    assert due(on_time(20) + packets, 4800 + 24 * PERIOD) == pytest.approx(340_000_000)
