"""PulseAudio and PipeWire: the source that was asked for is recorded, and no other one.

"usb" and "room" are null sinks, of which each plays a constant: one frame of the other would show.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from stream_audio import (
    AmbiguousDeviceError,
    AudioFormat,
    AudioSource,
    ChannelSink,
    DefaultChanged,
    DeviceError,
    DeviceFormatError,
    DeviceNotFoundError,
    FormatPreset,
    GapCause,
    SourceLost,
    SourceResumed,
    SourceSuspended,
    StreamAudio,
    default_input_device,
    list_input_devices,
    record,
)
from stream_audio._native.capture import Capture
from stream_audio._native.pulse import PulseConnection
from stream_audio.waiting.clock import MonotonicClock
from support import servers
from support.alsa import SYSTEM_CONFIG, alsa_config, pulse_pcm

RATE = 48_000
USB, ROOM = 0.25, -0.5
SECONDS = 20.0  # that anything may take at most

SERVERS = {"PulseAudio": servers.PulseAudio, "PipeWire": servers.PipeWire}
both = pytest.mark.parametrize("server", list(SERVERS), indirect=True)
both_at_length = pytest.mark.parametrize(
    "server", ["PulseAudio", pytest.param("PipeWire", marks=pytest.mark.long)], indirect=True
)


@pytest.fixture(scope="module")
def server(request) -> Iterator[servers.PulseAudio]:
    if os.environ.get("STREAM_AUDIO_SERVERS") == "off":
        pytest.skip("STREAM_AUDIO_SERVERS=off")
    with SERVERS[request.param](sinks=("speakers",)) as running:
        yield running


@pytest.fixture
def usb(server) -> Iterator[str]:
    """The module number of "usb", which plays; "room" is there too, plays, and is the default."""
    usb, room = server.load_sink("usb"), server.load_sink("room")
    server.ask("set-default-source", "room.monitor")
    with server.play_constants("usb", [USB] * 2), server.play_constants("room", [ROOM] * 2):
        yield usb
    for module in (usb, room):
        with suppress(subprocess.CalledProcessError):  # the test may have taken it away
            server.unload(module)


class Session:
    """One that records a source, and remembers what it is told."""

    def __init__(self, source, format=FormatPreset.NATIVE) -> None:
        self.channel = ChannelSink()
        self.events = []
        self._told = threading.Condition()
        self.chunks = []
        builder = StreamAudio.builder().add_source("mic", source).format(format)
        self.session = builder.add_sink(self.channel).on_event(self._tell).start()

    def _tell(self, event) -> None:
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def wait_for(self, kind):
        """Return the first event of the kind."""
        with self._told:
            assert self._told.wait_for(lambda: self.those(kind), SECONDS), self.events
        return self.those(kind)[0]

    def those(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def take(self, seconds: float) -> None:
        """Read so much more that is no silence: a player may take its time to begin."""
        heard = 0
        while heard < seconds * RATE:
            self.chunks.append(self.channel.get(timeout=SECONDS))
            heard += np.count_nonzero(self.chunks[-1].data[:, 0])

    def rest(self):
        """Stop, and return the report of the source."""
        self.session.stop()
        self.chunks += list(self.channel)
        report = self.session.report()
        assert report.balanced
        return report.sources["mic"]

    @property
    def samples(self):
        return np.concatenate([chunk.data for chunk in self.chunks])

    @property
    def last_sound(self):
        """The last frame that is no silence."""
        return self.samples[np.any(self.samples, axis=1)][-1]


@contextmanager
def recording(source, format=FormatPreset.NATIVE):
    running = Session(source, format)
    try:
        yield running
    finally:
        running.session.stop()


def assert_only_usb(samples) -> None:
    """Each frame is what "usb" plays, or silence while its player is late."""
    assert {USB} <= set(np.unique(samples.round(6))) <= {0.0, USB}


@both
def test_an_unplugged_source_is_lost_and_no_other_is_recorded(server, usb):
    with recording(AudioSource.device("usb.monitor")) as running:
        running.take(0.5)
        server.unload(usb)
        lost = running.wait_for(SourceLost)
        report = running.rest()
    assert lost.reason == report.error
    assert report.error.endswith("is gone: Entity killed")
    assert not report.gaps
    assert_only_usb(running.samples)


@both_at_length
def test_the_server_cannot_be_told_to_move_the_stream(server, usb):
    with recording(AudioSource.device("usb.monitor")) as running:
        running.take(0.3)
        for line in server.ask("list", "short", "source-outputs").splitlines():
            with pytest.raises(subprocess.CalledProcessError):
                server.ask("move-source-output", line.split()[0], "room.monitor")
        running.take(0.5)
        report = running.rest()
    assert not report.error
    assert_only_usb(running.samples)


@both_at_length
def test_the_default_that_was_found_stays_when_another_becomes_it(server, usb):
    server.ask("set-default-source", "usb.monitor")
    with recording(AudioSource.default_device()) as running:
        running.take(0.3)
        server.ask("set-default-source", "room.monitor")
        changed = running.wait_for(DefaultChanged)
        running.take(0.5)
        report = running.rest()
    assert (changed.old, changed.new) == ("pulse:usb.monitor", "pulse:room.monitor")
    assert not report.error
    named = next(each for each in list_input_devices() if each.id == "pulse:usb.monitor")
    assert report.device == f"{named.name}, {named.host_api}"
    assert_only_usb(running.samples)


@pytest.mark.long
@both
def test_another_default_means_nothing_to_a_source_that_was_named(server, usb):
    server.ask("set-default-source", "usb.monitor")
    with recording(AudioSource.device("usb.monitor")) as running:
        running.take(0.2)
        server.ask("set-default-source", "room.monitor")
        running.take(1.5)  # looks at the role take place every 0.6 s
        running.rest()
    assert not running.those(DefaultChanged)


@pytest.mark.parametrize("server", ["PulseAudio"], indirect=True)
def test_while_a_source_is_suspended_a_gap_is_counted_and_told(server, usb):
    # No monitor, of which the silence would be that of an output that sleeps.
    desk = server.ask(
        "load-module", "module-remap-source", "source_name=desk", "master=usb.monitor"
    ).strip()
    try:
        with recording(AudioSource.device("desk")) as running:
            running.take(0.6)
            server.ask("suspend-source", "desk", "1")
            running.wait_for(SourceSuspended)
            server.ask("suspend-source", "desk", "0")
            running.wait_for(SourceResumed)
            running.take(1.0)
            report = running.rest()
    finally:
        server.unload(desk)
    assert GapCause.SUSPENDED in [gap.cause for gap in report.gaps]
    # What is missing is as long as it took: frames go on where the clock says.
    first, last = running.chunks[2], running.chunks[-1]
    elapsed = last.time - first.time
    assert (last.frame - first.frame) / RATE == pytest.approx(elapsed, abs=0.03)


@both_at_length
def test_the_end_of_the_server_is_the_end_of_the_source(server, usb):
    with recording(AudioSource.device("usb.monitor")) as running:
        running.take(0.3)
        server.kill()
        lost = running.wait_for(SourceLost)
        report = running.rest()
    server.restart()
    assert "Connection terminated" in lost.reason
    assert report.error == lost.reason


@both
def test_an_unknown_source_is_an_error_and_never_the_default(server, usb):
    with pytest.raises(DeviceNotFoundError, match="no input device is called 'usb-2"):
        record(duration=0.1, source=AudioSource.device("usb-2.monitor"))
    # One that goes between its listing and its opening.
    connection = PulseConnection()
    source = next(each for each in connection.sources if each.name == "usb.monitor")
    server.unload(usb)
    capture = Capture(MonotonicClock().native, RATE, 2, RATE, 480)
    with pytest.raises(DeviceNotFoundError, match=r"\(usb.monitor\) is gone"):
        connection.open_stream(source, capture, sample_rate=RATE, fragment=480)
    capture.close()
    connection.release()


AUX = ",".join(f"aux{number}" for number in range(6))
PROPORTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@pytest.fixture
def six(server) -> Iterator[None]:
    """A sink "six" of six aux channels, each of which plays a constant of its own."""
    module = server.load_sink("six", f"channel_map={AUX}", channels=6)
    with server.play_constants("six", PROPORTIONS, channel_map=AUX):
        yield
    server.unload(module)


@both_at_length
def test_six_aux_channels_come_as_they_are_by_number(server, six):
    def heard(channels=None, format=FormatPreset.NATIVE):
        source = AudioSource.device("six.monitor", channels=channels)
        with recording(source, format) as running:
            running.take(0.01)
        return running.last_sound.round(4).tolist()

    assert heard() == pytest.approx(PROPORTIONS)
    assert heard(channels=[4]) == pytest.approx(PROPORTIONS[4:5])
    assert heard(channels=2) == pytest.approx(PROPORTIONS[:2])
    assert heard(format=AudioFormat(channels=[5, 0])) == pytest.approx([0.6, 0.1])
    six = next(each for each in list_input_devices() if each.id == "pulse:six.monitor")
    assert (six.channels, six.channel_map) == (6, tuple(AUX.split(",")))


@pytest.mark.parametrize("server", ["PulseAudio"], indirect=True)
def test_alsa_s_way_to_a_source_is_exact_or_refused_with_the_way_round(server, six):
    """ALSA's plug-in has the server mix by a map of its own: six aux channels came as silence."""
    pcms = pulse_pcm("alsa_six", "six.monitor") + pulse_pcm("alsa_two", "speakers.monitor")
    with alsa_config(SYSTEM_CONFIG + pcms):
        names = [device.name for device in list_input_devices()]
        assert not {"alsa_six", "alsa_two"} & set(names)  # other ways to what is listed already
        with pytest.raises(DeviceFormatError, match="mixes its 6 channels") as caught:
            record(duration=0.1, source=AudioSource.device("alsa_six"))
        assert "AudioSource.device('pulse:six.monitor')" in caught.value.hint
        heard = record(duration=0.1, source=AudioSource.device("alsa_two", channels=[1]))
        assert heard.shape[1] == 1


@both_at_length
def test_each_source_is_listed_once_with_what_its_server_says(server, usb, monkeypatch):
    listed = [each for each in list_input_devices() if each.id.startswith("pulse:")]
    names = {"pulse:speakers.monitor", "pulse:usb.monitor", "pulse:room.monitor"}
    assert {each.id for each in listed} == names
    assert len(listed) == len(names)
    room = next(each for each in listed if each.id == "pulse:room.monitor")
    assert room.is_default
    assert room.is_monitor
    assert (room.channels, room.sample_rate) == (2, RATE)
    assert room.channel_map == ("front-left", "front-right")
    assert room == default_input_device()
    assert [each for each in list_input_devices() if each.is_default] == [room]
    # What PulseAudio gives one description is told apart by the ids.
    with pytest.raises(AmbiguousDeviceError, match=r"3 input devices fit .*usb.*; .*room"):
        record(duration=0.1, source=AudioSource.device("monitor of"))
    monkeypatch.setenv("STREAM_AUDIO_DEVICE", "usb.monitor")
    assert default_input_device().id == "pulse:usb.monitor"
    assert [each.id for each in list_input_devices() if each.is_default] == ["pulse:usb.monitor"]


@both_at_length
def test_the_environment_names_the_default_and_never_another_device(server, usb, monkeypatch):
    monkeypatch.setenv("STREAM_AUDIO_DEVICE", "usb.monitor")
    for source, value in (
        (AudioSource.default_device(), USB),
        (AudioSource.device("room.monitor"), ROOM),
    ):
        with recording(source) as running:
            running.take(0.01)
        assert running.last_sound.tolist() == [value, value]
    monkeypatch.setenv("STREAM_AUDIO_DEVICE", "usb-2.monitor")
    with pytest.raises(DeviceNotFoundError, match="STREAM_AUDIO_DEVICE names no device"):
        record(duration=0.1, source=AudioSource.default_device())


@both_at_length
def test_the_server_grants_the_period_that_is_asked_for(server, usb):
    connection = PulseConnection()
    source = next(each for each in connection.sources if each.name == "usb.monitor")
    for period in (256, 1024):
        capture = Capture(MonotonicClock().native, RATE, 2, RATE, period)
        stream = connection.open_stream(source, capture, sample_rate=RATE, fragment=period)
        assert stream.fragment == period
        stream.close()
        capture.close()
    connection.release()


@both_at_length
def test_the_plug_in_of_alsa_that_is_a_role_is_held_on_to_as_well(server, usb):
    server.ask("set-default-source", "usb.monitor")
    with recording(AudioSource.device("pulse")) as running:
        running.take(0.2)
        server.unload(usb)
        assert "Entity killed" in running.wait_for(SourceLost).reason
        running.rest()
    assert_only_usb(running.samples)


@both_at_length
def test_an_unknown_source_in_the_environment_is_an_error_too(server, usb, monkeypatch):
    monkeypatch.setenv("PULSE_SOURCE", "usb.monitor")
    assert default_input_device().id == "pulse:usb.monitor"
    monkeypatch.setenv("PULSE_SOURCE", "usb-2.monitor")
    for source in (AudioSource.default_device(), AudioSource.device("pulse")):
        with pytest.raises(DeviceNotFoundError, match=r"PULSE_SOURCE names no source: 'usb-2"):
            record(duration=0.1, source=source)


@both
def test_a_pcm_that_leads_to_an_unknown_source_is_an_error_too(server, usb):
    """PipeWire would record the default."""
    words = r"which PipeWire does not have|cannot open 'gone'"
    with (
        alsa_config(SYSTEM_CONFIG + pulse_pcm("gone", "usb-2.monitor")),
        pytest.raises(DeviceError, match=words),
    ):
        record(duration=0.1, source=AudioSource.device("gone"))


LIST = "import stream_audio; print(len(stream_audio.list_input_devices()))"


@pytest.mark.parametrize("server", ["PulseAudio"], indirect=True)
def test_what_ails_libpulse_does_not_reach_the_terminal(server, tmp_path):
    (tmp_path / "client.conf").write_text("nonsense\n")
    changes = {"PULSE_CLIENTCONFIG": os.fspath(tmp_path / "client.conf")}
    complaint = subprocess.run(["pactl", "info"], env=os.environ | changes, capture_output=True)
    assert b"client.conf" in complaint.stderr  # what the C library prints by itself
    listed = subprocess.run(
        [sys.executable, "-c", LIST],
        env=os.environ | changes | {"JACK_NO_START_SERVER": "1"},
        capture_output=True,
        text=True,
    )
    assert (listed.returncode, listed.stderr) == (0, "")
    assert int(listed.stdout) > 0


def test_without_a_server_none_is_started(tmp_path, monkeypatch):
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    monkeypatch.setenv("PULSE_COOKIE", os.fspath(tmp_path / "cookie"))
    assert not [each for each in list_input_devices() if each.id.startswith("pulse:")]


ANY_WAY_TO_PULSE = (
    SYSTEM_CONFIG
    + """
pcm.direct { type pulse hint { show on description "itself" } }
pcm.behind { type plug slave.pcm "direct" hint { show on description "behind another" } }
pcm.within { type plug slave.pcm { type pulse } hint { show on description "within" } }
pcm.quiet { type null hint { show on description "a device that nobody may hide" } }
"""
)


@pytest.mark.parametrize("server", ["PulseAudio"], indirect=True)
def test_a_frozen_server_hides_nothing_and_is_named(server, caplog):
    with alsa_config(ANY_WAY_TO_PULSE):
        before = {each.name for each in list_input_devices()}
        server.freeze()
        try:
            for seconds in (3.0, 2.0):
                asked = time.monotonic()
                names = {each.name for each in list_input_devices()}
                assert time.monotonic() - asked < seconds
                assert names & {"quiet", "direct", "behind", "within"} == {"quiet"}
                assert "PulseAudio (or PipeWire) does not answer" in caplog.text
        finally:
            server.thaw()
        assert {each.name for each in list_input_devices()} == before >= {"quiet"}
