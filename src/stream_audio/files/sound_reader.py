"""Reading a sound file block by block, as far as anything of it can be decoded."""

from __future__ import annotations

import os
import stat
from functools import cache
from typing import Any

import numpy as np

from stream_audio.audio.format import MAX_CHANNELS, MAX_SAMPLE_RATE
from stream_audio.errors import FileError
from stream_audio.files.examine import examine
from stream_audio.files.identify import identify
from stream_audio.files.in_use import identity
from stream_audio.files.mending import Diagnosis, FileBytes, Kept, MendedFile, Stream
from stream_audio.files.raw_format import RawFormat

Samples = np.ndarray[Any, np.dtype[np.float32]]

_UNKNOWN = 2**62
"""Frames, or more, that libsndfile speaks of when a FLAC file does not say how many it has."""

_MAY_BE_MENDED = "stream_audio.repair(path) makes a valid file of what is there"


class SoundReader:
    """Reads a sound file block by block.

    What its header claims is checked first; where it is wrong, the file is read as if it had been
    mended.

    Parameters
    ----------
    path : str
        A regular file.
    raw : RawFormat, optional
        What it holds, if it has no header.

    Attributes
    ----------
    sample_rate, channels : int
        As its header has them.
    identity : Identity
        Device and inode of the file.
    position : int
        Frames that were read.

    Raises
    ------
    FileError
        From here, from :meth:`rewind` and from :meth:`check_end`, with the words of the system or
        of libsndfile.
    """

    def __init__(self, path: str, raw: RawFormat | None = None) -> None:
        self.path = path
        self._raw = raw
        # Opened here: libsndfile would say "System error" whatever the reason.
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            text = getattr(error, "strerror", None) or str(error)
            raise FileError(f"cannot open {path!r}", host_text=text) from error
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise FileError(f"cannot play {path}: it is not a regular file")
            self._bytes = FileBytes(self._descriptor)
            self._diagnosis = self._examined()
            self._streams = self._diagnosis.streams or (Stream(self._diagnosis.pieces),)
            self._decoder = self._open(0)
        except OSError as error:
            os.close(self._descriptor)
            raise FileError(f"cannot read {path}", host_text=error.strerror or "") from error
        except BaseException:
            os.close(self._descriptor)
            raise
        self.sample_rate = self._decoder.sample_rate
        self.channels = self._decoder.channels
        self.identity = identity(os.fstat(self._descriptor))
        self.position = 0
        self._number = 0  # of the stream that is being read
        self._error: FileError | None = None

    def _examined(self) -> Diagnosis:
        as_it_is = (Kept(0, self._bytes.size),)
        try:
            found = examine(self._bytes, self._raw)
        except FileError as error:
            if self._raw is not None:
                raise FileError(f"cannot read {self.path}: {error.message}") from None
            # libsndfile may make something of it all the same.
            return Diagnosis("", (), None, as_it_is, unclear=error.message)
        return found or Diagnosis("", (), None, as_it_is)

    def _open(self, number: int, first: int = 0) -> _Decoder:
        """Open a stream, whose first frame is so many frames behind that of the file."""
        stream = self._streams[number]
        try:
            decoder = _Decoder(self._bytes, stream)
        except _sound_file_error() as error:
            raise self._unreadable(error) from error
        if decoder.frames >= _UNKNOWN:  # nothing that could be counted was found either
            decoder.close()
            raise FileError(f"cannot read {self.path}: {self._diagnosis.unclear}")
        if number == 0:
            fits = 1 <= decoder.channels <= MAX_CHANNELS
            fits = fits and 1000 <= decoder.sample_rate <= MAX_SAMPLE_RATE
            hint = f"1 to {MAX_CHANNELS} channels and 1000 to {MAX_SAMPLE_RATE} Hz will do"
        else:
            fits = (decoder.channels, decoder.sample_rate) == (self.channels, self.sample_rate)
            hint = f"It began with {self.channels} channels at {self.sample_rate} Hz"
        if not fits:
            text = f"{decoder.channels} channels at {decoder.sample_rate} Hz"
            decoder.close()
            where = f" from frame {first} on" if number else ""
            raise FileError(f"cannot play {self.path}: it has {text}{where}", hint=hint)
        return decoder

    def _unreadable(self, error: Exception) -> FileError:
        what, hint = self._diagnosis.unclear, ""
        if not what and self._diagnosis.format in ("", "OGG"):
            what, hint = identify(self._bytes)
        message = f"cannot read {self.path} as a sound file"
        if what:
            message += f": {what}"
        return FileError(message, host_text=_words(error), hint=hint)

    @property
    def frames(self) -> int | None:
        """Frames of the file; ``None`` where only decoding would tell."""
        if self._diagnosis.frames is not None or len(self._streams) > 1:
            return self._diagnosis.frames
        return self._decoder.frames

    @property
    def is_empty(self) -> bool:
        """Whether it is known that there is not a single frame in it."""
        return len(self._streams) == 1 and self._decoder.frames == 0

    def read(self, samples: Samples) -> int:
        """Fill ``samples``, as far as the file can be decoded; returns how many frames they are.

        Fewer than asked for are the last ones; :meth:`check_end` says whether that is the end.
        """
        filled = 0
        if self._diagnosis.frames is not None:  # libsndfile makes up what is not there
            samples = samples[: self._diagnosis.frames - self.position]
        while filled < len(samples) and self._error is None:
            decoder = self._decoder
            try:
                filled += decoder.read(samples[filled:])
            except _sound_file_error() as error:
                filled += decoder.rescued
                self._error = FileError(
                    f"cannot read {self.path} beyond frame {self.position + filled}"
                    + (f" of {decoder.frames}" if len(self._streams) == 1 else ""),
                    host_text=decoder.system_error or _words(error),
                )
            if filled < len(samples) and self._error is None and not self._go_on(filled):
                break
        self.position += filled
        return filled

    def _go_on(self, filled: int) -> bool:
        """Turn to the next stream, if there is one and nothing is missing of this one."""
        decoder = self._decoder
        if decoder.position < decoder.frames:
            before = self.position + filled - decoder.position
            self._error = FileError(
                f"{self.path} ends after {self.position + filled} frames, "
                f"but its header claims {before + decoder.frames}",
                host_text=decoder.system_error,
            )
            return False
        if self._number + 1 == len(self._streams):
            return False
        self._decoder.close()
        try:
            self._decoder = self._open(self._number + 1, self.position + filled)
        except FileError as error:
            self._error = error
            return False
        self._number += 1
        return True

    def check_end(self) -> str:
        """Raise what kept it from being read to its end.

        Returns
        -------
        str
            Why it is unclear whether that end is that of the audio; empty if it is clear.
        """
        diagnosis = self._diagnosis
        if self._error is not None:
            raise self._error
        if diagnosis.missing:
            raise FileError(
                f"{self.path} ends after {self.position} frames: {diagnosis.missing}",
                hint=_MAY_BE_MENDED if diagnosis.findings and not diagnosis.hopeless else "",
            )
        if diagnosis.frames is not None and self.position < diagnosis.frames:
            raise FileError(
                f"{self.path} ends after {self.position} frames, but {diagnosis.frames} were found"
            )
        return diagnosis.unclear and f"{self.path}: {diagnosis.unclear}"

    def rewind(self) -> None:
        """Go back to the first frame."""
        try:
            if self._number:
                self._decoder.close()
                self._decoder = self._open(0)
            else:
                self._decoder.rewind()
        except _sound_file_error() as error:
            raise FileError(
                f"cannot go back to the start of {self.path}", host_text=_words(error)
            ) from error
        self._number = self.position = 0

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()
        os.close(self._descriptor)


class _Decoder:
    """libsndfile, at work on one stream."""

    def __init__(self, file: FileBytes, stream: Stream) -> None:
        self._view: MendedFile | None = None
        settings = {} if stream.raw is None else stream.raw.for_soundfile()
        if stream.pieces == (Kept(0, file.size),):
            os.lseek(file.descriptor, 0, os.SEEK_SET)  # libsndfile begins where it stands
            self._file = _sequential()(file.descriptor, closefd=False, **settings)
        else:
            self._view = MendedFile(file, stream.pieces)
            self._file = _sequential()(self._view, **settings)
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames
        self.position = 0
        self.rescued = 0
        """Frames that the last read decoded before it failed."""

    @property
    def system_error(self) -> str:
        """What the system said when it could not read."""
        failed = self._view.error if self._view is not None else None
        return (failed.strerror or str(failed)) if failed is not None else ""

    def read(self, samples: Samples) -> int:
        try:
            frames = int(self._file.buffer_read_into(samples, "float32"))
        except _sound_file_error():
            self.rescued = max(0, min(self._file.tell() - self.position, len(samples)))
            self.position += self.rescued
            raise
        self.position += frames
        return frames

    def rewind(self) -> None:
        self._file.seek(0)
        self.position = 0

    def close(self) -> None:
        self._file.close()


@cache
def _sequential() -> Any:
    """Return a SoundFile that says that it cannot seek.

    One that can seeks after each read, which costs a block of FLAC each time, and fails where
    nothing is wrong but the total.
    """
    import soundfile

    class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return SequentialFile


def _sound_file_error() -> type[Exception]:
    import soundfile

    return soundfile.SoundFileError  # type: ignore[no-any-return]


def _words(error: Exception) -> str:
    """Libsndfile's own words, without soundfile's prefix."""
    return str(getattr(error, "error_string", "") or error).rstrip(".")
