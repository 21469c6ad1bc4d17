"""What the next session uses again of real servers, and what becomes of it when they go."""

import os

import pytest

from stream_audio import AudioSource, ChannelSink, FormatPreset, SessionReport, StreamAudio
from stream_audio._native import warm
from stream_audio._native.jack import JackClient
from support import servers

GIVE_UP = 30.0


def record(source: object) -> SessionReport:
    channel = ChannelSink()
    builder = StreamAudio.builder().add_source("mic", source)  # type: ignore[arg-type]
    with builder.format(FormatPreset.NATIVE).add_sink(channel).start() as session:
        assert channel.get(timeout=GIVE_UP) is not None
    report = session.report()
    assert report.balanced
    assert report.sources["mic"].position > 0
    return report


def connections(pulse: servers.PulseAudio) -> list[str]:
    """Return what the server tells of clients that are not the one that asks."""
    listed = pulse.ask("list", "short", "clients").splitlines()
    return [line for line in listed if not line.endswith("pactl")]


def threads() -> int:
    """Return how many the process has, those of libraries too."""
    return len(os.listdir("/proc/self/task"))


def test_a_jack_client_is_used_again_and_goes_with_its_server(
    jack: servers.Jack, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm.let_go()
    opened: list[str] = []
    begin = JackClient.__init__

    def begin_told(client: JackClient, name: str) -> None:
        opened.append(name)
        begin(client, name)

    monkeypatch.setattr(JackClient, "__init__", begin_told)
    before = threads()
    with servers.JackCounter():
        source = AudioSource.device("counter", on_lost="stop")
        for _ in range(3):
            record(source)
        assert opened.count("stream-audio") == 1
        kept = 2  # PortAudio's control thread, and the one that will let go of it
        assert threads() > before + kept
        jack.kill()
    servers.wait_until(lambda: threads() <= before + kept, "no client outlives its server")
    jack.restart()
    with servers.JackCounter():
        record(source)
    assert opened.count("stream-audio") == 2


def test_a_client_whose_ports_others_connect_to_gives_its_name_back(jack: servers.Jack) -> None:
    record(AudioSource.jack(channels=1, client_name="desk"))
    client = JackClient("desk")
    assert client.name == "desk"
    client.close()


def test_a_pulse_connection_is_used_again_and_finds_the_default_anew(
    pulse: servers.PulseAudio,
) -> None:
    warm.let_go()
    pulse.ask("set-default-source", "speakers.monitor")
    others = connections(pulse)
    report = record(AudioSource.default_device(on_lost="stop"))
    assert "Null Output" in report.sources["mic"].device
    kept = connections(pulse)
    assert len(kept) == len(others) + 1
    pulse.load_sink("room", "sink_properties=device.description=Room")
    pulse.ask("set-default-source", "room.monitor")
    report = record(AudioSource.default_device(on_lost="stop"))
    assert "Room" in report.sources["mic"].device
    assert connections(pulse) == kept
    warm.let_go()
    servers.wait_until(lambda: connections(pulse) == others, "it is let go")
    record(AudioSource.default_device(on_lost="stop"))
    pulse.restart()
    record(AudioSource.default_device(on_lost="stop"))
