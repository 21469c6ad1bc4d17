"""A channel on an event loop: each chunk once, whoever is cancelled, closed or blocked."""

import asyncio
import itertools
import os
import queue
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    Backlog,
    ChannelSink,
    Gap,
    GapCause,
    SessionStateError,
    SinkInfo,
    SourceInfo,
)
from stream_audio.backlog import queues
from stream_audio.sinks import channel as channel_module
from stream_audio.sinks.queue_target import queue_target
from stream_audio.waiting.loop_waker import LoopWaker, bells_rung_later, waker_of
from support.chunks import make_chunk
from support.lines import before_line
from support.loops import GIVE_UP, LOOPS, run_on

INFO = SinkInfo("channel", (SourceInfo("mic", 48_000, 1),))

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def chunk(frame):
    return make_chunk(frame, 1)


def lost(frame, frames, cause=GapCause.BACKLOG_FULL):
    return Gap("mic", frame, frames, cause, chunk(frame).time)


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    return thread


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_async_iteration_ends_after_the_last_chunk(loop):
    async def main():
        channel = ChannelSink()
        for frame in range(3):
            channel.write(chunk(frame))
        channel.stop()
        return [one.frame async for one in channel]

    assert run_on(loop, main()) == [0, 1, 2]


def test_chunks_that_come_from_another_thread_wake_the_task(loop):
    def produce(channel, taken):
        for frame in range(100):
            channel.write(chunk(frame))
            assert taken.get(timeout=GIVE_UP) == frame  # before the next one is written
        channel.stop()

    async def main():
        channel, taken = ChannelSink(), queue.Queue()
        producer = in_thread(produce, channel, taken)
        async for one in channel:
            taken.put(one.frame)
        producer.join()

    run_on(loop, main())


def test_many_chunks_reach_a_task_that_keeps_falling_asleep(loop):
    def produce(channel):
        for frame in range(20_000):
            channel.write(chunk(frame))
        channel.stop()

    async def main():
        channel = ChannelSink()
        producer = in_thread(produce, channel)
        frames = [one.frame async for one in channel]
        producer.join()
        return frames

    assert run_on(loop, main()) == list(range(20_000))


def test_aget_says_the_end_again_and_again(loop):
    async def main():
        channel = ChannelSink()
        waiting = asyncio.create_task(channel.aget())
        await asyncio.sleep(0)
        channel.stop()
        return [await waiting, await channel.aget(), await channel.aget()]

    assert run_on(loop, main()) == [None] * 3


def test_alatest_passes_over_what_waits(loop):
    async def main():
        channel = ChannelSink()
        for frame in range(3):
            channel.write(chunk(frame))
        newest = await channel.alatest()
        channel.stop()
        return newest, channel.passed_over, await channel.alatest()

    newest, skipped, end = run_on(loop, main())
    assert (newest.frame, newest.gaps) == (2, (lost(0, 2, GapCause.PASSED_OVER),))
    assert (skipped, end) == (2, None)


def test_a_cancelled_wait_takes_no_chunk_even_if_one_has_just_come(loop):
    async def main():
        channel = ChannelSink()
        waiting = asyncio.create_task(channel.aget())
        await asyncio.sleep(0)
        channel.write(chunk(0))  # the task is to be woken,
        waiting.cancel()  # and is cancelled before it is
        with suppress(asyncio.CancelledError):
            await waiting
        assert waiting.cancelled()
        return await channel.aget()

    assert run_on(loop, main()).frame == 0


@pytest.mark.parametrize("what", ["write", "stop"])
def test_what_comes_anywhere_before_the_reader_waits_is_not_missed(loop, what):
    """Above all between its last look into the channel and the wait."""

    async def read_with(line):
        channel = ChannelSink()

        def more():
            if what == "write":
                channel.write(chunk(0))
            else:
                channel.stop()

        async def read():
            with before_line(line, (channel_module, queues), more) as came:
                with_it = asyncio.ensure_future(channel.aget())
                await asyncio.sleep(0)
                if not came:  # it has come to wait
                    with_it.cancel()
                    return came, None
                return came, await asyncio.wait_for(with_it, GIVE_UP)

        return await read()

    for line in itertools.count(1):
        came, got = run_on(loop, read_with(line))
        if not came:
            break
        assert (None if got is None else got.frame) == (0 if what == "write" else None), line
    assert line > 10


def test_a_wait_can_time_out_and_be_repeated(loop):
    async def main():
        channel = ChannelSink()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(channel.aget(), 0.001)
        channel.write(chunk(0))
        return await channel.aget()

    assert run_on(loop, main()).frame == 0


@given(st.lists(st.sampled_from(["write", "read", "cancel", "turn"]), max_size=60))
@settings(deadline=None)
def test_no_chunk_is_lost_or_doubled_whenever_readers_are_cancelled(loop, steps):
    async def main():
        channel, read, written = ChannelSink(), [], 0
        reader = None

        async def read_on():
            async for one in channel:
                read.append(one.frame)  # noqa: PERF401 - one by one: it is cancelled

        for step in steps:
            if step == "write":
                channel.write(chunk(written))
                written += 1
            elif step == "turn":
                await asyncio.sleep(0)
            elif step == "read" and reader is None:
                reader = asyncio.create_task(read_on())
            elif step == "cancel" and reader is not None:
                reader.cancel()
                await asyncio.wait([reader])
                reader = None
        channel.stop()
        if reader is not None:
            await reader
        await read_on()
        return read, written

    read, written = run_on(loop, main())
    assert read == list(range(written))


def test_a_second_task_is_refused_while_the_first_waits(loop):
    async def main():
        channel = ChannelSink()
        first = asyncio.create_task(channel.aget())
        await asyncio.sleep(0)
        with pytest.raises(SessionStateError, match="already has a consumer"):
            await channel.aget()
        channel.stop()
        await first

    run_on(loop, main())


def test_a_second_loop_over_it_is_refused_while_the_first_goes_on(loop):
    async def main():
        channel = ChannelSink()
        first = aiter(channel)
        with pytest.raises(SessionStateError, match="already has a consumer"):
            aiter(channel)
        with pytest.raises(SessionStateError, match="already has a consumer"):
            iter(channel)
        channel.stop()
        with pytest.raises(StopAsyncIteration):
            await anext(first)

    run_on(loop, main())


def test_another_event_loop_goes_on_where_the_first_one_left_off(loop):
    channel = ChannelSink()

    async def read_two():
        return [(await channel.aget()).frame for _ in range(2)]

    channel.write(chunk(0))
    channel.write(chunk(1))
    assert run_on(loop, read_two()) == [0, 1]
    channel.write(chunk(2))
    channel.write(chunk(3))
    assert run_on(loop, read_two()) == [2, 3]


def test_a_loop_that_was_closed_under_a_waiting_task_can_be_replaced(loop):
    channel = ChannelSink()

    async def read_one():
        return await channel.aget()

    abandoned = LOOPS[loop]()
    task = abandoned.create_task(read_one())
    abandoned.call_soon(abandoned.stop)
    abandoned.run_forever()
    abandoned.close()
    for frame in range(3):
        channel.write(chunk(frame))  # the closed loop harms nobody
    assert run_on(loop, read_one()).frame == 0
    assert not task.done()
    task.get_coro().close()
    task._log_destroy_pending = False  # it is meant to be left behind


def test_a_loop_that_was_blocked_finds_all_that_came(loop):
    async def main():
        channels = [ChannelSink() for _ in range(10)]
        tasks = [asyncio.create_task(channel.aget()) for channel in channels]
        await asyncio.sleep(0)

        def produce():
            for frame in range(4000):  # 20 s of chunks of 5 ms
                for channel in channels:
                    channel.write(chunk(frame))

        in_thread(produce).join()  # which blocks the loop
        assert [channel.unread for channel in channels] == [4000] * 10
        assert [(await task).frame for task in tasks] == [0] * 10

    run_on(loop, main())


def test_a_reader_that_never_has_to_wait_lets_other_tasks_run(loop):
    async def main():
        channel = ChannelSink(backlog=Backlog(2**30))
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        running = asyncio.get_running_loop()
        until = running.time() + 0.2
        frame = 0
        while running.time() < until:
            channel.write(chunk(frame))
            assert (await channel.aget()).frame == frame
            frame += 1
        task.cancel()
        return turns

    assert run_on(loop, main()) > 2


def test_one_waker_serves_a_loop_and_is_forgotten_with_it(loop):
    async def main():
        running = asyncio.get_running_loop()
        assert waker_of(running) is waker_of(running)
        return waker_of(running)

    assert run_on(loop, main()) is not run_on(loop, main())


def test_a_bell_that_is_rung_later_wakes_the_loop(loop):
    """As the router does it: with the GIL released, by the next native wait."""

    async def main():
        channel = ChannelSink()
        task = asyncio.create_task(channel.aget())
        await asyncio.sleep(0)
        rung = []

        def produce():
            with bells_rung_later() as to_ring:
                channel.write(chunk(0))
                rung.extend(to_ring)
                os.eventfd_write(to_ring.pop().bell, 1)

        in_thread(produce).join()
        assert (await task).frame == 0
        assert rung == [waker_of(asyncio.get_running_loop())]

    run_on(loop, main())


def test_a_bell_that_nobody_came_to_ring_wakes_the_loop_all_the_same(loop):
    async def main():
        channel = ChannelSink()
        task = asyncio.create_task(channel.aget())
        await asyncio.sleep(0)

        def produce():
            with bells_rung_later():
                channel.write(chunk(0))

        in_thread(produce).join()
        assert (await task).frame == 0

    run_on(loop, main())


@pytest.mark.parametrize("reason", ["no descriptor is left", "the loop reads no descriptors"])
def test_a_loop_that_cannot_have_a_bell_is_called(loop, reason, monkeypatch):
    def fail(*arguments):
        raise OSError("too many open files")

    class Refusing:
        """A loop of the kind that Windows has."""

        def __init__(self, running):
            self.call_soon_threadsafe = running.call_soon_threadsafe

        def add_reader(self, *arguments):
            raise NotImplementedError

    async def main():
        running = asyncio.get_running_loop()
        if reason == "no descriptor is left":
            monkeypatch.setattr(os, "eventfd", fail)
        kept = running if reason == "no descriptor is left" else Refusing(running)
        waker = LoopWaker(kept)
        waker.hang_bell()
        assert waker.bell == -1
        channel = ChannelSink()
        task = asyncio.create_task(channel.aget())
        await asyncio.sleep(0)
        channel._waiter.waker = waker

        def produce():
            with bells_rung_later() as to_ring:
                channel.write(chunk(0))
                assert to_ring == []

        in_thread(produce).join()
        assert (await task).frame == 0

    run_on(loop, main())


def test_what_cannot_be_woken_holds_up_nobody(loop, caplog):
    class Broken:
        woken = False

        def on_loop(self):
            raise ValueError("broken")

    async def main():
        waker = LoopWaker(asyncio.get_running_loop())
        channel = ChannelSink()
        task = asyncio.create_task(channel.aget())
        await asyncio.sleep(0)
        channel._waiter.waker = waker
        waker.wake(Broken())
        channel.write(chunk(0))
        assert (await task).frame == 0

    run_on(loop, main())
    assert "could not be woken" in caplog.text


def test_aget_outside_an_event_loop_is_refused(loop):
    reading = ChannelSink().aget()
    with pytest.raises(SessionStateError, match="no asyncio event loop"):
        reading.send(None)


# ---- an asyncio.Queue instead ----


def filled_queue(maxsize, frames):
    target = asyncio.Queue(maxsize)
    channel = ChannelSink(target)
    channel.start(INFO)
    return target, channel, [gap for frame in range(frames) for gap in channel.write(chunk(frame))]


async def all_of(target):
    read = []
    while (one := await target.get()) is not None:
        read.append(one)
        target.task_done()
    target.task_done()
    return read


def test_an_asyncio_queue_gets_the_chunks_and_then_none(loop):
    async def main():
        target, channel, _ = filled_queue(0, 3)
        assert channel.unread == 3
        await until(lambda: target.qsize() == 3)
        assert channel.unread == 3
        channel.stop()
        read = await all_of(target)
        await target.join()
        assert channel.unread == 0
        return [one.frame for one in read]

    assert run_on(loop, main()) == [0, 1, 2]


def test_a_full_asyncio_queue_loses_its_oldest_which_is_counted_and_told(loop):
    async def main():
        target, channel, dropped = filled_queue(3, 2)
        await until(lambda: target.qsize() == 2)
        for frame in range(2, 6):
            dropped += channel.write(chunk(frame))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        dropped += channel.stop()
        read = await all_of(target)
        await target.join()
        return dropped, read

    dropped, read = run_on(loop, main())
    assert dropped == [lost(0, 1), lost(1, 1), lost(2, 1)]
    assert [one.frame for one in read] == [3, 4, 5]
    assert [one.gaps for one in read] == [(lost(0, 3),), (), ()]


def test_more_than_an_asyncio_queue_holds_can_come_at_once(loop):
    async def main():
        target, channel, dropped = filled_queue(3, 10)
        await until(lambda: target.qsize() == 3)
        dropped += channel.stop()
        return dropped, await all_of(target)

    dropped, read = run_on(loop, main())
    assert dropped == [lost(frame, 1) for frame in range(7)]
    assert [(one.frame, one.gaps) for one in read] == [(7, (lost(0, 7),)), (8, ()), (9, ())]


def test_the_end_waits_for_room_in_an_asyncio_queue(loop):
    async def main():
        target, channel, _ = filled_queue(2, 2)
        channel.stop()  # before the loop came round
        await until(target.full)
        return [one.frame for one in await all_of(target)]

    assert run_on(loop, main()) == [0, 1]


def test_a_closed_loop_leaves_what_waits_for_it_to_drop_its_oldest(loop):
    async def main():
        target = queue_target(asyncio.Queue(), 3 * 4)
        target.start()
        return target

    target = run_on(loop, main())
    dropped = [gap for frame in range(5) for gap in target.put(chunk(frame))]
    assert dropped == [lost(0, 1), lost(1, 1)]
    assert target.unread == 3
    assert target.close() == ()


def test_an_asyncio_queue_needs_an_event_loop(loop):
    channel = ChannelSink(asyncio.Queue())
    with pytest.raises(SessionStateError, match="no event loop") as caught:
        channel.start(INFO)
    assert "async with" in caught.value.hint


def test_a_queue_made_on_a_loop_can_be_filled_for_it_from_a_plain_thread(loop):
    async def main():
        target = asyncio.Queue()
        channel = ChannelSink(target)

        def session():
            channel.start(INFO)
            channel.write(chunk(0))
            channel.stop()

        in_thread(session).join()
        return [one.frame for one in await all_of(target)]

    assert run_on(loop, main()) == [0]


def test_what_others_put_into_the_queue_is_left_alone(loop):
    async def main():
        class Watched(asyncio.Queue):
            def get_nowait(self):
                removed.append(super().get_nowait())
                return removed[-1]

        removed = []
        target = Watched(2)
        target.put_nowait("mine")
        target.put_nowait("mine too")
        channel = ChannelSink(target)
        channel.start(INFO)
        dropped = channel.write(chunk(0))
        await until(lambda: "mine" in removed)
        dropped += channel.stop()
        first = await target.get()
        return dropped, first, await all_of(target)

    dropped, first, read = run_on(loop, main())
    assert dropped == ()  # it is no audio of ours
    assert first == "mine too"
    assert [one.frame for one in read] == [0]
