"""The thread that spills, and the folder it spills to."""

import os
import threading

import numpy as np
import pytest

from stream_audio import AudioChunk, ConfigError
from stream_audio.backlog import spill_directory as module
from stream_audio.backlog.spill_directory import spill_directory
from stream_audio.backlog.spill_thread import SpillThread
from stream_audio.backlog.spilling_queue import SpillingQueue
from stream_audio.testing import VirtualClock

THREAD = "stream-audio-spill"


def chunk(frame, frames=10):
    data = np.zeros((frames, 1), np.float32)
    return AudioChunk("mic", data, 48_000, frame, 1000.0, 0.0)


def spilling_threads():
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


class Session:
    """What a session has of it."""

    def __init__(self, directory=None):
        self.clock = VirtualClock()
        self.seat = self.clock.signal()
        self.spill = SpillThread(self.clock, directory)
        self.failures = []

    def queue(self, limit=160):
        return SpillingQueue(
            limit, 2**30, self.spill.open_storage, self.spill.ask, self.failures.append
        )

    def let_it_work(self):
        self.seat.wait(1.0)  # virtual time stands still until the thread sleeps again

    def close(self):
        threads = spilling_threads()
        self.spill.close()
        self.seat.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def session(tmp_path):
    session = Session(tmp_path)
    yield session
    session.close()


def test_there_is_no_thread_until_memory_does_not_suffice(session):
    queue = session.queue()
    for i in range(4):
        queue.put(chunk(10 * i))
    assert spilling_threads() == []
    queue.put(chunk(40))
    assert len(spilling_threads()) == 1


def test_one_thread_serves_all_queues(session):
    queues = [session.queue() for _ in range(5)]
    for i in range(12):
        for queue in queues:
            assert queue.put(chunk(10 * i)) == ()
        session.let_it_work()
    assert len(spilling_threads()) == 1
    for queue in queues:
        assert queue.memory_bytes <= 160
        assert [one.frame for one in iter(queue.pop, None)] == [10 * i for i in range(12)]
    assert session.failures == []


def test_what_was_asked_for_is_done_before_it_ends(session):
    queue = session.queue()
    for i in range(8):
        queue.put(chunk(10 * i))
    session.close()
    assert queue.memory_bytes <= 160
    assert [one.frame for one in iter(queue.pop, None)] == [10 * i for i in range(8)]


def test_a_system_that_has_no_thread_left_is_a_disk_that_failed(session, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    queue = session.queue()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        dropped = [gap for i in range(8) for gap in queue.put(chunk(10 * i))]
    assert [str(error) for error in session.failures] == ["can't start new thread"]
    assert sum(gap.frames for gap in dropped) == 40  # it holds what fits the limit
    session.let_it_work()  # and no seat was left that would hold time up


def test_a_folder_that_went_away_is_a_disk_that_failed(tmp_path):
    folder = tmp_path / "spill"
    folder.mkdir()
    session = Session(folder)
    session.spill.check()
    folder.rmdir()
    queue = session.queue()
    for i in range(5):
        queue.put(chunk(10 * i))
    session.let_it_work()
    assert "No such file" in str(session.failures[0])
    assert [one.frame for one in iter(queue.pop, None)] == [10 * i for i in range(5)]
    session.close()


# ---- the folder ----


def test_the_one_that_is_given_is_taken(tmp_path):
    assert spill_directory(tmp_path) == str(tmp_path)


def test_memory_is_no_disk(tmp_path, monkeypatch):
    """Checked against this system's own table, with the type of that file system replaced."""
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "24 1 7:3 / / rw - ext4 /dev/sda rw\n"
        f"25 24 {os.major(device)}:{os.minor(device)} / /a\\040b rw shared:1 - tmpfs none rw\n"
    )
    monkeypatch.setattr(module, "MOUNTS", mounts)
    with pytest.raises(ConfigError, match="it is in memory") as caught:
        spill_directory(tmp_path)
    assert "spill_dir" in caught.value.hint


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no tmpfs at /dev/shm to try")
def test_the_systems_own_memory_is_recognised():
    with pytest.raises(ConfigError, match="it is in memory"):
        spill_directory("/dev/shm")


def test_a_system_that_has_no_table_is_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOUNTS", tmp_path / "none")
    assert spill_directory(tmp_path) == str(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        spill_directory(tmp_path / "missing")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="not a folder"):
        spill_directory(file)


def test_the_first_that_will_do_is_the_default(tmp_path, monkeypatch):
    """Temporary files in memory: the next is tried."""
    usable = ["/var/tmp"]
    problem = module._problem
    monkeypatch.setattr(
        module, "_problem", lambda path: "" if path in usable else problem("/missing")
    )
    assert spill_directory(None) == "/var/tmp"
    usable[:] = [os.path.expanduser("~")]
    assert spill_directory(None) == os.path.expanduser("~")
    usable.clear()
    with pytest.raises(ConfigError, match="no folder to spill to") as caught:
        spill_directory(None)
    assert "/var/tmp: No such file" in str(caught.value)


def test_many_threads_that_ask_at_once_get_one_thread(session):
    queue = session.queue(limit=2**20)
    together = threading.Barrier(8)

    def ask():
        together.wait()
        for _ in range(100):
            session.spill.ask(queue)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(spilling_threads()) == 1
    assert len(session.spill._asking) <= 1
