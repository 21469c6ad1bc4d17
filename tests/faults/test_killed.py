"""SIGKILL at any moment: the file opens unrepaired, and lacks a second at most."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support import doomed_writer
from support.doomed_writer import RATE, TOP
from support.effort import LONG
from support.readers import by_ffmpeg, by_soundfile, by_sox, by_wave

GIVE_UP = 60.0
KILLS = 200 if LONG else 40  # the same share of each way

WAYS = [
    {"channels": 2, "settings": {}},
    {"channels": 1, "settings": {"subtype": "PCM_24"}},
    {"channels": 2, "settings": {"subtype": "FLOAT", "bext": True}},
    {"channels": 5, "settings": {"subtype": "PCM_32"}, "dtype": "int32"},
    {"channels": 1, "settings": {"mode": 0o600}, "dtype": "int16"},
    {"channels": 2, "settings": {"rf64": "always"}},
    {"channels": 3, "settings": {"rf64": "always", "subtype": "PCM_24", "bext": True}},
    {"channels": 1, "settings": {"rf64": "always", "subtype": "FLOAT"}},
    {"channels": 2, "settings": {"rotate": 7}},
    {"channels": 1, "settings": {"atomic": True, "fsync": 1.0}},
]


class Nursery:
    """The process whose children are killed."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, doomed_writer.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def kill_one(self, round):
        """Have a file written and its writer killed; returns the frames it had taken."""
        self.process.stdin.write(json.dumps(round) + "\n")
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(GIVE_UP) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


def read_by_all(path, how):
    """Return the frames of a file, of which all readers find the same."""
    readers = [by_sox, by_ffmpeg, by_soundfile]
    settings, channels = how["settings"], how["channels"]
    if not {"rf64", "subtype"} & settings.keys() and channels <= 2:
        readers.append(by_wave)
    found = []
    for reader in readers:
        samples, rate = reader(path)
        assert (rate, samples.shape[1]) == (RATE, channels), reader
        found.append(samples)
    # Where the header says that there is nothing yet, some look for themselves.
    said = found[0]
    assert len(said) == 0 or all(np.array_equal(samples, said) for samples in found)
    return said


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_writer_leaves_a_file_that_opens_and_lacks_a_second_at_most(
    nursery, tmp_path, number
):
    chance = random.Random(number)
    how = {"dtype": "float32"} | WAYS[number % len(WAYS)]
    # Also chunks that do not divide a second, and one of nearly a second.
    how["chunk"] = chance.choice([80, 800, 800, 997, 3500, 7900])
    how["path"] = str(tmp_path / "a.wav")
    how["frames"] = chance.randrange(30 * RATE)
    how["later"] = chance.random() * 0.001
    taken = nursery.kill_one(how)
    assert taken >= how["frames"]

    files = sorted(Path(tmp_path).iterdir())
    if files[-1].stat().st_size == 0:  # killed in the very call after the one that creates it
        files.pop()
    samples = np.concatenate([read_by_all(path, how) for path in files])
    assert taken - RATE <= len(samples) <= taken + how["chunk"]
    places = np.arange(len(samples)) % TOP + 1
    assert np.array_equal(samples, np.repeat(places[:, None], how["channels"], axis=1))
