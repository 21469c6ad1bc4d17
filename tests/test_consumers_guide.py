"""What docs/consumers.md shows works as it stands."""

import asyncio
import re
from pathlib import Path

import numpy
import pytest

import stream_audio
from stream_audio import AudioSource, ChannelSink, FileSink, FormatPreset, StreamAudio

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "consumers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def tone():
    return AudioSource.virtual("sine", frames=48_000, pace="freewheel")


class WebSocket:
    """Counts what is sent."""

    def __init__(self):
        self.sent = 0

    async def send(self, data):
        self.sent += len(data)


@pytest.fixture
def names(monkeypatch, tmp_path):
    """What the fragments of the guide take for granted, in an empty folder."""
    monkeypatch.setattr(AudioSource, "default_device", lambda **settings: tone())
    monkeypatch.chdir(tmp_path)
    channel = ChannelSink()
    with stream_audio.open(tone(), sinks=[channel], format=FormatPreset.NATIVE) as session:
        session.wait()
    return {
        "numpy": numpy,
        "microphone": tone(),
        "channel": channel,
        "websocket": WebSocket(),
        "StreamAudio": StreamAudio,
        "ChannelSink": ChannelSink,
        "FileSink": FileSink,
    }


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[0])
def test_each_python_block_runs(names, code):
    if "add_sink(channel)" in code:
        names["channel"] = ChannelSink()  # a new one, for the session that the block starts
    if "session.wait" in code:
        names["microphone"] = AudioSource.virtual()  # one that does not end
    exec(compile(code, "consumers.md", "exec"), names)
    if "async def main" in code:
        asyncio.run(names["main"]())
        assert names["websocket"].sent > 0
    if "session" in names:
        assert names["session"].report().balanced
    if "block" in names:
        assert len(names["spectrum"]) == 257


def test_each_file_that_is_named_exists():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", GUIDE) if "://" not in link]
    assert len(links) > 5
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
