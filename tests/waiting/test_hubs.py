"""gevent and eventlet: a session records beside them, or says why not; their hubs go on.

Each test is a program of its own: what they do to a process cannot be undone.
"""

import subprocess
import sys

import pytest

GIVE_UP = 60.0

PATCHED = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}

BESIDE = {
    "gevent": "import gevent; from gevent import monkey, sleep, spawn; {patch}",
    "eventlet": "import eventlet; from eventlet import sleep, spawn; {patch}",
}

THREADS_LEFT = {
    "gevent": "monkey.patch_all(thread=False)",
    "eventlet": "eventlet.monkey_patch(thread=False)",
}


def run(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GIVE_UP
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("library", PATCHED)
def test_where_threads_are_greenlets_a_start_says_what_to_do(library, order):
    lines = [PATCHED[library], "import stream_audio as s"]
    program = "\n".join(lines if order == "before" else reversed(lines))
    told = run(f"""
{program}
source = s.AudioSource.virtual()
for start in (
    s.StreamAudio.builder().add_source("m", source).add_sink(s.ChannelSink()).start,
    lambda: s.record(duration=0.1, source=source),
    lambda: next(s.listen(source)),
):
    try:
        start()
    except s.SessionStateError as error:
        assert {library!r} in str(error) and "thread=False" in error.hint
        print("told")
""")
    assert told == ["told"] * 3


def test_a_session_that_runs_takes_no_sink_once_threads_are_greenlets():
    assert run("""
import os
import stream_audio as s
channel = s.ChannelSink()
session = s.StreamAudio.builder().add_source("m", s.AudioSource.virtual()).add_sink(channel)
session = session.start()
assert channel.get() is not None
from gevent import monkey; monkey.patch_all()
try:
    session.add_sink(s.ChannelSink())
except s.SessionStateError:
    print("told", flush=True)
os._exit(0)  # to end a session without threads is more than anyone can promise
""") == ["told"]


READ = {
    "iteration": "for chunk in channel: note(chunk)",
    "get": "while (chunk := channel.get(timeout=30)) is not None: note(chunk)",
    "latest": "while (chunk := channel.latest()) is not None: note(chunk)",
    "blocks": "for block in channel.chunks(480): note(block)",
    "wait": """
    while channel.wait(30) and (chunk := channel.get(timeout=0)) is not None:
        note(chunk)""",
    "the session": "session.wait(); note(channel.get())",
}


@pytest.mark.parametrize(
    ("library", "patch", "reading"),
    [
        *(("gevent", "", reading) for reading in READ),
        *(("eventlet", "", reading) for reading in ("iteration", "wait", "the session")),
        ("gevent", THREADS_LEFT["gevent"], "iteration"),
        ("eventlet", THREADS_LEFT["eventlet"], "iteration"),
    ],
)
def test_a_greenlet_that_reads_lets_the_others_run(library, patch, reading):
    beside = BESIDE[library].format(patch=patch or "pass")
    frames, ticks, told = run(f"""
{beside}
import stream_audio as s

frames, ticks, events = 0, 0, []

def note(chunk):
    global frames
    frames += chunk.frames

def tick():
    global ticks
    while True:
        sleep(0.001)
        ticks += 1

spawn(tick)
sleep(0.01)
channel = s.ChannelSink()
source = s.AudioSource.virtual("counter", channels=1, frames=36_000)
builder = s.StreamAudio.builder().add_source("m", source).format(s.FormatPreset.NATIVE)
session = builder.add_sink(channel).on_event(events.append).start()
ticks = 0

def read():
    {READ[reading]}

read()
print(frames, ticks, len(events))
assert session.stop().balanced
""")
    assert int(frames) == 36_000 or reading in ("latest", "the session")
    assert int(ticks) > 10  # a reader that blocks would have left none
    assert int(told) > 0


@pytest.mark.parametrize("library", BESIDE)
def test_a_reader_that_never_has_to_wait_lets_the_others_run(library):
    (turns,) = run(f"""
{BESIDE[library].format(patch="pass")}
import time
import stream_audio as s
turns = 0

def tick():
    global turns
    while True:
        turns += 1
        sleep(0)

spawn(tick)
sleep(0.01)
channel = s.ChannelSink()
source = s.AudioSource.virtual(pace="freewheel", frames=48_000 * 20)
builder = s.StreamAudio.builder().add_source("m", source).format(s.FormatPreset.NATIVE)
with builder.add_sink(channel).start() as session:
    while not channel.unread > 48_000 * 10:
        time.sleep(0.01)
    turns, until = 0, time.monotonic() + 0.5
    while time.monotonic() < until and channel.get(timeout=0.1) is not None:
        time.sleep(0.004)  # as a thread does that computes
print(turns)
""")
    assert int(turns) > 5


def test_a_greenlet_that_gives_up_waiting_loses_no_chunk():
    (missing,) = run("""
import gevent
import stream_audio as s
channel = s.ChannelSink()
source = s.AudioSource.virtual("counter", channels=1, frames=24_000)
builder = s.StreamAudio.builder().add_source("m", source).format(s.FormatPreset.NATIVE)
gevent.sleep(0)
frames = 0
with builder.add_sink(channel).start() as session:
    while True:
        with gevent.Timeout(0.003, False):
            if (chunk := channel.get()) is None:
                break
            frames += chunk.frames
print(24_000 - frames)
""")
    assert missing == "0"


@pytest.mark.parametrize(
    ("library", "made"),
    [
        ("gevent", "queue.Queue()"),  # patched
        ("gevent", "__import__('gevent.queue').queue.Queue()"),
        ("eventlet", "__import__('eventlet.queue').queue.Queue()"),
    ],
)
def test_a_queue_of_greenlets_is_refused_as_no_other_thread_may_fill_it(library, made):
    patch = THREADS_LEFT[library] if made == "queue.Queue()" else "pass"
    told = run(f"""
{BESIDE[library].format(patch=patch)}
import queue
import stream_audio as s
try:
    s.ChannelSink({made})
except s.ConfigTypeError as error:
    assert {library!r} in str(error) and "Read the channel" in error.hint
    print("told")
""")
    assert told == ["told"]
