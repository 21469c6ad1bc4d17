"""What the files of a recording are called."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stream_audio import ConfigError
from stream_audio.files import names
from stream_audio.files.names import Names, in_folder, last_part

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
        ("{start:%Y-%m-%d}/{index}.wav", 2, "2026-03-29/2.wav"),
        ("{start:%Y/%m/%d}/{start:%H%M}.wav", 1, "2026/03/29/1205.wav"),
        ("d/{start:%Y/%m}.wav", 1, "d/2026/03.wav"),
        ("{index}/{index:03}.wav", 4, "4/004.wav"),
        ("{start:%-d.%m. %I%p}.wav", 1, "29.03. 12PM.wav"),
        ("{start:100%%}.wav", 1, "100%.wav"),
        ("a{{b}}.wav", 1, "a{b}-0001.wav"),
        ("{{start}}/{{{start:%H}}}.wav", 1, "{start}/{12}.wav"),
    ],
)
def test_a_template_is_filled_in(given, index, expected):
    assert Names(Path(given), numbered=True).name(index, NOON) == Path(expected)


@pytest.mark.parametrize(
    "path",
    [
        *("{1}.wav", "{}.wav", "{strat}.wav", "{strat:%Y}/a.wav", "{4c8a}/a{index}.wav"),
        *("{start.wav", "a}.wav", "{Start}.wav", "{start!r}.wav"),
    ],
)
def test_an_unknown_field_is_refused(path):
    with pytest.raises(ConfigError, match=r"unknown field|lone brace") as caught:
        Names(Path(path), numbered=False)
    assert "{utc}" in caught.value.hint


@pytest.mark.parametrize("directive", ["%Q", "%", "%-", "%E", "%i", "%é", "%:z"])
@pytest.mark.parametrize("field", ["start", "utc"])
def test_an_unknown_directive_is_refused(field, directive):
    with pytest.raises(ConfigError, match="there is no %"):
        Names(Path(f"{{{field}:%Y{directive}}}.wav"), numbered=True)


def test_what_directives_there_are_the_system_knows():
    """It would leave unknown ones as they are."""
    for directive in sorted(names._DIRECTIVES - {"%"}):
        assert not NOON.strftime(f"%{directive}").startswith("%"), directive


def test_utc_is_the_same_moment(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        start = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
        made = Names(Path("{start:%d-%H%M%z} {utc} {utc:%H:%M%z}.wav"), numbered=True)
        assert made.name(1, start).name == "29-0630+0530 20260329-010000Z 01:00+0000.wav"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("path", "root", "depth"),
    [
        ("a.wav", ".", 0),
        ("/a.wav", "/", 0),
        ("/{index}.wav", "/", 0),
        ("d/e/{start:%Y/%m}/{index}.wav", "d/e", 2),
        ("d/e{start:%Y}/f/a.wav", "d", 2),
        ("d{{x}}/{start:%Y/%m}.wav", "d{x}", 1),
    ],
)
def test_the_folder_that_must_be_there_is_above_the_first_field(path, root, depth):
    made = Names(Path(path), numbered=False)
    assert (made.root, made.depth) == (Path(root), depth)


def test_a_template_keeps_its_folders_in_another_folder():
    template = in_folder(Path("/s{1}"), Path("/d/{start:%Y/%m}/{index}.wav"))
    assert Names(template, numbered=True).name(2, NOON) == Path("/s{1}/2026/03/2.wav")
    assert in_folder(Path("/s"), Path("/d/a.wav")) == Path("/s/a.wav")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("d/a.wav", "a.wav"),
        ("d/{start:%Y/%m}.wav", "{start:%Y/%m}.wav"),
        ("{index}/b.wav", "b.wav"),
    ],
)
def test_the_name_of_a_template_is_its_last_part(path, expected):
    assert last_part(Path(path)) == expected


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
