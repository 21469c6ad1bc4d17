"""What people read of the figures, and the verdict on their limits."""

import copy

import pytest

from stream_audio.latency.figures import figures
from stream_audio.latency.report import duration, exceeded, sparkline, table, text
from support.measured import DOCUMENT


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0.0, "0 ns"),
        (87e-9, "87 ns"),
        (1.5e-6, "1.50 µs"),
        (0.0123, "12.3 ms"),
        (0.123, "123 ms"),
        (2.5, "2.50 s"),
    ],
)
def test_durations_have_the_unit_that_suits_them(seconds, said):
    assert duration(seconds) == said


def test_a_table_is_aligned():
    lines = list(table(["", "p50"], [["a", "1 ms"], ["long", "10 ms"]]))
    assert lines == ["        p50", "a      1 ms", "long  10 ms"]


def test_the_text_has_all_that_the_user_needs():
    said = text(DOCUMENT)
    for words in (
        "governor performance",
        "device mic, host API JACK",
        "Periods of 256 frames (5.33 ms), chunks of 256, 48000 Hz, 2 channels",
        "lost: 256 frames (256 host_overflow)",
        "CPU, ms a second: channel 12.3",
        "most that waited in the ring: 10.0 ms",
        "threads: 4 SCHED_OTHER, 1 SCHED_FIFO 70",
        "20.0 ms",
    ):
        assert words in said
    assert "Interrupted" not in said
    assert "BALANCE" not in said


def test_what_was_interrupted_or_does_not_balance_is_said():
    document = copy.deepcopy(DOCUMENT) | {"interrupted": True}
    document["runs"][0]["balanced"] = False
    assert "Interrupted" in text(document)
    assert "DOES NOT BALANCE" in text(document)


def test_a_line_of_bars_shows_every_bucket_that_is_not_empty():
    bars = sparkline(figures([1e-6] * 100_000 + [1.0]))
    assert len(bars) == 24
    assert bars.strip()[0] == "█"
    assert bars.strip()[-1] == "▁"


@pytest.mark.parametrize(
    ("max_p99", "max_lost", "found"),
    [
        (None, None, []),
        (30.0, 256, []),
        (None, 255, ["256 frames were lost, more than 255"]),
        (29.9, None, ["callback to callback: p99 30.0 ms is above 29.9 ms"]),
    ],
)
def test_limits_that_are_exceeded_are_named(max_p99, max_lost, found):
    said = exceeded(DOCUMENT, max_p99, max_lost)
    assert len(said) == len(found)
    for line, expected in zip(said, found, strict=True):
        assert line.endswith(expected)


def test_a_limit_is_exceeded_where_nothing_could_be_measured():
    document = copy.deepcopy(DOCUMENT)
    document["runs"][0]["callback_to"] = {"channel": figures([])}
    assert exceeded(document, 1e9, None) == [
        "load none, period 256, chunk 256, callback to channel: nothing was measured"
    ]


def test_other_libraries_do_not_count_for_the_limits():
    slow = {"lateness": figures([1.0]), "lost_frames": 100_000, "frames": 100_000, "cpu": 1.0}
    ours = {"lateness": figures([0.5]), "lost_frames": 0, "frames": 100_000, "cpu": 0.001}
    contenders = {"none": {"stream_audio": ours, "other": slow}}
    document = DOCUMENT | {"compare": {"loads": contenders, "failures": {"third": "it failed"}}}
    assert exceeded(document, 30.0, 256) == []
    said = text(document)
    assert "2.00 100.00 % 1000.0" in " ".join(said.split())  # twice our p99
    assert "failed: it failed" in said
