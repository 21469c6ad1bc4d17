"""Histograms (csrc/histogram.h): which bucket counts which duration."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_audio._native import ffi, lib

BUCKETS = lib.SA_HISTOGRAM_BUCKETS
EDGES = [lib.sa_histogram_edge(bucket) for bucket in range(BUCKETS)]


def bucket_of(ns):
    histogram = ffi.new("sa_histogram *")
    lib.sa_histogram_record(histogram, ns)
    counts = np.frombuffer(ffi.buffer(histogram.counts), np.uint64)
    assert counts.sum() == 1
    return int(np.argmax(counts))


def test_edges_rise_and_begin_at_nothing():
    assert EDGES[0] == 0
    assert np.diff(EDGES).min() >= 1


def test_no_bucket_is_wider_than_a_64th_of_what_it_counts():
    for lower, upper in itertools.pairwise(EDGES[64:]):
        assert upper - lower <= max(1, lower / 64)


def test_a_minute_is_within_the_range():
    assert EDGES[-1] > 60e9


@given(st.integers(0, EDGES[-1] - 1))
def test_a_duration_is_counted_between_its_edges(ns):
    bucket = bucket_of(ns)
    assert EDGES[bucket] <= ns < EDGES[bucket + 1]


@given(st.integers(0, BUCKETS - 2))
def test_a_bucket_ends_just_before_the_next(bucket):
    assert bucket_of(EDGES[bucket]) == bucket
    assert bucket_of(EDGES[bucket + 1] - 1) == bucket


@given(st.integers(EDGES[-1], 2**63 - 1))
def test_what_is_too_long_is_counted_last(ns):
    assert bucket_of(ns) == BUCKETS - 1


def test_a_clock_that_went_back_counts_as_nothing():
    assert bucket_of(-5) == 0
