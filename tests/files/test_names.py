"""What the files of a recording are called."""

from datetime import datetime
from pathlib import Path

import pytest

from stream_audio import ConfigError
from stream_audio.files.names import Names

NOON = datetime(2026, 3, 29, 12, 5, 9)


@pytest.mark.parametrize(
    ("given", "index", "expected"),
    [
        ("{start:%Y%m%d-%H%M%S}-{index:04}.wav", 7, "20260329-120509-0007.wav"),
        ("{start:%H:%M}.wav", 1, "12:05.wav"),
        ("{start}.wav", 1, "20260329-120509.wav"),
        ("take {index}.wav", 12, "take 12.wav"),
        ("{index:>3}.flac", 2, "  2.flac"),
        ("{index}{index}.wav", 2, "22.wav"),
    ],
)
def test_a_template_is_filled_in(given, index, expected):
    assert Names(Path(given), numbered=True).name(index, NOON) == Path(expected)


@pytest.mark.parametrize("name", ["{1}.wav", "{}.wav", "{other}.wav", "{start.wav", "a{{b}}.wav"])
def test_other_braces_are_a_name_like_any_other(name):
    assert Names(Path(name), numbered=False).name(1, NOON) == Path(name)


@pytest.mark.parametrize("path", ["{start}/a.wav", "{index}/b/a.wav", "{start:%Y/%m}.wav"])
def test_a_folder_cannot_be_made_from_a_template(path):
    with pytest.raises(ConfigError, match="folder"):
        Names(Path(path), numbered=False)


def test_other_braces_in_a_folder_are_left_alone():
    path = Path("{4c8a}") / "a{index}.wav"
    assert Names(path, numbered=False).name(3, NOON) == Path("{4c8a}") / "a3.wav"


def test_without_a_template_the_number_follows_the_name():
    several = Names(Path("d/a.b.wav"), numbered=True)
    assert [several.name(i, NOON).name for i in (1, 2)] == ["a.b-0001.wav", "a.b-0002.wav"]


def test_a_file_that_was_to_be_the_only_one_is_plain():
    one = Names(Path("a.wav"), numbered=False)
    assert [one.name(i, NOON).name for i in (1, 2)] == ["a.wav", "a-0002.wav"]
    fallback = Names(Path("b.wav"), numbered=False, first=3)
    assert [fallback.name(i, NOON).name for i in (3, 4)] == ["b.wav", "b-0004.wav"]


@pytest.mark.parametrize("name", ["{index:x y}.wav", "{start:\0}.wav"])
def test_a_format_that_makes_no_name_is_refused(name):
    with pytest.raises(ConfigError, match=r"\{(start|index)"):
        Names(Path("x") / name, numbered=True)
