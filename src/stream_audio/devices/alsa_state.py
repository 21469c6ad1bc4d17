"""What a list of ALSA's devices depends on, apart from the environment."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from stream_audio.devices.alsa_cards import CARDS

DEVICES = "/dev/snd"

_FOLDERS = (
    "/usr/share/alsa/alsa.conf.d",
    "/var/lib/alsa/conf.d",
    "/usr/etc/alsa/conf.d",
    "/etc/alsa/conf.d",
)
_FILES = (
    "/usr/share/alsa/alsa.conf",
    "/etc/asound.conf",
    "/usr/etc/asound.conf",
    "~/.asoundrc",
    "~/.config/alsa/asoundrc",
)


def alsa_state() -> object:
    """Return what is equal as long as ALSA lists the same; ``None`` where nothing tells that.

    It is the cards, the rights to their devices, and the files of the configuration.
    """
    if sys.platform != "linux":
        return None
    cards = tuple(_text(os.path.join(CARDS, name)) for name in ("cards", "pcm"))
    return cards, tuple((path, _stamp(path)) for path in _paths())


def _paths() -> Iterator[str]:
    # The first of several configurations may include the others.
    yield from os.environ.get("ALSA_CONFIG_PATH", "").split(":")
    if home := os.environ.get("XDG_CONFIG_HOME"):
        yield os.path.join(home, "alsa", "asoundrc")
    yield from map(os.path.expanduser, _FILES)
    for folder in (*_FOLDERS, DEVICES):
        yield folder
        with contextlib.suppress(OSError):  # there is none, as the folder's own stamp says
            yield from (os.path.join(folder, name) for name in sorted(os.listdir(folder)))


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    # Where a device is written to, its own times change; its rights are a change of the inode.
    changed = () if path.startswith(DEVICES) else (found.st_mtime_ns, found.st_size)
    return (found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_ctime_ns, *changed)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
