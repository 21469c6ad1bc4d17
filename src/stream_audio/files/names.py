"""Names of the files of one recording."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stream_audio._record import Record
from stream_audio.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}:]*)(?::([^{}]*))?\}|[{}]")
_DIRECTIVE = re.compile(r"%[-_0^#]?(.?)", re.DOTALL)
_DIRECTIVES = frozenset("aAbBcCdDeFfgGhHIjmMpRSTuUVwWxXyYzZ%")
"""What ``strftime`` knows here; it leaves others as they are, or out, without a word."""

_FIELDS = {"start": "%Y%m%d-%H%M%S", "utc": "%Y%m%d-%H%M%SZ", "index": ""}
"""The fields of a template, and the format of one that has none."""

_EXAMPLE_TIME = datetime(2000, 1, 1)


class _Field(Record):
    name: str
    format: str
    text: str
    position: int


class Names:
    """Makes the name of each file from a path.

    ``{start}``, ``{utc}`` and ``{index}`` stand for the local time of the first frame, the same
    in UTC, and the number of the file, from 1; each may have a format, as in
    ``{start:%Y%m%d-%H%M%S}-{index:04}.wav``. ``{{`` and ``}}`` stand for braces. Where no field
    stands, the number follows the name (``a-0002.wav``); the first file is plain unless
    ``numbered``.

    Attributes
    ----------
    root : Path
        The folder that must be there; those below it come from fields and are made.
    template : str
        What is below ``root``.

    Raises
    ------
    ConfigError
        A field or a directive is unknown, or a format makes no name.
    """

    def __init__(self, path: Path, *, numbered: bool, first: int = 1) -> None:
        self._given = os.fspath(path)
        self._numbered = numbered
        self._first = first
        self._parts = list(_parse(self._given))
        until = next((each for each in self._parts if isinstance(each, _Field)), None)
        self._is_template = until is not None
        fixed = self._given if until is None else self._given[: until.position]
        folder, _, _ = fixed.rpartition(os.sep)
        at_root = fixed.startswith(os.sep) and not folder
        self.template = self._given[len(folder) + len(os.sep) if folder or at_root else 0 :]
        from pathlib import Path

        self.root = Path(_unescaped(folder) or (os.sep if at_root else "."))
        self.name(first, _EXAMPLE_TIME)

    @property
    def depth(self) -> int:
        """How many folders deep below ``root`` the files are."""
        return len(self.name(self._first, _EXAMPLE_TIME).relative_to(self.root).parts) - 1

    def name(self, index: int, start: datetime) -> Path:
        """Return the name of a file; a time without a zone is local."""
        from pathlib import Path

        path = Path("".join(self._fill(part, index, start) for part in self._parts))
        if self._is_template or (index == self._first and not self._numbered):
            return path
        return path.with_name(f"{path.stem}-{index:04}{path.suffix}")

    def _fill(self, part: str | _Field, index: int, start: datetime) -> str:
        if isinstance(part, str):
            return part
        try:
            if part.name == "index":
                filled = format(index, part.format)
            else:
                zone = UTC if part.name == "utc" else None
                filled = format(start.astimezone(zone), part.format)
        except ValueError as error:
            raise ConfigError(f"{part.text} in {self._given!r}: {error}") from error
        # Up to 3.13 strftime refuses a NUL itself.
        if not filled or "\0" in filled or (part.name == "index" and os.sep in filled):
            raise ConfigError(f"{part.text} in {self._given!r} gives no valid name: {filled!r}")
        return filled


def _parse(given: str) -> list[str | _Field]:
    """Return the parts of a template; raises ConfigError."""
    parts: list[str | _Field] = []
    position = 0
    for token in _TOKEN.finditer(given):
        parts.append(given[position : token.start()])
        position = token.end()
        text = token[0]
        if text in ("{{", "}}"):
            parts.append(text[0])
            continue
        name = token[1]
        if name not in _FIELDS:
            what = "a lone brace" if len(text) == 1 else f"an unknown field {text}"
            raise ConfigError(
                f"{what} in {given!r}",
                hint="There are {start}, {utc} and {index}; for a brace write {{ or }}",
            )
        form = token[2] or _FIELDS[name]
        if name != "index":
            for directive in _DIRECTIVE.finditer(form):
                if directive[1] not in _DIRECTIVES or not directive[1]:
                    raise ConfigError(
                        f"{text} in {given!r}: there is no {directive[0]}",
                        hint="Write dates as strftime does: {start:%Y-%m-%d %H.%M.%S}",
                    )
        parts.append(_Field(name, form, text, token.start()))
    parts.append(given[position:])
    return parts


def _unescaped(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")


def in_folder(folder: Path, path: Path) -> Path:
    """Return the template of ``path`` as it is below another folder."""
    escaped = os.fspath(folder).replace("{", "{{").replace("}", "}}")
    from pathlib import Path

    return Path(escaped) / Names(path, numbered=False).template


def name_for_people(path: Path) -> str:
    """Return what to call the files of a template: ``talk-*.wav``."""
    plain = {"{{": "{", "}}": "}"}
    return _TOKEN.sub(lambda token: plain.get(token[0], "*"), last_part(path))


def last_part(path: Path) -> str:
    """Return the name of a file as it was given, a field of which may speak of folders."""
    given = os.fspath(path)
    begin = 0
    for separator in re.finditer(r"\{[^{}]*\}|" + re.escape(os.sep), given):
        if separator[0] == os.sep:
            begin = separator.end()
    return given[begin:] or path.name
