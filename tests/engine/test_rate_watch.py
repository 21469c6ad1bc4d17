"""A device that runs at another sample rate than it says: told once, with both rates."""

import pytest

from stream_audio import (
    AudioSource,
    ChannelSink,
    FormatPreset,
    StreamAudio,
    StreamConfig,
    WrongSampleRate,
)
from stream_audio.testing import Fault, VirtualClock

RATE = 48_000


def run(part, seconds=14.0, **settings):
    """Record a device whose clock is off by ``part``; return what was told, and the report."""
    events = []
    settings = {"period": 480} | settings
    frames = round(seconds * RATE * (1 + part))
    source = AudioSource.virtual(drift_ppm=part * 1e6, frames=frames, channels=1, **settings)
    builder = StreamAudio.builder().config(StreamConfig(clock=VirtualClock()))
    builder.add_source("mic", source).add_sink(ChannelSink(), format=FormatPreset.NATIVE)
    with builder.on_event(events.append).start() as session:
        session.wait()
    assert session.report().sources["mic"].lost == 0
    return [each for each in events if isinstance(each, WrongSampleRate)], session.report()


@pytest.mark.parametrize("period", [64, 480, 4096])
@pytest.mark.parametrize("part", [-0.2, 44_100 / 48_000 - 1, -0.005, 48_000 / 44_100 - 1, 0.2])
def test_both_rates_are_told_and_stand_in_the_report(part, period):
    told, report = run(part, period=period)
    (event,) = told
    assert (event.source, event.sample_rate) == ("mic", RATE)
    assert event.measured_rate == pytest.approx(RATE * (1 + part), rel=1e-3)
    mic = report.sources["mic"]
    assert mic.drift_ppm == pytest.approx(part * 1e6, abs=10)
    assert mic.measured_rate == pytest.approx(RATE * (1 + part), rel=1e-5)
    assert mic.rate_is_wrong
    words = f"it claims 48000 Hz, but {RATE * (1 + part):.0f} frames a second came"
    assert words in str(report)
    assert report.complete  # no frame is missing


@pytest.mark.parametrize("part", [-0.2, -0.08, 0.08, 0.2])
def test_jitter_does_not_hide_it(part):
    told, report = run(part, 20.0, jitter=0.003)
    assert len(told) == 1
    assert report.sources["mic"].drift_ppm == pytest.approx(part * 1e6, rel=0.005)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"jitter": 0.02},
        {"faults": [Fault.stall(3 * RATE, 1.5), Fault.stall(7 * RATE, 0.5)]},
        {"faults": [Fault.lose(2 * RATE, 200), Fault.lose(5 * RATE, 3)]},
    ],
    ids=["quiet", "jitter", "stalls", "losses"],
)
@pytest.mark.parametrize("part", [-5e-4, 0.0, 1e-4])
def test_of_a_crystal_nothing_is_told(part, settings):
    events = []
    source = AudioSource.virtual(drift_ppm=part * 1e6, frames=30 * RATE, channels=1, **settings)
    builder = StreamAudio.builder().config(StreamConfig(clock=VirtualClock()))
    builder.add_source("mic", source).add_sink(ChannelSink())
    with builder.on_event(events.append).start() as session:
        session.wait()
    assert not any(isinstance(each, WrongSampleRate) for each in events)
    assert not session.report().sources["mic"].rate_is_wrong
    assert "sample rate is wrong" not in str(session.report())


def test_of_a_source_that_no_clock_paces_nothing_is_told():
    source = AudioSource.virtual(pace="freewheel", frames=60 * RATE, channels=1)
    builder = StreamAudio.builder().add_source("mic", source).add_sink(ChannelSink())
    with builder.start() as session:
        session.wait()
    assert session.report().sources["mic"].measured_rate is None
