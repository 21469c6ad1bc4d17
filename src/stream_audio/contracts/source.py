"""What the engine needs of a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from stream_audio._checks import name_text
from stream_audio.errors import ConfigTypeError

if TYPE_CHECKING:
    from stream_audio._native.capture import Capture
    from stream_audio.contracts.opening import Opening
    from stream_audio.waiting.frame_times import FrameTimes


class SourceShape(Protocol):
    """What sinks see of a source: it stays the same from the start to the end of a session."""

    @property
    def sample_rate(self) -> int:
        """Frames a second."""
        ...

    @property
    def channels(self) -> int:
        """Channels of each frame."""
        ...

    @property
    def own_channels(self) -> tuple[int, ...]:
        """Those of them that the user means by the source, in order."""
        ...


class TimedShape(SourceShape, Protocol):
    """What the session's timeline has to know of a source, too."""

    @property
    def times(self) -> FrameTimes | None:
        """When its frames were captured; ``None``: no clock paces it."""
        ...

    @property
    def delay(self) -> float:
        """Seconds by which its audio is older than its times say."""
        ...


class OpenSource(Protocol):
    """A source whose device is open."""

    capture: Capture
    sample_rate: int
    channels: int
    """Channels that the capture holds."""
    own_channels: tuple[int, ...]
    """Those of them that the user means by the source, in order; formats may pick others."""
    silence_is_normal: bool
    """Exact zeros are no sign of trouble: a monitor of what the computer plays, a file."""
    is_monitor: bool
    """It records what an output plays: long silence is normal, and yet told, once."""
    freewheel: bool
    """Not paced by the clock: it waits for room in the ring instead of losing frames."""
    description: str
    """What was found, as the report names it."""
    device_id: str
    """The id of the device that was found; empty: it is none of the machine's."""

    @property
    def latency(self) -> float | None:
        """Input latency in seconds as the host reports it; ``None`` if it reports none."""

    def start(self) -> None:
        """Let the callbacks begin."""

    def stop(self) -> str | None:
        """End the callbacks; none comes after it returned without an error.

        Returns
        -------
        str, optional
            Why it is unclear whether all of its audio came, as only a file's can be.
        """

    def is_active(self) -> bool:
        """Whether the device says that it runs, as far as is known; must not block."""
        ...

    def is_suspended(self) -> bool:
        """Whether the host has put the device to sleep, so that nothing comes for now."""
        ...

    def end_reason(self) -> str:
        """Return why the host ended it by itself and finished the capture; empty if it did not."""
        ...

    def role_taken_by(self) -> str:
        """Return the id of the device that is the default now, if this one was and is not."""
        ...

    def lost(self) -> None:
        """Told when the device died: what is called from now on must not wait for it."""

    def close(self) -> None:
        """Free the device and the capture."""


class UntoldDevice:
    """The answers of a source whose host tells nothing by itself, or that has no host."""

    device_id = ""
    is_monitor = False

    def is_suspended(self) -> bool:
        """Return False."""
        return False

    def end_reason(self) -> str:
        """Return nothing."""
        return ""

    def role_taken_by(self) -> str:
        """Return nothing."""
        return ""


def check_source(id: object, source: object) -> None:
    """Raise if the id or the object cannot be a source's."""
    name_text("the source's id", id)
    hint = "Make one with AudioSource, for example AudioSource.default_device()"
    if isinstance(source, type):
        raise ConfigTypeError(f"{source.__name__} is a class, not a source", hint=hint)
    if not callable(getattr(source, "open", None)):
        raise ConfigTypeError(f"{source!r} is not a source", hint=hint)


class Source(Protocol):
    """A description of a source, as a user makes it."""

    def open(self, opening: Opening) -> OpenSource:
        """Open the device, so that only :meth:`OpenSource.start` is missing."""
        ...


OnLost = Literal["wait", "default", "stop"]
"""What becomes of a source whose device is lost: see ``AudioSource.device``."""


@runtime_checkable
class ReopenedSource(Source, Protocol):
    """A source that may go on after its device was lost."""

    on_lost: OnLost | None
    """``None``: "wait"."""
    lost_timeout: float | None
    """Seconds after which a lost source ends; ``None``: it waits as long as the session runs."""

    def again(self, lost: OpenSource) -> Sequence[Source]:
        """Return what to try to open in the place of a device that was lost, the best first."""
        ...


def follows(source: Source) -> bool:
    """Whether a source goes over to another device that gets the role of its own."""
    return bool(getattr(source, "follow", False))
