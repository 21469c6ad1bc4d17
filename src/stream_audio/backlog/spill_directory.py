"""Where the temporary files go that sinks spill to: on a disk, never into memory."""

from __future__ import annotations

import os
from pathlib import Path

from stream_audio.errors import ConfigError

MOUNTS = Path("/proc/self/mountinfo")
_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}

_HINT = "Choose a folder on a disk: StreamConfig(spill_dir=…)"


def spill_directory(wanted: str | os.PathLike[str] | None) -> str:
    """Return the directory to spill to; by default the first on a disk that can be written to.

    These are tried: the one for temporary files (``TMPDIR``, ``/tmp``), ``/var/tmp``, and the
    user's own.

    Raises
    ------
    ConfigError
        The one that is wanted will not do, or there is none.
    """
    if wanted is not None:
        directory = os.fspath(wanted)
        problem = _problem(directory)
        if problem:
            raise ConfigError(f"cannot spill to {directory!r}: {problem}", hint=_HINT)
        return directory
    import tempfile

    candidates = [tempfile.gettempdir(), "/var/tmp", os.path.expanduser("~")]
    problems = []
    for directory in dict.fromkeys(candidates):
        problem = _problem(directory)
        if not problem:
            return directory
        problems.append(f"{directory}: {problem}")
    raise ConfigError(f"there is no folder to spill to ({'; '.join(problems)})", hint=_HINT)


def _problem(directory: str) -> str:
    try:
        device = os.stat(directory).st_dev
    except OSError as error:
        return error.strerror or str(error)
    if not os.path.isdir(directory):
        return "it is not a folder"
    if not os.access(directory, os.W_OK | os.X_OK):
        return "it may not be written to"
    if _file_system(device) in _IN_MEMORY:
        return "it is in memory, so that nothing would be gained"
    return ""


def _file_system(device: int) -> str:
    """Return the type of the file system with that device number; empty if it is not known.

    Linux alone tells (proc(5), mountinfo); elsewhere, temporary folders are on a disk.
    """
    if not MOUNTS.exists():
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in MOUNTS.read_text(errors="replace").splitlines():
        mount, _, file_system = line.partition(" - ")
        if mount.split()[2] == number:
            return file_system.split()[0]
    return ""
