"""The round trip's exchange (csrc/round_trip.h), period by period, without a device."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_audio._native import ffi, lib
from stream_audio._native.round_trip import RoundTrip

OVERFLOW, UNDERFLOW = 2, 4  # paInputOverflow, paOutputUnderflow in portaudio.h

SIGNAL = np.arange(1, 8, dtype=np.float32) / 8


def exchange(trip, heard, count, *, flags=0):
    """Return what was played in one period, shape (count, outputs)."""
    played = np.full((count, trip.outputs), np.nan, np.float32)
    given_in = ffi.NULL if heard is None else ffi.cast("float *", heard.ctypes.data)
    into = ffi.cast("float *", played.ctypes.data)
    lib.sa_round_trip_exchange(trip.native, given_in, into, count, flags)
    return played


@given(
    periods=st.lists(st.integers(1, 20), min_size=1, max_size=20),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 3),
    room=st.integers(1, 200),
)
def test_the_signal_goes_round_and_what_is_heard_is_kept_in_order(periods, inputs, outputs, room):
    trip = RoundTrip(SIGNAL, room, inputs=inputs, outputs=outputs)
    everything = np.arange(sum(periods) * inputs, dtype=np.float32).reshape(-1, inputs)
    played, at = [], 0
    for count in periods:
        played.append(exchange(trip, everything[at : at + count].copy(), count))
        at += count
    expected = np.resize(SIGNAL, at)
    assert np.array_equal(np.concatenate(played), np.repeat(expected[:, None], outputs, axis=1))
    assert np.array_equal(trip.heard(), everything[:room])
    assert trip.progress().frames == min(at, room)


def test_a_host_without_a_buffer_was_heard_as_silence():
    trip = RoundTrip(SIGNAL, 100, inputs=1, outputs=1)
    exchange(trip, None, 10)
    exchange(trip, np.ones((5, 1), np.float32), 5)
    assert trip.heard()[:, 0].tolist() == [0.0] * 10 + [1.0] * 5


@pytest.mark.parametrize(
    ("flags", "overflows", "underflows"),
    [(0, 0, 0), (OVERFLOW, 1, 0), (UNDERFLOW, 0, 1), (OVERFLOW | UNDERFLOW, 1, 1)],
)
def test_what_the_host_says_is_counted(flags, overflows, underflows):
    trip = RoundTrip(SIGNAL, 100, inputs=1, outputs=1)
    exchange(trip, np.zeros((5, 1), np.float32), 5, flags=flags)
    exchange(trip, np.zeros((5, 1), np.float32), 5)
    assert trip.progress() == (10, overflows, underflows)
