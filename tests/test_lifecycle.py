"""A session's life: however it ends, it ends, its file is whole, and nothing stays behind."""

import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import (
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    ConfigError,
    FileClosed,
    FileSink,
    FormatPreset,
    GapCause,
    Retry,
    SessionStarted,
    SessionStopped,
    SinkFailed,
    SourceEnded,
    SourceLost,
    SourceStalled,
    StreamAudio,
    StreamAudioError,
    StreamConfig,
)
from stream_audio.engine.engine import Engine
from stream_audio.testing import Fault, VirtualClock
from support.effort import examples

GIVE_UP = 60.0
"""Real seconds after which a test that would hang fails."""

PROMPT = 8.0
"""Less than the 10 s after which a stop gives a sink up: what takes longer waited in vain."""

RATE = 48_000
SMALL = StreamConfig(ring_duration=5.0, chunk_duration=0.01, raise_on_sink_failure=False)


def counter(frames=None, **settings):
    settings = {"channels": 1, "pace": "freewheel" if frames else "real_time"} | settings
    return AudioSource.virtual("counter", frames=frames, **settings)


def builder(source=None, config=SMALL):
    native = StreamAudio.builder().format(FormatPreset.NATIVE)
    return native.add_source("mic", source or counter()).config(config)


def assert_counts(path, frames=None):
    """The file holds the counter from 0 without a gap, and its header knows of every sample."""
    values, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    if frames is not None:
        assert len(values) == frames
    assert np.array_equal(np.rint(values * 2**23), np.arange(len(values)))
    # All that was written is in the header: what is left is less than a frame and its padding.
    header = 100
    assert len(values) * 4 <= path.stat().st_size <= len(values) * 4 + header
    return len(values)


def float_file(path):
    return FileSink(path, subtype="FLOAT")


_earlier = set()


@pytest.fixture(autouse=True)
def _only_threads_of_this_test():
    """One that another test left behind is that test's failure alone."""
    _earlier.clear()
    _earlier.update(threading.enumerate())


def library_threads():
    running = [thread for thread in threading.enumerate() if thread not in _earlier]
    return [thread for thread in running if thread.name.startswith("stream-audio")]


def wait_for(condition, seconds=GIVE_UP):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


def first_chunk(channel):
    chunk = channel.get(timeout=GIVE_UP)
    assert chunk is not None
    return chunk


def run_program(program, *arguments, timeout=GIVE_UP):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


# ---- dropped, collected, at the end of the interpreter ----


def recorded_warnings(drop):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drop()
        gc.collect()
        return [one for one in caught if issubclass(one.category, ResourceWarning)]


def test_a_dropped_session_stops_itself_and_warns_once(tmp_path):
    path, channel = tmp_path / "a.wav", ChannelSink()
    held = [builder().add_sink(float_file(path)).add_sink(channel).start()]
    first_chunk(channel)
    engine = held[0]._engine
    (warning,) = recorded_warnings(held.clear)
    assert "was dropped while it ran" in str(warning.message)
    assert engine.wait(GIVE_UP)
    report = engine.report()
    assert report.balanced, report
    assert assert_counts(path, report.sources["mic"].captured) > 0


@pytest.mark.parametrize("state", ["at once", "after a chunk", "paused", "its sinks are behind"])
def test_a_dropped_session_is_in_the_log_too(state, caplog):
    """Python shows no ResourceWarning unless it is asked to."""
    channel, slow = ChannelSink(), CallbackSink(lambda chunk: released.wait(GIVE_UP))
    released = threading.Event()
    source = counter(4800) if state == "its sinks are behind" else counter()
    held = [builder(source).add_sink(channel).add_sink(slow).start()]
    if state != "at once":
        first_chunk(channel)
    if state == "paused":
        held[0].pause()
    if state == "its sinks are behind":
        while first_chunk(channel).end != 4800:
            pass
    engine = held[0]._engine
    recorded_warnings(held.clear)
    (told,) = [each for each in caplog.records if "was dropped while it ran" in each.message]
    assert told.levelname == "WARNING"
    assert "mic → " in told.message
    released.set()
    assert engine.wait(GIVE_UP)


def test_a_session_that_has_ended_is_dropped_in_silence():
    held = [builder(counter(480)).add_sink(ChannelSink()).start()]
    assert held[0].wait(GIVE_UP)
    assert recorded_warnings(held.clear) == []
    held = [builder().add_sink(ChannelSink()).start()]
    held[0].stop()
    assert recorded_warnings(held.clear) == []


def test_a_cycle_that_contains_a_session(tmp_path):
    class Recorder:
        def __init__(self, path):
            self.session = builder().add_sink(float_file(path)).start()
            self.me = self

    path = tmp_path / "a.wav"
    held = [Recorder(path)]
    engine = held[0].session._engine
    assert len(recorded_warnings(held.clear)) == 1
    assert engine.wait(GIVE_UP)
    assert_counts(path, engine.report().sources["mic"].captured)


AT_EXIT = """
import atexit, sys, threading

@atexit.register  # before the library's own: runs after it
def tell():
    report = session.report()
    print(report.running, report.balanced, report.sources["mic"].captured)

import stream_audio as s

channel = s.ChannelSink()
source = s.AudioSource.virtual("counter", channels=1)
builder = s.StreamAudio.builder().add_source("mic", source).add_sink(channel)
file = s.FileSink(sys.argv[1], subtype="FLOAT")
session = builder.add_sink(file, format=s.FormatPreset.NATIVE).start()
for _ in range(3):
    channel.get(timeout=60)
if sys.argv[2] == "raise":
    raise ValueError("on purpose")
elif sys.argv[2] == "thread":
    threading.Thread(target=lambda: [channel.get(timeout=60) for _ in range(3)]).start()
"""


@pytest.mark.parametrize(("how", "code"), [("end", 0), ("raise", 1), ("thread", 0)])
def test_an_interpreter_that_exits_with_a_running_session(how, code, tmp_path):
    path = tmp_path / "a.wav"
    result = run_program(AT_EXIT, path, how)
    assert result.returncode == code, result.stderr
    if how != "raise":
        assert result.stderr == ""
    running, balanced, captured = result.stdout.split()
    assert (running, balanced) == ("False", "True")
    assert assert_counts(path, int(captured)) >= 14_400


READERS = {
    "iteration": "for chunk in channel: frames += chunk.frames",
    "get": "while (chunk := channel.get()) is not None: frames += chunk.frames",
    "wait": """
    while channel.wait():
        if (chunk := channel.get()) is None:
            break
        frames += chunk.frames""",
    "blocks": "for chunk in channel.chunks(480): frames += chunk.frames",
    "an event loop": """
    async def read():
        return sum([chunk.frames async for chunk in channel])
    frames = asyncio.run(read())""",
    "a queue": "while (chunk := target.get()) is not None: frames += chunk.frames",
    "the session": "session.wait(); frames = session.report().sources['mic'].captured",
}

NOT_A_DAEMON = """
import asyncio, queue, sys, threading
import stream_audio as s

target = queue.Queue()
channel = s.ChannelSink({target})
builder = s.StreamAudio.builder().add_source("mic", s.AudioSource.virtual("counter", channels=1))
builder.format(s.FormatPreset.NATIVE).add_sink(channel, name="channel")
{more}
session = builder.start()

def read():
    frames = 0
    {reading}
    report = session.report()
    session.wait()
    print(session.report().balanced, session.report().sources["mic"].captured - frames)

threading.Thread(target=read).start()
channel_has_begun = threading.Event()
while session.report().sources["mic"].captured < 4800:
    channel_has_begun.wait(0.01)
"""


@pytest.mark.parametrize(
    ("reading", "beside"),
    [*((each, "alone") for each in READERS), ("iteration", "beside a file")],
)
def test_a_reader_that_is_no_daemon_does_not_keep_the_process(reading, beside, tmp_path):
    """The interpreter waits for such a thread first, and it would wait for the session."""
    path = tmp_path / "a.wav"
    more = "" if beside == "alone" else f"builder.add_sink(s.FileSink({str(path)!r}))"
    target = "target" if reading == "a queue" else ""
    program = NOT_A_DAEMON.format(reading=READERS[reading], target=target, more=more)
    done = run_program(program, timeout=10)
    assert (done.returncode, done.stderr) == (0, "")
    balanced, missing = done.stdout.split()
    assert balanced == "True"
    # The rest that is too short for a block is left out.
    assert 0 <= int(missing) < (480 if reading == "blocks" else 1)
    if more:
        assert soundfile.info(path).frames > 4000


def test_an_interpreter_that_exits_with_a_stuck_sink():
    """What is stuck is given up after 10 s, and the exit does not wait for it any longer."""
    program = (
        "import threading, stream_audio as s\n"
        "entered = threading.Event()\n"
        "def stuck(chunk):\n    entered.set(); threading.Event().wait()\n"
        "builder = s.StreamAudio.builder().add_source('mic', s.AudioSource.virtual())\n"
        "builder.config(s.StreamConfig(raise_on_sink_failure=False))\n"
        "session = builder.add_sink(s.CallbackSink(stuck)).start()\n"
        "assert entered.wait(60)\n"
        "session.stop(timeout=0.1)\n"
    )
    result = run_program(program, timeout=30)
    assert result.returncode == 0, result.stderr


# ---- Ctrl-C ----

INTERRUPTED = """
import sys
import stream_audio as s

source = s.AudioSource.virtual("counter", channels=1)
# All is imported by now: numpy reports a Ctrl-C in its own import as an ImportError.
print("ready", flush=True)
config = s.StreamConfig(chunk_duration=0.01)
sink = s.FileSink(sys.argv[1], subtype="FLOAT")
builder = s.StreamAudio.builder().config(config).add_source("mic", source).add_sink(sink)
builder.format(s.FormatPreset.NATIVE)
with builder.start() as session:
    print("recording", flush=True)
    session.wait()
"""
# Milliseconds after it said that it records.
MOMENTS = random.Random(20_260).sample(range(400), examples(50))


def interrupt(path, milliseconds):
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", INTERRUPTED, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        # Some hit the start itself; those do not wait for the recording.
        if milliseconds >= 60:
            assert process.stdout.readline() == "recording\n"
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        _, errors = process.communicate(timeout=GIVE_UP)
        return process.returncode, errors, time.monotonic() - asked
    finally:
        process.kill()
        process.wait()


def test_ctrl_c_at_any_moment_leaves_a_valid_file_and_exits_at_once(tmp_path):
    paths = [tmp_path / f"{moment}.wav" for moment in MOMENTS]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(interrupt, paths, MOMENTS))
    lengths = []
    for moment, path, (code, errors, seconds) in zip(MOMENTS, paths, outcomes, strict=True):
        assert code == -signal.SIGINT, (moment, errors)
        assert errors.rstrip().endswith("KeyboardInterrupt"), (moment, errors)
        assert "Fatal Python error" not in errors, (moment, errors)
        assert seconds < PROMPT, moment
        if path.exists() or moment >= 60:
            lengths.append(assert_counts(path))
    assert max(lengths) > 4800


CTRL_C_AT_EACH_LINE = """
import itertools, os, signal, sys
import stream_audio as s
from stream_audio.contracts.sink import SinkInfo, SourceInfo

path = sys.argv[1]
info = SinkInfo("it", (SourceInfo("mic", 48_000, 2, "int16"),))

def start_interrupted_at(number):
    lines = itertools.count(1)
    def trace(frame, event, argument):
        if os.sep + "files" + os.sep in frame.f_code.co_filename and next(lines) == number:
            signal.raise_signal(signal.SIGINT)
        return trace
    sink = s.FileSink(path)
    try:
        sys.settrace(trace)
        sink.start(info)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    sink.discard()
    return False

for number in itertools.count(1):
    interrupted = start_interrupted_at(number)
    assert not os.path.exists(path) or os.path.getsize(path) == 80, number
    if os.path.exists(path):
        os.unlink(path)
    if not interrupted:
        break
print(number)
"""


def test_ctrl_c_while_a_file_is_created_leaves_none_that_is_empty(tmp_path):
    result = run_program(CTRL_C_AT_EACH_LINE, tmp_path / "a.wav")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 100


CTRL_C_IN_START = """
import os, signal, sys, threading, time
import stream_audio as s

# Thread.start waits until the thread runs; that is where Ctrl-C gets through.
start = threading.Thread.start
def start_and_interrupt(thread):
    start(thread)
    if thread.name.startswith(sys.argv[2]):
        signal.raise_signal(signal.SIGINT)
threading.Thread.start = start_and_interrupt

source = s.AudioSource.virtual("counter", channels=1)
config = s.StreamConfig(chunk_duration=0.005)
sink = s.FileSink(sys.argv[1], subtype="FLOAT")
builder = s.StreamAudio.builder().config(config).add_source("mic", source).add_sink(sink)
builder.format(s.FormatPreset.NATIVE)
try:
    with builder.start() as session:
        pass
except KeyboardInterrupt:
    left = [thread for thread in threading.enumerate() if thread.name.startswith("stream-audio")]
    for thread in left:
        thread.join(5)
    left = [thread.name for thread in left if thread.is_alive()]
    print("interrupted", left)
"""


@pytest.mark.parametrize("thread", ["stream-audio-sink", "stream-audio-router"])
def test_ctrl_c_while_a_thread_is_being_started(thread, tmp_path):
    path = tmp_path / "a.wav"
    result = run_program(CTRL_C_IN_START, path, thread)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "interrupted []\n"
    assert "Traceback" not in result.stderr
    if path.exists():
        assert_counts(path)


# ---- many ----


def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files():
    return len(os.listdir("/proc/self/fd"))


def native_threads():
    return len(os.listdir("/proc/self/task"))


def one_session():
    channel = ChannelSink()
    building = builder(counter(960)).add_sink(channel).add_sink(CallbackSink(lambda chunk: None))
    with building.on_event(lambda event: None).start() as session:
        frames = sum(chunk.frames for chunk in channel)
    report = session.report()
    assert report.balanced, report
    assert frames == 960 == report.sources["mic"].captured


@pytest.mark.parametrize("sessions", [400, pytest.param(3100, marks=pytest.mark.long)])
def test_hundreds_of_sessions_in_a_row_leave_nothing_behind(sessions):
    for _ in range(100):
        one_session()
    assert wait_for(lambda: not library_threads())
    before, files, threads = resident(), open_files(), native_threads()
    for _ in range(sessions):
        one_session()
    assert wait_for(lambda: not library_threads())
    assert open_files() == files
    assert wait_for(lambda: native_threads() <= threads)
    # A ring alone is 96 kB: a leak of a thing a session would be 38 MB.
    assert resident() - before < 12 * 2**20


def test_a_hundred_sessions_from_threads_at_once():
    one_session()
    assert wait_for(lambda: not library_threads())
    files, threads = open_files(), native_threads()
    meet = threading.Barrier(100)

    def meet_and_run(_):
        meet.wait(GIVE_UP)
        one_session()
        return True

    with ThreadPoolExecutor(100) as pool:
        assert all(pool.map(meet_and_run, range(100)))
    assert wait_for(lambda: not library_threads())
    assert open_files() == files
    assert wait_for(lambda: native_threads() <= threads)


def test_a_hundred_sessions_that_run_at_once():
    """All of them run at the same time, and are stopped from another thread than started them."""
    sessions = [builder().add_sink(ChannelSink()).start() for _ in range(100)]
    assert all(session.running for session in sessions)
    with ThreadPoolExecutor(20) as pool:
        reports = list(pool.map(lambda session: session.stop(), sessions))
    assert all(report.balanced for report in reports)
    assert wait_for(lambda: not library_threads())


# ---- what users' code does inside ----


def test_what_on_event_raises_is_logged_and_harms_nothing(tmp_path, caplog):
    path, seen = tmp_path / "a.wav", []

    def handler(event):
        seen.append(type(event))
        raise ValueError("on purpose")

    with caplog.at_level(logging.ERROR, "stream_audio"):
        session = builder(counter(4800)).add_sink(float_file(path)).on_event(handler).start()
        assert session.wait(GIVE_UP)
        report = session.stop()
    assert seen == [SessionStarted, SourceEnded, FileClosed, SessionStopped]
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == len(seen)
    assert all("on_event raised for" in line for line in logged)
    assert "on purpose" in caplog.text
    assert report.balanced
    assert_counts(path, 4800)


def test_an_exception_in_the_with_body_still_finishes_the_file(tmp_path):
    path, channel = tmp_path / "a.wav", ChannelSink()
    building = builder().add_sink(float_file(path)).add_sink(channel)
    session = building.start()

    def body():
        with session:
            first_chunk(channel)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()
    assert not session.running
    report = session.report()
    assert report.balanced, report
    assert_counts(path, report.sources["mic"].captured)


def test_leaving_a_listen_loop_stops_its_session():
    for chunk in stream_audio.listen(counter(), config=SMALL):
        assert chunk.frames
        break
    gc.collect()
    assert wait_for(lambda: not library_threads())


def test_stop_from_on_event():
    stopped = threading.Event()
    holder = []
    started = threading.Event()

    def handler(event):
        if isinstance(event, SessionStarted):
            assert started.wait(GIVE_UP)
            holder.append(holder[0].stop())
            stopped.set()

    holder.append(builder().add_sink(ChannelSink()).on_event(handler).start())
    started.set()
    assert stopped.wait(PROMPT)
    session, report = holder
    assert not session.running
    assert report.balanced
    assert session.stop() == report


class DirectSink:
    blocking = False

    def __init__(self, function):
        self.write = function


@pytest.mark.parametrize("sink", [CallbackSink, DirectSink])
def test_stop_from_a_sink(sink, tmp_path):
    """A sink that stops its session cannot be waited for by it; the file beside it is whole."""
    path = tmp_path / "a.wav"
    holder, started, returned = [], threading.Event(), threading.Event()

    def enough(chunk):
        assert started.wait(GIVE_UP)
        if not returned.is_set():
            holder[0].stop()
            returned.set()

    holder.append(builder().add_sink(sink(enough), name="it").add_sink(float_file(path)).start())
    started.set()
    (session,) = holder
    assert returned.wait(PROMPT), "stop() waits for the sink that called it"
    assert session.wait(PROMPT)
    report = session.stop()
    assert report.balanced, report
    assert report.sinks["it"].dropped == 0
    assert report.sinks["it"].error == ""
    assert_counts(path, report.sources["mic"].captured)


# ---- a bad sink beside a good one ----


def test_a_raising_sink_beside_a_file(tmp_path):
    path, failures = tmp_path / "a.wav", []

    def broken(chunk):
        raise OSError("on purpose")

    building = builder(
        counter(48_000), StreamConfig(retry=Retry(1, 0.01), raise_on_sink_failure=False)
    )
    building.add_sink(CallbackSink(broken), name="broken").add_sink(float_file(path))
    session = building.on_event(failures.append).start()
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    assert_counts(path, 48_000)
    broken_report = report.sinks["broken"]
    assert (broken_report.delivered, broken_report.pending) == (0, 0)
    assert broken_report.offered == broken_report.dropped
    assert broken_report.error == "OSError: on purpose"
    (event,) = [event for event in failures if isinstance(event, SinkFailed)]
    assert (event.sink, str(event.error), event.detached) == ("broken", "on purpose", True)


def test_a_sink_that_raises_now_and_then_loses_nothing():
    taken, calls = [], []

    def moody(chunk):
        calls.append(chunk.frame)
        if len(calls) % 3 == 0:
            raise OSError("on purpose")
        taken.append(chunk.frame)

    building = builder(
        counter(24_000), StreamConfig(chunk_duration=0.05, retry=Retry(first=0.001))
    )
    with building.add_sink(CallbackSink(moody), name="moody").start() as session:
        assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced, report
    assert report.sinks["moody"].delivered == 24_000
    assert taken == list(range(0, 24_000, 2400))


def test_a_slow_sink_beside_a_file(tmp_path):
    """The slow one falls behind what its backlog holds; the file has everything."""
    path, go_on, frames = tmp_path / "a.wav", threading.Event(), []

    def slow(chunk):
        assert go_on.wait(GIVE_UP)
        frames.append(sum(gap.frames for gap in chunk.gaps) + chunk.frames)

    # Two seconds in real time, and room for 1.6 s of it: enough for the file at any pace.
    config = StreamConfig(chunk_duration=0.01, backlog=Backlog("1.6 s", "drop_oldest"))
    building = builder(counter(2 * RATE, pace="real_time"), config)
    session = building.add_sink(CallbackSink(slow), name="slow").add_sink(float_file(path)).start()
    assert wait_for(lambda: session.report().sources["mic"].position == 2 * RATE)
    go_on.set()
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    slow_report = report.sinks["slow"]
    assert slow_report.dropped > 0
    assert {gap.cause for gap in slow_report.gaps} == {GapCause.BACKLOG_FULL}
    assert sum(frames) == 2 * RATE  # with the gaps it was told of
    assert_counts(path, 2 * RATE)


def test_a_stuck_sink_beside_a_file(tmp_path):
    path, entered, go_on = tmp_path / "a.wav", threading.Event(), threading.Event()

    def stuck(chunk):
        entered.set()
        go_on.wait(GIVE_UP)

    building = builder(counter(48_000))
    building.add_sink(CallbackSink(stuck), name="stuck").add_sink(float_file(path))
    session = building.start()
    assert entered.wait(GIVE_UP)
    assert wait_for(lambda: session.report().sources["mic"].position == 48_000)
    before = time.monotonic()
    report = session.stop(timeout=0.2)
    # Also when the session was ending by itself already, with its own 10 s for the sink.
    assert time.monotonic() - before < PROMPT
    go_on.set()
    assert report.balanced, report
    stuck_report = report.sinks["stuck"]
    assert stuck_report.dropped == 48_000
    assert {gap.cause for gap in stuck_report.gaps} == {GapCause.STOP_TIMEOUT}
    assert "did not finish in time" in stuck_report.error
    assert_counts(path, 48_000)
    assert wait_for(lambda: not library_threads())  # it ends when it is let go
    assert session.report() == report  # and changes nothing any more


# ---- how sources end ----


def test_a_session_ends_by_itself_when_its_sources_have(tmp_path):
    paths = {"a": tmp_path / "a.wav", "b": tmp_path / "b.wav"}
    channel, events = ChannelSink(), []
    building = StreamAudio.builder().config(SMALL).on_event(events.append)
    building.format(FormatPreset.NATIVE)
    for name, path in paths.items():
        building.add_source(name, counter(4800 if name == "a" else 14_400))
        building.add_sink(float_file(path), sources=name)
    session = building.add_sink(channel).start()
    assert session.wait(GIVE_UP)
    assert not session.running
    report = session.stop()
    assert report.balanced, report
    assert_counts(paths["a"], 4800)
    assert_counts(paths["b"], 14_400)
    by_source = {"a": 0, "b": 0}
    for chunk in channel:
        assert chunk.frame == by_source[chunk.source]
        by_source[chunk.source] = chunk.end
    assert by_source == {"a": 4800, "b": 14_400}
    ended = [event.source for event in events if isinstance(event, SourceEnded)]
    assert sorted(ended) == ["a", "b"]  # freewheeling, either may be first
    assert [type(event) for event in (events[0], events[-1])] == [SessionStarted, SessionStopped]
    assert events[-1].balanced


def test_one_of_two_sources_dies_and_the_other_goes_on():
    events, channel = [], ChannelSink()
    building = StreamAudio.builder().config(StreamConfig(clock=VirtualClock()))
    building.add_source("dying", counter(faults=[Fault.die(9600)]))
    building.add_source("living", counter(4 * RATE, pace="real_time"))
    session = building.add_sink(channel).on_event(events.append).start()
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    assert report.sources["living"].captured == 4 * RATE
    assert report.sources["living"].error == ""
    assert 9600 - 256 < report.sources["dying"].captured <= 9600
    assert [event.source for event in events if isinstance(event, SourceLost)] == ["dying"]


@pytest.mark.parametrize("clock", ["virtual", "real"])
def test_a_device_that_dies_ends_the_session(clock, tmp_path):
    path, events = tmp_path / "a.wav", []
    config = StreamConfig(clock=VirtualClock()) if clock == "virtual" else StreamConfig()
    building = builder(counter(faults=[Fault.die(9600)]), config)
    session = building.add_sink(float_file(path)).on_event(events.append).start()
    assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced, report
    (lost,) = [event for event in events if isinstance(event, SourceLost)]
    assert lost.source == "mic"
    assert report.sources["mic"].error == lost.reason
    assert "is gone" in lost.reason
    assert assert_counts(path, report.sources["mic"].captured) > 9600 - 256


def test_a_device_that_hangs_is_reported_once_and_can_be_stopped(tmp_path):
    path, events, stalled = tmp_path / "a.wav", [], threading.Event()

    def handler(event):
        events.append(event)
        if isinstance(event, SourceStalled):
            stalled.set()

    clock = VirtualClock()
    building = builder(counter(faults=[Fault.hang(9600)]), StreamConfig(clock=clock))
    session = building.add_sink(float_file(path)).on_event(handler).start()
    assert stalled.wait(GIVE_UP)
    now = clock.now()
    assert wait_for(lambda: clock.now() > now + 60)  # a minute more, of its time
    assert session.running
    report = session.stop()
    assert report.balanced, report
    (event,) = [event for event in events if isinstance(event, SourceStalled)]
    assert event.source == "mic"
    assert event.seconds >= 3
    assert assert_counts(path, report.sources["mic"].captured) > 9600 - 256


def test_stop_at_once_and_stop_from_many_threads_at_once():
    session = builder().add_sink(ChannelSink()).start()
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda _: session.stop(), range(8)))
    assert all(report == reports[0] for report in reports)
    assert reports[0].balanced


def test_wait_gives_up_after_its_timeout_and_says_so():
    with builder().add_sink(ChannelSink()).start() as session:
        before = time.monotonic()
        assert session.wait(0.05) is False
        assert time.monotonic() - before >= 0.05
        assert session.wait(0) is False
        assert session.running
        with pytest.raises(ConfigError):
            session.wait(-1)
    assert session.wait(0) is True
    assert session.wait() is True


def test_duration_is_exact_to_the_frame(tmp_path):
    path = tmp_path / "a.wav"
    with builder().duration(0.1234).add_sink(float_file(path)).start() as session:
        assert session.wait(GIVE_UP)
    assert session.report().balanced
    assert_counts(path, round(0.1234 * RATE))


def test_a_file_that_is_gone_does_no_harm(tmp_path):
    """Removed while it is written: it is told at the end, or once a second has passed."""
    path, channel = tmp_path / "a.wav", ChannelSink()
    with builder().add_sink(float_file(path)).add_sink(channel).start() as session:
        first_chunk(channel)
        Path(path).unlink()
        first_chunk(channel)
    assert session.report().balanced
    assert "removed" in session.report().sinks["a.wav"].error


@pytest.mark.unbalanced
def test_a_report_that_cannot_be_made_keeps_nobody_waiting(monkeypatch):
    report, calls = Engine.report, []

    def broken_once(self, *, running=None):
        calls.append(running)
        if len(calls) == 1:
            raise ZeroDivisionError("on purpose")
        return report(self, running=running)

    monkeypatch.setattr(Engine, "report", broken_once)
    session = builder(counter(4800)).add_sink(ChannelSink()).start()
    assert session.wait(GIVE_UP)
    with pytest.raises(StreamAudioError, match="a fault in stream_audio") as caught:
        session.stop()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


CLOSE_FAILS = """
import stream_audio as s
from stream_audio.sources.virtual import OpenVirtual

close, closed = OpenVirtual.close, []
def fails_once(opened):
    closed.append(opened)
    if len(closed) == 2:
        raise OSError("on purpose")
    close(opened)
OpenVirtual.close = fails_once

channel = s.ChannelSink()
builder = s.StreamAudio.builder().add_sink(channel)
for name in "abc":
    builder.add_source(name, s.AudioSource.virtual("silence"))
session = builder.start()
channel.get()
try:
    session.stop()
except s.StreamAudioError as error:
    print(error.__cause__, len(closed), len(set(map(id, closed))))
"""


def test_a_source_that_cannot_be_closed_does_not_have_the_others_closed_twice():
    result = run_program(CLOSE_FAILS)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "on purpose 3 3\n"


KEPT_TO_THE_LAST = """
import importlib._bootstrap as last  # a module that goes after all of ours
import sys
import stream_audio as s
from stream_audio.backlog.spill_file import TemporaryStorage
from stream_audio.testing import VirtualClock
from stream_audio.waiting.clock import Sleeper

class Freed:
    def __del__(self, write=sys.stdout.write, flush=sys.stdout.flush):
        write("freed")
        flush()

def run(clock):
    channel = s.ChannelSink()
    builder = s.StreamAudio.builder().add_source("mic", s.AudioSource.virtual()).add_sink(channel)
    return builder.config(s.StreamConfig(clock=clock)).start(), channel

clock = VirtualClock()
loop = s.listen(s.AudioSource.virtual(), duration=60.0)
last.kept = [
    [module for name, module in sys.modules.items() if name.startswith("stream_audio")],
    [clock, Sleeper(clock), Sleeper(VirtualClock()), TemporaryStorage(sys.argv[1])],
    [run(clock), run(s.StreamConfig().clock), next(loop), loop],
    Freed(),
]
"""


def test_what_lives_as_long_as_the_interpreter_is_freed_in_silence(tmp_path):
    """By then the names in the library's modules are gone."""
    result = run_program(KEPT_TO_THE_LAST, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "freed", "")


STUCK_AT_EXIT = """
import threading
import stream_audio as s

stuck = threading.Event()

def write(chunk):
    stuck.set()
    threading.Event().wait()

sink = s.CallbackSink(write)
config = s.StreamConfig(stop_timeout=600.0)
builder = s.StreamAudio.builder().add_source("mic", s.AudioSource.virtual()).add_sink(sink)
session = builder.config(config).start()
stuck.wait()
"""


@pytest.mark.long  # ten seconds each
@pytest.mark.parametrize("way", ["", "raise SystemExit(0)"], ids=["the end", "SystemExit"])
def test_the_end_of_the_interpreter_takes_ten_seconds_in_all_with_a_sink_that_is_stuck(way):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", STUCK_AT_EXIT + way], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert 9 < time.monotonic() - began < 15  # importing included


STUCK_BESIDE_A_FILE = """
import sys
import threading
import stream_audio as s
import stream_audio.session

path, seconds, body = sys.argv[1:]
stream_audio.session.EXIT_TIMEOUT = float(seconds)
stuck = threading.Event()

def write(chunk):
    stuck.set()
    threading.Event().wait()

def tell(event):
    if isinstance(event, s.FileClosed):
        print(event.frames, flush=True)

config = s.StreamConfig(stop_timeout=600.0)
source = s.AudioSource.virtual("counter", channels=1)
builder = s.StreamAudio.builder().config(config).add_source("mic", source).on_event(tell)
builder.add_sink(s.CallbackSink(write)).format(s.FormatPreset.NATIVE)
builder.add_sink(s.FileSink(path, subtype="FLOAT"))
exec(body)
"""
WITH_BLOCK = """
with builder.start() as session:
    stuck.wait()
    print("stuck", flush=True)
    session.wait()
"""
ON_A_LOOP = """
import asyncio

async def main():
    async with builder as session:
        await asyncio.to_thread(stuck.wait)
        print("stuck", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
NO_BLOCK = """
session = builder.start()
stuck.wait()
print("stuck", flush=True)
"""


@pytest.mark.parametrize("seconds", [1, pytest.param(10, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("body", "presses"),
    [(WITH_BLOCK, 2), (ON_A_LOOP, 2), (NO_BLOCK, 0)],
    ids=["with", "async with", "the end"],
)
def test_a_second_ctrl_c_ends_it_in_time_beside_a_whole_file(body, presses, seconds, tmp_path):
    """One sink is stuck for good, and ``stop_timeout`` would leave it ten minutes."""
    path = tmp_path / "a.wav"
    program = [sys.executable, "-c", STUCK_BESIDE_A_FILE, str(path), str(seconds), body]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "stuck\n", process.stderr.read()
        if presses:
            process.send_signal(signal.SIGINT)
        frames = int(process.stdout.readline())  # the file is complete, and the stop goes on
        if presses > 1:
            process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        _, errors = process.communicate(timeout=GIVE_UP)
        took = time.monotonic() - asked
    finally:
        process.kill()
        process.communicate()
    assert ("KeyboardInterrupt" in errors) is (presses > 0), errors
    assert process.returncode == (-signal.SIGINT if presses else 0)
    assert took < seconds + 5  # the end of the interpreter included
    assert assert_counts(path, frames) > 0
