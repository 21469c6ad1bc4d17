"""How long an MPEG audio file is: its frames are counted, as nothing else tells.

A file may begin with a frame that says how many follow (Xing's, Fraunhofer's). Where there is
none, libsndfile guesses by the length of the first frame, and reads no further: of a file of
variable bit rate half may be missing, or four times as much be announced. It is given a frame that
tells. Formats: ISO/IEC 11172-3 and 13818-3; the others as LAME writes them.
"""

from __future__ import annotations

import re
import struct
from functools import cache

from stream_audio._record import Record
from stream_audio.files.mending import Diagnosis, Edit, FileBytes, Kept, Stream, edited

_READ_BYTES = 1 << 20
_FIRST_WITHIN = 1 << 16
"""Bytes in which the first frame must begin, behind a tag."""

_DECODER_DELAY = 529
"""Frames that mpg123 leaves out, besides those that the encoder says it put before the audio."""

_BIT_RATES = {  # kbit/s, by layer; MPEG 1, then MPEG 2
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAME_KIND = 0xFE0C
"""Bits of the second and third byte of a header that are the same in all frames of a file."""

_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


class _Kind(Record):
    """What the second and third byte of a header say."""

    layer: int
    mpeg: int  # 1, or 2 for the lower rates too
    samples: int
    length: int


@cache
def _kind(code: int) -> _Kind | None:
    """Return what two bytes of a header say; ``None``: they are of none."""
    version, layer = code >> 11 & 3, 4 - (code >> 9 & 3)
    bit_rate, rate, padding = code >> 4 & 15, code >> 2 & 3, code >> 1 & 1
    if code >> 13 != 7 or version == 1 or layer == 4 or bit_rate in (0, 15) or rate == 3:
        return None
    mpeg = 1 if version == 3 else 2
    hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = _BIT_RATES[mpeg, layer][bit_rate - 1] * 1000
    if layer == 1:
        return _Kind(1, mpeg, 384, (12 * bits // hz + padding) * 4)
    samples = 576 if layer == 3 and mpeg == 2 else 1152
    return _Kind(layer, mpeg, samples, samples // 8 * bits // hz + padding)


def _code(header: bytes) -> int:
    """Return the two bytes that matter; 0 if it is no header."""
    return header[1] << 8 | header[2] if len(header) >= 4 and header[0] == 0xFF else 0


class _Frames(Record):
    """What was counted from a position on."""

    count: int
    runs: tuple[Kept, ...]
    """Where they are, without what stands between them."""
    cut: bool
    """Whether one follows that is not whole."""


class _Tag(Record):
    """What the first frame says, if it says something."""

    frames: int | None
    frames_at: int  # 0: nowhere, or in a way that libsndfile does not read
    bytes_at: int
    padding_at: int  # where LAME says what it added, 3 bytes; 0: nowhere


def examine_mp3(file: FileBytes, start: int) -> Diagnosis | None:
    """Count the frames of an MPEG audio file; ``None`` if there seem to be none."""
    first = _first_frame(file, start)
    if first is None:
        return None
    header = file.read(first, 4)
    kind = _kind(_code(header))
    assert kind is not None
    tag = _read_tag(file, first, header, kind)
    audio = first + kind.length if tag is not None else first
    found = _count(file, audio, _code(header) & _SAME_KIND)
    missing = unclear = ""
    strays = found.runs[-1].end - audio - sum(map(len, found.runs)) if found.runs else 0
    if first > start and file.read(start, 4).strip(b"\0"):
        strays += first - start
    if strays:
        unclear = f"{strays} bytes in it belong to no frame of MPEG audio"
    whole = (Kept(0, file.size),)
    if tag is not None and tag.frames_at and tag.frames == found.count and not strays:
        return Diagnosis("MP3", (), None, whole)
    if tag is not None and tag.frames is not None and tag.frames > found.count:
        missing = (
            f"it is cut short: its header claims {tag.frames} blocks, but it has {found.count}"
        )
    elif found.cut:
        missing = "its last block is cut"
    elif tag is not None and tag.frames and tag.frames < found.count:
        unclear = f"its header claims {tag.frames} blocks only; its end may be missing"
    if tag is not None and tag.frames_at:
        edits = _tag_edits(file, tag, found.count, audio - first + sum(map(len, found.runs)))
        text = f"it is said to have {tag.frames} blocks, but has {found.count}"
        findings = (text,) if tag.frames != found.count else ()
        pieces = edited(0, file.size, edits) if findings else whole
        stream = Stream((*edited(first, audio, edits), *found.runs))
        return Diagnosis("MP3", findings, None, pieces, missing, unclear, (stream,))
    frames = found.count * kind.samples
    streams: tuple[Stream, ...] = ()
    if kind.layer == 3:
        head = _head(header, kind, found.count)
        streams = (Stream((head, *found.runs)),)
    return Diagnosis("MP3", (), frames, whole, missing, unclear, streams)


def _tag_edits(file: FileBytes, tag: _Tag, count: int, size: int) -> list[Edit]:
    """Return what makes a tag say how many frames and bytes there are."""
    edits = []
    if tag.frames != count:
        edits.append(Edit(tag.frames_at, tag.frames_at + 4, count.to_bytes(4, "big")))
        if (
            tag.padding_at and tag.frames
        ):  # what is to be left out at the end is not there, or not there yet
            added = int.from_bytes(file.read(tag.padding_at, 3), "big") & 0xFFF000 | _DECODER_DELAY
            edits.append(Edit(tag.padding_at, tag.padding_at + 3, added.to_bytes(3, "big")))
    if tag.bytes_at:
        edits.append(Edit(tag.bytes_at, tag.bytes_at + 4, (size % 2**32).to_bytes(4, "big")))
    return edits


def _first_frame(file: FileBytes, start: int) -> int | None:
    """Return where the first of two frames begins."""
    window = file.read(start, _FIRST_WITHIN)
    at = window.find(b"\xff")
    while at >= 0:
        kind = _kind(_code(window[at : at + 4]))
        if kind is not None:
            behind = file.read(start + at + kind.length, 4)
            same = (_code(behind) ^ _code(window[at : at + 4])) & _SAME_KIND == 0
            if (same and _kind(_code(behind))) or start + at + kind.length == file.size:
                return start + at
        at = window.find(b"\xff", at + 1)
    return None


def _count(file: FileBytes, start: int, same: int) -> _Frames:
    """Count frames up to the end of the file, over whatever stands between them."""
    count = 0
    position = run = start
    runs: list[Kept] = []
    base, window = start, b""
    lost = False
    header = _headers_of(same)
    while True:
        at = position - base
        if at + 4 > len(window):
            base, window, at = position, file.read(position, _READ_BYTES), 0
            if len(window) < 4:
                break
        code = _code(window[at : at + 4])
        kind = _kind(code) if code & _SAME_KIND == same else None
        if kind is not None and lost:  # two in a row, or it is by chance
            after = window[at + kind.length : at + kind.length + 4]
            behind = _code(after if len(after) == 4 else file.read(position + kind.length, 4))
            if behind & _SAME_KIND != same or _kind(behind) is None:
                kind = None
        if kind is not None:
            if position + kind.length > file.size:
                break
            if lost:
                run, lost = position, False
            count += 1
            position += kind.length
            continue
        if not lost:
            runs.append(Kept(run, position))
            lost = True
            if any(window[at:].startswith(name) for name in _TAGS):
                break
        found = header.search(window, at + 1)
        # One may lie across the end of what was read.
        position = base + (found.start() if found is not None else max(at + 1, len(window) - 2))
    if not lost:
        runs.append(Kept(run, position))
    rest = _code(file.read(runs[-1].end, 4))
    cut = rest & _SAME_KIND == same and _kind(rest) is not None
    return _Frames(count, tuple(run for run in runs if len(run)), cut)


def _headers_of(same: int) -> re.Pattern[bytes]:
    """Return what finds headers of one kind."""
    codes = [code for code in range(same, same + 0x200) if code & _SAME_KIND == same]
    codes = [code for code in codes if _kind(code) is not None]
    seconds = b"".join(re.escape(bytes([byte])) for byte in sorted({c >> 8 for c in codes}))
    thirds = b"".join(re.escape(bytes([byte])) for byte in sorted({c & 0xFF for c in codes}))
    return re.compile(b"\xff[" + seconds + b"][" + thirds + b"]", re.DOTALL)


def _read_tag(file: FileBytes, first: int, header: bytes, kind: _Kind) -> _Tag | None:
    """Return what the first frame says of those that follow; ``None``: it is one of them."""
    if kind.layer != 3:
        return None
    data = file.read(first, min(kind.length, 400))
    if data[36:40] == b"VBRI" and len(data) >= 54:
        return _Tag(int.from_bytes(data[50:54], "big"), 0, 0, 0)
    at = 4 + _side_info_bytes(header, kind)
    if data[at : at + 4] not in (b"Xing", b"Info") or len(data) < at + 12:
        return None
    flags = int.from_bytes(data[at + 4 : at + 8], "big")
    frames = int.from_bytes(data[at + 8 : at + 12], "big") if flags & 1 else None
    if frames == 0xFFFFFFFF:
        frames = 0  # not said either, but there is room to say it
    sizes = ((1, 4), (2, 4), (4, 100), (8, 4))
    lame = at + 8 + sum(size for bit, size in sizes if flags & bit)
    has_lame = len(data) >= lame + 24 and data[lame] != 0
    bytes_at = first + at + 8 + 4 * (flags & 1)
    return _Tag(
        frames,
        first + at + 8 if flags & 1 else 0,
        bytes_at if flags & 2 else 0,
        first + lame + 21 if has_lame else 0,
    )


def _side_info_bytes(header: bytes, kind: _Kind) -> int:
    mono = header[3] >> 6 == 3
    return (17 if mono else 32) if kind.mpeg == 1 else (9 if mono else 17)


def _head(header: bytes, kind: _Kind, count: int) -> bytes:
    """Return two frames to be put before others: one that tells their number, and a silent one.

    mpg123 leaves out what the encoder is said to have put before the audio, and a little more.
    With the silent frame these are just its own samples. Seeking, padding with zeros and a wrong
    size of the file were tried: errors, or another guess.
    """
    side_info = _side_info_bytes(header, kind)
    lame = b"LAME3.100" + bytes(12)
    lame += ((kind.samples - _DECODER_DELAY) << 12 | _DECODER_DELAY).to_bytes(3, "big") + bytes(12)
    info = bytes(side_info) + b"Info" + struct.pack(">II", 1, count + 1) + lame
    return _frame(header, info) + _frame(header, bytes(side_info))


def _frame(header: bytes, body: bytes) -> bytes:
    """Return the smallest frame of the same kind that holds ``body``, filled up with zeros."""
    start = bytes([0xFF, header[1] | 1])  # without a check sum
    for bit_rate in range(1, 15):
        third = header[2] & 0x0C | bit_rate << 4
        kind = _kind(start[1] << 8 | third)
        if kind is not None and kind.length >= 4 + len(body):
            return (start + bytes([third]) + header[3:4] + body).ljust(kind.length, b"\0")
    raise AssertionError(f"no frame holds {len(body)} bytes")
