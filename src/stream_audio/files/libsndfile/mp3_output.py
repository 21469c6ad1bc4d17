"""An MP3 file whose length can be told at any moment, even if the process is killed.

Its first frame holds no audio but the number of those that follow, which libsndfile writes at the
end. Without it, readers guess the length of a file of variable bit rate. Formats: ISO/IEC 11172-3
and 13818-3, and the tag that the encoder of Xing introduced.
"""

from __future__ import annotations

import struct
import sys

from stream_audio.files.libsndfile.output import Output


class Mp3Output(Output):
    """Counts the frames."""

    states_length = True

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._first = b""
        self._passed = 0  # bytes that have landed
        self._next = 0  # where the next header is
        self._header = b""  # as much of it as has landed
        self._headers = 0
        self._stated = 0

    def landed(self, piece: bytes) -> bool:
        """Walk from header to header."""
        begin, self._passed = self._passed, self._passed + len(piece)
        while self._next + len(self._header) < self._passed:
            at = self._next + len(self._header) - begin
            self._header += piece[at : at + 4 - len(self._header)]
            if len(self._header) < 4:
                break
            self._first = self._first or self._header
            length = mp3_frame_bytes(self._header)
            if not length:
                self._next = sys.maxsize  # it cannot be followed: nothing is stated
                break
            self._next += length
            self._header = b""
            self._headers += 1
        return False

    def state_length(self) -> bool:
        """Put the number of frames into the first one."""
        # The first one holds no audio, the last may have landed in part.
        blocks = self._headers - 1 - (self._next > self._passed)
        if blocks <= self._stated:
            return self._stated > 0
        mpeg_1, mono = self._first[1] >> 3 & 3 == 3, self._first[3] >> 6 == 3
        offset = 4 + {(True, True): 17, (True, False): 32, (False, True): 9}.get(
            (mpeg_1, mono), 17
        )
        self.put(struct.pack(">4sII", b"Xing", 1, blocks), offset)
        self._stated = blocks
        return True


_MP3_KBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2 and 2.5
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
)


def mp3_frame_bytes(header: bytes) -> int:
    """Return the length of a layer III frame by its first four bytes; 0: it is none."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if header[0] != 0xFF or header[1] < 0xE0 or version == 1 or layer != 1:
        return 0
    if bit_rate in (0, 15) or rate == 3:
        return 0
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _MP3_KBITS[version == 3][bit_rate - 1]
    return (144 if version == 3 else 72) * bits // hertz + padding
