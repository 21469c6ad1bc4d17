"""Sound servers as fixtures, one of its own for each test; what they do is in `support.servers`.

A server that is not installed fails the test. Only STREAM_AUDIO_SERVERS=off, set by hand, skips.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_audio._native.jack import JackClient
from support import servers

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.servers)


@pytest.fixture(autouse=True)
def jack_clients_open_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours are called the same in every process, and libjack calls their sockets so."""
    begin = JackClient.__init__

    def begin_alone(client: JackClient, name: str) -> None:
        with servers.one_at_a_time():
            begin(client, name)

    monkeypatch.setattr(JackClient, "__init__", begin_alone)


@pytest.fixture
def servers_wanted() -> None:
    if os.environ.get("STREAM_AUDIO_SERVERS") == "off":
        pytest.skip("STREAM_AUDIO_SERVERS=off")


@pytest.fixture
def jack(servers_wanted: None) -> Iterator[servers.Jack]:
    """A JACK server, 48 kHz, periods of 256 frames."""
    with servers.Jack() as server:
        yield server


@pytest.fixture
def jack_counter(jack: servers.Jack) -> Iterator[servers.JackCounter]:
    """A client of `jack` that plays the frame count: PortAudio's input device "counter"."""
    with servers.JackCounter() as counter:
        yield counter


@pytest.fixture
def pulse(servers_wanted: None) -> Iterator[servers.PulseAudio]:
    """A PulseAudio daemon: PortAudio's input device "speakers_monitor"."""
    with servers.PulseAudio() as server:
        yield server


@pytest.fixture
def alsa_null(servers_wanted: None) -> Iterator[str]:
    """The name of an ALSA device that captures silence as fast as the callback returns."""
    with servers.alsa_config(servers.ALSA_NULL):
        yield servers.ALSA_NULL_DEVICE
