"""An Ogg file that tells by its pages how much of the audio is in it (RFC 3533, RFC 7845)."""

from __future__ import annotations

from stream_audio.files.libsndfile.output import Output


class OggOutput(Output):
    """Reads off the pages how far the audio goes; such a file can be opened at any moment."""

    def __init__(self, descriptor: int, sample_rate: int) -> None:
        super().__init__(descriptor)
        self._sample_rate = sample_rate
        self._granule_rate = sample_rate
        self._pre_skip = 0
        self._page_granule = 0
        self._granule = 0

    def landed(self, piece: bytes) -> bool:
        """Take note of a page's header, or of its body behind it."""
        if piece[:4] == b"OggS":
            self._page_granule = int.from_bytes(piece[6:14], "little", signed=True)
            return False
        if piece[:8] == b"OpusHead":
            self._granule_rate = 48_000
            self._pre_skip = int.from_bytes(piece[10:12], "little")
        self._granule = max(self._granule, self._page_granule)
        return True

    def all_landed(self, frames: int) -> None:
        """Do nothing: the encoder holds some of them back."""

    @property
    def safe_frames(self) -> int:
        """Frames up to the last whole page."""
        return max(0, (self._granule - self._pre_skip) * self._sample_rate // self._granule_rate)
