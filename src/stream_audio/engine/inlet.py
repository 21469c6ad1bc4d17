"""A running source: its device, its reader, and the chunks that come out of them."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence

from stream_audio._native.capture import (
    ARRIVAL_NS,
    ASLEEP_NS,
    FRAME,
    FRAMES,
    HOST_LOST,
    MARKS,
    NONFINITE,
    OFFSET,
    OVERFLOWS,
    RING_LOST,
    SUSPENDED,
    TIME_NS,
    Reader,
)
from stream_audio.audio.chunk import AudioChunk, Origin
from stream_audio.audio.chunk_maker import engine_chunk
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.contracts.source import OpenSource
from stream_audio.engine.pauses import Pauses
from stream_audio.errors import StreamAudioError
from stream_audio.reports.durations import snapshot
from stream_audio.reports.ledger import SourceAccount
from stream_audio.reports.report import SourceReport
from stream_audio.reports.stats import SourceStats
from stream_audio.waiting.clock import WallClock

_log = logging.getLogger("stream_audio")

CAUSES = (GapCause.RING_FULL, GapCause.HOST_OVERFLOW, GapCause.SUSPENDED)
"""Why a source loses frames, in the order in which they are missing before a chunk."""

LOST = (RING_LOST, HOST_LOST, SUSPENDED)
"""The columns of a row that tell how many, likewise."""


class Inlet:
    """One source of a session; but for the report, only the router's thread touches it.

    Parameters
    ----------
    name : str
        The source's id.
    source : OpenSource
        Opened, not started.
    chunk_duration : float
        Seconds.
    duration : float, optional
        The source ends after so many seconds of its own timeline.
    account : SourceAccount
        Where its frames are entered.
    wall : WallClock
        The session's.
    """

    def __init__(
        self,
        name: str,
        source: OpenSource,
        chunk_duration: float,
        duration: float | None,
        account: SourceAccount,
        wall: WallClock,
    ) -> None:
        self.name = name
        self.source = source
        self.device = source.description if source.device_id else ""
        self.account = account
        self.pauses = Pauses(account)
        self.error = ""
        self.unclear = ""
        self.stalled = False
        self.finished = False
        self.gather_seconds = 0.0
        """Seconds for which its first chunk waits for later ones, as a rule."""
        self._join = 0  # frames of the longest chunk that those that gathered become
        self._stopped = False
        self._closed = False
        # A report may be asked for on another thread while the reader is being closed.
        self._reader_open = threading.Lock()
        self._last_report: SourceReport | None = None
        self._last_stats: SourceStats | None = None
        self.newest: AudioChunk | None = None
        self._last_packets = 0
        self.session_start = 0.0
        """Seconds on the session's clock; set before the source starts."""
        self.origin: Origin | None = None
        """What the times of its chunks count from; ``None`` before the first."""
        self.started: float | None = None
        """When its first chunk was captured, ``time.time()`` seconds."""
        self._asleep_ns = -1  # how long the machine had slept by the newest chunk
        self._wall = wall
        rate = source.sample_rate
        self.reader = Reader(
            source.capture, max(1, round(chunk_duration * rate)), freewheel=source.freewheel
        )
        # Whether frames may stay in the ring: of a limited source, or a device that does not stop.
        self._leaves_some = duration is not None
        if duration is not None:
            self.reader.native.limit = max(1, round(duration * rate))

    def gather(self, seconds: float, longest: float) -> None:
        """Let chunks gather for so long, at most to a quarter of the ring.

        What gathered is handed on as chunks of up to ``longest`` seconds.
        """
        capture = self.source.capture
        frames = min(seconds * capture.sample_rate, capture.frames / 4)
        chunks = max(1, int(frames / self.reader.chunk_frames))
        self.gather_seconds = (chunks - 1) * self.reader.chunk_frames / capture.sample_rate
        self.reader.gather(chunks)
        frames = min(chunks * self.reader.chunk_frames, longest * capture.sample_rate)
        self._join = int(frames)

    def collect(self, clean: Callable[[AudioChunk], AudioChunk]) -> list[tuple[AudioChunk, int]]:
        """Return the chunks that the last read finished, with their marks, and enter them.

        Those with samples that are no finite numbers go through ``clean`` first.
        """
        # Pauses are measured from the beginning of a chunk: theirs are of the usual length.
        block, first, rows = self.reader.take(self._join if self.pauses.idle else 0)
        account = self.account
        rate = self.source.sample_rate
        chunks = []
        for index, row in enumerate(rows, first):
            frame, frames, offset, marks = row[FRAME], row[FRAMES], row[OFFSET], row[MARKS]
            time = row[TIME_NS] * 1e-9
            origin = self.origin
            if origin is None or row[ASLEEP_NS] != self._asleep_ns:
                origin = self._new_origin(time - frame / rate, time, row[ASLEEP_NS])
            gaps: tuple[Gap, ...] = ()
            if row[RING_LOST] or row[HOST_LOST] or row[SUSPENDED]:
                gaps = self._gaps(frame, time, [row[column] for column in LOST])
            chunk = engine_chunk(
                self.name,
                block.samples[offset : offset + frames],
                rate,
                frame,
                time,
                row[ARRIVAL_NS] * 1e-9,
                gaps,
                row[OVERFLOWS],
                block.peaks[index],
                block.squares[index],
                origin,
            )
            if marks & NONFINITE:
                chunk = clean(chunk)
            chunks.append((chunk, marks))
            account.captured += frames
            account.position = frame + frames
            self.newest = chunk
        return chunks

    def _new_origin(self, began: float, time: float, asleep_ns: int) -> Origin:
        """Note what times count from, for the first chunk or after a sleep of the machine.

        ``began`` is when frame 0 was captured, by the ``time`` of the chunk.
        """
        epoch = self._wall.epoch_after(asleep_ns)
        if self.origin is None:
            start = 0.0 if self.source.freewheel else began - self.session_start
            self.started = epoch + time
        else:
            start = self.origin[0]
        self.origin = start, epoch
        self._asleep_ns = asleep_ns
        return self.origin

    def _gaps(self, end: int, time: float, lost: Sequence[int]) -> tuple[Gap, ...]:
        """Enter and return what is missing before the frame ``end``, captured at ``time``.

        ``lost`` has a number of frames for each of ``CAUSES``.
        """
        start = end - sum(lost)
        newest = self.newest
        last_end = -math.inf if newest is None else newest.time + newest.duration
        gaps = []
        for frames, cause in zip(lost, CAUSES, strict=True):
            if frames:
                # While a machine sleeps, frames pass and its clock stands.
                began = max(time - (end - start) / self.source.sample_rate, last_end)
                gaps.append(Gap(self.name, start, frames, cause, began))
                self.account.lose(gaps[-1])
                start += frames
        return tuple(gaps)

    def settle(self) -> tuple[Gap, ...]:
        """After the last chunk: enter what no chunk follows, and the audio thread's own count."""
        progress = self.reader.progress
        gaps: tuple[Gap, ...] = ()
        lost = (
            progress.trailing_ring_lost,
            progress.trailing_host_lost,
            progress.trailing_suspended,
        )
        if any(lost):
            gaps = self._gaps(progress.position, progress.last_entry_ns * 1e-9, lost)
        self.account.position = progress.position
        self.finished = True
        account = self.account
        came_out = account.captured + account.paused + account.synthetic
        account.stored = came_out
        if not self._leaves_some:
            account.stored = self.source.capture.stored - progress.overwritten
        return gaps

    @property
    def is_silent(self) -> bool:
        """Whether no callback has come since the last call of :meth:`packets_came`."""
        return bool(self.reader.progress.packets == self._last_packets)

    def packets_came(self) -> bool:
        """Whether a callback has come since the last call."""
        before, self._last_packets = self._last_packets, self.reader.progress.packets
        return self._last_packets != before

    def stop(self) -> None:
        """Stop the device; what it delivered stays to be collected. Does nothing twice."""
        if self._stopped:
            return
        self._stopped = True
        try:
            self.unclear = self.source.stop() or ""
        except StreamAudioError as error:
            # The device is gone or hangs; what it delivered is still good.
            _log.warning("source %s: %s", self.name, error)
            self.error = self.error or str(error)
            self._leaves_some = True
        self.source.capture.finish()

    def close(self) -> None:
        """Free the device and the reader. Does nothing twice."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        last_report = self.report()
        with self._reader_open:
            self._last_report = last_report
            self._last_stats = self._stats()
            self.reader.close()
        self.source.close()

    def report(self) -> SourceReport:
        """Return its part of the session's report; on any thread."""
        with self._reader_open:
            return self._last_report or self._report()

    def stats(self) -> SourceStats:
        """Return how it stands; on any thread."""
        with self._reader_open:
            return self._last_stats or self._stats()

    def _report(self) -> SourceReport:
        account = self.account
        progress = self.reader.progress
        drift_ppm, drift_error_ppm = self.reader.drift()
        return SourceReport(
            captured=account.captured,
            lost=account.lost,
            paused=account.paused,
            synthetic=account.synthetic,
            position=account.position,
            sample_rate=self.source.sample_rate,
            channels=self.source.channels,
            gaps=tuple(account.gaps),
            overflows=progress.overflows,
            ring_highest=progress.ring_highest,
            longest_callback=progress.longest_callback_ns * 1e-9,
            error=self.error,
            unclear=self.unclear,
            drift_ppm=drift_ppm,
            drift_error_ppm=drift_error_ppm,
            latency=self.source.latency,
            time_quality="adc" if self.reader.times_from_adc else "callback",
            pauses=tuple(account.pauses),
            nonfinite=account.nonfinite,
            unexplained_frames=progress.unexplained,
            started=self.started,
            device=self.device,
        )

    def _stats(self) -> SourceStats:
        account = self.account
        progress = self.reader.progress
        capture = self.source.capture
        rate = self.source.sample_rate
        newest = self.newest
        return SourceStats(
            captured=account.captured,
            lost=account.lost,
            paused=account.paused,
            synthetic=account.synthetic,
            position=account.position,
            sample_rate=rate,
            ring_seconds=max(0, capture.stored - progress.captured - progress.overwritten) / rate,
            ring_highest_seconds=progress.ring_highest / rate,
            ring_capacity_seconds=capture.frames / rate,
            xruns=progress.overflows,
            callbacks=progress.packets,
            callback_durations=snapshot(self.reader.native.callbacks),
            peak=() if newest is None else tuple(newest.peak.tolist()),
            rms=() if newest is None else tuple(newest.rms.tolist()),
        )

    @property
    def ring_seconds(self) -> float:
        """How much audio the ring holds."""
        return self.source.capture.frames / self.source.sample_rate

    @property
    def ring_bytes(self) -> int:
        """Memory of the rings."""
        return self.source.capture.bytes

    @property
    def block_bytes(self) -> int:
        """Memory of the blocks that chunks are written to."""
        return self.reader.block_bytes
