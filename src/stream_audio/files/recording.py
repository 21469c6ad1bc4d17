"""The files of one recording: which frame goes into which file, exact to the frame.

A chunk is written piece by piece, each into the file that its first frame belongs to; where a file
is full, or a write fails and there is a fallback, the next file takes over at that very frame.
"""

from __future__ import annotations

import errno
import logging
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.gap import Gap
from stream_audio.files.create import IfExists, Whereabouts, create, flush_path
from stream_audio.files.disk import RoomWatch
from stream_audio.files.encoder import SAMPLE_BYTES
from stream_audio.files.names import Names
from stream_audio.files.part import Part, PlacedGap, remove_old
from stream_audio.files.rotation import Rotation
from stream_audio.files.writer import Container, Encoding, Samples
from stream_audio.reports.events import DiskLow, FallbackUsed, FileClosed, FileMoved
from stream_audio.waiting.interrupts import HeldBackInterrupt

if TYPE_CHECKING:
    from stream_audio.contracts.sink import SinkInfo
    from stream_audio.files.create import NewFile

_log = logging.getLogger("stream_audio")

GapPolicy = Literal["silence", "skip", "split"]

AHEAD = 2.0
"""Seconds of audio that the next file is created before it is needed."""

LOOK_INTERVAL = 1.0
"""Seconds of audio between two looks whether the file is still there."""

ROOM_INTERVAL = 10.0
"""Seconds of audio between two looks at the disk's free space."""

PIECE = 0.1
"""Seconds of audio that are written at once where a longer piece does not fit, or might not."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a recording is to be written; see :class:`stream_audio.FileSink`."""

    path: Path
    fallback: Path | None
    container: Container
    subtype: str
    encoding: Encoding
    if_exists: IfExists
    mode: int | None
    temporary: bool
    rotation: Rotation | None
    keep: int | None
    gaps: GapPolicy
    ledger: bool

    @property
    def numbered(self) -> bool:
        """Whether several files are to be expected."""
        return self.rotation is not None or self.gaps == "split"


class Recording:
    """Writes chunks to one file, or to one after the other.

    Raises OSError as the system gives it, also when made, and ConfigError if the container cannot
    hold such audio. A ``write`` that raised may be called with the same chunk again, or go on with
    the next one.
    """

    def __init__(self, plan: Plan, info: SinkInfo) -> None:
        (source,) = info.sources
        self._plan = plan
        self._info = info
        self._rate = source.sample_rate
        self._channels = source.channels
        self._names = Names(plan.path, numbered=plan.numbered)
        self._own_paths: set[Path] = set()
        self._kept: deque[NewFile] = deque()
        self._frames_before = 0  # in the files that are complete
        self._first_frame: tuple[float, int] | None = None  # its time and its place
        self._boundary: float | None = None
        self._ahead: Part | None = None
        self._fell_back = False
        self._half_done: tuple[AudioChunk, int] | None = None
        self.taken = 0
        """When a write raises: how many frames of its chunk are in a file."""
        self._carried: list[Samples] = []  # for the next file, before all else
        self.incomplete: tuple[Part, OSError] | None = None  # the first one
        self._ledger_is_due = False
        self._unlooked = 0
        self._unasked = 0
        self._left = 0  # room in the current file, or nearly so
        self._piece = max(1, round(PIECE * self._rate))
        self._most_at_once = sys.maxsize if plan.container.takes_any_length else self._piece
        self._at_once = self._most_at_once
        self._room_watch = RoomWatch()
        self.part = self._create(info.epoch + info.now(), index=1)
        self._ask_for_room()

    @property
    def frames(self) -> int:
        """Frames in all its files, silence included."""
        return self._frames_before + self.part.saved_frames

    def write(self, chunk: AudioChunk) -> None:
        """Append a chunk. What of it is in a file when this raises is not written again."""
        frames = len(chunk.data)
        silence = 0
        self._at_once = self._most_at_once
        if chunk.gaps and self._plan.gaps == "silence":
            silence = sum(gap.frames for gap in chunk.gaps)
        done = self._done_before(chunk)
        split = self._plan.gaps == "split" and bool(chunk.gaps) and done == 0
        while True:
            try:
                self._look_around(frames)
                if split and self.part.frames:
                    self._next_part(self._time_of(chunk, 0))
                while done < silence + frames:
                    done += self._write_some(chunk, silence, done)
            except OSError as error:
                self._half_done = (chunk, done)
                self.taken = max(0, done - silence)
                if not self._go_on_elsewhere(error, self._time_of(chunk, done - silence)):
                    raise
            else:
                break
        self._half_done = None
        if self._ahead is None and self._left <= AHEAD * self._rate + 2 * frames:
            self._open_ahead(self._time_of(chunk, frames), frames)

    def settle(self) -> None:
        """Let the header speak of what is in the file: nothing may be written for a while."""
        self.part.writer.settle()

    def close(self) -> None:
        """Complete the last file; raises what went wrong in completing any of them.

        Which one, and what, stands in ``incomplete``.
        """
        if self._ahead is not None:
            self._ahead.discard()
        self._finish_part()
        if self.incomplete is not None:
            raise self.incomplete[1]

    def discard(self) -> None:
        """Take back what was created; nothing has been written."""
        self.part.discard()

    # ---- which frame goes where ----

    def _done_before(self, chunk: AudioChunk) -> int:
        """Return how many frames of a chunk, its silence first, an earlier try has written."""
        if self._half_done is None:
            return 0
        earlier, done = self._half_done
        same = (earlier.source, earlier.frame) == (chunk.source, chunk.frame)
        if same:
            return done
        # If all of it was given up it is a gap of this one: its frames stand for that silence.
        is_gap = any(gap.frame <= earlier.frame < gap.end for gap in chunk.gaps)
        return done if is_gap and self._plan.gaps == "silence" else 0

    def _time_of(self, chunk: AudioChunk, offset: int) -> float:
        return self._info.epoch + chunk.time + offset / self._rate

    def _write_some(self, chunk: AudioChunk, silence: int, done: int) -> int:
        """Write what of a chunk fits into the current file; returns how many frames that were."""
        offset = done - silence
        time = self._time_of(chunk, offset)
        room = self._room(time)
        if room == 0:
            self._next_part(time)
            room = self._room(time)
        part = self.part
        if part.frames == 0:
            carried = sum(len(samples) for samples in self._carried)
            self._begin(part, time - carried / self._rate, chunk.frame + offset - carried)
            while self._carried:
                part.writer.write(self._carried[0])
                del self._carried[0]
        ahead = max(0, -offset)  # of silence
        count = min(len(chunk.data) - offset, room, ahead + self._at_once)
        silent = min(ahead, count)
        first = max(0, offset)
        at = part.frames if chunk.gaps else 0
        try:
            part.writer.write(chunk.data[first : first + count - silent], silent)
        except OSError:
            if count - silent <= self._piece:
                raise
            self._at_once = self._piece  # some of it may still fit
            return 0
        self._left = room - count
        if chunk.gaps:
            self._place_gaps(chunk.gaps, at, done, silent)
        return count

    def _room(self, time: float) -> int:
        """Return how many frames the current file still takes, the next one captured at ``time``.

        At least one if it is empty.
        """
        part, rotation = self.part, self._plan.rotation
        size = sys.maxsize if rotation is None or rotation.size is None else rotation.size
        room = part.writer.room(size)
        if rotation is not None and rotation.seconds is not None:
            if rotation.align:
                if self._boundary is None:
                    self._boundary = rotation.boundary_after(time + 1 / self._rate)
                left = round((self._boundary - time) * self._rate)
            else:
                left = round(rotation.seconds * self._rate) - part.frames
            room = min(room, left)
        return room if room > 0 else int(part.frames == 0)

    def _begin(self, part: Part, time: float, frame: int) -> None:
        if self._first_frame is None:
            self._first_frame = (time, frame)
        part.start_time, part.start_frame = time, frame
        # Counted in frames, as a sound editor does that places the files one behind the other;
        # the times of chunks follow the wall clock, against which the device's drifts.
        time_at_first, first = self._first_frame
        part.writer.start_time = time_at_first + (frame - first) / self._rate

    def _place_gaps(self, gaps: tuple[Gap, ...], at: int, done: int, silent: int) -> None:
        if self._plan.gaps != "silence":
            if done == 0:
                self.part.gaps += [PlacedGap(gap, at) for gap in gaps]
                self._ledger_is_due = True
        elif silent:
            self.part.gaps += _clip(gaps, done, done + silent, at, self._rate)
            self._ledger_is_due = True

    # ---- one file after the other ----

    def _create(self, start: float, index: int) -> Part:
        plan = self._plan
        if self._boundary is not None and abs(start - self._boundary) < 2 / self._rate:
            start = self._boundary  # to the second, in a name: not 13:59:59 for 14:00:00
        path = self._names.name(index, datetime.fromtimestamp(start))
        if_exists = plan.if_exists
        # A recording under way is not ended by a name that is taken, nor overwrites itself.
        if path in self._own_paths or (index > 1 and if_exists is IfExists.FAIL):
            if_exists = IfExists.RENAME
        part = None
        try:
            # Ctrl-C in here would leave an empty file that nobody knows of.
            with HeldBackInterrupt():
                part = self._begin_file(path, if_exists, start, index)
        except BaseException:
            if part is not None:
                part.discard()
            raise
        if plan.if_exists is IfExists.OVERWRITE:
            self._own_paths.add(part.file.path)
        return part

    def _begin_file(self, path: Path, if_exists: IfExists, start: float, index: int) -> Part:
        plan = self._plan
        file = create(path, if_exists=if_exists, mode=plan.mode, temporary=plan.temporary)
        try:
            writer = plan.container.open(
                file.descriptor, self._rate, self._channels, plan.subtype, plan.encoding
            )
        except BaseException:
            file.remove()
            raise
        part = Part(file, writer, index, start)
        if "fsync" in plan.encoding:
            try:
                flush_path(file.path.parent)  # a name that a power cut does not take away
            except BaseException:
                part.discard()
                raise
        return part

    def _open_ahead(self, time: float, chunk_frames: int) -> None:
        """Create the next file before it is due, so that no chunk waits for that."""
        room = self._room(time)
        if room > max(AHEAD * self._rate, 2 * chunk_frames):
            return
        try:
            self._ahead = self._create(time + room / self._rate, self.part.index + 1)
        except OSError as error:  # it is tried again when it is due
            _log.info("cannot create the next file of %s yet: %s", self._plan.path, error)

    def _next_part(self, start: float) -> None:
        """Go on in another file, whose first frame is captured at ``start``."""
        following, self._ahead = self._ahead, None
        if following is not None and not self._suits(following, start):
            following.discard()
            following = None
        if following is None:
            following = self._create(start, self.part.index + 1)
        self._finish_part()
        self.part = following
        self._boundary = None
        self._delete_old()

    @staticmethod
    def _suits(ahead: Part, start: float) -> bool:
        """Whether a file that was created ahead is still there, and has the right name."""
        in_place = ahead.file.whereabouts() is Whereabouts.IN_PLACE
        return in_place and abs(ahead.planned_start - start) <= 0.5

    def _finish_part(self) -> None:
        part = self.part
        try:
            try:
                self._look_for_file()
            finally:
                part.close()
        except OSError as error:
            _log.error("cannot complete %s: %s", part.file.path, error)
            self._fail_at_close(part, error)
            # What an encoder still held goes into the next file.
            self._carried += part.writer.unsaved
        self._frames_before += part.saved_frames
        if part.removed:
            return
        if self._plan.ledger:
            self._write_ledger(complete=True)
        if not part.moved:
            self._kept.append(part.file)
        gaps = tuple(placed.gap for placed in part.gaps)
        info = self._info
        info.send(FileClosed(info.now(), info.name, part.file.path, part.frames, gaps))

    def _fail_at_close(self, part: Part, error: OSError) -> None:
        if self.incomplete is None:
            self.incomplete = (part, error)

    def _delete_old(self) -> None:
        keep = self._plan.keep
        while keep is not None and len(self._kept) >= keep:
            oldest = self._kept.popleft()
            self._own_paths.discard(oldest.path)
            try:
                remove_old(oldest)
            except OSError as error:
                _log.warning("cannot delete %s: %s", oldest.path, error)

    # ---- what goes wrong ----

    def _go_on_elsewhere(self, error: OSError, time: float) -> bool:
        """Go on in another file after an error, if there is one to go to."""
        part = self.part
        if error.errno == errno.EFBIG and part.frames:
            # The system takes no longer files: FAT ends at 4 GiB.
            try:
                self._next_part(time)
            except OSError as second:
                error.add_note(f"nor could another file be begun: {second.strerror or second}")
            else:
                return True
        fallback = self._plan.fallback
        if fallback is None or self._fell_back:
            return False
        if fallback.is_dir():
            fallback /= self._plan.path.name
        if self._ahead is not None:
            self._ahead.discard()
            self._ahead = None
        before = self._names
        index = part.index + 1
        self._names = Names(fallback, numbered=self._plan.numbered, first=index)
        try:
            following = self._create(time, index)
        except OSError as second:
            self._names = before
            error.add_note(f"nor could it go on in {fallback}: {second.strerror or second}")
            return False
        self._fell_back = True
        _log.warning("cannot go on with %s (%s), going on in %s", part.file.path, error, fallback)
        info, new = self._info, following.file.path
        saved = part.saved_frames
        info.send(FallbackUsed(info.now(), info.name, part.file.path, saved, new, error))
        self._finish_part()
        if self.incomplete is not None and self.incomplete[0] is part:
            self.incomplete = None  # it has been told
        self.part = following
        self._boundary = None
        return True

    def _look_around(self, frames: int) -> None:
        """About once a second, look whether the file is still there, and has room to grow."""
        self._unlooked += frames
        self._unasked += frames
        if self.part.removed:
            raise _removed(self.part)
        if self._unlooked < LOOK_INTERVAL * self._rate:
            return
        self._unlooked = 0
        self._look_for_file()
        if self._ledger_is_due and self._plan.ledger:
            self._write_ledger(complete=False)
        if self._unasked >= ROOM_INTERVAL * self._rate:
            self._unasked = 0
            self._ask_for_room()

    def _look_for_file(self) -> None:
        part, info = self.part, self._info
        if part.moved or part.removed:
            return
        where = part.file.whereabouts()
        if where is Whereabouts.REMOVED:
            part.removed = True
            raise _removed(part)
        if where is Whereabouts.MOVED:
            part.moved = True
            old, new = part.file.path, part.file.moved_to()
            if new is not None:
                part.file.path = part.file.written_as = new
            _log.warning("%s was moved to %s while it was written", old, new)
            info.send(FileMoved(info.now(), info.name, old, new))

    def _ask_for_room(self) -> None:
        part, info = self.part, self._info
        if part.frames:
            bytes_per_frame = part.writer.size / part.frames
        else:  # as if not compressed, until it is known better
            bytes_per_frame = self._channels * SAMPLE_BYTES.get(self._plan.subtype, 0)
        if bytes_per_frame:
            room = self._room_watch.look(part.file.descriptor, bytes_per_frame * self._rate)
            if room is not None:
                free, minutes = room.free_bytes, room.minutes
                _log.warning("%s has room for %.1f minutes", part.file.path.parent, minutes)
                info.send(DiskLow(info.now(), info.name, part.file.path, free, minutes))

    def _write_ledger(self, *, complete: bool) -> None:
        about: dict[str, Any] = {
            "sink": self._info.name,
            "source": self._info.sources[0].id,
            "sample_rate": self._rate,
            "channels": self._channels,
            "gaps_are": self._plan.gaps,
        }
        try:
            self.part.write_ledger(about, complete=complete)
        except OSError as error:
            _log.error("cannot write %s: %s", self.part.ledger_path, error)
            if complete:
                self._fail_at_close(self.part, error)
        else:
            self._ledger_is_due = False


def _removed(part: Part) -> OSError:
    text = "it was removed while it was written"
    return FileNotFoundError(errno.ENOENT, text, str(part.file.path))


def _clip(
    gaps: tuple[Gap, ...], start: int, end: int, at: int, sample_rate: int
) -> Iterator[PlacedGap]:
    """Yield what of ``gaps``, laid end to end, lies from ``start`` to ``end``."""
    position = 0
    for gap in gaps:
        low, high = max(position, start), min(position + gap.frames, end)
        if low < high:
            skipped = low - position
            time = gap.time + skipped / sample_rate
            cut = replace(gap, frame=gap.frame + skipped, frames=high - low, time=time)
            yield PlacedGap(cut, at + low - start)
        position += gap.frames
