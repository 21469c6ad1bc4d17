"""The memory of a round trip: what is played, and what came back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_audio._native import check_process, ffi, lib


class Progress(NamedTuple):
    """How far a round trip is."""

    frames: int
    overflows: int
    underflows: int


class RoundTrip:
    """One channel that is played again and again, and room for what is heard meanwhile.

    Must be kept until its stream is closed; for good if the stream's host died.
    """

    def __init__(
        self, signal: NDArray[np.float32], frames: int, *, inputs: int, outputs: int
    ) -> None:
        check_process()
        self.inputs = inputs
        self.outputs = outputs
        self._signal = np.ascontiguousarray(signal, np.float32)
        self._heard = np.empty((frames, inputs), np.float32)
        self._heard[:] = 0  # touches every page: none is to fault on the audio thread
        self.native: Any = ffi.new("sa_round_trip *")
        self.native.signal = ffi.cast("float *", self._signal.ctypes.data)
        self.native.signal_frames = len(self._signal)
        self.native.heard = ffi.cast("float *", self._heard.ctypes.data)
        self.native.heard_frames = frames
        self.native.inputs = inputs
        self.native.outputs = outputs

    def progress(self) -> Progress:
        """Return how much has been heard, and how often the host said that it was late."""
        seen = lib.sa_round_trip_look(self.native)
        return Progress(int(seen.frames), int(seen.overflows), int(seen.underflows))

    def heard(self) -> NDArray[np.float32]:
        """Return what has been heard so far, shape (frames, inputs)."""
        return self._heard[: self.progress().frames]
