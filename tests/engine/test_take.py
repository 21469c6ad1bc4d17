"""A device that does not stop holds up nothing but itself."""

import threading
import time

import pytest

from stream_audio import AudioSource, ChannelSink, FormatPreset, StreamAudio
from stream_audio.contracts.opening import Opening
from stream_audio.engine.take import Take, TakeState
from stream_audio.errors import DeviceError
from stream_audio.sources.virtual import OpenVirtual
from stream_audio.waiting.clock import MonotonicClock
from support.processes import wait_until

RATE = 48_000
GIVE_UP = 30.0


@pytest.fixture
def stuck(monkeypatch):
    """Let stops of sources at 44.1 kHz hang until the event that this returns is set."""
    released, stop = threading.Event(), OpenVirtual.stop

    def hang(device):
        if device.sample_rate == 44_100:
            released.wait(GIVE_UP)
        return stop(device)

    monkeypatch.setattr(OpenVirtual, "stop", hang)
    yield released
    released.set()


def two_sources(**of_stuck):
    builder = StreamAudio.builder().format(FormatPreset.NATIVE)
    builder.add_source("stuck", AudioSource.virtual(sample_rate=44_100, **of_stuck))
    return builder.add_source("other", AudioSource.virtual(sample_rate=RATE, period=480))


def test_the_other_devices_stop_when_they_are_to(stuck):
    """What was captured after the stop would be in their files, seconds of it."""
    channel = ChannelSink()
    session = two_sources().add_sink(channel, sources=["other"], name="other").start()
    channel.get()
    stopping = threading.Thread(target=session.stop)
    stopping.start()
    wait_until(lambda: session.stats().sources["other"].state == "ended", "it has stopped")
    assert stopping.is_alive()  # the device still hangs
    captured = session.stats().sources["other"].captured
    stuck.set()
    stopping.join(GIVE_UP)
    report = session.report()
    assert report.balanced
    assert report.sources["other"].captured == captured


def test_a_source_whose_time_is_up_lets_the_other_go_on(stuck):
    channel = ChannelSink()
    builder = two_sources(frames=4410).add_sink(channel, sources=["other"], name="other")
    with builder.start() as session:
        wait_until(lambda: session.stats().sources["stuck"].state == "ended", "its time is up")
        assert not stuck.is_set()
        position = channel.get(GIVE_UP).end
        while position < RATE // 10:
            position = channel.get(GIVE_UP).end
        stuck.set()
    report = session.report()
    assert report.balanced
    assert report.sources["stuck"].captured == 4410


def test_a_device_that_cannot_be_stopped_is_reported(monkeypatch):
    def refuse(device):
        raise DeviceError("it does not stop")

    monkeypatch.setattr(OpenVirtual, "stop", refuse)
    builder = StreamAudio.builder().add_source("mic", AudioSource.virtual(frames=4800))
    builder.add_sink(ChannelSink())
    session = builder.start()
    began = time.monotonic()
    report = session.stop()
    assert time.monotonic() < began + GIVE_UP
    assert report.balanced
    assert report.sources["mic"].error == "it does not stop"


def test_a_ctrl_c_as_the_stop_begins_leaves_it_to_the_next_one(monkeypatch):
    opened = AudioSource.virtual(frames=480).open(Opening(MonotonicClock(), None))
    opened.start()
    take, start = Take(opened, 0.01, None), threading.Thread.start

    def interrupted(thread):
        monkeypatch.setattr(threading.Thread, "start", start)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take.stop()
    closing = threading.Thread(target=take.close)
    closing.start()
    closing.join(GIVE_UP)
    assert not closing.is_alive()
    assert take.state is TakeState.CLOSED
