"""What docs/how-to/meetings.md shows works as it stands, and the example in ten lines."""

import builtins
import re
import runpy
import sys
from pathlib import Path

import pytest
import soundfile

from stream_audio import AudioSource

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "how-to" / "meetings.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def tones(monkeypatch, tmp_path):
    """Tones in place of the microphone and the loudspeakers, and an empty folder."""
    monkeypatch.setattr(AudioSource, "default_device", lambda: AudioSource.virtual(channels=1))
    monkeypatch.setattr(
        AudioSource, "system", lambda **settings: AudioSource.virtual(frequency=220.0)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_programs_of_the_guide_run_one_after_the_other(tones, capsys):
    names = {}
    for block in BLOCKS:
        exec(compile(block, "docs/how-to/meetings.md", "exec"), names)
    assert names["you"].shape == names["others"].shape
    for folder in ("standup", "review"):
        lengths = {soundfile.info(file).frames for file in (tones / folder).glob("*.wav")}
        assert len(lengths) == 1
    assert "every frame is accounted for" in capsys.readouterr().out


def test_the_example_records_a_meeting_in_ten_lines(tones, monkeypatch, capsys):
    example = ROOT / "examples" / "meeting.py"
    code = example.read_text(encoding="utf-8").rpartition('"""')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    monkeypatch.setattr(sys, "argv", ["meeting.py", "standup"])
    monkeypatch.setattr(builtins, "input", lambda prompt: "")
    runpy.run_path(str(example), run_name="__main__")
    assert len(list((tones / "standup").glob("*.wav"))) == 3
    assert "every frame is accounted for" in capsys.readouterr().out
