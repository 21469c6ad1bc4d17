"""A source that the program itself pushes samples into, from any thread."""

from __future__ import annotations

import time as system_time
from enum import Enum
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._locks import InterruptibleLock
from stream_audio._native import check_process, ffi, in_own_process, lib
from stream_audio._native.capture import Capture
from stream_audio._public import public
from stream_audio.audio.format import MAX_CHANNELS, MAX_SAMPLE_RATE
from stream_audio.audio.samples import to_float32
from stream_audio.contracts.opening import Opening
from stream_audio.contracts.source import OpenSource, UntoldDevice
from stream_audio.errors import (
    ConfigError,
    ConfigTypeError,
    FeedFullError,
    SessionStateError,
)
from stream_audio.waiting.clock import deadline_ns

WHEN_FULL = ("gap", "block", "raise")

USUAL_WRITE = 0.01
"""Seconds that one write is taken to bring, where that has to be known beforehand."""

PIECE = 4096
"""Frames that a write which waits for room hands over at once, at least."""

ROOM_LOOK = 0.001
"""Seconds after which it looks again; a Ctrl-C gets through between two looks."""

HOLE = 0.01
"""Seconds that a time may be off before frames count as missing."""

FOLLOWED = 0.125
"""The part of a smaller error that the next time is expected to have as well."""

FARTHEST = 3600.0
"""Seconds that a time may be away from now, and from the time before."""

_TYPES = "float16, float32, float64, int16 or int32"


class FeedState(Enum):
    """What becomes of a write."""

    UNUSED = "no session has started with this feed yet"
    OPENED = "the session of this feed has not started yet"
    RUNNING = "it is taken"
    CLOSED = "this feed is closed"
    OVER = "the session takes nothing more from this feed"


@public
class Feed:
    """A source that your program pushes samples into; :meth:`AudioSource.feed` makes it.

    The samples go through the same ring, router and sinks as a device's, and the report accounts
    for them in the same way. A feed serves one session.
    """

    def __init__(
        self, sample_rate: int, channels: int, when_full: Literal["gap", "block", "raise"]
    ) -> None:
        self._sample_rate = whole_number("sample_rate", sample_rate, 1000, MAX_SAMPLE_RATE)
        self._channels = whole_number("channels", channels, 1, MAX_CHANNELS)
        self._when_full = one_of("when_full", when_full, WHEN_FULL)
        # Of the writers, whom it makes one producer. It is held while one of them waits for room;
        # so what ends a feed sets the state first, which that one sees, and then takes the lock.
        self._lock = InterruptibleLock()
        self._state = FeedState.UNUSED
        self._capture: Capture | None = None
        self._now = system_time.monotonic
        self._expected: float | None = None  # time of the next frame, by the times so far

    def write(self, samples: ArrayLike, time: float | None = None) -> int:
        """Hand samples over; on any thread, one write after the other.

        Parameters
        ----------
        samples : array_like
            Shape (frames, channels), or (frames,) for one channel. Floats have full scale ±1.0;
            int16 and int32 are scaled by theirs. They are copied.
        time : float, optional
            When the first of them was captured, in ``time.monotonic()`` seconds. ``None``: they
            follow what was written before, and the last of them was captured just now. A time
            that is more than 10 ms later than the end of what was written before leaves a gap of
            that length, with the cause ``host_overflow``.

        Returns
        -------
        int
            How many frames were taken. With ``when_full="gap"`` the others are a gap, with the
            cause ``ring_full``.

        Raises
        ------
        ConfigError, ConfigTypeError
            The samples have another shape or type, or the time is over an hour away.
        FeedFullError
            There is no room, and ``when_full`` is "raise".
        SessionStateError
            No session runs that takes them: it has not started, or has ended; or the feed is
            closed. A write that was waiting for room may have been taken in part.
        """
        check_process()
        frames = self._as_frames(samples)
        if time is not None:
            time = real_number("time", time, -1e9, 1e10)
        with self._lock:
            return self._write(self._running_capture(), frames, time)

    def close(self) -> None:
        """Say that nothing follows; the source then ends, and the session with its last source.

        It waits for a write under way. Does nothing twice, or after the session's end.
        """
        with self._lock:
            running = self._state is FeedState.RUNNING
            if running:
                check_process()
            if self._state is not FeedState.OVER:
                self._state = FeedState.CLOSED
            if running:  # last: the session may end by it at once, and looks at the state
                self._finish()

    def _finish(self) -> None:
        if self._capture is not None:
            self._capture.finish()

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        return self._sample_rate

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self._channels

    def __repr__(self) -> str:
        return (
            f"<Feed of {self._channels} channels at {self._sample_rate} Hz, "
            f"{self._state.name.lower()}>"
        )

    # ---- a write, with the lock ----

    def _running_capture(self) -> Capture:
        if self._state is not FeedState.RUNNING or self._capture is None:
            raise SessionStateError(f"nothing can be written: {self._state.value}")
        return self._capture

    def _as_frames(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Return contiguous float32 of shape (frames, channels)."""
        try:
            given = np.asarray(samples)
        except ValueError as error:  # rows of several lengths
            raise ConfigError(f"the samples are no array: {error}") from error
        if given.size == 0 and given.dtype == np.float64:  # an empty list
            given = given.astype(np.float32)
        wide_enough = given.dtype.kind == "f" and given.dtype.itemsize <= 8
        if not wide_enough and given.dtype.newbyteorder("=") not in (np.int16, np.int32):
            hint = ""
            if given.dtype.kind in "SV":
                hint = "Say what the bytes are: numpy.frombuffer(data, numpy.int16)"
            raise ConfigTypeError(f"samples must be {_TYPES}, not {given.dtype}", hint=hint)
        frames = given
        if given.ndim == 1 and (self._channels == 1 or given.size == 0):
            frames = given.reshape(-1, self._channels)
        if frames.ndim != 2 or frames.shape[1] != self._channels:
            hint = ""
            if frames.ndim == 2 and frames.shape[0] == self._channels:
                hint = "One row for each frame is wanted: write(samples.T)"
            elif frames.ndim == 1:
                hint = f"Of interleaved samples make rows: samples.reshape(-1, {self._channels})"
            raise ConfigError(
                f"samples must have the shape (frames, {self._channels}), not {given.shape}",
                hint=hint,
            )
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
            return np.ascontiguousarray(to_float32(frames), np.float32)

    def _write(self, capture: Capture, frames: NDArray[np.float32], time: float | None) -> int:
        count = len(frames)
        if count == 0:
            return 0
        hole = self._hole(time)
        if self._when_full == "block":
            return self._write_all(capture, frames, time, hole)
        if self._when_full == "raise" and lib.sa_feed_room(capture.native) < count:
            raise FeedFullError(
                f"there is no room for {count} frames in a ring of {capture.frames}",
                hint="Write them later, fewer at once, or use a longer "
                "StreamConfig(ring_duration=…)",
            )
        return self._push(capture, frames, time, hole)

    def _write_all(
        self, capture: Capture, frames: NDArray[np.float32], time: float | None, hole: int
    ) -> int:
        """Hand everything over, piece by piece, as the ring has room."""
        piece = min(PIECE, max(1, capture.frames // 4))
        done = 0
        while done < len(frames):
            rest = len(frames) - done
            room = lib.sa_feed_room(capture.native)
            if room < min(rest, piece):
                system_time.sleep(ROOM_LOOK)
                self._running_capture()
                continue
            end = done + min(rest, room)
            at = None if time is None else time + done / self._sample_rate
            self._push(capture, frames[done:end], at, hole)
            done, hole = end, 0
        return done

    def _push(
        self, capture: Capture, frames: NDArray[np.float32], time: float | None, hole: int
    ) -> int:
        stored = lib.sa_feed_push(
            capture.native,
            hole,
            ffi.from_buffer("float[]", frames),
            len(frames),
            lib.SA_STAMP_ON_ARRIVAL if time is None else deadline_ns(time),
        )
        if time is not None and self._expected is None:
            self._expected = time
        if self._expected is not None:
            self._expected += (hole + len(frames)) / self._sample_rate
        return int(stored)

    def _hole(self, time: float | None) -> int:
        """Return how many frames are missing before that time."""
        if time is None:
            return 0
        expected = self._expected
        near = min(abs(time - each) for each in (self._now(), expected) if each is not None)
        if near > FARTHEST:
            raise ConfigError(
                f"the time {time!r} is {near:.0f} s away from now",
                hint="It counts from where time.monotonic() counts, not time.time()",
            )
        if expected is None:
            return 0
        late = time - expected
        if late > HOLE:
            return round(late * self._sample_rate)
        # One far too early tells that the sender's clock was set back: nothing can be taken out.
        self._expected = time if late < -HOLE else expected + late * FOLLOWED
        return 0

    # ---- the session's side ----

    def open(self, opening: Opening) -> OpenSource:
        """Open it for a session, as the session itself does at its start."""
        with self._lock:
            if self._state is not FeedState.UNUSED:
                why = self._state.value
                if self._state in (FeedState.RUNNING, FeedState.OPENED):
                    why = "another session has it"
                raise SessionStateError(
                    f"the feed cannot be used: {why}",
                    hint="A feed serves one session; make a new one",
                )
            waits = self._when_full == "block"
            period = max(1, round(USUAL_WRITE * self._sample_rate))
            capture = opening.capture(self._sample_rate, self._channels, period, waits=waits)
            # Nothing passes by while nobody is there: the program's own pace proves no loss.
            capture.native.source_waits = True
            capture.native.host_latency_ns = lib.SA_ANY_AGE
            self._now = opening.clock.now
            self._capture = capture
            self._state = FeedState.OPENED
            return OpenFeed(self, capture, opening.clock, freewheel=waits)

    def _begin(self) -> None:
        with self._lock:
            if self._state is FeedState.CLOSED:  # meanwhile
                self._finish()
            else:
                self._state = FeedState.RUNNING

    def _end(self) -> None:
        """Let no write follow, and wait for one under way, which sees the new state."""
        if self._state is not FeedState.CLOSED:
            self._state = FeedState.OVER
        with self._lock:
            self._capture = None

    def _give_back(self) -> None:
        """Undo the opening of a start that failed."""
        with self._lock:
            self._capture = None
            if self._state is FeedState.OPENED:
                self._state = FeedState.UNUSED


class OpenFeed(UntoldDevice):
    """A feed in a session, and the capture that it goes into."""

    silence_is_normal = True
    latency: float | None = None
    description = "feed"

    def __init__(self, feed: Feed, capture: Capture, clock: Any, *, freewheel: bool) -> None:
        self.capture = capture
        self.sample_rate = feed.sample_rate
        self.channels = feed.channels
        self.own_channels = tuple(range(feed.channels))
        self.freewheel = freewheel
        self._feed = feed
        self._clock = clock  # keeps the native clock alive
        self._started = False

    def start(self) -> None:
        """Let writes be taken."""
        self._started = True
        self._feed._begin()

    def stop(self) -> str:
        """Let no write follow."""
        if self._started:
            self._feed._end()
        return ""

    def is_active(self) -> bool:
        """Return True: the program may write again, or closes the feed."""
        return True

    def lost(self) -> None:
        """Do nothing: a feed is never lost."""

    def close(self) -> None:
        """Free the capture; no write is under way."""
        if not in_own_process():
            return
        OpenFeed.stop(self)
        self._feed._give_back()
        self.capture.close()
