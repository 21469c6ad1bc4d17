"""What a sink answers, read so that nothing of it can do harm: what it returned, what it raised.

A user's object may be anything: an array that has no truth, an error whose attributes raise. So
only exact types are looked at, and each look that may call the user's code is guarded.
"""

from __future__ import annotations

import inspect
import math
import types
from numbers import Integral
from typing import Any

from stream_audio._checks import real_number, whole_number
from stream_audio.audio.gap import Gap, GapCause
from stream_audio.errors import ConfigError, ConfigTypeError, SinkError, is_ctrl_c, shown
from stream_audio.reports.events import GapDetected, SinkFailed, StreamEvent

_MOST = 2**63 - 1


def refuse_coroutine(returned: object) -> None:
    """Raise ``SinkError`` if a method returned a coroutine: nobody awaits it, so nothing is done.

    Anything else that is returned has no meaning, unless it is asked for :func:`dropped_in` it.
    """
    if type(returned) is types.CoroutineType:
        returned.close()
        raise SinkError(
            "it returned a coroutine, which nobody awaits",
            retryable=False,
            hint="Declare the method itself with async def",
        )


def dropped_in(returned: object) -> tuple[Gap, ...]:
    """Return the gaps that a sink returned; anything else that it returns has no meaning.

    Raises
    ------
    SinkError
        One of the gaps cannot be one, or a coroutine was returned that nobody would await.
    """
    refuse_coroutine(returned)
    if type(returned) not in (tuple, list):
        return ()
    answers: list[Any] = list(returned)  # type: ignore[call-overload]
    if not any(type(each) is Gap for each in answers):
        return ()
    return tuple(map(_checked, answers))


def refuse_generator(function: object, name: str) -> None:
    """Raise ``ConfigTypeError`` for what has a ``yield`` in it: a call would do nothing at all."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigTypeError(
            f"{name} has a yield in it, so a call would do nothing",
            hint="Take the yield out",
        )


def event_of_sink(event: Any) -> StreamEvent:
    """Return what a sink sends as an event, if nobody who handles it can come to harm.

    Raises
    ------
    ConfigTypeError, ConfigError
        It is none, or its figures are no figures, or only the session may send it.
    SinkError
        What it calls a gap is none.
    """
    kind = type(event)
    if not issubclass(kind, StreamEvent):
        raise ConfigTypeError(f"send takes an event, not {shown(event)}")
    real_number("time", event.time, -_MOST, _MOST)
    if issubclass(kind, SinkFailed):
        raise ConfigError(
            "a sink cannot send SinkFailed; the session does, of a sink that raises",
            hint="Raise an error",
        )
    if issubclass(kind, GapDetected):
        _checked(event.gap)
        whole_number("count", event.count, 1, _MOST)
        whole_number("further_frames", event.further_frames, 0, _MOST)
    made: StreamEvent = event
    return made


def _checked(answer: Any) -> Gap:
    """Return a gap of plain values, or raise."""
    try:
        if type(answer) is Gap:
            source, cause = answer.source, answer.cause
            frame, frames, time = _whole(answer.frame), _whole(answer.frames), float(answer.time)
            sound = type(source) is str and frames > 0 and math.isfinite(time)
            if sound and type(cause) is GapCause:
                return Gap(source, frame, frames, cause, time)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
    raise SinkError(
        f"it reported as dropped something that is not a gap: {shown(answer)}", retryable=False
    )


def _whole(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(number)
    return int(number)


def frames_taken(error: BaseException, most: int) -> tuple[int, str]:
    """Return how many frames of a chunk were taken before ``error``, and what is odd about that.

    ``most``: the chunk's frames.
    """
    if not issubclass(type(error), SinkError):
        return 0, ""
    taken: Any = None
    try:
        taken = error.taken  # type: ignore[attr-defined]
        number = _whole(taken)
    except BaseException as raised:
        if is_ctrl_c(raised):
            raise
        return 0, f" (taken must be a number of frames, not {shown(taken)}; it counts as 0)"
    kept = max(0, min(number, most))
    odd = f" (taken must be from 0 to {most}, not {number!s:.40}; it counts as {kept})"
    return kept, "" if kept == number else odd


def lost_with(error: BaseException) -> tuple[tuple[Gap, ...], str]:
    """Return the gaps of what an error says to be lost after all, and what is odd about that."""
    if not issubclass(type(error), SinkError):
        return (), ""
    try:
        return dropped_in(error.lost), ""  # type: ignore[attr-defined]
    except BaseException as raised:
        if is_ctrl_c(raised):
            raise
        return (), " (what it says to be lost cannot be read; it counts as nothing)"


def may_be_tried_again(error: BaseException) -> bool:
    """Whether another try may mend it. SystemExit and its like are failures of the sink, too."""
    if not issubclass(type(error), Exception):
        return False
    if not issubclass(type(error), SinkError):
        return True
    try:
        return bool(error.retryable)  # type: ignore[attr-defined]
    except BaseException as raised:
        if is_ctrl_c(raised):
            raise
        return False
