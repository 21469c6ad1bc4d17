"""What is wrong with an AIFF, CAF or W64 file, and what it should be.

Formats: Audio Interchange File Format 1.3 (Apple, 1989) and AIFF-C (draft of 1991); Apple Core
Audio Format Specification 1.0 (2011); Sony Wave64 1.0.3 (2005).
"""

from __future__ import annotations

import struct
from dataclasses import replace

from stream_audio._record import Record
from stream_audio.errors import FileError
from stream_audio.files.chunks import W64_NAME_END, Chunk, Chunks, Layout
from stream_audio.files.extent import Extent, find_extent, outer_claim, stated
from stream_audio.files.mending import Diagnosis, Edit, FileBytes, Kept, Stream, edited
from stream_audio.files.raw_format import RawFormat

_AIFF = Layout(4, 4, "big", align=2)
_CAF = Layout(4, 8, "big")
_W64 = Layout(16, 8, "little", counts_header=True, align=8)

_AFTER_AIFF = frozenset(
    b"COMT|MARK|INST|NAME|AUTH|(c) |ANNO|ID3 |AESD|APPL|PEAK|MIDI|LIST|COMM|CHAN|bext".split(b"|")
)
_AFTER_CAF = frozenset(
    b"pakt|info|strg|mark|regn|inst|midi|ovvw|peak|umid|uuid|free|kuki|chan|edct".split(b"|")
)
_AFTER_W64 = frozenset(
    name + W64_NAME_END for name in b"list|fact|levl|junk|bext|summ|mark|MARK".split(b"|")
)

_MOST_IN_AIFF = 2**32 - 64
"""Bytes of audio; more are no claim, but unknown."""

_WORDS = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}
_AIFF_CODECS = {
    b"fl32": "FLOAT",
    b"FL32": "FLOAT",
    b"fl64": "DOUBLE",
    b"FL64": "DOUBLE",
    b"ulaw": "ULAW",
    b"ULAW": "ULAW",
    b"alaw": "ALAW",
    b"ALAW": "ALAW",
    b"in24": "PCM_24",
    b"in32": "PCM_32",
    b"raw ": "PCM_U8",
}
_W64_FIXED_FRAMES = {1, 3, 6, 7}


class _Audio(Record):
    """What a file says of its audio."""

    chunk: Chunk
    body: int
    claims: tuple[int | None, ...]
    frame_bytes: int | None
    raw: RawFormat | None = None


def examine_aiff(file: FileBytes) -> Diagnosis:
    """Find out what is wrong with an AIFF or AIFF-C file; raises FileError if it has no audio."""
    chunks = Chunks(file, _AIFF, 12, b"SSND")
    chunk = chunks.all[-1]
    described = chunks.named(b"COMM", 18)
    if described is None:
        raise FileError("it does not say what kind of audio it holds")
    fields = file.read(described.body, 22)
    channels, frames, bits = struct.unpack(">HIH", fields[:8])
    rate = _extended(fields[8:18])
    codec = fields[18:22] if file.read(8, 4) == b"AIFC" else b"NONE"
    subtype = _AIFF_CODECS.get(codec)
    if codec in (b"NONE", b"twos", b"sowt"):
        subtype = _WORDS.get((bits + 7) // 8 * 8)
    _check_channels(channels, rate)
    raw = None
    if subtype is not None and channels <= 64 and 1000 <= rate <= 768_000:
        raw = RawFormat(subtype, round(rate), channels, "little" if codec == b"sowt" else "big")
    frame_bytes = raw.frame_bytes if raw is not None else None
    body = chunk.body + 8 + int.from_bytes(file.read(chunk.body, 4), "big")
    if body > file.size:
        raise FileError("it is cut short: it ends before its audio begins")
    claims: tuple[int | None, ...] = (stated(chunk.size),)
    if claims[0] is not None:
        claims = (max(0, chunk.size - (body - chunk.body)),)
    if frame_bytes is not None and frames * frame_bytes < _MOST_IN_AIFF:
        claims += (frames * frame_bytes,)
    audio = _Audio(chunk, body, claims, frame_bytes, raw)
    extent = _extent(file, chunks, audio, _AFTER_AIFF, 2)
    count = extent.audio - body
    edits = list(chunks.edits)
    findings = _findings(chunks, extent)
    if frame_bytes is not None:
        here = count // frame_bytes
        if frames != here:
            findings.append(f"it is said to have {frames} frames, but has {here}")
            if not extent.missing and 0 < frames * frame_bytes < _MOST_IN_AIFF:
                extent = replace(extent, unclear=extent.unclear or findings[-1])
        if here < 2**32:
            edits.append(Edit(described.body + 2, described.body + 6, here.to_bytes(4, "big")))
    packets = count // (34 * channels)
    if codec == b"ima4" and frames not in (0, packets, 0xFFFFFFFF):
        text = f"its header claims {frames} packets, but it has {packets}"
        extent = replace(extent, unclear=extent.unclear or text)
    whole = body + count + count % 2 + file.size - _follows(file, _AIFF, extent)
    if findings and whole >= 2**32:
        return Diagnosis(
            "AIFF",
            tuple(findings),
            count // frame_bytes if frame_bytes else None,
            (),
            extent.missing,
            extent.unclear,
            streams=(Stream((Kept(body, extent.audio),), raw),) if raw is not None else (),
            hopeless="an AIFF file cannot be longer than 4 GiB; transcode reads all of it",
        )
    size = int.from_bytes(file.read(4, 4), "big")
    if abs(size + 8 - whole) > 1 and size + 8 != extent.after:
        findings.append(f"the FORM size is {size} instead of {whole - 8}")
    edits.append(Edit(4, 8, (whole - 8 & 0xFFFFFFFF).to_bytes(4, "big")))
    extent = _with_outer_claim(file, extent, size + 8, max(c or 0 for c in claims))
    return _diagnosis(file, "AIFF", _AIFF, audio, extent, findings, edits)


def examine_caf(file: FileBytes) -> Diagnosis:
    """Find out what is wrong with a CAF file; raises FileError if it has no audio."""
    chunks = Chunks(file, _CAF, 8, b"data")
    chunk = chunks.all[-1]
    described = chunks.named(b"desc", 32)
    if described is None:
        raise FileError("it does not say what kind of audio it holds")
    rate, codec, _, packet_bytes, packet_frames, channels, _ = struct.unpack(
        ">d4sIIIII", file.read(described.body, 32)
    )
    _check_channels(channels, rate)
    frame_bytes = packet_bytes if packet_frames == 1 and packet_bytes else None
    body = chunk.body + 4  # behind the number of edits
    claim = stated(int.from_bytes(file.read(chunk.start + 4, 8), "big", signed=True))
    claims = (None if claim is None else max(0, claim - 4),)
    audio = _Audio(chunk, body, claims, frame_bytes)
    extent = _extent(file, chunks, audio, _AFTER_CAF, 2)  # some writers pad it
    findings = _findings(chunks, extent)
    found = _diagnosis(file, "CAF", _CAF, audio, extent, findings, list(chunks.edits))
    return _with_packets(file, chunks, extent, found) if codec == b"alac" else found


def _with_packets(file: FileBytes, chunks: Chunks, extent: Extent, found: Diagnosis) -> Diagnosis:
    """Add what the table of packets says, which stands at the end as a rule."""
    table = chunks.named(b"pakt", 24) or chunks.find_behind(extent.after, b"pakt")
    if table is None:
        text = "the table of its packets, at its end, is missing"
        return replace(found, missing=found.missing or text, hopeless=text)
    frames = int.from_bytes(file.read(table.body + 8, 8), "big")
    return replace(found, frames=frames)


def examine_w64(file: FileBytes) -> Diagnosis:
    """Find out what is wrong with a W64 file; raises FileError if it has no audio."""
    chunks = Chunks(file, _W64, 40, b"data" + W64_NAME_END)
    chunk = chunks.all[-1]
    described = chunks.named(b"fmt " + W64_NAME_END, 16)
    if described is None:
        raise FileError("it does not say what kind of audio it holds")
    fields = file.read(described.body, 26)
    tag, channels, rate, byte_rate, frame_bytes, bits = struct.unpack("<HHIIHH", fields[:16])
    if tag == 0xFFFE and len(fields) == 26:
        tag = int.from_bytes(fields[24:26], "little")
    _check_channels(channels, rate)
    if byte_rate != frame_bytes * rate:  # else they vouch for each other
        frame_bytes = channels * ((bits + 7) // 8)
    fixed = frame_bytes if tag in _W64_FIXED_FRAMES and 1 <= bits <= 64 and frame_bytes else None
    size = int.from_bytes(file.read(chunk.start + 16, 8), "little", signed=True)
    claim = stated(size)
    claims = (None if claim is None else max(0, claim - _W64.header_bytes),)
    audio = _Audio(chunk, chunk.body, claims, fixed)
    extent = _extent(file, chunks, audio, _AFTER_W64, 8)
    findings = _findings(chunks, extent)
    edits = list(chunks.edits)
    count = extent.audio - audio.body
    behind = file.size - _follows(file, _W64, extent)
    whole = audio.body + count + (-count % 8 if behind else 0) + behind
    riff = int.from_bytes(file.read(16, 8), "little")
    if abs(riff - whole) > 8 and riff != extent.after:
        findings.append(f"the RIFF size is {riff} instead of {whole}")
    edits.append(Edit(16, 24, whole.to_bytes(8, "little")))
    extent = _with_outer_claim(file, extent, riff, claims[0])
    found = _diagnosis(file, "W64", _W64, audio, extent, findings, edits)
    if extent.audio == file.size and not found.findings:
        return found
    # libsndfile takes all that follows for audio.
    edits.append(_W64.size_edit(chunk, count))
    head = edited(0, audio.body, edits)
    return replace(found, streams=(Stream((*head, Kept(audio.body, extent.audio))),))


def _check_channels(channels: int, rate: float) -> None:
    if channels == 0 or not rate > 0:
        raise FileError(f"it claims {channels} channels at {rate:g} Hz")


def _extended(data: bytes) -> float:
    """Return a number of 80 bits."""
    exponent = int.from_bytes(data[:2], "big")
    mantissa = int.from_bytes(data[2:], "big")
    if exponent & 0x8000 or exponent > 16383 + 63:
        return 0.0
    return float(mantissa * 2.0 ** (exponent - 16383 - 63))


def _extent(
    file: FileBytes, chunks: Chunks, audio: _Audio, after: frozenset[bytes], align: int
) -> Extent:
    if audio.body > file.size:
        raise FileError("it is cut short: it ends before its audio begins")
    return find_extent(
        file,
        audio.body,
        audio.claims,
        audio.frame_bytes,
        chunks.lead_on,
        lambda: max(audio.body, chunks.tail(after)),
        align,
    )


def _findings(chunks: Chunks, extent: Extent) -> list[str]:
    return [*chunks.findings, *([extent.finding] if extent.finding else [])]


def _with_outer_claim(file: FileBytes, extent: Extent, end: int, claim: int | None) -> Extent:
    missing, unclear = outer_claim(file.size, end, claim)
    return replace(extent, missing=extent.missing or missing, unclear=extent.unclear or unclear)


def _follows(file: FileBytes, layout: Layout, extent: Extent) -> int:
    """Return where what follows the audio and its padding begins."""
    return min(extent.after + -extent.after % layout.align, file.size)


def _diagnosis(
    file: FileBytes,
    name: str,
    layout: Layout,
    audio: _Audio,
    extent: Extent,
    findings: list[str],
    edits: list[Edit],
) -> Diagnosis:
    """Put the mended file together: its head, the audio, padding, and what follows."""
    count = extent.audio - audio.body
    frames = count // audio.frame_bytes if audio.frame_bytes else None
    if not findings:
        whole = (Kept(0, file.size),)
        return Diagnosis(name, (), frames, whole, extent.missing, extent.unclear)
    chunk_size = extent.audio - audio.chunk.body
    follows = Kept(_follows(file, layout, extent), file.size)
    # libsndfile takes the last padding of a W64 file for audio, and writes none.
    padded = layout is not _W64 or len(follows) > 0
    pieces = (
        *edited(0, audio.body, [*edits, layout.size_edit(audio.chunk, chunk_size)]),
        Kept(audio.body, extent.audio),
        bytes(-chunk_size % layout.align) if padded else b"",
        follows,
    )
    pieces = tuple(piece for piece in pieces if len(piece))
    return Diagnosis(name, tuple(findings), frames, pieces, extent.missing, extent.unclear)
