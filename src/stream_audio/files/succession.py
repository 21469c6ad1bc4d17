"""The files of a recording, one after the other: which is written, which comes next, which go."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream_audio._log import log
from stream_audio.files.create import create
from stream_audio.files.disk import flush_path
from stream_audio.files.file_watch import FileWatch
from stream_audio.files.free_names import IfExists
from stream_audio.files.keeping import LEDGER_ENDING, Kept, recording_id
from stream_audio.files.names import Names, in_folder
from stream_audio.files.new_file import NewFile, Whereabouts
from stream_audio.files.part import CompletePart, Part
from stream_audio.files.part_ledger import PartLedger, beside
from stream_audio.files.writer import Samples
from stream_audio.reports.events import FallbackUsed, FileClosed
from stream_audio.reports.schema import SCHEMA
from stream_audio.waiting.interrupts import HeldBackInterrupt

if TYPE_CHECKING:
    from stream_audio.contracts.sink import SinkInfo
    from stream_audio.files.plan import Plan

AHEAD = 2.0
"""Seconds of audio that the next file is created before it is needed."""


class Succession:
    """Makes the files of one recording, and completes them.

    Parameters
    ----------
    plan : Plan
        How it is to be written.
    info : SinkInfo
        What is to be written, and where events go.
    watch : FileWatch
        Looks at each file once more before it is completed.
    start : float
        When the first frame is expected, ``time.time()`` seconds.

    Attributes
    ----------
    part : Part
        The one that is being written.
    carried : list of Samples
        What an encoder still held when its file could not be completed: for the next file.
    incomplete : tuple of Part and OSError, optional
        The first file that could not be completed, and why.
    """

    def __init__(self, plan: Plan, info: SinkInfo, watch: FileWatch, start: float) -> None:
        (source,) = info.sources
        self._plan = plan
        self._info = info
        self._watch = watch
        self._rate = source.sample_rate
        self._channels = source.channels
        self._names = Names(plan.path, numbered=plan.numbered)
        self._own_paths: set[Path] = set()
        self._made: set[Path] = set()  # folders
        self._boundary: float | None = None
        self._ahead: Part | None = None
        self._fell_back = False
        self._about: dict[str, Any] = {
            "schema": SCHEMA,
            "recording": recording_id(plan.path, source.id) if plan.ledger else "",
            "sink": info.name,
            "source": source.id,
            "sample_rate": self._rate,
            "channels": self._channels,
            "gaps_are": plan.gaps,
        }
        self._kept = None if plan.keep is None else Kept(plan.keep)
        self._frames_before = 0  # in the files that are complete
        self._ended = False
        self.carried: list[Samples] = []
        self.incomplete: tuple[Part, OSError] | None = None
        self.part = self._create(start, index=1)

    @property
    def frames(self) -> int:
        """Frames in all files, silence included."""
        return self._frames_before + (0 if self._ended else self.part.saved_frames)

    def begin(self, now: float) -> None:
        """Let the first file take its name, as the session has begun; raises OSError.

        It can be tried again.
        """
        self._take_name(self.part)
        if self._kept is not None:
            self._kept.add_earlier(self._names, self._about["recording"])
            self._kept.delete_old(now)

    def begin_part(self, time: float, frame: int, begins: float) -> None:
        """Say which frame is the first of the current file, and where it is in the session."""
        part = self.part
        self._take_name(part)
        part.start_time, part.start_frame, part.begins = time, frame, begins
        self.write_ledger()

    def room(self, time: float) -> int:
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

    def next_is_due(self, room: int, chunk_frames: int) -> bool:
        """Whether the next file should be created, so that no chunk waits for that."""
        return self._ahead is None and room <= AHEAD * self._rate + 2 * chunk_frames

    def open_ahead(self, time: float, chunk_frames: int) -> None:
        """Create the next file before it is due, unless that is far away."""
        room = self.room(time)
        if room > max(AHEAD * self._rate, 2 * chunk_frames):
            return
        try:
            self._ahead = self._create(time + room / self._rate, self.part.index + 1)
        except OSError as error:  # it is tried again when it is due
            log.info("cannot create the next file of %s yet: %s", self._plan.path, error)

    def next(self, start: float) -> None:
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
        if self._kept is not None:
            self._kept.delete_old(start)

    def go_on_elsewhere(self, error: OSError, time: float) -> bool:
        """Go on in another file after an error, if there is one to go to."""
        part = self.part
        if error.errno == errno.EFBIG and part.frames:
            # The system takes no longer files: FAT ends at 4 GiB.
            try:
                self.next(time)
            except OSError as second:
                error.add_note(f"nor could another file be begun: {second.strerror or second}")
            else:
                return True
        return self._fall_back(error, time)

    def write_ledger(self) -> None:
        """Bring the ledger of the current file up to date; what fails is logged."""
        try:
            self.part.write_ledger(self._about, complete=False)
        except OSError as error:
            log.error("cannot write the ledger of %s: %s", self.part.file.path, error)

    def close(self) -> None:
        """Complete the last file; what goes wrong stands in ``incomplete``."""
        if self._ahead is not None:
            self._ahead.discard()
        self._finish_part()
        self._ended = True

    def discard(self) -> None:
        """Take back what is not complete."""
        for part in (self._ahead, self.part):
            if part is not None:
                part.discard()

    # ---- making files ----

    def _create(self, start: float, index: int) -> Part:
        plan = self._plan
        if self._boundary is not None and abs(start - self._boundary) < 2 / self._rate:
            start = self._boundary  # to the second, in a name: not 13:59:59 for 14:00:00
        # Whoever is told of it need not be in this folder; nor stays the process there.
        path = self._names.name(index, datetime.fromtimestamp(start)).absolute()
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
        made = self._make_folders(path)
        try:
            try:
                return self._open(path, if_exists, start, index, made)
            except OSError as error:
                if if_exists is IfExists.OVERWRITE and index > 1 and error.errno == errno.EBUSY:
                    return self._open(path, IfExists.RENAME, start, index, made)
                raise
        except BaseException:
            for folder in made:  # goes only if nothing is in it
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise

    def _open(
        self, path: Path, if_exists: IfExists, start: float, index: int, made: tuple[Path, ...]
    ) -> Part:
        plan = self._plan
        file = create(
            path,
            if_exists=if_exists,
            mode=plan.mode,
            temporary=plan.temporary,
            read=self._info.files_read,
            companion=LEDGER_ENDING if plan.ledger else "",
            made=made,
        )
        try:
            ledger = self._open_ledger(file) if plan.ledger else None
        except BaseException:
            os.close(file.descriptor)
            file.remove()
            raise
        try:
            writer = plan.container.open(
                file.descriptor, self._rate, self._channels, plan.subtype, plan.encoding
            )
        except BaseException:
            file.remove()
            if ledger is not None:
                ledger.discard()
            raise
        part = Part(file, writer, ledger, index, start)
        try:
            part.write_ledger(self._about, complete=False)
            if "fsync" in plan.encoding:
                flush_path(file.path.parent)  # a name that a power cut does not take away
        except BaseException:
            part.discard()
            raise
        return part

    def _open_ledger(self, sound: NewFile) -> PartLedger:
        asked = self._plan.if_exists is IfExists.OVERWRITE
        file = create(
            beside(sound.path),
            # A name that is taken is no reason not to record.
            if_exists=IfExists.OVERWRITE if asked else IfExists.RENAME,
            mode=sound.mode,
            temporary=self._plan.temporary,
            follow=False,
        )
        return PartLedger(file)

    def _make_folders(self, path: Path) -> tuple[Path, ...]:
        """Make the folders that a template names; returns those above ``path``, innermost first.

        The one that all of them are in must be there.
        """
        above = [folder for folder in path.parents if self._names.root in folder.parents]
        for folder in reversed(above):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                self._made.add(folder)
        return tuple(folder for folder in above if folder in self._made)

    def _take_name(self, part: Part) -> None:
        if not self._plan.temporary:
            part.take_name()
            if "fsync" in self._plan.encoding:
                flush_path(part.file.path.parent)

    @staticmethod
    def _suits(ahead: Part, start: float) -> bool:
        """Whether a file that was created ahead is still there, and has the right name."""
        in_place = ahead.file.whereabouts() is Whereabouts.IN_PLACE
        return in_place and abs(ahead.planned_start - start) <= 0.5

    # ---- completing them ----

    def _finish_part(self) -> None:
        part = self.part
        try:
            try:
                self._watch.look_for(part)
            finally:
                part.close(whole=self._plan.whole)
        except OSError as error:
            log.error("cannot complete %s: %s", part.file.path, error)
            self._fail_at_close(part, error)
            # What an encoder still held goes into the next file.
            self.carried += part.writer.unsaved
            if not part.removed and (self._plan.whole or not part.frames):
                part.remove()  # of a file without frames no reader makes anything
                return
        self._frames_before += part.saved_frames
        if part.removed:
            if part.ledger is not None:
                part.ledger.discard()
            return
        try:
            part.close_ledger(self._about)
        except OSError as error:
            log.error("cannot complete the ledger of %s: %s", part.file.path, error)
            self._fail_at_close(part, error)
        if self._kept is not None and not part.moved:
            self._kept.add(CompletePart(part, part.start_time + part.frames / self._rate))
        gaps = tuple(placed.gap for placed in part.gaps)
        info = self._info
        info.send(FileClosed(info.now(), info.name, part.file.path, part.frames, gaps))

    def _fail_at_close(self, part: Part, error: OSError) -> None:
        if self.incomplete is None:
            self.incomplete = (part, error)

    def _fall_back(self, error: OSError, time: float) -> bool:
        part, fallback = self.part, self._plan.fallback
        if fallback is None or self._fell_back:
            return False
        if fallback.is_dir():
            fallback = in_folder(fallback, self._plan.path)
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
        log.warning("cannot continue %s (%s); continuing in %s", part.file.path, error, fallback)
        info, new = self._info, following.file.path
        saved = part.saved_frames
        info.send(FallbackUsed(info.now(), info.name, part.file.path, saved, new, error))
        if part.has_its_name or self._plan.temporary:
            self._finish_part()
        else:  # it could not even take it
            part.discard()
        if self.incomplete is not None and self.incomplete[0] is part:
            self.incomplete = None  # it has been told
        self.part = following
        self._boundary = None
        return True
