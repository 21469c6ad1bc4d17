"""Names that are free, for files that find theirs taken."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_NUMBER = 9999
"""Of a file that found its name taken."""


class IfExists(Enum):
    """What to do about a file of that name."""

    FAIL = "fail"
    OVERWRITE = "overwrite"
    """Write the new one beside it; the old one goes when that takes its name."""
    RENAME = "rename"
    """Give the new one another name: ``a-1.wav``."""


def names_for(path: Path, if_exists: IfExists) -> Iterator[Path]:
    """Yield the name that is wanted, and those that will do in its place."""
    yield path
    if if_exists is IfExists.RENAME:
        for number in range(1, MAX_NUMBER + 1):
            yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def rename_to_free_name(old: Path, new: Path) -> None:
    """Rename without replacing what has the new name."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        os.rename(old, new)
    else:
        os.unlink(old)


def no_free_name(path: Path) -> OSError:
    """Make the error of a name all of whose numbers are taken."""
    return FileExistsError(
        errno.EEXIST, f"this name and {MAX_NUMBER} numbered names are taken", str(path)
    )
