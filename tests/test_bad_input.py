"""One row an error: its type, what it says, and that a failed start leaves nothing behind."""

import gc
import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

import stream_audio
from stream_audio import (
    AudioFormat,
    AudioSource,
    BackendError,
    Backlog,
    CallbackSink,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    DeviceNotFoundError,
    FileSink,
    Retry,
    SessionStateError,
    SinkError,
    StreamAudio,
    StreamAudioError,
    StreamConfig,
)
from stream_audio._native.pulse import NoPulseServerError
from stream_audio.devices import list as devices_list
from stream_audio.testing import Fault, VirtualClock
from support.processes import wait_until

GIVE_UP = 30.0
"""Real seconds after which a test that would hang fails."""

NAN, INF = math.nan, math.inf
HUGE = 10**400  # more than a float can hold
virtual = AudioSource.virtual
tone = virtual("sine", frames=4800, pace="freewheel")
endless = virtual("silence", channels=1)


class WithPreference:
    """A sink that asks for a type of sample."""

    def __init__(self, dtype):
        self.preferred_dtype = dtype

    def write(self, chunk):
        pass


def builder(source=tone):
    return StreamAudio.builder().add_source("mic", source)


def nothing(_):
    pass


# ---- what is wrong as it is said: a setting a row ----

SETTINGS = [
    # StreamConfig
    (partial(StreamConfig, chunk_duration=-1), ConfigError, "chunk_duration must be from"),
    (partial(StreamConfig, chunk_duration=0), ConfigError, "chunk_duration"),
    (partial(StreamConfig, chunk_duration=11), ConfigError, "not 11"),
    (partial(StreamConfig, chunk_duration=NAN), ConfigError, "not nan"),
    (partial(StreamConfig, chunk_duration=INF), ConfigError, "not inf"),
    (partial(StreamConfig, chunk_duration=HUGE), ConfigError, "chunk_duration"),
    (partial(StreamConfig, chunk_duration="0.1"), ConfigTypeError, "not '0.1'"),
    (partial(StreamConfig, chunk_duration=True), ConfigTypeError, "not True"),
    (partial(StreamConfig, chunk_duration=None), ConfigTypeError, "not None"),
    (partial(StreamConfig, ring_duration=0), ConfigError, "ring_duration"),
    (partial(StreamConfig, ring_duration=3601), ConfigError, "ring_duration"),
    (partial(StreamConfig, ring_duration=-INF), ConfigError, "ring_duration"),
    (partial(StreamConfig, ring_duration=[1]), ConfigTypeError, "ring_duration"),
    (partial(StreamConfig, backlog=2**20), ConfigTypeError, "Backlog or a string, not 1048576"),
    (partial(StreamConfig, backlog="32 miles"), ConfigError, "'32 miles'"),
    (partial(StreamConfig, backlog=None), ConfigTypeError, "not None"),
    (partial(StreamConfig, spill_dir=3), ConfigTypeError, "spill_dir must be a path, not 3"),
    (partial(StreamConfig, spill_dir=b"/"), ConfigTypeError, "spill_dir"),
    (partial(StreamConfig, raise_on_sink_failure=1), ConfigTypeError, "True or False, not 1"),
    # Backlog
    (partial(Backlog, 0), ConfigError, "limit must be from 1"),
    (partial(Backlog, 1e6), ConfigTypeError, "bytes or a string, not 1000000.0"),
    (partial(Backlog, "much"), ConfigError, "Write bytes as 33_554_432 or '32 MiB'"),
    (partial(Backlog, "0 s"), ConfigError, "limit must be from 0.001"),
    (partial(Backlog, when_full="wait"), ConfigError, "one of spill, drop_oldest, drop_newest"),
    (partial(Backlog, spill_limit="1 TB"), ConfigError, "spill_limit cannot be read"),
    (partial(StreamConfig, retry=3), ConfigTypeError, "retry must be a Retry, not 3"),
    (partial(StreamConfig, stop_timeout=-1), ConfigError, "stop_timeout"),
    (partial(StreamConfig, stop_timeout=None), ConfigTypeError, "stop_timeout"),
    # Retry
    (partial(Retry, tries=-1), ConfigError, "tries"),
    (partial(Retry, tries=False), ConfigTypeError, "tries"),
    (partial(Retry, tries=1.5), ConfigTypeError, "tries"),
    (partial(Retry, first=0), ConfigError, "first must be from 0.001"),
    (partial(Retry, first=NAN), ConfigError, "first"),
    (partial(Retry, longest=3601), ConfigError, "longest"),
    (partial(Retry, first=10.0), ConfigError, "longest must be at least first, 10 s, not 5"),
    (partial(builder().add_sink, ChannelSink(), retry=3), ConfigTypeError, "must be a Retry"),
    (partial(StreamConfig, switch_interval=0), ConfigError, "switch_interval"),
    (partial(StreamConfig, switch_interval="fast"), ConfigTypeError, "switch_interval"),
    (partial(StreamConfig, clock=12.5), ConfigTypeError, "clock must be a Clock, not 12.5"),
    # AudioFormat
    (partial(AudioFormat, 999), ConfigError, "sample_rate must be from 1000 to 768000"),
    (partial(AudioFormat, -48_000), ConfigError, "not -48000"),
    (partial(AudioFormat, 768_001), ConfigError, "sample_rate"),
    (partial(AudioFormat, 48_000.0), ConfigTypeError, "sample_rate must be a whole number"),
    (partial(AudioFormat, "48k"), ConfigTypeError, "'48k'"),
    (partial(AudioFormat, NAN), ConfigTypeError, "nan"),
    (partial(AudioFormat, channels=0), ConfigError, "channels must be from 1 to 64"),
    (partial(AudioFormat, channels=65), ConfigError, "not 65"),
    (partial(AudioFormat, channels="mono"), ConfigTypeError, "'mono'"),
    # The virtual source
    (partial(virtual, "sawtooth"), ConfigError, "one of sine, noise, silence, counter"),
    (partial(virtual, 440), ConfigTypeError, "signal must be a string"),
    (partial(virtual, sample_rate=0), ConfigError, "sample_rate"),
    (partial(virtual, sample_rate=44_100.5), ConfigTypeError, "sample_rate"),
    (partial(virtual, sample_rate=None), ConfigTypeError, "sample_rate"),
    (partial(virtual, channels=0), ConfigError, "channels"),
    (partial(virtual, period=0), ConfigError, "period"),
    (partial(virtual, period=10**9), ConfigError, "period"),
    (partial(virtual, frames=0), ConfigError, "frames"),
    (partial(virtual, frames=-1), ConfigError, "frames"),
    (partial(virtual, frames=1.5), ConfigTypeError, "frames"),
    (partial(virtual, frequency=24_001), ConfigError, "frequency must be from 0 to 24000"),
    (partial(virtual, frequency=NAN), ConfigError, "frequency"),
    (partial(virtual, level=1), ConfigError, "level must be from -300 to 0"),
    (partial(virtual, level=-INF), ConfigError, "level"),
    (partial(virtual, drift_ppm=1e6), ConfigError, "drift_ppm"),
    (partial(virtual, drift_ppm="1"), ConfigTypeError, "drift_ppm"),
    (partial(virtual, jitter=-1), ConfigError, "jitter"),
    (partial(virtual, pace="slow"), ConfigError, "one of real_time, freewheel"),
    (partial(virtual, pace=None), ConfigTypeError, "pace"),
    (partial(virtual, seed=-1), ConfigError, "seed"),
    (partial(virtual, seed=2**64), ConfigError, "seed"),
    (partial(virtual, seed="random"), ConfigTypeError, "seed"),
    (partial(virtual, faults=["die"]), ConfigTypeError, "faults must be Fault objects"),
    (partial(virtual, faults=Fault.die(1)), ConfigTypeError, "faults"),
    (partial(virtual, faults=None), ConfigTypeError, "faults"),
    # A device: nothing is opened for this
    (partial(AudioSource.device, ""), ConfigError, "name must not be empty"),
    (partial(AudioSource.device, "  "), ConfigError, "name must not be empty"),
    (
        partial(AudioSource.device, 3),
        ConfigTypeError,
        "a number such as 3 does not identify a device",
    ),
    (partial(AudioSource.device, "x", sample_rate=1), ConfigError, "sample_rate"),
    (partial(AudioSource.device, "x", sample_rate=16e3), ConfigTypeError, "sample_rate"),
    (partial(AudioSource.device, "x", channels=0), ConfigError, "channels"),
    (partial(AudioSource.device, "x", period=0), ConfigError, "period"),
    (partial(AudioSource.device, "x", period="256"), ConfigTypeError, "period"),
    (partial(AudioSource.device, "x", latency="lowest"), ConfigError, "one of low, high"),
    (partial(AudioSource.device, "x", latency=-1), ConfigError, "latency"),
    (partial(AudioSource.device, "x", latency=NAN), ConfigError, "latency"),
    (partial(AudioSource.device, "x", latency=None), ConfigTypeError, "latency"),
    (partial(AudioSource.default_device, channels=-2), ConfigError, "channels"),
    # Faults
    (partial(Fault.stall, -1, 1), ConfigError, "at must be from 0"),
    (partial(Fault.stall, 0, -1), ConfigError, "seconds"),
    (partial(Fault.stall, 0, NAN), ConfigError, "seconds"),
    (partial(Fault.stall, 0, "long"), ConfigTypeError, "seconds"),
    (partial(Fault.lose, 0.5), ConfigTypeError, "at must be a whole number"),
    (partial(Fault.lose, 0, 0), ConfigError, "periods"),
    (partial(Fault.die, -1), ConfigError, "at"),
    (partial(Fault.hang, "now"), ConfigTypeError, "at"),
    (partial(Fault.hang, 2**63), ConfigError, "at"),
    # The builder
    (lambda: builder().duration(0), ConfigError, "duration"),
    (lambda: builder().duration(-5), ConfigError, "not -5"),
    (lambda: builder().duration(NAN), ConfigError, "duration"),
    (lambda: builder().duration(INF), ConfigError, "duration"),
    (lambda: builder().duration(HUGE), ConfigError, "duration"),
    (lambda: builder().duration("5"), ConfigTypeError, "not '5'"),
    (lambda: builder().duration(None), ConfigTypeError, "duration"),
    (lambda: builder().format(16_000), ConfigTypeError, "AudioFormat or a FormatPreset"),
    (lambda: builder().format("transcription"), ConfigTypeError, "'transcription'"),
    (lambda: builder().config({}), ConfigTypeError, "config takes a StreamConfig"),
    (lambda: builder().on_event("print"), ConfigTypeError, "on_event takes a function"),
    (lambda: builder().add_source("mic", tone), ConfigError, "already a source 'mic'"),
    (lambda: builder().add_source("", tone), ConfigError, "id must not be empty"),
    (lambda: builder().add_source(" ", tone), ConfigError, "id must not be empty"),
    (lambda: builder().add_source(1, tone), ConfigTypeError, "id must be a string"),
    (lambda: builder().add_source("b", "mic"), ConfigTypeError, "Make one with AudioSource"),
    (lambda: builder().add_source("b", None), ConfigTypeError, "not a source"),
    (lambda: builder().add_sink(object()), ConfigTypeError, "no method write(chunk)"),
    (lambda: builder().add_sink("a.wav"), ConfigTypeError, "Use FileSink"),
    (lambda: builder().add_sink(None), ConfigTypeError, "not a sink"),
    (lambda: builder().add_sink(WithPreference("int8")), ConfigError, "preferred_dtype"),
    (lambda: builder().add_sink(WithPreference(16)), ConfigTypeError, "preferred_dtype"),
    (lambda: builder().add_sink(ChannelSink(), format=16_000), ConfigTypeError, "FormatPreset"),
    (lambda: builder().add_sink(ChannelSink(), format="wav"), ConfigTypeError, "not 'wav'"),
    (lambda: builder().add_sink(ChannelSink(), sources=()), ConfigError, "must not be empty"),
    (lambda: builder().add_sink(ChannelSink(), sources=1), ConfigTypeError, "sources"),
    (lambda: builder().add_sink(ChannelSink(), sources=[["mic"]]), ConfigTypeError, "sources"),
    (lambda: builder().add_sink(ChannelSink(), name=""), ConfigError, "name must not be empty"),
    (lambda: builder().add_sink(ChannelSink(), name=7), ConfigTypeError, "name"),
    (lambda: builder().add_sink(ChannelSink(), on_failure="x"), ConfigError, "detach, skip"),
    (lambda: builder().add_sink(ChannelSink(), on_failure=0), ConfigTypeError, "on_failure"),
    # Sinks
    (partial(CallbackSink, None), ConfigTypeError, "CallbackSink takes a function"),
    (partial(ChannelSink, []), ConfigTypeError, "queue.Queue"),
    (partial(ChannelSink, backlog=10), ConfigTypeError, "Backlog or a string, not 10"),
    (partial(ChannelSink, backlog="10 q"), ConfigError, "cannot be read: '10 q'"),
    (lambda: ChannelSink(queue.Queue(), backlog=Backlog()), ConfigError, "own limit"),
    (lambda: builder().add_sink(ChannelSink(), backlog=5), ConfigTypeError, "not 5"),
    (partial(ChannelSink().get, NAN), ConfigError, "timeout"),
    (partial(ChannelSink().get, "1"), ConfigTypeError, "timeout"),
    (partial(FileSink, 3), ConfigTypeError, "FileSink takes a path"),
    (partial(FileSink, b"a.wav"), ConfigTypeError, "FileSink takes a path"),
    (partial(FileSink, ""), ConfigError, "Use one of these endings"),
    (partial(FileSink, "take"), ConfigError, "'take'"),
    (partial(FileSink, "take.doc"), ConfigError, "Use one of these endings"),
    (
        partial(FileSink, "a.wav", subtype="PCM_8"),
        ConfigError,
        "one of PCM_16, PCM_24, PCM_32, FLOAT",
    ),
    (partial(FileSink, "a.wav", subtype=16), ConfigTypeError, "subtype"),
    (partial(FileSink, "a.wav", gaps="fill"), ConfigError, "one of silence, skip"),
    # The short ways in
    (partial(stream_audio.record, source=tone), ConfigError, "record('a.wav', duration=5)"),
    (partial(stream_audio.record, "a.wav", source=tone), ConfigError, "needs a duration"),
    (partial(stream_audio.record, duration="5", source=tone), ConfigTypeError, "duration"),
    (partial(stream_audio.record, duration=-1, source=tone), ConfigError, "duration"),
    (partial(stream_audio.record, 5, 5, source=tone), ConfigTypeError, "takes a path"),
    (partial(stream_audio.record, duration=1, source="mic"), ConfigTypeError, "not a source"),
    (partial(stream_audio.open, tone, sinks=5), ConfigTypeError, "sinks"),
    (lambda: next(stream_audio.listen(tone, channels=0)), ConfigError, "channels"),
    (lambda: next(stream_audio.listen(tone, config=1)), ConfigTypeError, "config"),
    (lambda: VirtualClock().advance(-1), ConfigError, "seconds"),
]

PYTHONS_OWN = {ConfigError: ValueError, ConfigTypeError: TypeError}


def shown(value):
    if isinstance(value, partial):
        given = [repr(one)[:20] for one in value.args]
        given += [f"{name}={one!r:.20}" for name, one in value.keywords.items()]
        return f"{value.func.__qualname__}({', '.join(given)})"
    return None


@pytest.mark.parametrize(("call", "kind", "words"), SETTINGS, ids=shown)
def test_a_setting_that_cannot_work(call, kind, words):
    with pytest.raises((StreamAudioError, PYTHONS_OWN[kind])) as caught:
        call()
    assert isinstance(caught.value, kind), repr(caught.value)
    assert isinstance(caught.value, PYTHONS_OWN[kind])
    assert words in str(caught.value)


def test_one_sink_where_a_list_of_sinks_belongs():
    """A channel can be iterated, and would wait for chunks of a session that never starts."""
    outcome = queue.Queue()

    def forget_the_list():
        try:
            outcome.put(stream_audio.open(tone, sinks=ChannelSink()).stop())
        except BaseException as error:
            outcome.put(error)

    threading.Thread(target=forget_the_list, daemon=True).start()
    try:
        answer = outcome.get(timeout=10)
    except queue.Empty:
        pytest.fail("open(sinks=ChannelSink()) hangs")
    assert isinstance(answer, ConfigTypeError), repr(answer)


def test_a_ring_for_which_there_is_no_memory_is_an_error_of_ours():
    """In a process that may not have the memory: a ring touches all of its own."""
    program = (
        "import resource, stream_audio as s\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "b = s.StreamAudio.builder().config(s.StreamConfig(ring_duration=3600))\n"
        "b.add_source('mic', s.AudioSource.virtual(sample_rate=768_000, channels=64))\n"
        "b.add_sink(s.ChannelSink())\n"
        "try:\n    b.start()\n"
        "except s.StreamAudioError as error:\n    print('ours', error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GIVE_UP
    )
    assert result.stdout.startswith("ours"), result.stderr
    assert "ring_duration" in result.stdout


# ---- what fails a start, and leaves nothing behind ----


def descriptors():
    return sorted(os.readlink(f"/proc/self/fd/{number}") for number in own_descriptors())


def own_descriptors():
    numbers = []
    for number in os.listdir("/proc/self/fd"):
        try:
            os.stat(f"/proc/self/fd/{number}")
        except OSError:
            continue  # the one that listdir itself had open
        numbers.append(number)
    return numbers


_earlier = set()


@pytest.fixture(autouse=True)
def _only_threads_of_this_test():
    """One that another test left behind is that test's failure alone."""
    _earlier.clear()
    _earlier.update(threading.enumerate())


def library_threads():
    running = [thread for thread in threading.enumerate() if thread not in _earlier]
    return [thread for thread in running if thread.name.startswith("stream-audio")]


def native_threads():
    return set(os.listdir("/proc/self/task"))


def no_others_than(threads):
    # A thread that has been joined in Python may still be on its way out of the system.
    return wait_until(lambda: native_threads() <= threads, "threads have ended", seconds=GIVE_UP)


def settle():
    """Wait for threads that have been told to end."""
    for thread in library_threads():
        thread.join(GIVE_UP)


@dataclass
class Witness:
    """A sink beside the failing part: what was started must be stopped, once."""

    blocking: bool = True
    calls: list[str] = field(default_factory=list)

    def start(self, info):
        self.calls.append("start")

    def write(self, chunk):
        pass

    def stop(self):
        self.calls.append("stop")


class RefusesToStart(Witness):
    def start(self, info):
        raise SinkError("the tape is missing", hint="Insert one")


@dataclass
class FailingStart:
    name: str
    make: Callable[[Path], StreamAudio]
    kinds: tuple[type, ...]
    words: tuple[str, ...]


def existing(folder):
    path = folder / "there.wav"
    path.write_bytes(b"precious")
    return path


def read_only(folder):
    """Root may write to any folder but those of the kernel."""
    if os.geteuid() == 0:
        return Path("/proc/self/take.wav")
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    return closed / "take.wav"


def is_folder(folder):
    path = folder / "folder.wav"
    path.mkdir()
    return path


def loop_of_links(folder):
    path = folder / "loop.wav"
    path.symlink_to(path)
    return path


def file_start(name, path, *words, **settings):
    return FailingStart(
        name,
        lambda folder: builder().add_sink(FileSink(path(folder), **settings)),
        (SinkError,),
        words,
    )


class RefusesToRun:
    """A source whose device opens and does not start."""

    def open(self, opening):
        opened = virtual().open(opening)
        opened.start = self.start
        return opened

    def start(self):
        raise stream_audio.DeviceError("cannot start the thing")


FAILING_STARTS = [
    FailingStart("nothing", lambda _: StreamAudio.builder(), (ConfigError,), ("no source",)),
    FailingStart(
        "no source",
        lambda _: StreamAudio.builder().add_sink(ChannelSink()),
        (ConfigError, ValueError),
        ("no source", "AudioSource.default_device()"),
    ),
    FailingStart(
        "unknown source",
        lambda _: builder().add_sink(ChannelSink(), sources="mike"),
        (ConfigError, ValueError),
        ("'mike' that does not exist", "There are: mic"),
    ),
    FailingStart(
        "two sources in a file",
        lambda folder: builder().add_source("b", tone).add_sink(FileSink(folder / "a.wav")),
        (ConfigError, ValueError),
        ("writes one source", "mic, b"),
    ),
    FailingStart(
        "channel that the source does not have",
        lambda _: builder().format(AudioFormat(channels=[0, 2])).add_sink(ChannelSink()),
        (ConfigError, ValueError),
        ("no channel 2 in source 'mic', which has 2", "counted from 0"),
    ),
    FailingStart(
        "sink that does not start",
        lambda _: builder().add_sink(RefusesToStart()),
        (SinkError,),
        ("the tape is missing", "Insert one"),
    ),
    FailingStart(
        "source that does not run",
        lambda _: builder().add_source("b", RefusesToRun()).add_sink(ChannelSink()),
        (stream_audio.DeviceError,),
        ("cannot start the thing",),
    ),
    file_start("missing folder", lambda f: f / "no" / "a.wav", "No such file", "Create the fol"),
    file_start("existing file", existing, "File exists", "Pass overwrite=True"),
    file_start("read-only folder", read_only, "cannot create"),
    file_start("folder for a file", is_folder, "Is a directory", "name of a file", overwrite=True),
    file_start("file for a folder", lambda f: existing(f) / "a.wav", "Not a directory"),
    file_start("loop of links", loop_of_links, "symbolic links", overwrite=True),
    file_start("name too long", lambda f: f / ("a" * 300 + ".wav"), "too long"),
    file_start("name with a null byte", lambda f: f / "a\0b.wav", "cannot create"),
]


def test_after_a_start_that_failed_the_same_builder_may_start(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    targets = queue.Queue(), queue.Queue()
    channel = ChannelSink()
    building = builder().add_sink(channel).add_sink(FileSink(path))
    for number, target in enumerate(targets):
        building.add_sink(ChannelSink(target), name=f"queue {number}")
    with pytest.raises(SinkError, match="File exists"):
        building.start()
    path.unlink()
    with building.start() as session:
        assert sum(chunk.frames for chunk in channel) == 1600  # at 16 kHz
        assert session.wait(GIVE_UP)
    for target in targets:
        chunks = list(iter(target.get_nowait, None))
        assert sum(chunk.frames for chunk in chunks) == 1600


@pytest.mark.parametrize("case", FAILING_STARTS, ids=lambda case: case.name)
def test_a_start_that_fails_leaves_nothing_behind(case, tmp_path):
    witnesses = Witness(), Witness(blocking=False)
    building = case.make(tmp_path).on_event(nothing)
    if building._sinks:  # the witnesses start before the part that fails
        for number, witness in enumerate(witnesses):
            building.add_sink(witness, name=f"witness {number}", sources="mic")
            building._sinks.insert(0, building._sinks.pop())
    settle()
    gc.collect()
    files, threads = descriptors(), native_threads()
    with pytest.raises((StreamAudioError, ValueError)) as caught:
        building.start()
    assert isinstance(caught.value, StreamAudioError), repr(caught.value)
    for kind in case.kinds:
        assert isinstance(caught.value, kind)
    for words in case.words:
        assert words in str(caught.value)
    settle()
    assert library_threads() == []
    assert descriptors() == files
    assert no_others_than(threads)
    for witness in witnesses:
        assert witness.calls in ([], ["start", "stop"])


def test_an_existing_file_is_left_as_it_was(tmp_path):
    path = existing(tmp_path)
    with pytest.raises(SinkError):
        builder().add_sink(FileSink(path)).start()
    assert path.read_bytes() == b"precious"


AFTER_A_FAILED_START = """
import os
import stream_audio as s
from stream_audio.testing import VirtualClock

class Refuses:
    blocking = {blocking}
    def start(self, info):
        raise s.SinkError("not today")
    def write(self, chunk):
        pass

config = s.StreamConfig(clock=VirtualClock())
def builder():
    source = s.AudioSource.virtual(frames=480_000)
    return s.StreamAudio.builder().config(config).add_source("mic", source)

try:
    builder().add_sink(s.CallbackSink(print)).add_sink(Refuses()).start()
except s.SinkError:
    pass
session = builder().add_sink(s.ChannelSink()).start()
print(session.wait(10), flush=True)
os._exit(0)  # a session that hangs is not waited for
"""


@pytest.mark.parametrize("blocking", [True, False])
def test_a_start_that_failed_does_not_hold_a_virtual_clock_still(blocking):
    """A seat that nobody will ever sleep on would stop its time for good."""
    program = AFTER_A_FAILED_START.format(blocking=blocking)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GIVE_UP
    )
    assert result.stdout == "True\n", result.stderr or "virtual time stands still"


def test_a_builder_can_be_started_after_a_start_that_failed(tmp_path):
    path = tmp_path / "later" / "a.wav"
    building = builder().add_sink(FileSink(path))
    with pytest.raises(SinkError):
        building.start()
    path.parent.mkdir()
    with building.start() as session:
        assert session.wait(GIVE_UP)
    assert session.report().balanced


@pytest.mark.parametrize("part", ["a worker", "the router"])
def test_a_thread_that_cannot_be_started(part, monkeypatch):
    """As when the system has no thread to spare: RuntimeError from the middle of the start."""
    witness = Witness()
    building = builder(endless).add_sink(witness, name="first").add_sink(Witness(), name="second")
    building.config(StreamConfig(switch_interval=0.001))
    interval = sys.getswitchinterval()
    refused = {"a worker": "stream-audio-sink-second", "the router": "stream-audio-router"}[part]
    start = threading.Thread.start

    def start_or_not(thread):
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_not)
    with pytest.raises(RuntimeError):
        building.start()
    monkeypatch.undo()
    assert witness.calls == ["start", "stop"]
    assert sys.getswitchinterval() == interval
    for thread in library_threads():
        thread.join(5)
    assert library_threads() == []


# ---- what is said at the wrong time ----


def test_the_same_sink_twice():
    sink = ChannelSink()
    with pytest.raises(ConfigError, match="was added already") as caught:
        builder().add_sink(sink).add_sink(sink)
    assert "once" in caught.value.hint


def test_two_sinks_of_one_name():
    with pytest.raises(ConfigError, match="already a sink 'a'"):
        builder().add_sink(ChannelSink(), name="a").add_sink(ChannelSink(), name="a")


def test_a_sink_in_two_sessions_at_once():
    sink = Witness()
    with builder(endless).add_sink(sink).start():
        second = builder().add_sink(sink)
        with pytest.raises(SessionStateError, match="in use in another session") as caught:
            second.start()
        assert isinstance(caught.value, RuntimeError)
        assert "for each session" in caught.value.hint
    with second.start() as session:  # it is free again
        assert session.wait(GIVE_UP)
    assert sink.calls == ["start", "stop"] * 2


def test_start_twice():
    building = builder().add_sink(ChannelSink())
    with building.start(), pytest.raises(SessionStateError, match="has started a session") as e:
        building.start()
    assert "new builder" in e.value.hint


def test_stop_twice_returns_the_same_report():
    session = builder().add_sink(ChannelSink()).start()
    report = session.stop()
    assert session.stop() == report == session.close() == session.report()
    assert report.balanced


@pytest.mark.parametrize(
    ("timeout", "kind"), [(-1, ConfigError), (NAN, ConfigError), ("1", ConfigTypeError)]
)
@pytest.mark.parametrize("method", ["stop", "wait"])
def test_a_timeout_that_cannot_work(method, timeout, kind):
    with (
        builder().add_sink(ChannelSink()).start() as session,
        pytest.raises(kind, match="timeout"),
    ):
        getattr(session, method)(timeout)


def test_a_channel_iterated_twice():
    channel = ChannelSink()
    with builder().add_sink(channel).start():
        reading = iter(channel)
        with pytest.raises(SessionStateError, match="already has a consumer"):
            iter(channel)
        assert sum(chunk.frames for chunk in reading) == 1600  # of 16 kHz


def test_a_channel_used_again_after_its_session():
    channel = ChannelSink()
    builder().add_sink(channel).start().stop()
    with pytest.raises(SessionStateError, match="earlier session") as caught:
        builder().add_sink(channel).start()
    assert "new ChannelSink" in caught.value.hint


# ---- a machine without devices, or without PortAudio ----


class NoDevices:
    devices = ()

    def __init__(self, *, without_pulse, state):
        pass

    def release(self):
        pass


def no_server():
    raise NoPulseServerError("there is none")


@pytest.fixture
def no_devices(monkeypatch):
    monkeypatch.setattr(devices_list, "Generation", NoDevices)
    monkeypatch.setattr(devices_list, "jack_inputs", lambda **_: [])
    monkeypatch.setattr(devices_list, "PulseConnection", no_server)


def test_no_device_at_all(no_devices):
    assert stream_audio.list_input_devices() == []
    with pytest.raises(DeviceNotFoundError, match="there is no input device") as caught:
        stream_audio.default_input_device()
    assert isinstance(caught.value, LookupError)
    assert "AudioSource.virtual()" in caught.value.hint


@pytest.mark.parametrize("source", [AudioSource.default_device(), AudioSource.device("usb")])
def test_no_device_to_record_from(source, no_devices):
    witness = Witness()
    with pytest.raises(DeviceNotFoundError, match="there is no input device"):
        builder(source).add_sink(witness).start()
    assert witness.calls == []


NOT_PORTAUDIO = [
    ("/nonexistent/libportaudio.so.2", "No such file", "apt install libportaudio2"),
    ("libm.so.6", "libm.so.6 has no Pa_Initialize", "STREAM_AUDIO_PORTAUDIO_LIBRARY"),
    (os.devnull, "/dev/null", "apt install libportaudio2"),
]


@pytest.mark.parametrize(
    ("library", "words", "hint"), NOT_PORTAUDIO, ids=["missing", "libm", "no library"]
)
@pytest.mark.parametrize(
    "call",
    [
        stream_audio.list_input_devices,
        stream_audio.default_input_device,
        lambda: builder(AudioSource.default_device()).add_sink(ChannelSink()).start(),
        lambda: stream_audio.record(duration=1),
        lambda: next(stream_audio.listen()),
    ],
    ids=["list", "default", "start", "record", "listen"],
)
def test_portaudio_is_not_installed(call, library, words, hint, monkeypatch):
    monkeypatch.setenv("STREAM_AUDIO_PORTAUDIO_LIBRARY", library)
    files, threads = descriptors(), native_threads()
    with pytest.raises(
        BackendError, match=r"PortAudio is not installed|is not a PortAudio library"
    ) as caught:
        call()
    assert words in caught.value.host_text
    assert hint in caught.value.hint
    assert descriptors() == files
    assert no_others_than(threads)


def test_the_virtual_source_needs_no_portaudio(monkeypatch):
    monkeypatch.setenv("STREAM_AUDIO_PORTAUDIO_LIBRARY", "/nonexistent/libportaudio.so.2")
    assert stream_audio.record(duration=0.1, source=tone).shape == (4800, 2)
