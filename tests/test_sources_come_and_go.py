"""Sources that come and go while a session runs: nobody else loses a frame."""

import asyncio
import itertools
import threading
import wave

import numpy as np
import pytest

from stream_audio import (
    AudioFormat,
    AudioSource,
    CallbackSink,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    DeviceError,
    FileSink,
    FormatPreset,
    SessionStateError,
    SourceEnded,
    StreamAudio,
    StreamConfig,
)
from stream_audio.engine import source_setup
from stream_audio.testing import VirtualClock

RATE = 48_000
GIVE_UP = 60.0


def guest(**settings):
    return AudioSource.virtual("counter", channels=1, **settings)


def positions(chunk):
    return np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)


def check_whole(chunks, source):
    """Each frame of a source that was captured is there, in its place."""
    assert all(not chunk.gaps for chunk in chunks)
    for chunk in chunks:
        np.testing.assert_array_equal(positions(chunk), chunk.frame + np.arange(chunk.frames))
    assert sum(chunk.frames for chunk in chunks) == source.captured


class Listener:
    """A sink that takes sources as they come, and remembers in which order things happened."""

    def __init__(self, error=None):
        self.happened = []
        self.chunks = []
        self.infos = []
        self.stopped = threading.Event()
        self.error = error

    def source_added(self, info):
        if self.error is not None:
            raise self.error
        self.infos.append(info)
        self.happened.append(("added", info.id))

    def write(self, chunk):
        self.chunks.append(chunk)
        self.happened.append(("chunk", chunk.source))

    def stop(self):
        self.stopped.set()

    def of(self, source):
        return [chunk for chunk in self.chunks if chunk.source == source]


class Running:
    """A session whose time stands still between the steps of a test."""

    def __init__(self):
        self.clock = VirtualClock(auto=False)
        self.host = ChannelSink()
        self.listener = Listener()
        self.events = []
        self.session = (
            StreamAudio.builder()
            .add_source("host", AudioSource.virtual("counter"))
            .format(FormatPreset.NATIVE)
            .add_sink(self.host, sources="host", name="host file")
            .add_sink(self.listener)
            .on_event(self.events.append)
            .config(StreamConfig(clock=self.clock, raise_on_sink_failure=False))
            .start()
        )

        self.heard = []

    def advance(self, seconds):
        self.clock.advance(seconds)

    def stop(self):
        report = self.session.stop()
        assert report.balanced, str(report)
        self.heard += self.host
        return report


@pytest.fixture
def running():
    made = Running()
    made.advance(1.01)
    yield made
    report = made.stop()
    check_whole(made.heard, report.sources["host"])


# ---- coming ----


def test_a_source_comes_with_sinks_of_its_own_and_loses_none_of_its_frames(running, tmp_path):
    channel = ChannelSink()
    handles = running.session.add_source(
        "guest",
        guest(),
        sinks=[channel, (FileSink(tmp_path / "guest.wav"), AudioFormat(16_000, dtype="int16"))],
    )
    assert handles[0].sink is channel
    running.advance(1.01)
    source = running.stop().sources["guest"]
    check_whole(list(channel), source)
    assert source.captured >= RATE
    with wave.open(str(tmp_path / "guest.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (16_000, source.captured // 3)
    assert not any(handle.attached for handle in handles)


def test_a_sink_for_all_sources_takes_one_that_comes_if_it_can(running):
    running.session.add_source("guest", guest())
    running.advance(1.01)
    report = running.stop()
    listener = running.listener
    assert [(info.id, info.sample_rate, info.channels) for info in listener.infos] == [
        ("guest", RATE, 1)
    ]
    assert listener.happened.index(("added", "guest")) < listener.happened.index(
        ("chunk", "guest")
    )
    check_whole(listener.of("guest"), report.sources["guest"])
    check_whole(listener.of("host"), report.sources["host"])
    assert {chunk.source for chunk in running.heard} == {"host"}


def test_a_sink_that_was_not_made_for_it_gets_the_sources_of_the_moment_it_was_added(running):
    class Plain:
        def __init__(self):
            self.sources = set()

        def write(self, chunk):
            self.sources.add(chunk.source)

    before, after = Plain(), Plain()
    running.session.add_sink(before)
    running.session.add_source("guest", guest())
    running.session.add_sink(after)
    running.advance(1.01)
    running.stop()
    assert (before.sources, after.sources) == ({"host"}, {"host", "guest"})


@pytest.mark.parametrize("kind", ["channel", "callback", "async"])
def test_channels_and_functions_take_sources_that_come(kind):
    heard = []
    channel = ChannelSink()

    async def hear(chunk):
        heard.append(chunk)

    async def run():
        sinks = {"channel": channel, "callback": CallbackSink(heard.append)}
        builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
        builder.add_sink(sinks.get(kind) or CallbackSink(hear), backlog="60 s")
        async with builder as session:
            await session.aadd_source("guest", guest())
            await asyncio.sleep(0.3)
            await session.aremove_source("guest")
        return session.report()

    report = asyncio.run(run())
    assert report.balanced
    chunks = list(channel) if kind == "channel" else heard
    check_whole([chunk for chunk in chunks if chunk.source == "guest"], report.sources["guest"])


def test_a_channel_of_one_source_whose_consumer_runs_the_turns_takes_another():
    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
    with builder.add_sink(channel).start() as session:
        for chunk in channel:
            if chunk.source == "host" and chunk.end == RATE // 5:
                adder = threading.Thread(target=session.add_source, args=("guest", guest()))
                adder.start()
            elif chunk.source == "guest" and chunk.end >= RATE // 5:
                adder.join()
                break
    report = session.report()
    assert report.balanced
    assert [source.lost for source in report.sources.values()] == [0, 0]


def test_the_times_of_a_source_that_comes_are_those_of_the_session(running):
    running.session.add_source("guest", guest())
    running.advance(1.01)
    running.stop()
    first = running.listener.of("guest")[0]
    assert first.time == pytest.approx(running.session.started_at + 1.01, abs=0.01)
    assert first.timestamp == pytest.approx(1.01, abs=0.01)


# ---- leaving ----


def test_a_source_that_is_removed_leaves_nothing_behind_that_it_captured(running, tmp_path):
    channel = ChannelSink()
    sinks = [channel, FileSink(tmp_path / "guest.wav")]
    handles = running.session.add_source("guest", guest(), sinks=sinks)
    running.advance(1.03)  # in the middle of a chunk
    report = running.session.remove_source("guest")
    chunks = list(channel)  # it ends
    check_whole(chunks, report)
    assert report.captured > RATE
    assert chunks[-1].frames < 4800
    with wave.open(str(tmp_path / "guest.wav")) as file:
        assert file.getnframes() == report.captured
    assert not any(handle.attached for handle in handles)
    running.advance(1.0)
    assert running.session.running
    assert list(running.session.stats().sources) == ["host"]
    whole = running.session.report()
    assert whole.sources["guest"] == report
    assert {handle.name for handle in handles} <= set(whole.sinks)
    check_whole(running.listener.of("guest"), report)


def test_a_sink_with_another_source_goes_on(running):
    running.session.add_source("guest", guest())
    running.advance(0.5)
    running.session.remove_source("guest")
    assert not running.listener.stopped.is_set()
    running.advance(0.5)
    report = running.stop()
    check_whole(running.listener.of("host"), report.sources["host"])
    check_whole(running.listener.of("guest"), report.sources["guest"])


def test_a_source_that_was_there_from_the_start_can_be_removed(running):
    running.session.add_source("guest", guest())
    running.advance(0.5)
    running.session.remove_source("host")
    running.advance(0.5)
    assert running.session.running
    report = running.stop()
    assert "host file" in report.sinks
    check_whole(running.listener.of("guest"), report.sources["guest"])
    assert [event.source for event in running.events if isinstance(event, SourceEnded)] == [
        "host",
        "guest",
    ]


def test_a_session_ends_with_its_last_source():
    listener = Listener()
    builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
    with builder.add_sink(listener).start() as session:
        session.add_source("guest", guest())
        session.remove_source("host")
        assert session.running
        session.remove_source("guest")
        assert session.wait(GIVE_UP)
    assert session.report().balanced
    assert listener.stopped.is_set()


def test_a_source_that_has_ended_can_be_removed_and_its_sinks_end():
    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
    ended = threading.Event()
    builder.on_event(lambda event: isinstance(event, SourceEnded) and ended.set())
    with builder.add_sink(ChannelSink()).start() as session:
        session.add_source("guest", guest(frames=RATE, pace="freewheel"), sinks=[channel])
        assert ended.wait(GIVE_UP)
        assert session.remove_source("guest").captured == RATE
        assert sum(chunk.frames for chunk in channel) == RATE


def test_a_stuck_sink_holds_nobody_up_but_its_own_end():
    class Stuck:
        def __init__(self):
            self.let = threading.Event()

        def write(self, chunk):
            self.let.wait(GIVE_UP)

    stuck, channel = Stuck(), ChannelSink()
    builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
    builder.config(StreamConfig(raise_on_sink_failure=False))
    with builder.add_sink(channel).start() as session:
        # It fills the sink's backlog, and waits for it.
        session.add_source("guest", guest(pace="freewheel"), sinks=[stuck])
        report = session.remove_source("guest", timeout=0.1)
        assert session.running
        stuck.let.set()
    whole = session.report()
    assert whole.balanced
    sink = whole.sinks["Stuck"]
    assert sink.offered == sink.delivered + sink.dropped == report.captured


class Opened:
    """An opened source of which parts go wrong."""

    def __init__(self, opened, **instead):
        self.__dict__.update(opened=opened, **instead)

    def __getattr__(self, name):
        return getattr(self.opened, name)


class Broken:
    """A source of which parts go wrong."""

    def __init__(self, **instead):
        self.instead = instead

    def open(self, opening):
        return Opened(guest().open(opening), **self.instead)


def test_a_device_whose_stop_takes_long_holds_nobody_up():
    entered, let = threading.Event(), threading.Event()

    class Slow(Broken):
        def open(self, opening):
            opened = guest().open(opening)

            def stop():
                entered.set()
                let.wait(GIVE_UP)
                opened.stop()

            return Opened(opened, stop=stop)

    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
    with builder.add_sink(channel, sources="host").start() as session:
        session.add_source("guest", Slow())
        remover = threading.Thread(target=session.remove_source, args=("guest",))
        remover.start()
        assert entered.wait(GIVE_UP)
        before = session.report().sources["host"].captured
        for chunk in channel:
            if chunk.end > before + RATE // 5:
                break
        let.set()
        remover.join(GIVE_UP)
        assert not remover.is_alive()
    assert session.report().balanced


# ---- what cannot be ----


def test_ids_that_cannot_be_are_refused(running):
    session = running.session
    session.add_source("gone", guest())
    session.remove_source("gone")
    for id, source, error, words in [
        ("host", guest(), ConfigError, "already a source 'host'"),
        ("gone", guest(), ConfigError, "was a source 'gone'"),
        (" ", guest(), ConfigError, "empty"),
        (7, guest(), ConfigTypeError, "string"),
        ("new", "mic", ConfigTypeError, "is not a source"),
    ]:
        with pytest.raises(error) as raised:
            session.add_source(id, source)
        assert words in str(raised.value)
    for id in ("gone", "nobody"):
        with pytest.raises(ConfigError, match="there is no source"):
            session.remove_source(id)
    with pytest.raises(ConfigTypeError, match="list of sinks"):
        session.add_source("new", guest(), sinks=ChannelSink())
    with pytest.raises(ConfigError, match="timeout"):
        session.remove_source("host", timeout=-1)
    session.stop()
    with pytest.raises(SessionStateError, match="ended"):
        session.add_source("late", guest())
    with pytest.raises(SessionStateError, match="ended"):
        session.remove_source("host")


class Failing(Listener):
    def start(self, info):
        raise DeviceError("it is on fire")


def fail(*arguments):
    raise DeviceError("it is on fire")


@pytest.mark.parametrize("part", ["open", "start", "sink", "told"])
def test_a_source_that_cannot_come_leaves_nothing_behind(running, part):
    source, sinks = Broken(), [ChannelSink()]
    if part == "open":
        source.open = fail
    elif part == "start":
        source.instead["start"] = fail
    elif part == "sink":
        sinks.append(Failing())
    else:
        running.listener.error = DeviceError("it is on fire")
    before = threading.active_count()
    with pytest.raises(DeviceError, match="it is on fire"):
        running.session.add_source("guest", source, sinks=sinks)
    assert threading.active_count() == before
    running.advance(0.5)
    assert list(running.session.report().sources) == ["host"]
    assert set(running.session.report().sinks) == {"host file", "Listener"}
    running.listener.error = None
    again = running.session.add_source("guest", guest(), sinks=sinks[:1])
    running.advance(0.5)
    running.session.remove_source("guest")
    assert again[0].report().delivered > 0


def test_a_sink_that_waits_takes_no_device_that_cannot():
    listener = Listener()
    builder = StreamAudio.builder().add_source("host", guest(pace="freewheel", frames=10 * RATE))
    builder.add_sink(listener, backlog="1 s").format(FormatPreset.NATIVE)
    gate = threading.Event()
    listener.write = lambda chunk: gate.wait(GIVE_UP)
    with builder.start() as session:
        with pytest.raises(ConfigError, match="cannot wait"):
            session.add_source("guest", guest())
        gate.set()
        assert session.wait(GIVE_UP)
    assert session.report().balanced


# ---- from within ----


@pytest.mark.parametrize("blocking", [True, False])
def test_a_sink_may_add_and_remove_sources(blocking):
    class Host(Listener):
        def __init__(self):
            super().__init__()
            self.blocking = blocking

        def write(self, chunk):
            super().write(chunk)
            count = len(self.of("host"))
            if chunk.source == "host" and count == 2:
                self.session.add_source("guest", guest())
            elif chunk.source == "host" and count == 5:
                self.session.remove_source("guest")
            elif count == 12:
                self.session.stop()

    host = Host()
    builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
    host.session = builder.add_sink(host).start()
    with host.session as session:
        assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced
    assert "guest" in report.sources
    check_whole(host.of("guest"), report.sources["guest"])


def test_the_twins_do_not_block_the_loop():
    async def run():
        channel = ChannelSink()
        builder = StreamAudio.builder().add_source("host", guest()).format(FormatPreset.NATIVE)
        async with builder.add_sink(ChannelSink()) as session:
            [handle] = await session.aadd_source("guest", guest(), sinks=[channel])
            chunks = [await channel.aget(), await channel.aget()]
            report = await session.aremove_source("guest")
            chunks += [chunk async for chunk in channel]
            check_whole(chunks, report)
            assert not handle.attached
        assert session.report().balanced

    asyncio.run(run())


# ---- many ----


@pytest.mark.parametrize("rounds", [12, pytest.param(100, marks=pytest.mark.long)])
def test_sources_come_and_go_at_random_and_nobody_loses_a_frame(tmp_path, rounds, monkeypatch):
    monkeypatch.setattr(source_setup, "REMOVED_KEPT", 5)
    random = np.random.default_rng(28)
    running = Running()
    session = running.session
    session.add_sink(FileSink(tmp_path / "host.wav"), sources="host")
    session.add_source("other", guest())
    merged = ChannelSink(backlog="600 s")
    both = AudioFormat(RATE, 1)
    session.add_sink(merged, sources=["host", "other"], merge=True, format=both, name="merge")
    present, sinks, reports = [], {}, {}
    for number in range(rounds):
        running.advance(float(random.uniform(0, 0.3)))
        if present and random.random() < 0.45:
            name = present.pop(int(random.integers(len(present))))
            reports[name] = session.remove_source(name)
        name = f"guest-{number}"
        channel = ChannelSink()
        source = guest(
            drift_ppm=float(random.uniform(-300, 300)),
            period=int(random.integers(64, 1024)),
            jitter=0.002,
            seed=number,
        )
        session.add_source(name, source, sinks=[channel])
        present.append(name)
        sinks[name] = channel
    running.advance(0.3)
    report = running.stop()
    reports |= {name: report.sources[name] for name in present}
    assert len(report.sources) <= 2 + len(present) + 5
    for name, channel in sinks.items():
        check_whole(list(channel), reports[name])
        check_whole(running.listener.of(name), reports[name])
    check_whole(running.heard, report.sources["host"])
    check_whole(running.listener.of("host"), report.sources["host"])
    with wave.open(str(tmp_path / "host.wav")) as file:
        assert file.getnframes() == report.sources["host"].captured
    check_whole(running.listener.of("other"), report.sources["other"])
    chunks = list(merged)
    assert all(not chunk.gaps for chunk in chunks[1:])
    assert all(before.end == after.frame for before, after in itertools.pairwise(chunks))
    middle = [chunk for chunk in chunks[1:-1] if chunk.timestamp > 0.5]
    assert middle[:-5]
    assert not any(chunk.absent for chunk in middle[:-5])
