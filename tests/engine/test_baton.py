"""The consumer of a lone channel runs the router's turns while it waits, and nobody suffers."""

import asyncio
import contextlib
import ctypes
import gc
import itertools
import math
import signal
import subprocess
import sys
import threading
import time

import pytest

from stream_audio import (
    AudioSource,
    CallbackSink,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamConfig,
)
from stream_audio.engine.baton import AWAY, Baton, Consumer
from stream_audio.sources.virtual import Fault, OpenVirtual
from stream_audio.waiting.interrupts import HeldBackInterrupt, none_but_ctrl_c
from support.processes import wait_until

RATE = 48_000
CHUNK = 0.01
GIVE_UP = 30.0


class Watched(ChannelSink):
    """Notes on which thread each chunk is put in, whichever way it comes."""

    def __init__(self):
        self.threads = []
        self.written = threading.Condition()
        super().__init__()

    def note(self):
        with self.written:
            self.threads.append(threading.current_thread())
            self.written.notify_all()

    def _wake(self):
        super()._wake()
        self.note()

    @property
    def handed(self):
        return self._handed

    @handed.setter
    def handed(self, chunk):
        self._handed = chunk
        if chunk is not None:
            self.note()

    def wait_for(self, chunks):
        with self.written:
            assert self.written.wait_for(lambda: len(self.threads) >= chunks, GIVE_UP)


def builder_of(*sinks, seconds=None, chunk=CHUNK, faults=(), **config):
    frames = None if seconds is None else round(seconds * RATE)
    source = AudioSource.virtual("counter", channels=1, period=240, frames=frames, faults=faults)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    for sink in sinks:
        builder.add_sink(sink)
    return builder.config(StreamConfig(chunk_duration=chunk, **config))


def assert_whole(session, frames):
    report = session.report()
    assert report.balanced
    assert report.sources["mic"].lost == 0
    assert frames == report.sources["mic"].captured


# ---- who runs them ----


def test_the_consumer_runs_the_turns_while_it_waits():
    channel = Watched()
    with builder_of(channel, seconds=0.5).start() as session:
        frames = sum(chunk.frames for chunk in channel)
    assert threading.current_thread() in channel.threads
    assert_whole(session, frames)


def test_the_router_runs_them_while_the_consumer_is_away():
    channel = Watched()
    with builder_of(channel, ring_duration=5.0).start():
        for _ in range(5):
            channel.get()
        channel.wait_for(len(channel.threads) + 20)
        assert channel.threads[-1].name == "stream-audio-router"
        assert channel.unread >= 19 * CHUNK * RATE
        for _ in range(50):  # back again
            channel.get()
        here = threading.current_thread()
        for _ in range(200):
            channel.get()
            if channel.threads[-1] is here:
                break
        assert channel.threads[-1] is here


@pytest.mark.parametrize(
    ("more", "config"),
    [
        ([lambda: CallbackSink(lambda chunk: None)], {}),
        ([], {"ring_duration": 0.5}),
    ],
    ids=["another sink", "a short ring"],
)
def test_the_router_runs_them_beside(more, config):
    channel = Watched()
    sinks = [channel, *(make() for make in more)]
    with builder_of(*sinks, seconds=0.3, **config).start():
        for _ in channel:
            pass
    assert {thread.name for thread in channel.threads} == {"stream-audio-router"}


def test_a_sink_that_comes_and_goes_has_the_router_run_them_meanwhile():
    channel = Watched()
    here = threading.current_thread()
    with builder_of(channel).start() as session:
        handle = session.add_sink(CallbackSink(lambda chunk: None))
        channel.latest()
        with_two = len(channel.threads)
        for _ in range(20):
            channel.get()
        assert here not in channel.threads[with_two:]
        handle.remove()
        for _ in itertools.takewhile(lambda _: channel.threads[-1] is not here, range(500)):
            channel.get()
        assert channel.threads[-1] is here


def test_a_second_reader_gets_its_share():
    channel = ChannelSink()
    frames = []

    def read():
        while (chunk := channel.get()) is not None:
            frames.append(chunk.frames)

    with builder_of(channel, seconds=0.5).start() as session:
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(GIVE_UP)
    assert_whole(session, sum(frames))


# ---- the router is there when it is needed ----

FIRST_ENDS = Fault.lose(480)
"""Ends the first chunk, which the router always hands on, however long chunks are."""


def waiting_consumer(channel):
    """Start a thread that waits for a chunk that is far off, and let it begin."""
    got = []
    assert channel.get(GIVE_UP).frames == FIRST_ENDS.at
    thread = threading.Thread(target=lambda: got.append(channel.get()), daemon=True)
    wait_until(lambda: channel._baton._may_be_lent, "the router has begun")
    thread.start()
    while channel._baton._consumer is not Consumer.AT_IT:
        assert thread.is_alive()
    return thread, got


@pytest.mark.parametrize("times", range(3))
def test_commands_get_through_while_the_consumer_waits(times):
    channel = ChannelSink()
    with builder_of(
        channel, chunk=10.0, ring_duration=30.0, faults=[FIRST_ENDS]
    ).start() as session:
        waiting_consumer(channel)
        began = time.monotonic()
        for _ in range(20):
            handle = session.add_sink(CallbackSink(lambda chunk: None))
            handle.remove(drain=False)
        assert time.monotonic() - began < GIVE_UP


def test_a_stop_gets_through_while_the_consumer_waits():
    channel = ChannelSink()
    session = builder_of(channel, chunk=10.0, ring_duration=30.0, faults=[FIRST_ENDS]).start()
    thread, got = waiting_consumer(channel)
    session.stop()
    thread.join(GIVE_UP)
    report = session.report()
    assert report.balanced
    after = got[0].frames if got[0] else 0
    assert FIRST_ENDS.at + after == report.sources["mic"].captured


def test_a_wait_is_over_in_time():
    channel = ChannelSink()
    with builder_of(channel, chunk=10.0, ring_duration=30.0, faults=[FIRST_ENDS]).start():
        channel.get()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            channel.get(timeout=3)
        assert (
            3 <= time.monotonic() - began < 5.9
        )  # once by itself, and once more behind the router


def test_a_channel_that_is_removed_ends_for_a_consumer_that_waits_or_is_about_to():
    for _ in range(20):
        channel = ChannelSink()
        with builder_of(channel).start() as session:
            (delivery,) = session._engine._roster.deliveries.values()
            got = []
            reader = threading.Thread(target=got.extend, args=(channel,), daemon=True)
            reader.start()
            session._engine.remove_sink(delivery, GIVE_UP, drain=True)
            reader.join(GIVE_UP)
            assert not reader.is_alive()


class Stops(ChannelSink):
    """Calls back into its session in the middle of a turn."""

    session = None

    def write(self, chunk):
        dropped = super().write(chunk)
        if self.session is not None:
            self.session.stop()
        return dropped


def test_a_turn_may_stop_the_session_on_the_consumer_s_thread():
    channel = Stops()
    session = builder_of(channel).start()
    for _ in range(10):
        channel.get()
    channel.session = session
    frames = sum(chunk.frames for chunk in channel)
    assert session.wait(GIVE_UP)
    assert frames > 0


def test_a_device_that_dies_is_dealt_with_by_the_router(monkeypatch):
    """Stopping it may take seconds, which no consumer is to wait for."""
    asked, is_active = [], OpenVirtual.is_active

    def note(device):
        asked.append(threading.current_thread().name)
        return is_active(device)

    monkeypatch.setattr(OpenVirtual, "is_active", note)
    channel = Watched()
    source = AudioSource.virtual("counter", period=240, faults=[Fault.die(RATE // 4)])
    builder = StreamAudio.builder().add_source("mic", source).add_sink(channel)
    config = StreamConfig(chunk_duration=CHUNK)
    with builder.format(FormatPreset.NATIVE).config(config).start() as session:
        frames = sum(chunk.frames for chunk in channel)
    assert threading.current_thread() in channel.threads
    assert set(asked) == {"stream-audio-router"}
    assert_whole(session, frames)


class OwnWrite(ChannelSink):
    """What its write does may not be left half done, so no consumer does it."""

    def __init__(self):
        super().__init__()
        self.threads = set()

    def write(self, chunk):
        self.threads.add(threading.current_thread().name)
        return super().write(chunk)


@pytest.mark.parametrize("audio_format", [FormatPreset.NATIVE, FormatPreset.TRANSCRIPTION])
def test_what_is_converted_or_written_is_done_by_the_router(audio_format):
    channel = OwnWrite()
    with builder_of(channel, seconds=0.3).format(audio_format).start() as session:
        frames = sum(chunk.frames for chunk in channel)
    assert channel.threads == {"stream-audio-router"}
    [sink] = session.report().sinks.values()
    assert frames == sink.delivered


# ---- the baton by itself ----


@pytest.fixture
def baton():
    turns = []
    one = Baton(turns.append, lambda: None)
    one.turns = turns
    one.open()
    return one


def test_what_interrupts_a_turn_is_the_reader_s_alone():
    def turn(until):
        raise SystemExit

    baton = Baton(turn, lambda: None)
    baton.open()
    for _ in range(3):  # it is lent again
        with pytest.raises(SystemExit):
            baton.run_turns(lambda: False, math.inf)
    baton.recall()
    taken = threading.Thread(target=baton.take)
    taken.start()
    taken.join(GIVE_UP)
    assert not taken.is_alive()


def test_a_closed_one_is_not_lent(baton):
    baton.close()
    assert not baton.run_turns(lambda: False, time.monotonic() + GIVE_UP)
    assert baton.turns == []


def test_a_recalled_one_is_not_lent_until_the_router_has_had_it(baton):
    baton.recall()
    assert not baton.run_turns(lambda: False, time.monotonic() + GIVE_UP)
    baton.take()
    baton.drop()
    assert baton.run_turns(lambda: baton.turns, time.monotonic() + GIVE_UP)


def test_what_it_is_recalled_for_delays_no_turn(baton):
    """The consumer does not come back of itself then, so the router must not wait for it."""
    assert baton.run_turns(lambda: baton.turns, math.inf)
    baton.recall()
    for _ in range(100):
        baton.take()
        baton.drop()
        assert baton._consumer_left == -math.inf


def test_the_router_waits_for_a_consumer_that_comes_back_for_more(baton):
    assert baton.run_turns(lambda: baton.turns, time.monotonic() + GIVE_UP)
    left = baton._consumer_left
    baton.take()
    assert time.monotonic() >= left + AWAY
    baton.drop()


# ---- Ctrl-C ----

CTRL_C = """
import os, random, signal, sys, threading, time
import stream_audio as s

dice = random.Random(int(sys.argv[1]))
interrupted = 0
for number in range(40):
    channel = s.ChannelSink()
    source = s.AudioSource.virtual("counter", channels=1, period=48)
    builder = s.StreamAudio.builder().add_source("mic", source).add_sink(channel)
    builder.format(s.FormatPreset.NATIVE).config(s.StreamConfig(chunk_duration=0.001))
    session = builder.start()
    delay = dice.uniform(0.001, 0.02)
    frames = 0
    try:
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        for chunk in channel:
            assert chunk.frame == frames, (chunk, frames)
            frames = chunk.end
        raise SystemExit("it ended by itself")
    except KeyboardInterrupt:
        interrupted += 1
    session.stop()
    frames += sum(chunk.frames for chunk in channel)
    report = session.report()
    assert report.balanced and not report.problems, report
    # A chunk that was taken when Ctrl-C came is the loop's own.
    assert report.sources["mic"].captured - frames in range(0, 49), (report, frames)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print(interrupted)
"""


@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_never_comes_in_the_middle_of_a_turn(seed):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CTRL_C, str(seed)],
        capture_output=True,
        text=True,
        timeout=2 * GIVE_UP,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "40\n", "")


def test_an_interrupt_is_held_back_to_the_end():
    def interrupted():
        with HeldBackInterrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
            noted.append(interrupt.noted)

    noted = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert noted == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_with_no_interrupt_nothing_is_raised():
    with HeldBackInterrupt() as interrupt:
        pass
    assert not interrupt.noted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGVTALRM]
)
def test_another_handler_might_raise_so_the_router_runs_the_turns(number):
    before = signal.signal(number, lambda *_: None)
    try:
        assert not none_but_ctrl_c()
    finally:
        signal.signal(number, before)
    assert none_but_ctrl_c()


def test_where_ctrl_c_is_ignored_nothing_is_held_back():
    """As in a background job of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with HeldBackInterrupt() as interrupt:
            assert none_but_ctrl_c()
            assert not interrupt.may_happen
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


FORKED = """
import os, signal, threading
from stream_audio.waiting.interrupts import HeldBackInterrupt

codes = []

def fork():
    child = os.fork()
    if child == 0:
        os._exit(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

thread = threading.Thread(target=fork)
with HeldBackInterrupt():
    thread.start()
    thread.join()
print(codes)
"""


def test_a_child_that_another_thread_forks_off_can_be_interrupted():
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=2 * GIVE_UP
    )
    assert (done.returncode, done.stdout) == (0, "[0]\n"), done.stderr


def test_other_threads_are_not_interrupted():
    found = []
    before = signal.signal(signal.SIGTERM, lambda *_: None)

    def look():
        interrupt = HeldBackInterrupt()
        with interrupt:
            found.append((none_but_ctrl_c(), interrupt.may_happen))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(GIVE_UP)
    signal.signal(signal.SIGTERM, before)
    assert found == [(True, False)]


def test_a_consumer_that_goes_on_with_wait_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("stream_audio.engine.baton.AWAY", 2 * GIVE_UP)
    channel = Watched()
    with builder_of(channel).start() as session:
        for _ in range(3):
            assert channel.get(GIVE_UP)
            while channel.get(GIVE_UP) and channel.unread:
                pass
            assert channel.wait(GIVE_UP)
        session.stop()


def test_a_consumer_that_goes_on_with_an_event_loop_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("stream_audio.engine.baton.AWAY", 2 * GIVE_UP)
    channel = Watched()

    async def one():
        return await asyncio.wait_for(channel.aget(), GIVE_UP)

    with builder_of(channel).start() as session:
        for _ in range(3):
            assert channel.get(GIVE_UP)
            assert asyncio.run(one())
        session.stop()


class TakesTooLongError(Exception):
    """What another thread sets in a reader's, as Jupyter-like timeouts do."""


@pytest.mark.parametrize("audio_format", [FormatPreset.NATIVE, FormatPreset.TRANSCRIPTION])
def test_an_exception_set_from_another_thread_ends_a_read_and_not_the_session(audio_format):
    channel = ChannelSink()
    source = AudioSource.virtual("counter", channels=1, frames=RATE // 2)
    builder = StreamAudio.builder().add_source("mic", source).format(audio_format)
    builder.add_sink(channel).config(StreamConfig(chunk_duration=0.005))
    begun = interrupted = 0
    ended = threading.Event()

    def read():
        nonlocal begun, interrupted
        while not ended.is_set():
            try:
                begun += 1
                while channel.get(timeout=GIVE_UP) is not None:
                    pass
                ended.set()
            except TakesTooLongError:  # no call here: no other one comes before it has begun anew
                interrupted += 1

    with builder.start() as session:
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        identity = ctypes.c_ulong(reader.ident)
        for number in range(1, 51):
            wait_until(lambda number=number: begun >= number or ended.is_set(), "it reads again")
            if ended.is_set():
                break
            error = ctypes.py_object(TakesTooLongError)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, error)
            ended.wait(0.002)
        assert ended.wait(GIVE_UP)
        reader.join(GIVE_UP)
    assert interrupted > 5
    assert session.report().balanced
    assert session.report().sources["mic"].captured == RATE // 2


PACKAGE = "stream_audio."


class Interrupter:
    """Raises in its thread where Python would raise what another thread has set.

    That is as a function begins, and as a call of one in C returns.
    """

    def __init__(self, countdown):
        self.countdown = countdown

    def __enter__(self):
        gc.disable()  # what is raised in a finalizer is not raised in the read
        sys.setprofile(self.look)

    def __exit__(self, *raised):
        sys.setprofile(None)
        gc.enable()

    def look(self, frame, event, argument):
        if event in ("call", "c_return") and frame.f_globals["__name__"].startswith(PACKAGE):
            self.countdown -= 1
            if self.countdown == 0:
                raise TakesTooLongError


@pytest.mark.parametrize("audio_format", [FormatPreset.NATIVE, FormatPreset.TRANSCRIPTION])
def test_a_read_may_be_interrupted_anywhere_again_and_again(audio_format):
    channel = ChannelSink()
    source = AudioSource.virtual("counter", channels=1, period=96)
    builder = StreamAudio.builder().add_source("mic", source).format(audio_format)
    builder.add_sink(channel).config(StreamConfig(chunk_duration=0.002))
    interrupted = []
    chunks = []

    def read():
        for countdown in range(1, 1000):
            for _ in range(3):  # by the fast path again
                chunks.append(channel.get(GIVE_UP))
            with contextlib.suppress(TakesTooLongError):
                interrupter = Interrupter(countdown)
                with interrupter:
                    chunks.append(channel.get(GIVE_UP))
            if interrupter.countdown > 0:  # there is no later moment
                break
            interrupted.append(countdown)

    with builder.start() as session:
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(4 * GIVE_UP)
        assert not reader.is_alive()
        assert session.running
        report = session.stop()
        chunks += list(channel)
    assert len(interrupted) > 10
    assert report.balanced
    assert report.sources["mic"].lost == 0
    lost = [after.frame - chunk.end for chunk, after in itertools.pairwise(chunks)]
    assert set(lost) <= {0, chunks[0].frames}  # one that was just being returned
    assert sum(map(bool, lost)) <= 5
    [sink] = report.sinks.values()
    assert sum(chunk.frames for chunk in chunks) + sum(lost) == sink.delivered
