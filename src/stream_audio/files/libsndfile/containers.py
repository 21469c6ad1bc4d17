"""The containers that libsndfile writes."""

from __future__ import annotations

from functools import lru_cache, partial

from stream_audio._checks import one_of, real_number
from stream_audio.files.libsndfile.writer import LibsndfileWriter
from stream_audio.files.writer import Container, Encoding

_EXTENSIONS = {
    "FLAC": (".flac",), "OGG": (".ogg", ".oga"), "MP3": (".mp3",), "AIFF": (".aiff", ".aif"),
    "CAF": (".caf",), "AU": (".au", ".snd"), "W64": (".w64",), "NIST": (".sph", ".nist"),
    "IRCAM": (".sf",), "PAF": (".paf",), "PVF": (".pvf",), "VOC": (".voc",), "SVX": (".8svx",),
    "MAT5": (".mat",), "HTK": (".htk",), "AVR": (".avr",), "WVE": (".wve",),
    "XI": (".xi",), "RAW": (".raw",),
}  # fmt: skip

_NOT_WRITTEN = frozenset({"WAV", "WAVEX", "RF64", "SD2", "SDS"})
"""Ours is better; or it needs a second file beside it (SD2), or its last frames get lost (SDS)."""

_BROKEN = frozenset(
    {("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II")}  # not written
    | {("AIFF", "DWVW_12"), ("AIFF", "DWVW_16"), ("AIFF", "DWVW_24")}  # not read again
    | {("CAF", "ALAC_20"), ("CAF", "ALAC_24"), ("CAF", "ALAC_32")}  # not what was written
    | {("RAW", "VOX_ADPCM")}  # not an odd number of frames
)
"""What libsndfile 1.2.2 lists, and cannot do."""


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
    given: dict[str, object] = {**encoding}
    for name in ("quality", "compression_level"):
        if name in given:
            real_number(name, given[name], 0, 1)
    if "bitrate_mode" in encoding:
        one_of("bitrate_mode", encoding["bitrate_mode"], ("constant", "average", "variable"))
    if "fsync" in encoding:
        real_number("fsync", encoding["fsync"], 0.1, 3600)
