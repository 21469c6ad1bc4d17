"""How a new file comes to be: permissions, files that are there already, temporary names."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def create(path: Path, *, overwrite: bool = False, mode: int | None = None) -> int:
    """Create an empty file and return a descriptor to write to it.

    Parameters
    ----------
    path : Path
        Must not exist, not even as a dangling link, unless ``overwrite``; then a link is followed.
    overwrite : bool
        Whether an existing file is emptied.
    mode : int, optional
        Permissions, for example ``0o600``; ``None``: as the process's umask has it.

    Raises
    ------
    OSError
        As the system gives it.
    """
    replace = os.O_TRUNC if overwrite else os.O_EXCL
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | replace
    descriptor = os.open(path, flags, 0o666 if mode is None else mode)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileExistsError(None, "it is there already and no regular file", str(path))
        if mode is not None:  # whatever the umask takes away, or the file that was there had
            os.fchmod(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
