"""Small disks that are really full, read-only or broken."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def mount(*arguments: object) -> None:
    """Mount; the test is skipped, saying why, where that is not allowed."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")


@contextmanager
def mounted(folder: Path, *arguments: object) -> Iterator[Path]:
    """Have a file system at ``folder``, which is created."""
    folder.mkdir()
    mount(*arguments, folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def tmpfs(folder: Path, *options: str) -> Iterator[Path]:
    """Have a file system in memory at ``folder``, for example of ``"size=2m"``."""
    with mounted(folder, "-t", "tmpfs", "-o", ",".join(options), "tmpfs"):
        yield folder
