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
    """A source, described for a sink.

    Attributes
    ----------
    id : str
        The id that ``add_source`` was given.
    sample_rate : int
        Frames a second of the chunks that the sink will get.
    channels : int
        Channels of these chunks.
    dtype : str
        Type of their samples: "float32", "int16", "int24" (in an int32) or "int32".
    device : str
        The device that was found, by the name that a desktop shows and its host; empty if the
        source is not a device of the machine.
    """

    id: str
    sample_rate: int
    channels: int
    dtype: SampleType = "float32"
    device: str = ""

    @property
    def bytes_per_second(self) -> int:
        """Bytes of samples a second."""
        return self.sample_rate * self.channels * (2 if self.dtype == "int16" else 4)


def _confirm_to_nobody(source: str, frame: int) -> None:
    """Take a confirmation for a sink that runs without a session."""


def _resend_nothing(error: BaseException) -> None:
    """Take a loss for a sink that runs without a session."""


def _tell_nobody(event: StreamEvent) -> None:
    """Take an event for a sink that runs without a session, in a test for example."""


@public
@dataclass(frozen=True)
class SinkInfo:
    """A session, described for a sink when it starts.

    Attributes
    ----------
    name : str
        The sink's name in events and in the report.
    sources : tuple of SourceInfo
        The sources that the sink will get chunks from.
    send : callable
        ``send(event)`` passes an event to ``on_event``. Call it from any thread; it never blocks.
    epoch : float
        ``time.time()`` at the moment that ``chunk.time`` and ``now()`` count from, as the session
        began. A sleep of the machine moves that moment, and ``chunk.wall_time`` takes it into
        account.
    now : callable
        ``now()`` is the session's clock in seconds, for the ``time`` of an event.
    files_read : frozenset of (int, int)
        Device and inode of each file that the session reads: a sink must not replace it.
    wall_now : callable
        ``wall_now()`` is the time on the session's wall clock, in ``time.time()`` seconds.
    confirm : callable
        ``confirm(source, frame)`` says that all frames of that source before ``frame``, a position
        on the chunks' timeline, have arrived. Call it from any thread; it never blocks. It raises
        ``ConfigError`` for frames that were not written, and does nothing for a sink without
        ``confirms = True``.
    resend : callable
        ``resend(error)`` says that what was sent and not confirmed has been lost on the way, and
        has to be written again, as after a failed ``write``. Call it from any thread.
    stop_timeout : float
        Seconds without progress after which a session that ends leaves the sink to itself.
    """

    name: str
    sources: tuple[SourceInfo, ...]
    send: Callable[[StreamEvent], None] = field(default=_tell_nobody, repr=False)
    epoch: float = field(default_factory=lambda: time.time() - time.monotonic())
    now: Callable[[], float] = field(default=time.monotonic, repr=False)
    files_read: frozenset[tuple[int, int]] = frozenset()
    wall_now: Callable[[], float] = field(default=time.time, repr=False)
    confirm: Callable[[str, int], None] = field(default=_confirm_to_nobody, repr=False)
    resend: Callable[[BaseException], None] = field(default=_resend_nothing, repr=False)
    stop_timeout: float = 10.0


@public
@runtime_checkable
class Sink(Protocol):
    """Any object with ``write(chunk)``; everything else is optional.

    Methods may be ``async def``. They then run on the event loop that starts the session, and the
    sink's worker thread waits for them.

    A sink may have the following attributes and methods. The session reads them once, when the
    sink is added, except ``memory_bytes`` and ``unread``:

    ``start(info)``
        Called once before the first chunk, on the thread that starts the session, with a
        :class:`SinkInfo`. If it raises, the start fails.
    ``begun()``
        Called once when all sources and sinks of the session have started, or when a sink that was
        added later is in place. It comes before the first ``write``, on the thread that writes. Do
        here what cannot be undone: a start that fails never gets here. If it raises, the sink
        fails.
    ``source_added(info)``
        Called with the :class:`SourceInfo` of a source that was added while the session runs, on
        the thread that adds it, before its first chunk. A sink that has this method, and was added
        for all sources, gets the new one too; if it raises, the source is not added. Its backlog
        stays as large as it was.
    ``stop()``
        Called once after the last chunk, on the thread that wrote, also after a failure. Like
        ``write`` of a sink that is not blocking, it may return gaps for what it dropped.
    ``discard()``
        Called instead of ``stop()`` if the session could not start after all, so the sink never
        got a chunk. Undo here what ``start`` did.
    ``abandon()``
        Called, from another thread, when the session waits for the sink no longer: a call is still
        under way, and will not count. End it here; never block. No ``stop()`` follows.
    ``blocking``
        False promises that ``write`` never waits. It is then called on the router's thread,
        without a worker thread. True if missing.
    ``confirms``
        For a sink that hands audio on to something that can lose it, such as a service. True:
        frames count as delivered when the sink calls ``info.confirm(source, frame)``. Until then
        they stay in its backlog. After a failure they are written again, in order. A stop drops
        what is not confirmed in time, with the cause ``unconfirmed``. False: nobody can confirm,
        and the report counts the frames as sent. Missing: what ``write`` took is delivered.
    ``retry``
        The :class:`~stream_audio.Retry` that suits the sink, if ``add_sink`` names none.
    ``preferred_dtype``
        The type of sample that the sink prefers ("int16", …) if its format leaves that open.
    ``gather``
        Seconds, up to 0.8, that chunks may gather in the ring before they are handed on all at
        once, so that the machine wakes less often; 0 if missing. A source waits as long as all its
        sinks allow, and no longer than a quarter of its ring lasts. ``stop`` and ``remove`` do not
        wait.
    ``takes_batches``
        True lets gathered audio come as one chunk, longer than ``chunk_duration``, if all sinks of
        the source say so. It lasts at most ``gather`` seconds, and takes at most an eighth of the
        sink's backlog.
    ``caught_up()``
        Called on the worker thread when all waiting chunks have been written, and none may come
        for a while. Make the audio safe here. If it raises, the sink fails.
    ``memory_bytes``
        Bytes of samples that the sink holds, for :meth:`Session.memory`; 0 if missing. It is read
        on any thread.
    ``unread``
        Delivered frames that nobody has read yet, for the report.
    """

    def write(self, chunk: AudioChunk) -> object:
        """Take one whole chunk, or raise and take nothing.

        Called on the sink's own worker thread, one chunk at a time, in order. After an exception
        the same chunk comes again after a while, unless it is a :class:`~stream_audio.SinkError`
        with ``retryable=False``. With ``taken`` the sink has taken that many frames all the same,
        though the whole chunk comes again. A sink that is not blocking may return
        :class:`~stream_audio.Gap` objects for older chunks that it dropped to take this one.
        """
