"""A WAV writer whose file can be opened at any moment, even if the process is killed.

The header speaks of what is in the file already: it is rewritten after the data, at least once for
every half second of audio, by one ``pwrite`` within the first page, which a kill cannot tear. It
reserves a ``JUNK`` chunk of 28 bytes, which becomes ``ds64`` in the same way when the file grows
past 4 GiB (EBU Tech 3306, RF64).

Format: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991) for
RIFF and PCM; WAVE_FORMAT_EXTENSIBLE (Microsoft) for more than two channels; EBU Tech 3306 (2009).
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys

import numpy as np

from stream_audio._checks import one_of, real_number
from stream_audio.files.bext import bext_chunk, check_bext
from stream_audio.files.disk import flush_to_disk, write_at
from stream_audio.files.encoder import SAMPLE_BYTES, Encoder
from stream_audio.files.wav_header import format_chunk
from stream_audio.files.writer import HEADER_LAG, Container, Encoding, Samples

_IN_DS64 = 0xFFFFFFFF
"""A size that stands in ``ds64``; the sizes that a plain header holds are smaller."""

_HEADER_PERIOD = 0.5
"""Seconds of audio that the header may be behind."""


class WavWriter:
    """Writes one WAV file. A chunk takes one system call, and one more about every second.

    Parameters
    ----------
    descriptor : int
        Of an empty file, opened for writing; the writer's own from here on.
    sample_rate : int
        Hz.
    channels : int
        1 to 64.
    subtype : str
        A key of :data:`~stream_audio.files.encoder.SAMPLE_BYTES`.
    encoding : Encoding
        Of it, ``rf64``, ``bext`` and ``fsync``. With ``fsync`` the header never speaks of samples
        that are not on the disk, so it is that many seconds behind at most.

    Raises
    ------
    OSError
        From here and from every other method, as the system gives it.
    """

    def __init__(
        self, descriptor: int, sample_rate: int, channels: int, subtype: str, encoding: Encoding
    ) -> None:
        self.start_time: float | None = None
        self.silence_ahead = 0
        self._file = descriptor
        self._sample_rate = sample_rate
        self._channels = channels
        self._subtype = subtype
        self._sample_bytes = SAMPLE_BYTES[subtype]
        self._frame_bytes = channels * self._sample_bytes
        self._encode = Encoder(subtype).encode
        self._rf64 = encoding.get("rf64", "auto")
        bext = encoding.get("bext", False)
        self._bext = check_bext(bext) if bext is not False else None
        self._fsync = "fsync" in encoding
        self._period = round(encoding.get("fsync", _HEADER_PERIOD) * sample_rate)
        self._period *= self._frame_bytes
        self._header_lag = round(HEADER_LAG * sample_rate) * self._frame_bytes
        self._data_bytes = 0
        self._in_header = 0  # data bytes
        self._must_cut = False  # behind the data is what a write that failed left there
        self._flush_error: OSError | None = None
        self._format = format_chunk(sample_rate, channels, subtype)
        self._header_bytes = len(self._header())
        try:
            self._write_header()
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def frames(self) -> int:
        """Frames written, silence included."""
        return self._data_bytes // self._frame_bytes

    @property
    def held_frames(self) -> int:
        """None: what was taken is in the file."""
        return 0

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
        return self._header_bytes + self._data_bytes

    @property
    def unsaved(self) -> tuple[Samples, ...]:
        """Nothing: what could not be written was not taken."""
        return ()

    def room(self, size: int = sys.maxsize) -> int:
        """Return how many frames can be appended before the file has more than ``size`` bytes."""
        if self._rf64 == "never":
            size = min(size, 8 + _IN_DS64 - 1)
        bytes_left = size - self.size
        frames = bytes_left // self._frame_bytes
        data_bytes = self._data_bytes + frames * self._frame_bytes
        if data_bytes % 2 and self._header_bytes + data_bytes + 1 > size:  # for the padding
            frames -= 1
        return max(0, frames)

    def write(self, samples: Samples, silence_before: int = 0) -> None:
        """Append ``silence_before`` frames of silence and the samples, or (by raising) nothing.

        Parameters
        ----------
        samples : ndarray of float32, int16 or int32, shape (frames, channels)
            Full scale is ±1.0, or that of the integer type.
        silence_before : int
            Frames. They become a hole in the file, which takes neither time nor disk.
        """
        if self._flush_error is not None:
            raise OSError(*self._flush_error.args)
        if self._must_cut:
            self._cut()
        data = self._encode(samples)
        start = self.size + silence_before * self._frame_bytes
        added = silence_before * self._frame_bytes + data.nbytes
        if self._rf64 == "never" and added > self.room() * self._frame_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        # Whether another chunk of this length could make the header too old.
        header_is_due = self._data_bytes - self._in_header + 2 * added > self._period
        try:
            write_at(self._file, data.reshape(-1).view(np.uint8), start)
            if silence_before and not data.size:
                os.ftruncate(self._file, start)
            if header_is_due and self._fsync:
                self._flush()
        except BaseException:
            self._must_cut = True
            with contextlib.suppress(OSError):  # the error that matters is the one under way
                self._cut()
                if not self._fsync:
                    self._write_header()
            raise
        self._data_bytes += added
        if header_is_due:
            # The samples are in the file: an error here is not theirs. The next chunk tries again,
            # and close() does not keep it back.
            with contextlib.suppress(OSError):
                self._write_header()

    def fail(self, error: OSError) -> None:
        """Do nothing: nothing is held back."""

    def settle(self) -> None:
        """Let the header speak of what is in the file, unless it nearly does; never raises."""
        if not self._fsync and self._data_bytes - self._in_header >= self._header_lag:
            with contextlib.suppress(OSError):  # as after a write
                self._write_header()

    def close(self) -> None:
        """Complete the header and close the file."""
        try:
            if self._must_cut:
                with contextlib.suppress(OSError):  # it is behind what the header speaks of
                    self._cut()
            if self._fsync:
                flush_to_disk(self._file)
            self._write_header()
            if self._data_bytes % 2:  # chunks are padded to even length
                write_at(self._file, b"\0", self.size)
            if self._fsync:
                flush_to_disk(self._file)
        finally:
            os.close(self._file)

    def _flush(self) -> None:
        try:
            flush_to_disk(self._file)
        except OSError as error:
            # What was written since the last flush may be lost, and another flush that succeeds
            # would not say so: systems report such an error only once.
            self._flush_error = error
            raise

    def _cut(self) -> None:
        os.ftruncate(self._file, self.size)
        self._must_cut = False

    def _write_header(self) -> None:
        write_at(self._file, self._header(), 0)
        self._in_header = self._data_bytes

    def _header(self) -> bytes:
        """Return everything before the first sample."""
        data_bytes = self._data_bytes
        frames = data_bytes // self._frame_bytes
        rest = b""
        if self._bext is not None:
            bits = 8 * self._sample_bytes
            rest += bext_chunk(
                self._bext, self.start_time, self._sample_rate, self._channels, bits
            )
        rest += self._format
        if self._subtype == "FLOAT":
            rest += struct.pack("<4sII", b"fact", 4, min(frames, _IN_DS64))
        riff_bytes = 4 + 36 + len(rest) + 8 + data_bytes + data_bytes % 2
        if riff_bytes < _IN_DS64 and self._rf64 != "always":
            start = struct.pack("<4sI4s4sI28x", b"RIFF", riff_bytes, b"WAVE", b"JUNK", 28)
            data = struct.pack("<4sI", b"data", data_bytes)
        else:
            start = struct.pack("<4sI4s", b"RF64", _IN_DS64, b"WAVE")
            start += struct.pack("<4sIQQQI", b"ds64", 28, riff_bytes, data_bytes, frames, 0)
            data = struct.pack("<4sI", b"data", _IN_DS64)
        return start + rest + data


def _check(subtype: str, encoding: Encoding) -> None:
    if "rf64" in encoding:
        one_of("rf64", encoding["rf64"], ("auto", "never", "always"))
    if "bext" in encoding and encoding["bext"] is not False:
        check_bext(encoding["bext"])
    if "fsync" in encoding:
        real_number("fsync", encoding["fsync"], 0.1, 3600)


CONTAINER = Container(
    name="WAV",
    extensions=(".wav", ".wave"),
    subtypes=tuple(SAMPLE_BYTES),
    encoding=frozenset({"rf64", "bext", "fsync"}),
    check=_check,
    open=WavWriter,
    takes_any_length=True,
)
