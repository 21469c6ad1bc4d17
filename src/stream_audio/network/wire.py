"""How a chunk stands in a message: its samples as the payload, the rest in headers.

Schema 1. Numbers are decimal, names percent-encoded. ``Gaps`` is a JSON list of ``[frame, frames,
cause, seconds]``, the last counted from the chunk's own time. ``Time`` is :attr:`timestamp` and
``Wall-Time`` is :attr:`wall_time` of the chunk.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from stream_audio.audio.chunk import AudioChunk, wall_time_after
from stream_audio.audio.cutting import cut
from stream_audio.audio.format import SampleType
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.audio.samples import sample_bytes, sealed
from stream_audio.errors import ConfigError

SCHEMA = "1"
PREFIX = "Stream-Audio-"
ENCODINGS: dict[str, SampleType] = {
    "pcm16": "int16",
    "pcm24": "int24",
    "float32": "float32",
    "flac": "int16",
    "opus": "float32",
}
"""The payloads, and the type of sample that each is made of."""

_OF_LIBSNDFILE = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}
_MOST_GAPS = 50
HEADER_BYTES = 8192
"""What the headers take at most, gaps and names of a hundred letters included."""

_LARGEST_OVERHEAD = {"flac": 1.2, "opus": 1.2}


def check_encoding(encode: str, sample_rate: int, channels: int) -> None:
    """Raise ConfigError if a payload cannot hold such audio."""
    if encode in _OF_LIBSNDFILE:
        from stream_audio.files.libsndfile.limits import check_holds

        check_holds(*_OF_LIBSNDFILE[encode], sample_rate, channels)


def token(name: str) -> str:
    """Return a name as a part of a subject: any but letters, digits, - and _ is encoded."""
    return re.sub(r"[.~*>]", lambda each: f"%{ord(each[0]):02X}", quote(name, safe=""))


def frames_in(most_bytes: int, encode: str, channels: int) -> int:
    """Return how many frames a message of so many bytes certainly holds, at least 1."""
    width = {"int16": 2, "int24": 3}.get(ENCODINGS[encode], 4)
    room = (most_bytes - HEADER_BYTES) / _LARGEST_OVERHEAD.get(encode, 1.0)
    if encode in _OF_LIBSNDFILE:
        room -= 8192  # what the container takes by itself
    return max(1, int(room // (width * channels)))


def pieces(chunk: AudioChunk, most_frames: int) -> Iterator[AudioChunk]:
    """Yield a chunk in pieces of at most so many frames."""
    for begin in range(chunk.frame, chunk.end, most_frames):
        yield cut(chunk, begin, min(begin + most_frames, chunk.end))


def encode_samples(chunk: AudioChunk, encode: str) -> bytes:
    """Return a chunk's payload."""
    dtype = ENCODINGS[encode]
    if encode not in _OF_LIBSNDFILE:
        return sample_bytes(chunk.data, dtype)
    import soundfile

    from stream_audio.files.libsndfile.samples import converter

    name, subtype = _OF_LIBSNDFILE[encode]
    memory = io.BytesIO()
    with soundfile.SoundFile(
        memory, "w", chunk.sample_rate, chunk.channels, subtype, format=name
    ) as sound:
        sound.write(converter(subtype)(chunk.data))
    return memory.getvalue()


def headers_of(chunk: AudioChunk, session: str, encode: str, epoch: float) -> dict[str, str]:
    """Return what the headers say of a chunk."""
    fields: dict[str, object] = {
        "Schema": SCHEMA,
        "Session": quote(session),
        "Source": quote(chunk.source),
        "Frame": chunk.frame,
        "Frames": chunk.frames,
        "Time": repr(float(chunk.timestamp)),
        "Wall-Time": repr(float(wall_time_after(chunk, epoch))),
        "Rate": chunk.sample_rate,
        "Channels": chunk.channels,
        "Format": encode,
    }
    if chunk.source_rate is not None:
        fields["Source-Rate"] = chunk.source_rate
    if chunk.gaps:
        fields["Gaps"] = json.dumps(
            [
                [gap.frame, gap.frames, gap.cause.value, round(gap.time - chunk.time, 9)]
                for gap in _few(chunk.gaps)
            ],
            separators=(",", ":"),
        )
    return {PREFIX + name: str(value) for name, value in fields.items()}


def _few(gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """Return gaps that fit into a header: where there are too many, the rest as one."""
    if len(gaps) <= _MOST_GAPS:
        return gaps
    kept, rest = gaps[: _MOST_GAPS - 1], gaps[_MOST_GAPS - 1 :]
    first = rest[0]
    frames = sum(gap.frames for gap in rest)
    return (*kept, Gap(first.source, first.frame, frames, first.cause, first.time))


def end_headers(session: str, source: str, frame: int) -> dict[str, str]:
    """Return the headers of the message after the last: the source has ended at a frame."""
    fields = {
        "Schema": SCHEMA, "Session": quote(session), "Source": quote(source), "End": str(frame),
    }  # fmt: skip
    return {PREFIX + name: value for name, value in fields.items()}


def field(headers: Mapping[str, str], name: str) -> str:
    """Return one of our headers.

    Raises
    ------
    ConfigError
        The message has none such, or is of a schema of later days.
    """
    value = headers.get(PREFIX + name)
    if value is None:
        raise ConfigError(f"a message has no header {PREFIX}{name}: NatsSink did not write it")
    return unquote(value) if name in ("Session", "Source") else value


def decode(headers: Mapping[str, str], payload: bytes, epoch: float) -> AudioChunk:
    """Return the chunk that a message holds; ``epoch``: ``time.time()`` at 0 of its clock."""
    if field(headers, "Schema") != SCHEMA:
        raise ConfigError(
            f"a message is of schema {field(headers, 'Schema')!r:.40}, which is not known here",
            hint="Install the stream-audio that wrote it, or a later one",
        )
    frame, frames = int(field(headers, "Frame")), int(field(headers, "Frames"))
    rate, channels = int(field(headers, "Rate")), int(field(headers, "Channels"))
    source, encode = field(headers, "Source"), field(headers, "Format")
    if encode not in ENCODINGS:
        raise ConfigError(f"a message is of format {encode!r:.40}, which is not known here")
    data = _samples(payload, encode, frames, channels)
    time = float(field(headers, "Wall-Time")) - epoch
    origin = float(field(headers, "Time")) - frame / rate
    gaps = json.loads(headers.get(PREFIX + "Gaps", "[]"))
    source_rate = headers.get(PREFIX + "Source-Rate")
    return AudioChunk(
        source,
        sealed(data),
        rate,
        frame,
        time,
        time + frames / rate,
        tuple(
            Gap(source, int(begin), int(length), GapCause(cause), time + float(offset))
            for begin, length, cause, offset in gaps
        ),
        source_rate=None if source_rate is None else int(source_rate),
        _origin=(origin, epoch),
    )


def _samples(payload: bytes, encode: str, frames: int, channels: int) -> NDArray[Any]:
    if encode in _OF_LIBSNDFILE:
        import soundfile

        dtype = "int16" if encode == "flac" else "float32"
        data, _ = soundfile.read(io.BytesIO(payload), dtype=dtype, always_2d=True)
    elif encode == "pcm24":
        packed = np.frombuffer(payload, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(packed), 4), np.uint8)
        wide[:, 1:] = packed
        data = wide.view("<i4").reshape(-1, channels).astype(np.int32)
    else:
        data = np.frombuffer(payload, "<i2" if encode == "pcm16" else "<f4").reshape(-1, channels)
        data = data.astype(data.dtype.newbyteorder("="))
    if data.shape != (frames, channels):
        raise ConfigError(
            f"a message of {frames} frames of {channels} channels holds {data.shape[0]} of "
            f"{data.shape[1]}"
        )
    return np.ascontiguousarray(data)
