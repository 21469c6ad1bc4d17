"""Percentiles, histograms and time lines of durations."""

import json

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from stream_audio import Histogram
from stream_audio.latency.figures import (
    COLUMNS,
    PERCENTILES,
    figures,
    figures_of_histogram,
    hdr,
    histogram_of,
)

DURATIONS = np.random.default_rng(1).lognormal(-8, 2, 20_000)


def test_percentiles_are_durations_that_were_measured():
    found = figures(DURATIONS)
    assert all(found[column] in DURATIONS for column in COLUMNS)


@given(st.lists(st.floats(0, 1e4), min_size=1))
def test_a_percentile_is_the_smallest_that_so_many_do_not_exceed(durations):
    found = figures(durations)
    for name, percent in PERCENTILES.items():
        share = sum(duration <= found[name] for duration in durations) / len(durations)
        below = sum(duration < found[name] for duration in durations) / len(durations)
        assert share * 100 >= percent - 1e-9
        assert below * 100 < percent
    assert found["min"] == min(durations)
    assert found["max"] == max(durations)


def test_they_agree_with_hdr_histogram():
    reference = HdrHistogram(1, 24 * 3600 * 10**9, 3)
    for duration in DURATIONS:
        reference.record_value(round(duration * 1e9))
    found = figures(DURATIONS)
    for name, percent in PERCENTILES.items():
        expected = reference.get_value_at_percentile(percent) * 1e-9
        assert found[name] == pytest.approx(expected, rel=2e-3, abs=2e-9)


def test_an_encoded_histogram_can_be_read_by_hdr_histogram():
    decoded = HdrHistogram.decode(hdr(DURATIONS))
    assert decoded.get_total_count() == len(DURATIONS)
    assert decoded.get_value_at_percentile(99) * 1e-9 == pytest.approx(
        figures(DURATIONS)["p99"], rel=2e-3
    )


def test_without_durations_there_are_no_figures():
    assert figures([]) == {"count": 0, **dict.fromkeys(COLUMNS)}


@given(st.lists(st.floats(0, 1e4), min_size=1))
def test_a_histogram_counts_each_duration_once_where_it_belongs(durations):
    histogram = histogram_of(np.array(durations))
    assert histogram.total == len(durations)
    assert np.all(np.diff(histogram.edges) > 0)
    at_least = np.maximum(durations, 1e-9)
    for lower, upper, count in zip(
        histogram.edges, histogram.edges[1:], histogram.counts, strict=False
    ):
        assert count == np.count_nonzero((at_least >= lower) & (at_least < upper))


def test_figures_of_counts_are_exact_to_a_bucket():
    counted = histogram_of(DURATIONS)
    found, exact = figures_of_histogram(counted), figures(DURATIONS)
    ratio = 10 ** (1 / 20)
    assert found["count"] == exact["count"]
    for column in ("p50", "p90", "p99", "p99.9"):
        assert exact[column] <= found[column] <= exact[column] * ratio * 1.0001


def test_counts_of_nothing_have_no_figures():
    empty = Histogram(np.array([0.0, np.inf]), np.array([0]))
    assert figures_of_histogram(empty) == {"count": 0, **dict.fromkeys(COLUMNS)}


def test_a_time_line_shows_when_it_was_late():
    times = np.arange(1000) * 0.01
    durations = np.where((times >= 5) & (times < 6), 0.2, 0.001)
    line = figures(durations, times)["timeline"]
    late = [at for at, longest in zip(line["seconds"], line["max"], strict=True) if longest > 0.1]
    assert min(late) == pytest.approx(5, abs=0.06)
    assert max(late) == pytest.approx(6, abs=0.06)
    assert min(line["p50"]) == 0.001


def test_a_time_line_leaves_out_when_nothing_came():
    times = np.concatenate([np.arange(100), np.arange(900, 1000)]) * 0.01
    line = figures(np.ones(200), times)["timeline"]
    assert not [at for at in line["seconds"] if 1.2 < at < 8.8]


def test_figures_are_ready_for_json():
    assert json.loads(json.dumps(figures(DURATIONS, np.arange(len(DURATIONS)))))
