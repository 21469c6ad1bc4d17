"""Ogg files: which streams follow one another in them, and where the last whole page ends.

libsndfile reads the first stream of a chain alone, and of a file that ends in the middle of a page
nothing. Format: RFC 3533.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

from stream_audio._record import Record
from stream_audio.files.mending import Diagnosis, FileBytes, Kept, Stream

_CAPTURE = b"OggS\0"
_HEADER_BYTES = 27
_READ_BYTES = 1 << 20
_COST = 4096
"""Bytes of effort for each place that looks like a page."""

_BEGINS, _ENDS = 2, 4
"""Flags of a stream's first and last page."""

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(Record):
    start: int
    end: int
    flags: int
    granule: int
    serial: int
    number: int


class _Link(Record):
    """A stream of its own, and what is wrong with it."""

    start: int
    last: _Page
    granule: int = 0  # the highest so far
    trouble: str = ""


def page_sum(page: bytes) -> int:
    """Return the check sum of a page whose own is 0.

    It is that of zlib with the bits of each byte, and of the sum, in reverse, and beginning at 0.
    """
    reverse = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reverse:032b}"[::-1], 2)


def examine_ogg(file: FileBytes) -> Diagnosis | None:
    """Find the streams of an Ogg file; ``None``: there is none, or several beside one another."""
    links: list[_Link] = []
    pages = _Pages(file)
    position = strays = without_beginning = 0
    while (page := pages.next_from(position)) is not None:
        strays += page.start - position
        position = page.end
        if page.flags & _BEGINS:
            if links and links[-1].last.flags & _BEGINS:
                return None
            links.append(_Link(page.start, page))
        elif links and page.serial == links[-1].last.serial:
            links[-1] = _with(links[-1], page)
        else:
            without_beginning += page.end - page.start
    if not links:
        return None
    end = links[-1].last.end
    rest = file.read(end, 4)
    cut = len(rest) > 0 and b"OggS".startswith(rest[:4])
    missing = "its last page is cut" if cut else ""
    if without_beginning:
        missing = f"it has {without_beginning} bytes of a stream whose beginning is missing"
    unclear = f"{strays} bytes in it belong to no page" if strays or pages.gave_up else ""
    for number, link in enumerate(links, 1):
        which = "it" if len(links) == 1 else f"stream {number} in it"
        if link.trouble:
            missing = missing or f"{which} {link.trouble}"
        elif not _is_whole(file, link.last):
            missing = missing or f"the last page of {which} is damaged"
        elif not link.last.flags & _ENDS and not missing:
            unclear = unclear or f"{which} has no mark at its end, which may be missing"
    findings = (f"its last page is cut: {file.size - end} bytes of it are there",) if cut else ()
    streams = tuple(Stream((Kept(link.start, link.last.end),)) for link in links)
    return Diagnosis(
        "OGG",
        findings,
        None,
        (Kept(0, end if cut else file.size),),
        missing,
        unclear,
        streams if len(links) > 1 or end < file.size or links[0].start else (),
    )


def _with(link: _Link, page: _Page) -> _Link:
    """Add a page to its stream."""
    trouble = link.trouble
    if page.number != link.last.number + 1:
        trouble = trouble or "lacks pages in its middle"
    if -1 < page.granule < link.granule:
        trouble = trouble or "has pages that contradict one another"
    return replace(link, last=page, granule=max(link.granule, page.granule), trouble=trouble)


class _Pages:
    """Finds pages, in time in proportion to the file."""

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        self._effort = 4 * file.size + (1 << 24)
        """Bytes that may be looked at again where pages are looked for."""

    def next_from(self, position: int) -> _Page | None:
        """Return the first whole page from a position on."""
        page = _parse(self._file, position)
        if page is not None:
            return page
        # Lost: a page that is found again has to be whole.
        start = position + 1
        while start + _HEADER_BYTES <= self._file.size:
            window = self._file.read(start, _READ_BYTES)
            at = window.find(_CAPTURE)
            while at >= 0 and self._effort > 0:
                page = _parse(self._file, start + at)
                self._effort -= _COST + (page.end - page.start if page is not None else 0)
                if page is not None and _is_whole(self._file, page):
                    return page
                at = window.find(_CAPTURE, at + 1)
            start += max(1, len(window) - len(_CAPTURE) + 1)
        return None

    @property
    def gave_up(self) -> bool:
        """Whether there is too much that looks like pages and is none."""
        return self._effort <= 0


def _parse(file: FileBytes, start: int) -> _Page | None:
    """Return the page that begins at a position, if all of it is there."""
    header = file.read(start, _HEADER_BYTES + 255)
    if header[:5] != _CAPTURE or len(header) < _HEADER_BYTES:
        return None
    count = header[26]
    lacing = header[_HEADER_BYTES : _HEADER_BYTES + count]
    end = start + _HEADER_BYTES + count + sum(lacing)
    if len(lacing) < count or end > file.size:
        return None
    return _Page(
        start,
        end,
        header[5],
        int.from_bytes(header[6:14], "little", signed=True),
        int.from_bytes(header[14:18], "little"),
        int.from_bytes(header[18:22], "little"),
    )


def _is_whole(file: FileBytes, page: _Page) -> bool:
    data = file.read(page.start, page.end - page.start)
    return page_sum(data[:22] + bytes(4) + data[26:]) == int.from_bytes(data[22:26], "little")
