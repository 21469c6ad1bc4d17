"""Where the audio in a file ends, whatever its header claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream_audio._record import Record
from stream_audio.files.mending import FileBytes

MANY_ZEROS = 4096
"""Bytes. So many and more are no padding any more, but silence, or room that was kept."""

_GUESSES = range(0x7FFFEF00, 0x80000100)
"""Sizes that writers begin with when they cannot go back to put the right one in."""

_LOOKED_AT = 1 << 16
_UNKNOWN = 1 << 62


class Extent(Record):
    """Where the audio ends.

    Attributes
    ----------
    audio : int
        Position of the first byte that is no audio, or not of a whole frame.
    after : int
        Position from which on the file is kept: chunks that follow the audio.
    finding : str
        What is wrong with the length that is claimed; empty if nothing is.
    missing, unclear : str
        As in a :class:`~stream_audio.files.mending.Diagnosis`.
    """

    audio: int
    after: int
    finding: str = ""
    missing: str = ""
    unclear: str = ""


def too_short(claimed: int, units: str, there: int) -> str:
    """Say that there is less than a header claims."""
    return f"it is cut short: its header claims {claimed} {units}, but it has {there}"


def stated(value: int) -> int | None:
    """Return a length of 32 or 64 bits in a header; ``None``: it says that it is unknown."""
    return None if value in (0xFFFFFFFF, -1) or value >= _UNKNOWN or value < 0 else value


def is_guess(value: int) -> bool:
    """Whether a length is one that writers begin with when they cannot correct it later."""
    return value in _GUESSES


def outer_claim(size: int, stated_end: int, claim: int | None) -> tuple[str, str]:
    """Return what is missing and unclear by the size of all, where that of the audio is not said.

    Parameters
    ----------
    size : int
        Bytes of the file.
    stated_end : int
        Bytes that it has by its header.
    claim : int, optional
        Bytes of audio that it has by its header; 0 or ``None``: it does not say.
    """
    if claim or stated(stated_end) is None or stated_end <= 16 or is_guess(stated_end):
        return "", ""
    if stated_end > size + 8 and stated_end < 0xFFFFFF00:
        return (
            f"it is cut short: its header claims {stated_end} bytes in all, but it has {size}",
            "",
        )
    if stated_end < size - 8:
        return "", f"its header claims {stated_end} bytes in all, but it has {size}"
    return "", ""


def tail_is_no_audio(
    file: FileBytes, start: int, tags: Sequence[bytes], frame_bytes: int
) -> tuple[bool, str]:
    """Return whether what follows a claimed end is no audio, and what is unclear about it."""
    if file.size - start < frame_bytes:
        return True, ""
    rest = file.read(start, _LOOKED_AT)
    if any(rest.startswith(tag) or rest[1:].startswith(tag) for tag in tags):
        return True, ""
    if any(rest) or file.first_nonzero(start) is not None:
        return False, ""
    zeros = file.size - start
    if zeros < MANY_ZEROS:
        return True, ""
    return True, f"{zeros} zero bytes follow what its header claims: silence, or unused room"


def padding_in_doubt(file: FileBytes, end: int, frame_bytes: int, align: int) -> str:
    """Return what is unclear of audio whose length nobody says, and which may be padded."""
    if align != 2 and end == file.size:  # what is not followed is seldom padded
        return ""
    last = file.read(end - align + 1, align - 1)
    frames = (len(last) - len(last.rstrip(b"\0"))) // frame_bytes
    return f"it does not say its length, and its last {frames} frames may be padding" * bool(
        frames
    )


def find_extent(
    file: FileBytes,
    body: int,
    claims: Sequence[int | None],
    frame_bytes: int | None,
    leads_on: Callable[[int], bool],
    tail: Callable[[], int],
    align: int = 1,
) -> Extent:
    """Find where audio ends that begins at ``body``.

    Parameters
    ----------
    file : FileBytes
        The file.
    body : int
        Where its audio begins.
    claims : sequence of int or None
        Bytes of audio as the header has them, the best first; ``None``: unknown.
    frame_bytes : int, optional
        Bytes of a frame; ``None``: its frames have no fixed number of bytes.
    leads_on : callable
        Whether from a position chunks lead to the end of the file.
    tail : callable
        Returns where chunks begin that follow the audio and lead to the end of the file, or that
        end.
    align : int
        Zeros may pad the audio to a multiple of so many bytes.
    """
    size = file.size
    first = claims[0]
    for claim in claims:
        if claim is None:
            continue
        # A length of 32 bits that passed 4 GiB began again at 0, perhaps more than once.
        for wraps in range((size - body) // 2**32 + 1):
            audio = body + claim + wraps * 2**32
            if audio == size or (audio < size and leads_on(audio)):
                finding = ""
                if wraps:
                    finding = f"its sizes passed 4 GiB and began again at 0, {wraps} times"
                elif claim != first:
                    finding = _said(first, claim)
                return Extent(audio, audio, finding)
    if first and body + first < size:
        tags = (b"TAG", b"APETAGEX", b"ID3")
        no_audio, unclear = tail_is_no_audio(file, body + first, tags, frame_bytes or 1)
        if no_audio:
            return Extent(body + first, body + first, unclear=unclear)
    after = tail()
    count = after - body
    missing = unclear = ""
    known = [claim for claim in claims if claim]
    if known and max(known) > count:
        if any(map(is_guess, known)):
            unclear = "its header has a length that its writer never corrected"
        else:
            missing = too_short(max(known), "bytes of audio", count)
    elif not first and frame_bytes:
        unclear = padding_in_doubt(file, after, frame_bytes, align)
    elif first:
        unclear = f"its header claims {first} bytes of audio only; its end may be missing"
    finding = _said(first, count)
    cut = count % frame_bytes if frame_bytes else 0
    if cut and after == size and (cut >= align or any(file.read(after - cut, cut))):
        missing = missing or f"its last frame is cut: it has {cut} of {frame_bytes} bytes"
    return Extent(after - cut, after, finding, missing, unclear)  # else it is padding


def _said(stated: int | None, count: int) -> str:
    said = "unknown" if stated is None else f"{stated}"
    return f"the size of the audio is {said} instead of {count} bytes"
