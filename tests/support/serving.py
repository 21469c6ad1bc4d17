"""A session that records noise, and its page."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from stream_audio import AudioSource, FileSink, FormatPreset, StreamAudio
from stream_audio.cli.web.server import WebServer

GIVE_UP = 30.0
RATE = 48_000


class Running:
    """A session that records what is fed to it, and its page."""

    def __init__(self, path: Path, token: str | None, channels: int = 2) -> None:
        self.path = path
        self.server = WebServer("127.0.0.1", 0, token)
        self._query = f"token={token}" if token else ""
        self.page = f"{self.server.url}?{self._query}"
        self.feed = AudioSource.feed(RATE, channels=channels, when_full="block")
        builder = StreamAudio.builder().format(FormatPreset.NATIVE).on_event(self.server.react)
        builder.add_source("mic", self.feed).add_sink(FileSink(path), name="a.wav")
        self.server.add_to(builder)
        self.session = builder.start()
        self.random = np.random.default_rng(30)
        self.samples = np.empty((0, channels), np.int16)

    def hear(self, frames: int, highest: int = 8000) -> None:
        """Hear some noise, a tenth of a second after another."""
        channels = self.samples.shape[1]
        more = self.random.integers(-highest, highest, (frames, channels)).astype(np.int16)
        self.samples = np.concatenate([self.samples, more])
        for at in range(0, frames, RATE // 10):
            self.feed.write((more[at : at + RATE // 10] / 32768).astype(np.float32))

    def url(self, path: str) -> str:
        """Return the address of one of its WebSockets."""
        name, _, query = path.partition("?")
        both = "&".join(filter(None, (query, self._query)))
        return f"ws://127.0.0.1:{self.server.port}{name}?{both}"

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=GIVE_UP)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()


@contextmanager
def running(path: Path, token: str | None = None, **settings: int) -> Iterator[Running]:
    """Record to a file until the end of the block; the report balances."""
    one = Running(path, token, **settings)
    try:
        with one.server.of(one.session), one.session:
            yield one
            one.feed.close()
            assert one.session.wait(GIVE_UP)
    finally:
        one.server.close()
    assert one.session.report().balanced
