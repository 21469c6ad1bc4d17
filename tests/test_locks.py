"""Whatever a signal handler raises, and whenever: no lock stays held, and nothing is lost."""

import ast
import random
import signal
import threading
from pathlib import Path

import pytest

import stream_audio
from stream_audio import (
    AudioSource,
    CallbackSink,
    ChannelSink,
    ConfigError,
    FormatPreset,
    StreamAudio,
    StreamConfig,
)
from stream_audio._locks import InterruptibleLock, Latch
from stream_audio.backlog.queues import BlockingQueue, ChunkQueue, DropNewestQueue
from stream_audio.engine.roster import REMOVED_KEPT
from support.chunks import make_chunk

GIVE_UP = 30.0
TIMES = 2000


class HandlerError(Exception):
    """What the handler raises."""


class Interrupts:
    """Raises in the main thread at random moments, a few microseconds after it is armed."""

    def __init__(self):
        self.dice = random.Random(314)
        self.armed = False
        self.held_back = False

    def handle(self, number, frame):
        if self.armed and not self.held_back:
            self.armed = False
            raise HandlerError

    def during(self, step, times, longest=1e-4):
        """Repeat ``step`` until it was interrupted ``times`` times."""
        for _ in range(times):
            try:
                self._repeat(step, self.dice.uniform(5e-6, longest))
            except HandlerError:
                pass
            except ConfigError as error:
                if not isinstance(error.__cause__, HandlerError):
                    raise  # else it was raised while something of the user's was read

    def _repeat(self, step, seconds):
        self.armed = True
        # Again and again: up to 3.12 Python may overlook one that comes as it looks for others.
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.001)
        while self.armed:
            step()


@pytest.fixture
def interrupts():
    one = Interrupts()
    before = signal.signal(signal.SIGALRM, one.handle)
    yield one
    one.armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def elsewhere(step):
    """Run a step on another thread, which must not have to wait."""
    results = []
    thread = threading.Thread(target=lambda: results.append(step()), daemon=True)
    thread.start()
    thread.join(GIVE_UP)
    assert results, "a lock is still held"
    return results[0]


def test_a_lock_is_free_after_a_block_that_was_interrupted(interrupts):
    lock = InterruptibleLock()
    held = []

    def step():
        with lock:
            pass

    for _ in range(10):
        interrupts.during(step, TIMES // 10)
        held.append(lock._is_owned())
        assert elsewhere(lambda: lock.acquire(timeout=1) and lock.release() is None)
    assert not any(held)


def test_a_lock_that_is_waited_for_is_free_after_an_interrupt(interrupts):
    """Another thread takes it and gives it back all the time."""
    lock, over = InterruptibleLock(), False

    def step():
        with lock:
            pass

    def compete():
        while not over:
            step()

    thread = threading.Thread(target=compete, daemon=True)
    thread.start()
    interrupts.during(step, TIMES // 3)
    over = True
    thread.join(GIVE_UP)
    assert not thread.is_alive()
    assert not lock._is_owned()


@pytest.mark.parametrize("is_set", [False, True])
def test_a_latch_lets_all_through_after_a_wait_that_was_interrupted(interrupts, is_set):
    latch = Latch()
    if is_set:
        latch.set()
    interrupts.during(lambda: latch.wait(0.0), TIMES)
    assert latch.wait(0.0) is is_set
    latch.set()
    assert elsewhere(lambda: latch.wait(GIVE_UP))
    assert elsewhere(lambda: latch.wait(GIVE_UP))


def test_a_latch_lets_all_its_waiters_through():
    latch = Latch()
    through = []
    threads = [
        threading.Thread(target=lambda: through.append(latch.wait(GIVE_UP)), daemon=True)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert not latch.wait(0.01)
    latch.set()
    for thread in threads:
        thread.join(GIVE_UP)
    assert through == [True] * 8


QUEUES = {
    "drop_oldest": lambda: ChunkQueue(2**20),
    "drop_newest": lambda: DropNewestQueue(2**20),
    "block": lambda: BlockingQueue(2**20, lambda: None),
}


@pytest.mark.parametrize("policy", QUEUES)
def test_a_queue_can_be_taken_from_after_a_take_that_was_interrupted(interrupts, policy):
    queue = QUEUES[policy]()
    chunks = [make_chunk(frame, 10) for frame in range(0, 200, 10)]

    def step():
        if not queue.has_any:
            interrupts.held_back = True  # putting is another thread's
            for chunk in chunks:
                queue.put(chunk)
            interrupts.held_back = False
        queue.pop()

    interrupts.during(step, TIMES)
    assert not queue._left._is_owned()
    elsewhere(lambda: list(iter(queue.pop, None)))
    assert queue.frames == queue.bytes == 0


# ---- a session ----


def steps_of(session, channel):
    """Return what the main thread does with a session, each to be interrupted."""

    def pause_and_resume():
        session.resume()  # the last time may have ended between the two
        channel.get(timeout=GIVE_UP)
        session.pause()
        session.resume()

    def come_and_go():
        session.add_sink(CallbackSink(lambda chunk: None)).remove(timeout=GIVE_UP, drain=False)

    return {
        "report": session.report,
        "stats": session.stats,
        "memory": session.memory,
        "last": lambda: session.last(0.01),
        "get": lambda: channel.get(timeout=GIVE_UP),
        "poll": lambda: channel.wait(0) and channel.get(timeout=0),
        "latest": lambda: channel.latest(timeout=GIVE_UP),
        "wait": lambda: session.wait(0.0001),
        "pause": pause_and_resume,
        "sinks": come_and_go,
    }


def interrupt_a_session(interrupts, what, times):
    channel = ChannelSink()
    source = AudioSource.virtual("counter", channels=1, period=48)
    builder = StreamAudio.builder().add_source("mic", source).add_sink(channel, name="channel")
    builder.format(FormatPreset.NATIVE).config(StreamConfig(chunk_duration=0.001))
    if what == "last":
        builder.history(1.0)
    session = builder.start()
    step = steps_of(session, channel)[what]
    longest = 2e-3 if what in ("get", "latest", "pause", "sinks") else 2e-4
    interrupts.during(step, times, longest)
    elsewhere(session.report)
    elsewhere(step)
    report = elsewhere(session.stop)
    rest = elsewhere(lambda: list(channel))
    assert report.balanced, report.problems
    assert all(chunk.frames for chunk in rest)


WHAT = ["report", "stats", "memory", "last", "get", "poll", "latest", "wait", "pause"]
# What a handler raises as an old thread is finalized, Python ignores, and says so.
WHAT.append(
    pytest.param(
        "sinks",
        marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    )
)


@pytest.mark.parametrize("what", WHAT)
def test_a_session_goes_on_whatever_was_interrupted(interrupts, what):
    interrupt_a_session(interrupts, what, 100)


@pytest.mark.long
@pytest.mark.parametrize("what", WHAT)
def test_a_session_goes_on_after_thousands_of_interrupts(interrupts, what):
    interrupt_a_session(interrupts, what, TIMES)


def test_a_sink_whose_adding_was_interrupted_once_it_was_in_is_taken_out(interrupts):
    """And what is kept of it is not mixed up with what is kept of others, a hundred later."""
    raised = threading.Event()

    def handle(number, frame):
        raised.set()
        raise HandlerError

    class Interrupting:
        blocking = False

        def write(self, chunk):
            pass

        def begun(self):  # on the router's thread, while the main thread waits
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
            assert raised.wait(GIVE_UP)

    signal.signal(signal.SIGALRM, handle)
    source = AudioSource.virtual("silence", channels=1)
    with (
        StreamAudio.builder().add_source("mic", source).add_sink(ChannelSink()).start() as session
    ):
        with pytest.raises(HandlerError):
            session.add_sink(Interrupting(), name="interrupting")
        assert session.report().sinks["interrupting"].error == ""
        for _ in range(REMOVED_KEPT + 1):
            session.add_sink(CallbackSink(lambda chunk: None)).remove(drain=False)
        assert "interrupting" not in session.report().sinks
    assert session.report().balanced


# ---- no other locks ----

PACKAGE = Path(stream_audio.__file__).parent

OTHERS = {
    "_locks.py": "what the latch is made of",
    "waiting/signals.py": "released by another thread than waits; no block",
    "sources/probe.py": "released by another thread; no block",
    "sources/stream.py": "released by another thread; no block",
    "cli/stopping.py": "set by the handler itself; nobody waits for it",
}
"""Modules that make locks of `threading`'s, and why no handler leaves one held."""


def test_there_are_no_other_locks():
    unsafe = {"Lock", "RLock", "Event", "Condition", "Semaphore", "Barrier"}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "threading"
        and node.func.attr in unsafe
    }
    found = {name for name in found if not name.startswith("latency/")}  # a program, not a library
    assert found == set(OTHERS)
