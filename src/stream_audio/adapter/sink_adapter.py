"""A user's sink, read once, so that the engine deals with all sinks in one way.

What a sink has (methods, optional attributes, whether it is asynchronous) is looked up as it is
added, and never again: an attribute that raises, or is of the wrong type, is an error there, and
cannot harm a session that runs. The two figures that change are read with care.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from stream_audio._checks import one_of, real_number, whole_number
from stream_audio._log import log
from stream_audio.adapter.answers import refuse_generator
from stream_audio.adapter.loop_sink import LoopSink, blocking_form
from stream_audio.audio.format import SAMPLE_TYPES, SampleType
from stream_audio.backlog.policy import Backlog
from stream_audio.backlog.retry import Retry
from stream_audio.contracts.sink import LONGEST_GATHER, SinkInfo, SourceInfo
from stream_audio.errors import (
    ConfigError,
    ConfigTypeError,
    SessionStateError,
    in_words,
    is_ctrl_c,
    kind_of,
    shown,
)

if TYPE_CHECKING:
    import asyncio

_OPTIONAL = ("start", "begun", "source_added", "caught_up", "stop", "discard", "abandon")
_MOST = 2**63 - 1

Method = Callable[..., Any]


class SinkAdapter:
    """What the engine calls in place of a user's sink.

    Parameters
    ----------
    sink : object
        As the user made it.

    Attributes
    ----------
    given : object
        The same.
    write : callable
        Takes a chunk; the sink's own method, or one that waits for it on its event loop.
    blocking : bool
        Whether it needs a worker thread.
    confirms : bool or None
        Whether it confirms what has arrived; ``None``: what it took has arrived.
    dtype : str
        The type of sample it asks for.
    gather : float
        Seconds that its chunks may gather.
    fills_gaps : bool
        False: it leaves out what is missing, so it cannot be on the session's timeline.
    takes_batches : bool
        Whether what gathered may come as one chunk.
    use_queue, lend_baton : callable or None
        Of a channel: take the queue, or the turns, of the session.
    own_backlog : Backlog or None
        Of a channel: the one that it was made with.
    own_retry : Retry or None
        How often it wants to be tried again.
    waiting : object or None
        The sink itself, if its consumer may run turns and be handed chunks.

    Raises
    ------
    ConfigTypeError
        It has no method ``write``, or a setting is of the wrong type.
    ConfigError
        An attribute is out of range, or raises.
    """

    def __init__(self, sink: Any) -> None:
        self.given = sink
        if isinstance(sink, type):
            raise ConfigTypeError(
                f"{sink.__name__} is a class, and a sink is an object of it",
                hint=f"Make one: {sink.__name__}(…)",
            )
        write = read_attribute(sink, "write", None)
        if not callable(write):
            raise ConfigTypeError(
                f"{shown(sink)} is not a sink: it has no method write(chunk)",
                hint="Use FileSink, ChannelSink, CallbackSink, or an object with write(chunk)",
            )
        self.write: Method = write
        refuse_generator(write, f"the method write of {shown(sink)}")
        methods = {name: _method(sink, name) for name in _OPTIONAL}
        self._methods = {name: method for name, method in methods.items() if method is not None}
        self._is_async = any(map(inspect.iscoroutinefunction, (write, *self._methods.values())))
        self._loop_sink: LoopSink | None = None
        self._complained_of: set[str] = set()
        dtype = _checked(sink, "preferred_dtype", "float32", one_of, SAMPLE_TYPES)
        self.dtype: SampleType = cast(SampleType, dtype)
        self.gather: float = _checked(sink, "gather", 0.0, real_number, 0, LONGEST_GATHER)
        self.takes_batches = _flag(sink, "takes_batches", default=False)
        self.fills_gaps = _flag(sink, "fills_gaps", default=True)
        self.blocking = self._is_async or _flag(sink, "blocking", default=True)
        says = read_attribute(sink, "confirms", None)
        self.confirms = None if says is None else _flag(sink, "confirms", default=False)
        if self.confirms and not self.blocking:
            raise ConfigError(
                f"{shown(sink)} confirms but is not blocking, so nothing would keep its frames",
                hint="Leave out blocking = False",
            )
        # By its type: an object that answers for any attribute is no channel.
        self.waiting = sink if hasattr(type(sink), "can_be_handed") else None
        self.use_queue: Method | None = None
        self.lend_baton: Method | None = None
        self.own_backlog: Backlog | None = None
        if self.waiting is not None:
            self.use_queue, self.lend_baton = self.waiting.use_queue, self.waiting.lend_baton
            self.own_backlog = self.waiting.backlog
        self.own_retry: Retry | None = read_attribute(sink, "retry", None)
        if not isinstance(self.own_retry, (Retry, type(None))):
            self.own_retry = None  # something else of the same name

    @property
    def name(self) -> str:
        """What to call it if the user does not say: its own name, or its type's."""
        return self.own_name or kind_of(self.given)

    @property
    def own_name(self) -> str:
        """Its own name; empty if it has none."""
        name = read_attribute(self.given, "name", None)
        return name if type(name) is str and name.strip() else ""

    def bind(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Find the event loop of an asynchronous one: the caller's, or else this one.

        Raises
        ------
        SessionStateError
            There is none.
        """
        if not self._is_async:
            return
        waiting = self._loop_sink = blocking_form(self.given, loop)
        self.write = waiting.write
        self._methods = {name: getattr(waiting, name) for name in self._methods}

    # ---- what it is asked to do ----

    def start(self, info: SinkInfo) -> None:
        """Start it, if it has a method for that."""
        self._call("start", info)

    def begun(self) -> None:
        """Say that the session has begun."""
        self._call("begun")

    @property
    def takes_sources(self) -> bool:
        """Whether it takes sources that come while the session runs."""
        return "source_added" in self._methods

    def source_added(self, info: SourceInfo) -> None:
        """Tell it of a source that comes while the session runs."""
        self._call("source_added", info)

    def caught_up(self) -> None:
        """Say that all that was there is written."""
        self._call("caught_up")

    def stop(self) -> object:
        """Stop it; returns what it returns."""
        return self._call("stop")

    def discard(self) -> object:
        """Undo its start: it gets no chunk; returns what it returns."""
        return self._call("discard" if "discard" in self._methods else "stop")

    def abandon(self) -> None:
        """Leave it to itself: a call that is under way on a loop is cancelled."""
        if self._loop_sink is not None:
            self._loop_sink.abandon()
            return
        try:
            self._call("abandon")
        except BaseException as error:
            if is_ctrl_c(error):
                raise
            log.warning("%s could not be abandoned: %s", self, in_words(error))

    def _call(self, name: str, *arguments: object) -> object:
        method = self._methods.get(name)
        return None if method is None else method(*arguments)

    # ---- what is asked of it ----

    @property
    def unread(self) -> int:
        """Frames it has taken that nobody has read yet."""
        return self._figure("unread")

    @property
    def memory_bytes(self) -> int:
        """Bytes of samples that it holds."""
        return self._figure("memory_bytes")

    def _figure(self, attribute: str) -> int:
        """Return a figure that it keeps; 0, and a line in the log, if it is none."""
        try:
            return whole_number(attribute, getattr(self.given, attribute, 0), 0, _MOST)
        except BaseException as error:
            if is_ctrl_c(error):
                raise
            if attribute not in self._complained_of:
                self._complained_of.add(attribute)
                log.warning("%s has no readable %s: %s", self, attribute, in_words(error))
            return 0

    def loop_sinks(self) -> Iterator[LoopSink]:
        """Yield what of it is called on an event loop: itself, or what it hands on to."""
        if self._loop_sink is not None:
            yield self._loop_sink
        inner = self._inner()
        if type(inner) is SinkAdapter:
            yield from inner.loop_sinks()

    def _inner(self) -> object:
        try:
            return getattr(self.given, "inner", None)
        except BaseException as error:
            if is_ctrl_c(error):
                raise
            return None  # then it is not one of ours

    def __repr__(self) -> str:
        return shown(self.given)


def refuse_to_wait_for(sinks: Iterable[SinkAdapter], instead: str) -> None:
    """Raise if one of the sinks needs the event loop of the calling thread to go on."""
    for sink in sinks:
        if any(each.waits_for_caller() for each in sink.loop_sinks()):
            raise SessionStateError(
                f"{sink} runs on the event loop that would have to wait for it",
                hint=f'Use "{instead}"',
            )


def called_by_one_of(sinks: Iterable[SinkAdapter]) -> bool:
    """Whether the calling task is a method of one of the sinks."""
    return any(each.is_called_here() for sink in sinks for each in sink.loop_sinks())


def read_attribute(sink: object, attribute: str, default: object) -> Any:
    """Return an attribute of a user's sink; ``ConfigError`` if it raises."""
    try:
        return getattr(sink, attribute, default)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        raise _cannot_be_read(sink, attribute, error) from error


def _checked(
    sink: object, attribute: str, default: object, check: Callable[..., Any], *limits: object
) -> Any:
    """Return an attribute as ``check`` has it; its value, too, is a user's."""
    value = read_attribute(sink, attribute, default)
    try:
        return check(attribute, value, *limits)
    except (ConfigError, ConfigTypeError):
        raise
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        raise _cannot_be_read(sink, attribute, error) from error


def _method(sink: object, name: str) -> Method | None:
    """Return an optional method; what cannot be called is something else of the same name."""
    method = read_attribute(sink, name, None)
    return method if callable(method) else None


def _flag(sink: object, attribute: str, *, default: bool) -> bool:
    value = read_attribute(sink, attribute, default)
    try:
        return bool(value)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        raise _cannot_be_read(sink, attribute, error) from error


def _cannot_be_read(sink: object, attribute: str, error: BaseException) -> ConfigError:
    return ConfigError(
        f"{shown(sink)} cannot be a sink: its attribute {attribute} raised {in_words(error)}"
    )
