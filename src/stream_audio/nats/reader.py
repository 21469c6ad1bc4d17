"""Reads the chunks of a stream of NATS JetStream, each frame once."""

from __future__ import annotations

import asyncio
import datetime
import os
import queue
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from stream_audio._checks import name_text, real_number, whole_number
from stream_audio._locks import Latch
from stream_audio._log import log
from stream_audio.audio.chunk import AudioChunk, wall_epoch
from stream_audio.audio.cutting import cut
from stream_audio.backlog.retry import Retry
from stream_audio.errors import ConfigError, SessionStateError, SinkError, StreamAudioError
from stream_audio.nats.sequence import Sequence as Frames
from stream_audio.network import wire
from stream_audio.network.loop_thread import LoopThread
from stream_audio.network.nats_link import NatsServers, check_subject, drop

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

_AT_ONCE = 100
"""Messages that are asked for at a time."""

_LOOK = 1.0
"""Seconds that the server is asked to wait for the next message."""

_MOST_WAITING = 200
"""Chunks that wait for the program; then no more are asked for."""

_Found = tuple[AudioChunk, str, int] | BaseException | None
"""A chunk, its session and the position behind it; an error; or the end."""

_RETRY = Retry(tries=None, longest=5.0, jitter=0.5)


class Reader:
    """The chunks that a :class:`~stream_audio.NatsSink` has fed into a stream, in order.

    Iterate over it, or call :meth:`get`. Each frame comes once, by its number, whatever was stored
    twice. Frames that are missing stand in ``chunk.gaps``: those that were missing when they were
    sent with their own cause, those that the stream does not have with the cause ``not_received``.
    Any number of readers read the same stream; none takes anything out of it. A reader that loses
    its connection goes on where it was.

    Times count by the wall clock of the machine that captured: ``chunk.wall_time`` is as it was,
    and ``chunk.time`` is that on this machine's ``time.monotonic()``.

    Parameters
    ----------
    servers : str or sequence of str
        As for :class:`~stream_audio.NatsSink`.
    subject : str
        What the subjects begin with.
    session : str, optional
        The recording; ``None``: all of them.
    source : str, optional
        The source; ``None``: all of them.
    start : int or mapping, optional
        Begin with this frame of each source; or what :attr:`frames` was.
    since : float, optional
        Begin with what was captured at this time, ``time.time()`` seconds.
    after : int, optional
        Begin after this message of the stream: what :attr:`position` was. With ``start=frames``
        too, nothing comes twice that was stored twice.
    follow : bool
        Whether to go on when all recordings that were seen have ended.
    patience : float
        Seconds, 0 to 3600, to wait for frames that are missing without a reason.
    user, password, token, credentials, tls, plain_text
        As for :class:`~stream_audio.NatsSink`.

    Raises
    ------
    ConfigError, ConfigTypeError
        A setting that cannot work, or ``nats-py`` is not installed.

    Examples
    --------
    >>> from stream_audio.nats import Reader
    >>> with Reader("nats://localhost:4222", session="talk") as reader:  # doctest: +SKIP
    ...     for chunk in reader:
    ...         print(chunk.source, chunk.frame, chunk.frames)
    """

    def __init__(
        self,
        servers: str | Sequence[str] = "nats://localhost:4222",
        *,
        subject: str = "audio",
        session: str | None = None,
        source: str | None = None,
        start: int | Mapping[tuple[str, str], int] | None = None,
        since: float | None = None,
        after: int | None = None,
        follow: bool = False,
        patience: float = 30.0,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        credentials: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        plain_text: bool = False,
    ) -> None:
        self._servers = NatsServers(
            servers,
            user=user,
            password=password,
            token=token,
            credentials=credentials,
            tls=tls,
            plain_text=plain_text,
        )
        parts = [
            "*" if name is None else wire.token(name_text(what, name))
            for what, name in (("session", session), ("source", source))
        ]
        self._subject = ".".join((check_subject(subject), *parts))
        if since is not None and (start is not None or after is not None):
            raise ConfigError("since excludes start and after")
        self._starts = dict(start) if isinstance(start, Mapping) else {}
        self._start: int | None = None
        if start is not None and not isinstance(start, Mapping):
            self._start = whole_number("start", start, 0, 2**62)
        self._since = None if since is None else real_number("since", since, 0, 1e11)
        self.position = 0 if after is None else whole_number("after", after, 0, 2**62)
        """The last message of the stream of which every chunk was handed over."""
        self._follow = bool(follow)
        self._patience = real_number("patience", patience, 0, 3600)
        self._epoch = wall_epoch()
        self.frames: dict[tuple[str, str], int] = dict(self._starts)
        """Of each session and source, the frame after the last that was handed over."""
        self._sequences: dict[tuple[str, str], Frames] = {}
        self._ended: set[tuple[str, str]] = set()
        self._chunks: queue.Queue[tuple[AudioChunk, str, int] | BaseException | None] = (
            queue.Queue()
        )
        self._read_to = self._given_to = self.position
        self._found_stream = False
        self._client: Client | None = None
        self._closed = Latch()
        self._over = False
        self._loop = LoopThread(self._let_go)
        self._follower = threading.Thread(
            target=self._run, name="stream-audio-reader", daemon=True
        )
        self._follower.start()

    # ---- the program's side ----

    def get(self, timeout: float | None = None) -> AudioChunk | None:
        """Return the next chunk; ``None`` when all has ended, or the reader is closed.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; then it raises TimeoutError.

        Raises
        ------
        SinkError
            The stream cannot be read, and another try would not help.
        """
        if self._over:
            return None
        if self._closed.is_set():
            raise SessionStateError("the reader is closed", hint="Make a new one")
        try:
            found = self._chunks.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no chunk within {timeout:g} s") from None
        if isinstance(found, tuple):
            chunk, recording, self.position = found
            self.frames[recording, chunk.source] = chunk.end
            return chunk
        self._over = True
        if found is not None:
            raise found
        return None

    def __iter__(self) -> Iterator[AudioChunk]:
        while (chunk := self.get()) is not None:
            yield chunk

    def close(self) -> None:
        """Read no more; whoever waits in :meth:`get` gets ``None``."""
        if not self._closed.is_set():
            self._closed.set()
            self._loop.close()
            self._follower.join(5.0)
            self._chunks.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Reader of {self._subject!r} at {self._servers.shown}>"

    # ---- the thread that follows ----

    def _run(self) -> None:
        tries = 0
        while not self._closed.is_set():
            before = self._read_to
            try:
                if self._loop.call(self._read_on()):
                    self._chunks.put(None)
                    return
                continue
            except Exception as error:
                described = self._servers.describe(error)
                if isinstance(error, StreamAudioError) and not isinstance(error, SinkError):
                    self._chunks.put(error)  # what stands in the stream
                    return
                if self._closed.is_set():
                    return
                if not described.retryable:
                    self._chunks.put(described)
                    return
            tries = 1 if self._read_to > before else tries + 1
            if tries <= 3:
                log.info("%s: %s", self, described)
            self._closed.wait(_RETRY.wait_before(tries))

    def _let_go(self) -> None:
        client, self._client = self._client, None
        drop(client)

    async def _read_on(self) -> bool:
        """Read from where it was until the connection is lost; True if all has ended."""
        from nats.js.errors import NotFoundError

        try:
            return await self._read_stream()
        except NotFoundError as error:  # or one that restarts does not have it yet
            if self._found_stream:
                raise ConnectionError("the stream does not answer") from error
            raise

    async def _read_stream(self) -> bool:
        from nats.errors import TimeoutError as NatsTimeout
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        self._let_go()
        client = await self._servers.connect(lambda error: None)
        self._client = client
        stream = client.jetstream(timeout=10.0)
        name = await stream.find_stream_name_by_subject(self._subject)
        self._found_stream = True
        config = ConsumerConfig(
            filter_subject=self._subject, ack_policy=AckPolicy.NONE, inactive_threshold=60.0
        )
        if self._read_to:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = self._read_to + 1
        elif self._since is not None:
            # What was captured then was stored later, never before.
            config.deliver_policy = DeliverPolicy.BY_START_TIME
            config.opt_start_time = datetime.datetime.fromtimestamp(self._since, datetime.UTC)
        consumer = await stream.pull_subscribe(self._subject, stream=name, config=config)
        awaited = 1
        while not self._closed.is_set():
            if not client.is_connected:
                raise ConnectionError("the connection was closed")
            try:
                messages = await consumer.fetch(_AT_ONCE, timeout=_LOOK)
            except NatsTimeout:
                if self._all_ended():
                    return True
                await consumer.consumer_info()  # which raises if it is gone
                self._give_overdue(time.time())
                continue
            for message in messages:
                if message.metadata.sequence.consumer != awaited:
                    raise ConnectionError("a message was lost on its way")
                awaited += 1
                self._take(message)
            if messages[-1].metadata.num_pending == 0 and self._all_ended():
                return True
            while self._chunks.qsize() > _MOST_WAITING and not self._closed.is_set():
                await asyncio.sleep(0.01)
        return False

    def _all_ended(self) -> bool:
        if self._follow or not self._ended:
            return False
        return self._ended >= set(self._sequences)

    def _take(self, message: Msg) -> None:
        headers = message.headers or {}
        stored = message.metadata.timestamp.timestamp()
        self._read_to = message.metadata.sequence.stream
        key = (wire.field(headers, "Session"), wire.field(headers, "Source"))
        frames = self._sequences.setdefault(
            key, Frames(self._patience, self._starts.get(key, self._start))
        )
        if wire.PREFIX + "End" in headers:
            self._give(key, frames.due(stored, at_once=True))
            self._ended.add(key)
            return
        self._ended.discard(key)
        chunk = wire.decode(headers, message.data, self._epoch)
        if self._since is not None:
            begin = chunk.frame + round((self._since - chunk.wall_time) * chunk.sample_rate)
            if begin >= chunk.end:
                return
            if begin > chunk.frame:
                chunk = cut(chunk, begin, chunk.end)
        self._give(key, frames.push(chunk, stored, self._read_to))

    def _give_overdue(self, now: float) -> None:
        for key, frames in self._sequences.items():
            self._give(key, frames.due(now))

    def _give(self, key: tuple[str, str], chunks: list[AudioChunk]) -> None:
        """Hand chunks over, and with the last of them from where to read on."""
        if not chunks:
            return
        for chunk in chunks[:-1]:
            self._chunks.put((chunk, key[0], self._given_to))
        held = [each.oldest_held for each in self._sequences.values()]
        first_held = min((number for number in held if number is not None), default=None)
        self._given_to = self._read_to if first_held is None else first_held - 1
        self._chunks.put((chunks[-1], key[0], self._given_to))
