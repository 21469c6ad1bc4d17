"""What a user says of a sink when adding it, to a builder or to a running session."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from stream_audio._checks import name_text, one_of
from stream_audio._record import Record
from stream_audio.adapter.sink_adapter import SinkAdapter
from stream_audio.audio.format import AudioFormat, FormatPreset, audio_format
from stream_audio.backlog.policy import Backlog, as_backlog
from stream_audio.backlog.retry import Retry
from stream_audio.contracts.merge import Merge, Timeline, merge_wanted
from stream_audio.contracts.sink import OnFailure, Sink
from stream_audio.errors import ConfigError, ConfigTypeError, shown


class SinkSpec(Record):
    """A sink and how it is to be served."""

    name: str
    adapter: SinkAdapter
    sources: tuple[str, ...] | None  # None: all
    on_failure: OnFailure
    backlog: Backlog | None  # None: the session's
    retry: Retry | None = None  # None: the session's
    format: AudioFormat | None = None  # None: the session's
    timeline: Timeline = "source"
    merge: Merge | None = None

    @property
    def is_aligned(self) -> bool:
        """Whether its chunks count on the session's timeline."""
        return self.timeline == "session" or self.merge is not None

    @property
    def sink(self) -> Any:
        """As the user made it."""
        return self.adapter.given

    def check_sources(self, ids: Collection[str]) -> None:
        """Refuse ids that no source has."""
        for source in self.sources or ():
            if source not in ids:
                raise ConfigError(
                    f"sink {self.name} wants a source {source!r} that does not exist",
                    hint=f"There are: {', '.join(ids)}",
                )


def sink_spec(
    sink: Any,
    *,
    sources: str | Iterable[str] | None,
    name: str | None,
    on_failure: OnFailure,
    format: AudioFormat | FormatPreset | None,
    backlog: Backlog | str | None,
    retry: Retry | None,
    timeline: Timeline = "source",
    merge: Merge | bool | None = None,
    taken: Collection[str],
) -> SinkSpec:
    """Check what the user said; ``taken``: the names of the other sinks."""
    adapter = SinkAdapter(sink)
    chosen: tuple[str, ...] | None = None
    if sources is not None:
        chosen = source_ids(sources, once=True)
        if not chosen:
            raise ConfigError("sources must not be empty", hint="Leave it out for all sources")
    one_of("timeline", timeline, ("source", "session"))
    merging = merge_wanted(merge)
    if not adapter.fills_gaps and (timeline == "session" or merging is not None):
        raise ConfigError(
            "a file on the session's timeline has silence for gaps, or it would not stay in step",
            hint='Leave out gaps="skip" and gaps="split"',
        )
    one_of("on_failure", on_failure, ("detach", "skip"))
    if not isinstance(retry, (Retry, type(None))):
        raise ConfigTypeError(f"retry must be a Retry, not {retry!r}", hint="Retry(tries=None)")
    if name is None:
        name = _free_name(adapter.name, taken)
    elif name_text("name", name) in taken:
        raise ConfigError(f"there is already a sink {name!r}", hint="Give it another name")
    return SinkSpec(
        name,
        adapter,
        chosen,
        on_failure,
        None if backlog is None else as_backlog(backlog),
        retry,
        None if format is None else audio_format(format),
        timeline,
        merging,
    )


SinkGiven = Sink | tuple[Sink, AudioFormat | FormatPreset]
"""A sink, or one with a format of its own."""


def sinks_given(sinks: object) -> list[tuple[Any, AudioFormat | FormatPreset | None]]:
    """Return the sinks that a user gave in a list, each with its own format if it has one."""
    if not isinstance(sinks, Iterable) or callable(getattr(sinks, "write", None)):
        raise ConfigTypeError(f"sinks takes a list of sinks, not {sinks!r}")
    given: list[tuple[Any, AudioFormat | FormatPreset | None]] = []
    for each in sinks:
        if not isinstance(each, tuple):
            given.append((each, None))
            continue
        if len(each) != 2:
            raise ConfigTypeError(
                f"sinks takes sinks and pairs of a sink and a format, not {each!r}",
                hint="For example (FileSink('a.wav'), FormatPreset.NATIVE)",
            )
        given.append(each)
    return given


def specs_of(sinks: object, source: str, *, taken: Collection[str]) -> list[SinkSpec]:
    """Check sinks that are all for one source; ``taken``: the names of the other sinks."""
    specs: list[SinkSpec] = []
    for sink, own_format in sinks_given(sinks):
        if any(spec.sink is sink for spec in specs):
            raise ConfigError(f"{shown(sink)} was given twice", hint="Give one sink object once")
        specs.append(
            sink_spec(
                sink,
                sources=source,
                name=None,
                on_failure="detach",
                format=own_format,
                backlog=None,
                retry=None,
                taken={*taken, *(spec.name for spec in specs)},
            )
        )
    return specs


def source_ids(sources: object, *, once: bool = False) -> tuple[str, ...]:
    """Return the ids that a user gave, as one or as several; ``once``: none may come twice."""
    if isinstance(sources, str):
        return (sources,)
    if isinstance(sources, Iterable):
        names = tuple(sources)
        if all(isinstance(name, str) for name in names):
            chosen = tuple(dict.fromkeys(names))
            if once and len(chosen) < len(names):
                raise ConfigError(f"sources lists a source twice: {', '.join(names)}")
            return chosen
    raise ConfigTypeError(f"sources takes the id of a source or a list of ids, not {sources!r}")


def _free_name(base: str, taken: Collection[str]) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
