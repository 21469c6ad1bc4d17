"""A source that follows its role goes over to the next device that has it, on one timeline."""

import numpy as np
import pytest

from stream_audio import (
    AudioSource,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    DefaultChanged,
    FormatPreset,
    GapCause,
    SourceLost,
    SourceRecovered,
    SourceSwitched,
    StreamAudio,
)
from stream_audio.testing import Incident

RATE = 48_000


def recorded(source, duration=6.0):
    """Return the samples, the source's report and all events."""
    sink, events = ChannelSink(), []
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    builder.add_sink(sink).duration(duration).on_event(events.append)
    with builder.start() as session:
        chunks = list(sink)
    report = session.report()
    assert report.balanced
    return np.concatenate([chunk.data for chunk in chunks]), report.sources["mic"], events


def those(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


@pytest.mark.parametrize("on_lost", [None, "stop"])
@pytest.mark.parametrize("webcam", [{}, {"sample_rate": 44_100, "channels": 2}])
def test_the_next_default_goes_on_where_the_last_one_was_left(virtual_devices, webcam, on_lost):
    virtual_devices.add("headset", signal="sine", frequency=440.0)
    virtual_devices.add("webcam", signal="sine", frequency=1000.0, **webcam)
    virtual_devices.make_default("webcam", at=2.0)
    samples, report, events = recorded(
        AudioSource.default_device(follow=True, on_lost=on_lost), 6.0
    )
    [switched] = those(events, SourceSwitched)
    assert (switched.old, switched.new) == ("virtual:headset", "virtual:webcam")
    assert switched.device.startswith("webcam")
    assert [type(each) for each in those(events, DefaultChanged, SourceSwitched)] == [
        DefaultChanged,
        SourceSwitched,
    ]
    assert not those(events, SourceLost, SourceRecovered)
    [gap] = report.gaps
    assert (gap.cause, report.lost) == (GapCause.DEVICE_LOST, gap.frames)
    assert gap.frames < 0.2 * RATE  # as short as reopening takes
    assert 2.0 < gap.frame / RATE < 3.0
    assert report.position == 6 * RATE
    assert not report.error
    for part, frequency in ((samples[: gap.frame], 440), (samples[gap.frame :], 1000)):
        part = part[:, 0][RATE // 10 : RATE // 10 + RATE]
        assert np.abs(np.fft.rfft(part)).argmax() == frequency


def test_it_follows_each_time(virtual_devices):
    for name in ("headset", "webcam", "desk"):
        virtual_devices.add(name)
    for at, name in ((1.0, "webcam"), (3.0, "desk"), (5.0, "headset")):
        virtual_devices.make_default(name, at=at)
    _, report, events = recorded(AudioSource.default_device(follow=True), 8.0)
    assert [each.new for each in those(events, SourceSwitched)] == [
        "virtual:webcam",
        "virtual:desk",
        "virtual:headset",
    ]
    assert len(report.gaps) == 3


def test_a_default_that_is_gone_is_a_loss_all_the_same(virtual_devices):
    virtual_devices.add("headset", script=[Incident.absent(2.0, 100.0)])
    virtual_devices.add("webcam")
    _, _, events = recorded(AudioSource.default_device(follow=True), 6.0)
    [recovered] = those(events, SourceRecovered)
    assert recovered.device.startswith("webcam")


def test_with_on_lost_stop_a_loss_ends_it(virtual_devices):
    virtual_devices.add("headset", script=[Incident.absent(2.0, 100.0)])
    virtual_devices.add("webcam")
    _, report, events = recorded(AudioSource.default_device(follow=True, on_lost="stop"), 6.0)
    [lost] = those(events, SourceLost)
    assert not lost.waiting
    assert report.error


def test_without_it_the_device_that_was_found_stays(virtual_devices):
    virtual_devices.add("headset")
    virtual_devices.add("webcam")
    virtual_devices.make_default("webcam", at=2.0)
    _, report, events = recorded(AudioSource.default_device(), 4.0)
    assert those(events, DefaultChanged)
    assert not those(events, SourceSwitched)
    assert not report.gaps


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: AudioSource.default_device(follow=1), ConfigTypeError),
        (lambda: AudioSource.system(follow="yes"), ConfigTypeError),
        (lambda: AudioSource.system("speakers", follow=True), ConfigError),
    ],
)
def test_bad_input_is_refused_where_it_is_passed(make, error):
    with pytest.raises(error):
        make()
