"""Every block of the guide to events runs, and its tables have every event and every cause."""

import re
from pathlib import Path

import pytest

import stream_audio
from stream_audio import AudioSource, GapCause, StreamEvent

GUIDE = (Path(__file__).parents[1] / "docs" / "events.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def microphone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    virtual = AudioSource.virtual("sine")
    monkeypatch.setattr(AudioSource, "default_device", staticmethod(lambda: virtual))
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS, ids=["events", "changes", "sources"])
def test_each_block_runs(microphone, block):
    names = {}
    exec(compile(block, "events.md", "exec"), names)
    report = names["session"].report()
    assert report.complete
    assert report.balanced
    assert list(microphone.glob("*.wav"))


def first_columns():
    return set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| [^|]*\|", GUIDE, re.MULTILINE))))


def test_every_event_is_in_the_table():
    events = [
        name
        for name in stream_audio.__all__
        if isinstance(each := getattr(stream_audio, name), type)
        and issubclass(each, StreamEvent)
        and each is not StreamEvent
    ]
    assert len(events) > 10
    assert set(events) <= first_columns()


def test_every_cause_is_in_the_table():
    assert {cause.value for cause in GapCause} <= first_columns()
