"""Files that are made of chunks, each with a name and a size: AIFF, CAF, W64."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from stream_audio._record import Record
from stream_audio.errors import FileError
from stream_audio.files.mending import Edit, FileBytes

MAX_CHUNKS = 1000
"""More of them are no sound file but noise."""

SEARCH_BYTES = 1 << 20
"""How far chunks are looked for where the sizes do not lead to them."""

W64_NAME_END = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What all names of W64 chunks end with, but that of the file itself."""


class Chunk(Record):
    """A chunk as its header has it.

    Attributes
    ----------
    name : bytes
        Its name.
    start, body : int
        Positions of its header and of what follows that.
    size : int
        Bytes that follow its header.
    end : int
        Where the next one begins.
    """

    name: bytes
    start: int
    body: int
    size: int
    end: int


class Layout(Record):
    """How chunks look in one kind of file.

    Attributes
    ----------
    name_bytes, size_bytes : int
        Lengths of the two parts of a header.
    order : "little" or "big"
        Of the bytes of a size.
    counts_header : bool
        Whether a size includes that of the header.
    align : int
        Chunks begin at multiples of so many bytes.
    """

    name_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    counts_header: bool = False
    align: int = 1

    @property
    def header_bytes(self) -> int:
        """Bytes of a chunk's header."""
        return self.name_bytes + self.size_bytes

    def chunk_at(self, file: FileBytes, start: int) -> Chunk | None:
        """Return the chunk that begins at a position, if one may."""
        header = file.read(start, self.header_bytes)
        name = header[: self.name_bytes]
        if len(header) < self.header_bytes or not self._is_name(name):
            return None
        size = int.from_bytes(header[self.name_bytes :], self.order)
        if self.counts_header:
            size = max(0, size - self.header_bytes)
        body = start + self.header_bytes
        return Chunk(name, start, body, size, body + size + -size % self.align)

    def _is_name(self, name: bytes) -> bool:
        if self.name_bytes == 4:
            return all(0x20 <= byte <= 0x7E or byte == 0xA9 for byte in name)
        return name.endswith(W64_NAME_END)

    def sized(self, size: int) -> bytes:
        """Return a size as it stands in a header."""
        if self.counts_header:
            size += self.header_bytes
        return size.to_bytes(self.size_bytes, self.order)

    def size_edit(self, chunk: Chunk, size: int) -> Edit:
        """Return the edit that gives a chunk another size."""
        return Edit(chunk.start + self.name_bytes, chunk.body, self.sized(size))


class Chunks:
    """The chunks of a file up to its audio.

    Parameters
    ----------
    file : FileBytes
        The file.
    layout : Layout
        How they look.
    start : int
        Where the first one begins.
    audio : bytes
        The name of the one with the audio.

    Attributes
    ----------
    findings : list of str
        What is wrong with the chunks before the audio.
    edits : list of Edit
        What puts that right.

    Raises
    ------
    FileError
        It ends before its audio begins.
    """

    def __init__(self, file: FileBytes, layout: Layout, start: int, audio: bytes) -> None:
        self._file = file
        self._layout = layout
        self.findings: list[str] = []
        self.edits: list[Edit] = []
        self.all: list[Chunk] = []
        while not self.all or self.all[-1].name != audio:
            if len(self.all) > MAX_CHUNKS:
                raise FileError(f"it has over {MAX_CHUNKS} chunks before its audio")
            chunk = layout.chunk_at(file, start)
            if chunk is not None and chunk.name != audio and chunk.end > file.size:
                chunk = self._with_right_size(chunk, audio)
            if chunk is None:
                raise FileError("it is cut short: it ends before its audio begins")
            self.all.append(chunk)
            start = chunk.end

    def _with_right_size(self, chunk: Chunk, audio: bytes) -> Chunk | None:
        """Give a chunk that leads beyond the file the size that leads to the audio."""
        layout = self._layout
        for place in _places(self._file.read(chunk.body, SEARCH_BYTES), audio):
            if place % layout.align == 0 and layout.chunk_at(self._file, chunk.body + place):
                name = chunk.name[:4].decode("latin-1")
                self.findings.append(
                    f"the size of the chunk {name!r} is {chunk.size} instead of {place}"
                )
                self.edits.append(layout.size_edit(chunk, place))
                end = chunk.body + place
                return Chunk(chunk.name, chunk.start, chunk.body, place, end)
        return None

    def named(self, name: bytes, least: int) -> Chunk | None:
        """Return the chunk of that name, if it has at least so many bytes."""
        return next((c for c in self.all if c.name == name and c.size >= least), None)

    def lead_on(self, position: int) -> bool:
        """Whether from a position chunks lead to the end of the file."""
        layout, size = self._layout, self._file.size
        position += -position % layout.align
        for _ in range(MAX_CHUNKS):
            if size <= position < size + layout.align:  # the last padding may be missing
                return True
            chunk = layout.chunk_at(self._file, position)
            if chunk is None:
                return False
            position = chunk.end
        return False

    def find_behind(self, position: int, name: bytes) -> Chunk | None:
        """Return the chunk of that name among those that begin at a position."""
        for _ in range(MAX_CHUNKS):
            chunk = self._layout.chunk_at(self._file, position)
            if chunk is None or chunk.name == name:
                return chunk
            position = chunk.end
        return None

    def tail(self, names: frozenset[bytes]) -> int:
        """Return where chunks of these names begin that lead to the file's end, if they do."""
        layout, size, body = self._layout, self._file.size, self.all[-1].body
        start = max(body, size - SEARCH_BYTES)
        window = self._file.read(start, SEARCH_BYTES)
        begins = size
        ends = set(range(size, size + layout.align))
        for place in sorted({p for name in names for p in _places(window, name)}, reverse=True):
            chunk = layout.chunk_at(self._file, start + place)
            if chunk is not None and chunk.start % layout.align == 0 and chunk.end in ends:
                begins = chunk.start
                ends.add(begins)
        return begins


def _places(window: bytes, name: bytes) -> Iterator[int]:
    return (match.start() for match in re.finditer(re.escape(name), window))
