"""Durations, as people write them."""

import pytest
import typer

from stream_audio.cli.options import clock, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90), ("1m", 60), ("1h30m", 5400), ("1h 30m 5s", 5405), ("2.5s", 2.5),
        ("0.25", 0.25), ("1H", 3600), ("10min", 600), ("1.5h", 5400), ("-1", -1),
    ],
)  # fmt: skip
def test_a_duration(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", " ", "long", "nan", "1x", "m", "1m1h", "1:30", "h30m"])
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(typer.BadParameter, match="1h30m"):
        seconds(text)


def test_a_time_for_people():
    assert [clock(value) for value in (0, 59.9, 60, 3661)] == [
        "0:00:00", "0:00:59", "0:01:00", "1:01:01",
    ]  # fmt: skip
