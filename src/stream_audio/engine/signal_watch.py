"""What a source's signal tells of its device: muted, too loud, or broken."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stream_audio._native import lib
from stream_audio._native.samples import count_nonfinite, zero_nonfinite
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.samples import sealed
from stream_audio.reports.events import Clipping, DigitalSilence, SilenceEnded, StreamEvent
from stream_audio.reports.ledger import SourceAccount

SILENCE_AFTER = 3.0
"""Seconds of exact zeros after which a source is reported silent."""

MONITOR_SILENCE_AFTER = 60.0
"""The same for what an output plays, where silence is usual; it is reported once."""

_MONITOR_HINT = "Nothing plays on this output; look whether programs play to another one"

CLIPPING_INTERVAL = 1.0
"""Seconds between two reports of clipping, at least."""

FULL_SCALE: float = lib.SA_FULL_SCALE
"""What a converter of 16 bits delivers at most; those of more bits reach it too."""

_HINTS = {
    "darwin": "Allow this program the microphone in System Settings, Privacy & Security; look at "
    "the input's level and mute switch, and whether it is the right device",
    "win32": "Allow desktop programs the microphone in Settings, Privacy; look at the input's "
    "level and mute switch, and whether it is the right device",
    "linux": "Look at the input's level and mute switch (alsamixer, pavucontrol), and whether it "
    "is the right device; a sandbox may need permission for the microphone",
}


class SignalWatch:
    """Looks at the chunks of one source that are marked, and at any while there is more to tell.

    Parameters
    ----------
    source : str
        The source's id.
    account : SourceAccount
        Where samples that are no finite numbers are counted.
    channels : int
        Of each chunk.
    own : sequence of int
        The channels that make up the source; silence of the others does not count.
    silence_is_normal : bool
        Whether exact zeros are no sign of trouble.
    is_monitor : bool
        Whether it is what an output plays: long silence is told all the same, once.
    zero : bool
        Whether samples that are no finite numbers are replaced.
    """

    def __init__(
        self,
        source: str,
        account: SourceAccount,
        channels: int,
        own: Sequence[int],
        *,
        silence_is_normal: bool,
        zero: bool,
        is_monitor: bool = False,
    ) -> None:
        self._source = source
        self._account = account
        self._own = tuple(own)
        self._all = self._own == tuple(range(channels))
        self._looks_for_silence = is_monitor or not silence_is_normal
        self._is_monitor = is_monitor
        self._zero = zero
        self._silent_frames = 0
        self._told_silence = False
        self._clipped: set[int] = set()
        self._next_clipping = 0  # frame from which on the next report may come
        self.unseen: deque[AudioChunk] = deque()
        """Chunks that would be news, for :meth:`look` once nobody waits."""

    def would_be_news(self, marks: int) -> bool:
        """Whether a chunk with these marks is to be looked at; most are not."""
        return bool(marks or self._silent_frames or self._clipped or self.unseen)

    def clean(self, chunk: AudioChunk) -> AudioChunk:
        """Count the samples of a chunk that are no finite numbers; without them, if wanted."""
        samples = np.ascontiguousarray(chunk.data)
        if not self._zero:
            self._account.nonfinite += count_nonfinite(samples)
            return chunk
        data, found = zero_nonfinite(samples)
        self._account.nonfinite += found
        return replace(chunk, data=sealed(data), _peaks=None, _squares=None)

    def look(self, chunk: AudioChunk, now: float) -> list[StreamEvent]:
        """Return what there is to tell of a chunk."""
        assert chunk._squares is not None
        squares = chunk._squares.tolist()  # for so few, numpy takes longer
        energy = sum(squares) if self._all else sum(squares[i] for i in self._own)
        events: list[StreamEvent] = []
        if self._looks_for_silence:
            if energy == 0.0:
                events += self._silent(chunk, now)
            elif self._silent_frames:
                events += self._sounding(chunk, now)
        # One sample at full scale has that much energy.
        if not energy < FULL_SCALE**2 or self._clipped:
            events += self._loud(chunk, now)
        return events

    def _silent(self, chunk: AudioChunk, now: float) -> list[StreamEvent]:
        self._silent_frames += chunk.frames
        seconds = self._silent_frames / chunk.sample_rate
        if self._told_silence:
            return []
        if self._is_monitor:
            if seconds < MONITOR_SILENCE_AFTER:
                return []
            self._told_silence = True
            self._looks_for_silence, self._silent_frames = False, 0
            return [DigitalSilence(now, self._source, seconds, _MONITOR_HINT)]
        if seconds < SILENCE_AFTER:
            return []
        self._told_silence = True
        return [DigitalSilence(now, self._source, seconds, _HINTS.get(sys.platform, ""))]

    def _sounding(self, chunk: AudioChunk, now: float) -> list[StreamEvent]:
        seconds = self._silent_frames / chunk.sample_rate
        told, self._told_silence, self._silent_frames = self._told_silence, False, 0
        return [SilenceEnded(now, self._source, seconds)] if told else []

    def _loud(self, chunk: AudioChunk, now: float) -> list[StreamEvent]:
        assert chunk._peaks is not None
        self._clipped.update(i for i in self._own if chunk._peaks[i] >= FULL_SCALE)
        if not self._clipped or chunk.frame < self._next_clipping:
            return []
        channels, self._clipped = tuple(sorted(self._clipped)), set()
        self._next_clipping = chunk.frame + round(CLIPPING_INTERVAL * chunk.sample_rate)
        return [Clipping(now, self._source, channels)]
