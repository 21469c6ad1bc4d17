"""What docs/delivery.md shows works as it stands, and its figures are those of the code."""

import re
from pathlib import Path

import pytest

from stream_audio import AudioSource, Backlog, StreamConfig
from stream_audio.backlog.policy import POLICIES

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
PROSE = " ".join(GUIDE.split())
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def microphone(monkeypatch, tmp_path):
    """Six seconds of a tone, at once, in place of the default device; and an empty folder."""

    def default_device(**settings):
        return AudioSource.virtual("sine", frames=6 * 48_000, pace="freewheel")

    monkeypatch.setattr(AudioSource, "default_device", default_device)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("microphone")
def test_sinks_with_backlogs_of_their_own(capsys):
    exec(compile(BLOCKS[0], "delivery.md", "exec"), names := {})
    report = names["session"].report()
    assert list(report.sinks) == ["talk.wav", "captions", "ChannelSink"]
    assert report.sinks["talk.wav"].delivered == 5 * 16_000
    assert "every frame is accounted for" in capsys.readouterr().out


@pytest.mark.usefixtures("microphone")
def test_a_script_that_fails_with_its_sink(capsys):
    exec(compile(BLOCKS[1], "delivery.md", "exec"), {})
    assert capsys.readouterr().out == "the sink failed: on purpose\n"


def test_every_block_is_run():
    assert len(BLOCKS) == 3


def test_the_table_has_every_policy():
    assert tuple(re.findall(r'^\| `"(\w+)"` \|', GUIDE, re.MULTILINE)) == POLICIES


def test_the_figures_are_those_of_the_code():
    backlog, config = Backlog(), StreamConfig()
    assert backlog.limit_bytes(0) // (48_000 * 2 * 4) == 87
    assert 8.5 < backlog.limit_bytes(0) / (16_000 * 4) / 60 < 9
    assert backlog.spill_limit == "2 GiB"
    assert "holds 87 s of 48 kHz stereo, or almost nine minutes of 16 kHz mono" in PROSE
    waits = [config.retry.wait_before(number) for number in range(1, config.retry.tries + 1)]
    assert waits == [0.1, 0.2, 0.4]
    assert "after 0.1, 0.2 and 0.4 s" in PROSE
