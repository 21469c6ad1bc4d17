"""What is wrong with a FLAC file, and what it should be: a matter of its first and last bytes.

Each frame says where it stands, and ends with a check sum. So the last whole frame tells how long
the file is, without decoding the rest. Format: RFC 9639.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray

from stream_audio._record import Record
from stream_audio.errors import FileError
from stream_audio.files.extent import too_short
from stream_audio.files.flac_frames import (
    HEADER_BYTES,
    Frame,
    blocks_backwards,
    check_terms,
    crc8,
    parse_header,
    sums_behind,
)
from stream_audio.files.mending import Diagnosis, Edit, FileBytes, Stream, edited

__all__ = ["TOTAL_MASK", "TOTAL_OFFSET", "StreamInfo", "crc8", "examine_flac"]

TOTAL_OFFSET = 10
"""Where in STREAMINFO rate, channels, bits and the total of frames stand, in 8 bytes."""

TOTAL_MASK = (1 << 36) - 1

_STREAMINFO_BYTES = 34
_MD5_OFFSET = 18
_MAX_METADATA_BLOCKS = 10_000

_LONGEST_FRAME = 1 << 21
"""Bytes: 65,535 frames of 8 channels of 32 bits, and a little."""

_LEAST_BYTES = 9
"""A frame has a header, a check sum and something between them."""

_ENDS_TRIED = 8
"""Headers behind a frame's own that may be its end; what looks like one inside it is skipped."""

_FRAMES_DECODED = 64
"""A frame with the right check sum is decoded, to be sure; so many times before it is hopeless."""


class StreamInfo(Record):
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
        return self._packed & TOTAL_MASK

    @property
    def has_md5(self) -> bool:
        """Whether it has a sum of all samples."""
        return any(self.data[_MD5_OFFSET:])

    @property
    def _packed(self) -> int:
        return int.from_bytes(self.data[TOTAL_OFFSET:_MD5_OFFSET], "big")

    def with_total(self, total: int) -> bytes:
        """Return the eight bytes at :data:`TOTAL_OFFSET` for another total."""
        return struct.pack(">Q", self._packed & ~TOTAL_MASK | total & TOTAL_MASK)


def examine_flac(file: FileBytes, start: int) -> Diagnosis:
    """Find out what is wrong with a FLAC stream that begins at ``start``.

    Raises
    ------
    FileError
        It cannot be mended: its header is incomplete, or it holds no whole block of audio.
    """
    info, audio = _read_head(file, start)
    if audio >= file.size:
        raise FileError("it is cut short: it ends before its audio begins")
    last, whole_end = _last_whole_frame(file, info, audio)
    first = parse_header(file.read(audio, HEADER_BYTES), audio) or last
    usual = first.block_size if first.start < last.start else info.block_size or last.block_size
    total = last.end(usual) - first.first(usual)
    # In blocks of one size, only the last one may be shorter.
    ended = not last.by_frame and last.block_size < usual

    findings = []
    cut = file.read(whole_end, 1) == b"\xff"  # as a frame begins
    if cut:
        findings.append(f"its last block is cut: {file.size - whole_end} bytes of it are there")
    if info.total == 0:
        findings.append(f"the header does not say how long it is; it has {total} frames")
    elif info.total != total:
        findings.append(f"it is said to have {info.total} frames, but has {total}")
    missing = unclear = ""
    if cut:
        missing = "its last block is cut"
        if info.total > total:
            missing += f", and its header claims {info.total} frames"
    elif info.total > total and not ended:
        missing = too_short(info.total, "frames", total)
    elif info.total == 0 and not ended:
        unclear = "its header does not say how long it is, and it may have been cut between blocks"
    elif info.total < total and not ended:
        unclear = f"its header claims {info.total} frames only; its end may be missing"

    place = info.offset + TOTAL_OFFSET
    edits = [Edit(place, place + 8, info.with_total(total))] if findings else []
    if info.has_md5 and (cut or info.total) and findings:
        # The sum of samples that are not there any more: all zero means that there is none.
        edits.append(Edit(place + 8, place + 24, bytes(16)))
    kept = whole_end if cut else file.size
    return Diagnosis(
        "FLAC",
        tuple(findings),
        total,
        edited(0, kept, edits),
        missing=missing,
        unclear=unclear,
        # libFLAC loses its way in what follows the last block.
        streams=(Stream(edited(start, whole_end, edits)),) if whole_end < kept else (),
    )


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
    raise FileError("it is cut short or damaged: its header is incomplete")


def _last_whole_frame(file: FileBytes, info: StreamInfo, audio: int) -> tuple[Frame, int]:
    """Return the last whole frame, and where it ends."""
    decoder = _Decoder(file, info)
    found = _last_followed_frame(file, decoder, audio)
    last, end = found if found is not None else (None, audio)
    # What follows it may be one more frame, and something that is no audio.
    more = parse_header(file.read(end, HEADER_BYTES), end) if end < file.size else None
    more_end = decoder.end_of(more) if more is not None else None
    if more is not None and more_end is not None:
        return more, more_end
    if last is None:
        raise FileError("it holds no whole block of audio")
    return last, end


def _last_followed_frame(
    file: FileBytes, decoder: _Decoder, audio: int
) -> tuple[Frame, int] | None:
    """Return the last whole frame behind which the file ends or another one seems to begin."""
    starts = np.array([file.size], np.int64)
    sums = np.zeros(1, np.uint16)
    for block in blocks_backwards(file, audio, file.size):
        count = len(block.starts)
        starts = np.concatenate([block.starts, starts[:_ENDS_TRIED]])
        sums = np.concatenate([block.sums, sums[:_ENDS_TRIED]])
        for at, after in _equal_pairs(starts, sums, count):
            start, end = int(starts[at]), int(starts[after])
            frame = parse_header(file.read(start, HEADER_BYTES), start)
            if frame is None:
                continue
            data = file.read(start, end - start)
            if decoder.decodes(frame, data):
                # Zeros behind it leave the sum 0.
                return frame, end if data[-1] else decoder.end_of(frame) or end
            if decoder.tried >= _FRAMES_DECODED:
                return None
    return None


def _equal_pairs(
    starts: NDArray[np.int64], sums: NDArray[np.uint16], count: int
) -> list[tuple[int, int]]:
    """Return which of the first ``count`` starts have which ends, the last ends first."""
    pairs = []
    for ahead in range(1, _ENDS_TRIED + 1):
        fits = min(count, len(starts) - ahead)
        if fits <= 0:
            break
        lengths = starts[ahead : ahead + fits] - starts[:fits]
        equal = (sums[ahead : ahead + fits] == sums[:fits]) & (lengths >= _LEAST_BYTES)
        found = np.flatnonzero(equal & (lengths <= _LONGEST_FRAME))[-_FRAMES_DECODED:]
        pairs += [(int(at), int(at) + ahead) for at in found]
    return sorted(pairs, key=lambda pair: (-pair[1], -pair[0]))


class _Decoder:
    """Tells by decoding whether a frame is whole."""

    def __init__(self, file: FileBytes, info: StreamInfo) -> None:
        self._file = file
        self._info = info
        self.tried = 0

    def decodes(self, frame: Frame, data: bytes) -> bool:
        """Whether a whole frame stands at the start of ``data``, whatever follows it."""
        import soundfile

        self.tried += 1
        info = self._info
        head = info.data[:TOTAL_OFFSET] + info.with_total(frame.block_size) + bytes(16)
        stream = io.BytesIO(b"fLaC\x80\0\0\x22" + head + data)
        try:
            with soundfile.SoundFile(stream) as file:
                return len(file.read(frame.block_size)) == frame.block_size
        except soundfile.SoundFileError:
            return False

    def end_of(self, frame: Frame) -> int | None:
        """Return where a whole frame ends, whatever follows it; ``None``: it is not whole."""
        data = self._file.read(frame.start, _LONGEST_FRAME)
        if not self.decodes(frame, data):
            return None
        sums = sums_behind(check_terms(np.frombuffer(data, np.uint8), frame.start))
        ends = np.flatnonzero(sums == sums[0])
        for length in ends[ends >= _LEAST_BYTES][:_FRAMES_DECODED]:
            if self.decodes(frame, data[:length]):
                return frame.start + int(length)
        return None
