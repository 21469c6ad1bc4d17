"""Which frame of a recording goes where, exact to the frame.

A chunk is written piece by piece, each into the file that its first frame belongs to; where a file
is full, or a write fails and there is a fallback, the next file takes over at that very frame.
What is in a file stays there, so a chunk over several files is not all or nothing: the sink says
how much of it was taken. Several open files, or copying back, would cost more than they promise.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stream_audio.audio.chunk import AudioChunk, wall_time_after
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.files.file_watch import FileWatch, removed
from stream_audio.files.part import Part
from stream_audio.files.part_ledger import PlacedGap
from stream_audio.files.succession import Succession

if TYPE_CHECKING:
    from stream_audio.contracts.sink import SinkInfo
    from stream_audio.files.plan import Plan

PIECE = 0.1
"""Seconds of audio that are written at once where a longer piece does not fit, or might not."""


class Recording:
    """Writes chunks to one file, or to one after the other.

    Raises OSError as the system gives it, also when made, and ConfigError if the container cannot
    hold such audio. A ``write`` that raised may be called with the same chunk again, or go on with
    the next one.
    """

    def __init__(self, plan: Plan, info: SinkInfo) -> None:
        (source,) = info.sources
        self._gaps_are = plan.gaps
        self._info = info
        self._rate = source.sample_rate
        self._first_frame: tuple[float, int] | None = None  # its time and its place
        self._half_done: tuple[AudioChunk, int] | None = None
        self.taken = 0
        """When a write raises: how many frames of its chunk are in a file."""
        # What of the last chunks an encoder may still hold, with silence for gaps between them.
        self._unsure: deque[Gap | int] | None = None
        if not plan.container.takes_any_length:
            self._unsure = deque()
        self._unsure_frames = 0
        self._silence_noted = 0  # of a write that raised, and appended some all the same
        self._left = 0  # room in the current file, or nearly so
        self._piece = max(1, round(PIECE * self._rate))
        self._most_at_once = sys.maxsize if plan.container.takes_any_length else self._piece
        self._at_once = self._most_at_once
        self._watch = FileWatch(info, plan.subtype)
        self._files = Succession(plan, info, self._watch, self._now())
        self._watch.ask_for_room(self.part)
        self._begun = False

    @property
    def part(self) -> Part:
        """The file that is being written."""
        return self._files.part

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._files.part.file.path

    @property
    def incomplete(self) -> tuple[Part, OSError] | None:
        """The first file that could not be completed, and why."""
        return self._files.incomplete

    @property
    def frames(self) -> int:
        """Frames in all its files, silence included."""
        return self._files.frames

    def begin(self) -> None:
        """Take the place of what is to be overwritten: the session has begun.

        Without a session the first write says so.
        """
        if self._begun:
            return
        try:
            self._files.begin(self._now())
        except OSError as error:
            if not self._files.go_on_elsewhere(error, self._now()):
                raise
        self._begun = True

    def write(self, chunk: AudioChunk) -> None:
        """Append a chunk. What of it is in a file when this raises is not written again."""
        frames = len(chunk.data)
        silence = 0
        self._at_once = self._most_at_once
        if chunk.gaps and self._gaps_are == "silence":
            silence = sum(gap.frames for gap in chunk.gaps)
        done = self._done_before(chunk)
        split = self._gaps_are == "split" and bool(chunk.gaps) and done == 0
        while True:
            try:
                self.begin()
                self._look_around(frames)
                if split and self.part.frames:
                    self._files.next(self._time_of(chunk, 0))
                while done < silence + frames:
                    done += self._write_some(chunk, silence, done)
            except OSError as error:
                self.part.writer.fail(error)
                self._half_done = (chunk, done)
                self.taken = max(0, done - silence)
                part, ahead = self.part, self._note_silence_ahead(chunk)
                at = part.writer.frames + part.writer.held_frames - ahead
                placed = list(_clip(chunk.gaps, done, done + ahead, at, self._rate))
                part.gaps += placed
                time = self._time_of(chunk, done + ahead - silence)
                if not self._files.go_on_elsewhere(error, time):
                    del part.gaps[len(part.gaps) - len(placed) :]  # they come again
                    raise
                done += ahead
                self._silence_noted = 0
            else:
                break
        self._half_done = None
        if self._files.next_is_due(self._left, frames):
            self._files.open_ahead(self._time_of(chunk, frames), frames)

    def settle(self) -> None:
        """Let the header speak of what is in the file: nothing may be written for a while."""
        self.part.writer.settle()

    def close(self) -> None:
        """Complete the last file; raises what went wrong in completing any of them.

        Which one, and what, stands in ``incomplete``.
        """
        self._files.close()
        if self.incomplete is not None:
            raise self.incomplete[1]

    def lost(self) -> tuple[Gap, ...]:
        """Return what was taken and is in no file, after :meth:`close` has failed."""
        frames = sum(len(samples) for samples in self._files.carried)
        gaps: list[Gap] = []
        while frames > 0 and self._unsure:
            last = self._unsure.pop()
            count = min(frames, last if isinstance(last, int) else last.frames)
            frames -= count
            if isinstance(last, Gap):
                skipped = last.frames - count
                time = last.time + skipped / self._rate
                gaps.append(replace(last, frame=last.frame + skipped, frames=count, time=time))
        return tuple(reversed(gaps))

    def discard(self) -> None:
        """Take back what is not complete."""
        self._files.discard()

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
        return done if is_gap and self._gaps_are == "silence" else 0

    def _now(self) -> float:
        return self._info.wall_now()

    def _time_of(self, chunk: AudioChunk, offset: int) -> float:
        """Return when a frame was captured, on the wall clock."""
        return wall_time_after(chunk, self._info.epoch) + offset / self._rate

    def _write_some(self, chunk: AudioChunk, silence: int, done: int) -> int:
        """Write what of a chunk fits into the current file; returns how many frames that were."""
        offset = done - silence
        time = self._time_of(chunk, offset)
        files = self._files
        room = files.room(time)
        if room == 0:
            files.next(time)
            room = files.room(time)
        part = files.part
        if part.frames == 0:
            carried = sum(len(samples) for samples in files.carried)
            before = offset - carried
            begins = chunk.timestamp + before / self._rate
            self._begin_part(time - carried / self._rate, chunk.frame + before, begins)
            while files.carried:
                samples = files.carried[0]
                if samples.strides[0]:
                    part.writer.write(samples)
                else:  # one frame of silence that stands for many
                    part.writer.write(samples[:0], len(samples))
                del files.carried[0]
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
        if self._unsure is not None:
            noted, self._silence_noted = self._silence_noted, 0
            self._note_unsure(self._unsure, chunk, first, count - silent, silent - noted)
        if chunk.gaps:
            self._place_gaps(chunk.gaps, at, done, silent)
        return count

    def _note_silence_ahead(self, chunk: AudioChunk) -> int:
        """Return how much silence a write that raised has appended all the same."""
        ahead = self.part.writer.silence_ahead
        if self._unsure is not None and ahead > self._silence_noted:
            self._note_unsure(self._unsure, chunk, 0, 0, ahead - self._silence_noted)
            self._silence_noted = ahead
        return ahead

    def _note_unsure(
        self, unsure: deque[Gap | int], chunk: AudioChunk, first: int, count: int, silent: int
    ) -> None:
        """Note what was written, and forget what is certainly in a file by now."""
        if silent:
            unsure.append(silent)
        if count:
            time = chunk.time + first / self._rate
            cause = GapCause.SINK_FAILED
            unsure.append(Gap(chunk.source, chunk.frame + first, count, cause, time))
        self._unsure_frames += silent + count
        surplus = self._unsure_frames - self.part.writer.held_frames
        while unsure:
            oldest = unsure[0]
            frames = oldest if isinstance(oldest, int) else oldest.frames
            if frames > surplus:
                break
            unsure.popleft()
            surplus -= frames
            self._unsure_frames -= frames

    def _begin_part(self, time: float, frame: int, begins: float) -> None:
        if self._first_frame is None:
            self._first_frame = (time, frame)
        self._files.begin_part(time, frame, begins)
        # Counted in frames, as a sound editor does that places the files one behind the other;
        # the times of chunks follow the wall clock, against which the device's drifts.
        time_at_first, first = self._first_frame
        self.part.writer.start_time = time_at_first + (frame - first) / self._rate

    def _place_gaps(self, gaps: tuple[Gap, ...], at: int, done: int, silent: int) -> None:
        if self._gaps_are != "silence":
            if done == 0:
                self.part.gaps += [PlacedGap(gap, at) for gap in gaps]
        elif silent:
            self.part.gaps += _clip(gaps, done, done + silent, at, self._rate)

    def _look_around(self, frames: int) -> None:
        """About once a second, look whether the file is still there, and has room to grow."""
        if self.part.removed:
            raise removed(self.part)
        if not self._watch.is_due(frames):
            return
        self._watch.look_for(self.part)
        if self.part.ledger_is_behind:
            self._files.write_ledger()
        self._watch.look_for_room(self.part)


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
