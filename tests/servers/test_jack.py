"""Captures from a real JACK server whose input tells the position of every frame."""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from stream_audio import (
    AudioChunk,
    AudioFormat,
    AudioSource,
    Backlog,
    ChannelSink,
    DeviceFormatError,
    FormatPreset,
    GapCause,
    StreamAudio,
    StreamConfig,
    list_input_devices,
)
from support import servers

RATE = 48_000
PERIOD = 256
SECONDS = 6


@contextmanager
def in_threads(work: Callable[[], object], count: int) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def spin() -> None:
    sum(range(1000))


def hold_the_gil() -> None:
    ctypes.PyDLL(None).usleep(500_000)  # PyDLL does not release the GIL


def frames_of(chunk: AudioChunk) -> np.ndarray:
    """The position of each frame, as its samples tell it; modulo 2**23."""
    assert np.array_equal(chunk.data[:, 0], chunk.data[:, 1])
    return np.round(chunk.data[:, 0].astype(np.float64) * 2**23).astype(np.int64)


def connected(chunk: AudioChunk) -> bool:
    """Whether both ports play: PortAudio connects them one after the other, once it is started."""
    return bool(np.array_equal(chunk.data[:, 0], chunk.data[:, 1]) and chunk.data[0, 0] > 0)


def check_every_frame(chunks: list[AudioChunk]) -> None:
    """Each frame arrives once and in order, and where it should be, gaps counted in.

    Under overload a gap may be placed too early. A callback that is later than a period reads the
    count of the next one; if then frames are lost before it has caught up, the count cannot tell
    on which side of it they are missing.
    """
    begin = next(index for index, chunk in enumerate(chunks) if connected(chunk))
    assert chunks[begin].frame < RATE / 2
    given_up = sum(gap.frames for chunk in chunks[:begin] for gap in chunk.gaps)
    chunks = chunks[begin:]
    frames = [frames_of(chunk) for chunk in chunks]
    for chunk, own in zip(chunks, frames, strict=True):
        contiguous = np.array_equal(own, (own[0] + np.arange(chunk.frames)) % 2**23)
        assert contiguous, f"{chunk!r} is not contiguous"
    first = np.array([own[0] for own in frames])
    counts = np.cumsum(np.diff(first, prepend=first[:1]) % 2**23)
    steps = np.diff(counts)
    assert np.all((steps > 0) & (steps < 2**22)), "a chunk came twice, or in the wrong order"

    early = np.array([chunk.frame for chunk in chunks]) - counts
    early -= np.bincount(early - early.min()).argmax() + early.min()  # where most of them are
    for chunk, frames_early in zip(chunks, early.tolist(), strict=True):
        given_up = max(given_up, sum(gap.frames for gap in chunk.gaps))
        assert frames_early % PERIOD == 0, f"{chunk!r} is off by {frames_early} frames"
        assert 0 <= frames_early <= given_up, f"{chunk!r} is off by {frames_early} frames"
        if frames_early == 0:
            given_up = 0


@pytest.mark.parametrize(
    ("work", "threads"),
    [(None, 0), (spin, 4), (hold_the_gil, 1)],
    ids=["idle", "four_threads_spinning", "a_call_that_holds_the_gil"],
)
def test_every_frame_arrives_bit_exact_or_is_in_a_gap(
    jack_counter: servers.JackCounter, work: Callable[[], object] | None, threads: int
) -> None:
    channel = ChannelSink(backlog=Backlog(2**30))
    builder = (
        StreamAudio.builder()
        .add_source("counter", AudioSource.device("counter"))
        .format(FormatPreset.NATIVE)
        .add_sink(channel)
        .config(StreamConfig(chunk_duration=PERIOD / RATE))
        .duration(SECONDS)
    )
    with in_threads(work or spin, threads), builder.start() as session:
        chunks = list(channel)
    report = session.report()
    source = report.sources["counter"]

    assert report.balanced, report
    assert source.position == SECONDS * RATE
    check_every_frame(chunks)
    assert sum(chunk.frames for chunk in chunks) == source.captured
    # Nothing is lost on our side; what JACK lost are whole periods, and JACK knows of them.
    causes = {GapCause.HOST_OVERFLOW, GapCause.SUSPENDED}  # if all of the process was starved
    assert all(gap.cause in causes for gap in source.gaps), report
    assert all(gap.frames % PERIOD == 0 for gap in source.gaps), report
    assert len(source.gaps) <= jack_counter.stop(), report


@pytest.fixture
def wide(jack: servers.Jack) -> Iterator[str]:
    """An interface of 32 inputs, by its name."""
    with servers.JackCounter("wide", ports=32):
        yield "wide"


def ahead(channel: int) -> int:
    """How far a channel's counter is ahead of the first one's."""
    return max(0, channel - 1) << 16


@pytest.mark.parametrize(
    ("of_the_source", "of_the_format", "expected"),
    [
        (None, None, list(range(32))),
        (2, None, [0, 1]),
        (2, [7], [7]),
        ([4, 5], None, [4, 5]),
        ([31, 0], None, [31, 0]),
        (None, [4, 31, 5], [4, 31, 5]),
        (32, None, list(range(32))),
        (32, [7], [7]),
        (None, 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_channels_that_were_chosen_are_those_that_come(
    wide: str, of_the_source: object, of_the_format: object, expected: list[int]
) -> None:
    channel = ChannelSink(backlog=Backlog(2**30))
    source = AudioSource.device(wide, channels=of_the_source)
    builder = StreamAudio.builder().add_source("wide", source).duration(0.5)
    with builder.add_sink(channel, format=AudioFormat(channels=of_the_format)).start():
        chunks = list(channel)
    for chunk in chunks:
        played = np.round(chunk.data.astype(np.float64) * 2**23).astype(np.int64)
        first = played[:, :1] - ahead(expected[0])
        np.testing.assert_array_equal(
            (played - first) % 2**23, [[ahead(c) for c in expected]] * chunk.frames
        )


def test_a_channel_that_the_device_does_not_have_is_refused(wide: str) -> None:
    for builder in (
        StreamAudio.builder()
        .add_source("wide", AudioSource.device(wide, channels=[40]))
        .add_sink(ChannelSink()),
        StreamAudio.builder()
        .add_source("wide", AudioSource.device(wide))
        .add_sink(ChannelSink(), format=AudioFormat(channels=[40])),
    ):
        with pytest.raises(DeviceFormatError, match=r"does not record 41 channels.*It has 32"):
            builder.start()


def test_a_callback_takes_microseconds(jack_counter: servers.JackCounter) -> None:
    session = StreamAudio.builder().add_source("counter", AudioSource.device("counter"))
    with session.add_sink(ChannelSink()).duration(1).start() as running:
        running.wait()
    assert 0 < running.report().sources["counter"].longest_callback < 0.1


def test_the_device_list_is_fresh_beside_a_running_stream(jack: servers.Jack) -> None:
    with servers.JackCounter():
        channel = ChannelSink()
        builder = StreamAudio.builder().add_source("counter", AudioSource.device("counter"))
        builder.format(FormatPreset.NATIVE)
        builder.config(StreamConfig(chunk_duration=PERIOD / RATE))
        with builder.add_sink(channel).start() as session:
            assert "latecomer" not in {device.name for device in list_input_devices()}
            with servers.JackCounter("latecomer"):
                assert "latecomer" in {device.name for device in list_input_devices()}
            assert "latecomer" not in {device.name for device in list_input_devices()}
        report = session.report()
    check_every_frame(list(channel))
    assert report.balanced
    assert not report.sources["counter"].error


def test_a_rate_that_the_server_does_not_run_at_is_refused_with_the_reason(
    jack_counter: servers.JackCounter,
) -> None:
    builder = StreamAudio.builder().add_source(
        "counter", AudioSource.device("counter", sample_rate=16_000)
    )
    with pytest.raises(DeviceFormatError, match=r"does not record at 16000 Hz.*rate is 48000 Hz"):
        builder.add_sink(ChannelSink()).start()


def test_more_channels_than_the_device_has_are_refused(jack_counter: servers.JackCounter) -> None:
    builder = StreamAudio.builder().add_source(
        "counter", AudioSource.device("counter", channels=3)
    )
    with pytest.raises(DeviceFormatError, match=r"does not record 3 channels.*It has 2"):
        builder.add_sink(ChannelSink()).start()
