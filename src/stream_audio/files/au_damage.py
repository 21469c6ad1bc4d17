"""What is wrong with an AU file, and what it should be. Format: Sun's and NeXT's, as audio/basic.

Its header ends with the number of bytes of audio; all ones say that nobody knows.
"""

from __future__ import annotations

from typing import Literal

from stream_audio.errors import FileError
from stream_audio.files.extent import find_extent, stated
from stream_audio.files.mending import Diagnosis, Edit, FileBytes, Kept, Piece, edited

_SAMPLE_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
_UNKNOWN = 0xFFFFFFFF


def examine_au(file: FileBytes) -> Diagnosis:
    """Find out what is wrong with it; raises FileError if it has no audio."""
    head = file.read(0, 24)
    order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
    if len(head) < 24:
        raise FileError("it is cut short: it ends in its header")
    body, size, coding, rate, channels = (
        int.from_bytes(head[at : at + 4], order) for at in range(4, 24, 4)
    )
    if not 24 <= body <= file.size:
        raise FileError("it is cut short: it ends before its audio begins")
    if channels == 0 or rate == 0:
        raise FileError(f"it claims {channels} channels at {rate} Hz")
    frame_bytes = _SAMPLE_BYTES[coding] * channels if coding in _SAMPLE_BYTES else None
    extent = find_extent(
        file, body, (stated(size),), frame_bytes, lambda _: False, lambda: file.size
    )
    count = extent.audio - body
    # That it is unknown may be said, but not behind a frame that is cut.
    sound = not extent.finding or (size == _UNKNOWN and not extent.missing)
    pieces: tuple[Piece, ...] = (Kept(0, file.size),)
    if not sound:
        edit = Edit(8, 12, min(count, _UNKNOWN).to_bytes(4, order))
        pieces = (*edited(0, body, [edit]), Kept(body, extent.audio))
    return Diagnosis(
        "AU",
        () if sound else (extent.finding,),
        count // frame_bytes if frame_bytes else None,
        tuple(piece for piece in pieces if len(piece)),
        extent.missing,
        extent.unclear,
    )
