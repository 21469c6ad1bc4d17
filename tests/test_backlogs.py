"""Backlogs in a session: each policy does what it says, and each account balances."""

import asyncio
import errno
import threading

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    ConfigError,
    FormatPreset,
    GapCause,
    GapDetected,
    Retry,
    SinkStalled,
    SpillFailed,
    StreamAudio,
    StreamConfig,
)
from stream_audio.backlog import spill_file
from stream_audio.testing import VirtualClock

RATE = 8000
GIVE_UP = 60.0


def counter(seconds=None, **settings):
    frames = None if seconds is None else round(seconds * RATE)
    return AudioSource.virtual("counter", sample_rate=RATE, channels=1, frames=frames, **settings)


def freewheel(seconds=None):
    return counter(seconds, pace="freewheel")


def builder(source, **settings):
    settings = {"clock": VirtualClock(), "raise_on_sink_failure": False, **settings}
    building = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    return building.config(StreamConfig(**settings))


class Tiled:
    """Takes chunks, each of which must go on where the one before ended, bit by bit."""

    def __init__(self):
        self.end = 0
        self.in_gaps = 0

    def write(self, chunk):
        for gap in chunk.gaps:
            assert gap.frame == self.end
            self.end = gap.end
            self.in_gaps += gap.frames
        assert chunk.frame == self.end
        samples = np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)
        np.testing.assert_array_equal(samples, (chunk.frame + np.arange(chunk.frames)) % 2**23)
        self.end = chunk.end


class Sleepy(Tiled):
    """Sleeps before some of its chunks."""

    def __init__(self, clock, naps=(), every=0.0):
        super().__init__()
        self.clock = clock
        self.naps = dict(naps)  # chunk number: seconds
        self.every = every
        self.count = 0

    def write(self, chunk):
        self.clock.sleep(self.naps.get(self.count, self.every))
        self.count += 1
        super().write(chunk)


def ended(session):
    assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced, report
    return report


# ---- spill ----


def test_a_sink_that_is_stuck_for_ten_minutes_gets_every_frame_in_order(tmp_path):
    """9.6 of 20 MB go to disk in between."""
    clock = VirtualClock()
    sink, free = Sleepy(clock, naps=[(10, 600.0)]), Tiled()
    building = builder(counter(660), clock=clock, spill_dir=tmp_path)
    building.add_sink(sink, name="stuck", backlog=Backlog("1 MiB", "spill"))
    highest = []
    building.add_sink(CallbackSink(lambda chunk: highest.append(session.memory())), name="looking")
    with building.add_sink(free, name="free").start() as session:
        report = ended(session)
    assert sink.end == free.end == 660 * RATE
    assert report.sinks["stuck"].delivered == 660 * RATE
    assert report.sinks["stuck"].gaps == ()
    assert max(memory.spilled for memory in highest) > 17 * 2**20
    assert max(memory.backlogs for memory in highest) < 2 * 2**20
    assert list(tmp_path.iterdir()) == []


def test_what_memory_holds_touches_no_disk(monkeypatch):
    opened = []  # an error there would only stop the spilling

    def refuse(*args, **kwargs):
        opened.append(kwargs)
        raise OSError("a file was opened")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    clock = VirtualClock()
    sink = Sleepy(clock, naps=[(0, 5.0)])
    with builder(counter(10), clock=clock).add_sink(sink, name="sleepy").start() as session:
        ended(session)
        names = [thread.name for thread in threading.enumerate()]
        assert "stream-audio-spill" not in names
    assert opened == []
    assert sink.end == 10 * RATE


def test_a_disk_that_fills_is_told_once_and_then_the_oldest_goes(monkeypatch, tmp_path):
    write, room = spill_file.TemporaryStorage.write, [500_000]

    def write_while_there_is_room(storage, data, offset):
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(storage, data, offset)

    monkeypatch.setattr(spill_file.TemporaryStorage, "write", write_while_there_is_room)
    clock, events = VirtualClock(), []
    sink, free = Sleepy(clock, naps=[(5, 100.0)]), Tiled()
    building = builder(counter(120), clock=clock, spill_dir=tmp_path).on_event(events.append)
    building.add_sink(sink, name="stuck", backlog=Backlog("10 s", "spill")).add_sink(free)
    with building.start() as session:
        report = ended(session)
    (failed,) = (event for event in events if isinstance(event, SpillFailed))
    assert (failed.sink, failed.error.errno) == ("stuck", errno.ENOSPC)
    stuck = report.sinks["stuck"]
    assert {gap.cause for gap in stuck.gaps} == {GapCause.BACKLOG_FULL}
    # 15.6 s fit the disk, 10 s the memory.
    assert stuck.dropped == pytest.approx((100 - 25) * RATE, rel=0.05)
    assert sink.end == free.end == 120 * RATE
    assert sink.in_gaps == stuck.dropped
    assert sum(e.frames for e in events if isinstance(e, GapDetected)) == stuck.dropped


def test_beyond_the_spill_limit_the_oldest_goes(tmp_path):
    clock = VirtualClock()
    sink = Sleepy(clock, naps=[(0, 100.0)])
    backlog = Backlog("5 s", "spill", spill_limit="20 s")
    building = builder(counter(110), clock=clock, spill_dir=tmp_path)
    with building.add_sink(sink, name="stuck", backlog=backlog).start() as session:
        report = ended(session)
    stuck = report.sinks["stuck"]
    assert sink.end == 110 * RATE
    # What is on disk has its description with it, hence a little less than 20 s.
    assert (100 - 25 - 1) * RATE <= stuck.dropped <= (100 - 15) * RATE
    assert sink.in_gaps == stuck.dropped
    (gap,) = stuck.gaps
    assert (gap.frame, gap.cause) == (800, GapCause.BACKLOG_FULL)


def test_what_is_on_disk_is_dropped_too_when_the_stop_has_no_more_time(tmp_path):
    clock = VirtualClock()
    sink = Sleepy(clock, naps=[(0, 1e6)])
    building = builder(counter(), clock=clock, spill_dir=tmp_path)
    session = building.add_sink(sink, name="stuck", backlog=Backlog("1 s", "spill")).start()
    clock.sleep(60.0)
    assert session.stats().sinks["stuck"].spilled_bytes > 50 * RATE * 4
    report = session.stop(timeout=1.0)
    assert report.balanced, report
    stuck = report.sinks["stuck"]
    assert stuck.dropped == stuck.offered
    assert {gap.cause for gap in stuck.gaps} == {GapCause.STOP_TIMEOUT}


def test_a_channel_may_spill_and_is_read_after_the_end(tmp_path):
    channel = ChannelSink(backlog=Backlog("1 s", "spill"))
    building = builder(counter(60), spill_dir=tmp_path).add_sink(channel, name="channel")
    with building.start() as session:
        report = ended(session)
    assert report.sinks["channel"].delivered == 60 * RATE == channel.unread
    tiled = Tiled()
    for chunk in channel:
        tiled.write(chunk)
    assert (tiled.end, tiled.in_gaps) == (60 * RATE, 0)


# ---- block ----


def test_a_source_that_can_wait_waits_for_a_slow_sink():
    clock = VirtualClock()
    slow, fast = Sleepy(clock, every=0.05), Tiled()
    building = builder(freewheel(600), clock=clock, ring_duration=2.0)
    building.add_sink(slow, name="slow", backlog=Backlog("5 s", "block"))
    with building.add_sink(fast, name="fast").start() as session:
        report = ended(session)
        stats = session.stats()
    assert slow.end == fast.end == 600 * RATE
    assert report.sinks["slow"].dropped == report.sinks["fast"].dropped == 0
    assert report.sources["mic"].lost == 0
    # A turn brings up to a second, which is taken all the same.
    assert 5.0 <= stats.sinks["slow"].backlog_highest_seconds <= 6.1


def test_a_loop_over_what_freewheels_loses_nothing_by_default():
    """Four times what a channel holds by itself, and a reader that begins when all is full."""
    clock, channel = VirtualClock(), ChannelSink(backlog=Backlog("2 s"))
    building = builder(freewheel(60), clock=clock).add_sink(channel, name="channel")
    with building.start() as session:
        clock.sleep(10.0)
        assert 2.0 <= session.stats().sinks["channel"].backlog_seconds <= 3.1
        tiled = Tiled()
        for chunk in channel:
            tiled.write(chunk)
        report = ended(session)
    assert (tiled.end, tiled.in_gaps) == (60 * RATE, 0)
    assert report.sinks["channel"].dropped == 0


def test_an_async_loop_holds_a_source_up_too():
    async def main():
        channel, tiled = ChannelSink(backlog=Backlog("2 s", "block")), Tiled()
        async with builder(freewheel(60)).add_sink(channel):
            async for chunk in channel:
                tiled.write(chunk)
        return tiled

    assert asyncio.run(main()).end == 60 * RATE


def test_a_channel_that_nobody_reads_does_not_hold_the_stop_up():
    """What the ring held is in the channel in the end, whatever its limit."""
    clock, channel = VirtualClock(), ChannelSink(backlog=Backlog("1 s", "block"))
    building = builder(freewheel(), ring_duration=3.0, clock=clock)
    session = building.add_sink(channel, name="channel").start()
    clock.sleep(10.0)
    assert session.stats().sources["mic"].ring_seconds > 2.9
    report = session.stop(timeout=0.0)
    assert report.balanced, report
    assert report.sinks["channel"].dropped == 0
    tiled = Tiled()
    for chunk in channel:
        tiled.write(chunk)
    assert tiled.end == report.sources["mic"].captured > 3.9 * RATE


def test_a_channel_that_nobody_reads_is_told_of_once_until_it_is_read_again():
    clock, channel, events = VirtualClock(), ChannelSink(), []
    building = builder(freewheel(), ring_duration=3.0, clock=clock).on_event(events.append)
    building.add_sink(channel, name="channel", backlog=Backlog("1 s"))

    def stalls():
        return [event for event in events if isinstance(event, SinkStalled)]

    with building.start():
        clock.sleep(60.0)
        while channel.get(timeout=60).end < 2 * RATE:
            pass  # there is room, and it is filled once more
        clock.sleep(60.0)
    assert [(event.sink, event.seconds) for event in stalls()] == [
        ("channel", pytest.approx(3.0, abs=0.6)),
        ("channel", pytest.approx(3.0, abs=0.6)),
    ]


def test_a_sink_that_is_slow_and_takes_something_now_and_then_is_not_stalled():
    clock, events = VirtualClock(), []
    building = builder(freewheel(30), clock=clock).on_event(events.append)
    building.add_sink(Sleepy(clock, every=2.5), backlog=Backlog("1 s", "block"))
    with building.start() as session:
        ended(session)
    assert not [event for event in events if isinstance(event, SinkStalled)]


def test_a_stuck_sink_that_blocks_is_given_up_when_the_stop_has_no_more_time():
    clock = VirtualClock()
    stuck, other = Sleepy(clock, naps=[(0, 1e6)]), Tiled()
    building = builder(freewheel(), clock=clock, ring_duration=1.0)
    building.add_sink(stuck, name="stuck", backlog=Backlog("1 s", "block")).add_sink(other)
    session = building.start()
    clock.sleep(100.0)
    assert session.report().sinks["stuck"].offered < 5 * RATE  # it holds all up, as it is to
    report = session.stop(timeout=5.0)
    assert report.balanced, report
    assert {gap.cause for gap in report.sinks["stuck"].gaps} == {GapCause.STOP_TIMEOUT}
    assert other.end == report.sources["mic"].captured


@pytest.mark.parametrize("way", ["fails", "is removed", "is removed at once"])
def test_a_sink_that_blocks_and_leaves_lets_the_others_go_on(way):
    clock = VirtualClock()

    class Leaves(Tiled):
        def write(self, chunk):
            clock.sleep(30.0)
            if way == "fails":
                raise OSError("on purpose")

    other = Tiled()
    building = builder(freewheel(60), clock=clock, ring_duration=1.0, retry=Retry(0)).add_sink(
        other
    )
    with building.start() as session:
        handle = session.add_sink(Leaves(), name="bad", backlog=Backlog("1 s", "block"))
        if way != "fails":
            handle.remove(drain=way == "is removed", timeout=1.0)
        ended(session)
    assert other.end == 60 * RATE


def test_a_source_that_cannot_wait_cannot_be_held_up():
    building = builder(counter()).add_source("tape", freewheel())
    building.add_sink(Tiled(), name="tiled", backlog=Backlog(when_full="block"))
    with pytest.raises(ConfigError, match="but mic cannot wait") as caught:
        building.start()
    assert "'spill'" in caught.value.hint


def test_nor_by_a_sink_that_is_added_later():
    with builder(counter()).add_sink(Tiled(), name="first").start() as session:
        with pytest.raises(ConfigError, match="but mic cannot wait"):
            session.add_sink(Tiled(), name="second", backlog=Backlog(when_full="block"))
        assert list(session.report().sinks) == ["first"]


def test_a_device_goes_on_beside_a_file_that_waits():
    """Of two sources, the sink that blocks gets the one that can."""
    clock = VirtualClock()
    slow, live = Sleepy(clock, every=0.5), Tiled()
    building = builder(counter(20), clock=clock, ring_duration=2.0).add_source(
        "tape", freewheel(10)
    )
    building.add_sink(slow, sources="tape", backlog=Backlog("1 s", "block"))
    building.add_sink(live, sources="mic")
    with building.start() as session:
        report = ended(session)
    assert (slow.end, live.end) == (10 * RATE, 20 * RATE)
    assert report.sources["mic"].lost == 0


# ---- drop ----


def test_when_the_newest_goes_the_oldest_stay():
    clock = VirtualClock()
    sink = Sleepy(clock, naps=[(0, 30.0)])
    building = builder(counter(60), clock=clock)
    building.add_sink(sink, name="late", backlog=Backlog("10 s", "drop_newest"))
    with building.start() as session:
        report = ended(session)
    (gap,) = report.sinks["late"].gaps
    assert gap.frame == pytest.approx(10 * RATE, abs=2 * 800)
    assert gap.end == pytest.approx(30 * RATE, abs=2 * 800)
    assert sink.end == 60 * RATE
    assert sink.in_gaps == gap.frames


@pytest.mark.parametrize(
    ("sink", "source", "policy"),
    [
        (Tiled, counter, "SpillingQueue"),
        (Tiled, freewheel, "BlockingQueue"),
        (ChannelSink, counter, "ChunkQueue"),
        (ChannelSink, freewheel, "BlockingQueue"),
    ],
)
def test_what_happens_by_default_is_what_loses_least(sink, source, policy):
    with builder(source(1)).add_sink(sink(), name="sink").start() as session:
        delivery = session._engine._roster.deliveries["sink"]
        assert type(delivery.backlog).__name__ == policy
        ended(session)


# ---- where it is said ----


def test_the_sinks_own_word_goes_before_the_sessions():
    own, given = ChannelSink(backlog=Backlog("2 s")), ChannelSink()
    building = builder(counter(1), backlog=Backlog("1 s"))
    building.add_sink(own, name="own").add_sink(given, name="given", backlog=Backlog("3 s"))
    building.add_sink(ChannelSink(), name="session's")
    with building.start() as session:
        limits = {
            name: each.backlog.limit for name, each in session._engine._roster.deliveries.items()
        }
        ended(session)
    assert limits == {
        name: s * RATE * 4 for name, s in [("own", 2), ("given", 3), ("session's", 1)]
    }


def test_a_backlog_that_nobody_would_use_is_refused():
    import queue

    class Direct(Tiled):
        blocking = False

    own = ChannelSink(backlog=Backlog())
    for sink, words in [
        (Direct(), "no chunk ever waits in the session for sink it"),
        (ChannelSink(queue.Queue()), "no chunk ever waits in the session for sink it"),
        (own, "sink it has a backlog of its own already"),
    ]:
        building = builder(counter(1)).add_sink(sink, name="it", backlog=Backlog())
        with pytest.raises(ConfigError, match=words):
            building.start()


def test_a_folder_that_will_not_do_is_refused_at_the_start(tmp_path):
    building = builder(counter(1), spill_dir=tmp_path / "missing").add_sink(Tiled())
    with pytest.raises(ConfigError, match="cannot spill to"):
        building.start()


# ---- the first failure, raised ----


def has_failed(session):
    assert session._engine.wait(GIVE_UP)  # session.wait would raise


def failing(error):
    def write(chunk):
        raise error

    return CallbackSink(write)


def test_the_first_sink_that_failed_can_be_raised():
    error = OSError("disk on fire")
    building = builder(counter(5), raise_on_sink_failure=True, retry=Retry(0))
    building.add_sink(Tiled()).add_sink(failing(error), name="burning")
    session = building.start()
    with pytest.raises(OSError, match="on fire") as caught:
        session.wait(GIVE_UP)
    assert caught.value is error
    assert error.__notes__ == ["It was raised by the sink burning."]
    for _ in range(2):
        with pytest.raises(OSError, match="on fire"):
            session.stop()
    assert error.__notes__ == ["It was raised by the sink burning."]
    assert session.report().balanced


def test_it_is_raised_by_the_end_of_the_with_block_but_not_in_place_of_another_error():
    def run(what):
        building = builder(counter(1), raise_on_sink_failure=True, retry=Retry(0))
        with building.add_sink(failing(OSError("from the sink"))).start() as session:
            has_failed(session)
            if what is not None:
                raise what

    with pytest.raises(OSError, match="from the sink"):
        run(None)
    with pytest.raises(KeyError):
        run(KeyError("from the block"))


def test_in_async_code_likewise():
    async def run(what):
        building = builder(counter(1), raise_on_sink_failure=True, retry=Retry(0))
        async with building.add_sink(failing(OSError("from the sink"))) as session:
            has_failed(session)
            if what is not None:
                raise what

    with pytest.raises(OSError, match="from the sink"):
        asyncio.run(run(None))
    with pytest.raises(KeyError):
        asyncio.run(run(KeyError("from the block")))


def test_if_asked_for_it_is_in_the_report_alone():
    building = builder(counter(1), retry=Retry(0), raise_on_sink_failure=False)
    with building.add_sink(failing(OSError("no")), name="bad").start() as s:
        report = ended(s)
    assert report.sinks["bad"].error == "OSError: no"


def test_a_sink_that_did_not_finish_in_time_has_failed():
    clock = VirtualClock()
    building = builder(counter(), clock=clock, raise_on_sink_failure=True)
    session = building.add_sink(Sleepy(clock, naps=[(0, 1e6)]), name="stuck").start()
    clock.sleep(1.0)
    with pytest.raises(Exception, match="stuck did not finish in time"):
        session.stop(timeout=1.0)
