"""A WAV writer whose file can be opened at any moment, even if the process is killed.

The header is rewritten, after the data it speaks of, about once for every second of audio: one
``pwrite`` within the first page, which a kill cannot tear. It reserves a ``JUNK`` chunk of 28
bytes, which becomes ``ds64`` when the file grows past 4 GiB (EBU Tech 3306, RF64).

Format: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991) for
RIFF and PCM; WAVE_FORMAT_EXTENSIBLE (Microsoft) for more than two channels; EBU Tech 3306 (2009).
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream_audio.files.writer import Container, Encoding
from stream_audio.pcm import float32_bytes, pcm16_bytes, pcm24_bytes

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_EXTENSIBLE_GUID = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN_SIZE = 0xFFFFFFFF

SUBTYPES: dict[str, tuple[int, int, Callable[[NDArray[np.float32]], bytes]]] = {
    "PCM_16": (_PCM, 2, pcm16_bytes),
    "PCM_24": (_PCM, 3, pcm24_bytes),
    "FLOAT": (_FLOAT, 4, float32_bytes),
}
"""Sample types by their libsndfile name: format tag, bytes a sample, encoder."""

_SILENCE_PIECE = 1 << 20


class WavWriter:
    """Writes one WAV file.

    Parameters
    ----------
    descriptor : int
        Of an empty file, opened for writing; the writer's own from here on.
    sample_rate : int
        Hz.
    channels : int
        1 to 64.
    subtype : str
        A key of :data:`SUBTYPES`.

    Raises
    ------
    OSError
        From here and from every other method, as the system gives it.
    """

    def __init__(
        self, descriptor: int, sample_rate: int, channels: int, subtype: str, encoding: Encoding
    ) -> None:
        self.start_time: float | None = None
        self._tag, self._sample_bytes, self._encode = SUBTYPES[subtype]
        self._sample_rate = sample_rate
        self._channels = channels
        self._frame_bytes = channels * self._sample_bytes
        self._header_bytes = len(self._header(0))
        self._bytes = 0
        self._bytes_in_header = 0
        self._file = descriptor
        try:
            self._write_header()
            os.lseek(self._file, self._header_bytes, os.SEEK_SET)
        except BaseException:
            os.close(self._file)
            raise

    @property
    def frames(self) -> int:
        """Frames written."""
        return self._bytes // self._frame_bytes

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
        return self._header_bytes + self._bytes

    @property
    def max_frames(self) -> int:
        """The most frames that this file can hold."""
        return sys.maxsize

    def write(self, samples: NDArray[np.float32], silence_before: int = 0) -> None:
        """Append ``silence_before`` frames of silence and the samples, or (by raising) nothing.

        Parameters
        ----------
        samples : ndarray of float32, shape (frames, channels)
            Full scale ±1.0.
        silence_before : int
            Frames.
        """
        before = self._bytes
        try:
            left = silence_before * self._frame_bytes
            while left > 0:
                piece = min(left, _SILENCE_PIECE)
                self._append(bytes(piece))
                left -= piece
            self._append(self._encode(samples))
        except BaseException:
            self._bytes = before
            with contextlib.suppress(OSError):  # the error that matters is the one under way
                os.lseek(self._file, self._header_bytes + before, os.SEEK_SET)
                os.ftruncate(self._file, self._header_bytes + before)
            raise
        if self._bytes - self._bytes_in_header >= self._sample_rate * self._frame_bytes:
            # The samples are in the file: an error here is not theirs. The next chunk tries again,
            # and close() does not keep it back.
            with contextlib.suppress(OSError):
                self._write_header()

    def close(self) -> None:
        """Complete the header and close the file."""
        try:
            self._write_header()
            if self._bytes % 2:
                os.write(self._file, b"\0")  # chunks are padded to even length
        finally:
            os.close(self._file)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._file, view)
            self._bytes += written
            view = view[written:]

    def _write_header(self) -> None:
        os.pwrite(self._file, self._header(self._bytes), 0)
        self._bytes_in_header = self._bytes

    def _header(self, data_bytes: int) -> bytes:
        """Return everything before the first sample, for so many bytes of samples."""
        fmt = self._format_chunk()
        fact = b""
        if self._tag != _PCM:
            frames = min(data_bytes // self._frame_bytes, _UNKNOWN_SIZE)
            fact = struct.pack("<4sII", b"fact", 4, frames)
        rest = fmt + fact
        riff_bytes = 4 + 36 + len(rest) + 8 + data_bytes + data_bytes % 2
        if riff_bytes <= _UNKNOWN_SIZE:
            start = struct.pack("<4sI4s4sI28x", b"RIFF", riff_bytes, b"WAVE", b"JUNK", 28)
            data = struct.pack("<4sI", b"data", data_bytes)
        else:
            start = struct.pack("<4sI4s", b"RF64", _UNKNOWN_SIZE, b"WAVE")
            frames = data_bytes // self._frame_bytes
            start += struct.pack("<4sIQQQI", b"ds64", 28, riff_bytes, data_bytes, frames, 0)
            data = struct.pack("<4sI", b"data", _UNKNOWN_SIZE)
        return start + rest + data

    def _format_chunk(self) -> bytes:
        extensible = self._channels > 2
        fields = struct.pack(
            "<HHIIHH",
            _EXTENSIBLE if extensible else self._tag,
            self._channels,
            self._sample_rate,
            self._sample_rate * self._frame_bytes,
            self._frame_bytes,
            self._sample_bytes * 8,
        )
        if extensible:
            # Channel mask 0: the channels are a device's inputs, not loudspeaker positions.
            fields += struct.pack("<HHIH", 22, self._sample_bytes * 8, 0, self._tag)
            fields += _EXTENSIBLE_GUID
        elif self._tag != _PCM:
            fields += struct.pack("<H", 0)  # no extension
        return struct.pack("<4sI", b"fmt ", len(fields)) + fields


CONTAINER = Container(
    name="WAV",
    extensions=(".wav", ".wave"),
    subtypes=tuple(SUBTYPES),
    encoding=frozenset(),
    check=lambda subtype, encoding: None,
    open=WavWriter,
)
