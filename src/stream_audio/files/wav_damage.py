"""What is wrong with a WAV file, and what it should be.

Everything is judged by the audio: it begins behind the ``data`` chunk's header and, if the sizes
are wrong, ends where the file does or where chunks begin that are known to follow audio. Formats:
Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991); EBU Tech 3306
(2009) for RF64.
"""

from __future__ import annotations

import re
import struct

from stream_audio._record import Record
from stream_audio.errors import FileError
from stream_audio.files.extent import (
    is_guess,
    outer_claim,
    padding_in_doubt,
    stated,
    tail_is_no_audio,
)
from stream_audio.files.mending import Diagnosis, Edit, FileBytes, Kept, edited

IN_DS64 = 0xFFFFFFFF
"""A size of 32 bits that says: look into ``ds64``; or, of a WAV that was piped: unknown."""

MAX_CHUNKS = 1000
"""More of them are no WAV file but noise."""

SEARCH_BYTES = 1 << 20
"""How far chunks are looked for where the sizes do not lead to them."""

_AFTER_AUDIO = frozenset(
    b"LIST|bext|cue |id3 |ID3 |iXML|axml|aXML|chna|smpl|inst|plst|note|PEAK|levl|cart|_PMX|acid|"
    b"DISP|afsp|JUNK|junk|PAD |FLLR|umid|minf|regn|strc".split(b"|")
)
"""Chunks that writers put behind the audio."""

NO_AUDIO = (b"TAG", b"APETAGEX", b"ID3", *_AFTER_AUDIO)
"""What the bytes behind the audio begin with that are none."""

FIXED_FRAMES = {1, 3, 6, 7}
"""Format tags (PCM, float, A-law, µ-law) whose frames have so many bits a sample, always."""

EXTENSIBLE = 0xFFFE


class _Chunk(Record):
    name: bytes
    start: int  # of its header
    size: int  # as its header has it

    @property
    def body(self) -> int:
        return self.start + 8

    @property
    def end(self) -> int:
        return self.body + self.size + self.size % 2

    @property
    def text(self) -> str:
        return repr(self.name.decode("ascii"))


class _Extent(Record):
    """Where things end: the audio, the padding behind it, and the RIFF structure."""

    audio: int
    padding: int
    riff: int


def examine_wav(file: FileBytes) -> Diagnosis:
    """Find out what is wrong.

    Raises
    ------
    FileError
        It cannot be mended: it ends before its audio, or nothing says of what kind that is.
    """
    examination = _Examination(file)
    return examination.diagnosis(examination.extent())


class _Examination:
    def __init__(self, file: FileBytes) -> None:
        self.file = file
        self.findings: list[str] = []
        self.edits: list[Edit] = []
        self.missing = self.unclear = ""
        self.riff = file.read(0, 4)
        self.is_riff = self.riff == b"RIFF"
        self.riff_size = int.from_bytes(file.read(4, 4), "little")
        self.chunks = self._chunks_to_audio()
        self.data = self.chunks[-1]
        self.body = self.data.body
        self._read_format()

    # ---- what stands before the audio ----

    def _chunk_at(self, start: int) -> _Chunk | None:
        header = self.file.read(start, 8)
        if len(header) < 8 or not all(0x20 <= byte <= 0x7E for byte in header[:4]):
            return None
        return _Chunk(header[:4], start, int.from_bytes(header[4:], "little"))

    def _chunks_to_audio(self) -> list[_Chunk]:
        """Return the chunks up to and including ``data``."""
        chunks: list[_Chunk] = []
        start = 12
        while len(chunks) < MAX_CHUNKS:
            chunk = self._chunk_at(start)
            if chunk is None or (chunk.name != b"data" and chunk.end > self.file.size):
                chunk = self._find_next(chunks, start)
            chunks.append(chunk)
            if chunk.name == b"data":
                return chunks
            start = chunk.end
        raise FileError(f"it has over {MAX_CHUNKS} chunks before its audio")

    def _find_next(self, before: list[_Chunk], lost_at: int) -> _Chunk:
        """Return the next chunk that matters where the one before does not lead to it."""
        name = b"data" if any(chunk.name == b"fmt " for chunk in before) else b"fmt "
        if before and before[-1].size % 2:
            chunk = self._chunk_at(lost_at - 1)
            if chunk is not None and chunk.name == name:
                self._find(f"the padding byte behind the chunk {before[-1].text} is missing")
                self.edits.append(Edit(chunk.start, chunk.start, b"\0"))
                return chunk
        wrong = self._chunk_at(lost_at)
        if wrong is not None:
            for place in _places(self.file.read(wrong.body, SEARCH_BYTES), name):
                chunk = self._chunk_at(wrong.body + place)
                if chunk is not None and place % 2 == 0:  # chunks begin at even offsets
                    self._find(
                        f"the size of the chunk {wrong.text} is {wrong.size} instead of {place}"
                    )
                    self._state(wrong.start + 4, "<I", place)
                    before.append(_Chunk(wrong.name, wrong.start, place))
                    return chunk
        raise FileError("it is cut short: it ends before its audio begins")

    def _named(self, name: bytes, least: int) -> _Chunk | None:
        """Return the chunk of that name, if it has at least so many bytes."""
        return next((c for c in self.chunks if c.name == name and c.size >= least), None)

    def _read_format(self) -> None:
        chunk = self._named(b"fmt ", 16)
        if chunk is None:
            raise FileError("it does not say what kind of audio it holds")
        fields = self.file.read(chunk.body, min(chunk.size, 40))
        tag, channels, rate, byte_rate, stated, bits = struct.unpack("<HHIIHH", fields[:16])
        if tag == EXTENSIBLE and len(fields) >= 26:
            tag = int.from_bytes(fields[24:26], "little")
        if channels == 0 or rate == 0:
            raise FileError(f"it claims {channels} channels at {rate} Hz")
        self.fixed_frames = tag in FIXED_FRAMES and 1 <= bits <= 64
        self.frame_bytes = stated
        if self.fixed_frames and byte_rate != stated * rate:  # else they vouch for each other
            self.frame_bytes = channels * ((bits + 7) // 8)
        if not 1 <= self.frame_bytes <= 0xFFFF:
            raise FileError(f"its frames have {self.frame_bytes} bytes")
        if stated != self.frame_bytes:
            self._find(f"the size of a frame is {stated} instead of {self.frame_bytes} bytes")
            self._state(chunk.body + 8, "<IH", rate * self.frame_bytes % 2**32, self.frame_bytes)

    def _find(self, finding: str) -> None:
        self.findings.append(finding)

    def _state(self, offset: int, layout: str, *values: int | bytes) -> None:
        data = struct.pack(layout, *values)
        self.edits.append(Edit(offset, offset + len(data), data))

    # ---- where it ends ----

    def _stated_bytes(self) -> int | None:
        """Return the audio's length as the header has it; ``None``: it does not say."""
        if self.data.size != IN_DS64:
            return self.data.size
        ds64 = self._named(b"ds64", 28)
        if self.is_riff or ds64 is None:
            return None
        return stated(int.from_bytes(self.file.read(ds64.body + 8, 8), "little"))

    def _ends_of_chunks(self, start: int) -> list[int] | None:
        """Return where each chunk from there on ends, if they lead to the end of the file."""
        ends = [start]
        while ends[-1] < self.file.size and len(ends) < MAX_CHUNKS:
            chunk = self._chunk_at(ends[-1])
            if chunk is None:
                return None
            ends.append(chunk.end)
        # The last padding byte may be missing.
        return ends if 0 <= ends[-1] - self.file.size <= 1 else None

    def extent(self) -> _Extent:
        """Find where the audio ends; what is stated is right if it leads to the file's end."""
        stated, size = self._stated_bytes(), self.file.size
        if stated is not None:
            # A length of 32 bits that passed 4 GiB began again at 0, perhaps more than once.
            wraps = range((size - self.body) // 2**32 + 1 if self.is_riff else 1)
            for wrap in wraps:
                audio = self.body + stated + wrap * 2**32
                if audio > size:
                    break
                for padding in dict.fromkeys((stated % 2, 0)):
                    ends = self._ends_of_chunks(audio + padding)
                    if ends is None:
                        continue
                    if wrap:
                        self._find(f"its sizes passed 4 GiB and began again at 0, {wrap} times")
                    if stated % 2 and (padding == 0 or audio == size):
                        self._find("the padding byte behind the audio is missing")
                    # Whole chunks behind the end that it claims are not ours to take in.
                    riff = self.riff_size + 8 if self.riff_size + 8 in ends[:-1] else size
                    return _Extent(audio, min(audio + padding, size), riff)
        return self._extent_from_the_end(stated)

    def _extent_from_the_end(self, claim: int | None) -> _Extent:
        size = self.file.size
        if claim and self.body + claim < size:
            ended, self.unclear = tail_is_no_audio(
                self.file, self.body + claim, NO_AUDIO, self.frame_bytes
            )
            if ended:
                audio, padded = self.body + claim, self.body + claim + claim % 2
                claimed = self.riff_size + 8
                return _Extent(audio, padded, claimed if padded <= claimed <= size else padded)
        after = self._chunks_at_the_end()
        audio = after
        count = audio - self.body
        said = "unknown" if claim is None else f"{claim}"
        self._find(f"the size of the audio is {said} instead of {count} bytes")
        if claim is not None and is_guess(claim):
            self.unclear = "its header has a length that its writer never corrected"
        elif claim is not None and claim > count:
            self.missing = (
                f"it is cut short: its header claims {claim} bytes of audio, but it has {count}"
            )
        elif claim:
            text = f"its header claims {claim} bytes of audio only; its end may be missing"
            self.unclear = text
        elif self.fixed_frames:
            self.unclear = padding_in_doubt(self.file, after, self.frame_bytes, 2)
        cut = count % self.frame_bytes
        # One zero may be padding that the size of odd audio did not count.
        padded = cut == 1 and (after < size or not any(self.file.read(after - 1, 1)))
        if cut and after == size and self.fixed_frames:
            text = f"its last frame is cut: it has {cut} of {self.frame_bytes} bytes"
            self._find(text)
            if not padded:
                self.missing = self.missing or text
            audio -= cut
        elif padded:
            audio -= 1
        return _Extent(audio, after, size)

    def _chunks_at_the_end(self) -> int:
        """Return where chunks begin that follow audio and lead to the file's end, if they do."""
        size = self.file.size
        start = max(self.body, size - SEARCH_BYTES)
        window = self.file.read(start, SEARCH_BYTES)
        begins = size
        ends = {size, size + 1}  # the last padding byte may be missing
        for place in sorted(p for name in _AFTER_AUDIO for p in _places(window, name))[::-1]:
            chunk = self._chunk_at(start + place)
            if chunk is not None and chunk.end in ends:
                begins = chunk.start
                ends.add(begins)
        return begins

    # ---- what it should be ----

    def diagnosis(self, extent: _Extent) -> Diagnosis:
        """Say what is wrong, and how the mended file is put together."""
        count = extent.audio - self.body
        frames = count // self.frame_bytes if self.fixed_frames else None
        padding = b"\0" * (count % 2)
        inserted = sum(len(edit.data) - (edit.end - edit.start) for edit in self.edits)
        riff_bytes = self.body + inserted + count + len(padding) + extent.riff - extent.padding - 8
        self._judge_sizes(riff_bytes, count, frames)
        name = "WAV" if self.is_riff else "RF64"
        if not self.findings:
            whole = (Kept(0, self.file.size),)
            return Diagnosis(name, (), frames, whole, self.missing, self.unclear)
        fact = self._named(b"fact", 4)
        if fact is not None and frames is not None:
            self._state(fact.body, "<I", min(frames, IN_DS64))
        pieces = (
            *edited(0, self.body, self.edits),
            Kept(self.body, extent.audio),
            padding,
            Kept(extent.padding, self.file.size),
        )
        pieces = tuple(piece for piece in pieces if len(piece))
        found = tuple(self.findings)
        return Diagnosis(name, found, frames, pieces, self.missing, self.unclear)

    def _judge_sizes(self, riff_bytes: int, data_bytes: int, frames: int | None) -> None:
        """Compare the sizes in the header, and put them right."""
        ds64 = None if self.is_riff else self._named(b"ds64", 28)
        if ds64 is not None:
            stated, _, count = struct.unpack("<QQQ", self.file.read(ds64.body, 24))
        else:
            stated, count = self.riff_size, 0
        missing, unclear = outer_claim(self.file.size, stated + 8, self._stated_bytes())
        self.missing, self.unclear = self.missing or missing, self.unclear or unclear
        large = max(riff_bytes, data_bytes) >= IN_DS64
        # Some writers leave the last padding byte out.
        if abs(stated - riff_bytes) > 1 and not (large and ds64 is None):
            self._find(f"the RIFF size is {stated} instead of {riff_bytes}")
        if ds64 is None and not self.is_riff:
            self._find("it is called RF64, but has no sizes of 64 bits")
        if large and ds64 is None:
            self._find("its sizes do not fit into 32 bits")
            room = self.chunks[0]
            if room.name in (b"JUNK", b"junk", b"PAD ") and room.size >= 28:
                self._state(room.start, "<4s", b"ds64")
                ds64 = room
            else:
                riff_bytes += 36
                sizes = struct.pack("<QQQI", riff_bytes, data_bytes, frames or 0, 0)
                self.edits.append(Edit(12, 12, struct.pack("<4sI", b"ds64", 28) + sizes))
        if ds64 is not None:
            count = count if frames is None else frames
            self._state(ds64.body, "<QQQI", riff_bytes, data_bytes, count, 0)
        if large or ds64 is not None:
            self._state(0, "<4sI", b"RF64" if self.is_riff else self.riff, IN_DS64)
            self._state(self.body - 4, "<I", IN_DS64)
        else:
            self._state(0, "<4sI", b"RIFF", riff_bytes)
            self._state(self.body - 4, "<I", data_bytes)


def _places(window: bytes, name: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(name), window)]
