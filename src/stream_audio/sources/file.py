"""A sound file as a source, read on a thread of its own, handed over like a device's audio."""

from __future__ import annotations

import os
import threading
from typing import Any, Literal

import numpy as np

from stream_audio._checks import one_of
from stream_audio._native import ffi, in_own_process, lib
from stream_audio._native.capture import Capture
from stream_audio._record import Record
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, UntoldDevice
from stream_audio.errors import ConfigTypeError, FileError
from stream_audio.files.raw_format import RawFormat
from stream_audio.files.sound_reader import SoundReader
from stream_audio.waiting.clock import Clock

REAL_TIME_PERIOD = 0.01
"""Seconds."""

FREEWHEEL_PERIOD = 4096
"""Frames."""

READ_FRAMES = 16_384
"""About as many are decoded at once."""

STOP_TIMEOUT = 5.0
"""Seconds that a read may take when the session stops; a network's file system may hang."""


class FileSource(Record):
    """See :meth:`AudioSource.file`."""

    path: str | os.PathLike[str]
    pace: Literal["real_time", "freewheel"]
    loop: bool
    raw: RawFormat | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)):
            raise ConfigTypeError(f"AudioSource.file takes a path, not {self.path!r}")
        one_of("pace", self.pace, ("real_time", "freewheel"))
        if not isinstance(self.loop, bool):
            raise ConfigTypeError(f"loop must be True or False, not {self.loop!r}")
        if self.raw is not None and not isinstance(self.raw, RawFormat):
            raise ConfigTypeError(f"raw must be a RawFormat, not {self.raw!r}")

    def open(self, opening: Opening) -> OpenSource:
        """Open the file and read its header."""
        sound = SoundReader(os.fspath(self.path), self.raw)
        try:
            if self.loop and sound.is_empty:
                raise FileError(f"cannot loop {sound.path}: it has no frames")
            freewheel = self.pace == "freewheel"
            period = FREEWHEEL_PERIOD
            if not freewheel:
                period = round(REAL_TIME_PERIOD * sound.sample_rate)
            capture = opening.capture(sound.sample_rate, sound.channels, period, waits=True)
        except BaseException:
            sound.close()
            raise
        return OpenFile(sound, capture, opening.clock, period, freewheel=freewheel, loop=self.loop)


class OpenFile(UntoldDevice):
    """An open file, the thread that reads it, and the capture that it goes into."""

    silence_is_normal = True
    latency: float | None = None

    def __init__(
        self,
        sound: SoundReader,
        capture: Capture,
        clock: Clock,
        period: int,
        *,
        freewheel: bool,
        loop: bool,
    ) -> None:
        self.capture = capture
        self.sample_rate = sound.sample_rate
        self.channels = sound.channels
        self.own_channels = tuple(range(sound.channels))
        self.freewheel = freewheel
        self.description = f"file {sound.path}"
        self.file_read = sound.identity
        # The feeder says of each packet where in the file it is: nothing can be missing.
        capture.native.counted_by_host = True
        capture.native.source_waits = True
        self._sound = sound
        self._clock = clock  # keeps the native clock alive
        self._period = min(period, capture.frames)
        self._loop = loop
        self._unclear = ""
        self._error: FileError | None = None
        self._feeder: Any = ffi.NULL
        self._thread = threading.Thread(target=self._run, name="stream-audio-file", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._feeder = lib.sa_feeder_create(
            self._clock.native, self.capture.native, self._period, self.freewheel
        )
        if self._feeder == ffi.NULL:
            raise MemoryError("no memory for a file's feeder")
        try:
            self._thread.start()
        except BaseException:
            lib.sa_feeder_destroy(self._feeder)
            self._feeder = ffi.NULL
            raise

    def _run(self) -> None:
        try:
            self._feed()
        except FileError as error:  # told by stop(), which the router calls at the end
            self._error = error
        except Exception as error:
            self._error = FileError(f"cannot read {self._sound.path}", host_text=repr(error))
            self._error.__cause__ = error
        finally:
            lib.sa_feeder_end(self._feeder)

    def _feed(self) -> None:
        sound = self._sound
        periods = max(1, READ_FRAMES // self._period)
        samples = np.empty((periods * self._period, sound.channels), np.float32)
        start = ffi.cast("float *", samples.ctypes.data)
        while True:
            frames = sound.read(samples)
            if frames and not lib.sa_feeder_push(self._feeder, start, frames):
                return
            if frames < len(samples):
                if not self._loop:
                    break
                if sound.position == 0:
                    raise FileError(f"cannot loop {sound.path}: it has no frames")
                sound.check_end()
                sound.rewind()
        self._unclear = sound.check_end()

    def stop(self) -> str:
        """Stop reading; raises what kept the file from being read to its end.

        Returns
        -------
        str
            Why it is unclear whether that was the end of its audio; empty if it is clear.
        """
        if self._thread.ident is not None:
            lib.sa_feeder_stop(self._feeder)
            self._thread.join(STOP_TIMEOUT)
            if self._thread.is_alive():
                raise FileError(f"a read of {self._sound.path} does not return")
        if self._error is not None:
            raise self._error
        return self._unclear

    def is_active(self) -> bool:
        """Return True: a file does not go away; its end ends the capture."""
        return True

    def lost(self) -> None:
        """Do nothing: a file is never lost."""

    def close(self) -> None:
        """Close the file and free the capture, unless a read hangs that might still use them."""
        if self._thread.is_alive() or not in_own_process():
            return
        self._sound.close()
        if self._feeder != ffi.NULL:
            lib.sa_feeder_destroy(self._feeder)
            self._feeder = ffi.NULL
        self.capture.close()
