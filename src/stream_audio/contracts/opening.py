"""What a session gives its sources when they open."""

from __future__ import annotations

from stream_audio._native.capture import Capture
from stream_audio.audio.format import AudioFormat
from stream_audio.devices.list import Listing
from stream_audio.errors import StreamAudioError
from stream_audio.waiting.clock import Clock

DEFAULT_RING = 30.0
"""Seconds."""

MAX_DEFAULT_RING_BYTES = 256 * 1024 * 1024
"""What a ring of the default length may take at most; one that is asked for may take more."""


class Opening:
    """What a session gives its sources when they open, shared by all of them.

    Devices are listed when the first source asks for them, and once for all sources of a start.
    """

    def __init__(
        self, clock: Clock, ring_duration: float | None, *, doorbell: bool = True
    ) -> None:
        self.clock = clock
        self.formats: tuple[AudioFormat, ...] = ()
        """Those that sinks want of the source that is being opened."""
        self.ring_duration = ring_duration
        self._doorbell = doorbell
        self._listing: Listing | None = None

    def listing(self) -> Listing:
        """Return the devices as they are at this start."""
        if self._listing is None:
            self._listing = Listing()
        return self._listing

    def capture(self, sample_rate: int, channels: int, period: int) -> Capture:
        """Make the rings of one source."""
        if self.ring_duration is None:
            frames = min(
                round(DEFAULT_RING * sample_rate), MAX_DEFAULT_RING_BYTES // (channels * 4)
            )
        else:
            frames = max(1, round(self.ring_duration * sample_rate))
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

    def close(self) -> None:
        """Let go of the listing; streams that were opened keep what they need of it."""
        if self._listing is not None:
            self._listing.release()
            self._listing = None
