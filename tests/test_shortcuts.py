"""The short functions take the same words."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import soundfile

import stream_audio
from stream_audio import (
    AudioFormat,
    AudioSource,
    CallbackSink,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    FileClosed,
    FileSink,
    FormatPreset,
    SinkError,
    StreamConfig,
)
from stream_audio.testing import VirtualClock

RATE = 48_000
WORDS = ("source", "format", "sample_rate", "channels", "duration", "config")


def tone(seconds: float = 1.0, **settings) -> object:
    frames = round(seconds * RATE)
    return AudioSource.virtual("sine", frames=frames, pace="freewheel", **settings)


@pytest.mark.parametrize("name", ["open", "record", "listen"])
def test_they_take_the_same_words(name):
    parameters = inspect.signature(getattr(stream_audio, name)).parameters
    assert set(WORDS) <= set(parameters)


def chunks_of(name: str, **words) -> tuple[int, int, int]:
    """Return rate, channels and frames of what one of them brings."""
    if name == "listen":
        chunks = list(stream_audio.listen(tone(), **words))
    elif name == "open":
        channel = ChannelSink()
        with stream_audio.open(tone(), sinks=[channel], **words):
            chunks = list(channel)
    else:
        words.setdefault("duration", 1.0)
        samples = stream_audio.record(source=tone(), **words)
        return 0, samples.shape[1], len(samples)
    return chunks[0].sample_rate, chunks[0].channels, sum(len(chunk) for chunk in chunks)


@pytest.mark.parametrize("name", ["open", "record", "listen"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"format": FormatPreset.NATIVE, "duration": 0.5}, (RATE, 2, RATE // 2)),
        ({"format": FormatPreset.TRANSCRIPTION}, (16_000, 1, 16_000)),
        ({"sample_rate": 8000, "channels": 1}, (8000, 1, 8000)),
        ({"format": AudioFormat(16_000, 1), "channels": 2}, (16_000, 2, 16_000)),
        ({"format": FormatPreset.NATIVE, "channels": [1, 0]}, (RATE, 2, RATE)),
    ],
)
def test_each_word_does_the_same_in_each(name, words, expected):
    rate, channels, frames = chunks_of(name, **words)
    assert (channels, frames) == expected[1:]
    assert name == "record" or rate == expected[0]


def test_open_takes_sinks_with_formats_of_their_own(tmp_path):
    captions: list[int] = []
    sinks = [
        CallbackSink(lambda chunk: captions.append(chunk.sample_rate)),
        (FileSink(tmp_path / "a.wav"), FormatPreset.NATIVE),
        (FileSink(tmp_path / "b.wav"), AudioFormat(8000)),
    ]
    with stream_audio.open(tone(), sinks=sinks) as session:
        session.wait()
    assert set(captions) == {16_000}
    assert soundfile.info(tmp_path / "a.wav").samplerate == RATE
    assert soundfile.info(tmp_path / "b.wav").samplerate == 8000


def test_open_keeps_a_history():
    channel = ChannelSink()
    with stream_audio.open(tone(), sinks=[channel], history=0.5) as session:
        list(channel)
    last = session.last(0.5)
    assert last is not None
    assert len(last) == RATE // 2


@pytest.mark.parametrize(
    ("sinks", "match"),
    [
        ([(ChannelSink(), FormatPreset.NATIVE, "name")], "pairs of a sink and a format"),
        ([(ChannelSink(),)], "pairs of a sink and a format"),
        ([(ChannelSink(), 16_000)], "16000"),
        ([FormatPreset.NATIVE], "not a sink"),
        (ChannelSink(), "a list of sinks"),
        ([ChannelSink], "ChannelSink is a class"),
    ],
)
def test_what_is_no_list_of_sinks_is_refused(sinks, match):
    with pytest.raises(ConfigTypeError, match=match):
        stream_audio.open(tone(), sinks=sinks)


def test_a_class_in_place_of_a_sink_or_a_source_is_told_how_to_make_one():
    builder = stream_audio.StreamAudio.builder()
    with pytest.raises(ConfigTypeError, match=r"FileSink is a class.*FileSink\(…\)"):
        builder.add_sink(FileSink)
    with pytest.raises(ConfigTypeError, match=r"AudioSource is a class.*default_device"):
        builder.add_source("mic", AudioSource)


def test_record_takes_what_the_file_takes(tmp_path):
    stream_audio.record(tmp_path / "a.wav", 0.5, source=tone(), subtype="PCM_24")
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_24"
    sizes = []
    for quality in (0.0, 1.0):
        path = tmp_path / f"{quality}.ogg"
        source = AudioSource.virtual("noise", frames=RATE, pace="freewheel")
        stream_audio.record(path, 1, source=source, quality=quality)
        sizes.append(path.stat().st_size)
    assert sizes[0] < sizes[1]
    stream_audio.record(tmp_path / "part-{index}.wav", 1, source=tone(), rotate=0.25)
    assert [soundfile.info(tmp_path / f"part-{n}.wav").frames for n in (1, 2, 3, 4)] == [
        RATE // 4
    ] * 4


@pytest.mark.parametrize(
    "settings", [{"subtype": "PCM_24"}, {"quality": 0.5}, {"rotate": 1}, {"overwrite": True}]
)
def test_what_is_for_a_file_needs_a_path(settings):
    with pytest.raises(ConfigError, match="without a path"):
        stream_audio.record(duration=1, source=tone(), **settings)


def test_a_sink_that_fails_is_heard_unless_asked_otherwise():
    def broken(chunk):
        raise SinkError("on purpose", retryable=False)

    with (
        pytest.raises(SinkError, match="on purpose"),
        stream_audio.open(tone(), sinks=[CallbackSink(broken)]) as session,
    ):
        session.wait()
    quiet = StreamConfig(raise_on_sink_failure=False)
    with stream_audio.open(tone(), sinks=[CallbackSink(broken)], config=quiet) as session:
        session.wait()
    assert not session.report().complete


def test_paths_in_events_are_absolute_and_no_name_is_a_raw_template(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = []
    sink = FileSink("talk-{start:%H%M%S}-{index:02}.wav", rotate=0.25)
    with stream_audio.open(tone(), sinks=[sink], on_event=events.append) as session:
        session.wait()
    closed = [event for event in events if isinstance(event, FileClosed)]
    assert len(closed) == 4
    for event in closed:
        assert event.path.is_absolute()
        assert event.path.parent == tmp_path.absolute()
        assert event.sink == "talk-*-*.wav"
    assert list(session.report().sinks) == ["talk-*-*.wav"]
    assert Path(sink.path).is_absolute()


def test_braces_that_a_file_is_to_have_stay_in_the_sink_s_name(tmp_path):
    assert FileSink(tmp_path / "a{{b}}.wav").name == "a{b}.wav"


def test_a_backlog_may_be_a_string():
    clock = VirtualClock(auto=False)  # the session lasts until the second sink is there
    config = StreamConfig(backlog="10 s", clock=clock)
    channel = ChannelSink(backlog="1 MiB")
    second = AudioSource.virtual("sine", frames=RATE)
    with stream_audio.open(second, sinks=[channel], config=config) as session:
        session.add_sink(CallbackSink(lambda chunk: None), backlog="500 ms")
        clock.advance(1.1)
        assert np.sum([len(chunk) for chunk in channel]) == 16_000
    with pytest.raises(ConfigError, match="cannot be read"):
        StreamConfig(backlog="10 years")
