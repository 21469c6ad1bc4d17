"""An MP3 file whose length can be told at any moment, even if the process is killed.

Its first frame holds no audio but the number of those that follow, which libsndfile writes at the
end. Without it, readers guess the length of a file of variable bit rate. The same frame says how
many samples the encoder put before the first one and after the last one, so that all readers find
the same number. Formats: ISO/IEC 11172-3 and 13818-3, the tag that the encoder of Xing introduced,
and LAME's extension of it.
"""

from __future__ import annotations

import itertools
import struct
import sys

from stream_audio.files.libsndfile.output import Output

_ENCODER_DELAY = 576
"""Samples that LAME puts before the first one; told in its tag."""

_DECODER_DELAY = 529
"""Samples that every decoder is late by: as many of the last frame never come out."""


_AT_ONCE = 1 << 20
"""Bytes of silence that are put on the disk at once."""

_LONGEST_PERIOD = 64
"""Frames after which their lengths repeat, at the latest: 49 at 44.1 kHz."""

_RESERVOIR = 16
"""Frames: more than one may reach back."""


class Mp3Output(Output):
    """Counts the frames."""

    states_length = True

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._first = b""
        self._passed = 0  # bytes that have landed
        self._last = 0  # where the last header is
        self._next = 0  # where the next one is
        self._header = b""  # as much of it as has landed
        self._headers = 0
        self._stated = 0
        self._stream_bytes = 0  # the rest is a header that is written anew
        self._heard: bytearray | None = None  # what was written since it listens
        self._starts: list[int] = []  # of the frames in that, counted from its beginning
        self._heard_from = 0
        self._frames_inserted = 0

    def write(self, data: bytes) -> int:
        """Take a piece."""
        if self._position == self._known_size:
            self._stream_bytes += len(data)
            if self._heard is not None:
                self._heard += data
        return super().write(data)

    def landed(self, piece: bytes) -> bool:
        """Walk from header to header."""
        if self._passed >= self._stream_bytes:
            return False
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
            self._last = self._next
            if self._heard is not None and self._last >= self._heard_from:
                self._starts.append(self._last - self._heard_from)
            self._next += length
            self._header = b""
            self._headers += 1
        self._whole = self._next if self._next <= self._passed else self._last
        return False

    def all_landed(self, frames: int) -> None:
        """Do nothing: the encoder holds some of them back."""

    @property
    def _blocks(self) -> int:
        """How many frames with audio are whole: the first has none, the last may be cut."""
        return max(0, self._headers - 1 - (self._next > self._passed))

    @property
    def _block_size(self) -> int:
        return 1152 if self._first[1] >> 3 & 3 == 3 else 576

    # ---- long silence ----

    def listen(self) -> None:
        """Note what comes."""
        self._heard = bytearray()
        self._starts = []
        self._heard_from = self._passed

    def repeat_silence(self, frames: int) -> int:
        """Repeat the last frames, if they are like those before; with padding, some are longer."""
        if self._heard is None or self._passed != self._stream_bytes:
            return 0
        end = self._whole - self._heard_from
        starts = [start for start in self._starts if start < end]
        bounds = [*starts, end]
        found = [bytes(self._heard[a:b]) for a, b in itertools.pairwise(bounds)]
        for period in range(1, _LONGEST_PERIOD + 1):
            unit = found[-period:]
            # Silence long before, as a frame may use what stands in those before it.
            if len(found) >= 2 * period + _RESERVOIR and unit == found[-2 * period : -period]:
                break
        else:
            return 0
        data, behind = b"".join(unit), bytes(self._heard[end:])

        def insert(done: int, some: int) -> None:
            self.insert(data * some, behind)
            self._headers += some * period
            self._frames_inserted += some * period
            self._passed += some * len(data)
            self._stream_bytes += some * len(data)
            self._heard_from += some * len(data)
            self._last += some * len(data)
            self._next += some * len(data)

        unit_frames = period * self._block_size
        at_once = max(1, _AT_ONCE // len(data))
        return self.some_at_a_time(frames // unit_frames, at_once, insert) * unit_frames

    def finish(self, frames: int) -> None:
        """Say how many frames there are, with those that libsndfile does not know of."""
        if self._frames_inserted:
            self._tell(self._headers - 1, frames)

    @property
    def safe_frames(self) -> int:
        """Frames of audio that come out of the whole ones."""
        if not self._blocks:
            return 0
        audible = self._blocks * self._block_size - _ENCODER_DELAY - _DECODER_DELAY
        return max(0, min(audible, self.accepted))

    def state_length(self) -> bool:
        """Put the number of frames, and what they hold beside the audio, into the first one."""
        blocks = self._blocks
        if blocks <= self._stated:
            return self._stated > 0
        self._tell(blocks, self.safe_frames)
        self._stated = blocks
        return True

    def _tell(self, blocks: int, frames: int) -> None:
        padding = blocks * self._block_size - _ENCODER_DELAY - frames
        delays = (_ENCODER_DELAY << 12 | padding).to_bytes(3, "big")
        mpeg_1, mono = self._first[1] >> 3 & 3 == 3, self._first[3] >> 6 == 3
        offset = 4 + {(True, True): 17, (True, False): 32, (False, True): 9}.get(
            (mpeg_1, mono), 17
        )
        tag = struct.pack(">4sII9s12x3s", b"Xing", 1, blocks, b"LAME3.100", delays)
        self.put(tag, offset)


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
