"""The recording of hours that scripts/soak makes, for a minute."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.long
def test_both_servers_are_killed_during_one_recording_with_a_merge(servers_wanted: None):
    """The program itself holds what it finds against what is promised."""
    command = [sys.executable, str(SOAK), "--minutes", "1.5", "--kill-every", "0.35"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert [name for name, _ in result["kills"]] == ["pulse", "jack"]
    assert result["merge"].keys() == {"jack", "pulse"}
    assert result["faults"] == []


@pytest.mark.long
def test_a_soak_that_is_ended_early_tells_what_it_found(servers_wanted: None):
    command = [sys.executable, str(SOAK), "--minutes", "60", "--kill-every", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as soak:
        assert soak.stdout is not None
        lines = iter(soak.stdout.readline, "killed pulse\n")
        assert all(lines), "it ended before the first kill"
        os.kill(soak.pid, signal.SIGTERM)
        rest, _ = soak.communicate(timeout=60)
    result = json.loads(rest[rest.index("{\n") :])
    assert result["kills"]
    assert result["minutes"] < 2
