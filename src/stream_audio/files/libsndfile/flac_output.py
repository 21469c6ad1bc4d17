"""A FLAC file that can be opened at any moment, even if the process is killed.

STREAMINFO's total of frames is brought up to date about once a second, behind the blocks that it
speaks of. libsndfile takes a file without it for endless. Blocks of silence are repeated: they
differ in their numbers, and in the sums over these. Format: RFC 9639.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_audio.files.flac_damage import TOTAL_OFFSET, StreamInfo
from stream_audio.files.libsndfile.output import Output

_BLOCKS_AT_ONCE = 8192
_SIZES_OFFSET, _MD5_OFFSET = 4, 18
"""In STREAMINFO: of the smallest and the largest block in bytes, and of the sum of all samples."""

_BLOCK_SIZE_BYTES = {6: 1, 7: 2}
_RATE_BYTES = {12: 1, 13: 2, 14: 2}
_MOST_IN_BYTES = (1 << 7, 1 << 11, 1 << 16, 1 << 21, 1 << 26, 1 << 31, 1 << 36)
"""Numbers up to here take one byte, two bytes, …"""


class FlacOutput(Output):
    """Counts the blocks, each of which is written as one piece."""

    states_length = True

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._info: StreamInfo | None = None
        self._stated = 0
        self._last: deque[bytes] = deque(maxlen=2)  # blocks, since it listens
        self._blocks_inserted = 0

    def write(self, data: bytes) -> int:
        """Take a piece."""
        if _is_block(data):
            self._last.append(data)
        return super().write(data)

    def landed(self, piece: bytes) -> bool:
        """Count a block."""
        if self._info is None and len(piece) == 38 and piece[0] & 0x7F == 0:
            self._info = StreamInfo(8, piece[4:])
        elif self._info is not None and _is_block(piece):
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

    # ---- long silence ----

    def listen(self) -> None:
        """Forget the blocks before."""
        self._last.clear()

    def repeat_silence(self, frames: int) -> int:
        """Repeat the last block, if it is like the one before."""
        if len(self._last) < 2 or self._info is None:
            return 0
        (_, before), (number, block) = map(_split, self._last)
        if before != block:
            return 0
        block_size = self._info.block_size
        number += self._blocks_inserted

        def insert(done: int, some: int) -> None:
            numbers = np.arange(number + 1 + done, number + 1 + done + some)
            for most in _MOST_IN_BYTES:  # those of a length together
                alike, numbers = numbers[numbers < most], numbers[numbers >= most]
                if len(alike):
                    self.insert(_blocks(alike, block))
                    self._blocks_inserted += len(alike)
                    self._frames += len(alike) * block_size

        before_all = self._blocks_inserted
        try:
            self.some_at_a_time(frames // block_size, _BLOCKS_AT_ONCE, insert)
        except OSError:
            if self._blocks_inserted == before_all:
                raise
        return (self._blocks_inserted - before_all) * block_size

    def renumbered(self, data: bytes) -> bytes:
        """Return a block with the number that it has behind what was inserted."""
        if not _is_block(data):
            return data
        number, block = _split(data)
        return _blocks(np.array([number + self._blocks_inserted]), block)

    def finish(self, frames: int) -> None:
        """Put the right total into STREAMINFO, without the sum of samples and sizes of blocks."""
        if self._blocks_inserted and self._info is not None:
            self.put(bytes(16), self._info.offset + _MD5_OFFSET)
            self.put(bytes(6), self._info.offset + _SIZES_OFFSET)
            self.put(self._info.with_total(frames), self._info.offset + TOTAL_OFFSET)


def _is_block(piece: bytes) -> bool:
    return piece[:2] == b"\xff\xf8"


class _Block(NamedTuple):
    """A block but for its number: what stands before and behind that, and the audio's sum."""

    start: bytes
    sizes: bytes
    audio: bytes
    audio_sum: int


def _split(block: bytes) -> tuple[int, _Block]:
    """Return a block's number, and the rest of it."""
    lead = block[4]
    length = 1 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length()
    number = lead if length == 1 else lead & (0x7F >> length)
    for byte in block[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    extra = _BLOCK_SIZE_BYTES.get(block[2] >> 4, 0) + _RATE_BYTES.get(block[2] & 15, 0)
    sum_at = 4 + length + extra
    header = np.frombuffer(block[: sum_at + 1], np.uint8)[None]
    audio = block[sum_at + 1 : -2]
    of_audio = _moved(_sums(header, _SUM_16), 8 * len(audio)) ^ int.from_bytes(block[-2:], "big")
    return number, _Block(block[:4], block[4 + length : sum_at], audio, int(of_audio[0]))


def _blocks(numbers: NDArray[np.int64], block: _Block) -> bytes:
    """Return blocks that differ in their numbers, all of which take the same number of bytes."""
    start, sizes, audio, audio_sum = block
    length = next(i for i, most in enumerate(_MOST_IN_BYTES, 1) if numbers[-1] < most)
    header = 4 + length + len(sizes)
    made = np.empty((len(numbers), header + 1 + len(audio) + 2), np.uint8)
    made[:, :4] = np.frombuffer(start, np.uint8)
    for place in range(length):
        bits = numbers >> 6 * (length - 1 - place)
        lead = (0xFF00 >> length & 0xFF) if length > 1 else 0
        made[:, 4 + place] = bits | lead if place == 0 else bits & 0x3F | 0x80
    made[:, 4 + length : header] = np.frombuffer(sizes, np.uint8)
    made[:, header] = _sums(made[:, :header], _SUM_8)
    made[:, header + 1 : -2] = np.frombuffer(audio, np.uint8)
    # The sum over the audio is the same for all; that of the header is moved before it.
    sums = _moved(_sums(made[:, : header + 1], _SUM_16), 8 * len(audio)) ^ audio_sum
    made[:, -2], made[:, -1] = sums >> 8, sums & 0xFF
    return made.tobytes()


def _sum_table(polynomial: int, bits: int) -> tuple[int, NDArray[np.uint32]]:
    table = np.arange(256, dtype=np.uint32) << (bits - 8)
    for _ in range(8):
        over = table >> (bits - 1) & 1
        table = (table << 1 ^ over * polynomial) & ((1 << bits) - 1)
    return bits, table.astype(np.uint32)


_SUM_8, _SUM_16 = _sum_table(0x107, 8), _sum_table(0x18005, 16)


def _sums(rows: NDArray[np.uint8], kind: tuple[int, NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """Return the check sum of each row."""
    bits, table = kind
    mask = (1 << bits) - 1
    sums = np.zeros(len(rows), np.uint32)
    for column in rows.T:
        added = table[sums >> (bits - 8) ^ column]
        sums <<= 8
        sums &= mask
        sums ^= added
    return sums


def _moved(sums: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    """Return the 16-bit sums of the same bytes with so many zero bits behind them."""
    powers = _powers()
    moved = np.zeros_like(sums)
    for place in range(16):
        moved ^= (sums >> place & 1) * powers[(bits + place) % len(powers)]
    return moved


@lru_cache(maxsize=1)
def _powers() -> NDArray[np.uint32]:
    """Return the powers of x modulo the polynomial of the 16-bit sum, which then repeat."""
    powers = [1]
    while (power := powers[-1] << 1 ^ (0x18005 if powers[-1] & 0x8000 else 0)) != 1:
        powers.append(power)
    return np.array(powers, np.uint32)
