"""Damaged sound files of all readable formats: no crash, no hang, no wrong count called right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.mutated import WAYS, corpus

ROOT = Path(__file__).parents[2]
AT_ONCE = 250
"""Files of one process; one that a decoder crashes costs no more."""


def examine(first, last, folder):
    """Have files damaged, read and mended, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.mutated", str(first), str(last), str(folder)],
        cwd=ROOT,
        timeout=600,
        capture_output=True,
        check=False,
    )
    number = (folder / "number").read_text()
    assert done.returncode == 0, (number, done.stderr[-2000:])
    assert (folder / "findings").read_text() == ""
    return json.loads((folder / "outcomes").read_text())


def test_all_formats_that_are_read_are_damaged_in_all_ways():
    formats = {whole.name.split()[0] for whole in corpus()}
    assert {"WAV", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC", "OGG", "MP3", "RAW"} <= formats
    assert len(formats) >= 20
    assert len(corpus()) > 100
    assert len(WAYS) > 8


def test_fifty_damaged_files_are_read_for_what_they_are(tmp_path):
    outcomes = examine(0, 50, tmp_path)
    assert sum(outcomes.values()) == 50


@pytest.mark.long
def test_5000_damaged_files_are_read_for_what_they_are(tmp_path):
    outcomes = {"complete": 0, "error": 0, "refused": 0, "unclear": 0}
    for first in range(0, 5000, AT_ONCE):
        for outcome, count in examine(first, first + AT_ONCE, tmp_path).items():
            outcomes[outcome] += count
    print(outcomes)
    assert sum(outcomes.values()) == 5000
    assert min(outcomes.values()) > 100
