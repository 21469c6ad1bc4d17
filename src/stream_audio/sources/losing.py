"""What a source says of the loss of its device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stream_audio._checks import one_of, real_number
from stream_audio.contracts.source import OnLost, OpenSource, ReopenedSource, Source
from stream_audio.errors import ConfigError, ConfigTypeError

ON_LOST = ("wait", "default", "stop")


def check_losing(on_lost: OnLost | None, lost_timeout: float | None) -> None:
    """Raise if these cannot be what a source does when its device is lost."""
    if on_lost is not None:
        one_of("on_lost", on_lost, ON_LOST)
    if lost_timeout is not None:
        real_number("lost_timeout", lost_timeout, 0, 1e9)
        if on_lost == "stop":
            raise ConfigError(
                "lost_timeout says how long to wait, but on_lost='stop' does not wait",
                hint="Leave one of them out",
            )


def check_follow(follow: bool) -> None:
    """Raise if this cannot say whether a source goes over to the next default."""
    if not isinstance(follow, bool):
        raise ConfigTypeError(f"follow must be a bool, not {follow!r}")


def again(source: Any, lost: OpenSource) -> tuple[Source, ...]:
    """Return a source at the rate that it had, as it is, and at whatever rate it has now.

    With ``on_lost="default"`` the default device comes last.
    """
    same = [source]
    if hasattr(source, "sample_rate"):
        same = [replace(source, sample_rate=rate) for rate in (lost.sample_rate, None)]
        same.insert(1, source)
    if source.on_lost == "default":
        from stream_audio.sources.device import DeviceSource  # which imports this module

        same.append(DeviceSource(None, None, None, None, "low"))
    return tuple(same)


def when_lost(
    source: Source,
    on_lost: OnLost | None,
    lost_timeout: float | None = None,
    *,
    default: OnLost | None = None,
) -> Source:
    """Return the source with these; ``default`` counts if neither it nor the source says any.

    Raises
    ------
    ConfigError
        It is said of a source that cannot go on, such as a file.
    """
    check_losing(on_lost, lost_timeout)
    if on_lost is None and lost_timeout is None:
        if default is None or getattr(source, "on_lost", "") is not None:
            return source
        on_lost = default
    elif not isinstance(source, ReopenedSource):
        raise ConfigError(
            f"on_lost and lost_timeout are for devices, not for {type(source).__name__}",
            hint="Leave them out",
        )
    changed: dict[str, Any] = {}
    if on_lost is not None:
        changed["on_lost"] = on_lost
    if lost_timeout is not None:
        changed["lost_timeout"] = lost_timeout
    lossy: Any = source
    replaced: Source = replace(lossy, **changed)
    return replaced
