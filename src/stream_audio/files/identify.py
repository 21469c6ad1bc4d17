"""What a file is that cannot be read as a sound file: for errors, in words for people."""

from __future__ import annotations

from stream_audio.files.mending import FileBytes

_LOOKED_AT = 4096

_SIGNATURES = (
    (4, b"ftypM4A", "MPEG-4 audio"),
    (4, b"ftypM4B", "MPEG-4 audio"),
    (4, b"ftypmp4", "MPEG-4 audio or video"),
    (4, b"ftypisom", "MPEG-4 audio or video"),
    (4, b"ftypdash", "MPEG-4 audio or video"),
    (4, b"ftypqt", "a QuickTime movie"),
    (4, b"ftyp3g", "3GPP audio or video"),
    (4, b"ftyp", "MPEG-4 audio or video"),
    (4, b"moov", "a QuickTime movie"),
    (4, b"mdat", "MPEG-4 audio without its head"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, bytes.fromhex("3026b2758e66cf11"), "Windows Media audio"),
    (8, b"AVI ", "an AVI movie"),
    (0, b"#!AMR", "AMR speech"),
    (0, b"#!SILK", "SILK speech"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"TTA1", "True Audio"),
    (0, b"TTA2", "True Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"DSD ", "DSD audio"),
    (0, b"FRM8", "DSD audio"),
    (0, b".RMF", "RealAudio"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b"\x0b\x77", "Dolby Digital"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (0, b"ADIF", "AAC audio"),
    (0, b"MThd", "a MIDI file, which holds notes and no samples"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an XZ archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"\x7fELF", "a program"),
    (0, b"SQLite format 3", "a database"),
)

_CONVERT = "Another program, ffmpeg for example, can turn it into a WAV file"
_SAY_WHAT = "If it is samples without a header, say what they are: raw=RawFormat(…)"


def identify(file: FileBytes) -> tuple[str, str]:
    """Say what a file is that is no sound file.

    Returns
    -------
    tuple of two str
        What it is (``"it is empty"``), and what may be done about it; either may be empty.
    """
    if file.size == 0:
        return "it is empty", ""
    start = file.read(0, _LOOKED_AT)
    if not any(start):
        first = file.first_nonzero(0)
        if first is None:
            return f"it holds nothing but zeros, {file.size} of them", ""
        return f"its header is gone: its first {first} bytes are zeros", _SAY_WHAT
    for place, signature, name in _SIGNATURES:
        if start[place:].startswith(signature):
            return f"it looks like {name}", _CONVERT
    if _is_adts(file, start):
        return "it looks like AAC audio", _CONVERT
    if len(start) > 188 * 3 and all(start[at] == 0x47 for at in (0, 188, 376, 564)):
        return "it looks like an MPEG transport stream", _CONVERT
    if start[:4] == b"OggS":
        return _ogg(start)
    kind = _text(start)
    if kind:
        return f"it looks like {kind}", ""
    return "", _SAY_WHAT


def _is_adts(file: FileBytes, start: bytes) -> bool:
    """Whether two headers of AAC follow one another."""
    if len(start) < 7 or start[0] != 0xFF or start[1] & 0xF6 != 0xF0:
        return False
    length = (start[3] & 3) << 11 | start[4] << 3 | start[5] >> 5
    return length > 7 and file.read(length, 2)[:1] == b"\xff"


def _ogg(start: bytes) -> tuple[str, str]:
    for name in ("theora", "Speex", "FLAC", "fishead", "video"):
        if name.encode() in start[:200]:
            return f"it looks like Ogg with {name}", _CONVERT
    return "it looks like Ogg that is cut short, or damaged in its head", ""


def _text(start: bytes) -> str:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # a character may be cut at the end
            return ""
        text = start[: error.start].decode("utf-8")
    if not all(char.isprintable() or char in "\r\n\t\f" for char in text):
        return ""
    head = text.lstrip().lower()
    return "a web page" if head.startswith(("<!doctype html", "<html")) else "text"
