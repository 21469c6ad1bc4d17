"""A feed: what the program writes is recorded to the frame, or counted, whatever the pace."""

import os
import threading
import time

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    Backlog,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    FeedFullError,
    ForkedProcessError,
    FormatPreset,
    GapCause,
    SessionStateError,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock

RATE = 48_000
GIVE_UP = 30.0
START = 1000.0
"""What a virtual clock says at first."""


def counter(first, frames, channels=1):
    """Samples that tell their own place."""
    numbers = (np.arange(first, first + frames) % 2**23) * 2.0**-23
    return np.repeat(numbers[:, np.newaxis], channels, axis=1).astype(np.float32)


class Recording:
    """A session with one feed, and all that came out of it."""

    def __init__(self, feed, *, sink=None, **config):
        self.channel = ChannelSink(backlog=Backlog(2**31, when_full=None))
        builder = StreamAudio.builder().add_source("call", feed).format(FormatPreset.NATIVE)
        if sink is not None:
            builder.add_sink(sink)
        builder.add_sink(self.channel).config(StreamConfig(**config))
        self.session = builder.start()
        self.chunks = []

    def end(self):
        with self.session:
            assert self.session.wait(GIVE_UP)
        self.chunks += self.channel
        self.report = self.session.report()
        assert self.report.balanced
        return self.report.sources["call"]

    @property
    def samples(self):
        return np.concatenate([chunk.data for chunk in self.chunks])


class Gate:
    """A sink on the router's thread, which it stops until it is opened."""

    blocking = False

    def __init__(self):
        self.entered = threading.Event()
        self.open = threading.Event()

    def write(self, chunk):
        self.entered.set()
        assert self.open.wait(GIVE_UP)


# ---- what is written ----


@pytest.mark.parametrize("when_full", ["gap", "block", "raise"])
def test_every_frame_arrives_from_any_thread(when_full):
    feed = AudioSource.feed(RATE, 2, when_full)
    recording = Recording(feed)
    turn = threading.Condition()
    place = 0

    def write(seed):
        nonlocal place
        random = np.random.default_rng(seed)
        for frames in random.integers(1, 700, 60):
            with turn:
                assert feed.write(counter(place, frames, 2)) == frames
                place += frames

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.close()
    source = recording.end()
    assert (source.captured, source.lost, source.gaps) == (place, 0, ())
    np.testing.assert_array_equal(recording.samples, counter(0, place, 2))


def test_writers_without_an_order_of_their_own_are_one_producer():
    feed = AudioSource.feed(RATE, 1)
    recording = Recording(feed)

    def write(number):
        for _ in range(200):
            feed.write(np.full(37, number / 8, np.float32))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.close()
    assert recording.end().captured == 4 * 200 * 37
    whole = recording.samples.reshape(-1, 37)
    assert (whole == whole[:, :1]).all()  # no write is cut in two by another


@pytest.mark.parametrize(
    ("dtype", "full_scale"),
    [("f2", 1), ("f4", 1), ("f8", 1), (">f4", 1), ("i2", 2**15), (">i2", 2**15), ("i4", 2**31)],
)
def test_samples_of_every_type_keep_their_level(dtype, full_scale):
    feed = AudioSource.feed(RATE, 1)
    recording = Recording(feed)
    expected = np.array([0.0, 0.5, -0.5, -1.0, 0.25, 0.125], np.float32)
    feed.write((expected * full_scale).astype(dtype))
    feed.close()
    recording.end()
    np.testing.assert_array_equal(recording.samples[:, 0], expected)


def test_memory_of_any_layout_is_copied():
    feed = AudioSource.feed(RATE, 2)
    recording = Recording(feed)
    samples = counter(0, 600, 2)
    samples[:, 1] *= -1
    mutable = samples.copy()
    feed.write(mutable[:100])
    mutable[:] = 9.0
    feed.write(np.asfortranarray(samples[100:300]))
    feed.write(samples[::-1][::-1][300:500])
    feed.write(samples[500:].tolist())
    feed.write([])
    feed.write(np.zeros((0, 2), np.float32))
    feed.close()
    recording.end()
    np.testing.assert_array_equal(recording.samples, samples)


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [
        (np.zeros(10, np.float32), ConfigError, "reshape(-1, 2)"),
        (np.zeros((2, 100), np.float32), ConfigError, "samples.T"),
        (np.zeros((10, 3), np.float32), ConfigError, "(frames, 2)"),
        (np.zeros((10, 2, 1), np.float32), ConfigError, "(frames, 2)"),
        (np.float32(0.5), ConfigError, "(frames, 2)"),
        (np.zeros((10, 2), np.uint8), ConfigTypeError, "uint8"),
        (np.zeros((10, 2), np.int64), ConfigTypeError, "int64"),
        (np.zeros((10, 2), bool), ConfigTypeError, "bool"),
        (np.zeros((10, 2), complex), ConfigTypeError, "complex"),
        (bytes(40), ConfigTypeError, "frombuffer"),
        ([[0.0, 0.0], [0.0]], ConfigError, "no array"),
        (None, ConfigTypeError, "object"),
    ],
)
def test_samples_that_cannot_be_meant_are_refused(samples, error, words):
    feed = AudioSource.feed(RATE, 2)
    recording = Recording(feed)
    with pytest.raises(error, match="samples") as raised:
        feed.write(samples)
    assert words in str(raised.value)
    feed.write(counter(0, 100, 2))
    feed.close()
    assert recording.end().captured == 100


# ---- what has no room ----


def fill(feed, gate, recording, writes=50):
    """Write while the router stands still, and then let it go on; returns what was taken."""
    feed.write(counter(0, 4_800))
    assert gate.entered.wait(GIVE_UP)
    taken = [feed.write(counter(4_800 + 960 * i, 960)) for i in range(writes)]
    gate.open.set()
    return taken


def test_what_does_not_fit_is_a_gap():
    feed, gate = AudioSource.feed(RATE, 1), Gate()
    recording = Recording(feed, sink=gate, ring_duration=0.5)
    taken = fill(feed, gate, recording)
    assert 24_000 - 4_800 <= sum(taken) <= 24_000
    feed.close()
    source = recording.end()
    assert source.captured == 4_800 + sum(taken)
    assert source.captured + source.lost == 4_800 + 50 * 960
    assert {gap.cause for gap in source.gaps} == {GapCause.RING_FULL}
    for chunk in recording.chunks:  # each frame stands where it was written
        np.testing.assert_array_equal(chunk.data, counter(chunk.frame, chunk.frames))


def test_a_feed_that_raises_takes_all_of_a_write_or_nothing():
    feed, gate = AudioSource.feed(RATE, 1, "raise"), Gate()
    recording = Recording(feed, sink=gate, ring_duration=0.5)
    feed.write(counter(0, 4_800))
    assert gate.entered.wait(GIVE_UP)
    place = 4_800
    for _ in range(20):  # 19,200 frames, of 24,000 that the ring holds
        place += feed.write(counter(place, 960))
    with pytest.raises(FeedFullError, match="no room for 9600 frames"):
        feed.write(counter(place, 9_600))
    gate.open.set()
    while place < 96_000:
        try:
            feed.write(counter(place, 960))
        except FeedFullError:
            continue
        place += 960
    feed.close()
    source = recording.end()
    assert (source.captured, source.lost) == (place, 0)
    np.testing.assert_array_equal(recording.samples, counter(0, place))


def test_a_feed_that_waits_loses_nothing_however_slow_the_sink():
    class Slow:
        def __init__(self):
            self.frames = 0

        def write(self, chunk):
            time.sleep(0.002)
            self.frames += chunk.frames

    feed, slow = AudioSource.feed(RATE, 1, "block"), Slow()
    builder = StreamAudio.builder().add_source("call", feed).format(FormatPreset.NATIVE)
    builder.add_sink(slow, backlog="100ms").config(StreamConfig(ring_duration=0.2))
    with builder.start() as session:
        feed.write(counter(0, 10 * RATE))
        feed.close()
        assert session.wait(GIVE_UP)
    report = session.report()
    assert report.balanced
    assert (slow.frames, report.sources["call"].lost) == (10 * RATE, 0)


def test_a_stop_ends_a_write_that_waits_for_room():
    feed, gate = AudioSource.feed(RATE, 1, "block"), Gate()
    recording = Recording(feed, sink=gate, ring_duration=0.5)
    feed.write(counter(0, 4_800))
    assert gate.entered.wait(GIVE_UP)
    raised = []

    def write():
        try:
            feed.write(counter(4_800, 10 * RATE))
        except SessionStateError as error:
            raised.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    stopper = threading.Thread(target=recording.session.stop)
    stopper.start()
    gate.open.set()
    stopper.join(GIVE_UP)
    writer.join(GIVE_UP)
    assert not stopper.is_alive()
    assert not writer.is_alive()
    assert len(raised) == 1
    source = recording.end()
    np.testing.assert_array_equal(recording.samples, counter(0, source.captured))


# ---- time ----


def timed(writes, *, fast=1.0):
    """Write ``(frames, time)`` on a virtual clock, each as its last frame is complete."""
    clock = VirtualClock(auto=False)
    feed = AudioSource.feed(RATE, 1)
    recording = Recording(feed, clock=clock, chunk_duration=0.02)
    place = 0
    for frames, at in writes:
        clock.advance(frames / RATE / fast)
        feed.write(counter(place, frames), at)
        place += frames
    feed.close()
    clock.advance(1.0)
    recording.end()
    return recording


def test_frames_without_a_time_were_captured_as_they_arrived():
    recording = timed([(480, None)] * 300)
    for chunk in recording.chunks:
        assert chunk.time == pytest.approx(START + chunk.frame / RATE, abs=1e-6)


def test_a_sender_that_is_fast_is_followed():
    """By 500 ppm, over a minute: by its own count the times would be 30 ms off."""
    fast = 1 + 500e-6
    recording = timed([(4800, None)] * 600, fast=fast)
    for chunk in recording.chunks:
        assert chunk.time == pytest.approx(START + chunk.frame / RATE / fast, abs=1e-3)
    assert recording.report.sources["call"].drift_ppm == pytest.approx(500, abs=1)


def test_a_program_that_wrote_nothing_for_a_while_has_lost_nothing():
    clock = VirtualClock(auto=False)
    feed = AudioSource.feed(RATE, 1)
    recording = Recording(feed, clock=clock, chunk_duration=0.02)
    for i in range(300):
        clock.advance(4.0 if i in (100, 150) else 0.01)
        feed.write(counter(480 * i, 480))
    feed.close()
    clock.advance(1.0)
    source = recording.end()
    assert (source.captured, source.gaps) == (300 * 480, ())
    last = recording.chunks[-1]
    assert last.time == pytest.approx(clock.now() - 1.0 - last.duration, abs=2e-3)


def test_frames_with_a_time_were_captured_then():
    """In the past, as they come over a network, or a little ahead."""
    for offset in (-3.0, -0.2, 0.0, 0.5):
        writes = [(480, START + offset + i * 0.01) for i in range(100)]
        recording = timed(writes)
        assert recording.report.sources["call"].gaps == ()
        for chunk in recording.chunks:
            expected = START + offset + chunk.frame / RATE
            assert chunk.time == pytest.approx(expected, abs=1e-6)


def test_a_hole_in_the_times_is_a_gap_of_that_length():
    before = [(960, START + i * 0.02) for i in range(50)]
    after = [(960, START + 2.5 + i * 0.02) for i in range(50)]
    recording = timed(before + after)
    source = recording.report.sources["call"]
    [gap] = source.gaps
    assert (gap.frame, gap.frames, gap.cause) == (48_000, 72_000, GapCause.HOST_OVERFLOW)
    assert gap.time == pytest.approx(START + 1.0, abs=1e-6)
    assert recording.chunks[-1].end == 48_000 + 72_000 + 48_000
    for chunk in recording.chunks:
        assert chunk.time == pytest.approx(START + chunk.frame / RATE, abs=1e-6)


def test_one_packet_that_is_missing_is_a_gap():
    writes = [(960, START + i * 0.02) for i in range(200) if i % 20 != 19]
    source = timed(writes).report.sources["call"]
    assert [(gap.frame, gap.frames) for gap in source.gaps] == [
        (960 * (20 * i + 19), 960) for i in range(9)
    ]


def test_times_that_jitter_leave_no_gap():
    random = np.random.default_rng(4)
    jitter = random.uniform(-0.004, 0.004, 500)
    drift = 1 + 300e-6
    writes = [(480, START + i * 0.01 * drift + jitter[i]) for i in range(500)]
    recording = timed(writes)
    assert recording.report.sources["call"].gaps == ()
    last = recording.chunks[-1]
    assert last.time == pytest.approx(START + last.frame / RATE * drift, abs=2e-3)


def test_times_that_go_back_take_nothing_out():
    writes = [(480, START + i * 0.01) for i in range(100)]
    writes += [(480, START - 5 + i * 0.01) for i in range(100)]
    recording = timed(writes)
    source = recording.report.sources["call"]
    assert (source.captured, source.lost) == (96_000, 0)
    times = [chunk.time for chunk in recording.chunks]
    assert times == sorted(times)


def test_a_time_of_another_clock_is_refused():
    feed = AudioSource.feed(RATE, 1)
    recording = Recording(feed)
    with pytest.raises(ConfigError, match=r"time\.monotonic\(\)"):
        feed.write(counter(0, 480), time.time() + 1e8)
    with pytest.raises(ConfigTypeError, match="time"):
        feed.write(counter(0, 480), "now")
    feed.close()
    assert recording.end().captured == 0


# ---- one session ----


def test_a_feed_serves_one_session():
    feed = AudioSource.feed(RATE, 1)
    with pytest.raises(SessionStateError, match="no session has started"):
        feed.write(counter(0, 10))
    recording = Recording(feed)
    with pytest.raises(SessionStateError, match="another session has it"):
        Recording(feed)
    feed.write(counter(0, 10))
    feed.close()
    feed.close()
    with pytest.raises(SessionStateError, match="closed"):
        feed.write(counter(10, 10))
    assert recording.end().captured == 10
    with pytest.raises(SessionStateError, match="serves one session"):
        Recording(feed)


def test_a_feed_is_there_for_another_start_if_one_fails():
    class Broken:
        def start(self, info):
            raise OSError("no such place")

        def write(self, chunk):
            raise AssertionError

    feed = AudioSource.feed(RATE, 1)
    with pytest.raises(Exception, match="no such place"):
        Recording(feed, sink=Broken())
    recording = Recording(feed)
    feed.write(counter(0, 100))
    feed.close()
    assert recording.end().captured == 100


def test_a_write_after_the_end_raises():
    feed = AudioSource.feed(RATE, 1)
    builder = StreamAudio.builder().add_source("call", feed).add_sink(ChannelSink())
    with builder.duration(0.1).start() as session:
        feed.write(counter(0, RATE))
        assert session.wait(GIVE_UP)
    assert session.report().sources["call"].captured == RATE // 10
    with pytest.raises(SessionStateError, match="takes nothing more"):
        feed.write(counter(0, 10))


def test_a_feed_that_is_closed_before_the_start_is_empty():
    feed = AudioSource.feed(RATE, 1)
    feed.close()
    with pytest.raises(SessionStateError, match="closed"):
        Recording(feed)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0, 1), ConfigError),
        ((48_000.5, 1), ConfigTypeError),
        ((RATE, 0), ConfigError),
        ((RATE, 65), ConfigError),
        ((RATE, 1, "drop"), ConfigError),
        ((RATE, 1, None), ConfigTypeError),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments, error):
    with pytest.raises(error):
        AudioSource.feed(*arguments)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_cannot_write():
    feed = AudioSource.feed(RATE, 1)
    recording = Recording(feed)
    child = os.fork()
    if child == 0:
        try:
            feed.write(counter(0, 10))
        except ForkedProcessError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    feed.close()
    recording.end()
