"""Samples that consumers share stay as they are, whatever one of them tries."""

import ctypes
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from stream_audio import (
    AudioChunk,
    AudioFormat,
    AudioSource,
    CallbackSink,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import VirtualClock

FORMATS = {
    "native": FormatPreset.NATIVE,
    "rate": AudioFormat(16_000),
    "mixed": AudioFormat(channels=1),
    "picked": AudioFormat(channels=[1, 0]),
    "int16": AudioFormat(dtype="int16"),
    "int24": AudioFormat(dtype="int24"),
}


def set_flags(data: np.ndarray) -> None:
    data.setflags(write=True)


def set_flags_of_what_it_is_a_view_of(data: np.ndarray) -> None:
    base = data
    while isinstance(base.base, np.ndarray):
        base = base.base
        base.flags.writeable = True


def write_to_a_view(data: np.ndarray) -> None:
    view = data.view(np.uint8)
    view.flags.writeable = True


def write_to_the_memory(data: np.ndarray) -> None:
    memoryview(data).cast("B", (data.nbytes,))[0] = 1


def write_to_the_owner(data: np.ndarray) -> None:
    owner: object = data
    while isinstance(owner, np.ndarray):
        owner = owner.base
    np.frombuffer(owner, np.uint8)[0] = 1  # type: ignore[call-overload]


def write_to_the_memoryview_s_object(data: np.ndarray) -> None:
    np.asarray(memoryview(data).obj)[...] = 1


def write_as_strided(data: np.ndarray) -> None:
    np.lib.stride_tricks.as_strided(data, data.shape, writeable=True)[...] = 1


def write_through_ctypes(data: np.ndarray) -> None:
    (ctypes.c_char * data.nbytes).from_buffer(data)[0] = b"1"


def write_through_the_protocol(data: np.ndarray) -> None:
    np.asarray(data)[...] = 1


TRIES: list[Callable[[np.ndarray], None]] = [
    set_flags,
    set_flags_of_what_it_is_a_view_of,
    write_to_a_view,
    write_to_the_memory,
    write_to_the_owner,
    write_to_the_memoryview_s_object,
    write_as_strided,
    write_through_ctypes,
    write_through_the_protocol,
]


def try_all(chunk: AudioChunk) -> None:
    """Try all that, then to write."""
    for attempt in TRIES:
        with suppress(ValueError, TypeError, BufferError):
            attempt(chunk.data)
        with pytest.raises(ValueError, match="read-only"):
            chunk.data[...] = 9


def two_of(wanted: AudioFormat | FormatPreset) -> tuple[list[AudioChunk], list[AudioChunk]]:
    """Return the chunks that two consumers of one format get."""
    one: list[AudioChunk] = []
    other: list[AudioChunk] = []
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("sine", frames=9600))
    builder.format(wanted).config(StreamConfig(clock=VirtualClock()))
    for sink in (CallbackSink(one.append), CallbackSink(other.append)):
        builder.add_sink(sink)
    with builder.start() as session:
        assert session.wait(60)
    return one, other


@pytest.mark.parametrize("wanted", FORMATS.values(), ids=FORMATS.keys())
def test_what_consumers_share_cannot_be_made_writeable(wanted):
    one, other = two_of(wanted)
    for chunk, same in zip(one, other, strict=True):
        assert np.shares_memory(chunk.data, same.data)
        before = same.data.copy()
        try_all(chunk)
        try_all(chunk[1:-1])
        assert np.array_equal(same.data, before)


def test_history_silence_and_copies_for_backlogs_are_no_exception():
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("sine", frames=96_000))
    builder.history(1).format(FormatPreset.NATIVE)
    channel = ChannelSink()
    clock = VirtualClock(auto=False)
    with builder.add_sink(channel).config(StreamConfig(clock=clock)).start() as session:
        clock.advance(0.5)
        session.pause(policy="silence")
        clock.advance(0.5)
        session.resume()
        clock.advance(1.5)
    last = session.last(1.0)
    assert last is not None
    for chunk in (last, *channel):
        before = chunk.data.copy()
        try_all(chunk)
        assert np.array_equal(chunk.data, before)


def test_numpy_makes_copies_that_can_be_changed():
    (chunk, *_), _ = two_of(FormatPreset.NATIVE)
    copy = np.array(chunk)
    copy[...] = 7
    assert chunk.data.max() <= 1
