"""Names of the files of one recording."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

from stream_audio.errors import ConfigError

_IN_FOLDER = re.compile(r"\{(start|index)[:}]")
_FIELD = re.compile(r"\{(start|index)(?::([^{}]*))?\}")


class Names:
    """Makes the name of each file from a path.

    ``{start}`` and ``{index}`` in its last component stand for the local time of the first frame
    and the number of the file, from 1; either may have a format, as in
    ``{start:%Y%m%d-%H%M%S}-{index:04}.wav``. Other braces are left alone. Where neither stands,
    the number follows the name (``a-0002.wav``); the first file is plain unless ``numbered``.

    Raises
    ------
    ConfigError
        A format makes no file name, or stands in a folder's.
    """

    def __init__(self, path: Path, *, numbered: bool, first: int = 1) -> None:
        self.path = path
        self._numbered = numbered
        self._first = first
        if _IN_FOLDER.search(str(path.parent)):
            raise ConfigError(
                f"{{start}} and {{index}} make the name of a file, not of a folder: {path}",
                hint="Folders are not created; name one that is there",
            )
        self._is_template = _FIELD.search(path.name) is not None
        self.name(first, datetime(2000, 1, 1))

    def name(self, index: int, start: datetime) -> Path:
        """Return the name of a file."""
        if self._is_template:
            name = _FIELD.sub(lambda field: self._fill(field, index, start), self.path.name)
            return self.path.with_name(name)
        if index == self._first and not self._numbered:
            return self.path
        return self.path.with_name(f"{self.path.stem}-{index:04}{self.path.suffix}")

    def _fill(self, field: re.Match[str], index: int, start: datetime) -> str:
        value, text = field.groups()
        try:
            if value == "index":
                filled = format(index, text or "")
            else:
                filled = format(start, text or "%Y%m%d-%H%M%S")
        except ValueError as error:
            raise ConfigError(f"{field[0]} in {self.path.name!r}: {error}") from error
        if os.sep in filled or not filled:
            raise ConfigError(f"{field[0]} in {self.path.name!r} makes no name: {filled!r}")
        return filled
