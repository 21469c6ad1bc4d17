"""FLAC, Ogg, MP3 and what else libsndfile writes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_audio._checks import one_of, real_number
from stream_audio.errors import ConfigError
from stream_audio.files.disk import flush_to_disk
from stream_audio.files.encoder import Encoder
from stream_audio.files.output import FlacOutput, Mp3Output, OggOutput, Output
from stream_audio.files.writer import Container, Encoding, Samples

_AT_ONCE = 4096
"""Frames. libvorbis keeps what it is given at once on the stack; some seconds overflow it."""

_SILENCE_AT_ONCE = 65_536
_STATE_PERIOD = 1.0
"""Seconds of audio that a header may be behind."""

_LOSSY = frozenset({"VORBIS", "OPUS", "MPEG_LAYER_III"})
_LOSSY_LEVELS = {"MPEG_LAYER_III": 0.99}
"""The most compression that libsndfile takes, where it is not 1."""

_BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "DPCM_8": 8, "DWVW_12": 12, "ALAC_20": 20, "PCM_24": 24,
    "ALAC_24": 24, "DWVW_24": 24, "PCM_32": 32, "ALAC_32": 32, "FLOAT": 32, "DOUBLE": 64,
}  # fmt: skip
"""Bits a sample where they are not 16; codecs for speech are given 16, too."""

_MAX_VORBIS_RATE = 200_000
"""libsndfile 1.2.2 crashes when it closes a Vorbis file with a higher one."""

_UNBOUNDED = frozenset({"FLAC", "OGG", "MP3", "CAF", "W64", "RAW", "NIST", "PVF", "IRCAM"})
_MAX_BYTES = {"AIFF": 2**32 - 2**16, "AU": 2**32 - 2**16}
_MAX_BYTES_ELSEWHERE = 2**31 - 2**16
"""The sizes of the other formats have 32 bits, which some readers take for signed."""

_MAX_SDS_FRAMES = 2**21 - 1

_EXTENSIONS = {
    "FLAC": (".flac",), "OGG": (".ogg", ".oga"), "MP3": (".mp3",), "AIFF": (".aiff", ".aif"),
    "CAF": (".caf",), "AU": (".au", ".snd"), "W64": (".w64",), "NIST": (".sph", ".nist"),
    "IRCAM": (".sf",), "PAF": (".paf",), "PVF": (".pvf",), "VOC": (".voc",), "SVX": (".8svx",),
    "MAT5": (".mat",), "HTK": (".htk",), "SDS": (".sds",), "AVR": (".avr",), "WVE": (".wve",),
    "XI": (".xi",), "RAW": (".raw",),
}  # fmt: skip

_NOT_WRITTEN = frozenset({"WAV", "WAVEX", "RF64", "SD2"})
"""Ours is better, or (SD2) it needs a second file beside it."""

_BROKEN = frozenset(
    {("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II"), ("AIFF", "DWVW_12")}
    | {("AIFF", "DWVW_16"), ("AIFF", "DWVW_24")}
)
"""Listed by libsndfile 1.2.2, but not written, or not read again."""

_RATES = (
    *(8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    *(88_200, 96_000, 176_400, 192_000),
)
"""Those that are suggested."""


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
        self._convert = _converter(subtype)
        self._accepted = 0
        self._silence_ahead = 0
        self._recent: deque[tuple[int, Samples]] = deque()
        self._fsync = "fsync" in encoding
        self._flush_error: OSError | None = None
        self._period = encoding.get("fsync", _STATE_PERIOD) * sample_rate
        self._settled = -sys.maxsize  # frames up to which the disk, or the header, knows
        self._max_frames = _max_frames(format, subtype, channels)
        self._output = _output(format, descriptor, sample_rate)
        try:
            check_holds(format, subtype, sample_rate, channels)
            self._sound = _open(self._output, format, subtype, sample_rate, channels, encoding)
            self._output.drain()
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def frames(self) -> int:
        """Frames written, silence included; after a failure, those that are in the file."""
        return self._output.safe_frames if self._output.owes else self._accepted

    @property
    def size(self) -> int:
        """Bytes of the file so far, as far as it has been encoded."""
        return self._output.size

    @property
    def unsaved(self) -> list[Samples]:
        """What was taken but is not in the file, after :meth:`close` has failed."""
        safe = self._output.safe_frames
        return [samples[max(0, safe - start) :] for start, samples in self._recent]

    def room(self, size: int = sys.maxsize) -> int:
        """Return how many frames can be appended: none, once it has more than ``size`` bytes."""
        if self.size >= size:
            return 0
        return self._max_frames - self._accepted

    def write(self, samples: Samples, silence_before: int = 0) -> None:
        """Append ``silence_before`` frames of silence and the samples, or (by raising) nothing."""
        self._drain()
        if silence_before - self._silence_ahead + len(samples) > self.room():
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if self._accepted == 0:
            self._tell_date()
        while (left := silence_before - self._silence_ahead) > 0:
            silence = np.zeros((min(left, _SILENCE_AT_ONCE), self._channels), np.int16)
            self._encode(silence)
            self._silence_ahead += len(silence)
            self._drain()  # when it raises the silence is not asked for again
        self._encode(samples)
        self._silence_ahead = 0
        with contextlib.suppress(OSError):  # it comes again with the next write, or with close()
            self._drain()

    def close(self) -> None:
        """Complete the file and close the descriptor.

        If that fails, the file ends after the last block that is entirely in it.
        """
        try:
            try:
                self._drain()
                self._close_sound()
                self._output.drain()
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
        except soundfile.SoundFileError as error:
            raise OSError(errno.EIO, _words(error)) from error
        if len(samples):
            self._recent.append((self._accepted, samples))
        self._accepted += len(samples)

    def _drain(self) -> None:
        """Put on the disk what the encoder has given, and tell the header of it if it is time."""
        if self._flush_error is not None:
            raise OSError(*self._flush_error.args)
        output = self._output
        output.drain()
        output.all_landed(self._accepted)
        while self._recent and _end(self._recent[0]) <= output.safe_frames:
            self._recent.popleft()
        if self._accepted - self._settled >= self._period:
            if self._fsync:
                self._flush()
            if output.state_length():
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
            raise OSError(errno.EIO, _words(error)) from error

    def _end_where_it_is_whole(self) -> None:
        output = self._output
        with contextlib.suppress(OSError):  # the error that matters is the one under way
            output.give_up()
            self._close_sound()
            output.drain()
            output.state_length()
        self._accepted = output.safe_frames


def _end(taken: tuple[int, Samples]) -> int:
    return taken[0] + len(taken[1])


def _output(format: str, descriptor: int, sample_rate: int) -> Output:
    if format == "FLAC":
        return FlacOutput(descriptor)
    if format == "MP3":
        return Mp3Output(descriptor)
    if format == "OGG":
        return OggOutput(descriptor, sample_rate)
    return Output(descriptor)


def _open(
    stream: Any, format: str, subtype: str, sample_rate: int, channels: int, encoding: Encoding
) -> Any:
    import soundfile

    level = encoding.get("compression_level")
    mode = encoding.get("bitrate_mode")
    if subtype in _LOSSY and ("quality" in encoding or mode is not None):
        level = min(1 - encoding.get("quality", 0.5), _LOSSY_LEVELS.get(subtype, 1))
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
        raise OSError(errno.EINVAL, _words(error)) from error


def _words(error: Exception) -> str:
    return str(getattr(error, "error_string", "") or error).rstrip(".")


# ---- what a format can hold ----


def check_holds(format: str, subtype: str, sample_rate: int, channels: int) -> None:
    """Raise ConfigError, saying what would do, if a format cannot hold such audio.

    libsndfile is asked, by writing a file in memory and reading it again: some formats store
    another rate than they were given, without a word.
    """
    problem = _problem(format, subtype, sample_rate, channels)
    if not problem:
        return
    kind = subtype if format in ("OGG", "MP3") else format
    hint = ""
    rates = [rate for rate in _RATES if not _problem(format, subtype, rate, channels)]
    if rates and sample_rate not in rates:
        hint = f"It holds {', '.join(map(str, rates))} Hz"
    elif not rates:
        counts = [
            count
            for count in range(1, 9)
            if any(not _problem(format, subtype, rate, count) for rate in (sample_rate, *_RATES))
        ]
        hint = f"It holds {', '.join(map(str, counts))} channels" if counts else ""
    raise ConfigError(
        f"{kind} cannot hold {channels} channels at {sample_rate} Hz",
        host_text=problem,
        hint=hint and f"{hint}; choose that with the sink's format, or another file format",
    )


@lru_cache(maxsize=1024)
def _problem(format: str, subtype: str, sample_rate: int, channels: int) -> str:
    """Return why such audio cannot be held; empty if it can."""
    import soundfile

    if subtype == "VORBIS" and sample_rate > _MAX_VORBIS_RATE:
        return f"Vorbis goes up to {_MAX_VORBIS_RATE} Hz"
    stream = io.BytesIO()
    try:
        with soundfile.SoundFile(
            stream, "w", sample_rate, channels, subtype, format=format
        ) as sound:
            sound.write(np.zeros((1000, channels), np.int16))
        stream.seek(0)
        if format == "RAW":
            return ""
        with soundfile.SoundFile(stream) as sound:
            if (sound.samplerate, sound.channels) != (sample_rate, channels):
                return f"it would say {sound.channels} channels at {sound.samplerate} Hz"
    except soundfile.SoundFileError as error:
        return _words(error)
    return ""


def _max_frames(format: str, subtype: str, channels: int) -> int:
    if format == "SDS":
        return _MAX_SDS_FRAMES
    if format in _UNBOUNDED:
        return sys.maxsize
    frame_bytes = channels * _BITS.get(subtype, 16) // 8
    return _MAX_BYTES.get(format, _MAX_BYTES_ELSEWHERE) // frame_bytes


# ---- samples as libsndfile takes them ----


def _converter(subtype: str) -> Callable[[Samples], NDArray[Any]]:
    """Return a function that makes of a chunk's samples what libsndfile stores unchanged.

    Where it is given floats it truncates, or reads beyond its tables: integers are made here.
    """
    if subtype in _LOSSY:
        return partial(_within_full_scale, Encoder("FLOAT"))
    if subtype == "FLOAT":
        return Encoder("FLOAT").encode
    if subtype == "DOUBLE":
        return _to_double
    bits = _BITS.get(subtype, 16)
    if bits in (16, 32):
        return Encoder(f"PCM_{bits}").encode
    if bits == 24:
        return partial(_left_justified, Encoder("PCM_24"))
    return partial(_rounded, Encoder("PCM_32"), bits)


def _within_full_scale(encoder: Encoder, samples: Samples) -> NDArray[Any]:
    # An MP3 encoder ends the process when it meets a NaN.
    floats: NDArray[Any] = np.clip(encoder.encode(samples), -1, 1)
    if np.isnan(floats.sum()):
        floats[np.isnan(floats)] = 0
    return floats


def _to_double(samples: NDArray[Any]) -> NDArray[Any]:
    if samples.dtype.kind == "f":
        return samples
    scaled: NDArray[Any] = samples * 2.0 ** (1 - 8 * samples.dtype.itemsize)
    return scaled


def _left_justified(encoder: Encoder, samples: Samples) -> NDArray[Any]:
    packed = encoder.encode(samples)
    four = np.zeros((*samples.shape, 4), np.uint8)
    four[..., 1:] = packed
    wide: NDArray[Any] = four.view("<i4")[..., 0]
    return wide


def _rounded(encoder: Encoder, bits: int, samples: Samples) -> NDArray[Any]:
    """Round to so many bits, halves upwards, clipping."""
    steps = (encoder.encode(samples) >> (31 - bits)) + 1 >> 1
    wide: NDArray[Any] = np.minimum(steps, 2 ** (bits - 1) - 1) << (32 - bits)
    return wide


# ---- containers ----


@lru_cache(maxsize=1)
def containers() -> tuple[Container, ...]:
    """Every container that libsndfile writes here; loads soundfile."""
    import soundfile

    names = [name for name in soundfile.available_formats() if name not in _NOT_WRITTEN]
    # The usual ones first.
    names.sort(key=lambda name: list(_EXTENSIONS).index(name) if name in _EXTENSIONS else 99)
    made = []
    for name in names:
        default = soundfile.default_subtype(name) or "PCM_16"
        subtypes = [
            subtype
            for subtype in soundfile.available_subtypes(name)
            if (name, subtype) not in _BROKEN
        ]
        subtypes.sort(key=lambda subtype: subtype != default)
        made.append(_container(name, name, _EXTENSIONS.get(name, ()), tuple(subtypes)))
        if name == "OGG" and "OPUS" in subtypes:
            made.append(_container("OPUS", "OGG", (".opus",), ("OPUS",)))
    return tuple(made)


def _container(
    name: str, format: str, extensions: tuple[str, ...], subtypes: tuple[str, ...]
) -> Container:
    settings = {"fsync"}
    if format == "FLAC":
        settings.add("compression_level")
    if format in ("OGG", "MP3"):
        settings.add("quality")
    if format == "MP3":
        settings.add("bitrate_mode")
    opened = partial(LibsndfileWriter, format)
    return Container(name, extensions, subtypes, frozenset(settings), _check, opened)


def _check(subtype: str, encoding: Encoding) -> None:
    for name in ("quality", "compression_level"):
        if name in encoding:
            real_number(name, encoding[name], 0, 1)
    if "bitrate_mode" in encoding:
        one_of("bitrate_mode", encoding["bitrate_mode"], ("constant", "average", "variable"))
    if "fsync" in encoding:
        real_number("fsync", encoding["fsync"], 0.1, 3600)
