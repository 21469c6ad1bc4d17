"""Looks after the file that is being written: whether it is still there, and has room to grow.

While a file is open its inode is not used again, so its identity is certain. Its number of links
tells a removed file from a renamed one.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from stream_audio._log import log
from stream_audio.files.disk import RoomWatch
from stream_audio.files.encoder import SAMPLE_BYTES
from stream_audio.files.new_file import Whereabouts
from stream_audio.files.part import Part
from stream_audio.reports.events import DiskLow, FileMoved

if TYPE_CHECKING:
    from stream_audio.contracts.sink import SinkInfo

LOOK_INTERVAL = 1.0
"""Seconds of audio between two looks whether the file is still there."""

ROOM_INTERVAL = 10.0
"""Seconds of audio between two looks at the disk's free space."""


class FileWatch:
    """Watches the file of one recording; counts time in frames of audio.

    Parameters
    ----------
    info : SinkInfo
        Where events go.
    subtype : str
        The type of the samples, by its libsndfile name.
    """

    def __init__(self, info: SinkInfo, subtype: str) -> None:
        (source,) = info.sources
        self._info = info
        self._rate = source.sample_rate
        self._frame_bytes = source.channels * SAMPLE_BYTES.get(subtype, 0)
        self._unlooked = 0
        self._unasked = 0
        self._room_watch = RoomWatch()

    def is_due(self, frames: int) -> bool:
        """Take note of so many frames; whether it is time to look again, about once a second."""
        self._unlooked += frames
        self._unasked += frames
        if self._unlooked < LOOK_INTERVAL * self._rate:
            return False
        self._unlooked = 0
        return True

    def look_for(self, part: Part) -> None:
        """Look whether the file is in its place; raises FileNotFoundError if it was removed."""
        if part.moved or part.removed:
            return
        where = part.file.whereabouts()
        if where is Whereabouts.REMOVED:
            part.removed = True
            raise removed(part)
        if where is Whereabouts.MOVED:
            part.moved = True
            old, new = part.file.path, part.file.moved_to()
            if new is not None:
                part.file.path = part.file.written_as = new
                if part.ledger is not None:
                    part.ledger.follow(new)
            log.warning("%s was moved to %s while it was written", old, new)
            self._info.send(FileMoved(self._info.now(), self._info.name, old, new))

    def look_for_room(self, part: Part) -> None:
        """Ask about every ten seconds how much room there is, and tell if it gets little."""
        if self._unasked >= ROOM_INTERVAL * self._rate:
            self._unasked = 0
            self.ask_for_room(part)

    def ask_for_room(self, part: Part) -> None:
        """Ask how much room there is, and tell if it gets little."""
        # As if not compressed, until it is known better.
        bytes_per_frame = part.writer.size / part.frames if part.frames else self._frame_bytes
        if bytes_per_frame:
            room = self._room_watch.look(part.file.descriptor, bytes_per_frame * self._rate)
            if room is not None:
                path, info = part.file.path, self._info
                log.warning("%s has room for %.1f minutes", path.parent, room.minutes)
                info.send(DiskLow(info.now(), info.name, path, room.free_bytes, room.minutes))


def removed(part: Part) -> OSError:
    """Make the error of a file that somebody removed."""
    text = "it was removed while it was written"
    return FileNotFoundError(errno.ENOENT, text, str(part.file.path))
