"""Writes a sound file through libsndfile."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections import deque
from datetime import datetime
from typing import Any

import numpy as np

from stream_audio.files.disk import flush_to_disk
from stream_audio.files.libsndfile.flac_output import FlacOutput
from stream_audio.files.libsndfile.header_output import PATCHES, HeaderOutput
from stream_audio.files.libsndfile.limits import check_holds, max_frames, words
from stream_audio.files.libsndfile.mp3_output import Mp3Output
from stream_audio.files.libsndfile.ogg_output import OggOutput
from stream_audio.files.libsndfile.output import Output
from stream_audio.files.libsndfile.samples import LOSSY, SAMPLE_BITS, converter
from stream_audio.files.writer import HEADER_LAG, Encoding, Samples

_AT_ONCE = 4096
"""Frames. libvorbis keeps what it is given at once on the stack; some seconds overflow it."""

_SILENCE_AT_ONCE = 65_536

_LONG_SILENCE = 60.0
"""Seconds. Longer silence is not encoded frame by frame."""

_ZERO_IS_SILENCE = frozenset({"PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"})

_STATE_PERIOD = 1.0
"""Seconds of audio that a header may be behind."""

_MOST_COMPRESSION = {"MPEG_LAYER_III": 0.99}
"""The highest level that libsndfile takes, where it is not 1."""


class LibsndfileWriter:
    """Writes one sound file through libsndfile.

    Parameters
    ----------
    format : str
        The container by its libsndfile name.
    descriptor : int
        Of an empty file, opened for writing; the writer's own from here on.
    sample_rate, channels, subtype
        What the file holds.
    encoding : Encoding
        Of it, ``quality``, ``compression_level``, ``bitrate_mode`` and ``fsync``.

    Raises
    ------
    ConfigError
        From here: the format cannot hold such audio.
    OSError
        From here and from every other method, as the system gives it.

    Notes
    -----
    An encoder cannot take back what it was given. What could not be put on the disk is kept and
    tried again before the next samples are taken, so an error comes with them; a write that raised
    has taken nothing.
    """

    def __init__(
        self,
        format: str,
        descriptor: int,
        sample_rate: int,
        channels: int,
        subtype: str,
        encoding: Encoding,
    ) -> None:
        self.start_time: float | None = None
        self._descriptor = descriptor
        self._format = format
        self._channels = channels
        self._sample_rate = sample_rate
        self._convert = converter(subtype)
        self._accepted = 0
        self._failed: OSError | None = None  # and nothing was written since
        self.silence_ahead = 0
        self._recent: deque[tuple[int, Samples]] = deque()
        self._fsync = "fsync" in encoding
        self._flush_error: OSError | None = None
        self._period = encoding.get("fsync", _STATE_PERIOD) * sample_rate
        self._step = 0  # frames of the last write
        self._settled = -sys.maxsize  # frames up to which the disk, or the header, knows
        self._max_frames = max_frames(format, subtype, channels)
        self._has_holes = subtype in _ZERO_IS_SILENCE and format not in ("PAF", "FLAC")
        self._output = _output(format, subtype, descriptor, sample_rate)
        try:
            check_holds(format, subtype, sample_rate, channels)
            self._sound = open_sound(
                self._output, format, subtype, sample_rate, channels, encoding
            )
            self._output.drain()
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def frames(self) -> int:
        """Frames written, silence included; after a failure, those that are in the file."""
        is_whole = self._failed is None and not self._output.owes
        return self._accepted if is_whole else self._safe_frames

    @property
    def held_frames(self) -> int:
        """Frames that were taken and are not in the file yet."""
        return self._accepted - self._safe_frames

    @property
    def _safe_frames(self) -> int:
        return min(self._accepted, self._output.safe_frames)

    @property
    def size(self) -> int:
        """Bytes of the file so far, as far as it has been encoded."""
        return self._output.size

    @property
    def unsaved(self) -> list[Samples]:
        """What was taken but is not in the file, after :meth:`close` has failed."""
        safe = self._safe_frames
        return [samples[max(0, safe - start) :] for start, samples in self._recent]

    def room(self, size: int = sys.maxsize) -> int:
        """Return how many frames can be appended: none, once it has more than ``size`` bytes."""
        if self.size >= size:
            return 0
        return self._max_frames - self._accepted

    def write(self, samples: Samples, silence_before: int = 0) -> None:
        """Append ``silence_before`` frames of silence and the samples, or (by raising) nothing."""
        self._step = 0
        self._drain()
        self._step = 0 if self._fsync else len(samples)
        if silence_before - self.silence_ahead + len(samples) > self.room():
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if self._accepted == 0:
            self._tell_date()
        if silence_before - self.silence_ahead > _LONG_SILENCE * self._sample_rate:
            self._output.listen()
        while (left := silence_before - self.silence_ahead) > 0:
            if left > _LONG_SILENCE * self._sample_rate and self._skip(left):
                continue
            silence = np.zeros((min(left, _SILENCE_AT_ONCE), self._channels), np.int16)
            self._encode(silence)
            self.silence_ahead += len(silence)
            self._drain()  # when it raises the silence is not asked for again
        self._encode(samples)
        self.silence_ahead = 0
        self._failed = None
        with contextlib.suppress(OSError):  # it comes again with the next write, or with close()
            self._drain()

    def fail(self, error: OSError) -> None:
        """Take note that the recording fails: unless a write succeeds, this is the end."""
        self._failed = error

    def settle(self) -> None:
        """Let the header speak of what is in the file, unless it nearly does; never raises."""
        behind = self._accepted - self._settled
        if not self._fsync and behind >= HEADER_LAG * self._sample_rate:
            with contextlib.suppress(OSError):  # it comes again with the next write
                self._drain()
                self._state_length()

    def close(self) -> None:
        """Complete the file and close the descriptor.

        If that fails, or what went before has, the file ends after the last block that is entirely
        in it.
        """
        try:
            try:
                if self._failed is not None and self._output.owes:
                    raise self._failed
                self._drain()
                self._close_sound()
                self._output.drain()
                self._output.finish(self._accepted)
                if self._fsync:
                    self._flush()
                self._recent.clear()
            except OSError:
                self._end_where_it_is_whole()
                raise
        finally:
            os.close(self._descriptor)

    def _encode(self, samples: Samples) -> None:
        import soundfile

        data = self._convert(samples)
        try:
            for start in range(0, len(data), _AT_ONCE):
                self._sound.write(data[start : start + _AT_ONCE])
        except (soundfile.SoundFileError, AssertionError) as error:  # fewer written than given
            raise OSError(errno.EIO, words(error)) from error
        if len(samples):
            self._recent.append((self._accepted, samples))
        self._accept(len(samples))

    def _accept(self, frames: int) -> None:
        self._accepted += frames
        self._output.accepted = self._accepted

    def _skip(self, frames: int) -> int:
        """Append long silence without encoding it; returns how many frames, 0 if none.

        As a hole where a sample of silence is all zeros, else as a copy of what the encoder made
        of the silence before.
        """
        if self._has_holes:
            self._sound.seek(frames - 1, os.SEEK_CUR)
            silence = np.zeros((1, self._channels), np.int16)
            hole = np.broadcast_to(silence, (frames - 1, self._channels))
            self._recent.append((self._accepted, hole))
            self._accept(frames - 1)
            self.silence_ahead += frames - 1
            return frames - 1  # the last frame is written, so that the file has its length
        inserted = self._output.repeat_silence(frames)
        # What the encoder holds is silence, and comes after that.
        self._recent = deque((start + inserted, samples) for start, samples in self._recent)
        self._accept(inserted)
        self.silence_ahead += inserted
        return inserted

    def _drain(self) -> None:
        """Put on the disk what the encoder has given, and tell the header of it if it is time."""
        if self._flush_error is not None:
            raise OSError(*self._flush_error.args)
        output = self._output
        output.drain()
        output.all_landed(self._accepted)
        while self._recent and _end(self._recent[0]) <= output.safe_frames:
            self._recent.popleft()
        # Whether another write of this length could make the header too old.
        if self._accepted + self._step - self._settled >= self._period:
            if self._fsync:
                self._flush()
            self._state_length()

    def _state_length(self) -> None:
        if self._output.state_length():
            self._settled = self._accepted

    def _flush(self) -> None:
        try:
            flush_to_disk(self._descriptor)
        except OSError as error:
            # Systems report such an error only once; what was written before it may be lost.
            self._flush_error = error
            raise

    def _tell_date(self) -> None:
        if self.start_time is not None and self._format in ("FLAC", "OGG"):
            date = datetime.fromtimestamp(self.start_time).astimezone()
            self._sound.date = date.isoformat(timespec="milliseconds")

    def _close_sound(self) -> None:
        import soundfile

        try:
            self._sound.close()
        except soundfile.SoundFileError as error:
            raise OSError(errno.EIO, words(error)) from error

    def _end_where_it_is_whole(self) -> None:
        output = self._output
        with contextlib.suppress(OSError):  # the error that matters is the one under way
            output.give_up()
            self._close_sound()
            output.drain()
            output.state_length()
        self._accepted = self._safe_frames


def _end(taken: tuple[int, Samples]) -> int:
    return taken[0] + len(taken[1])


def _output(format: str, subtype: str, descriptor: int, sample_rate: int) -> Output:
    if format == "FLAC":
        return FlacOutput(descriptor)
    if format == "MP3":
        return Mp3Output(descriptor)
    if format == "OGG":
        return OggOutput(descriptor, sample_rate)
    if format in PATCHES and subtype in SAMPLE_BITS:
        return HeaderOutput(descriptor, PATCHES[format])
    return Output(descriptor)


def open_sound(
    stream: Any, format: str, subtype: str, sample_rate: int, channels: int, encoding: Encoding
) -> Any:
    """Open a sound for writing to a file object of ours."""
    import soundfile

    level = encoding.get("compression_level")
    mode = encoding.get("bitrate_mode")
    if subtype in LOSSY and ("quality" in encoding or mode is not None):
        level = min(1 - encoding.get("quality", 0.5), _MOST_COMPRESSION.get(subtype, 1))
    try:
        return soundfile.SoundFile(
            stream,
            "w",
            sample_rate,
            channels,
            subtype,
            format=format,
            compression_level=level,
            bitrate_mode=None if mode is None else mode.upper(),
        )
    except soundfile.SoundFileError as error:
        raise OSError(errno.EINVAL, words(error)) from error
