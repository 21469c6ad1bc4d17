"""A take: one uninterrupted run of an opened device, from its first frame to its last."""

from __future__ import annotations

import logging
import threading
from enum import Enum, auto

from stream_audio._locks import InterruptibleLock, Latch
from stream_audio._native.capture import Reader
from stream_audio._record import Record
from stream_audio.contracts.source import OpenSource
from stream_audio.engine.take_conversion import TakeConversion
from stream_audio.errors import StreamAudioError, in_words
from stream_audio.reports.durations import Durations, snapshot
from stream_audio.reports.histogram import Histogram

_log = logging.getLogger("stream_audio")

SOON = 1.0
"""Seconds that a device gets to stop before the others go on without it; usually it takes some
milliseconds. One whose driver hangs goes on being stopped, on a thread of its own."""


class TakeState(Enum):
    """How far a take has come."""

    RUNNING = auto()
    """Its device delivers, or is about to."""
    STOPPED = auto()
    """Its device was told to stop, or is gone; what it delivered stays to be read."""
    READ = auto()
    """All of that was read: the reader is gone, and the figures stand."""
    CLOSED = auto()
    """Its device is free."""


class TakeFigures(Record):
    """What a take's reader and device tell; the report adds them up over the takes of a track."""

    waiting: int
    """Frames in the ring."""
    overflows: int
    packets: int
    ring_highest: int
    longest_callback: float
    unexplained: int
    callbacks: Histogram
    drift: tuple[float, float] | tuple[None, None]
    from_adc: bool
    latency: float | None
    ring_seconds: float
    """What the ring holds at most."""

    @classmethod
    def of_none(cls) -> TakeFigures:
        """Return those of a track that never had a device."""
        callbacks = Durations().snapshot()
        return cls(0, 0, 0, 0, 0.0, 0, callbacks, (None, None), False, None, 0.0)

    def after(self, before: TakeFigures | None) -> TakeFigures:
        """Return the figures of this take and those before it."""
        if before is None:
            return self
        counts = before.callbacks.counts + self.callbacks.counts
        return TakeFigures(
            self.waiting,
            before.overflows + self.overflows,
            before.packets + self.packets,
            max(before.ring_highest, self.ring_highest),
            max(before.longest_callback, self.longest_callback),
            before.unexplained + self.unexplained,
            Histogram(self.callbacks.edges, counts),
            self.drift,
            self.from_adc,
            self.latency,
            self.ring_seconds,
        )


class Take:
    """One run of an opened device; only the router's thread touches it, unless a method says more.

    Parameters
    ----------
    source : OpenSource
        Opened; started before or after.
    chunk_duration : float
        Seconds.
    limit : int, optional
        At most so many frames of its timeline are read.
    before : TakeFigures, optional
        Those of the takes before it, which its own include.

    Attributes
    ----------
    begins : int or None
        Where on the track its frame 0 is; its first chunk tells, ``None`` before that.
    error : str
        Why it ended before it was stopped; empty if it did not.
    unclear : str
        Why it is unclear whether all of its audio came.
    left_for : str
        The id of the device for which it was left, though it could have gone on; or empty.
    gather_seconds : float
        Seconds for which its first chunk waits for later ones, as a rule.
    conversion : TakeConversion or None
        What makes its chunks into those of the track, if they are others.
    """

    def __init__(
        self,
        source: OpenSource,
        chunk_duration: float,
        limit: int | None,
        before: TakeFigures | None = None,
    ) -> None:
        self.source = source
        self.begins: int | None = None
        self.error = ""
        self.unclear = ""
        self.left_for = ""
        self.gather_seconds = 0.0
        self.conversion: TakeConversion | None = None
        self.state = TakeState.RUNNING
        chunk_frames = max(1, round(chunk_duration * source.sample_rate))
        self.reader = Reader(source.capture, chunk_frames, freewheel=source.freewheel)
        # Frames may stay in the ring: of a limited take, or of a device that does not stop.
        self._leaves_some = limit is not None
        self._stopped = Latch()
        self._patience = SOON
        if limit is not None:
            self.reader.native.limit = limit
        # The figures may be asked for on another thread while the reader is being freed.
        self._reading = InterruptibleLock()
        self._before = before
        self._last_figures: TakeFigures | None = None

    def gather(self, seconds: float) -> int:
        """Let chunks gather for so long, at most to a quarter of the ring; returns the frames."""
        capture, reader = self.source.capture, self.reader
        frames = min(seconds * capture.sample_rate, capture.frames / 4)
        chunks = max(1, int(frames / reader.chunk_frames))
        self.gather_seconds = (chunks - 1) * reader.chunk_frames / capture.sample_rate
        reader.gather(chunks)
        return chunks * reader.chunk_frames

    def limit_to(self, frames: int) -> None:
        """Have it end after so many frames of its own, or after what was read by now."""
        self._leaves_some = True
        self.reader.native.limit = max(frames, self.reader.progress.position)

    def begin_to_stop(self) -> None:
        """Let the device stop; what it delivered stays to be read. Does nothing twice."""
        if self.state is not TakeState.RUNNING:
            return
        stopping = threading.Thread(
            target=self._stop_device, name="stream-audio-stop", daemon=True
        )
        try:
            stopping.start()  # if a Ctrl-C keeps it from that, the next call starts one
        except RuntimeError:  # the system gives no more threads
            self._stop_device()
        if self.state is TakeState.RUNNING:
            self.state = TakeState.STOPPED

    def stop(self) -> None:
        """Stop the device and wait until it has, unless it hangs. Does nothing twice."""
        self.begin_to_stop()
        if not self._stopped.wait(self._patience):
            self._patience = 0.0
            self._leaves_some = True

    def _stop_device(self) -> None:
        self.state = TakeState.STOPPED
        try:
            self.unclear = self.source.stop() or ""
        except StreamAudioError as error:
            # The device is gone or hangs; what it delivered is still good.
            _log.warning("%s: %s", self.source.description, error)
            self.error = self.error or str(error)
            self._leaves_some = True
        except Exception as error:  # of a source that is none of ours
            _log.exception("%s could not be stopped", self.source.description)
            self.error = self.error or in_words(error)
            self._leaves_some = True
        finally:
            self.source.capture.finish()
            self._stopped.set()

    def let_go(self) -> None:
        """Free the reader, once all was read; the figures stay. Does nothing twice."""
        if self._last_figures is not None:
            return
        self.stop()
        figures = self.figures()
        with self._reading:
            self._last_figures = figures
            self.reader.close()
        self.state = TakeState.READ

    def close(self) -> None:
        """Free the device and its rings, on any thread; this may take its time.

        Does nothing twice.
        """
        self.let_go()
        with self._reading:
            if self.state is TakeState.CLOSED:
                return
            self.state = TakeState.CLOSED
        self._stopped.wait()
        self.source.close()

    @property
    def stored(self) -> int:
        """Frames of its own that came out of the ring, as far as that is known.

        Found by the audio thread, unless some may be left in the ring.
        """
        progress = self.reader.progress
        if self._leaves_some:
            return int(progress.captured)
        return int(self.source.capture.stored - progress.overwritten)

    @property
    def ring_seconds(self) -> float:
        """How much audio the ring holds."""
        return self.source.capture.frames / self.source.sample_rate

    @property
    def ring_bytes(self) -> int:
        """Memory of the rings."""
        return 0 if self.state is TakeState.CLOSED else self.source.capture.bytes

    @property
    def block_bytes(self) -> int:
        """Memory of the blocks that chunks are written to."""
        return self.reader.block_bytes

    def figures(self) -> TakeFigures:
        """Return how it and those before it stand; on any thread."""
        with self._reading:
            return self._last_figures or self._figures().after(self._before)

    def _figures(self) -> TakeFigures:
        progress = self.reader.progress
        left = self.source.capture.stored - progress.captured - progress.overwritten
        return TakeFigures(
            max(0, left),
            progress.overflows,
            progress.packets,
            progress.ring_highest,
            progress.longest_callback_ns * 1e-9,
            progress.unexplained,
            snapshot(self.reader.native.callbacks),
            self.reader.drift(),
            self.reader.times_from_adc,
            self.source.latency,
            self.ring_seconds,
        )
