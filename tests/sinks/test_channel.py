"""The channel: one consumer, an end, and an exact account of what nobody read in time."""

import asyncio
import itertools
import queue
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from stream_audio import (
    AudioChunk,
    Backlog,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    Gap,
    GapCause,
    SessionStateError,
    Sink,
    SinkInfo,
    SourceInfo,
)
from stream_audio.backlog import queues
from stream_audio.sinks import channel as channel_module
from support.lines import before_line

FRAME_BYTES = 4
GIVE_UP = 30.0
INFO = SinkInfo("channel", (SourceInfo("mic", 48_000, 1),))


def chunk(frame, frames=1):
    return AudioChunk("mic", np.zeros((frames, 1), np.float32), 48_000, frame, 1000.0, 1000.0)


def lost(frame, frames):
    return Gap("mic", frame, frames, GapCause.BACKLOG_FULL, 1000.0)


def frames_of(chunks):
    return [one.frame for one in chunks]


def test_it_is_a_sink_that_never_blocks():
    assert isinstance(ChannelSink(), Sink)
    assert ChannelSink.blocking is False


def test_iteration_ends_after_the_last_chunk_of_a_stopped_session():
    channel = ChannelSink()
    channel.start(INFO)
    for frame in range(3):
        channel.write(chunk(frame))
    channel.stop()
    assert frames_of(channel) == [0, 1, 2]


def test_a_consumer_that_waits_gets_each_chunk_and_the_end():
    channel = ChannelSink()
    read = queue.Queue()

    def consume():
        for one in channel:
            read.put(one.frame)
        read.put("end")

    thread = threading.Thread(target=consume)
    thread.start()
    for frame in range(3):
        channel.write(chunk(frame))
        assert read.get(timeout=GIVE_UP) == frame  # before the next one is written
    channel.stop()
    assert read.get(timeout=GIVE_UP) == "end"
    thread.join(GIVE_UP)


def test_many_chunks_reach_a_consumer_that_keeps_falling_asleep():
    channel = ChannelSink()
    read = []
    thread = threading.Thread(target=lambda: read.extend(frames_of(channel)))
    thread.start()
    for frame in range(5000):
        channel.write(chunk(frame))
    channel.stop()
    thread.join(GIVE_UP)
    assert read == list(range(5000))


def test_a_second_consumer_is_refused():
    channel = ChannelSink()
    first = iter(channel)
    with pytest.raises(SessionStateError, match="already has a consumer") as caught:
        iter(channel)
    assert "another ChannelSink" in caught.value.hint
    del first


def test_a_loop_that_was_left_may_be_followed_by_another():
    channel = ChannelSink()
    for frame in range(4):
        channel.write(chunk(frame))
    channel.stop()
    for one in channel:
        assert one.frame == 0
        break
    assert frames_of(channel) == [1, 2, 3]
    assert frames_of(channel) == []


def test_get_takes_what_is_there_without_waiting():
    channel = ChannelSink()
    channel.write(chunk(0))
    assert channel.get(timeout=0).frame == 0


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_get_gives_up_after_its_timeout(timeout):
    before = time.monotonic()
    with pytest.raises(TimeoutError, match=f"within {timeout:g} s"):
        ChannelSink().get(timeout=timeout)
    assert time.monotonic() - before >= timeout


def test_a_wake_for_a_chunk_that_was_read_already_does_not_cut_a_wait_short():
    channel = ChannelSink()
    channel.write(chunk(0))
    channel.get()  # did not need the wake
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.get(timeout=0.02)
    assert time.monotonic() - before >= 0.02


def test_get_says_the_end_again_and_again():
    channel = ChannelSink()
    channel.stop()
    assert [channel.get(timeout=GIVE_UP) for _ in range(3)] == [None, None, None]


def test_a_last_chunk_that_comes_just_before_the_stop_is_not_missed():
    """Wherever the consumer is: it looks into the empty channel, then whether it is closed."""
    for line in itertools.count(1):
        channel = ChannelSink()

        def end(channel=channel):
            channel.write(chunk(0))
            channel.stop()
            return time.monotonic()

        until = time.monotonic() + 2.0
        with before_line(line, (channel_module, queues), end) as ended:
            try:
                got = channel.get(timeout=2.0)
            except TimeoutError:  # that line comes after the wait, if at all
                assert all(at >= until for at in ended), line
                break
        assert ended, line
        assert got.frame == 0, line
        assert channel.get(timeout=0) is None
    assert line > 10


def test_the_stop_ends_every_get_that_waits():
    channel = ChannelSink()
    got = queue.Queue()
    threads = [threading.Thread(target=lambda: got.put(channel.get())) for _ in range(3)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    channel.stop()
    assert [got.get(timeout=GIVE_UP) for _ in threads] == [None] * 3


def test_wait_tells_that_something_is_there_and_takes_nothing():
    channel = ChannelSink()
    assert channel.wait(timeout=0) is False
    channel.write(chunk(0))
    assert channel.wait(timeout=GIVE_UP) is True
    assert channel.wait() is True
    assert channel.get(timeout=0).frame == 0
    assert channel.wait(timeout=0) is False
    channel.stop()
    assert channel.wait() is True
    assert channel.get(timeout=0) is None


def test_waits_that_nobody_is_interested_in_any_more_take_no_wake_from_others():
    channel = ChannelSink()
    threads = [threading.Thread(target=channel.wait, daemon=True) for _ in range(5)]
    got = queue.Queue()
    threads.append(threading.Thread(target=lambda: got.put(channel.get()), daemon=True))
    for thread in threads:
        thread.start()
    channel.write(chunk(0))
    assert got.get(timeout=GIVE_UP).frame == 0
    channel.stop()
    for thread in threads:
        thread.join(GIVE_UP)
        assert not thread.is_alive()


def test_wait_tells_only_of_a_chunk_that_is_there_wherever_the_write_was_suspended():
    found = set()
    for line in itertools.count(1):
        channel = ChannelSink()

        def look(channel=channel):
            return channel.wait(timeout=0) and channel.get(timeout=0).frame == 0

        with before_line(line, (channel_module, queues), look) as looked:
            channel.write(chunk(0))
        if not looked:
            break
        found |= set(looked)
        assert channel.unread == (0 if looked == [True] else 1), line
    assert found == {True, False}


def test_latest_passes_over_what_waits_and_counts_it():
    channel = ChannelSink()
    for frame in (0, 10, 20):
        channel.write(chunk(frame, 10))
    newest = channel.latest()
    assert newest.frame == 20
    assert newest.gaps == (Gap("mic", 0, 20, GapCause.PASSED_OVER, 1000.0),)
    assert channel.passed_over == 20
    assert channel.unread == 0
    channel.write(chunk(30, 10))
    assert channel.latest().gaps == ()
    channel.stop()
    assert channel.latest() is None
    assert channel.passed_over == 20


def test_latest_waits_for_a_first_chunk_and_gives_up_after_its_timeout():
    channel = ChannelSink()
    with pytest.raises(TimeoutError):
        channel.latest(timeout=0)
    threading.Thread(target=channel.write, args=(chunk(0),)).start()
    assert channel.latest(timeout=GIVE_UP).frame == 0


def test_what_latest_passed_over_of_another_source_is_told_by_that_sources_next_chunk():
    channel = ChannelSink()
    other = AudioChunk("other", np.zeros((5, 1), np.float32), 48_000, 0, 1000.0, 1000.0)
    channel.write(other)
    channel.write(chunk(0))
    assert channel.latest().gaps == ()
    assert channel.passed_over == 5
    channel.write(chunk(1))
    channel.write(replace(other, frame=5))
    assert channel.get().gaps == ()
    assert channel.get().gaps == (Gap("other", 0, 5, GapCause.PASSED_OVER, 1000.0),)


def test_unread_is_what_waits():
    channel = ChannelSink()
    assert channel.unread == 0
    channel.write(chunk(0, 5))
    channel.write(chunk(5, 7))
    assert channel.unread == 12
    channel.get()
    assert channel.unread == 7
    channel.stop()
    assert channel.unread == 7


def test_a_full_channel_drops_the_oldest_for_its_account_and_in_band():
    channel = ChannelSink(backlog=Backlog(2 * FRAME_BYTES))
    dropped = [gap for frame in range(5) for gap in channel.write(chunk(frame))]
    assert dropped == [lost(0, 1), lost(1, 1), lost(2, 1)]
    channel.stop()
    first, second = channel
    assert (first.frame, first.gap) == (3, lost(0, 3))
    assert (second.frame, second.gap) == (4, None)


def test_a_channel_that_has_ended_is_not_started_again():
    channel = ChannelSink()
    channel.start(INFO)
    channel.stop()
    with pytest.raises(SessionStateError, match="ended") as caught:
        channel.start(INFO)
    assert "new ChannelSink" in caught.value.hint


def test_a_backlog_is_one():
    with pytest.raises(ConfigTypeError, match="Backlog or a string, not 1000"):
        ChannelSink(backlog=1000)


def test_a_queue_of_the_users_own_has_its_own_bound():
    with pytest.raises(ConfigError, match="own limit"):
        ChannelSink(queue.Queue(), backlog=Backlog())


def test_repr_tells_its_state():
    channel = ChannelSink()
    channel.write(chunk(0, 3))
    assert repr(channel) == "<ChannelSink open, 3 frames unread>"
    channel.stop()
    assert repr(channel) == "<ChannelSink closed, 3 frames unread>"


# ---- a queue.Queue instead ----


def contents(target):
    return [target.get_nowait() for _ in range(target.qsize())]


def test_a_queue_gets_the_chunks_and_then_none():
    target = queue.Queue()
    channel = ChannelSink(target)
    chunks = [chunk(0), chunk(1)]
    for one in chunks:
        assert channel.write(one) == ()
    assert channel.unread == 2
    assert channel.stop() == ()
    assert contents(target) == [*chunks, None]


def test_a_full_queue_loses_its_oldest_chunks():
    target = queue.Queue(maxsize=2)
    channel = ChannelSink(target)
    dropped = [gap for frame in range(4) for gap in channel.write(chunk(frame, 10))]
    assert dropped == [lost(0, 10), lost(1, 10)]
    assert frames_of(contents(target)) == [2, 3]


def test_a_full_queue_tells_what_is_lost_to_the_chunk_that_follows():
    target = queue.Queue(maxsize=2)
    channel = ChannelSink(target)
    for frame in range(4):
        channel.write(chunk(frame))
    after, last = contents(target)
    assert after.gaps == (lost(0, 2),)
    assert last.gaps == ()


def test_a_queue_with_room_for_one_tells_the_chunk_that_is_put():
    target = queue.Queue(maxsize=1)
    channel = ChannelSink(target)
    for frame in range(3):
        channel.write(chunk(frame))
    (last,) = contents(target)
    assert (last.frame, last.gaps) == (2, (lost(0, 2),))


def test_what_is_lost_is_told_to_a_chunk_of_the_same_source():
    target = queue.Queue(maxsize=2)
    channel = ChannelSink(target)
    other = AudioChunk("other", np.zeros((1, 1), np.float32), 48_000, 0, 1000.0, 1000.0)
    channel.write(chunk(0))
    channel.write(other)
    channel.write(chunk(1))
    first, second = contents(target)
    assert (first.source, first.gaps) == ("other", ())
    assert (second.frame, second.gaps) == (1, (lost(0, 1),))


def test_none_fits_into_a_full_queue_and_what_it_pushed_out_is_told():
    target = queue.Queue(maxsize=2)
    channel = ChannelSink(target)
    channel.write(chunk(0))
    channel.write(chunk(1))
    assert channel.stop() == (lost(0, 1),)
    last, end = contents(target)
    assert (last.frame, end) == (1, None)
    assert channel.unread == 0


def test_a_queue_that_dropped_chunks_can_still_be_joined():
    target = queue.Queue(maxsize=1)
    channel = ChannelSink(target)
    for frame in range(3):
        channel.write(chunk(frame))
    channel.stop()
    while target.qsize():
        target.get_nowait()
        target.task_done()
    # What target.join() waits for.
    assert target.unfinished_tasks == 0


def test_a_queue_is_read_from_directly():
    channel = ChannelSink(queue.Queue())
    with pytest.raises(SessionStateError, match="fills a queue"):
        channel.get()
    with pytest.raises(SessionStateError, match="fills a queue"):
        next(iter(channel))


@pytest.mark.parametrize(
    "target",
    [
        [],
        3,
        queue.SimpleQueue(),
        queue.LifoQueue(),
        queue.PriorityQueue(),
        asyncio.LifoQueue(),
        asyncio.PriorityQueue(),
    ],
)
def test_only_a_queue_that_gives_first_what_was_put_first_will_do(target):
    with pytest.raises(ConfigTypeError, match=r"queue\.Queue"):
        ChannelSink(target)
