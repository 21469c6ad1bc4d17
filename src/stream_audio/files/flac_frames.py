"""The frames of a FLAC stream, found by their headers and check sums. Format: RFC 9639, section 9.

A frame is whole if its check sum of 16 bits comes out as 0. To test many pairs of a beginning and
an end, the sums of all bytes are taken once: the sum is linear, so each byte adds a term that
depends on its value and its position alone. Between two positions with equal sums of all terms
behind them stands a run of bytes whose check sum is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from stream_audio._record import Record
from stream_audio.files.mending import FileBytes

Bytes = NDArray[np.uint8]

HEADER_BYTES = 16
"""The longest header of a frame."""

_BLOCK_SIZES = {1: 192, **{code: 144 << code for code in range(2, 6)}} | {
    code: 1 << code for code in range(8, 16)
}

_SEARCHED_AT_ONCE = 1 << 16
_PERIOD = 32767
"""The powers of x, modulo the polynomial of the 16-bit sum, repeat after so many."""


def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for value in range(256):
        remainder = value << (bits - 8)
        for _ in range(8):
            remainder = (remainder << 1) ^ (polynomial if remainder & top else 0)
        table.append(remainder & mask)
    return tuple(table)


_CRC8 = np.array(_crc_table(0x107, 8), np.uint8)


def crc8(data: bytes) -> int:
    """Return the check sum of a frame's header; 0 if it is part of ``data``."""
    crc = 0
    for byte in data:
        crc = int(_CRC8[crc ^ byte])
    return crc


@cache
def _nibble_terms() -> NDArray[np.uint16]:
    """Return what four bits add, by the power of x that the lowest one stands for."""
    powers = np.empty(_PERIOD + 7, np.uint16)
    value = 1
    for exponent in range(len(powers)):
        powers[exponent] = value
        value = (value << 1) ^ (0x18005 if value & 0x8000 else 0)
    terms = np.zeros((_PERIOD + 4, 16), np.uint16)
    for nibble in range(16):
        for bit in range(4):
            if nibble >> bit & 1:
                terms[:, nibble] ^= powers[bit : bit + len(terms)]
    return terms.reshape(-1)


def check_terms(data: Bytes, start: int) -> NDArray[np.uint16]:
    """Return what each byte adds to the sums, for bytes that begin at ``start`` in the file."""
    first = -8 * start % _PERIOD
    exponents = (first - 8 * np.arange(len(data), dtype=np.int64)) % _PERIOD
    at, terms = exponents * 16, _nibble_terms()
    high: NDArray[np.uint16] = terms[at + 64 + (data >> 4)]
    return high ^ terms[at + (data & 15)]


def sums_behind(terms: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return, for each position, the sum of all terms from there on; one more than terms."""
    sums = np.zeros(len(terms) + 1, np.uint16)
    sums[:-1] = np.bitwise_xor.accumulate(terms[::-1])[::-1]
    return sums


class Frame(Record):
    """A place where a block of audio may begin, by its header."""

    start: int
    number: int  # of the block, or of its first frame if blocks differ in size
    by_frame: bool
    block_size: int

    def first(self, usual_block_size: int) -> int:
        """Return the position of its first frame."""
        return self.number if self.by_frame else self.number * usual_block_size

    def end(self, usual_block_size: int) -> int:
        """Return the position of the first frame after it."""
        return self.first(usual_block_size) + self.block_size


def parse_header(header: bytes, start: int) -> Frame | None:
    """Return the frame whose header this is, if it is one."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    length = _number_length(header[4])
    extra = {6: 1, 7: 2}.get(size_code, 0)
    crc_at = 4 + length + extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not length or len(header) <= crc_at or crc8(header[: crc_at + 1]):
        return None
    number = header[4] if length == 1 else header[4] & (0x7F >> length)
    for byte in header[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    if extra:
        block_size = int.from_bytes(header[4 + length : 4 + length + extra], "big") + 1
    else:
        block_size = _BLOCK_SIZES.get(size_code, 0)
    if not block_size:
        return None
    return Frame(start, number, bool(header[1] & 1), block_size)


def _number_length(first: int) -> int:
    """Return how many bytes a number takes that is coded like UTF-8; 0: it is none."""
    if first < 0x80:
        return 1
    ones = 8 - (first ^ 0xFF).bit_length()
    return ones if 2 <= ones <= 7 else 0


_NUMBER_LENGTHS = np.array([_number_length(first) for first in range(256)], np.int8)
_EXTRA_BYTES = np.array(
    [
        {6: 1, 7: 2}.get(code >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(code & 15, 0)
        for code in range(256)
    ],
    np.int8,
)
_KNOWN_CODES = np.array([code >> 4 != 0 and code & 15 != 15 for code in range(256)])


def headers_in(data: Bytes) -> NDArray[np.int64]:
    """Return where frame headers with a right check sum begin, in all but the last 15 bytes."""
    last = len(data) - HEADER_BYTES + 1
    if last <= 0:
        return np.empty(0, np.int64)
    places = np.flatnonzero((data[:last] == 0xFF) & (data[1 : last + 1] & 0xFE == 0xF8))
    channels_and_bits = data[places + 3]
    lengths = _NUMBER_LENGTHS[data[places + 4]]
    likely = _KNOWN_CODES[data[places + 2]] & (channels_and_bits < 0xB0)
    places = places[likely & (channels_and_bits & 1 == 0) & (lengths > 0)]
    crc_at = 4 + _NUMBER_LENGTHS[data[places + 4]] + _EXTRA_BYTES[data[places + 2]]
    crc = np.zeros(len(places), np.uint8)
    for at in range(HEADER_BYTES):
        crc = np.where(at <= crc_at, _CRC8[crc ^ data[places + at]], crc)
    whole: NDArray[np.int64] = places[crc == 0]
    return whole


class Block(Record):
    """Headers in a stretch of a file, in order, each with the sum of all terms behind it."""

    starts: NDArray[np.int64]
    sums: NDArray[np.uint16]


def blocks_backwards(file: FileBytes, begin: int, end: int) -> Iterator[Block]:
    """Yield the headers between two positions, the last stretch of the file first."""
    behind = np.uint16(0)
    while end > begin:
        start = max(begin, end - _SEARCHED_AT_ONCE)
        # Beyond the end: a header may lie across it. Zeros end no header.
        raw = file.read(start, end - start + HEADER_BYTES - 1)
        data = np.zeros(end - start + HEADER_BYTES - 1, np.uint8)
        data[: len(raw)] = np.frombuffer(raw, np.uint8)
        if data.any():
            sums = sums_behind(check_terms(data[: end - start], start)) ^ behind
            behind = sums[0]
            places = headers_in(data)
            if len(places):
                yield Block(places + start, sums[places])
        end = start
