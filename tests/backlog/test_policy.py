"""What may wait, as users write it."""

import dataclasses

import numpy as np
import pytest

from stream_audio import ConfigError, ConfigTypeError
from stream_audio.backlog.policy import Backlog

STEREO = 48_000 * 2 * 4  # bytes a second


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        (1, 1),
        (33_554_432, 2**25),
        (np.int64(1000), 1000),
        ("1 B", 1),
        ("32 MiB", 2**25),
        ("32MiB", 2**25),
        (" 32 mib ", 2**25),
        ("1.5 KiB", 1536),
        (".5 kB", 500),
        ("2 MB", 2_000_000),
        ("1 GB", 10**9),
        ("2 GiB", 2**31),
        ("1024 GiB", 2**40),
        ("10 s", 10 * STEREO),
        ("10s", 10 * STEREO),
        ("0.5 s", STEREO // 2),
        ("250 ms", STEREO // 4),
        ("1 min", 60 * STEREO),
        ("1.5 h", 5400 * STEREO),
        ("1000 h", 3_600_000 * STEREO),
    ],
)
def test_an_amount_in_bytes_or_seconds(limit, size):
    assert Backlog(limit).limit_bytes(STEREO) == size
    assert Backlog(spill_limit=limit).spill_limit_bytes(STEREO) == size


def test_a_time_without_sources_still_holds_something():
    assert Backlog("10 s").limit_bytes(0) == 1


@pytest.mark.parametrize("name", ["limit", "spill_limit"])
@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (0, ConfigError, "must be from 1 to 1099511627776, not 0"),
        (-1, ConfigError, "not -1"),
        (2**40 + 1, ConfigError, "must be from 1"),
        ("0 MiB", ConfigError, "must be from 1"),
        ("0.1 B", ConfigError, "must be from 1"),
        ("1025 GiB", ConfigError, "must be from 1"),
        ("0 s", ConfigError, "must be from 0.001"),
        ("1001 h", ConfigError, "must be from 0.001 to 3.6e+06"),
        ("", ConfigError, "cannot be read: ''"),
        ("32", ConfigError, "cannot be read: '32'"),
        ("MiB", ConfigError, "cannot be read"),
        ("-1 s", ConfigError, "cannot be read"),
        ("1,5 s", ConfigError, "cannot be read"),
        ("10 frames", ConfigError, "cannot be read: '10 frames'"),
        ("nan s", ConfigError, "cannot be read"),
        ("1e3 s", ConfigError, "cannot be read"),
        ("10 s 10 s", ConfigError, "cannot be read"),
        (10.0, ConfigTypeError, "not 10.0"),
        (True, ConfigTypeError, "not True"),
        (None, ConfigTypeError, "not None"),
        (b"1 s", ConfigTypeError, "not b'1 s'"),
        ((1, "s"), ConfigTypeError, "bytes or a string"),
    ],
)
def test_an_amount_that_cannot_work_is_refused_with_its_name(name, value, error, words):
    with pytest.raises(error, match=name) as caught:
        Backlog(**{name: value})
    assert words in str(caught.value)


def test_an_amount_that_cannot_be_read_is_answered_with_how_to_write_it():
    with pytest.raises(ConfigError) as caught:
        Backlog("lots")
    assert "'32 MiB'" in caught.value.hint
    assert "'10 s'" in caught.value.hint


@pytest.mark.parametrize(
    ("policy", "error", "words"),
    [
        ("keep", ConfigError, "one of spill, drop_oldest, drop_newest, block"),
        ("Block", ConfigError, "'Block'"),
        (1, ConfigTypeError, "when_full must be a string, not 1"),
    ],
)
def test_a_policy_that_does_not_exist_is_refused(policy, error, words):
    with pytest.raises(error, match="when_full") as caught:
        Backlog(when_full=policy)
    assert words in str(caught.value)


def test_the_defaults_are_those_of_the_documentation():
    backlog = Backlog()
    assert backlog.limit_bytes(STEREO) == 32 * 2**20
    assert backlog.spill_limit_bytes(STEREO) == 2 * 2**30
    assert backlog.when_full is None


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Backlog().limit = 1
