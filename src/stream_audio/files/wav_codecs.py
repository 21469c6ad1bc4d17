"""WAV files of all kinds: ours of PCM and float, libsndfile's of the codecs of telephony."""

from __future__ import annotations

from dataclasses import replace

from stream_audio._checks import real_number
from stream_audio.errors import ConfigTypeError
from stream_audio.files import wav
from stream_audio.files.writer import Encoding, SoundFileWriter

_CODECS = ("ULAW", "ALAW", "PCM_U8", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32")
_SETTINGS = frozenset({"fsync"})


def _check(subtype: str, encoding: Encoding) -> None:
    if subtype not in _CODECS:
        wav.CONTAINER.check(subtype, encoding)
        return
    unknown = set(encoding) - _SETTINGS
    if unknown:
        raise ConfigTypeError(
            f"a WAV file of {subtype} has no setting {min(unknown)!r}",
            hint=f"It has: {', '.join(_SETTINGS)}",
        )
    if "fsync" in encoding:
        real_number("fsync", encoding["fsync"], 0.1, 3600)


def _open(
    descriptor: int, sample_rate: int, channels: int, subtype: str, encoding: Encoding
) -> SoundFileWriter:
    if subtype not in _CODECS:
        return wav.WavWriter(descriptor, sample_rate, channels, subtype, encoding)
    from stream_audio.files.libsndfile.writer import LibsndfileWriter

    return LibsndfileWriter("WAV", descriptor, sample_rate, channels, subtype, encoding)


def _open_rf64(
    descriptor: int, sample_rate: int, channels: int, subtype: str, encoding: Encoding
) -> SoundFileWriter:
    always: Encoding = {**encoding, "rf64": "always"}
    return wav.WavWriter(descriptor, sample_rate, channels, subtype, always)


WAV = replace(
    wav.CONTAINER, subtypes=(*wav.CONTAINER.subtypes, *_CODECS), check=_check, open=_open
)
RF64 = replace(
    wav.CONTAINER,
    name="RF64",
    extensions=(".rf64",),
    encoding=wav.CONTAINER.encoding - {"rf64"},
    open=_open_rf64,
)
