"""What a sink is: any object with ``write(chunk)``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from stream_audio._public import public
from stream_audio._record import Record
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.format import SampleType
from stream_audio.reports.events import StreamEvent

OnFailure = Literal["detach", "skip"]
"""What happens to a sink that has failed: it gets nothing more, or goes on with the next chunk."""

LONGEST_GATHER = 0.8
"""Seconds for which a sink may let chunks gather; so often sources are looked after anyway."""


@public
class SourceInfo(Record):
    """A source as a sink sees it.

    Attributes
    ----------
    id : str
        As given to ``add_source``.
    sample_rate : int
        Frames a second of the chunks that the sink will get.
    channels : int
        Their channels.
    dtype : str
        Their type of sample: "float32", "int16", "int24" (in an int32) or "int32".
    device : str
        The device that was found, by the name that a desktop shows and its host; empty if the
        source is none of the machine's devices.
    """

    id: str
    sample_rate: int
    channels: int
    dtype: SampleType = "float32"
    device: str = ""

    @property
    def bytes_per_second(self) -> int:
        """Of samples."""
        return self.sample_rate * self.channels * (2 if self.dtype == "int16" else 4)


def _confirm_to_nobody(source: str, frame: int) -> None:
    """Take a confirmation for a sink that runs without a session."""


def _tell_nobody(event: StreamEvent) -> None:
    """Take an event for a sink that runs without a session, in a test for example."""


@public
@dataclass(frozen=True)
class SinkInfo:
    """What a sink is told when its session starts.

    Attributes
    ----------
    name : str
        The sink's name in events and in the report.
    sources : tuple of SourceInfo
        The sources it will get chunks from.
    send : callable
        ``send(event)`` gives ``on_event`` an event; from any thread, never blocks.
    epoch : float
        ``time.time()`` at the moment that ``chunk.time`` and ``now()`` count from, as the session
        began. A sleep of the machine moves it; ``chunk.wall_time`` has that in it.
    now : callable
        ``now()`` is the session's clock in seconds, for the ``time`` of an event.
    files_read : frozenset of (int, int)
        Device and inode of each file that the session reads: a sink must not replace it.
    wall_now : callable
        ``wall_now()`` is the time on the wall clock, ``time.time()`` seconds, as the session
        reckons it.
    confirm : callable
        ``confirm(source, frame)``: all frames of that source before ``frame``, a position on the
        chunks' timeline, have arrived; from any thread, never blocks. Raises ``ConfigError`` for
        frames that were not written. Does nothing for a sink without ``confirms = True``.
    """

    name: str
    sources: tuple[SourceInfo, ...]
    send: Callable[[StreamEvent], None] = field(default=_tell_nobody, repr=False)
    epoch: float = field(default_factory=lambda: time.time() - time.monotonic())
    now: Callable[[], float] = field(default=time.monotonic, repr=False)
    files_read: frozenset[tuple[int, int]] = frozenset()
    wall_now: Callable[[], float] = field(default=time.time, repr=False)
    confirm: Callable[[str, int], None] = field(default=_confirm_to_nobody, repr=False)


@public
@runtime_checkable
class Sink(Protocol):
    """Takes chunks. Any object with ``write`` will do; the rest is optional.

    Methods may be ``async def``; those run on the event loop that starts the session, and the
    sink's worker thread waits for them.

    Optional attributes of a sink; they and its methods are read once, as it is added, but for
    ``memory_bytes`` and ``unread``:

    ``start(info)``
        Called once before the first chunk, on the thread that starts the session, with a
        :class:`SinkInfo`. What it raises fails the start.
    ``begun()``
        Called once when all sources and sinks of the session have started, or when a sink that
        was added to it is in its place; before the first ``write``, on the thread that writes. The
        time for what cannot be undone: a start that fails never gets here. What it raises counts
        as a failure of the sink.
    ``stop()``
        Called once after the last chunk, on the thread that wrote, also after a failure. Like
        ``write`` of a sink that is not blocking, it may return the gaps of what it dropped.
    ``discard()``
        Called instead of ``stop()`` if the session could not start after all, so that the sink
        never got a chunk: undo what ``start`` did.
    ``blocking``
        False promises that ``write`` never waits; it is then called on the router's thread, and no
        worker thread is made. True if missing.
    ``confirms``
        For a sink that hands on to something that can lose it, a service for example. True: its
        frames count as delivered when it says so with ``info.confirm(source, frame)``. Until then
        they stay in its backlog. After a failure they are written again, in order. At a stop what
        is not confirmed in time is dropped with the cause ``unconfirmed``. False: nobody can
        confirm, and the report counts its frames as sent. Missing: what ``write`` took is
        delivered.
    ``preferred_dtype``
        The type of sample it would like ("int16", …) where its format leaves that open.
    ``gather``
        Seconds, up to 0.8, that chunks may gather in the ring before they are handed on, all at
        once, so that the machine is woken less often; 0 if missing. A source waits as long as all
        its sinks can, and no longer than a quarter of its ring lasts; ``stop`` and ``remove`` do
        not wait.
    ``takes_batches``
        True lets what gathered come as one chunk, longer than ``chunk_duration``, if all sinks of
        the source say so: of ``gather`` seconds at most, and of an eighth of the sink's backlog.
    ``caught_up()``
        Called on the worker thread when all that was there has been written, and nothing may come
        for a while: the time to make it safe. What it raises counts as a failure of the sink.
    ``memory_bytes``
        Bytes of samples that it holds, for :meth:`Session.memory`; 0 if missing. Any thread.
    ``unread``
        Delivered frames that nobody has read yet, for the report.
    """

    def write(self, chunk: AudioChunk) -> object:
        """Take one chunk, all of it or (by raising) nothing of it.

        Called on the sink's own worker thread, one chunk at a time, in order. An exception makes
        the same chunk come again after a while, unless it is a
        :class:`~stream_audio.errors.SinkError` with ``retryable=False``; with ``taken``, that many
        frames of it were taken all the same, though all of it comes again. A sink that is not
        blocking may return the :class:`~stream_audio.Gap` objects of older chunks that it dropped
        to take this one.
        """
