"""A sink that feeds a durable stream of NATS JetStream."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from stream_audio._checks import name_text, one_of
from stream_audio._public import public
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import SampleType
from stream_audio.backlog.retry import Retry
from stream_audio.contracts.sink import SinkInfo
from stream_audio.errors import ConfigTypeError, SinkError
from stream_audio.network.network_sink import RETRY, NetworkSink

if TYPE_CHECKING:
    import asyncio
    import os
    import ssl

    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from stream_audio.network.nats_link import NatsServers

ACK = 10.0
"""Seconds after which a message that was not acknowledged is sent again."""

WINDOW = 256
"""Messages that may be on their way: at 100 ms a chunk, 25 s of one source."""

NatsEncoding = Literal["pcm16", "pcm24", "float32", "flac", "opus"]


@public
class NatsSink(NetworkSink):
    """A sink that feeds an existing stream of NATS JetStream, for many readers and machines.

    It needs ``pip install stream-audio[nats]``. A chunk is a message, cut where the server takes
    no longer ones, with its place, time, format and gaps in headers; ``docs/fleet.md`` has them.
    The subject is ``SUBJECT.SESSION.SOURCE``. A frame is delivered when the stream has
    acknowledged it. Until then it waits in the session's backlog, on disk if need be, and is sent
    again after a failure, in order. :class:`stream_audio.nats.Reader` yields the same chunks
    elsewhere, each frame once.

    Parameters
    ----------
    servers : str or sequence of str
        ``nats://host:4222`` or ``tls://host:4222``; several for a cluster. Errors, events and the
        representation show scheme, host and port alone.
    subject : str
        What the subjects begin with; a stream has to take ``SUBJECT.>``.
    session : str, optional
        Names this recording; ``None``: date, time and chance, in :attr:`session`.
    encode : "pcm16", "pcm24", "float32", "flac" or "opus"
        The payload. FLAC is of 16 bits, Opus is lossy.
    user, password, token : str, optional
        Credentials; they may stand in the URL instead.
    credentials : str or os.PathLike, optional
        A file of credentials, as ``nsc`` writes it; it needs the package ``nkeys``.
    tls : ssl.SSLContext, optional
        For an authority of your own; by default ``tls://`` servers are verified as browsers do.
    plain_text : bool
        Whether credentials may cross a network without encryption.
    retry : Retry
        When to connect again: at the latest every 5 s, for as long as it takes.

    Raises
    ------
    ConfigError, ConfigTypeError
        A setting that cannot work, or ``nats-py`` is not installed.
    """

    def __init__(
        self,
        servers: str | Sequence[str] = "nats://localhost:4222",
        *,
        subject: str = "audio",
        session: str | None = None,
        encode: NatsEncoding = "pcm16",
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        credentials: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        plain_text: bool = False,
        retry: Retry = RETRY,
    ) -> None:
        from stream_audio.network import wire
        from stream_audio.network.nats_link import NatsServers, check_subject

        self._servers: NatsServers = NatsServers(
            servers,
            user=user,
            password=password,
            token=token,
            credentials=credentials,
            tls=tls,
            plain_text=plain_text,
        )
        self._subject = check_subject(subject)
        self._encode = one_of("encode", encode, tuple(wire.ENCODINGS))
        if not isinstance(retry, Retry):
            raise ConfigTypeError(f"retry must be a Retry, not {retry!r}")
        super().__init__(self._servers.endpoints[0], confirms=True, retry=retry)
        self.session = _new_name() if session is None else name_text("session", session)
        """Names this recording in subjects and headers."""
        self._dtype: SampleType = wire.ENCODINGS[self._encode]
        self._client: Client | None = None
        self._attempt: object = None
        self._stream: JetStreamContext | None = None
        self._most_bytes = 0
        self._found_stream = False
        self._window: asyncio.Semaphore | None = None
        self._sent: dict[
            str, deque[list[Any]]
        ] = {}  # of each source: ends, and whether it is there
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: dict[str, int] = {}

    @property
    def preferred_dtype(self) -> SampleType:
        """Type of the samples that are sent."""
        return self._dtype

    def start(self, info: SinkInfo) -> None:
        """Check that the format holds the sources; called by the session."""
        from stream_audio.network import wire

        for source in info.sources:
            wire.check_encoding(self._encode, source.sample_rate, source.channels)
        super().start(info)

    # ---- on the loop ----

    async def open(self) -> None:
        """Connect, and find the stream."""
        import asyncio

        from nats.js.errors import NotFoundError

        self.let_go()
        attempt = self._attempt = object()

        def lost(error: Exception) -> None:
            if self._attempt is attempt:
                self.lost(self.describe(error))

        client = await self._servers.connect(lost)
        self._client = client
        stream = client.jetstream(timeout=ACK)
        try:
            name = await stream.find_stream_name_by_subject(f"{self._subject}.any.any")
            config = (await stream.stream_info(name)).config
        except NotFoundError as error:
            if self._found_stream:  # a cluster that is coming up does not know all of it yet
                raise ConnectionError("no stream answers") from error
            raise
        self._found_stream = True
        self._most_bytes = client.max_payload
        if config.max_msg_size and config.max_msg_size > 0:
            self._most_bytes = min(self._most_bytes, config.max_msg_size)
        self._window = asyncio.Semaphore(WINDOW)
        self._sent = {}
        self._stream = stream

    def let_go(self) -> None:
        """Drop the connection."""
        client, self._client, self._stream, self._attempt = self._client, None, None, None
        for task in tuple(self._tasks):
            task.cancel()
        if client is not None:
            from stream_audio.network.nats_link import drop

            drop(client)

    def is_up(self) -> bool:
        """Whether the connection is open."""
        return self._client is not None and self._client.is_connected

    async def transmit(self, chunk: AudioChunk, prepared: None) -> None:
        """Send a chunk; its acknowledgement comes later."""
        import asyncio

        from stream_audio.network import wire

        most = wire.frames_in(self._most_bytes, self._encode, chunk.channels)
        subject = f"{self._subject}.{wire.token(self.session)}.{wire.token(chunk.source)}"
        for piece in wire.pieces(chunk, most):
            payload = wire.encode_samples(piece, self._encode)
            headers = wire.headers_of(piece, self.session, self._encode, self.info.epoch)
            session, source = wire.token(self.session), wire.token(chunk.source)
            headers["Nats-Msg-Id"] = f"{session}.{source}.{piece.frame}-{piece.end}"
            stream, window = self._stream, self._window
            if stream is None or window is None:
                raise ConnectionError("there is no connection")
            await window.acquire()
            entry = [piece.end, False]
            self._sent.setdefault(chunk.source, deque()).append(entry)
            publish = partial(stream.publish, subject, payload, timeout=ACK, headers=headers)
            task = asyncio.create_task(self._publish(publish, chunk.source, entry))
            self._tasks.add(task)
            task.add_done_callback(partial(self._is_done, window))
            await asyncio.sleep(0)  # it goes out before the next one
        self._ends[chunk.source] = chunk.end

    def _is_done(self, window: asyncio.Semaphore, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        window.release()

    async def _publish(
        self, publish: Callable[[], Awaitable[object]], source: str, entry: list[Any]
    ) -> None:
        stream = self._stream
        try:
            await publish()
        except Exception as error:
            if self._stream is not stream:
                return
            described = self.describe(error)
            if not described.retryable:
                self._final = self._final or described
            self.lost(described)
            self.let_go()
            return
        entry[1] = True
        sent, confirmed = self._sent[source], None
        while sent and sent[0][1]:  # all up to here, though a later one may be there already
            confirmed = sent.popleft()[0]
        if confirmed is not None:
            self.confirm(source, confirmed)

    async def finish(self, seconds: float) -> None:
        """Say where each source has ended, and close."""
        import asyncio

        from stream_audio.network import wire

        client, stream = self._client, self._stream
        if client is None or stream is None:
            return
        async with asyncio.timeout(seconds):
            for source, end in self._ends.items():
                session, name = wire.token(self.session), wire.token(source)
                headers = wire.end_headers(self.session, source, end)
                headers["Nats-Msg-Id"] = f"{session}.{name}.end"
                await stream.publish(f"{self._subject}.{session}.{name}", b"", headers=headers)
            await client.drain()

    def describe(self, error: BaseException) -> SinkError:
        """Return an error that says what happened, with none of the secrets in it."""
        return self._servers.describe(error)

    def __repr__(self) -> str:
        return (
            f"NatsSink({self._servers.shown!r}, subject={self._subject!r}, "
            f"session={self.session!r}, encode={self._encode!r})"
        )


def _new_name() -> str:
    """Return a name that no other recording has."""
    import os
    import time

    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + os.urandom(4).hex()
