"""The site has every page and every public name, and the programs of its own pages run."""

import asyncio
import io
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from scipy.signal import sosfreqz

import stream_audio
import stream_audio.nats
import stream_audio.testing
from stream_audio import AudioSource

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")]
OWN_TESTS = {
    *("consumers", "delivery", "events", "feeds", "file-formats", "files", "formats"),
    "how-to/meetings",
    "how-to/testing",
    "tutorials/speech-service",
}
"""Guides whose programs have tests of their own, as they take something for granted."""

LONGEST = {
    "tutorials/dictation": 20,
    "how-to/meetings": 12,
    "tutorials/web-page": 35,
    "tutorials/recorder": 15,
    "tutorials/level-meter": 25,
    "tutorials/multichannel": 9,
    "how-to/pipes": 5,
}
"""Lines that the first program of a page may have, imports counted and blank lines not."""


def programs(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def tone(monkeypatch, tmp_path):
    """Two seconds of a tone, at once, in place of the default device; and an empty folder."""

    def default_device(**settings):
        return AudioSource.virtual("sine", frames=2 * 48_000, pace="freewheel", **settings)

    monkeypatch.setattr(AudioSource, "default_device", default_device)
    monkeypatch.setattr(stream_audio, "list_input_devices", list)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in sorted(PAGES) if programs(p) and p not in OWN_TESTS])
def test_the_programs_of_a_page_run_one_after_the_other(page, tone):
    names = {"__name__": "__main__"}
    for program in programs(page):
        exec(compile(program, f"docs/{page}.md", "exec", dont_inherit=True), names)


@pytest.mark.parametrize("page", LONGEST)
def test_a_tutorials_program_is_as_short_as_it_is_said_to_be(page):
    program = programs(page)[0]
    assert len([line for line in program.splitlines() if line.strip()]) <= LONGEST[page]


def test_the_command_line_of_the_pipe_does_what_its_program_does():
    page = (DOCS / "how-to" / "pipes.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\$ (stream-audio [^|]+) \| \w+", page, re.MULTILINE)
    arguments = [*command.split()[1:], "--virtual", "--duration", "0.25"]
    done = subprocess.run([sys.executable, "-m", "stream_audio", *arguments], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    samples, rate = soundfile.read(io.BytesIO(done.stdout))
    assert len(samples) == rate / 4


def test_the_unit_for_systemd_starts_a_recording_with_options_that_there_are(tmp_path):
    """Its options, with a short virtual recording in place of weeks of the microphone."""
    unit = (ROOT / "examples" / "recorder.service").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=%h/\.venv/bin/stream-audio (.+)$", unit, re.MULTILINE)
    arguments = [*command.split(), "--virtual", "--duration", "0.25"]
    command = [sys.executable, "-m", "stream_audio", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    (recording,) = tmp_path.glob("*.flac")
    assert soundfile.info(recording).duration == pytest.approx(0.25)
    assert list(tmp_path.glob("*.flac.json"))


def test_the_page_of_the_tutorial_streams_wav(tone, monkeypatch):
    def device(**settings):
        return AudioSource.virtual("sine", frames=16_000, sample_rate=16_000)

    monkeypatch.setattr(AudioSource, "default_device", device)
    (program,) = programs("tutorials/web-page")
    names = {}
    exec(program, names)
    app = names["app"]

    async def visit():
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://page") as browser,
        ):
            page, live = await browser.get("/"), await browser.get("/live.wav")
        return page.text, live.content

    page, heard = asyncio.run(visit())
    assert "/live.wav" in page
    assert heard[:4] == b"RIFF"
    assert heard[40:44] == b"\xff" * 4
    assert len(heard) > 44 + 16_000  # half a second at the least: it came in mid-session


def test_the_tutorial_of_the_speech_service_sends_everything_and_it_is_confirmed(tone, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    example = str(ROOT / "examples" / "speech_service.py")
    command = [sys.executable, example, "--serve", "--port", port]
    (program,) = programs("tutorials/speech-service")
    assert "8010" in program
    names = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout.readline().startswith("listening")
            exec(program.replace("8010", port), names)
        finally:
            service.terminate()
    (sink,) = names["session"].report().sinks.values()
    assert (sink.delivered, sink.sent) == (2 * 16_000, 0)
    assert "every frame is accounted for" in capsys.readouterr().out


def test_each_page_is_in_the_table_of_contents_once():
    tables = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = [line for table in tables for line in table.splitlines() if line and line[0] != ":"]
    assert sorted(listed) == sorted(set(PAGES) - {"index"})


def test_each_public_name_has_its_place_in_the_reference_once():
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    named = re.findall(r"^\.\. auto(?:class|exception|function):: (\S+)$", pages, re.MULTILINE)
    public = [f"stream_audio.{name}" for name in [*stream_audio.__all__, "open"]]
    testing = [f"stream_audio.testing.{name}" for name in stream_audio.testing.__all__]
    reading = [f"stream_audio.nats.{name}" for name in stream_audio.nats.__all__]
    assert sorted(named) == sorted(public + testing + reading)


@pytest.mark.parametrize(("frequency", "level"), [(63, -26.2), (100, -19.1), (1000, 0), (4000, 1)])
def test_the_level_meter_weights_as_iec_61672_has_it(frequency, level, tone):
    (program,) = programs("tutorials/level-meter")
    names = {}
    exec(program.partition("\nsections = ")[0], names)
    _, response = sosfreqz(names["a_weighting"](48_000), [frequency], fs=48_000)
    assert 20 * np.log10(abs(response[0])) == pytest.approx(level, abs=0.3)
