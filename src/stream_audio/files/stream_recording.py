"""A recording that goes to a file object: what cannot be taken back is written only once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap
from stream_audio.errors import ConfigError, ConfigTypeError
from stream_audio.files.byte_stream import ByteStream
from stream_audio.files.encoder import SAMPLE_BYTES, Encoder
from stream_audio.files.wav_header import format_chunk, stream_header
from stream_audio.files.writer import Container, Encoding, Samples

STREAMABLE = ("WAV", "FLAC", "OGG", "OPUS", "MP3", "AU", "RAW")
"""Containers that can be written without ever going back, by their names here."""

_SILENCE_AT_ONCE = 65_536
"""Frames. A long gap takes no more memory than this much silence."""


class _Format(Protocol):
    """Makes the bytes of one stream."""

    def begin(self) -> None: ...

    def write(self, samples: Samples) -> None: ...

    def close(self) -> None: ...


class StreamRecording:
    """Writes chunks to one file object.

    Raises OSError as the object gives it. After one that a write raised, the stream may end in
    the midst of a frame, so every later write raises the same.
    """

    def __init__(
        self,
        stream: ByteStream,
        container: Container,
        subtype: str,
        encoding: Encoding,
        sample_rate: int,
        channels: int,
        *,
        gaps_are_silence: bool,
    ) -> None:
        self._stream = stream
        self._channels = channels
        self._silence = gaps_are_silence
        self.frames = 0
        self.taken = 0
        """When a write raises: how many frames of its chunk are out entirely."""
        self._error: OSError | None = None
        self._frame_bytes = 0
        self._format: _Format
        if container.name == "WAV" and subtype in SAMPLE_BYTES:
            self._frame_bytes = SAMPLE_BYTES[subtype] * channels
            self._format = _Wav(stream, sample_rate, channels, subtype)
        else:
            self._format = _Encoded(stream, container, subtype, sample_rate, channels, encoding)
        stream.begin()

    def begin(self) -> None:
        """Do nothing: the header goes out with the first samples, when all has started."""

    def write(self, chunk: AudioChunk) -> None:
        """Append a chunk, with silence for what is missing before it."""
        if self._error is not None:
            raise OSError(*self._error.args)
        self.taken = 0
        missing = sum(gap.frames for gap in chunk.gaps) if self._silence else 0
        before = 0
        try:
            self._format.begin()
            while missing:
                some = min(missing, _SILENCE_AT_ONCE)
                self._format.write(np.zeros((some, self._channels), np.int16))
                missing -= some
                self.frames += some
            before = self._stream.written
            self._format.write(chunk.data)
        except Exception as error:
            if before and self._frame_bytes:
                self.taken = (self._stream.written - before) // self._frame_bytes
                self.frames += self.taken
            self._error = as_os_error(error)
            raise self._error from error
        self.frames += chunk.frames

    def settle(self) -> None:
        """Do nothing: all that was made of the audio is out."""

    def close(self) -> None:
        """Complete the stream, unless a write has failed."""
        try:
            if self._error is None:
                self._format.begin()  # a stream without a frame has a header too
                self._format.close()
        except Exception as error:
            raise as_os_error(error) from error
        finally:
            self._stream.let_go()

    def discard(self) -> None:
        """Leave the object as it was: nothing is written before the session has begun."""
        self._stream.let_go()

    def lost(self) -> tuple[Gap, ...]:
        """Return nothing: what was taken is out."""
        return ()


def check_stream(
    stream: ByteStream, container: Container, subtype: str, encoding: Encoding
) -> None:
    """Raise if a file object cannot take such a container, or such settings."""
    for key in ("rf64", "bext", "fsync"):
        if key in encoding:
            raise ConfigTypeError(f"{key} is for files with a path", hint="Leave it out")
    if not stream.seekable and container.name not in STREAMABLE:
        raise ConfigError(
            f"{stream.name} cannot be sought, and {container.name} is completed at its beginning",
            hint=f"These can be streamed: {', '.join(STREAMABLE)}",
        )
    if not stream.seekable and container.name == "WAV" and subtype not in SAMPLE_BYTES:
        raise ConfigError(
            f"{subtype} cannot be streamed as WAV",
            hint=f"WAV streams are of {', '.join(SAMPLE_BYTES)}; AU and RAW hold {subtype} too",
        )


def as_os_error(error: Exception) -> OSError:
    """Return an error of a user's object as the system would put it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return OSError(errno.EIO, str(error) or type(error).__name__)


class _Wav:
    """PCM and float: a header with an unknown length, put right at the end where it can be."""

    def __init__(self, stream: ByteStream, sample_rate: int, channels: int, subtype: str) -> None:
        self._stream = stream
        self._frame_bytes = SAMPLE_BYTES[subtype] * channels
        self._format = format_chunk(sample_rate, channels, subtype)
        self._encode = Encoder(subtype).encode

    def begin(self) -> None:
        if not self._stream.written:
            self._stream.write(stream_header(self._format, self._frame_bytes))

    def write(self, samples: Samples) -> None:
        self._stream.write(self._encode(samples).tobytes())

    def close(self) -> None:
        if not self._stream.seekable:
            return
        data_bytes = self._stream.written - len(stream_header(self._format, self._frame_bytes))
        if data_bytes % 2:
            self._stream.write(b"\0")  # chunks are padded to even length
        self._stream.put_right(stream_header(self._format, self._frame_bytes, data_bytes), 0)


class _Encoded:
    """What libsndfile makes: into memory, and from there to the stream, so it meets no error."""

    def __init__(
        self,
        stream: ByteStream,
        container: Container,
        subtype: str,
        sample_rate: int,
        channels: int,
        encoding: Encoding,
    ) -> None:
        from stream_audio.files.libsndfile import samples, writer
        from stream_audio.files.libsndfile.limits import check_holds

        self._stream = stream
        self._name = "OGG" if container.name == "OPUS" else container.name
        self._memory = _Memory()
        self._convert: Callable[[Samples], Any] = samples.converter(subtype)
        check_holds(self._name, subtype, sample_rate, channels)
        settings = (self._name, subtype, sample_rate, channels, encoding)
        self._open: Callable[[], Any] = partial(writer.open_sound, self._memory, *settings)
        self._sound: Any = None

    def begin(self) -> None:
        if self._sound is None:
            self._sound = self._open()

    def write(self, samples: Samples) -> None:
        for start in range(0, len(samples), 4096):  # see LibsndfileWriter
            self._sound.write(self._convert(samples[start : start + 4096]))
        self._forward()

    def close(self) -> None:
        self._sound.close()
        self._forward()

    def _forward(self) -> None:
        """Send what was made; what belongs before that only where it can still get there."""
        stream, pieces = self._stream, self._memory.take()
        for index, (offset, piece) in enumerate(pieces):
            if stream.seekable:
                self._put(offset, piece)
                continue
            anew = any(at == offset for at, _ in pieces[index + 1 :])
            if offset < self._memory.sent or anew:
                continue  # a length that nobody can be told, or one that is told anew at once
            self._memory.sent = offset + len(piece)
            if self._name == "AU":
                piece = _of_unknown_length(offset, piece)
            if self._name == "MP3" and offset == 0:
                continue  # the place for the number of frames: a reader would play it
            stream.write(piece)

    def _put(self, offset: int, piece: bytes) -> None:
        within = min(len(piece), max(0, self._stream.written - offset))
        if within:
            self._stream.put_right(piece[:within], offset)
        if within < len(piece):
            self._stream.write(bytes(offset + within - self._stream.written) + piece[within:])


def _of_unknown_length(offset: int, piece: bytes) -> bytes:
    """Return an AU header that says so, in the field for the bytes of samples."""
    return piece[:8] + b"\xff\xff\xff\xff" + piece[12:] if offset == 0 else piece


class _Memory:
    """What libsndfile writes to."""

    def __init__(self) -> None:
        self.sent = 0  # of what goes in order: up to where
        self._position = 0
        self._size = 0
        self._pieces: list[tuple[int, bytes]] = []

    def take(self) -> list[tuple[int, bytes]]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:
        self._pieces.append((self._position, bytes(data)))
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)
