"""A report that does not balance fails the test, whatever the test itself looks at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream_audio import AudioSource, ChannelSink, StreamAudio, StreamConfig
from stream_audio.testing import VirtualClock

HERE = Path(__file__).parent

TEST = """
import pytest
from stream_audio import AudioSource, ChannelSink, StreamAudio

def run(error):
    tone = AudioSource.virtual("sine", sample_rate=16000, frames=4800, pace="freewheel")
    with StreamAudio.builder().add_source("mic", tone).add_sink(ChannelSink()).start() as session:
        session.wait(60)
        session._engine._ledger.sinks["ChannelSink"].delivered -= error

def test_right():
    run(0)

def test_wrong():
    run(1)

@pytest.mark.unbalanced
def test_wrong_on_purpose():
    run(1)
"""


def test_a_test_whose_report_does_not_balance_fails(tmp_path):
    file = tmp_path / "test_wrong.py"
    file.write_text(TEST)
    pytest_here = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [
            *pytest_here,
            "-c",
            str(HERE.parent / "pyproject.toml"),
            "--rootdir",
            str(tmp_path),
            file,
        ],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "3 passed, 1 error" in result.stdout, result.stdout + result.stderr
    assert "ERROR test_wrong.py::test_wrong - " in result.stdout
    assert "THE REPORT DOES NOT BALANCE" in result.stdout
    assert "offered 4800, but delivered 4799" in result.stdout


@pytest.mark.unbalanced
def test_a_report_that_does_not_balance_is_loud(caplog):
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual())
    builder.config(StreamConfig(clock=VirtualClock(auto=False)))
    session = builder.add_sink(ChannelSink(), name="off").start()
    session._engine._ledger.sinks["off"].delivered += 7
    report = session.stop()
    assert not report.balanced
    assert "THE REPORT DOES NOT BALANCE" in str(report)
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert any("the report does not balance: sink off" in message for message in errors)
