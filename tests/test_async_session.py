"""Sessions, sinks and consumers on an event loop: nothing is lost, nothing stays behind."""

import asyncio
import gc
import threading
import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    AudioSource,
    Backlog,
    CallbackSink,
    ChannelSink,
    FormatPreset,
    GapCause,
    Retry,
    SessionStateError,
    SinkError,
    SinkFailed,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock
from support.loops import GIVE_UP, LOOPS, run_on

pytestmark = pytest.mark.parametrize("loop", LOOPS)

RATE = 48_000


def counter(frames=None, **more):
    return AudioSource.virtual("counter", channels=1, frames=frames, **more)


def builder_of(source, *sinks, **config):
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    for sink in sinks:
        builder.add_sink(sink)
    config.setdefault("clock", VirtualClock())
    return builder.config(StreamConfig(**config))


def check_counts(chunks, start=None):
    """Each sample tells its position; chunks and gaps follow one another."""
    end = chunks[0].frame if start is None else start
    for chunk in chunks:
        assert chunk.frame - sum(gap.frames for gap in chunk.gaps) == end
        values = np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)
        np.testing.assert_array_equal(values, (chunk.frame + np.arange(chunk.frames)) % 2**23)
        end = chunk.end
    return end


def left_behind():
    """Threads of the library that do not come to an end."""
    threads = [one for one in threading.enumerate() if one.name.startswith("stream-audio")]
    for thread in threads:
        thread.join(GIVE_UP)
    return [thread for thread in threads if thread.is_alive()]


# ---- starting and stopping ----


def test_async_with_starts_and_stops_a_session(loop):
    async def main():
        channel = ChannelSink()
        async with builder_of(counter(RATE * 3), channel) as session:
            chunks = [chunk async for chunk in channel]
        assert not session.running
        assert session.report().balanced
        return check_counts(chunks, 0)

    assert run_on(loop, main()) == RATE * 3


def test_a_session_that_runs_already_can_be_left_to_async_with(loop):
    async def main():
        channel = ChannelSink()
        async with builder_of(
            counter(), channel, clock=VirtualClock(auto=False)
        ).start() as session:
            assert session.running
        assert not session.running
        assert (await session.aclose()).balanced  # again

    run_on(loop, main())


def test_the_loop_goes_on_while_a_session_starts_and_stops(loop):
    """A sink's start and stop wait for the loop, which they could not if they blocked it."""
    turns = []

    class WaitsForTheLoop:
        def __init__(self, running):
            self.loop = running

        def start(self, info):
            self.wait()

        def write(self, chunk):
            pass

        def stop(self):
            self.wait()

        def wait(self):
            turned = threading.Event()
            self.loop.call_soon_threadsafe(turned.set)
            turns.append(turned.wait(GIVE_UP))

    async def main():
        sink = WaitsForTheLoop(asyncio.get_running_loop())
        async with builder_of(counter(RATE), sink):
            pass

    run_on(loop, main())
    assert turns == [True, True]


def test_an_error_of_the_start_comes_out_of_async_with(loop):
    class Refuses:
        def start(self, info):
            raise SinkError("no")

        def write(self, chunk):
            pass

    async def main():
        with pytest.raises(SinkError, match="no"):
            async with builder_of(counter(), Refuses()):
                pytest.fail("it started")

    run_on(loop, main())
    assert left_behind() == []


def test_an_error_inside_async_with_stops_the_session(loop):
    async def main():
        builder = builder_of(counter(), ChannelSink(), clock=VirtualClock(auto=False))
        with pytest.raises(KeyError):
            async with builder as session:
                raise KeyError
        assert not session.running
        assert session.report().balanced

    run_on(loop, main())


class HeldUp:
    """A sink whose start takes until it is released."""

    def __init__(self):
        self.begun, self.released, self.stopped = (threading.Event() for _ in range(3))

    def start(self, info):
        self.begun.set()
        assert self.released.wait(GIVE_UP)

    def write(self, chunk):
        pass

    def stop(self):
        self.stopped.set()


def test_a_start_that_is_cancelled_is_undone_before_the_task_ends(loop):
    async def main():
        sink = HeldUp()

        async def use():
            async with builder_of(counter(), sink, clock=VirtualClock(auto=False)):
                pytest.fail("it was cancelled")

        task = asyncio.create_task(use())
        await asyncio.to_thread(sink.begun.wait, GIVE_UP)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # impatiently
        await asyncio.sleep(0)
        assert not task.done()
        sink.released.set()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert sink.stopped.is_set()

    run_on(loop, main())
    assert left_behind() == []


def test_a_start_that_fails_after_it_was_cancelled_counts_as_cancelled(loop):
    class Refuses(HeldUp):
        def start(self, info):
            super().start(info)
            raise SinkError("no")

    async def main():
        sink = Refuses()

        async def use():
            async with builder_of(counter(), sink):
                pytest.fail("it was cancelled")

        task = asyncio.create_task(use())
        await asyncio.to_thread(sink.begun.wait, GIVE_UP)
        task.cancel()
        sink.released.set()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run_on(loop, main())


def test_cancelled_inside_the_session_stops_before_the_task_ends(loop):
    async def main():
        channel = ChannelSink()
        builder = builder_of(counter(), channel, clock=VirtualClock(auto=False))
        sessions = []

        async def use():
            async with builder as session:
                sessions.append(session)
                async for _ in channel:
                    pass

        task = asyncio.create_task(use())
        while not sessions:
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        (session,) = sessions
        assert not session.running
        assert session.report().balanced

    run_on(loop, main())
    assert left_behind() == []


def test_aclose_that_is_cancelled_still_waits_for_the_end(loop):
    async def main():
        held = HeldUp()
        held.released.set()
        stopping, stop = threading.Event(), threading.Event()

        def slow_stop():
            stopping.set()
            assert stop.wait(GIVE_UP)

        held.stop = slow_stop
        session = builder_of(counter(RATE), held).start()
        closing = asyncio.create_task(session.aclose())
        await asyncio.to_thread(stopping.wait, GIVE_UP)
        closing.cancel()
        await asyncio.sleep(0)
        assert not closing.done()
        stop.set()
        with suppress(asyncio.CancelledError):
            await closing
        assert closing.cancelled()
        assert not session.running

    run_on(loop, main())


def test_aclose_needs_no_thread_of_the_loops_executor(loop):
    """All of them may be waiting for this very session."""

    async def main():
        running = asyncio.get_running_loop()
        channels = [ChannelSink() for _ in range(64)]
        clock = VirtualClock(auto=False)
        async with builder_of(counter(), *channels, clock=clock):
            waiting = [running.run_in_executor(None, channel.get) for channel in channels]
        return await asyncio.gather(*waiting)

    assert run_on(loop, main()) == [None] * 64


def test_a_loop_closed_under_a_start_leaves_no_session_running(loop):
    sink = HeldUp()

    async def use():
        async with builder_of(counter(), sink, clock=VirtualClock(auto=False)):
            pytest.fail("the loop was closed")

    abandoned = LOOPS[loop]()
    task = abandoned.create_task(use())
    abandoned.call_soon(lambda: abandoned.call_soon(abandoned.stop))
    abandoned.run_forever()
    assert sink.begun.wait(GIVE_UP)
    abandoned.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the session was dropped, and the task with it
        sink.released.set()
        assert sink.stopped.wait(GIVE_UP)
        task._log_destroy_pending = False
        del task
        gc.collect()


# ---- sinks that come later ----


def test_a_sink_is_added_from_the_loop_while_the_loop_goes_on(loop):
    class Slow(HeldUp):
        def write(self, chunk):
            self.frames = getattr(self, "frames", 0) + chunk.frames

    async def main():
        slow, turns = Slow(), 0
        clock = VirtualClock(auto=False)
        async with builder_of(counter(), ChannelSink(), clock=clock) as session:
            adding = asyncio.create_task(session.aadd_sink(slow, name="late"))
            while not slow.begun.is_set():
                turns += 1
                await asyncio.sleep(0)
            slow.released.set()
            handle = await adding
            await asyncio.to_thread(clock.advance, 1.0)
            report = await handle.aremove()
        assert turns > 0
        assert handle.name == "late"
        assert report.delivered == slow.frames > RATE // 2

    run_on(loop, main())
    assert left_behind() == []


def test_an_async_sink_that_is_added_runs_on_the_loop_that_adds_it(loop):
    class Records:
        def __init__(self):
            self.loops = set()

        async def write(self, chunk):
            self.loops.add(asyncio.get_running_loop())

    async def main():
        sink, queue = Records(), asyncio.Queue(1000)
        async with builder_of(counter(RATE), ChannelSink(), clock=VirtualClock(auto=False)) as s:
            await s.aadd_sink(sink)
            await s.aadd_sink(ChannelSink(queue))
            await asyncio.to_thread(s._engine._config.clock.advance, 2.0)
        assert sink.loops == {asyncio.get_running_loop()}
        assert queue.qsize() > 5

    run_on(loop, main())


def test_adding_that_is_cancelled_is_undone(loop):
    async def main():
        sink = HeldUp()
        async with builder_of(counter(), ChannelSink(), clock=VirtualClock(auto=False)) as session:
            adding = asyncio.create_task(session.aadd_sink(sink, name="late"))
            await asyncio.to_thread(sink.begun.wait, GIVE_UP)
            adding.cancel()
            await asyncio.sleep(0)
            sink.released.set()
            with suppress(asyncio.CancelledError):
                await adding
            assert adding.cancelled()
            assert sink.stopped.is_set()
            assert "late" not in {name for name in session.stats().sinks}

    run_on(loop, main())
    assert left_behind() == []


# ---- consumers ----


def test_two_hundred_consumers_get_every_chunk(loop):
    async def main():
        channels = [ChannelSink() for _ in range(200)]

        async def consume(channel):
            return check_counts([chunk async for chunk in channel], 0)

        async with builder_of(counter(RATE * 4), *channels) as session:
            ends = await asyncio.gather(*map(consume, channels))
        report = session.report()
        assert report.balanced
        assert {sink.delivered for sink in report.sinks.values()} == {RATE * 4}
        return set(ends)

    assert run_on(loop, main()) == {RATE * 4}


def test_a_loop_that_is_blocked_for_20_s_harms_nobody_else(loop):
    """Of the session's clock; the loop is blocked until they are over."""

    async def main():
        clock = VirtualClock(auto=False)
        on_loop, elsewhere, heard = ChannelSink(), ChannelSink(), []
        sinks = (on_loop, elsewhere, CallbackSink(heard.append))
        async with builder_of(counter(), *sinks, clock=clock, chunk_duration=0.005) as session:
            waiting = asyncio.create_task(on_loop.aget())
            await asyncio.sleep(0)
            clock.advance(20.01)  # blocks the loop
            assert elsewhere.unread >= RATE * 20
            assert sum(chunk.frames for chunk in heard) >= RATE * 20
            first = await waiting
        chunks = [first, *[chunk async for chunk in on_loop]]
        check_counts(chunks, 0)
        assert all(not chunk.gaps for chunk in chunks)
        report = session.report()
        assert report.balanced
        assert [sink.dropped for sink in report.sinks.values()] == [0, 0, 0]

    run_on(loop, main())


def test_a_loop_that_is_closed_early_harms_nobody_else(loop):
    clock = VirtualClock(auto=False)
    on_loop, elsewhere = ChannelSink(backlog=Backlog(RATE)), ChannelSink()
    session = builder_of(counter(), on_loop, elsewhere, clock=clock).start()

    async def read_one():
        waiting = asyncio.create_task(on_loop.aget())
        await asyncio.sleep(0)
        clock.advance(0.11)
        return await waiting

    assert run_on(loop, read_one()).frame == 0
    clock.advance(5.0)
    report = session.stop()
    assert report.balanced
    assert [sink.dropped > 0 for sink in report.sinks.values()] == [True, False]
    assert check_counts(list(elsewhere), 0) == report.sources["mic"].captured
    # Another loop takes over, and is told what the channel could not hold.
    rest = run_on(loop, _all(on_loop))
    assert rest[0].gap.cause == GapCause.BACKLOG_FULL
    check_counts(rest, RATE // 10)


async def _all(channel):
    return [chunk async for chunk in channel]


class Consumer:
    """A channel added to a running session, its reader, and all that was ever read."""

    def __init__(self, session):
        self.channel = ChannelSink()
        self.chunks = []
        self.handle = session.add_sink(self.channel)
        self.read()

    def read(self):
        """Begin to read, unless that is under way."""
        self.task = asyncio.create_task(self._read())

    async def _read(self):
        async for chunk in self.channel:
            self.chunks.append(chunk)

    async def cancel(self):
        self.task.cancel()
        await asyncio.wait([self.task])

    async def check(self, report):
        """After the end: each frame was read once, in its place."""
        if self.task.done():
            self.read()
        await self.task
        assert sum(chunk.frames for chunk in self.chunks) == report.delivered
        assert report.dropped == 0
        if self.chunks:
            assert not any(chunk.gaps for chunk in self.chunks)
            check_counts(self.chunks)


OPERATIONS = ("attach", "cancel", "read", "detach")


async def operate(session, operations, let_time_pass):
    """Carry out operations, each on one of the consumers there are; returns the checks."""
    consumers, removed = [], []
    for what, which in operations:
        one = consumers[which % len(consumers)] if consumers else None
        if what == "attach":
            consumers.append(Consumer(session))
        elif one is not None and what == "cancel":
            await one.cancel()
        elif one is not None and what == "read" and one.task.done():
            one.read()
        elif one is not None and what == "detach":
            consumers.remove(one)
            removed.append((one, await asyncio.to_thread(one.handle.remove)))
        await let_time_pass()

    async def check():
        report = session.report()
        for one in consumers:
            await one.check(report.sinks[one.handle.name])
        for one, final in removed:
            await one.check(final)

    return check


@given(
    operations=st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 9)), min_size=50, max_size=80
    )
)
@settings(max_examples=20, deadline=None)
def test_a_thousand_cancels_attaches_and_detaches_lose_and_double_nothing(loop, operations):
    """Twenty times fifty operations and more, a few chunks after each."""

    async def main():
        clock = VirtualClock(auto=False)
        first = ChannelSink()
        async with builder_of(counter(), first, clock=clock, chunk_duration=0.01) as session:
            check = await operate(session, operations, lambda: advance(clock, 0.025))
        await check()
        assert session.report().balanced
        assert check_counts(await _all(first), 0) == session.report().sources["mic"].captured

    run_on(loop, main())


async def advance(clock, seconds):
    clock.advance(seconds)
    await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(4))
def test_operations_at_any_moment_of_real_time_lose_and_double_nothing(loop, seed):
    """250 a seed, while chunks of a millisecond come on their own."""
    random = np.random.default_rng(seed)
    operations = zip(random.choice(OPERATIONS, 250), random.integers(0, 100, 250), strict=True)

    async def main():
        first, chunks = ChannelSink(), []
        config = {"clock": StreamConfig().clock, "chunk_duration": 0.001}

        async def let_time_pass():
            if random.random() < 0.5:
                chunks.append(await first.aget())

        async with builder_of(counter(period=16), first, **config) as session:
            check = await operate(session, operations, let_time_pass)
        await check()
        assert session.report().balanced
        chunks += await _all(first)
        assert check_counts(chunks, 0) == session.report().sources["mic"].captured

    run_on(loop, main())


# ---- asynchronous sinks ----


class AsyncSink:
    """All its methods run on the loop."""

    def __init__(self):
        self.loops = set()
        self.chunks = []
        self.calls = []

    async def start(self, info):
        self.calls.append("start")
        self.loops.add(asyncio.get_running_loop())

    async def write(self, chunk):
        self.loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        self.chunks.append(chunk)

    async def stop(self):
        self.calls.append("stop")
        self.loops.add(asyncio.get_running_loop())


def test_an_async_sink_runs_on_the_loop_that_started_the_session(loop):
    async def main():
        sink = AsyncSink()
        async with builder_of(counter(RATE), sink) as session:
            await asyncio.to_thread(session.wait)
        assert sink.loops == {asyncio.get_running_loop()}
        assert sink.calls == ["start", "stop"]
        assert check_counts(sink.chunks, 0) == RATE
        assert session.report().balanced

    run_on(loop, main())


def test_an_async_function_runs_on_the_loop_too(loop):
    async def main():
        chunks = []

        async def hear(chunk):
            assert asyncio.get_running_loop() is running
            chunks.append(chunk)

        running = asyncio.get_running_loop()
        async with builder_of(counter(RATE), CallbackSink(hear)) as session:
            await asyncio.to_thread(session.wait)
        assert check_counts(chunks, 0) == RATE

    run_on(loop, main())


def test_an_async_sink_that_raises_gets_the_same_chunk_again(loop):
    class RaisesOnce(AsyncSink):
        raised = False

        async def write(self, chunk):
            if not self.raised:
                self.raised = True
                raise OSError("once")
            await super().write(chunk)

    async def main():
        sink = RaisesOnce()
        async with builder_of(counter(RATE), sink) as session:
            await asyncio.to_thread(session.wait)
        assert check_counts(sink.chunks, 0) == RATE

    run_on(loop, main())


def test_a_timeout_that_an_async_sink_raises_is_its_own(loop):
    class TimesOut(AsyncSink):
        async def write(self, chunk):
            raise TimeoutError("the sink's own")

    async def main():
        with pytest.raises(TimeoutError, match="the sink's own"):
            async with builder_of(counter(RATE), TimesOut(), retry=Retry(1)) as session:
                await asyncio.to_thread(session.wait)
        (sink,) = session.report().sinks.values()
        assert sink.error == "TimeoutError: the sink's own"
        assert sink.delivered == 0

    run_on(loop, main())


def test_an_async_sink_can_take_itself_out(loop):
    class Once(AsyncSink):
        async def write(self, chunk):
            await super().write(chunk)
            await self.handle.aremove()
            self.out = True

    async def main():
        sink, clock = Once(), VirtualClock(auto=False)
        async with builder_of(counter(), ChannelSink(), clock=clock) as session:
            sink.handle = await asyncio.to_thread(session.add_sink, sink)
            await asyncio.to_thread(clock.advance, 3.01)
            assert not sink.handle.attached
        assert session.report().balanced
        assert sink.out
        assert len(sink.chunks) >= 1

    run_on(loop, main())


def test_an_async_sink_can_be_added_and_removed_while_the_session_runs(loop):
    async def main():
        clock = VirtualClock(auto=False)
        async with builder_of(counter(), ChannelSink(), clock=clock) as session:
            sink = AsyncSink()
            handle = await asyncio.to_thread(session.add_sink, sink)
            assert handle.sink is sink
            await asyncio.to_thread(clock.advance, 1.01)
            with pytest.raises(SessionStateError, match="event loop") as caught:
                handle.remove()
            assert "await handle.aremove()" in caught.value.hint
            report = await handle.aremove()
            assert sink.loops == {asyncio.get_running_loop()}
            assert report.delivered == sum(chunk.frames for chunk in sink.chunks) == RATE
            await asyncio.to_thread(session.add_sink, sink)  # and again: it was given back

    run_on(loop, main())


def test_a_stuck_async_sink_is_cancelled_when_it_is_given_up(loop):
    class Stuck:
        cancelled = False

        def __init__(self):
            self.entered = asyncio.Event()

        async def write(self, chunk):
            self.entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    async def main():
        sink = Stuck()
        channel = ChannelSink()
        # On real time: virtual time stands still while a sink is busy.
        source = counter(RATE, pace="freewheel")
        config = {"clock": StreamConfig().clock, "raise_on_sink_failure": False}
        async with builder_of(source, sink, channel, **config) as session:
            chunks = await _all_of_a_second(channel)
            await sink.entered.wait()
            report = await session.aclose(timeout=0)
        while not sink.cancelled:
            await asyncio.sleep(0)
        assert report.balanced
        assert report.sinks["Stuck"].delivered == 0
        assert check_counts(chunks, 0) == RATE

    async def _all_of_a_second(channel):
        chunks = []
        while not chunks or chunks[-1].end < RATE:
            chunks.append(await channel.aget())  # the session waits for the other one
        return chunks

    run_on(loop, main())
    assert left_behind() == []


def test_what_would_wait_for_its_own_loop_is_refused(loop):
    async def main():
        with pytest.raises(SessionStateError, match="event loop") as caught:
            builder_of(counter(RATE), AsyncSink()).start()
        assert "async with builder" in caught.value.hint
        async with builder_of(counter(), AsyncSink(), clock=VirtualClock(auto=False)) as session:
            with pytest.raises(SessionStateError, match="event loop") as caught:
                session.stop()
            assert "aclose" in caught.value.hint
            assert session.running

    run_on(loop, main())


def test_an_async_sink_without_an_event_loop_is_refused(loop):
    with pytest.raises(SessionStateError, match="asynchronous") as caught:
        builder_of(counter(RATE), AsyncSink()).start()
    assert "async with builder" in caught.value.hint


def test_an_async_sink_may_close_its_own_session(loop):
    async def main():
        class Closes(AsyncSink):
            session = None

            async def write(self, chunk):
                await super().write(chunk)
                if len(self.chunks) == 3:
                    await self.session.aclose()

        sink = Closes()
        clock = VirtualClock(auto=False)
        async with builder_of(counter(), sink, clock=clock) as session:
            sink.session = session
            await asyncio.to_thread(clock.advance, 1.0)
            assert await asyncio.to_thread(session.wait, GIVE_UP)
        assert session.report().balanced
        assert sink.calls == ["start", "stop"]

    run_on(loop, main())


def test_a_loop_that_ends_under_an_async_sink_ends_the_sink_alone(loop):
    failures = []
    channel = ChannelSink()
    clock = VirtualClock(auto=False)

    async def main():
        config = {"clock": clock, "raise_on_sink_failure": False}
        builder = builder_of(counter(), AsyncSink(), channel, **config)
        builder.on_event(lambda e: failures.append(e) if isinstance(e, SinkFailed) else None)
        return await asyncio.to_thread(_start_for, asyncio.get_running_loop(), builder)

    session = run_on(loop, main())
    clock.advance(1.01)
    report = session.stop()
    assert report.balanced
    assert check_counts(list(channel), 0) == report.sources["mic"].captured
    (failed,) = failures
    assert "loop" in str(failed.error)
    assert not failed.error.retryable
    assert report.sinks["AsyncSink"].delivered == 0


def _start_for(running, builder):
    from stream_audio.waiting.event_loop import starting_loop

    starting_loop.set(running)
    return builder.start()


def test_a_loop_that_closes_while_a_call_waits_ends_the_sink_alone(loop, monkeypatch):
    monkeypatch.setattr("stream_audio.adapter.loop_sink.LOOK_INTERVAL", 0.001)

    async def forever():
        await asyncio.Event().wait()

    class Waits:
        async def write(self, chunk):
            writing.set()
            await forever()

    writing = threading.Event()
    abandoned = LOOPS[loop]()
    session = None

    async def main():
        nonlocal session
        builder = builder_of(counter(RATE), Waits(), raise_on_sink_failure=False)
        session = await asyncio.to_thread(_start_for, asyncio.get_running_loop(), builder)
        while not writing.is_set():
            await asyncio.sleep(0)

    abandoned.run_until_complete(main())
    tasks = asyncio.all_tasks(abandoned)
    abandoned.run_until_complete(abandoned.shutdown_default_executor())
    abandoned.close()
    report = session.stop()
    assert report.balanced
    assert "is closed" in report.sinks["Waits"].error
    for task in tasks:
        task._log_destroy_pending = False


# ---- several loops ----


def test_sessions_of_two_event_loops_do_not_touch_each_other(loop):
    def run():
        async def main():
            channel, sink = ChannelSink(), AsyncSink()
            async with builder_of(counter(RATE * 3), channel, sink):
                chunks = await _all(channel)
            assert sink.loops == {asyncio.get_running_loop()}
            return check_counts(chunks, 0)

        ends.append(run_on(loop, main()))

    ends = []
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GIVE_UP)
    assert ends == [RATE * 3] * 4
