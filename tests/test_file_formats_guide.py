"""What docs/file-formats.md shows works as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stream_audio import AudioSource

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "file-formats.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A tone in place of the microphone, and a WAV whose writer was killed."""

    def default_device():
        return AudioSource.virtual("sine", frames=96_000, pace="freewheel")

    monkeypatch.setattr(AudioSource, "default_device", default_device)
    monkeypatch.chdir(tmp_path)
    soundfile.write("take.wav", np.zeros(1000), 48_000)
    data = bytearray(Path("take.wav").read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    Path("take.wav").write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[0])
def test_each_python_block_runs(folder, code):
    exec(compile(code, "file-formats.md", "exec"), {})
    if "take.opus" in code:
        assert soundfile.info("take.flac").frames == soundfile.info("take.opus").frames == 96_000
    if "repair" in code:
        assert soundfile.info("take.repaired.wav").frames == 1000
