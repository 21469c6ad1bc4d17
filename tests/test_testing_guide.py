"""The guide to tests of programs: its test file passes, its program runs, its table is whole."""

import re
import subprocess
import sys
from pathlib import Path

from stream_audio.testing import Incident

GUIDE = (Path(__file__).parents[1] / "docs" / "how-to" / "testing.md").read_text("utf-8")
WITH_PYTEST, WITHOUT = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def test_the_fixtures_are_there_once_the_package_is_installed(tmp_path):
    Path(tmp_path, "test_minutes.py").write_text(WITH_PYTEST)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "10 passed" in run.stdout


def test_the_program_without_pytest_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(WITHOUT, "testing.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "headset 48000\nwebcam 16000\n" in printed
    assert "frames (suspended)" in printed


def test_every_incident_is_in_the_table():
    made = {name for name, each in vars(Incident).items() if isinstance(each, classmethod)}
    assert made == set(re.findall(r"^\| `Incident\.(\w+)\(", GUIDE, re.MULTILINE))
