"""The pictures of the site are those that their script draws now, and a page shows each."""

import re
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import stream_audio

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DRAWN = runpy.run_path(str(ROOT / "scripts" / "pictures.py"))["PICTURES"]
FILES = sorted((DOCS / "pictures").glob("*.svg"))


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_what_its_script_draws(name):
    """A session that went another way, or new figures, need new pictures: scripts/pictures.py."""
    kept = (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    assert kept == DRAWN[name]()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_picture_is_for_light_and_dark_and_stays_within_its_edges(file):
    assert file.stem in DRAWN
    tree = ET.parse(file).getroot()
    assert tree.get("aria-label")
    style = tree.find("{*}style").text
    light, _, dark = style.partition("(prefers-color-scheme: dark)")
    colours = re.compile(r"(--\w+): #[0-9a-f]{6}")
    assert colours.findall(light) == colours.findall(dark) != []
    width, height = float(tree.get("width")), float(tree.get("height"))
    for rectangle in tree.iter("{*}rect"):
        x, y, wide, high = (float(rectangle.get(key)) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height


def test_each_picture_is_shown_on_a_page_with_words_for_who_cannot_see_it():
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    shown = re.findall(r"!\[([^\]]+)\]\(pictures/(\w+)\.svg\)", pages)
    assert {name for _, name in shown} == {file.stem for file in FILES} == set(DRAWN)
    assert all(len(words) > 20 for words, _ in shown)


def test_the_picture_of_the_way_names_what_there_is():
    drawn = DRAWN["way"]()
    for name in ("FileSink", "ChannelSink", "CallbackSink", "Merge"):
        assert f">{name}<" in drawn
        assert hasattr(stream_audio, name)
    default = stream_audio.StreamConfig.__doc__.partition("ring_duration")[2]
    assert "``None``: 30 s" in default
    assert "30 s of frames" in drawn
