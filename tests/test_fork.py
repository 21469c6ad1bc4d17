"""A fork in the middle of a recording: the parent loses nothing, the child is told clearly.

Each test is a program of its own: a fork copies everything, and pytest is better not copied.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

GIVE_UP = 60.0

PREAMBLE = """
import atexit, gc, multiprocessing, os, sys, threading, traceback
import stream_audio as s

def start(path, **handlers):
    channel = s.ChannelSink()
    source = s.AudioSource.virtual("counter", channels=1)
    config = s.StreamConfig(chunk_duration=0.01)
    building = s.StreamAudio.builder().config(config).add_source("mic", source)
    file = s.FileSink(path, subtype="FLOAT")
    # Not resampled: a child forked within a call of soxr prints as it ends that objects are left.
    building.format(s.FormatPreset.NATIVE).add_sink(channel).add_sink(file)
    session = building.on_event(lambda event: None).start()
    assert channel.get(timeout=60) is not None
    return session, channel

def end(session, channel):
    "The parent goes on for a while, and then says what it has."
    for _ in range(10):
        assert channel.get(timeout=60) is not None
    report = session.stop()
    print(report.balanced, report.sources["mic"].captured, report.sources["mic"].lost, flush=True)

def wait_for(child):
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code == 0, f"the child ended with {code}"

def refused(call):
    try:
        call()
    except s.ForkedProcessError as error:
        assert isinstance(error, RuntimeError)
        assert "forked child" in str(error) and "spawn" in error.hint
    else:
        raise AssertionError("not refused")
"""


def run(program, folder, timeout=GIVE_UP):
    path = Path(folder, "a.wav")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", PREAMBLE + program, str(path)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    balanced, captured, lost = result.stdout.split()
    assert (balanced, lost) == ("True", "0")
    values, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(np.rint(values * 2**23), np.arange(int(captured)))


@pytest.mark.parametrize(
    "ending",
    [
        "os._exit(0)",
        "sys.exit(0)",  # through atexit and finalizers
        "del session, channel; gc.collect(); sys.exit(0)",
        "start = None; raise SystemExit(0)",
    ],
)
def test_the_parent_loses_nothing_and_the_child_ends(ending, tmp_path):
    program = f"""
session, channel = start(sys.argv[1])
child = os.fork()
if child == 0:
    {ending}
wait_for(child)
end(session, channel)
"""
    run(program, tmp_path)


USES = {
    "stop": "session.stop()",
    "close": "session.close()",
    "wait": "session.wait(0.2)",
    "report": "session.report()",
    "get": "channel.get(timeout=0.2)",
    "start": "s.open(s.AudioSource.virtual(), sinks=[s.ChannelSink()])",
    "record": "s.record(duration=0.1, source=s.AudioSource.virtual(pace='freewheel'))",
    "listen": "next(s.listen(s.AudioSource.virtual()))",
    "list": "s.list_input_devices()",
    "default": "s.default_input_device()",
    "clock": "testing.VirtualClock()",
}


def test_the_child_is_told_what_it_cannot_do(tmp_path):
    """Without it, most of these would wait for threads that the child does not have."""
    uses = ", ".join(f"{name!r}: lambda: {call}" for name, call in USES.items())
    program = f"""
from stream_audio import testing
session, channel = start(sys.argv[1])
not_refused = []
for name, call in {{{uses}}}.items():
    child = os.fork()
    if child == 0:
        while channel.unread:  # what the parent has not read yet, the child has too
            channel.get()
        try:
            refused(call)
        except BaseException as error:
            print(name, repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        not_refused.append(name)
assert not_refused == [], not_refused
end(session, channel)
"""
    run(program, tmp_path)


def test_a_start_that_the_child_tries_leaves_no_thread_behind(tmp_path):
    program = """
session, channel = start(sys.argv[1])
child = os.fork()
if child == 0:
    source = s.AudioSource.virtual()
    building = s.StreamAudio.builder().add_source("mic", source).add_sink(s.ChannelSink())
    try:
        refused(building.on_event(print).start)
        left = [thread.name for thread in threading.enumerate() if "stream-audio" in thread.name]
        assert left == [], left
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
wait_for(child)
end(session, channel)
"""
    run(program, tmp_path)


def test_a_child_that_leaves_the_with_block(tmp_path):
    """As in a pre-forking program: sys.exit in the child passes the parent's ``with``."""
    program = """
session, channel = start(sys.argv[1])
child = None
with session:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    wait_for(child)
    end(session, channel)
"""
    run(program, tmp_path)


def test_an_error_in_the_child_is_not_hidden_by_the_with_block(tmp_path):
    program = """
session, channel = start(sys.argv[1])
try:
    with session:
        child = os.fork()
        if child == 0:
            raise KeyError("the child's own")
        wait_for(child)
        end(session, channel)
except KeyError:
    os._exit(0)
except BaseException as error:
    print(repr(error), file=sys.stderr, flush=True)
    os._exit(1)
"""
    run(program, tmp_path)


def test_many_forks_while_it_records(tmp_path):
    program = """
session, channel = start(sys.argv[1])
for number in range(10):
    child = os.fork()
    if child == 0:
        del session, channel
        gc.collect()
        (sys.exit if number % 2 else os._exit)(0)
    wait_for(child)
end(session, channel)
"""
    run(program, tmp_path)


def test_a_fork_after_the_session(tmp_path):
    program = """
session, channel = start(sys.argv[1])
end(session, channel)
child = os.fork()
if child == 0:
    del session, channel
    gc.collect()
    sys.exit(0)
wait_for(child)
"""
    run(program, tmp_path)


def test_subprocesses_while_it_records(tmp_path):
    program = """
import subprocess
session, channel = start(sys.argv[1])
for _ in range(5):
    subprocess.run(["/bin/true"], check=True)
end(session, channel)
"""
    run(program, tmp_path)


def test_a_child_that_imports_the_library_itself_may_use_it(tmp_path):
    """The process that loads it counts: a pre-forking server whose workers import it."""
    program = """
import os, sys
assert "stream_audio" not in sys.modules
child = os.fork()
if child == 0:
    import stream_audio as s
    source = s.AudioSource.virtual("counter", pace="freewheel")
    frames = s.record(duration=0.1, source=source).shape[0]
    sys.exit(0 if frames == 4800 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )
    assert result.returncode == 0, result.stderr


DESCRIBED = {
    "a virtual source": "s.AudioSource.virtual()",
    "a device": "s.AudioSource.device('usb', channels=[1])",
    "the default device": "s.AudioSource.default_device()",
    "a file": "s.AudioSource.file(sys.argv[2])",
    "sinks": "s.FileSink('b.wav'), s.ChannelSink(), s.TriggerSink(s.FileSink('c.wav'))",
    "a session": "s.StreamAudio.builder().add_source('m', s.AudioSource.virtual())",
    "formats": "s.formats(), s.FormatPreset.STUDIO, s.StreamConfig()",
    "the list of devices": "list_devices()",
    "a session that has ended": "record()",
}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_is_only_described_before_a_fork_leaves_the_child_able(method, tmp_path):
    """At the top of a module, as programs have it; once for all, and each child does it again."""
    lines = "\n".join(DESCRIBED.values())
    script = tmp_path / "program.py"
    script.write_text(f"""
import multiprocessing, sys
import stream_audio as s

def record():
    samples = s.record(duration=0.1, source=s.AudioSource.virtual())
    assert samples.shape[0] == 4800

def list_devices():
    try:
        s.list_input_devices()
    except s.BackendError:
        pass  # there is no PortAudio

{lines}

def work():
    record()
    list_devices()

if __name__ == "__main__":
    child = multiprocessing.get_context({method!r}).Process(target=work)
    child.start()
    child.join({GIVE_UP})
    sys.exit(child.exitcode)
""")
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 48_000)
    result = subprocess.run(
        [sys.executable, "-W", "error", str(script), "", str(tmp_path / "a.wav")],
        capture_output=True,
        text=True,
        timeout=2 * GIVE_UP,
        cwd=tmp_path,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing(method, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        PREAMBLE
        + f"""
def work(seconds):
    source = s.AudioSource.virtual("counter", pace="freewheel")
    return s.record(duration=seconds, source=source).shape[0]

if __name__ == "__main__":
    session, channel = start(sys.argv[1])
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        assert pool.map(work, [0.1, 0.2]) == [4800, 9600]
    end(session, channel)
"""
    )
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "a.wav")],
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] == "True"


def test_a_multiprocessing_fork_is_told_so(tmp_path):
    program = """
session, channel = start(sys.argv[1])
process = multiprocessing.get_context("fork").Process(target=refused, args=(session.stop,))
process.start()
process.join(60)
assert process.exitcode == 0, process.exitcode
end(session, channel)
"""
    run(program, tmp_path)
