"""What docs/feeds.md shows works as it stands."""

import re
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "feeds.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_feed_of_the_guide_is_recorded_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS[0], {})
    assert soundfile.info("call.wav").frames == 16_000
    assert "call" in capsys.readouterr().out


def test_the_pipe_of_the_guide_is_recorded_whole(tmp_path, monkeypatch):
    """With a program in place of ffmpeg that writes a WAV file to its standard output."""
    monkeypatch.chdir(tmp_path)
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 48_000)
    soundfile.write("talk.wav", samples, 16_000, "PCM_16")
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexec cat talk.wav\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    exec(BLOCKS[1], {})
    np.testing.assert_array_equal(soundfile.read("talk.flac")[0], soundfile.read("talk.wav")[0])
