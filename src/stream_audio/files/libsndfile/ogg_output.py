"""An Ogg file that tells by its pages how much of the audio is in it (RFC 3533, RFC 7845)."""

from __future__ import annotations

import struct
from collections import deque

from stream_audio.files.libsndfile.output import Output
from stream_audio.files.ogg_damage import page_sum

_AT_ONCE = 1 << 20
"""Bytes of silence that are put on the disk at once."""


class OggOutput(Output):
    """Reads off the pages how far the audio goes; such a file can be opened at any moment."""

    def __init__(self, descriptor: int, sample_rate: int) -> None:
        super().__init__(descriptor)
        self._sample_rate = sample_rate
        self._granule_rate = sample_rate
        self._pre_skip = 0
        self._page_granule = 0
        self._granule = 0
        self._header = b""  # of the page whose body comes next
        self._last: deque[tuple[bytes, bytes]] = deque(maxlen=2)  # pages, since it listens
        self._pages_inserted = 0
        self._granules_inserted = 0

    def write(self, data: bytes) -> int:
        """Take a page's header, or its body behind it."""
        if data[:4] == b"OggS" and _body_bytes(data):
            # Its sum is over the body, too.
            self._header = data
            self._position += len(data)
            return len(data)
        header, self._header = self._header, b""
        if header:
            self._last.append((header, data))
            self._position -= len(header)
            super().write(self._placed(header, data))
        elif data[:4] == b"OggS":
            data = self._placed(data, b"")
        return super().write(data)

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

    # ---- long silence ----

    def listen(self) -> None:
        """Forget the pages before."""
        self._last.clear()

    def repeat_silence(self, frames: int) -> int:
        """Repeat the last page, if it is like the one before."""
        if len(self._last) < 2 or self._header:
            return 0
        (before, body_before), (header, body) = self._last
        # Fields: version and flags; granule position; serial number; page number; sum; segments.
        alike = (before[4:6], before[14:18], before[26:]) == (
            header[4:6],
            header[14:18],
            header[26:],
        )
        granules = _granule(header) - _granule(before)
        frames_a_page, rest = divmod(granules * self._sample_rate, self._granule_rate)
        if not alike or body != body_before or header[5] or rest or frames_a_page <= 0:
            return 0

        def insert(done: int, some: int) -> None:
            pages = b"".join(
                self._placed(header, body, number, number * granules) + body
                for number in range(1, some + 1)
            )
            self.insert(pages)
            self._pages_inserted += some
            self._granules_inserted += some * granules
            self._granule = _granule(header) + self._granules_inserted

        at_once = max(1, _AT_ONCE // (len(header) + len(body)))
        return self.some_at_a_time(frames // frames_a_page, at_once, insert) * frames_a_page

    def _placed(self, header: bytes, body: bytes, pages: int = 0, granules: int = 0) -> bytes:
        """Return a page's header with the place that it has behind what was inserted, and more."""
        pages += self._pages_inserted
        if not pages:
            return header
        granule, number = _granule(header), int.from_bytes(header[18:22], "little")
        if granule >= 0:  # else no packet ends on the page
            granule += granules + self._granules_inserted
        placed = struct.pack("<q", granule) + header[14:18]
        placed += struct.pack("<II", number + pages, 0)
        moved = header[:6] + placed + header[26:]
        return moved[:22] + struct.pack("<I", page_sum(moved + body)) + moved[26:]

    @property
    def safe_frames(self) -> int:
        """Frames up to the last whole page."""
        return max(0, (self._granule - self._pre_skip) * self._sample_rate // self._granule_rate)


def _granule(header: bytes) -> int:
    return int.from_bytes(header[6:14], "little", signed=True)


def _body_bytes(header: bytes) -> int:
    return sum(header[27 : 27 + header[26]])
