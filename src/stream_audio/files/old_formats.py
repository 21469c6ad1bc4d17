"""What the headers of older formats claim. They are read as they are; what is missing is told.

Formats as libsndfile reads them: NIST SPHERE, Akai MPC 2000, Audio Visual Research, Creative VOC,
IRCAM, Amiga IFF (8SVX, 16SV), MATLAB 4 and 5, MIDI Sample Dump, Ensoniq PARIS, Psion WVE, HTK.
"""

from __future__ import annotations

import re
import struct

from stream_audio._record import Record
from stream_audio.files.extent import too_short
from stream_audio.files.mending import Diagnosis, Edit, FileBytes, Kept, edited

_MAX_PARTS = 100_000


class _Claim(Record):
    """Where a header says that the file's audio begins and ends."""

    name: str
    begin: int
    end: int | None
    """``None``: it does not say."""
    frame_bytes: int | None = None


def examine_old(file: FileBytes) -> Diagnosis | None:
    """Say what is missing of a file in one of these formats; ``None``: it is in none of them."""
    head = file.read(0, 2048)
    if head[:4] == b"\xf0\x7e" + head[2:3] + b"\x01":
        return _sample_dump(file, head)
    if (htk := _htk(file, head)) is not None:
        return htk
    for read in (
        _nist,
        _mpc,
        _avr,
        _voc,
        _ircam,
        _amiga,
        _matlab_4,
        _matlab_5,
        _paris,
        _pvf,
        _psion,
    ):
        try:
            claim = read(file, head)
        except (struct.error, IndexError, ValueError):  # not without having known its first bytes
            return Diagnosis("", (), None, (Kept(0, file.size),), unclear="its header is damaged")
        if claim is not None:
            return _diagnosis(file, claim)
    return None


def _diagnosis(file: FileBytes, claim: _Claim) -> Diagnosis:
    size, begin, end, frame_bytes = file.size, claim.begin, claim.end, claim.frame_bytes
    missing = unclear = ""
    frames = None
    if end is None:
        cut = (size - begin) % frame_bytes if frame_bytes else 0
        if cut:
            missing = f"its last frame is cut: it has {cut} of {frame_bytes} bytes"
    elif end > size:
        there = max(0, size - begin)
        missing = too_short(end - begin, "bytes of audio", there)
    elif end < size:
        rest = file.first_nonzero(end)
        if frame_bytes and (rest is None or file.read(end, 3) == b"TAG"):
            frames = (end - begin) // frame_bytes  # libsndfile takes all that follows for audio
        else:
            unclear = f"{size - end} bytes follow the audio that its header claims"
    return Diagnosis(claim.name, (), frames, (Kept(0, size),), missing, unclear)


def _nist(file: FileBytes, head: bytes) -> _Claim | None:
    if not head.startswith(b"NIST_1A\n"):
        return None
    begin = int(head[8:16])

    def field(name: bytes) -> int | None:
        found = re.search(name + rb" -i (\d+)", head[:begin])
        return int(found[1]) if found else None

    frame_bytes = (field(b"channel_count") or 1) * (field(b"sample_n_bytes") or 1)
    count = field(b"sample_count")
    if count is None:
        raise ValueError("no sample_count")
    return _Claim("NIST", begin, begin + count * frame_bytes if count else None, frame_bytes)


def _mpc(file: FileBytes, head: bytes) -> _Claim | None:
    if head[:2] != b"\x01\x04" or file.size < 42 or head[21] > 1:
        return None
    frame_bytes = 2 * (1 + head[21])
    frames = struct.unpack_from("<I", head, 26)[0]
    return _Claim("MPC2K", 42, 42 + frames * frame_bytes if frames else None, frame_bytes)


def _avr(file: FileBytes, head: bytes) -> _Claim | None:
    if head[:4] != b"2BIT":
        return None
    stereo, bits = struct.unpack_from(">HH", head, 12)
    frame_bytes = (2 if stereo else 1) * (2 if bits == 16 else 1)
    frames = struct.unpack_from(">I", head, 26)[0]
    return _Claim("AVR", 128, 128 + frames * frame_bytes if frames else None, frame_bytes)


def _voc(file: FileBytes, head: bytes) -> _Claim | None:
    if not head.startswith(b"Creative Voice File\x1a"):
        return None
    position = struct.unpack_from("<H", head, 20)[0]
    blocks = []
    for _ in range(_MAX_PARTS):
        header = file.read(position, 16)
        if len(header) < 4 or header[0] == 0:
            break
        blocks.append((position, header))
        position += 4 + int.from_bytes(header[1:4], "little")
    end = position if position >= file.size else position + 1  # behind the mark of the end
    if len(blocks) == 1 and blocks[0][1][0] == 9 and len(blocks[0][1]) == 16:
        begin, (bits, channels) = blocks[0][0] + 16, blocks[0][1][8:10]
        return _Claim("VOC", begin, end, (bits // 8 or 1) * (channels or 1))
    return _Claim("VOC", 0, end)


def _ircam(file: FileBytes, head: bytes) -> _Claim | None:
    layout = "<" if head[:2] == b"\x64\xa3" else ">" if head[2:4] == b"\xa3\x64" else ""
    if not layout:
        return None
    channels, coding = struct.unpack_from(layout + "II", head, 8)
    sample_bytes = {1: 1, 2: 2, 4: 4, 0x40004: 4, 0x10001: 1, 0x20001: 1, 8: 8}.get(coding, 1)
    return _Claim("IRCAM", 1024, None, min(channels, 1024) * sample_bytes or 1)


def _amiga(file: FileBytes, head: bytes) -> _Claim | None:
    if head[:4] != b"FORM" or head[8:12] not in (b"8SVX", b"16SV"):
        return None
    position = 12
    for _ in range(_MAX_PARTS):
        header = file.read(position, 8)
        if len(header) < 8:
            break
        size = int.from_bytes(header[4:], "big")
        if header[:4] == b"BODY":
            begin, frame_bytes = position + 8, 1 if head[8:12] == b"8SVX" else 2
            return _Claim("SVX", begin, begin + size if size else None, frame_bytes)
        position += 8 + size + size % 2
    raise ValueError("no BODY")


def _matlab_4(file: FileBytes, head: bytes) -> _Claim | None:
    layout = {b"\0\0\0\0": "<", b"\0\0\3\xe8": ">"}.get(head[:4])
    if layout is None or head[4:12] != struct.pack(layout + "II", 1, 1):
        return None
    position = begin = 0
    for _ in range(_MAX_PARTS):
        header = file.read(position, 20)
        if len(header) < 20:
            break
        kind, rows, columns, _, name = struct.unpack(layout + "5I", header)
        sample_bytes = (8, 4, 4, 2, 2, 1)[min(kind // 10 % 10, 5)]
        begin = position + 20 + name
        position = begin + rows * columns * sample_bytes
    return _Claim("MAT4", begin, position)


def _matlab_5(file: FileBytes, head: bytes) -> _Claim | None:
    if not head.startswith(b"MATL"):
        return None
    layout = "<" if head[126:128] == b"IM" else ">"
    position = begin = end = 128
    for _ in range(_MAX_PARTS):
        header = file.read(position, 64)
        if len(header) < 64 or not any(header[:8]):
            break
        # Flags and dimensions of 16 bytes each, a name, whose size may stand in 2 bytes, samples.
        kind, size = struct.unpack_from(layout + "II", header, 40)
        begin = position + 56 + (size + -size % 8 if kind >> 16 == 0 else 0)
        end = begin + struct.unpack(layout + "I", file.read(begin - 4, 4))[0]
        position += 8 + struct.unpack_from(layout + "I", header, 4)[0]
    return _Claim("MAT5", begin, end)


def _paris(file: FileBytes, head: bytes) -> _Claim | None:
    layout = {b" paf": ">", b"fap ": "<"}.get(head[:4])
    if layout is None:
        return None
    coding, channels = struct.unpack_from(layout + "II", head, 16)
    # 24 bits come in blocks of 10 frames in 32 bytes a channel.
    sample_bytes = {0: 2, 1: 32, 2: 1}.get(coding, 1)
    return _Claim("PAF", 2048, None, min(channels, 1024) * sample_bytes or 1)


def _pvf(file: FileBytes, head: bytes) -> _Claim | None:
    if not head.startswith(b"PVF1\n"):
        return None
    channels, _, bits = map(int, head[5:60].split(b"\n")[0].split())
    frame_bytes = min(channels, 1024) * (bits // 8) or 1
    return _Claim("PVF", head.index(b"\n", 5) + 1, None, max(1, frame_bytes))


def _psion(file: FileBytes, head: bytes) -> _Claim | None:
    if not head.startswith(b"ALawSoundFile**\0"):
        return None
    size = struct.unpack_from(">I", head, 18)[0]
    return _Claim("WVE", 32, 32 + size if size else None, 1)


def _htk(file: FileBytes, head: bytes) -> Diagnosis | None:
    """Put the number of samples right: libsndfile refuses a file with another."""
    if len(head) < 12 or head[8:12] != b"\0\2\0\0":
        return None
    stated, period = struct.unpack_from(">II", head, 0)
    frames = (file.size - 12) // 2
    if not 0 < period < 100_000:
        return None
    if stated == frames and file.size % 2 == 0:
        return Diagnosis("HTK", (), frames, (Kept(0, file.size),))
    edit = Edit(0, 4, frames.to_bytes(4, "big"))
    missing = too_short(stated, "frames", frames) if stated > frames else ""
    unclear = "" if stated >= frames or not stated else f"its header claims {stated} frames only"
    return Diagnosis(
        "HTK",
        (f"it is said to have {stated} frames, but has {frames}",),
        frames,
        edited(0, 12 + 2 * frames, [edit]),
        missing,
        unclear,
    )


def _sample_dump(file: FileBytes, head: bytes) -> Diagnosis | None:
    """Count the packets: libsndfile makes up those that are not there."""
    if len(head) < 21:
        return None
    frames = head[10] | head[11] << 7 | head[12] << 14
    in_a_packet = {2: 60, 3: 40, 4: 30}.get((head[6] + 6) // 7)
    if in_a_packet is None:
        return None
    there = (file.size - 21) // 127 * in_a_packet
    whole = (Kept(0, file.size),)
    if there >= frames + in_a_packet:
        return Diagnosis("SDS", (), None, whole, unclear=f"its header claims {frames} frames only")
    if there >= frames:
        return Diagnosis("SDS", (), None, whole)
    return Diagnosis(
        "SDS", (), there, whole, f"it is cut short: its header claims {frames} frames"
    )


_READERS = (
    _nist,
    _mpc,
    _avr,
    _voc,
    _ircam,
    _amiga,
    _matlab_4,
    _matlab_5,
    _paris,
    _pvf,
    _psion,
)
