"""When a recording goes on in another file."""

import time
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import ConfigError, ConfigTypeError
from stream_audio.files.rotation import Rotation, parse_rotation
from support.effort import examples


@pytest.fixture
def zone(monkeypatch):
    def use(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("1h", Rotation(seconds=3600)),
        ("90 s", Rotation(seconds=90)),
        ("1.5m", Rotation(seconds=90)),
        ("10 MIN", Rotation(seconds=600)),
        ("1d", Rotation(seconds=86_400)),
        (20, Rotation(seconds=20)),
        (0.5, Rotation(seconds=0.5)),
        (timedelta(hours=2), Rotation(seconds=7200)),
        ("500MB", Rotation(size=500_000_000)),
        ("2 GiB", Rotation(size=2**31)),
        ("0.5 mib", Rotation(size=2**19)),
        ("10kB", Rotation(size=10_000)),
        (None, None),
    ],
)
def test_what_is_said_is_understood(said, meant):
    assert parse_rotation(said, align=False) == meant


@pytest.mark.parametrize(
    "said", ["", "1", "h", "1 hour", "-1h", "1e3s", "0s", 0, -5, "1kB", "1h 30m", float("nan")]
)
def test_what_cannot_be_meant_is_refused(said):
    with pytest.raises(ConfigError, match="rotate"):
        parse_rotation(said, align=False)


@pytest.mark.parametrize("said", [True, b"1h", ["1h"]])
def test_what_is_no_amount_is_refused(said):
    with pytest.raises(ConfigTypeError, match="rotate"):
        parse_rotation(said, align=False)


@pytest.mark.parametrize("said", [None, "500MB"])
def test_only_a_time_can_be_aligned(said):
    with pytest.raises(ConfigError, match="align"):
        parse_rotation(said, align=True)


def local(*fields):
    return datetime(*fields).timestamp()


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
def test_boundaries_are_those_of_the_local_day(zone, name):
    zone(name)
    day = Rotation(seconds=86_400, align=True)
    hour = Rotation(seconds=3600, align=True)
    afternoon = local(2026, 6, 1, 15, 20, 1)
    assert day.boundary_after(afternoon) == local(2026, 6, 2)
    assert hour.boundary_after(afternoon) == local(2026, 6, 1, 16)
    assert hour.boundary_after(local(2026, 6, 1, 16)) == local(2026, 6, 1, 17)


def test_a_day_ends_at_midnight_also_when_the_clocks_change(zone):
    zone("Europe/Berlin")
    day = Rotation(seconds=86_400, align=True)
    assert day.boundary_after(local(2026, 3, 29, 1)) == local(2026, 3, 30)  # 23 hours
    assert day.boundary_after(local(2026, 10, 25, 1)) == local(2026, 10, 26)  # 25 hours


def test_an_hour_stays_an_hour_when_the_clocks_change(zone):
    zone("Europe/Berlin")
    hour = Rotation(seconds=3600, align=True)
    for start in (local(2026, 3, 29, 0), local(2026, 10, 25, 0)):
        boundary = start
        for _ in range(6):
            following = hour.boundary_after(boundary)
            assert following - boundary == 3600
            boundary = following


@settings(derandomize=True, deadline=None, max_examples=examples(200))
@given(
    seconds=st.sampled_from([0.5, 1, 7, 60, 900, 3600, 7 * 3600, 86_400, 7 * 86_400]),
    now=st.floats(1.5e9, 2.5e9),
)
def test_a_boundary_is_later_and_not_more_than_a_period(seconds, now):
    boundary = Rotation(seconds=seconds, align=True).boundary_after(now)
    assert now < boundary <= now + max(seconds, seconds + 3600 if seconds > 3600 else 0)
