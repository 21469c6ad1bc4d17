"""What a session gives its sources when they open."""

from __future__ import annotations

import math

from stream_audio._native.capture import Capture
from stream_audio._native.warm import Reuse
from stream_audio.audio.format import AudioFormat
from stream_audio.contracts.source import OpenSource, Source
from stream_audio.devices.list import Listing
from stream_audio.errors import ConfigError, StreamAudioError
from stream_audio.waiting.clock import Clock

DEFAULT_RING = 30.0
"""Seconds."""

MAX_DEFAULT_RING_BYTES = 256 * 1024 * 1024
"""What a ring of the default length may take at most; one that is asked for may take more."""


LONGEST_WAIT = 1.0
"""Seconds for which a turn waits at most, however long a chunk is."""

RING_SLACK = 0.05
"""Seconds by which a turn may come late on a machine in use, which every ring must bear."""


class Opening:
    """What a session gives its sources when they open, shared by all of them.

    Devices are listed when the first source asks for them, and once for all sources of a start.

    Attributes
    ----------
    formats : tuple of AudioFormat
        Those that sinks want of the source that is being opened.
    reuse : Reuse
        What sources may use again of the sessions before.
    """

    def __init__(
        self,
        clock: Clock,
        ring_duration: float | None,
        *,
        chunk_duration: float = 0.1,
        doorbell: bool = True,
        keep_warm: float = 0.0,
    ) -> None:
        self.clock = clock
        self.formats: tuple[AudioFormat, ...] = ()
        self.reuse = Reuse(keep_warm)
        self.ring_duration = ring_duration
        self._chunk_duration = chunk_duration
        self._doorbell = doorbell
        self._keep_warm = keep_warm
        self._listing: Listing | None = None

    def anew(self) -> Opening:
        """Return another one for the same source, with a list of its own."""
        again = Opening(
            self.clock,
            self.ring_duration,
            chunk_duration=self._chunk_duration,
            doorbell=self._doorbell,
            keep_warm=self._keep_warm,
        )
        again.formats = self.formats
        return again

    def open(self, source: Source) -> OpenSource:
        """Open a source; if that fails with what is used again, once more without."""
        try:
            return source.open(self)
        except StreamAudioError:
            if not self.reuse.has_found():
                raise
        self.reuse.give_up()
        self.close()
        return source.open(self)

    def listing(self) -> Listing:
        """Return the devices as they are at this start."""
        if self._listing is None:
            self._listing = Listing(reuse=self.reuse)
        return self._listing

    def capture(
        self, sample_rate: int, channels: int, period: int, *, waits: bool = False
    ) -> Capture:
        """Make the rings of one source; ``waits``: it waits for room, so any ring will do.

        Raises
        ------
        ConfigError
            The ring that the user asked for does not hold what comes between two turns.
        """
        if self.ring_duration is None:
            frames = min(
                round(DEFAULT_RING * sample_rate), MAX_DEFAULT_RING_BYTES // (channels * 4)
            )
        else:
            frames = max(1, round(self.ring_duration * sample_rate))
        if not waits:
            self._check_ring(frames / sample_rate, period / sample_rate)
        try:
            return Capture(
                self.clock.native, sample_rate, channels, frames, period, doorbell=self._doorbell
            )
        except MemoryError as error:
            raise StreamAudioError(
                f"there is no memory for a ring of {frames / sample_rate:g} s at {sample_rate} Hz "
                f"with {channels} channels",
                hint="Use a shorter StreamConfig(ring_duration=…)",
            ) from error

    def _check_ring(self, seconds: float, period: float) -> None:
        wait = min(self._chunk_duration, LONGEST_WAIT)
        least = math.ceil((wait + 2 * period + RING_SLACK) * 100) / 100
        if seconds < least:
            raise ConfigError(
                f"a ring of {seconds:g} s cannot hold the audio between two turns, with chunks "
                f"of {self._chunk_duration:g} s and periods of {period:.3g} s",
                hint=f"Use StreamConfig(ring_duration={least:g}) or more",
            )

    def close(self) -> None:
        """Let go of the listing; streams that were opened keep what they need of it."""
        if self._listing is not None:
            self._listing.release()
            self._listing = None
