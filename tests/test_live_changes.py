"""Sinks that come and go, and pauses, while a session runs: nobody else loses a frame."""

import itertools
import queue
import threading

import numpy as np
import pytest

from stream_audio import (
    AudioFormat,
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    FormatPreset,
    GapCause,
    Session,
    SessionStateError,
    SourceEnded,
    StreamAudio,
    StreamConfig,
)
from stream_audio.engine.roster import REMOVED_KEPT
from stream_audio.testing import VirtualClock

RATE = 48_000
GIVE_UP = 60.0
SECOND = 1.01
"""A little more: the callback that completes the last chunk of a second comes after it."""


class Running:
    """A session whose time stands still between the steps of a test."""

    def __init__(self, **settings):
        self.clock = VirtualClock(auto=False)
        self.first = ChannelSink()
        self.session = (
            StreamAudio.builder()
            .add_source("mic", AudioSource.virtual("counter"))
            .add_source("speaker", AudioSource.virtual("counter", channels=1))
            .format(FormatPreset.NATIVE)
            .add_sink(self.first, sources="mic", name="first")
            .config(StreamConfig(clock=self.clock, raise_on_sink_failure=False, **settings))
            .start()
        )

    def stop(self):
        report = self.session.stop()
        assert report.balanced, str(report)
        return report


@pytest.fixture
def running():
    made = Running()
    yield made
    check_whole(made.first, made.stop().sources["mic"])


def check_whole(channel, source):
    """The sink that was there all the time has every frame that was not paused."""
    chunks = list(channel)
    assert all(not chunk.gaps for chunk in chunks)
    assert sum(chunk.frames for chunk in chunks) == source.captured + source.synthetic


def positions(chunk):
    return np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)


def test_a_sink_that_is_added_gets_what_comes_from_then_on(running):
    running.clock.advance(SECOND)
    late = ChannelSink()
    running.session.add_sink(late, sources="mic")
    running.clock.advance(SECOND)
    running.stop()
    chunks = list(late)
    assert chunks[0].frame == RATE  # of the chunk under way nothing had been handed on yet
    for chunk in chunks:
        np.testing.assert_array_equal(positions(chunk), chunk.frame + np.arange(chunk.frames))
    report = running.session.report().sinks["ChannelSink"]
    assert report.offered == report.delivered == sum(chunk.frames for chunk in chunks)


def test_a_sink_that_is_removed_gets_what_waits_and_is_stopped(running):
    stopped = threading.Event()

    class Slow:
        frames = 0

        def write(self, chunk):
            running.clock.sleep(0.3)
            self.frames += chunk.frames

        def stop(self):
            stopped.set()

    sink = Slow()
    handle = running.session.add_sink(sink, sources="mic")
    assert handle.attached
    running.clock.advance(1.05)
    assert handle.report().pending > 0
    remover = threading.Thread(target=handle.remove, kwargs={"timeout": 60.0})
    remover.start()
    while handle.attached:
        pass
    running.clock.advance(10.0)
    remover.join(GIVE_UP)
    assert not remover.is_alive()
    assert stopped.is_set()
    report = handle.report()
    assert report.delivered == report.offered == sink.frames == RATE
    assert running.session.report().sinks["Slow"] == report


def test_a_sink_may_be_removed_without_what_waits_for_it(running):
    sink = CallbackSink(lambda chunk: running.clock.sleep(0.3))
    handle = running.session.add_sink(sink, sources="mic")
    running.clock.advance(1.05)
    pending = handle.report().pending
    remover = threading.Thread(target=handle.remove, kwargs={"drain": False})
    remover.start()
    while handle.attached:
        pass
    running.clock.advance(1.0)  # for the chunk that it is at
    remover.join(GIVE_UP)
    report = handle.report()
    assert {gap.cause for gap in report.gaps} == {GapCause.REMOVED}
    assert report.dropped == pending - 4800


def test_a_stuck_sink_that_is_removed_is_given_up_and_counted(running):

    class Stuck:
        def write(self, chunk):
            running.clock.sleep(30.0)

    handle = running.session.add_sink(Stuck(), sources="mic")
    running.clock.advance(1.05)
    remover = threading.Thread(target=handle.remove, kwargs={"timeout": 5.0})
    remover.start()
    while handle.attached:
        pass
    running.clock.advance(6.0)
    remover.join(GIVE_UP)
    running.clock.advance(30.0)  # it comes back, and changes nothing any more
    report = handle.report()
    assert report.delivered == 0
    assert report.dropped == report.offered == RATE
    assert {gap.cause for gap in report.gaps} == {GapCause.REMOVED}


def test_a_sink_object_may_come_back_after_it_was_removed(running):
    frames = []
    sink = CallbackSink(lambda chunk: frames.append(chunk.frame))
    for number in range(3):
        handle = running.session.add_sink(sink, sources="mic")
        running.clock.advance(SECOND)
        handle.remove()
        running.clock.advance(SECOND)
        assert len(frames) == 10 * (number + 1)
    assert frames == sorted(set(frames))


def test_removing_twice_is_removing_once(running):
    handle = running.session.add_sink(ChannelSink())
    running.clock.advance(1.0)
    assert handle.remove() == handle.remove()
    assert not handle.attached


def test_a_handle_of_a_stopped_session_still_tells():
    running = Running()
    handle = running.session.add_sink(ChannelSink(), sources="mic")
    running.clock.advance(SECOND)
    assert handle.attached
    captured = running.stop().sources["mic"].captured
    assert not handle.attached
    assert handle.remove().delivered == captured
    assert "removed" in repr(handle)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_sink_may_remove_itself(running, blocking):
    class Shy:
        written = 0

        def write(self, chunk):
            self.written += 1
            self.handle.remove()

    sink = Shy()
    sink.blocking = blocking
    ready = threading.Event()

    class AddsIt:
        def write(self, chunk):
            if not ready.is_set():
                sink.handle = running.session.add_sink(sink, sources="mic")
                ready.set()

    running.session.add_sink(AddsIt(), sources="mic")
    running.clock.advance(1.0)
    assert ready.is_set()
    assert sink.written == 1
    assert not sink.handle.attached


def test_a_direct_sink_may_add_another(running):
    added = ChannelSink()

    class Adds:
        blocking = False
        done = False

        def write(self, chunk):
            if not self.done:
                self.done = True
                running.session.add_sink(added, sources="mic")

    running.session.add_sink(Adds(), sources="mic")
    running.clock.advance(1.0)
    running.stop()
    assert sum(chunk.frames for chunk in added) >= 8 * RATE // 10


def test_many_threads_may_add_and_remove_at_once(running):
    failures = []

    def comes_and_goes():
        try:
            for _ in range(10):
                running.session.add_sink(ChannelSink(), sources="mic").remove()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=comes_and_goes) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        running.clock.advance(0.01)
    assert failures == []


def test_the_report_keeps_the_last_sinks_that_were_removed(running):
    handles = [running.session.add_sink(ChannelSink()) for _ in range(REMOVED_KEPT + 20)]
    for handle in handles:
        handle.remove()
    names = set(running.session.report().sinks)
    assert names == {"first", *(handle.name for handle in handles[20:])}


def refused(running, sink, **settings):
    before = running.session.report().sinks.keys()
    try:
        running.session.add_sink(sink, **settings)
    finally:
        assert running.session.report().sinks.keys() == before


def test_what_the_builder_refuses_a_running_session_refuses_too(running):
    with pytest.raises(ConfigTypeError, match="is not a sink"):
        refused(running, object())
    with pytest.raises(ConfigError, match="'radio' that does not exist"):
        refused(running, ChannelSink(), sources="radio")
    with pytest.raises(ConfigError, match="already a sink 'first'"):
        refused(running, ChannelSink(), name="first")
    with pytest.raises(ConfigError, match="on_failure"):
        refused(running, ChannelSink(), on_failure="explode")
    with pytest.raises(SessionStateError, match="in this session already"):
        refused(running, running.first)


def test_a_sink_that_cannot_start_leaves_nothing_behind(running):
    class Unready:
        def start(self, info):
            raise OSError("no")

        def write(self, chunk):
            raise AssertionError

    sink = Unready()
    for _ in range(2):  # the second time it is not in use either
        with pytest.raises(OSError, match="no"):
            refused(running, sink)


def test_a_stopped_session_takes_no_sink():
    running = Running()
    running.stop()
    for change in (
        lambda: running.session.add_sink(ChannelSink()),
        running.session.pause,
        running.session.resume,
    ):
        with pytest.raises(SessionStateError, match="has ended"):
            change()


# ---- pauses ----


def test_what_is_captured_in_a_pause_reaches_no_sink(running):
    running.clock.advance(1.03)
    running.session.pause()
    running.clock.advance(2.0)
    running.session.resume()
    running.clock.advance(1.0)
    report = running.stop()
    for source in report.sources.values():
        (pause,) = source.pauses
        assert pause.frame == pytest.approx(1.03 * RATE, abs=2)
        assert pause.frames == source.paused == pytest.approx(2.0 * RATE, abs=2)
        assert source.captured + source.paused == source.position
    assert ", 96" in str(report)


def test_one_source_may_be_paused_alone(running):
    running.clock.advance(1.0)
    running.session.pause("speaker")
    running.clock.advance(1.0)
    report = running.stop()
    assert report.sources["mic"].paused == 0
    assert report.sources["speaker"].paused == pytest.approx(RATE, abs=300)


def test_a_pause_may_be_filled_with_silence(running):
    running.clock.advance(0.5)
    running.session.pause(policy="silence")
    running.clock.advance(1.0)
    running.session.resume()
    running.clock.advance(0.5)
    source = running.stop().sources["mic"]
    assert source.synthetic == pytest.approx(RATE, abs=2)
    assert source.paused == 0


def test_a_recording_leaves_the_pause_out_and_its_time_line_goes_on(running):
    late = ChannelSink()
    running.session.add_sink(late, sources="mic")
    running.clock.advance(1.0)
    running.session.pause("mic")
    running.clock.advance(1.0)
    running.session.resume("mic")
    running.clock.advance(1.0)
    running.stop()
    chunks = list(late)
    for chunk in chunks:
        np.testing.assert_array_equal(positions(chunk), chunk.frame + np.arange(chunk.frames))
    jumps = [after.frame - before.end for before, after in itertools.pairwise(chunks)]
    assert max(jumps) == pytest.approx(RATE, abs=2)


@pytest.mark.parametrize("change", [Session.pause, Session.resume])
def test_a_source_that_does_not_exist_cannot_be_paused(running, change):
    with pytest.raises(ConfigError, match="no source 'radio'"):
        change(running.session, "radio")
    with pytest.raises(ConfigTypeError, match="sources takes"):
        change(running.session, 3)


def test_a_pause_has_one_of_two_policies(running):
    with pytest.raises(ConfigError, match="policy"):
        running.session.pause(policy="maybe")


class WrittenDirectly:
    """A sink on the router's thread that does something with its third chunk."""

    blocking = False

    def __init__(self, act):
        self._act = act
        self.writes = 0
        self.writing = False
        self.stopped_while_writing = None

    def write(self, chunk):
        assert not self.writing
        self.writing = True
        self.writes += 1
        if self.writes == 3:
            self._act()
        self.writing = False

    def stop(self):
        self.stopped_while_writing = self.writing


NARROW = AudioFormat(16_000, 1)


def test_a_sink_may_take_itself_out_in_the_middle_of_a_write(running):
    sink = WrittenDirectly(lambda: handle.remove())
    handle = running.session.add_sink(sink, sources="mic", format=NARROW)
    running.clock.advance(SECOND)
    assert not handle.attached
    assert sink.stopped_while_writing is False
    assert sink.writes <= 4  # what was still in the conversion comes after it


def test_a_sink_may_add_another_one_in_the_middle_of_a_write(running):
    heard = []
    other = CallbackSink(heard.append)
    sink = WrittenDirectly(lambda: running.session.add_sink(other, sources="mic", format=NARROW))
    running.session.add_sink(sink, sources="mic", format=AudioFormat(8_000, 1))
    running.clock.advance(SECOND)
    running.stop()
    assert sink.writes >= 9
    assert sum(chunk.frames for chunk in heard) > 8_000


def test_what_cannot_be_added_after_all_is_not_in_use(running):
    backlog = Backlog(when_full="block")
    for _ in range(50):
        sink = ChannelSink()
        with pytest.raises(ConfigError, match="cannot wait"):
            running.session.add_sink(sink, sources="mic", name="it", backlog=backlog)
    running.session.add_sink(sink, sources="mic", name="it")


@pytest.mark.parametrize("connected", [False, True])
def test_ctrl_c_while_a_sink_is_added_leaves_nothing_of_it(running, monkeypatch, connected):
    router = running.session._engine._router
    do = router.do

    def interrupted(action, undo):
        monkeypatch.setattr(router, "do", do)
        if connected:
            do(action)
        raise KeyboardInterrupt

    stopped = threading.Event()

    class Stopped:
        def write(self, chunk):
            raise AssertionError

        def stop(self):
            assert not stopped.is_set()
            stopped.set()

    monkeypatch.setattr(router, "do", interrupted)
    with pytest.raises(KeyboardInterrupt):
        running.session.add_sink(Stopped(), sources="mic", name="it")
    assert stopped.wait(GIVE_UP)
    running.clock.advance(SECOND)
    assert list(running.session._engine._roster.deliveries) == ["first"]
    assert running.session._engine.failure_to_raise is None
    running.session.add_sink(CallbackSink(lambda chunk: None), sources="mic", name="again")


@pytest.mark.parametrize("drain", [True, False])
def test_a_stuck_sink_may_be_removed_while_the_session_waits_for_it(drain):
    """Its sources have ended; as they can wait, the session would for ever."""
    stuck, let_go = threading.Event(), threading.Event()

    def wait(chunk):
        stuck.set()
        let_go.wait(GIVE_UP)

    ended = threading.Event()
    source = AudioSource.virtual("counter", pace="freewheel", frames=20 * RATE)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    builder.on_event(lambda event: isinstance(event, SourceEnded) and ended.set())
    builder.config(StreamConfig(raise_on_sink_failure=False))
    added = threading.Event()
    first = CallbackSink(lambda chunk: added.wait(GIVE_UP))  # which holds the source up
    session = builder.add_sink(first, backlog=Backlog("0.2 s")).start()
    handle = session.add_sink(CallbackSink(wait), name="stuck")
    added.set()
    assert stuck.wait(GIVE_UP)
    assert ended.wait(GIVE_UP)
    report = handle.remove(drain=drain, timeout=0.05)
    assert report.pending == 0
    assert report.dropped == report.offered > 0
    with pytest.raises(SessionStateError, match="has ended"):
        session.add_sink(CallbackSink(print))
    assert session.wait(GIVE_UP)
    assert session.report().balanced
    let_go.set()


def test_a_sink_may_add_another_one_while_a_thread_does():
    """Neither waits for the other, however slowly the thread's sink starts."""
    starting, added = threading.Event(), threading.Event()

    class SlowToStart:
        def start(self, info):
            starting.set()
            assert added.wait(GIVE_UP)

        def write(self, chunk):
            pass

    def add_another():
        assert starting.wait(GIVE_UP)
        session.add_sink(CallbackSink(lambda chunk: None), name="another")
        added.set()

    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("silence"))
    builder.config(StreamConfig(chunk_duration=0.01))
    with builder.add_sink(WrittenDirectly(add_another)).start() as session:
        session.add_sink(SlowToStart(), name="slow")
    assert set(session.report().sinks) == {"WrittenDirectly", "another", "slow"}


@pytest.mark.parametrize("target", [False, True])
def test_a_channel_that_is_removed_while_the_session_ends_ends_once(target):
    held, ended = threading.Event(), threading.Event()
    source = AudioSource.virtual("counter", pace="freewheel", frames=20 * RATE)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    builder.on_event(lambda event: isinstance(event, SourceEnded) and ended.set())
    first = CallbackSink(lambda chunk: held.wait(GIVE_UP))
    session = builder.add_sink(first, backlog=Backlog("0.1 s")).start()
    chunks = queue.Queue()
    channel = ChannelSink(chunks) if target else ChannelSink()
    handle = session.add_sink(channel)
    held.set()
    assert ended.wait(GIVE_UP)
    report = handle.remove()
    assert session.wait(GIVE_UP)
    taken = list(iter(chunks.get_nowait, None)) if target else list(channel)
    assert sum(chunk.frames for chunk in taken) == report.delivered
    assert chunks.empty()


class RemovesASource:
    """A sink during whose start a source goes."""

    def __init__(self, session):
        self.session = session

    def start(self, info):
        self.session.remove_source("leaving")

    def write(self, chunk):
        pass

    def stop(self):
        pass


@pytest.mark.parametrize("sources", [None, ["leaving", "staying"], "leaving"])
def test_a_source_may_be_removed_while_a_sink_for_it_is_added(sources):
    builder = StreamAudio.builder().add_sink(ChannelSink())
    for name in ("leaving", "staying"):
        builder.add_source(name, AudioSource.virtual("silence"))
    with builder.start() as session:
        if sources == "leaving":
            with pytest.raises(ConfigError, match="removed while the sink was added: leaving"):
                session.add_sink(RemovesASource(session), sources=sources)
        else:
            session.add_sink(RemovesASource(session), sources=sources, name="added")
    report = session.report()
    assert report.balanced
    assert ("added" in report.sinks) is (sources != "leaving")
