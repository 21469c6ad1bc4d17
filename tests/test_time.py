"""The times that users see: of chunks, of the session, of the device; with virtual devices."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_audio import (
    AudioChunk,
    AudioSource,
    CallbackSink,
    ConfigError,
    FormatPreset,
    Session,
    SourceReport,
    StreamAudio,
    StreamConfig,
)
from stream_audio.testing import Fault, VirtualClock
from support.effort import examples

RATE = 48_000
GUIDE = Path(__file__).resolve().parents[1] / "docs" / "time.md"
CLOCK_START = VirtualClock().now()
DRIFT = 150.0


@dataclass
class Played:
    """What became of a session on virtual time, with one source that starts as it does."""

    session: Session
    drift_ppm: float
    chunks: list[AudioChunk] = field(repr=False)

    @property
    def source(self) -> SourceReport:
        return self.session.report().sources["mic"]

    def late_ms(self, after: float = 0.0) -> np.ndarray:
        """How late the times of the chunks are, from so many seconds on."""
        rate = RATE * (1 + self.drift_ppm * 1e-6)
        true_times = np.array([CLOCK_START + chunk.frame / rate for chunk in self.chunks])
        found = np.array([chunk.time for chunk in self.chunks])
        return (found - true_times)[true_times >= CLOCK_START + after] * 1000


def play(
    seconds: float, *, drift_ppm: float = DRIFT, chunk_duration: float = 0.1, **source: object
) -> Played:
    chunks: list[AudioChunk] = []
    mic = AudioSource.virtual(
        "silence", channels=1, frames=round(seconds * RATE), drift_ppm=drift_ppm, **source
    )
    builder = StreamAudio.builder().add_source("mic", mic).format(FormatPreset.NATIVE)
    builder.add_sink(CallbackSink(chunks.append))
    builder.config(StreamConfig(clock=VirtualClock(), chunk_duration=chunk_duration))
    with builder.start() as session:
        session.wait(60)
    assert session.report().balanced
    return Played(session, drift_ppm, chunks)


# ---- the loop and the drift ----


@pytest.mark.parametrize("seed", range(3))
def test_1_ms_of_jitter_leaves_less_than_a_fifth_and_2_ppm_after_a_minute(seed: int) -> None:
    played = play(61, jitter=0.001, seed=seed)
    assert np.abs(played.late_ms()).max() < 1
    assert np.abs(played.late_ms(after=1)).max() < 0.2
    assert played.source.drift_ppm == pytest.approx(DRIFT, abs=2)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2))])
def test_10_ms_of_jitter_leave_less_than_1_and_10_ppm_after_ten_minutes(seed: int) -> None:
    played = play(660, jitter=0.010, seed=seed)
    assert np.abs(played.late_ms(after=600)).max() < 1
    assert played.source.drift_ppm == pytest.approx(DRIFT, abs=10)


def test_the_drift_comes_with_its_error() -> None:
    source = play(61, jitter=0.001).source
    assert source.drift_ppm is not None
    assert source.drift_error_ppm is not None
    assert abs(source.drift_ppm - DRIFT) < 4 * source.drift_error_ppm < 2


def test_the_drift_is_not_told_before_it_is_known() -> None:
    source = play(9).source
    assert (source.drift_ppm, source.drift_error_ppm) == (None, None)


def test_a_source_that_no_clock_paces_has_no_drift() -> None:
    source = play(60, pace="freewheel").source
    assert (source.drift_ppm, source.drift_error_ppm) == (None, None)


def test_losses_and_stalls_do_not_disturb_the_drift() -> None:
    faults = [
        Fault.lose(RATE * 7, 1000),
        Fault.stall(RATE * 20, 0.5),
        Fault.lose(RATE * 33, 3),
        Fault.stall(RATE * 40, 1.9),
    ]
    played = play(61, jitter=0.001, faults=faults)
    assert played.source.drift_ppm == pytest.approx(DRIFT, abs=2)
    assert np.abs(played.late_ms(after=1)).max() < 0.2


# ---- ADC times ----


def test_a_device_that_tells_its_latency_has_times_at_the_converter() -> None:
    played = play(10, jitter=0.004, latency=0.012)
    assert played.source.time_quality == "adc"
    assert played.source.latency == 0.012
    assert np.abs(played.late_ms()).max() < 0.1


def test_a_device_that_tells_nothing_has_times_of_the_hand_over() -> None:
    played = play(10)
    assert played.source.time_quality == "callback"
    assert played.source.latency is None


@pytest.mark.parametrize("error", ["zero", "backwards", 0.5, -0.5, 0.1, 0.013])
def test_adc_times_that_are_wrong_are_not_used(error: float | str) -> None:
    played = play(10, latency=0.012, faults=[Fault.adc(0, error)])
    assert played.source.time_quality == "callback"
    assert played.source.latency == 0.012  # what the host reports, used or not
    assert played.late_ms(after=2) == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize("error", ["zero", "backwards", 0.5, -0.5])
def test_adc_times_that_go_wrong_later_do_not_make_times_jump(error: float | str) -> None:
    faults = [Fault.adc(RATE * 10, error), Fault.adc(RATE * 20, 0.0)]
    played = play(30, jitter=0.002, latency=0.012, faults=faults)
    assert played.source.time_quality == "adc"
    assert np.abs(played.late_ms()).max() < 0.5
    assert np.abs(np.diff(played.late_ms(after=1))).max() < 0.1


# ---- the order of times ----


@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(
    st.lists(
        st.one_of(
            st.builds(Fault.stall, st.integers(0, RATE * 20), st.floats(0, 5)),
            st.builds(Fault.lose, st.integers(0, RATE * 20), st.integers(1, 2000)),
            st.builds(Fault.adc, st.integers(0, RATE * 20), st.floats(-1, 1)),
            st.builds(
                Fault.adc, st.integers(0, RATE * 20), st.sampled_from(["zero", "backwards"])
            ),
        ),
        max_size=12,
    ),
    st.sampled_from([0.0, 0.001, 0.05]),
    st.sampled_from([None, 0.0, 0.02]),
    st.sampled_from([0.005, 0.1]),
)
def test_later_frames_have_later_times_whatever_happens(
    faults: list[Fault], jitter: float, latency: float | None, chunk_duration: float
) -> None:
    played = play(20, faults=faults, jitter=jitter, latency=latency, chunk_duration=chunk_duration)
    times = np.array([chunk.time for chunk in played.chunks])
    timestamps = np.array([chunk.timestamp for chunk in played.chunks])
    assert np.isfinite(times).all()
    assert (np.diff(times) > 0).all()
    assert (np.diff(timestamps) > 0).all()


# ---- timestamps and the session's own times ----


def test_a_timestamp_is_counted_by_the_device_from_the_session_s_start() -> None:
    played = play(20, drift_ppm=1000, jitter=0.001, faults=[Fault.lose(RATE * 5, 100)])
    first = played.chunks[0]
    assert played.session.started_at + first.timestamp == pytest.approx(first.time, abs=1e-9)
    assert first.timestamp == pytest.approx(0, abs=0.001)
    for chunk in played.chunks:
        assert chunk.timestamp - first.timestamp == pytest.approx(chunk.frame / RATE, abs=1e-9)
    last = played.chunks[-1]
    drifted = played.session.started_at + last.timestamp - last.time
    assert drifted == pytest.approx(last.timestamp * 1000e-6, abs=0.001)


def test_a_converted_chunk_has_the_timestamp_of_the_same_moment() -> None:
    native: list[AudioChunk] = []
    converted: list[AudioChunk] = []
    mic = AudioSource.virtual("sine", frames=RATE * 3, latency=0.020)
    builder = StreamAudio.builder().add_source("mic", mic)
    builder.add_sink(CallbackSink(native.append), format=FormatPreset.NATIVE)
    builder.add_sink(CallbackSink(converted.append), format=FormatPreset.TRANSCRIPTION)
    with builder.config(StreamConfig(clock=VirtualClock())).start() as session:
        session.wait(60)
    start = native[0].timestamp
    for chunk in converted:
        assert chunk.sample_rate == 16_000
        assert chunk.timestamp == pytest.approx(start + chunk.frame / 16_000, abs=1e-9)
        assert session.started_at + chunk.timestamp == pytest.approx(chunk.time, abs=0.001)


def test_a_source_that_no_clock_paces_begins_at_zero() -> None:
    assert play(1, pace="freewheel").chunks[0].timestamp == 0.0


def test_a_first_packet_that_comes_late_does_not_set_the_timestamps_late() -> None:
    """A stall that a burst makes good before the first chunk is complete."""
    played = play(2, drift_ppm=0, faults=[Fault.stall(0, 0.08)])
    assert played.chunks[0].timestamp == pytest.approx(0, abs=0.006)


def test_the_epoch_ties_chunks_to_the_wall_clock() -> None:
    chunks: list[AudioChunk] = []
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual(frames=4800))
    builder.format(FormatPreset.NATIVE).add_sink(CallbackSink(chunks.append))
    began = time.time()
    with builder.start() as session:
        assert session.wait(60)
    ended = time.time()
    assert session.epoch == pytest.approx(time.time() - time.monotonic(), abs=0.001)
    captured = session.epoch + chunks[0].time
    assert began - 0.001 < captured < ended + 0.001
    assert began - 0.001 < session.epoch + session.started_at < ended + 0.001


def test_a_chunk_made_by_hand_starts_with_its_session() -> None:
    chunk = AudioChunk("mic", np.zeros((10, 1), np.float32), RATE, RATE * 3, 1000.0, 1000.1)
    assert chunk.timestamp == 3.0


@pytest.mark.parametrize("latency", [-0.001, 11.0, float("nan")])
def test_a_virtual_latency_that_makes_no_sense_is_refused(latency: float) -> None:
    with pytest.raises(ConfigError, match="latency"):
        AudioSource.virtual(latency=latency)


def test_an_adc_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'zero', 'backwards'|zero.*backwards"):
        Fault.adc(0, "sideways")  # type: ignore[arg-type]


def test_the_guide_s_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    mic = AudioSource.virtual("sine", frames=4800)
    monkeypatch.setattr(AudioSource, "default_device", lambda: mic)
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), {})
    assert blocks
