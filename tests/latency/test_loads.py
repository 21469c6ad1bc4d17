"""Loads: they work, they tell what they take of this process, and nothing is left of them."""

import os
import threading
import time
from pathlib import Path

import pytest

from stream_audio.latency.loads import LOADS, Load

GIVE_UP = 60.0

THREADS = [name for name, kind in LOADS.items() if kind.threads]
PROCESSES = [name for name, kind in LOADS.items() if kind.processes]


def all_children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


EARLIER = set()


@pytest.fixture(autouse=True)
def _leave_out_what_others_started():
    """A child of another test may stay, and is none of a load."""
    EARLIER.clear()
    EARLIER.update(all_children())


def children():
    return [each for each in all_children() if each not in EARLIER]


def wait_until(condition):
    until = time.monotonic() + GIVE_UP
    while not condition():
        assert time.monotonic() < until


def new_threads(before):
    """Return those that have come since; one of an earlier test may still be on its way out."""
    return {*threading.enumerate()} - before


def test_without_a_load_nothing_runs():
    before = {*threading.enumerate()}
    with Load("none") as load:
        assert not new_threads(before)
        assert children() == []
        assert load.cpu_seconds == 0


@pytest.mark.parametrize("name", THREADS)
def test_a_load_of_threads_ends_with_its_block(name):
    before = {*threading.enumerate()}
    with Load(name):
        assert len(new_threads(before)) == LOADS[name].threads
    assert not new_threads(before)


def test_processor_time_of_threads_is_told():
    with Load("gil-python") as load:
        wait_until(lambda: load.cpu_seconds > 0.05)
        assert load.cpu_seconds <= time.process_time()


@pytest.mark.parametrize("name", PROCESSES)
def test_a_load_of_processes_is_at_work_and_ends_with_its_block(name, tmp_path):
    with Load(name, tmp_path) as load:
        assert len(children()) == LOADS[name].processes
        assert load.cpu_seconds == 0  # of this process
    assert children() == []


def test_the_disk_load_writes_where_it_was_told(tmp_path):
    with Load("disk", tmp_path):
        wait_until(lambda: any(path.stat().st_size for path in written(tmp_path)))


def written(folder):
    return [path for path in folder.glob("load-*") if path.exists()]


def test_a_load_that_cannot_start_says_so_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="'other-processes' did not start"):
        Load("other-processes", tmp_path).start()
    assert children() == []


def test_a_load_may_be_stopped_twice():
    load = Load("other-processes")
    load.start()
    load.stop()
    load.stop()
    assert children() == []
