"""A NATS server with JetStream, which keeps its streams on disk."""

import asyncio
import socket

import nats
from support.processes import Server


class Nats(Server):
    """A server on one port for good; `create` makes the stream that the sinks feed.

    Parameters
    ----------
    settings
        Lines of its configuration.
    """

    program = "nats-server"
    package = "nats-server"

    def __init__(self, settings: str = "") -> None:
        super().__init__()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._settings = settings

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    def create(self, url: str | None = None, **settings: object) -> None:
        """Make the stream AUDIO."""

        async def make() -> None:
            client = await nats.connect(url or self.url)
            stream = client.jetstream()
            await stream.add_stream(name="AUDIO", subjects=["audio.>"], **settings)
            await client.close()

        asyncio.run(make())

    def _prepare(self) -> None:
        (self.folder / "conf").write_text(
            f"listen: 127.0.0.1:{self.port}\n"
            f'jetstream {{ store_dir: "{self.folder}" }}\n{self._settings}'
        )

    def _command(self) -> list[str]:
        return [self.program, "-c", str(self.folder / "conf")]

    def _client_environment(self) -> dict[str, str | None]:
        return {}

    def _answers(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0
