"""What every writer of a sound file looks like, whatever its format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from stream_audio._record import Record

HEADER_LAG = 0.05
"""Seconds of audio that a header need not speak of after ``settle``: chunks may be short."""

Samples = NDArray[np.float32] | NDArray[np.int16] | NDArray[np.int32]
"""Shape (frames, channels). Full scale is ±1.0, or that of the integer type."""


class SoundFileWriter(Protocol):
    """Writes one sound file, through an open descriptor that it owns.

    A writer is made from a descriptor of an empty regular file, opened for writing, by
    :attr:`Container.open`; it closes the descriptor in :meth:`close`, or when making it fails. It
    knows neither the file's name nor its permissions; :mod:`stream_audio.files.create` does. All
    calls come from one thread at a time.

    Every method raises :class:`OSError` as the system gives it.
    """

    start_time: float | None
    """Capture time of the first frame, ``time.time()`` seconds; set before the first ``write`` by
    whoever knows it, and stored in the file if the format has room for it."""

    silence_ahead: int
    """Frames of silence that a write which raised has appended all the same: the same chunk brings
    them again."""

    @property
    def frames(self) -> int:
        """Frames written, silence included."""
        ...

    @property
    def held_frames(self) -> int:
        """Frames that were taken and are not in the file yet: an encoder has them, or a buffer."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the file so far; of a compressed one, as far as it has been encoded."""
        ...

    def room(self, size: int = sys.maxsize) -> int:
        """Return how many frames can be appended before the file has more than ``size`` bytes.

        Nor more than the format can hold. Where the size is not known beforehand, because it is
        compressed: 0 once it has been reached, ``sys.maxsize`` before.
        """
        ...

    def write(self, samples: Samples, silence_before: int = 0) -> None:
        """Append ``silence_before`` frames of silence and the samples, or (by raising) nothing.

        But for what ``silence_ahead`` says.
        """

    def fail(self, error: OSError) -> None:
        """Take note that the recording fails, for whatever reason.

        Unless a write succeeds after that, what is held is given up: it is not tried again at the
        end, so that the number of frames that was told with the error stays true.
        """

    def settle(self) -> None:
        """Let the header speak of what is in the file, unless it nearly does; never raises.

        For the end of a row of writes. With ``fsync`` that has its own time.
        """

    def close(self) -> None:
        """Complete the file and close the descriptor, also when completing it fails."""

    @property
    def unsaved(self) -> Sequence[Samples]:
        """What was written but is not in the file, after :meth:`close` has failed."""
        ...


class Encoding(TypedDict, total=False):
    """Settings of how a file is written; each container says which of them it knows."""

    rf64: Literal["auto", "never", "always"]
    """WAV: whether the file becomes RF64 past 4 GiB, ends there, or is RF64 from the start."""
    bext: bool | dict[str, str]
    """WAV: broadcast extension; fields of :data:`stream_audio.files.bext.FIELDS`."""
    quality: float
    """Ogg, MP3: 0 (smallest) to 1 (best)."""
    compression_level: float
    """FLAC: 0 (fastest) to 1 (smallest)."""
    bitrate_mode: Literal["constant", "average", "variable"]
    """MP3: what ``quality`` decides, the bit rate or what is lost."""
    fsync: float
    """Seconds of audio after which they are on the disk, beyond the reach of a power cut."""


class Container(Record):
    """A kind of sound file that can be written.

    Attributes
    ----------
    name : str
        Its libsndfile name, for example ``"WAV"``.
    extensions : tuple of str
        File name endings in lower case, with the dot; the first is the usual one.
    subtypes : tuple of str
        Sample types and codecs by their libsndfile names; the first is the default.
    encoding : frozenset of str
        The keys of :class:`Encoding` that it knows.
    check : callable
        ``check(subtype, encoding)`` raises ConfigError or ConfigTypeError for a setting that
        cannot work; called where the user said it.
    open : callable
        ``open(descriptor, sample_rate, channels, subtype, encoding)`` returns a writer. Raises
        ConfigError if the format cannot hold such audio, OSError if the file cannot be written.
    takes_any_length : bool
        Whether its writer knows beforehand how many bytes a write comes to, and one that fails
        leaves nothing behind. Others are given a little at a time, however much there is.
    """

    name: str
    extensions: tuple[str, ...]
    subtypes: tuple[str, ...]
    encoding: frozenset[str]
    check: Callable[[str, Encoding], object]
    open: Callable[[int, int, int, str, Encoding], SoundFileWriter]
    takes_any_length: bool = False
