"""Which times real hosts tell, and what becomes of them."""

import numpy as np
import pytest

from stream_audio import (
    AudioChunk,
    AudioSource,
    CallbackSink,
    FormatPreset,
    SourceReport,
    StreamAudio,
    StreamConfig,
)
from stream_audio._native import lib
from stream_audio._native.capture import Reader, ReaderArray
from stream_audio.contracts.opening import Opening
from stream_audio.waiting.clock import MonotonicClock, Sleeper
from support import servers

RATE = 48_000
PERIOD = 256


def record(device: str, seconds: float) -> tuple[SourceReport, list[AudioChunk]]:
    """Record chunks of one period from a device."""
    chunks: list[AudioChunk] = []
    source = AudioSource.device(device, sample_rate=RATE, channels=1)
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    builder.add_sink(CallbackSink(chunks.append)).duration(seconds)
    builder.config(StreamConfig(chunk_duration=PERIOD / RATE))
    with builder.start() as session:
        assert session.wait(60)
    report = session.report()
    assert report.balanced, report
    times = [chunk.time for chunk in chunks]
    assert all(np.diff(times) > 0)
    return report.sources["mic"], chunks


def taken_off(device_name: str, seconds: float) -> float:
    """How many seconds before a hand-over the host says the last frame was at the converter.

    As the timeline has it: on a busy machine the callbacks' own lateness would hide it.
    """
    clock = MonotonicClock()
    opening = Opening(clock, 10.0)
    source = AudioSource.device(device_name, sample_rate=RATE, channels=1).open(opening)
    opening.close()
    capture = source.capture
    reader = Reader(capture, round(RATE * seconds), freewheel=False)
    sleeper = Sleeper(clock)
    source.start()
    try:
        until = lib.sa_clock_now(clock.native) + 60_000_000_000
        ReaderArray([reader], sleeper.native).wait_and_read(until)
        assert reader.progress.rows > 0
        adc = reader.native.timeline.adc
        return float(adc.mean_age_ns) * 1e-9 if adc.used else 0.0
    finally:
        source.stop()
        reader.close()
        source.close()


def age(chunks: list[AudioChunk]) -> float:
    """How many seconds old a chunk's first frame is when its callback comes; the median."""
    return float(np.median([chunk.arrival - chunk.time for chunk in chunks]))


def test_the_latency_of_a_jack_sound_card_is_taken_off(jack: servers.Jack) -> None:
    latency = PERIOD + 480
    with servers.JackCounter("card", latency=latency):
        source, _ = record("card", 3)
        assert taken_off("card", 2) == pytest.approx(480 / RATE, abs=1e-4)
    assert source.time_quality == "adc"
    # The buffer that JACK counts in is none: a packet's last frame is meant.
    assert source.latency == pytest.approx((latency - PERIOD) / RATE)


def test_a_jack_card_without_latency_of_its_own_is_as_late_as_its_period(
    jack: servers.Jack,
) -> None:
    source, _ = record("system", 3)
    assert source.time_quality == "adc"
    assert source.latency == 0
    assert taken_off("system", 2) == pytest.approx(0, abs=1e-4)


def test_the_port_of_a_jack_client_has_no_converter(jack_counter: servers.JackCounter) -> None:
    """It reports less latency than a buffer."""
    source, _ = record("counter", 3)
    assert source.time_quality == "callback"
    assert source.latency is None
    assert taken_off("counter", 2) == 0


def test_half_a_second_that_pulseaudio_s_null_sink_is_off_is_not_believed(
    pulse: servers.PulseAudio,
) -> None:
    """While an idle null sink wakes up, its ADC times are half a second early."""
    source, chunks = record("speakers_monitor", 4)
    assert source.time_quality == "callback"
    assert source.latency is not None
    assert 0 < source.latency < 0.1
    assert abs(age(chunks)) < 0.25


def test_times_of_pulseaudio_are_not_half_a_second_off(pulse: servers.PulseAudio) -> None:
    with pulse.play_tone(440.0):
        _, chunks = record("speakers_monitor", 4)
    assert abs(age(chunks)) < 0.25
