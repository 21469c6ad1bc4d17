"""What docs/files.md shows works as it stands."""

import inspect
import json
import re
from pathlib import Path

import pytest
import soundfile

from stream_audio import AudioSource, FileSink, FormatPreset, PipeSink, StreamAudio
from stream_audio.files.writer import Encoding

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
SETTINGS = re.findall(r"(\w+)=", " ".join(re.findall(r"`([^`\n]+=[^`\n]+)`", GUIDE)))


@pytest.fixture
def names(monkeypatch, tmp_path):
    """What the fragments of the guide take for granted, in an empty folder."""

    def default_device(**settings):
        return AudioSource.virtual("sine", frames=5 * 48_000, pace="freewheel")

    monkeypatch.setattr(AudioSource, "default_device", default_device)
    monkeypatch.chdir(tmp_path)
    return {
        "AudioSource": AudioSource,
        "FileSink": FileSink,
        "FormatPreset": FormatPreset,
        "StreamAudio": StreamAudio,
    }


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[0])
def test_each_python_block_runs(names, code):
    exec(compile(code, "files.md", "exec"), names)
    report = names["session"].report()
    assert report.balanced
    assert not any(sink.error for sink in report.sinks.values())
    assert all(soundfile.info(path).frames for path in Path().glob("*.wav"))


def test_the_last_file_has_the_name_that_is_said(names, capsys):
    (code,) = [code for code in BLOCKS if "print(sink.path.name)" in code]
    exec(compile(code, "files.md", "exec"), names)
    assert capsys.readouterr().out == "hours-0003.wav\n"
    assert f"# the last one: {'hours-0003.wav'}" in code


def test_the_ledger_has_the_fields_that_are_shown(names):
    (shown,) = re.findall(r"^```json\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    (code,) = [code for code in BLOCKS if "ledger=True" in code]
    exec(compile(code, "files.md", "exec"), names)
    written = json.loads(Path("hours-0003.wav.json").read_text())
    assert list(written) == list(json.loads(shown))


@pytest.mark.parametrize("setting", sorted(set(SETTINGS)))
def test_each_setting_that_is_named_exists(setting):
    known = {*inspect.signature(FileSink).parameters, *inspect.signature(PipeSink).parameters}
    assert setting in known | set(Encoding.__annotations__)
