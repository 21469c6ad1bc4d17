"""A sink that hands on only what happens about certain moments, from some time before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from stream_audio._checks import real_number, whole_number
from stream_audio._public import public
from stream_audio.adapter.sink_adapter import SinkAdapter, read_attribute
from stream_audio.audio.chunk import AudioChunk
from stream_audio.contracts.sink import SinkInfo
from stream_audio.errors import (
    ConfigError,
    ConfigTypeError,
    SessionStateError,
    SinkError,
    session_ended,
    shown,
)
from stream_audio.sinks.blocks import Reblocker
from stream_audio.sinks.event_writer import EventWriter, Rolls
from stream_audio.sinks.trigger_spans import Span


class State(Enum):
    """Where a :class:`TriggerSink` stands."""

    NEW = auto()
    """In no session yet."""
    RUNNING = auto()
    """The session has started the sink."""
    ENDED = auto()
    """The session has stopped the sink."""


@public
class TriggerSink:
    """A sink that hands chunks on while it is triggered, and for some time before and after.

    :meth:`trigger` triggers it until :meth:`release`. So does a function that decides about each
    ``window`` of audio: an :class:`EnergyGate`, a voice detector, anything. One event lasts from
    ``pre_roll`` before the first triggered frame to ``post_roll`` after the last one, exact to the
    frame, wherever the chunks were cut. A trigger within the post-roll extends the event. The next
    event begins no earlier than this one ended: no frame is handed on twice.

    A recogniser says only afterwards when something began. So the sink keeps ``decide_within``
    seconds more than the pre-roll. If the trigger comes later still, the audio that is gone is a
    gap with the cause ``decided_late``, in the event's first chunk and in a :class:`GapDetected`.

    A trigger sink takes one source. The function and the inner sink run on its worker thread.

    Parameters
    ----------
    sink : Sink or callable
        A sink gets all events, one after the other. The time between them is not a gap, so a
        :class:`FileSink` joins them. A function is called with each :class:`TriggerStarted` and
        returns a sink for that event alone, for example a file for each.
    pre_roll : float
        Seconds before the trigger, 0 to 3600. They stay in memory all the time.
    post_roll : float
        Seconds after the last triggered frame, 0 to 3600.
    when : callable, optional
        ``when(chunk) -> bool``: whether these frames trigger. The function gets chunks of exactly
        ``window`` seconds, none of which spans a gap. It does not get frames before a gap that are
        too few for a window.
    window : float
        Length of the chunks for ``when`` in seconds, 0.001 to 10.
    decide_within : float
        Seconds by which :meth:`trigger` may come late and still get the whole pre-roll, 0 to 3600.
        They stay in memory beside it.
    longest : float, optional
        Seconds, 0.001 to 1e6, after which an event that is not over ends and another begins at the
        next frame. ``None``: an event lasts as long as it is triggered.

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
        decide_within: float = 2.0,
        longest: float | None = None,
    ) -> None:
        is_sink = not isinstance(sink, type) and callable(read_attribute(sink, "write", None))
        if not is_sink and not callable(sink):
            raise ConfigTypeError(
                f"{shown(sink)} is neither a sink nor a function that makes one",
                hint="For example TriggerSink(FileSink('events.wav'))",
            )
        if when is not None and not callable(when):
            raise ConfigTypeError(f"when takes a function, not {shown(when)}")
        self._given = sink
        self._adapter = SinkAdapter(sink) if is_sink else None
        self._pre_roll = real_number("pre_roll", pre_roll, 0, 3600)
        self._post_roll = real_number("post_roll", post_roll, 0, 3600)
        self._window = real_number("window", window, 0.001, 10)
        self._decide_within = real_number("decide_within", decide_within, 0, 3600)
        if longest is not None:
            longest = real_number("longest", longest, 0.001, 1e6)
        self._longest = longest
        self._when = when
        self._state = State.NEW
        self._commands: deque[tuple[bool, float, int | None]] = deque()
        self._in_hand: AudioChunk | None = None

    @property
    def name(self) -> str:
        """Name for events and the report: the inner sink's, if it has one."""
        own = None if self._adapter is None else self._adapter.own_name
        return own or type(self).__name__

    @property
    def preferred_dtype(self) -> str:
        """The type of samples that the inner sink asks for."""
        return "float32" if self._adapter is None else self._adapter.dtype

    @property
    def inner(self) -> Any:
        """The sink under way, as the session calls it; ``None`` if there is none."""
        return self._under_way

    @property
    def _under_way(self) -> SinkAdapter | None:
        return None if self._state is State.NEW else self._events.inner

    @property
    def unread(self) -> int:
        """Frames that wait to be read in an inner channel."""
        under_way = self._under_way
        return 0 if under_way is None else under_way.unread

    @property
    def memory_bytes(self) -> int:
        """Bytes of the samples that are kept for a pre-roll and for late decisions."""
        return 0 if self._state is State.NEW else self._events.kept.bytes

    @property
    def events(self) -> int:
        """Number of events that have begun."""
        return 0 if self._state is State.NEW else self._events.number

    @property
    def is_open(self) -> bool:
        """Whether an event is being handed on."""
        return self._state is not State.NEW and self._events.is_open

    def trigger(self, at: float | None = None, *, frame: int | None = None) -> None:
        """Trigger until :meth:`release`; may be called from any thread.

        Parameters
        ----------
        at : float, optional
            Trigger from the frame that was captured at this moment, in seconds of the session's
            clock (the clock of ``chunk.time``, ``time.monotonic()``). ``None``: now.
        frame : int, optional
            Trigger from this frame of the sink's chunks instead of a moment. This is the only
            exact way for a source that is faster than real time.

        Raises
        ------
        SessionStateError
            The session has not started, or has ended.
        """
        if self._state is State.ENDED:
            raise session_ended()
        self._command(True, at, frame)

    def release(self, at: float | None = None, *, frame: int | None = None) -> None:
        """End what :meth:`trigger` began, but never before it began; the post-roll follows.

        The parameters are those of :meth:`trigger`. Does nothing if nothing is triggered by hand.
        """
        self._command(False, at, frame)

    def _command(self, on: bool, at: float | None, frame: int | None) -> None:
        if self._state is State.NEW:
            raise SessionStateError(
                "this TriggerSink is in no session yet", hint="Start the session first"
            )
        if frame is None:
            moment = self._now() if at is None else real_number("at", at, -1e12, 1e12)
            self._commands.append((on, moment, None))
        elif at is None:
            self._commands.append((on, 0.0, whole_number("frame", frame, 0, 2**62)))
        else:
            raise ConfigError("both a moment and a frame are given", hint="Give one of them")

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
        self._reblocker = Reblocker(max(1, round(self._window * rate)))
        self._windows: deque[AudioChunk] = deque()  # not judged yet
        rolls = Rolls(
            pre=round(self._pre_roll * rate),
            post=round(self._post_roll * rate),
            late=round(self._decide_within * rate),
            longest=None if self._longest is None else max(1, round(self._longest * rate)),
        )
        self._events = EventWriter(self._adapter or self._given, info, rolls)
        self._now = info.now
        self._state = State.RUNNING

    def begun(self) -> None:
        """Tell the inner sink that the session has begun; called by the session."""
        self._events.begun()

    def write(self, chunk: AudioChunk) -> None:
        """Take a chunk and hand on the frames that belong to an event; called by the session."""
        if chunk is not self._in_hand:  # else it is another try with the same one
            self._forget_what_failed()
            self._in_hand = chunk
            self._events.kept.add(chunk)
            if self._when is not None:
                self._windows.extend(self._reblocker.push(chunk))
            self._obey()
        try:
            self._judge()
            self._events.hand_on(chunk.end - self._reblocker.waiting(chunk.source))
        except SinkError as error:
            error.taken = 0  # what it says is of a piece or a window, and not of this chunk
            raise
        self._in_hand = None

    def caught_up(self) -> None:
        """Call ``caught_up`` of the open event's sink; called by the session."""
        self._events.caught_up()

    def stop(self) -> object:
        """End the open event and stop the inner sink; called by the session."""
        try:
            self._forget_what_failed()
            self._obey()
            self._events.finish()
        finally:
            self._state = State.ENDED
            dropped = self._events.stop()
        return dropped

    def discard(self) -> None:
        """Undo the start; called by a session that could not start after all."""
        self._state = State.NEW
        self._events.discard()

    def abandon(self) -> None:
        """Leave the sink under way to itself, on another thread; called by the session."""
        under_way = self._under_way
        if under_way is not None:
            under_way.abandon()

    def _forget_what_failed(self) -> None:
        """Let go of a chunk that all tries failed with: for the session it is dropped."""
        if self._in_hand is not None:
            self._events.kept.remove(self._in_hand)
            self._in_hand = None

    def _obey(self) -> None:
        """Do what was commanded, up to the first command for a frame that has not come yet."""
        kept, spans = self._events.kept, self._events.spans
        while self._commands and not kept.is_empty:
            on, moment, frame = self._commands[0]
            if frame is None:
                frame = kept.frame_at(moment)
            if frame >= kept.end:
                break
            self._commands.popleft()
            (spans.hold if on else spans.release)(frame)

    def _judge(self) -> None:
        while self._windows and self._when is not None:
            window = self._windows[0]
            if self._when(window):
                self._events.spans.add(Span(window.frame, window.end))
            self._windows.popleft()

    def __repr__(self) -> str:
        return (
            f"TriggerSink({shown(self._given)}, pre_roll={self._pre_roll:g}, "
            f"post_roll={self._post_roll:g}, when={shown(self._when)})"
        )
