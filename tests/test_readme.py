"""What the README shows works as it stands, and what docs/reliability.md names exists."""

import functools
import json
import os
import re
import shlex
from pathlib import Path

import pytest
import soundfile

from stream_audio import AudioSource
from support.command_line import run_command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


PYTHON = blocks("python")
COMMANDS = [
    shlex.split(line[2:])
    for block in blocks("console")
    for line in block.splitlines()
    if line.startswith("$ ")
]


def run_cli(*arguments, cwd=None):
    plain = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return run_command(arguments, plain, cwd=cwd)


@functools.cache
def help_of(command):
    told = run_cli(command, "--help")
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.fixture
def microphone(monkeypatch, tmp_path):
    """Six seconds of a tone, at once, in place of the default device; and an empty folder."""

    def default_device(**settings):
        return AudioSource.virtual("sine", frames=6 * 48_000, pace="freewheel", **settings)

    monkeypatch.setattr(AudioSource, "default_device", default_device)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_block(code):
    variables = {"__name__": "__main__"}
    exec(compile(code, "README.md", "exec"), variables)
    return variables


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.splitlines()[0])
def test_each_python_block_runs(microphone, code):
    report = run_block(code)["session"].report()
    assert report.balanced
    assert not any(sink.error for sink in report.sinks.values())


def test_the_first_block_is_eight_lines_and_does_what_is_said(microphone, capsys):
    assert len([line for line in PYTHON[0].splitlines() if line]) == 8
    run_block(PYTHON[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["0", "-12.0", "dBFS"]
    assert len([line for line in lines if line.endswith("dBFS")]) == 50
    assert lines[-1] == "every frame is accounted for, and none is missing"
    assert "`every frame is accounted for, and none is missing`" in README
    assert soundfile.info(microphone / "mic.wav").frames == 5 * 48_000


def test_the_short_ways_do_what_is_said(microphone):
    variables = run_block(PYTHON[1])
    assert soundfile.info(microphone / "note.wav").frames == 2 * 48_000
    assert variables["samples"].shape == (2 * 48_000, 2)
    assert variables["chunk"].frame == 48_000
    assert variables["heard"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_options_of_each_command_exist(command):
    assert command[0] == "stream-audio"
    told = help_of(command[1])
    for option in command[2:]:
        if option.startswith("-"):
            assert re.search(rf"{re.escape(option)}\b", told), f"{option} is not there"


def test_the_exit_codes_are_those_of_the_command_line(tmp_path):
    table = {int(code) for code in re.findall(r"^\| (\d) \| ", README, re.MULTILINE)}
    told = run_cli("--help").stdout
    epilog = re.search(r"Exit codes: (.*)", told).group(1)
    assert table == {int(code) for code in re.findall(r"\d", epilog)} == {0, 1, 2, 3}
    mine = tmp_path / "mine.wav"
    mine.touch()
    # The file is refused before anything is recorded.
    assert run_cli("record", str(mine), "-d", "1", "--fallback-virtual").returncode == 1
    assert run_cli("record").returncode == 2


def test_the_demonstration_of_the_command_line_works(tmp_path):
    done = run_cli("record", "a.wav", "-d", "0.5", "--fallback-virtual", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["balanced"]
    assert soundfile.info(tmp_path / "a.wav").duration == pytest.approx(0.5)


def test_each_file_that_is_named_exists():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    for name in [*links, "scripts/demo", "scripts/test"]:
        assert (ROOT / name).exists(), f"{name} does not exist"


def test_both_commands_are_scripts_that_can_be_run():
    (try_it,) = [block for block in blocks("sh") if "git clone" in block]
    for script in ("scripts/demo", "scripts/test"):
        assert script in try_it
        assert os.access(ROOT / script, os.X_OK)


def test_each_test_that_the_promises_name_exists():
    promises = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)?::(test_\w+)`", promises)
    assert len(named) == promises.count("::test_") > 20
    path = ""
    for of_path, test in named:
        path = of_path or path  # a name alone is of the file before
        code = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", code, re.MULTILINE), f"{path} has no {test}"
