"""Formats of a session: what each sink gets, whatever the source has and goes through."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

import stream_audio
from stream_audio import (
    AudioChunk,
    AudioFormat,
    AudioSource,
    Backlog,
    ChannelSink,
    Clipping,
    ConfigError,
    DigitalSilence,
    FileSink,
    FormatPreset,
    GapCause,
    SilenceEnded,
    StreamAudio,
    StreamAudioBuilder,
    StreamConfig,
    record,
)
from stream_audio._native import ffi, lib
from stream_audio.contracts.source import UntoldDevice
from stream_audio.testing import Fault, VirtualClock
from support.signals import decibels, joined, noise, rms, tone

RATE = 48_000
GUIDE = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
NATIVE = FormatPreset.NATIVE


def virtual_builder(signal: str = "noise", **settings: object) -> StreamAudioBuilder:
    source = AudioSource.virtual(signal, **settings)
    builder = StreamAudio.builder().add_source("mic", source)
    return builder.config(StreamConfig(clock=VirtualClock()))


def big_channel() -> ChannelSink:
    return ChannelSink(backlog=Backlog(2**30))


def check_tiled(chunks: list[AudioChunk]) -> None:
    end = 0
    for chunk in chunks:
        for gap in chunk.gaps:
            assert gap.frame == end
            end = gap.end
        assert chunk.frame == end
        end = chunk.end


class PushedSource:
    """A source of given samples, all of which are there at once."""

    def __init__(self, samples: np.ndarray, sample_rate: int = RATE) -> None:
        self.samples = np.ascontiguousarray(samples, np.float32)
        self.sample_rate = sample_rate

    def open(self, opening):
        return OpenPushed(self, opening)


class OpenPushed(UntoldDevice):
    """Pushes through the same call as an audio callback does, a period at a time."""

    freewheel = True
    silence_is_normal = False
    latency = None
    description = "samples"

    def __init__(self, source, opening):
        self.sample_rate = source.sample_rate
        self.channels = source.samples.shape[1]
        self.own_channels = tuple(range(self.channels))
        self.capture = opening.capture(self.sample_rate, self.channels, 480)
        self._samples = source.samples

    def start(self):
        host = ffi.new("sa_host_info *")
        for first in range(0, len(self._samples), 480):
            piece = self._samples[first : first + 480]
            frames = ffi.cast("const float *", piece.ctypes.data)
            lib.sa_capture_push(self.capture.native, frames, len(piece), host)
        self.capture.finish()

    def stop(self):
        pass

    def is_active(self):
        return False

    def lost(self):
        pass

    def close(self):
        self.capture.close()


def test_what_the_guide_shows_works(monkeypatch, tmp_path):
    monkeypatch.setattr(
        AudioSource, "default_device", lambda: AudioSource.virtual(pace="freewheel")
    )
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    variables = {}
    exec(compile(code, GUIDE.name, "exec"), variables)
    assert variables["frames"] == 2 * 16_000
    assert soundfile.info("take.wav").samplerate == RATE
    left = soundfile.info("left.wav")
    assert (left.samplerate, left.channels, left.frames) == (44_100, 1, 88_200)


# ---- what a sink gets ----


def test_a_session_delivers_16_khz_mono_unless_told_otherwise():
    channel = big_channel()
    infos = []

    class Curious:
        def start(self, info):
            infos.append(info)

        def write(self, chunk):
            pass

    builder = virtual_builder(frames=3 * RATE).add_sink(channel).add_sink(Curious())
    with builder.start() as session:
        chunks = list(channel)
    assert {(chunk.sample_rate, chunk.channels, chunk.frames) for chunk in chunks} == {
        (16_000, 1, 1600)
    }
    assert joined(chunks).shape == (48_000, 1)
    (source,) = infos[0].sources
    assert (source.sample_rate, source.channels, source.dtype) == (16_000, 1, "float32")
    assert session.report().balanced
    assert session.report().sources["mic"].captured == 3 * RATE


def test_the_short_way_delivers_it_too():
    channel = ChannelSink()
    with stream_audio.open(AudioSource.virtual(frames=RATE, pace="freewheel"), sinks=[channel]):
        assert {(chunk.sample_rate, chunk.channels) for chunk in channel} == {(16_000, 1)}


def test_record_and_listen_keep_what_the_device_has(tmp_path):
    def source():
        return AudioSource.virtual(frames=RATE, pace="freewheel")

    assert record(duration=0.5, source=source()).shape == (24_000, 2)
    record(tmp_path / "a.wav", 0.5, source=source())
    assert soundfile.info(tmp_path / "a.wav").samplerate == RATE
    assert {chunk.sample_rate for chunk in stream_audio.listen(source())} == {RATE}
    assert record(duration=0.5, source=source(), format=FormatPreset.TRANSCRIPTION).shape == (
        8000,
        1,
    )


def test_one_source_feeds_a_16_khz_channel_and_a_48_khz_file_at_once(tmp_path):
    native, speech, path = big_channel(), big_channel(), tmp_path / "a.wav"
    builder = virtual_builder(frames=3 * RATE).add_sink(native, format=NATIVE, name="native")
    builder.add_sink(FileSink(path, subtype="FLOAT"), format=FormatPreset.STUDIO)
    with builder.add_sink(speech, name="speech").start() as session:
        samples = joined(native)
        heard = joined(speech)
    written, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    assert written.tobytes() == samples.tobytes()
    mono = (samples.sum(axis=1, keepdims=True) * np.float32(0.5)).astype(np.float32)
    np.testing.assert_array_equal(heard, soxr.resample(mono, RATE, 16_000))
    sinks = session.report().sinks
    assert {name: sink.delivered for name, sink in sinks.items()} == {
        "native": 3 * RATE,
        "a.wav": 3 * RATE,
        "speech": 3 * 16_000,
    }
    assert session.report().balanced


def test_native_to_native_is_bit_exact_and_copied_once_on_its_way():
    """Ring to block in C; sinks get views of that block, the same object each."""
    samples = noise(RATE, 2)
    one, other = big_channel(), big_channel()
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples)).format(NATIVE)
    with builder.add_sink(one).add_sink(other).start():
        chunks, others = list(one), list(other)
    assert joined(chunks).tobytes() == samples.tobytes()
    assert [id(chunk) for chunk in chunks] == [id(chunk) for chunk in others]
    block = chunks[0].data.base
    assert block.nbytes >= RATE * 2 * 4
    for chunk in chunks:
        assert chunk.data.base is block


def test_every_source_comes_in_the_sinks_format():
    channel = big_channel()
    builder = virtual_builder(frames=3 * RATE)
    builder.add_source("b", AudioSource.virtual(sample_rate=44_100, channels=6, frames=132_300))
    builder.add_source("c", AudioSource.virtual(sample_rate=8_000, channels=1, frames=24_000))
    with builder.add_sink(channel).start() as session:
        chunks = list(channel)
    for source in ("mic", "b", "c"):
        own = [chunk for chunk in chunks if chunk.source == source]
        assert joined(own).shape == (48_000, 1)
        check_tiled(own)
    assert session.report().balanced


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    rate_in=st.integers(8_000, 96_000),
    rate_out=st.integers(8_000, 96_000),
    frames=st.integers(1, 30_000),
    chunk_ms=st.floats(0.5, 300),
    channels=st.sampled_from([None, 1, 2, 3, (1,), (1, 0)]),
    dtype=st.sampled_from(["float32", "int16", "int24", "int32"]),
)
def test_any_format_is_accounted_for_to_the_frame(
    rate_in, rate_out, frames, chunk_ms, channels, dtype
):
    channel = big_channel()
    source = AudioSource.virtual("noise", sample_rate=rate_in, frames=frames, pace="freewheel")
    builder = StreamAudio.builder().add_source("mic", source)
    builder.add_sink(channel, format=AudioFormat(rate_out, channels, dtype))
    builder.config(StreamConfig(chunk_duration=chunk_ms / 1000))
    with builder.start() as session:
        chunks = list(channel)
    assert sum(chunk.frames for chunk in chunks) == frames * rate_out // rate_in
    assert len({(chunk.channels, chunk.data.dtype) for chunk in chunks}) <= 1
    check_tiled(chunks)
    assert session.report().balanced


# ---- channels ----


def test_channels_are_chosen_by_number_in_any_order():
    native, chosen = big_channel(), big_channel()
    builder = virtual_builder(channels=32, frames=RATE).add_sink(native, format=NATIVE)
    builder.add_sink(chosen, format=AudioFormat(channels=[31, 4, 5]))
    with builder.start():
        everything, some = joined(native), joined(chosen)
    assert some.tobytes() == everything[:, [31, 4, 5]].tobytes()


def test_levels_are_those_of_the_channels_that_are_left():
    samples = np.zeros((RATE, 3), np.float32)
    samples[:, 2:] = tone(1000, 1, RATE)
    channel = big_channel()
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples))
    with builder.add_sink(channel, format=AudioFormat(channels=[2, 0])).start():
        for chunk in channel:
            assert chunk.peak == pytest.approx([-6.02, -np.inf], abs=0.01)
            assert chunk.rms == pytest.approx([-9.03, -np.inf], abs=0.01)


def test_a_mono_source_asked_for_stereo_is_on_both_sides():
    channel = big_channel()
    builder = virtual_builder("sine", channels=1, frames=RATE)
    with builder.add_sink(channel, format=AudioFormat(channels=2)).start():
        samples = joined(channel)
    assert samples.shape == (RATE, 2)
    assert np.array_equal(samples[:, 0], samples[:, 1])
    assert decibels(np.abs(samples).max()) == pytest.approx(-12, abs=0.01)


# ---- sample types ----


@pytest.mark.parametrize(
    ("dtype", "numpy_type", "full_scale"),
    [("float32", np.float32, 1), ("int16", np.int16, 2**15), ("int24", np.int32, 2**31)],
)
def test_chunks_have_the_type_that_is_asked_for(dtype, numpy_type, full_scale):
    channel = big_channel()
    builder = virtual_builder("sine", frames=RATE)
    with builder.add_sink(channel, format=AudioFormat(dtype=dtype)).start():
        chunks = list(channel)
    samples = joined(chunks)
    assert samples.dtype == numpy_type
    assert decibels(np.abs(samples / full_scale).max()) == pytest.approx(-12, abs=0.01)
    assert chunks[3].peak == pytest.approx([-12.0, -12.0], abs=0.01)
    as_16_bit = np.frombuffer(chunks[3].to_pcm16(), "<i2")
    assert decibels(np.abs(as_16_bit / 2**15).max()) == pytest.approx(-12, abs=0.01)


def test_a_file_of_16_bits_gets_16_bits_dithered_by_the_engine(tmp_path):
    samples = tone(1000, 1, RATE, channels=2).astype(np.float32)
    paths = {dither: tmp_path / f"{dither}.wav" for dither in (True, False)}
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples))
    for dither, path in paths.items():
        builder.add_sink(FileSink(path), format=AudioFormat(dither=dither))
    with builder.start() as session:
        session.wait()
    plain = soundfile.read(paths[False], dtype="int16")[0]
    dithered = soundfile.read(paths[True], dtype="int16")[0]
    np.testing.assert_array_equal(plain, np.rint(samples.astype(np.float64) * 2**15))
    error = dithered - samples.astype(np.float64) * 2**15
    assert 0.2 < error.var() < 0.3


def test_16_bit_material_goes_into_a_16_bit_file_bit_for_bit(tmp_path):
    integers = np.random.default_rng(0).integers(-(2**15), 2**15, (RATE, 2)).astype(np.int16)
    source = PushedSource((integers / 2**15).astype(np.float32))
    path = tmp_path / "a.wav"
    record(path, 1.0, source=source)
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], integers)


def test_24_bit_material_goes_into_a_24_bit_file_bit_for_bit(tmp_path):
    integers = np.random.default_rng(0).integers(-(2**23), 2**23, (RATE, 2))
    source = PushedSource((integers / 2**23).astype(np.float32))
    path = tmp_path / "a.wav"
    builder = StreamAudio.builder().add_source("mic", source).format(NATIVE)
    with builder.add_sink(FileSink(path, subtype="PCM_24")).start() as session:
        session.wait()
    np.testing.assert_array_equal(soundfile.read(path, dtype="int32")[0], integers * 2**8)


def test_clipping_is_counted_for_the_sink_that_it_harms(tmp_path):
    samples = tone(1000, 1, RATE, amplitude=1.5)
    channel = big_channel()
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples)).format(NATIVE)
    builder.add_sink(FileSink(tmp_path / "a.wav")).add_sink(channel, name="floats")
    with builder.start() as session:
        assert np.abs(joined(channel)).max() > 1.4
    report = session.report()
    beyond = int((np.abs(samples) * 2**15 > 2**15 - 0.5).sum())
    assert report.sinks["a.wav"].clipped == pytest.approx(beyond, abs=100)
    assert report.sinks["floats"].clipped == 0
    assert "samples clipped" in str(report)
    assert report.to_dict()["sinks"]["a.wav"]["clipped"] == report.sinks["a.wav"].clipped


# ---- whatever happens to the source ----


def test_losses_stand_in_the_frames_of_each_route(tmp_path):
    native, speech, path = big_channel(), big_channel(), tmp_path / "a.wav"
    faults = [Fault.lose(RATE, 3), Fault.lose(2 * RATE, 40)]
    builder = virtual_builder("counter", frames=5 * RATE, faults=faults)
    builder.add_sink(native, format=NATIVE, name="native").add_sink(speech, name="speech")
    with builder.add_sink(FileSink(path)).start() as session:
        chunks, heard = list(native), list(speech)
    report = session.report()
    assert report.balanced
    check_tiled(chunks)
    check_tiled(heard)
    assert heard[-1].end == 5 * 16_000
    lost = [gap for chunk in chunks for gap in chunk.gaps]
    missed = [gap for chunk in heard for gap in chunk.gaps]
    assert [gap.cause for gap in missed] == [gap.cause for gap in lost]
    for gap, own in zip(lost, missed, strict=True):
        assert (own.frame, own.end) == (gap.frame // 3, gap.end // 3)
        assert own.time == gap.time
    # The file has silence there: its length is the time that has passed.
    assert soundfile.info(path).frames == 5 * 16_000


def test_a_pause_is_left_out_of_converted_chunks_too():
    clock = VirtualClock(auto=False)
    channel = big_channel()
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("counter"))
    session = builder.add_sink(channel).config(StreamConfig(clock=clock)).start()
    clock.advance(1.0)
    session.pause()
    clock.advance(1.0)
    session.resume()
    clock.advance(1.01)
    report = session.stop()
    assert report.balanced
    (pause,) = report.sources["mic"].pauses
    positions = {p for chunk in channel for p in range(chunk.frame, chunk.end)}
    paused = set(range(pause.frame // 3, pause.end // 3))
    assert positions.isdisjoint(paused)
    end = report.sources["mic"].position // 3
    assert positions | paused == set(range(end))


def test_sinks_of_other_formats_come_and_go_while_it_runs(tmp_path):
    clock = VirtualClock(auto=False)
    first = big_channel()
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual("noise"))
    session = builder.add_sink(first).config(StreamConfig(clock=clock)).start()
    clock.advance(1.01)
    path = tmp_path / "late.wav"
    late = session.add_sink(FileSink(path), format=AudioFormat(44_100, dtype="int16"))
    with pytest.raises(ConfigError, match="no channel 5 in source 'mic', which has 2"):
        session.add_sink(ChannelSink(), format=AudioFormat(channels=[5]))
    clock.advance(1.0)
    removing = threading.Thread(target=late.remove)
    removing.start()
    while removing.is_alive():
        clock.advance(0.001)
    taken = late.report()
    clock.advance(1.0)
    report = session.stop()
    assert report.balanced
    # From whole chunk to whole chunk, the tail of the conversion included.
    assert taken.delivered == soundfile.info(path).frames
    assert taken.delivered % 4410 == 0
    assert taken.delivered == pytest.approx(44_100, abs=4410)
    check_tiled(list(first))


def test_time_is_that_of_the_capture_whatever_the_resampler_holds_back():
    chunks = {}
    builder = virtual_builder(frames=30 * RATE, jitter=0.001, seed=3, drift_ppm=100.0)
    for name, wanted in (("native", NATIVE), ("speech", None), ("odd", AudioFormat(44_100))):
        chunks[name] = big_channel()
        builder.add_sink(chunks[name], format=wanted, name=name)
    with builder.start():
        told = {name: list(channel) for name, channel in chunks.items()}
    start = told["native"][0].timestamp
    assert start > 0
    native = np.array([(chunk.frame, chunk.time) for chunk in told["native"]])
    for name in ("speech", "odd"):
        for chunk in told[name]:
            assert chunk.timestamp == pytest.approx(start + chunk.frame / chunk.sample_rate)
        frames, captured = np.array([(chunk.source_frame, chunk.time) for chunk in told[name]]).T
        # A chunk's place is told to the frame, its time between frames.
        expected = np.interp(frames, *native.T)
        np.testing.assert_allclose(captured[:-1], expected[:-1], atol=2e-4)
        assert (np.diff(captured) > 0).all()


# ---- what the signal tells ----


def test_digital_silence_is_told_after_three_seconds_and_so_is_its_end():
    samples = np.concatenate([np.zeros((5 * RATE, 2)), noise(RATE, 2)])
    events = []
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples))
    with builder.add_sink(ChannelSink()).on_event(events.append).start() as session:
        session.wait()
    (silent,) = [event for event in events if isinstance(event, DigitalSilence)]
    assert (silent.source, silent.seconds) == ("mic", 3.0)
    assert "right device" in silent.hint
    (ended,) = [event for event in events if isinstance(event, SilenceEnded)]
    assert ended.seconds == pytest.approx(5.0)


def test_clipping_is_told_with_its_channels():
    samples = noise(RATE, 2)
    samples[1000:1100, 1] = 1.0
    events = []
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples))
    with builder.add_sink(ChannelSink()).on_event(events.append).start() as session:
        session.wait()
    (clipping,) = [event for event in events if isinstance(event, Clipping)]
    assert (clipping.source, clipping.channels) == ("mic", (1,))


@pytest.mark.parametrize("policy", ["pass", "zero"])
def test_what_is_no_number_is_counted_and_poisons_nothing(policy):
    samples = noise(2 * RATE, 2)
    clean = samples.copy()
    samples[20_000, 0], clean[20_000, 0] = np.nan, 0
    samples[20_001, 1], clean[20_001, 1] = np.inf, 0
    native, speech = big_channel(), big_channel()
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples))
    builder.add_sink(native, format=NATIVE).add_sink(speech)
    with builder.config(StreamConfig(nonfinite=policy)).start() as session:
        passed, heard = joined(native), joined(speech)
    report = session.report()
    assert report.sources["mic"].nonfinite == 2
    assert "2 samples not finite" in str(report)
    assert passed.tobytes() == (samples if policy == "pass" else clean).tobytes()
    mono = (clean.sum(axis=1, keepdims=True) * np.float32(0.5)).astype(np.float32)
    np.testing.assert_array_equal(heard, soxr.resample(mono, RATE, 16_000))
    assert rms(heard) > 0


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("value", [3e38, -3.4028235e38])
def test_a_finite_sample_of_any_size_poisons_no_resampler(rate, value):
    """What is far from it is what it would be without it; nothing is infinite or no number."""
    samples = noise(3 * RATE, 2)
    clean = soxr.resample(samples, RATE, rate)
    samples[RATE : RATE + 500, 0] = value
    samples[RATE + 9, 1] = -value
    channel = big_channel()
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples))
    with builder.add_sink(channel, format=AudioFormat(rate, 2)).start() as session:
        heard = joined(channel)
    assert session.report().balanced
    assert np.isfinite(heard).all()
    for far in (slice(0, rate // 2), slice(2 * rate, None)):
        np.testing.assert_allclose(heard[far], clean[far], atol=1e-6)


def test_finite_samples_of_any_size_have_a_finite_sum():
    samples = noise(RATE, 6)
    samples[100] = 3e38
    channel = big_channel()
    builder = StreamAudio.builder().add_source("mic", PushedSource(samples))
    with builder.add_sink(channel, format=AudioFormat(RATE, 2)).start():
        assert np.isfinite(joined(channel)).all()


# ---- soxr ----


def test_soxr_is_loaded_by_the_first_session_that_needs_it(tmp_path: Path):
    program = """
import sys
import stream_audio as s
def run(**settings):
    s.record(duration=0.1, source=s.AudioSource.virtual(pace="freewheel"), **settings)
s.AudioFormat
assert "soxr" not in sys.modules, "by the import"
run()
assert "soxr" not in sys.modules, "by a session that changes no rate"
run(format=s.FormatPreset.TRANSCRIPTION)
assert "soxr" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_conversion_that_fails_is_a_gap_of_its_sinks_alone(monkeypatch):
    whole, broken = big_channel(), big_channel()
    original = soxr.ResampleStream.resample_chunk
    calls = iter(range(10**6))

    def sometimes(stream, samples, last=False):
        if next(calls) == 5:
            raise MemoryError("no memory")
        return original(stream, samples, last=last)

    monkeypatch.setattr(soxr.ResampleStream, "resample_chunk", sometimes)
    builder = virtual_builder("counter", frames=3 * RATE).add_sink(whole, format=NATIVE)
    with builder.add_sink(broken, name="broken").start() as session:
        chunks, told = list(whole), list(broken)
    report = session.report()
    assert report.balanced
    assert not any(chunk.gaps for chunk in chunks)
    check_tiled(told)
    assert told[-1].end == 3 * 16_000
    (gap,) = report.sinks["broken"].gaps
    assert gap.cause == GapCause.CONVERSION_FAILED
    assert [gap for chunk in told for gap in chunk.gaps] == [gap]


def test_what_a_sink_does_not_get_of_eight_channels_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sinks = {"all": NATIVE, "two": AudioFormat(channels=2), "mono": AudioFormat(channels=1)}
    builder = virtual_builder("noise", channels=8, frames=RATE)
    channels = {name: big_channel() for name in sinks}
    for name, wanted in sinks.items():
        builder.add_sink(channels[name], name=name, format=wanted)
    builder.add_sink(big_channel(), name="listed", format=AudioFormat(channels=[4, 5]))
    session = builder.start()
    session.wait()
    report = session.stop()
    assert {name: next(iter(channel)).channels for name, channel in channels.items()} == {
        "all": 8,
        "two": 2,
        "mono": 1,
    }
    assert {name: sink.fewer_channels for name, sink in report.sinks.items()} == {
        "all": (),
        "two": (("mic", 2, 8),),
        "mono": (),
        "listed": (("mic", 2, 8),),
    }
    assert "has 2 of the 8 channels of mic" in str(report)
    (warning,) = [line for line in caplog.messages if "channels" in line]
    assert "sink two gets 2 of the 8 channels of mic" in warning
