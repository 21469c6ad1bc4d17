"""What docs/feeds.md shows works as it stands."""

import re
from pathlib import Path

import soundfile

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "feeds.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_feed_of_the_guide_is_recorded_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS[0], {})
    assert soundfile.info("call.wav").frames == 16_000
    assert "call" in capsys.readouterr().out
