"""What is wrong with a FLAC file, and what it should be: a matter of its first and last bytes.

Each frame says where it stands, and ends with a check sum. So the last whole frame tells how long
the file is, without decoding the rest. Format: RFC 9639.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

from stream_audio.errors import FileError
from stream_audio.files.mending import Diagnosis, Edit, FileBytes, Kept, edited

TOTAL_OFFSET = 10
"""Where in STREAMINFO rate, channels, bits and the total of frames stand, in 8 bytes."""

TOTAL_MASK = (1 << 36) - 1

_STREAMINFO_BYTES = 34
_MD5_OFFSET = 18
_MAX_METADATA_BLOCKS = 10_000

_FIRST_WINDOW = 1 << 16
_LAST_WINDOW = 1 << 24
"""Bytes at the end in which a whole frame is looked for; a frame cannot be much larger."""

_MAX_CHECKED = 1 << 24
"""Bytes that are summed up before the search is given up."""

_SYNC = re.compile(rb"\xff[\xf8\xf9][^\x0f\xff][\x00-\xae]", re.DOTALL)

_BLOCK_SIZES = {1: 192, **{code: 144 << code for code in range(2, 6)}} | {
    code: 1 << code for code in range(8, 16)
}


def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for value in range(256):
        remainder = value << (bits - 8)
        for _ in range(8):
            remainder = (remainder << 1) ^ (polynomial if remainder & top else 0)
        table.append(remainder & mask)
    return tuple(table)


_CRC8 = _crc_table(0x107, 8)
_CRC16 = _crc_table(0x18005, 16)


def crc8(data: bytes) -> int:
    """Return the check sum of a frame's header; 0 if it is part of ``data``."""
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def crc16(data: bytes) -> int:
    """Return the check sum of a frame; 0 if it is part of ``data``."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


@dataclass(frozen=True)
class StreamInfo:
    """The one metadata block that every FLAC file has, and where it is."""

    offset: int
    data: bytes

    @property
    def block_size(self) -> int:
        """Frames in the largest block; in each but the last, where they are counted by block."""
        return int.from_bytes(self.data[2:4], "big")

    @property
    def total(self) -> int:
        """Frames in all; 0: not known."""
        return self._fields & TOTAL_MASK

    @property
    def has_md5(self) -> bool:
        """Whether it has a sum of all samples."""
        return any(self.data[_MD5_OFFSET:])

    @property
    def _fields(self) -> int:
        return int.from_bytes(self.data[TOTAL_OFFSET:_MD5_OFFSET], "big")

    def with_total(self, total: int) -> bytes:
        """Return the eight bytes at :data:`TOTAL_OFFSET` for another total."""
        return struct.pack(">Q", self._fields & ~TOTAL_MASK | total & TOTAL_MASK)


@dataclass(frozen=True)
class _Frame:
    """A place where a block of audio may begin, by its header."""

    start: int
    number: int  # of the block, or of its first frame if blocks differ in size
    by_frame: bool
    block_size: int

    def end(self, usual_block_size: int) -> int:
        """Return the position of the first frame after it."""
        first = self.number if self.by_frame else self.number * usual_block_size
        return first + self.block_size


def examine_flac(file: FileBytes, start: int) -> Diagnosis:
    """Find out what is wrong with a FLAC stream that begins at ``start``.

    Raises
    ------
    FileError
        It cannot be mended: its head is incomplete, or it holds no whole block of audio.
    """
    info, audio = _read_head(file, start)
    end = file.size
    if audio >= end:
        raise FileError("it cannot be mended: it ends before its audio begins")
    last, whole_end = _last_whole_frame(file, info, audio, end)
    total = last.end(info.block_size or last.block_size)

    findings = []
    if whole_end < end:
        findings.append(f"its last block is cut: {end - whole_end} bytes of it are there")
    if info.total == 0:
        findings.append(f"the header does not say how long it is; it has {total} frames")
    elif info.total != total:
        findings.append(f"it is said to have {info.total} frames, but has {total}")
    if not findings:
        return Diagnosis("FLAC", (), total, (Kept(0, file.size),))
    place = info.offset + TOTAL_OFFSET
    edits = [Edit(place, place + 8, info.with_total(total))]
    if info.has_md5 and (whole_end < end or info.total):
        # The sum of samples that are not there any more: all zero means that there is none.
        edits.append(Edit(place + 8, place + 24, bytes(16)))
    return Diagnosis("FLAC", tuple(findings), total, edited(0, whole_end, edits))


def _read_head(file: FileBytes, start: int) -> tuple[StreamInfo, int]:
    """Return STREAMINFO, and where the audio begins."""
    offset = start + 4
    info = None
    for _ in range(_MAX_METADATA_BLOCKS):
        header = file.read(offset, 4)
        if len(header) < 4:
            break
        size = int.from_bytes(header[1:], "big")
        if info is None:
            data = file.read(offset + 4, _STREAMINFO_BYTES)
            if header[0] & 0x7F or size != _STREAMINFO_BYTES or len(data) < _STREAMINFO_BYTES:
                break
            info = StreamInfo(offset + 4, data)
        offset += 4 + size
        if header[0] & 0x80:  # the last one
            return info, offset
    raise FileError("it cannot be mended: its head is incomplete")


def _last_whole_frame(
    file: FileBytes, info: StreamInfo, audio: int, end: int
) -> tuple[_Frame, int]:
    """Return the last whole frame, and where it ends."""
    window = _FIRST_WINDOW
    while True:
        start = max(audio, end - window)
        data = file.read(start, end - start)
        found = _search(data, info)
        if found is not None:
            frame, length = found
            return frame, start + length
        if start == audio or window >= _LAST_WINDOW:
            raise FileError("it cannot be mended: it holds no whole block of audio near its end")
        window *= 4


def _search(data: bytes, info: StreamInfo) -> tuple[_Frame, int] | None:
    """Return the last whole frame in ``data``, and where in it that ends."""
    frames = [frame for match in _SYNC.finditer(data) if (frame := _parse(data, match.start()))]
    ends = [frame.start for frame in frames] + [len(data)]
    checked = 0
    for after in range(len(frames), 0, -1):
        end = ends[after]
        # What looks like a header inside a frame is skipped: a few at most.
        for frame in reversed(frames[max(0, after - 4) : after]):
            if checked > _MAX_CHECKED:
                return None
            checked += end - frame.start
            if crc16(data[frame.start : end]) == 0 and end - frame.start > 8:
                return frame, end
            if frame is frames[-1] and _decodes(data[frame.start :], frame.block_size, info):
                return frame, end  # whole all the same; what follows it is not audio
    return None


def _decodes(data: bytes, frames: int, info: StreamInfo) -> bool:
    """Whether a whole block stands at the start of ``data``, whatever follows it."""
    import soundfile

    head = info.data[:TOTAL_OFFSET] + info.with_total(frames) + bytes(16)
    stream = io.BytesIO(b"fLaC\x80\0\0\x22" + head + data)
    try:
        with soundfile.SoundFile(stream) as file:
            return len(file.read(frames)) == frames
    except soundfile.SoundFileError:
        return False


def _parse(data: bytes, start: int) -> _Frame | None:
    """Return the frame whose header stands at ``start``, if one does."""
    header = data[start : start + 16]
    if len(header) < 6 or header[3] & 1:
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
    return _Frame(start, number, bool(header[1] & 1), block_size)


def _number_length(first: int) -> int:
    """Return how many bytes a number takes that is coded like UTF-8; 0: it is none."""
    if first < 0x80:
        return 1
    ones = 8 - (first ^ 0xFF).bit_length()
    return ones if 2 <= ones <= 7 else 0
