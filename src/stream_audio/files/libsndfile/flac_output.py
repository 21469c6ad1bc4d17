"""A FLAC file that can be opened at any moment, even if the process is killed.

STREAMINFO's total of frames is brought up to date about once a second, behind the blocks that it
speaks of. libsndfile takes a file without it for endless. Format: RFC 9639.
"""

from __future__ import annotations

from stream_audio.files.flac_damage import TOTAL_OFFSET, StreamInfo
from stream_audio.files.libsndfile.output import Output


class FlacOutput(Output):
    """Counts the blocks, each of which is written as one piece."""

    states_length = True

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._info: StreamInfo | None = None
        self._stated = 0

    def landed(self, piece: bytes) -> bool:
        """Count a block."""
        if self._info is None and len(piece) == 38 and piece[0] & 0x7F == 0:
            self._info = StreamInfo(8, piece[4:])
        elif self._info is not None and piece[:2] == b"\xff\xf8":
            self._frames += self._info.block_size
        return True

    def all_landed(self, frames: int) -> None:
        """Do nothing: the encoder holds some of them back."""

    def state_length(self) -> bool:
        """Put the number of frames into STREAMINFO."""
        if self._info is not None and self._stated != self._frames:
            total = self._info.with_total(self._frames)
            self.put(total, self._info.offset + TOTAL_OFFSET)
            self._stated = self._frames
        return self._stated > 0
