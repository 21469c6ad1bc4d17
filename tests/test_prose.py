"""Prose keeps to one width, and the first line of a public docstring stands alone."""

import inspect
import re
from pathlib import Path

import pytest

import stream_audio

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
WIDTH = 99
ONE_LINK = re.compile(r"\s*(?:[-*] |\d+\. )?<?(?:\[[^\]]*\]\([^)]*\)|https?://\S+?)>?[.,;:]?\s*")
LEANS_ON_SOMETHING = ("Its ", "Their ", "Of ", "That ", "What it ")
"""First words that leave open what is spoken of."""


def lines_that_are_too_long(text):
    """Return the lines of prose beyond the width; tables, code and lone links may be longer."""
    code, found = False, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif len(line) > WIDTH and not (
            code or line.lstrip().startswith("|") or ONE_LINK.fullmatch(line)
        ):
            found.append(number)
    return found


def documented():
    """Yield each public name with its docstring, and those of a class's own public members."""
    for name in sorted(stream_audio.__all__):
        thing = getattr(stream_audio, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        yield name, inspect.getdoc(thing)
        if not inspect.isclass(thing):
            continue
        for member, value in vars(thing).items():
            value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            if not member.startswith("_") and (
                inspect.isfunction(value) or isinstance(value, property)
            ):
                yield f"{name}.{member}", inspect.getdoc(value)


def what_is_wrong(first_line):
    """Return what keeps a first line from standing alone; empty if nothing does."""
    if first_line.startswith(LEANS_ON_SOMETHING):
        return "it begins with a word that leans on something else"
    return "" if first_line.endswith(".") else "it does not end with a full stop"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_is_at_most_99_characters_wide(page):
    assert not lines_that_are_too_long(page.read_text(encoding="utf-8"))


def test_prose_that_is_too_wide_is_found():
    long, link = "word " * 20, f"- [words](https://example.org/{'path/' * 20})."
    text = f"{long}\n| {long} |\n```\n{long}\n```\n{link}\n{link} {long}\n{'x' * WIDTH}\n"
    assert lines_that_are_too_long(text) == [1, 7]


@pytest.mark.parametrize(
    "first_line", ["Its name.", "Of samples.", "What it takes.", "Number of frames"]
)
def test_a_first_line_that_does_not_stand_alone_is_found(first_line):
    assert what_is_wrong(first_line)
    assert not what_is_wrong("Number of frames.")


def test_the_first_line_of_each_public_docstring_stands_alone():
    found = dict(documented())
    assert len(found) > 150
    wrong = {name: what_is_wrong((text or "").partition("\n")[0]) for name, text in found.items()}
    assert not {name: why for name, why in wrong.items() if why}
