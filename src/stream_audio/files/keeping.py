"""Which files of a recording are old enough to go, and that nothing else goes."""

from __future__ import annotations

import math
import os
import stat
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from stream_audio._checks import real_number, whole_number
from stream_audio._log import log
from stream_audio._record import Record
from stream_audio.errors import ConfigError
from stream_audio.files.names import Names
from stream_audio.files.rotation import seconds_said

if TYPE_CHECKING:
    from pathlib import Path

LEDGER_ENDING = ".json"
"""What follows the name of a file in that of its ledger."""


class Keep(Record):
    """What stays of a recording.

    Attributes
    ----------
    count : int, optional
        The last so many files, the one that is being written included.
    seconds : float, optional
        What ended no longer ago.
    earlier : bool
        Whether files of earlier runs count, too.
    """

    count: int | None
    seconds: float | None
    earlier: bool


def parse_keep(keep: object, earlier: bool, *, ledger: bool) -> Keep | None:
    """Read what the user said, or raise ConfigError or ConfigTypeError."""
    if keep is None:
        if earlier:
            raise ConfigError("keep_earlier=True needs keep", hint="For example keep=100")
        return None
    if earlier and not ledger:
        raise ConfigError(
            "keep_earlier=True needs ledger=True",
            hint="Files of earlier runs are known by their ledgers",
        )
    if isinstance(keep, str):
        seconds = seconds_said("keep", keep)
        return Keep(None, real_number("keep", seconds, 1, 1e10), earlier)
    return Keep(whole_number("keep", keep, 1, 2**40), None, earlier)


class OldPart(Protocol):
    """A complete file, with its ledger if it has one."""

    @property
    def end(self) -> float:
        """When its last frame was captured, ``time.time()`` seconds."""
        ...

    def delete(self) -> None:
        """Delete it, unless somebody changed it; raises OSError as the system gives it."""


class Kept:
    """The complete files of a recording, and which of them have to go."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._parts: deque[OldPart] = deque()  # the oldest first

    def add_earlier(self, names: Names, recording: str) -> None:
        """Take in what earlier runs left in the folders of these names."""
        if self._keep.earlier:
            self._parts.extend(_find_earlier(names, recording))
            self._parts = deque(sorted(self._parts, key=lambda part: part.end))

    def add(self, part: OldPart) -> None:
        """Take in the newest one."""
        self._parts.append(part)

    def delete_old(self, now: float) -> None:
        """Delete what is too old, another file being written ``now``; logs what cannot go."""
        keep = self._keep
        count = math.inf if keep.count is None else keep.count
        oldest_end = -math.inf if keep.seconds is None else now - keep.seconds
        while self._parts and (len(self._parts) >= count or self._parts[0].end < oldest_end):
            part = self._parts.popleft()
            try:
                part.delete()
            except OSError as error:
                log.warning("cannot delete %s: %s", error.filename, error)


def recording_id(path: Path, source: str) -> str:
    """Return what tells the files of one recording, over all its runs, from those of others."""
    import hashlib  # only where there is a ledger

    said = f"{os.path.abspath(path)}\n{source}"
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:32]


class EarlierPart(Record):
    """A file of an earlier run, as it was found; see :class:`OldPart`."""

    path: Path
    ledger: Path
    end: float
    _stamps: tuple[tuple[int, ...], ...]

    def delete(self) -> None:
        """Delete it, unless somebody changed it."""
        if self._stamps == _stamps(self.path, self.ledger):
            self.path.unlink()
            self.ledger.unlink()


def _find_earlier(names: Names, recording: str) -> Iterator[EarlierPart]:
    from pathlib import Path

    deepest = len(names.root.parts) + names.depth
    for folder, folders, files in os.walk(names.root):
        if len(Path(folder).parts) >= deepest:
            folders.clear()
        for name in files:
            if name.endswith(LEDGER_ENDING):
                part = _earlier(Path(folder, name), recording)
                if part is not None:
                    yield part


def _earlier(ledger: Path, recording: str) -> EarlierPart | None:
    """Return the file that a ledger is of, if there is no doubt."""
    import json

    try:
        if not stat.S_ISREG(ledger.lstat().st_mode):
            return None
        told: dict[str, Any] = json.loads(ledger.read_bytes())
        path = ledger.with_name(told["file"])
        stamps = _stamps(path, ledger)
        is_its_own = told["recording"] == recording and ledger.name.startswith(path.name)
        is_whole = told["complete"] is True and told["bytes"] == path.lstat().st_size
        start = datetime.fromisoformat(told["start"]).timestamp()
        end = start + float(told["frames"]) / float(told["sample_rate"])
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None  # whatever it is, it is none of ours
    if stamps is None or not is_its_own or not is_whole:
        return None
    return EarlierPart(path, ledger, end, stamps)


def _stamps(*paths: Path) -> tuple[tuple[int, ...], ...] | None:
    """Return what changes when one of these regular files does; ``None`` if one is none."""
    found = []
    for path in paths:
        try:
            each = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(each.st_mode):
            return None
        found.append((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns))
    return tuple(found)
