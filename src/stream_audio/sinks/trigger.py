"""A sink that hands on only what happens about certain moments, from some time before them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from stream_audio._checks import real_number
from stream_audio.adapter.answers import refuse_coroutine
from stream_audio.adapter.loop_sink import blocking_form
from stream_audio.audio.chunk import AudioChunk
from stream_audio.audio.cutting import cut, gaps_from
from stream_audio.contracts.sink import SinkInfo
from stream_audio.errors import ConfigError, ConfigTypeError, SessionStateError, SinkError
from stream_audio.reports.events import TriggerEnded, TriggerStarted
from stream_audio.sinks.blocks import Reblocker
from stream_audio.waiting.event_loop import loop_of_caller

if TYPE_CHECKING:
    import asyncio


class TriggerSink:
    """Hands chunks on while it is triggered, and for some time before and after.

    It is triggered by :meth:`trigger` until :meth:`release`, or by a function that is asked about
    each ``window`` of audio: an :class:`EnergyGate`, a voice detector, anything. One event lasts
    from ``pre_roll`` before the first triggered frame to ``post_roll`` after the last one, exact
    to the frame, wherever the chunks were cut; a trigger within the post-roll extends it. What
    comes after an event begins no earlier than that one ended: no frame is handed on twice.

    It takes one source. Its function and the inner sink run on its own worker thread.

    Parameters
    ----------
    sink : Sink or callable
        A sink: it gets all events, one after the other; what lies between them is not told as a
        gap, so that a :class:`FileSink` joins them. Or a function that is called with each
        :class:`TriggerStarted` and returns a sink for this event alone: a file for each.
    pre_roll : float
        Seconds before the trigger, 0 to 3600. They are kept in memory all the time.
    post_roll : float
        Seconds after the last triggered frame, 0 to 3600.
    when : callable, optional
        ``when(chunk) -> bool``: whether these frames trigger. It gets chunks of exactly ``window``
        seconds, none of which spans a gap; frames before a gap that are too few are not asked
        about.
    window : float
        Seconds, 0.001 to 10.

    Examples
    --------
    >>> from stream_audio import EnergyGate, FileSink, TriggerSink
    >>> one_file = TriggerSink(FileSink("events.wav"), pre_roll=5, post_roll=2)
    >>> file_each = TriggerSink(
    ...     lambda event: FileSink(f"event-{event.number:03}.wav"), when=EnergyGate(-40.0)
    ... )
    """

    def __init__(
        self,
        sink: Any,
        pre_roll: float = 5.0,
        post_roll: float = 2.0,
        *,
        when: Callable[[AudioChunk], object] | None = None,
        window: float = 0.02,
    ) -> None:
        is_sink = callable(getattr(sink, "write", None)) and not isinstance(sink, type)
        if not is_sink and not callable(sink):
            raise ConfigTypeError(
                f"{sink!r} is neither a sink nor a function that makes one",
                hint="For example TriggerSink(FileSink('events.wav'))",
            )
        if when is not None and not callable(when):
            raise ConfigTypeError(f"when takes a function, not {when!r}")
        self._given = sink
        self._makes_sinks = not is_sink
        self._pre_roll = real_number("pre_roll", pre_roll, 0, 3600)
        self._post_roll = real_number("post_roll", post_roll, 0, 3600)
        self._window = real_number("window", window, 0.001, 10)
        self._when = when
        self._info: SinkInfo | None = None
        self.inner: Any = None  # the sink under way, in blocking form
        self._loop: asyncio.AbstractEventLoop | None = None
        self._commands: deque[tuple[float, bool]] = deque()
        self._held_from: int | None = None
        self._kept_bytes = 0
        self._in_hand: AudioChunk | None = None
        self._number = 0
        self._is_open = False

    @property
    def name(self) -> str:
        """The inner sink's name if it has one, for events and the report."""
        return str(getattr(self._given, "name", None) or type(self).__name__)

    @property
    def preferred_dtype(self) -> str:
        """The type of samples that the inner sink asks for."""
        if self._makes_sinks:
            return "float32"
        return str(getattr(self._given, "preferred_dtype", "float32"))

    @property
    def unread(self) -> int:
        """Of an inner channel: frames that wait to be read."""
        return int(getattr(self.inner, "unread", 0))

    @property
    def memory_bytes(self) -> int:
        """Bytes of the samples that are kept for a pre-roll."""
        return self._kept_bytes

    @property
    def events(self) -> int:
        """How many events have begun."""
        return self._number

    @property
    def is_open(self) -> bool:
        """Whether an event is being handed on."""
        return self._is_open

    def trigger(self, at: float | None = None) -> None:
        """Trigger until :meth:`release`; on any thread.

        Parameters
        ----------
        at : float, optional
            From the frame that was captured at this moment, seconds of the session's clock (that
            of ``chunk.time``, ``time.monotonic()``); ``None``: now.
        """
        self._command(at, True)

    def release(self, at: float | None = None) -> None:
        """End what :meth:`trigger` began; the post-roll follows. Parameters as there."""
        self._command(at, False)

    def _command(self, at: float | None, on: bool) -> None:
        if self._info is None:
            raise SessionStateError(
                "this TriggerSink is in no session yet", hint="Start the session first"
            )
        moment = self._info.now() if at is None else real_number("at", at, -1e12, 1e12)
        self._commands.append((moment, on))

    # ---- the session's side, on the worker thread ----

    def start(self, info: SinkInfo) -> None:
        """Start the inner sink, unless there is one for each event; called by the session."""
        if len(info.sources) != 1:
            names = ", ".join(source.id for source in info.sources)
            raise ConfigError(
                f"a TriggerSink takes one source, but it would get {names}",
                hint='Choose one: add_sink(sink, sources="…")',
            )
        rate = info.sources[0].sample_rate
        self._pre_frames = round(self._pre_roll * rate)
        self._post_frames = round(self._post_roll * rate)
        self._reblocker = Reblocker(max(1, round(self._window * rate)))
        self._windows: deque[AudioChunk] = deque()  # not judged yet
        self._buffer: deque[AudioChunk] = deque()
        self._triggered: list[tuple[int, int]] = []  # spans of frames, not dealt with yet
        self._handed_on = -(2**62)  # up to this frame
        self._until = 0  # the end of the event, as far as is known
        self._end = 0  # of what came so far
        self._loop = loop_of_caller()  # sinks that are made later know of none
        if not self._makes_sinks:
            inner = blocking_form(self._given, self._loop)
            _call(inner, "start", info)
            self.inner = inner
        self._info = info

    def begun(self) -> None:
        """Tell the inner sink that the session has begun; called by the session."""
        if self.inner is not None:
            _call(self.inner, "begun")

    def write(self, chunk: AudioChunk) -> None:
        """Take a chunk; hand on what belongs to an event."""
        if chunk is not self._in_hand:  # else it is another try with the same one
            self._forget_what_failed()
            self._in_hand = chunk
            self._take(chunk)
        self._judge()
        decided = chunk.end - self._reblocker.waiting(chunk.source)
        self._hand_on(decided)
        self._trim(decided)
        self._in_hand = None

    def caught_up(self) -> None:
        """Tell the sink of the event that is open; called by the session."""
        if self.inner is not None:
            _call(self.inner, "caught_up")

    def stop(self) -> None:
        """End the event that is open, and the inner sink; called by the session."""
        try:
            self._forget_what_failed()
            self._hand_on(math.inf)
        finally:
            inner, self.inner = self.inner, None
            _call(inner, "stop")

    def discard(self) -> None:
        """Undo the start; called by the session if it could not start."""
        inner, self.inner = self.inner, None
        _call(inner, "discard" if hasattr(inner, "discard") else "stop")

    def _forget_what_failed(self) -> None:
        """Let go of a chunk that all tries failed with: for the session it is dropped."""
        if self._in_hand is not None:
            self._buffer.remove(self._in_hand)
            self._kept_bytes -= self._in_hand.data.nbytes
            self._in_hand = None

    def _take(self, chunk: AudioChunk) -> None:
        self._buffer.append(chunk)
        self._kept_bytes += chunk.data.nbytes
        self._end = chunk.end
        if self._when is not None:
            self._windows.extend(self._reblocker.push(chunk))
        while self._commands:
            moment, on = self._commands[0]
            frame = chunk.frame + math.ceil((moment - chunk.time) * chunk.sample_rate - 1e-3)
            if frame >= chunk.end:
                break  # not captured yet
            self._commands.popleft()
            if on and self._held_from is None:
                self._held_from = frame
            elif not on and self._held_from is not None:
                self._triggered.append((self._held_from, max(frame, self._held_from)))
                self._held_from = None
        if self._held_from is not None:
            self._triggered.append((self._held_from, chunk.end))

    def _judge(self) -> None:
        while self._windows and self._when is not None:
            window = self._windows[0]
            if self._when(window):
                self._triggered.append((window.frame, window.end))
            self._windows.popleft()

    def _hand_on(self, decided: float) -> None:
        """Write what belongs to events; after one that raises, the next call goes on from there.

        ``decided``: before this frame it is known what triggers.
        """
        self._triggered.sort()
        while self._is_open or (self._triggered and self._buffer):
            if not self._is_open:
                self._open()
            while self._triggered and self._triggered[0][0] <= self._until:
                self._until = max(self._until, self._triggered.pop(0)[1] + self._post_frames)
            for piece in self._pieces():
                self._write(piece)
                self._handed_on = piece.end
            if decided <= self._until:
                break  # what comes next may extend it
            self._close()

    def _open(self) -> None:
        first, last = self._triggered[0]
        begin = max(first - self._pre_frames, self._handed_on, _begin(self._buffer[0]))
        event = self._event(begin)
        if self._makes_sinks:
            inner = blocking_form(self._given(event), self._loop)
            _call(inner, "start", self._info)
            try:
                _call(inner, "begun")  # the session has, long since
            except BaseException:
                _call(inner, "discard" if hasattr(inner, "discard") else "stop")
                raise
            self.inner = inner
        del self._triggered[0]
        self._number = event.number
        self._handed_on = begin
        self._until = last + self._post_frames
        self._is_open = True
        self._session.send(event)

    def _event(self, frame: int) -> TriggerStarted:
        after = next(chunk for chunk in self._buffer if chunk.end > frame)
        captured = after.time + (frame - after.frame) / after.sample_rate
        session = self._session
        return TriggerStarted(
            time=session.now(),
            sink=session.name,
            number=self._number + 1,
            source=after.source,
            frame=frame,
            wall_time=session.epoch + captured,
        )

    def _write(self, piece: AudioChunk) -> None:
        try:
            refuse_coroutine(self.inner.write(piece))
        except SinkError as error:
            error.taken = 0  # of this piece, and not of the chunk that was being taken
            raise

    def _pieces(self) -> Iterator[AudioChunk]:
        """Yield what is there of the event and not handed on yet; the caller moves on."""
        for chunk in self._buffer:
            begin, end = max(chunk.frame, self._handed_on), min(chunk.end, self._until)
            if begin < end:
                yield gaps_from(cut(chunk, begin, end), self._handed_on)

    def _close(self) -> None:
        end = min(self._until, self._end)
        self._is_open = False
        self._handed_on = end
        if self._makes_sinks:
            inner, self.inner = self.inner, None
            try:
                _call(inner, "stop")
            except Exception as error:
                # Another try would find it stopped, and the failure would go unseen.
                raise SinkError(
                    f"{inner!r} could not be completed", retryable=False, host_text=str(error)
                ) from error
        session = self._session
        source = session.sources[0].id
        session.send(TriggerEnded(session.now(), session.name, self._number, source, end))

    def _trim(self, decided: int) -> None:
        """Let go of what no event can need any more."""
        needed = decided - self._pre_frames
        while self._buffer and self._buffer[0].end <= needed:
            self._kept_bytes -= self._buffer.popleft().data.nbytes

    @property
    def _session(self) -> SinkInfo:
        assert self._info is not None
        return self._info

    def __repr__(self) -> str:
        return (
            f"TriggerSink({self._given!r}, pre_roll={self._pre_roll:g}, "
            f"post_roll={self._post_roll:g}, when={self._when!r})"
        )


def _begin(chunk: AudioChunk) -> int:
    """Where a chunk begins, with the gaps before it."""
    return chunk.gaps[0].frame if chunk.gaps else chunk.frame


def _call(sink: Any, name: str, *arguments: object) -> None:
    """Call an optional method of a sink, if there is one."""
    method = getattr(sink, name, None)
    if method is not None:
        method(*arguments)
