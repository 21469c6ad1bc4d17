"""AIFF, AU, CAF and WAV files that can be opened at any moment, even if the process is killed.

libsndfile writes how long they are at the end; until then readers find nothing in them. Here it is
written about once a second, behind the audio. Formats: Audio Interchange File Format 1.3 and
AIFF-C (Apple, 1989, 1991); the .au header (Sun, 1992); Apple Core Audio Format Specification 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from stream_audio.files.libsndfile.output import Output

Patch = Callable[[bytearray, int, int], None]
"""Puts the size of the file in bytes and the number of its frames into a header."""


class HeaderOutput(Output):
    """Writes the header anew; for samples that all have the same number of bytes."""

    states_length = True

    def __init__(self, descriptor: int, patch: Patch) -> None:
        super().__init__(descriptor)
        self._patch = patch
        self._header = b""
        self._stated = 0

    def write(self, data: bytes) -> int:
        """Take a piece, and note the header."""
        if self._position == 0 and not self._given_up:
            self._header = data
        return super().write(data)

    def state_length(self) -> bool:
        """Write the header for what is on the disk; it is within a page."""
        if self._frames != self._stated and self._header:
            header = bytearray(self._header)
            self._patch(header, self._whole, self._frames)
            self.put(header, 0)
            self._stated = self._frames
        return self._stated > 0


def _patch_au(header: bytearray, size: int, frames: int) -> None:
    if len(header) >= 24:
        begin = int.from_bytes(header[4:8], "big")
        struct.pack_into(">I", header, 8, min(size - begin, 0xFFFFFFFF))


def _patch_aiff(header: bytearray, size: int, frames: int) -> None:
    struct.pack_into(">I", header, 4, size - 8)
    start = 12
    while start + 8 <= len(header):
        name, length = struct.unpack_from(">4sI", header, start)
        if name == b"COMM" and start + 14 <= len(header):
            struct.pack_into(">I", header, start + 10, frames)
        elif name == b"SSND":
            struct.pack_into(">I", header, start + 4, size - start - 8)
            break
        start += 8 + length + length % 2


def _patch_caf(header: bytearray, size: int, frames: int) -> None:
    start = 8
    while start + 12 <= len(header):
        name, length = struct.unpack_from(">4sq", header, start)
        if name == b"data" or length < 0:
            struct.pack_into(">q", header, start + 4, size - start - 12)
            break
        start += 12 + length


def _patch_wav(header: bytearray, size: int, frames: int) -> None:
    struct.pack_into("<I", header, 4, size - 8)
    start = 12
    while start + 8 <= len(header):
        name, length = struct.unpack_from("<4sI", header, start)
        if name == b"fact" and start + 12 <= len(header):
            struct.pack_into("<I", header, start + 8, frames)
        elif name == b"data":
            struct.pack_into("<I", header, start + 4, size - start - 8)
            break
        start += 8 + length + length % 2


PATCHES: dict[str, Patch] = {
    "AIFF": _patch_aiff,
    "AU": _patch_au,
    "CAF": _patch_caf,
    "WAV": _patch_wav,
}
"""By libsndfile's name of the format."""
