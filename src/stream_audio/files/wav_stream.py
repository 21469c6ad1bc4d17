"""The head of a WAV file that comes through a pipe, where nothing can be looked up later.

Whoever writes to a pipe cannot go back and fill in the length: it is 0 or as large as can be. So
a length is believed only where it can be one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from stream_audio._record import Record
from stream_audio.audio.format import MAX_CHANNELS, MAX_SAMPLE_RATE
from stream_audio.errors import FileError
from stream_audio.files.raw_format import RawFormat
from stream_audio.files.wav_damage import EXTENSIBLE, FIXED_FRAMES, IN_DS64, MAX_CHUNKS

MOST_HEAD = 1 << 24
"""Bytes within which the audio has to begin; covers of albums fit."""

LARGEST = 0x7FFF0000
"""A length from here on is what programs write that do not know it (sox, arecord, ffmpeg)."""

_LARGEST_64 = 1 << 62

_SUBTYPES = {
    (1, 1): "PCM_U8",
    (1, 2): "PCM_16",
    (1, 3): "PCM_24",
    (1, 4): "PCM_32",
    (3, 4): "FLOAT",
    (3, 8): "DOUBLE",
    (6, 1): "ALAW",
    (7, 1): "ULAW",
}
"""By format tag and bytes a sample."""


class WavHead(Record):
    """What stands before the audio.

    Attributes
    ----------
    raw : RawFormat
        What the samples are.
    audio_bytes : int, optional
        How many bytes of audio the head claims; ``None``: it does not say.
    """

    raw: RawFormat
    audio_bytes: int | None


def read_wav_head(read: Callable[[int], bytes]) -> WavHead:
    """Read up to the first byte of the audio.

    ``read(n)`` returns the next ``n`` bytes, or fewer at the end.

    Raises
    ------
    FileError
        It is no WAV file, ends before its audio, or holds a kind of audio that is not supported.
    """
    start = read(12)
    if len(start) < 12 or start[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        what = "is empty" if not start else "does not begin with the header of a WAV file"
        raise FileError(
            f"the stream {what}",
            hint="" if not start else "If it has no header, say what it holds: raw=RawFormat(…)",
        )
    if start[8:] != b"WAVE":
        raise FileError("the stream is a RIFF file, but no WAV file")
    order = ">" if start[:4] == b"RIFX" else "<"
    riff_size = struct.unpack(order + "I", start[4:8])[0]
    raw: RawFormat | None = None
    in_ds64: int | None = None
    position = 12
    for _ in range(MAX_CHUNKS):
        header = read(8)
        position += 8
        if len(header) < 8:
            break
        name, size = header[:4], struct.unpack(order + "I", header[4:])[0]
        if name == b"data":
            if raw is None:
                raise FileError("the stream does not say what kind of audio it holds")
            if size == IN_DS64 and in_ds64 is not None:
                return WavHead(raw, in_ds64 if 0 < in_ds64 < _LARGEST_64 else None)
            if size == 0 and position - 8 < riff_size < LARGEST:
                return WavHead(raw, 0)  # other chunks follow: there is no audio
            return WavHead(raw, size if 0 < size < LARGEST else None)
        padded = size + size % 2
        if position + padded > MOST_HEAD:
            raise FileError(f"the stream's audio does not begin within {MOST_HEAD >> 20} MiB")
        body = read(padded)
        position += padded
        if len(body) < size:
            break
        if name == b"fmt ":
            raw = _format(body, order)
        elif name == b"ds64" and size >= 16:
            in_ds64 = int.from_bytes(body[8:16], "little")
    else:
        raise FileError(f"the stream has over {MAX_CHUNKS} chunks before its audio")
    raise FileError("the stream ends before its audio begins")


def _format(body: bytes, order: str) -> RawFormat:
    if len(body) < 16:
        raise FileError("the stream does not say what kind of audio it holds")
    tag, channels, rate, byte_rate, stated, bits = struct.unpack(order + "HHIIHH", body[:16])
    if tag == EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack(order + "H", body[24:26])[0]
    if not (1 <= channels <= MAX_CHANNELS and 1000 <= rate <= MAX_SAMPLE_RATE):
        raise FileError(
            f"the stream claims {channels} channels at {rate} Hz",
            hint=f"1 to {MAX_CHANNELS} channels and 1000 to {MAX_SAMPLE_RATE} Hz will do",
        )
    frame_bytes = stated
    if tag in FIXED_FRAMES and 1 <= bits <= 64 and byte_rate != stated * rate:
        frame_bytes = channels * ((bits + 7) // 8)  # else the other two vouch for each other
    subtype = _SUBTYPES.get((tag, frame_bytes // channels))
    if subtype is None or frame_bytes % channels:
        raise FileError(
            f"the stream holds audio of a kind that is not supported: format tag {tag:#x}, "
            f"{bits} bits, {frame_bytes} bytes a frame",
            hint="Another program, ffmpeg for example, can turn it into PCM",
        )
    return RawFormat(subtype, rate, channels, "big" if order == ">" else "little")
