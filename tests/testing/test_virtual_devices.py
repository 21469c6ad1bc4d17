"""Devices that outlive their openings: each incident, in a session that knows nothing of it."""

import threading
import time

import numpy as np
import pytest

import stream_audio
from stream_audio import (
    AudioSource,
    ChannelSink,
    ConfigError,
    ConfigTypeError,
    DefaultChanged,
    DeviceError,
    DeviceFormatError,
    DeviceNotFoundError,
    FormatPreset,
    GapCause,
    SessionStateError,
    SourceLost,
    SourceResumed,
    SourceSuspended,
    StreamAudio,
)
from stream_audio.testing import Incident, VirtualClock, VirtualDevices


def recorded(source, duration=4.0, on_event=lambda event: None):
    """Return the report, and the chunks in one array."""
    sink = ChannelSink()
    builder = (
        StreamAudio.builder()
        .add_source("mic", source)
        .format(FormatPreset.NATIVE)
        .add_sink(sink)
        .duration(duration)
        .on_event(on_event)
    )
    with builder.start() as session:
        chunks = list(sink)
    return session.report(), chunks


def test_programs_find_these_devices_and_no_others(virtual_devices):
    virtual_devices.add("headset", channels=2)
    virtual_devices.add("webcam", sample_rate=16_000, is_monitor=True)
    headset, webcam = stream_audio.list_input_devices()
    assert (headset.name, headset.channels, headset.is_default) == ("headset", 2, True)
    assert (webcam.id, webcam.sample_rate, webcam.is_monitor) == ("virtual:webcam", 16_000, True)
    with pytest.raises(DeviceNotFoundError, match="headset"):
        recorded(AudioSource.device("headphones"))


def test_the_machine_has_its_own_devices_back(virtual_clock, monkeypatch):
    with VirtualDevices(virtual_clock) as devices:
        devices.add("headset")
        config = stream_audio.StreamConfig()
        with pytest.raises(SessionStateError), VirtualDevices(virtual_clock):
            pass
    assert config.clock is virtual_clock
    assert stream_audio.StreamConfig().clock is not virtual_clock
    try:
        listed = stream_audio.list_input_devices()
    except stream_audio.BackendError:
        listed = []
    assert "headset" not in [device.name for device in listed]


def test_an_absent_device_is_not_listed_and_cannot_be_opened(virtual_devices, virtual_clock):
    virtual_devices.add("webcam")
    virtual_devices.add("headset", script=[Incident.absent(1.0, 2.0)])
    names = []
    for _ in range(4):
        names.append([device.name for device in stream_audio.list_input_devices()])
        virtual_clock.sleep(1.0)
    assert names == [["webcam", "headset"], ["webcam"], ["webcam"], ["webcam", "headset"]]


@pytest.mark.parametrize("leaves", ["told", "dead"])
def test_an_unplugged_device_delivers_up_to_its_last_period(virtual_devices, leaves):
    virtual_devices.add("headset", script=[Incident.absent(1.0, leaves=leaves)], period=480)
    events = []
    report, chunks = recorded(AudioSource.device("headset"), on_event=events.append)
    assert sum(chunk.frames for chunk in chunks) == 48_000
    assert [event.reason for event in events if isinstance(event, SourceLost)] == [
        "headset, virtual is unplugged" if leaves == "told" else "headset, virtual is gone"
    ]
    assert report.balanced


def test_a_silent_departure_looks_like_a_stall(virtual_devices):
    virtual_devices.add("headset", script=[Incident.absent(1.0, leaves="silent")])
    stalled = threading.Event()
    events = []

    def note(event):
        events.append(event)
        if isinstance(event, stream_audio.SourceStalled):
            stalled.set()

    builder = StreamAudio.builder().add_source("mic", AudioSource.device("headset"))
    with builder.on_event(note).start():
        assert stalled.wait(30)
    assert not [event for event in events if isinstance(event, SourceLost)]


@pytest.mark.parametrize("incident", [Incident.moved(1.0), Incident.changed(1.0, channels=1)])
def test_a_stream_ends_that_is_moved_or_changed_and_the_device_stays(virtual_devices, incident):
    virtual_devices.add("headset", channels=2, script=[incident], period=480)
    report, chunks = recorded(AudioSource.device("headset", on_lost="stop"))
    assert sum(chunk.frames for chunk in chunks) == 48_000
    assert report.sources["mic"].error
    report, chunks = recorded(AudioSource.device("headset"))
    assert sum(chunk.frames for chunk in chunks) == 4 * 48_000
    assert report.complete


def test_a_change_shows_in_the_list_and_at_the_next_opening(virtual_devices, virtual_clock):
    virtual_devices.add("headset", script=[Incident.changed(1.0, sample_rate=16_000, channels=4)])
    virtual_clock.sleep(2.0)
    [device] = stream_audio.list_input_devices()
    assert (device.sample_rate, device.channels) == (16_000, 4)
    with pytest.raises(DeviceFormatError, match="48000"):
        recorded(AudioSource.device("headset", sample_rate=48_000))
    report, chunks = recorded(AudioSource.device("headset"))
    assert chunks[0].data.shape[1] == 4
    assert report.sources["mic"].captured == 4 * 16_000


def test_a_busy_device_refuses_until_it_is_free(virtual_devices, virtual_clock):
    virtual_devices.add("headset", script=[Incident.refusing(0.0, 1.0)])
    with pytest.raises(DeviceError, match="busy"):
        recorded(AudioSource.device("headset"))
    virtual_clock.sleep(1.0)
    report, _ = recorded(AudioSource.device("headset"))
    assert report.complete


def test_an_opening_hangs_as_long_as_its_script_says():
    with VirtualDevices() as devices:
        devices.add("headset", script=[Incident.hanging(0.0, 0.2)])
        recorded(AudioSource.device("headset"), duration=0.1)
        assert devices.now >= 0.3


def test_what_hangs_for_good_ends_with_the_devices(virtual_clock):
    errors = []

    def program():
        try:
            recorded(AudioSource.device("headset"))
        except SessionStateError as error:
            errors.append(error)

    thread = threading.Thread(target=program)
    with VirtualDevices(virtual_clock) as devices:
        devices.add("headset", script=[Incident.hanging(0.0)])
        thread.start()
        deadline = time.monotonic() + 30
        while not devices._hanging and time.monotonic() < deadline:
            time.sleep(0.001)
    thread.join(30)
    assert not thread.is_alive()
    assert errors


def test_a_suspended_device_leaves_a_gap_of_that_length(virtual_devices):
    script = [Incident.suspended(1.0, 0.5), Incident.suspended(2.0, 0.25)]
    virtual_devices.add("headset", script=script, period=480, signal="counter")
    events = []
    report, chunks = recorded(AudioSource.device("headset"), on_event=events.append)
    gaps = report.sources["mic"].gaps
    assert [(gap.frame, gap.frames, gap.cause) for gap in gaps] == [
        (48_000, 24_000, GapCause.SUSPENDED),
        (96_000, 12_000, GapCause.SUSPENDED),
    ]
    for chunk in chunks:
        assert chunk.data[0, 0] == chunk.frame * 2**-23
    kinds = [type(event) for event in events]
    assert kinds.count(SourceSuspended) == kinds.count(SourceResumed)


def test_the_default_moves_on_while_it_is_absent(virtual_devices, virtual_clock):
    virtual_devices.add("headset", script=[Incident.absent(1.0, 1.0)])
    virtual_devices.add("webcam")
    virtual_devices.make_default("webcam", at=3.0)
    names = []
    for _ in range(4):
        names.append(stream_audio.default_input_device().name)
        virtual_clock.sleep(1.0)
    assert names == ["headset", "webcam", "headset", "webcam"]


def test_a_change_of_the_default_is_an_event(virtual_devices):
    virtual_devices.add("headset")
    virtual_devices.add("webcam")
    virtual_devices.make_default("webcam", at=2.0)
    events = []
    recorded(AudioSource.default_device(), on_event=events.append)
    [changed] = [event for event in events if isinstance(event, DefaultChanged)]
    assert (changed.old, changed.new) == ("virtual:headset", "virtual:webcam")


@pytest.mark.parametrize("signal", ["room", "chirp"])
def test_two_devices_hear_the_same_sound(virtual_devices, signal):
    """Whatever their rates, drifts and starts are; also after a sleep of the machine."""
    virtual_devices.add("headset", signal=signal)
    virtual_devices.add("webcam", signal=signal, sample_rate=44_100, drift_ppm=300)
    sinks = {name: ChannelSink() for name in ("headset", "webcam")}
    builder = StreamAudio.builder().format(FormatPreset.NATIVE).duration(2.0)
    for name, sink in sinks.items():
        builder.add_source(name, AudioSource.device(name)).add_sink(sink, sources=name)
    virtual_devices.clock.suspend(3600.25)
    with builder.start():
        both = {name: list(sink) for name, sink in sinks.items()}
    tracks = {}
    for name, chunks in both.items():
        samples = np.concatenate([chunk.data[:, 0] for chunk in chunks])
        rate = {"headset": 48_000, "webcam": 44_100 * 1.0003}[name]
        tracks[name] = np.arange(len(samples)) / rate, samples  # both began at once
    at, heard = tracks["headset"]
    when, other = tracks["webcam"]
    within = (when > at[0]) & (when < at[-1])
    same = np.interp(when[within], at, heard)
    assert np.corrcoef(same, other[within])[0, 1] > 0.999
    for frames in (-5, 5):
        assert np.corrcoef(np.roll(same, frames), other[within])[0, 1] < 0.95


def test_the_same_script_gives_the_same_run():
    def run():
        with VirtualDevices(VirtualClock()) as devices:
            script = [Incident.suspended(1.0, 0.3), Incident.absent(2.5, leaves="dead")]
            devices.add("headset", script=script, jitter=0.003, signal="noise", seed=3)
            report, chunks = recorded(AudioSource.device("headset"))
            return report.to_dict(), [(c.frame, c.time, c.data.tobytes()) for c in chunks]

    (first, chunks), (second, others) = run(), run()
    for report in (first, second):
        report["sources"]["mic"].pop("started")
        report["sources"]["mic"].pop("longest_callback", None)
    assert chunks == others
    assert first["sources"] == second["sources"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda devices: devices.add("headset"),
        lambda devices: devices.add(""),
        lambda devices: devices.add("x", script=["absent"]),
        lambda devices: devices.make_default("nobody"),
        lambda devices: VirtualDevices(3),
        lambda devices: Incident.absent(-1.0),
        lambda devices: Incident.absent(1.0, leaves="slowly"),
        lambda devices: Incident.changed(1.0),
        lambda devices: Incident.changed(1.0, channels=0),
    ],
)
def test_wrong_scripts_are_refused(virtual_devices, wrong):
    virtual_devices.add("headset")
    with pytest.raises((ConfigError, ConfigTypeError)):
        wrong(virtual_devices)
