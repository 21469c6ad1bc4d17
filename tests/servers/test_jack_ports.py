"""JACK: the client that is named and no other, as long as it is there."""

import subprocess
import threading
import time

import numpy as np
import pytest

from stream_audio import (
    AudioChunk,
    AudioSource,
    BackendError,
    Backlog,
    ChannelSink,
    DeviceNotFoundError,
    FormatPreset,
    HostUnresponsiveError,
    Session,
    SourceLost,
    StreamAudio,
    StreamEvent,
    list_input_devices,
)
from stream_audio._native import jack as native
from stream_audio.contracts.source import Source
from stream_audio.devices import list as devices_list
from support import servers

GIVE_UP = 20.0
JACK = "JACK Audio Connection Kit"
AWKWARD = ["Mic (USB)", "a+b", "x[1]", "dot.", "star*", "mic", "usb-mic", "c", "^c$"]


def start(source: Source, events: list[StreamEvent] | None = None) -> tuple[Session, ChannelSink]:
    channel = ChannelSink(backlog=Backlog(2**28))
    builder = StreamAudio.builder().add_source("mic", source).format(FormatPreset.NATIVE)
    if events is not None:
        builder.on_event(events.append)
    return builder.add_sink(channel).start(), channel


def samples(chunks: list[AudioChunk]) -> np.ndarray:
    return np.concatenate([chunk.data[:, 0] for chunk in chunks])


def port_connections(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True, timeout=GIVE_UP)


def test_the_client_that_is_named_is_recorded_and_no_other(jack: servers.Jack) -> None:
    """One name is a part of another's, and a regular expression, or the end of it."""
    for index, name in enumerate(AWKWARD):
        others = [other for other in AWKWARD if other != name]
        with servers.JackCounter(name, 1):
            beside = [servers.JackCounter(other, 2, negative=True) for other in others[index:][:3]]
            try:
                for each in beside:
                    each.start()
                listed = {device.name: device for device in list_input_devices()}
                assert listed[name].channels == 1
                assert listed[name].channel_map == ("out_1",)
                session, channel = start(AudioSource.device(f"{name}, {JACK}"))
                with session:
                    chunks = [channel.get(timeout=GIVE_UP) for _ in range(2)]
            finally:
                for each in beside:
                    each.stop()
        assert all((chunk.data > 0).all() for chunk in chunks), name
        assert chunks[0].data.shape[1] == 1


def test_a_client_that_ends_is_lost_and_no_silence_is_recorded(
    jack: servers.Jack,
) -> None:
    events: list[StreamEvent] = []
    with servers.JackCounter("desk") as desk:
        session, channel = start(AudioSource.device("desk", on_lost="stop"), events)
        channel.get(timeout=GIVE_UP)
        desk.stop()
        assert session.wait(GIVE_UP)
    report = session.stop()
    assert report.balanced
    assert "the port desk:out_1 is gone" in report.sources["mic"].error
    assert [event.source for event in events if isinstance(event, SourceLost)] == ["mic"]
    assert (samples(list(channel)) > 0).all()


def test_a_connection_of_others_to_our_port_is_a_gap_and_taken_away(jack: servers.Jack) -> None:
    with servers.JackCounter("desk", 1), servers.JackCounter("other", 1, negative=True):
        session, channel = start(AudioSource.device("desk"))
        with session:
            chunks = [channel.get(timeout=GIVE_UP)]
            port_connections("jack_connect", "other:out_1", "stream-audio:in_1")
            while not any(chunk.gaps for chunk in chunks):
                chunks.append(channel.get(timeout=GIVE_UP))
            report = session.stop()
    chunks += list(channel)
    assert report.balanced
    assert not report.sources["mic"].error
    assert (samples(chunks) > 0).all()


def test_a_connection_that_is_taken_away_is_a_loss_of_the_source(jack: servers.Jack) -> None:
    events: list[StreamEvent] = []
    with servers.JackCounter("desk", 1), servers.JackCounter("other", 1, negative=True):
        session, channel = start(AudioSource.device("desk", on_lost="stop"), events)
        channel.get(timeout=GIVE_UP)
        port_connections("jack_disconnect", "desk:out_1", "stream-audio:in_1")
        assert session.wait(GIVE_UP)
        report = session.stop()
    assert "the port desk:out_1 was disconnected" in report.sources["mic"].error
    assert [event.source for event in events if isinstance(event, SourceLost)] == ["mic"]
    assert (samples(list(channel)) > 0).all()


def test_a_client_s_name_and_no_connection_can_be_asked_for(jack: servers.Jack) -> None:
    with servers.JackCounter("desk", 1):
        session, channel = start(AudioSource.jack(client_name="podcast", channels=1))
        with session:
            assert (channel.get(timeout=GIVE_UP).data == 0).all()  # nobody has connected it
            port_connections("jack_connect", "desk:out_1", "podcast:in_1")
            until = time.monotonic() + GIVE_UP
            while (channel.get(timeout=GIVE_UP).data == 0).any():
                assert time.monotonic() < until
        session, channel = start(AudioSource.jack("desk", client_name="named"))
        with session:
            assert (channel.get(timeout=GIVE_UP).data > 0).all()
            port_connections("jack_disconnect", "desk:out_1", "named:in_1")
        with pytest.raises(DeviceNotFoundError, match="no JACK device is called 'mic'"):
            start(AudioSource.jack("mic"))


def test_without_a_server_jack_says_so(servers_wanted: None) -> None:
    nowhere = {"JACK_DEFAULT_SERVER": "stream-audio-none", "JACK_NO_START_SERVER": "1"}
    with servers.environment(nowhere), pytest.raises(BackendError, match="no JACK server runs"):
        start(AudioSource.jack(channels=1))


def test_listing_opens_nothing_beside_a_stream(
    jack_counter: servers.JackCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that opens costs the others xruns, and so does the work of listing ALSA's PCMs."""
    with servers.alsa_config(servers.ALSA_NULL):
        session, _ = start(AudioSource.device("counter"))
        with session:
            opened: list[object] = []
            monkeypatch.setattr(native.JackClient, "__init__", lambda *_: opened.append("client"))
            monkeypatch.setattr(
                devices_list, "Generation", lambda **how: opened.append("PortAudio")
            )
            for _ in range(20):
                names = {device.name for device in list_input_devices()}
                assert {"counter", servers.ALSA_NULL_DEVICE} <= names
    assert opened == []


@pytest.mark.long
def test_twenty_listings_beside_a_stream_cost_no_xrun(servers_wanted: None) -> None:
    with servers.Jack(period=1024), servers.JackCounter() as counter:
        session, _ = start(AudioSource.device("counter"))
        with session:
            time.sleep(1.0)  # until what the start cost is over
            before = counter.told()
            for _ in range(20):
                list_input_devices()
                time.sleep(0.05)
            assert counter.told() == before


def test_a_frozen_server_hides_nothing_and_is_named(
    jack: servers.Jack, caplog: pytest.LogCaptureFixture
) -> None:
    with servers.alsa_config(servers.ALSA_NULL):
        assert "system" in {device.name for device in list_input_devices()}
        stalled = threading.Thread(target=jack.stall, args=(3.0,))
        stalled.start()
        time.sleep(0.1)
        asked = time.monotonic()
        names = {device.name for device in list_input_devices()}
        assert time.monotonic() - asked < 2
        assert servers.ALSA_NULL_DEVICE in names
        assert "JACK does not answer" in caplog.text
        with pytest.raises(HostUnresponsiveError, match="JACK does not answer"):
            start(AudioSource.jack("system"))
        stalled.join()
        assert "system" in {device.name for device in list_input_devices()}
