"""Threads that add, remove, pause, read, poll and ask for reports, all at once: nothing breaks.

Without the GIL they really run at once; with it, a short switch interval mixes them.
"""

import itertools
import sys
import threading
import time

import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    FormatPreset,
    Merge,
    StreamAudio,
    StreamConfig,
)

GIVE_UP = 60.0


@pytest.fixture
def mixed():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def stress(seconds, spill_directory):
    """Let them all loose for so long; return the report, and what each poller got."""
    polled, read = ChannelSink(), ChannelSink()
    config = StreamConfig(chunk_duration=0.002, spill_dir=spill_directory)
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).config(config).history(0.2)
    for name in ("a", "b"):
        builder.add_source(name, AudioSource.virtual("counter", channels=1, period=48))
    builder.add_sink(polled, name="polled").add_sink(read, name="read")
    slow = CallbackSink(lambda chunk: time.sleep(0.003))
    spill = Backlog(limit="64 KiB", when_full="spill")
    builder.add_sink(slow, sources=["a", "b"], name="slow", backlog=spill)
    session = builder.start()
    over = threading.Event()
    chunks, errors = [[], [], []], []
    numbers = itertools.count()

    def poll(into):
        try:
            chunk = polled.get(timeout=0)
        except TimeoutError:
            time.sleep(1e-4)
        else:
            if chunk is not None:
                into.append((chunk.source, chunk.frame, chunk.frames))

    def come_and_go():
        session.add_sink(CallbackSink(lambda chunk: None)).remove(timeout=GIVE_UP, drain=False)

    def bring_a_source():
        name = f"source {next(numbers)}"
        session.add_source(name, AudioSource.virtual("counter", channels=1, period=48))
        session.remove_source(name, timeout=GIVE_UP)

    def merge():
        sink = CallbackSink(lambda chunk: None)
        handle = session.add_sink(sink, sources=["a", "b"], merge=Merge(id=f"m{next(numbers)}"))
        handle.remove(timeout=GIVE_UP, drain=False)

    def pause():
        session.pause("a")
        session.resume("a")
        time.sleep(0.01)

    def ask():
        report, stats, memory = session.report(), session.stats(), session.memory()
        assert report.running or report.balanced, report.problems
        assert all(sink.pending >= 0 for sink in stats.sinks.values())
        assert memory.histories >= 0
        session.last(0.1, source="b")

    def loop(step):
        try:
            while not over.is_set():
                step()
        except BaseException as error:
            errors.append(error)

    steps = [come_and_go, bring_a_source, merge, pause, ask, ask, ask]
    steps += [lambda into=into: poll(into) for into in chunks]
    steps.append(lambda: read.latest(timeout=GIVE_UP))
    threads = [threading.Thread(target=loop, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join(GIVE_UP)
        assert not thread.is_alive()
    assert errors == []
    report = session.stop(timeout=GIVE_UP)
    rest = [(chunk.source, chunk.frame, chunk.frames) for chunk in polled]
    return report, [*chunks, rest]


def check(report, chunks):
    assert report.balanced, report.problems
    all_chunks = [each for some in chunks for each in some]
    assert len(set(all_chunks)) == len(all_chunks), "a chunk was handed out twice"
    sink = report.sinks["polled"]
    assert sum(frames for _, _, frames in all_chunks) == sink.delivered


def test_threads_of_all_kinds_do_not_disturb_one_another(mixed, tmp_path):
    check(*stress(0.7, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("times", range(10))
def test_they_do_not_for_long_either(mixed, tmp_path, times):
    check(*stress(10.0, tmp_path))
